#include "tests/stress/stamped_pages.hpp"

#include <sstream>

#include "impl/core/check.hpp"

namespace page_map_lab::stress {
namespace {

constexpr unsigned version_shift = 32;
constexpr unsigned object_shift = 28;
constexpr unsigned writer_shift = 20;

}  // namespace

StampedPages::StampedPages(unsigned object, std::uint64_t pages, std::byte* memory)
    : object_(object), pages_(pages), states_(reinterpret_cast<State*>(memory)) {
    check(object < 16 && pages < std::uint64_t{1} << writer_shift, "an object's stamps fit their word");
}

std::uint64_t StampedPages::stamp(PageIndex page, unsigned writer, Version version) const noexcept {
    return version == 0 ? 0
                        : std::uint64_t{version} << version_shift | std::uint64_t{object_} << object_shift |
                              std::uint64_t{writer} << writer_shift | page;
}

void StampedPages::begin_write(PageIndex page, unsigned writer, std::byte* bytes) noexcept {
    Lane& lane = states_[page].lanes[writer];
    // relaxed, both: one thread writes a lane; the release of the word publishes the announcement.
    const Version version = lane.announced.load(std::memory_order_relaxed) + 1;
    lane.announced.store(version, std::memory_order_relaxed);
    auto& word = *reinterpret_cast<std::uint64_t*>(bytes + place_of(writer));
    // release: pairs with the acquire of the word in read.
    std::atomic_ref(word).store(stamp(page, writer, version), std::memory_order_release);
}

void StampedPages::confirm_write(PageIndex page, unsigned writer) noexcept {
    Lane& lane = states_[page].lanes[writer];
    // release: pairs with the acquire of `confirmed` in read. relaxed: one thread writes a lane.
    lane.confirmed.store(lane.announced.load(std::memory_order_relaxed), std::memory_order_release);
}

std::string StampedPages::read(PageIndex page, unsigned writer, const std::byte* bytes) const {
    const State& state = states_[page];
    const Lane& lane = state.lanes[writer];
    // acquire, both: pair with the releases in write and truncation_ends.
    const Version oldest = lane.confirmed.load(std::memory_order_acquire);
    const Version gone = lane.gone.load(std::memory_order_acquire);
    auto& place = *reinterpret_cast<std::uint64_t*>(const_cast<std::byte*>(bytes) + place_of(writer));
    // acquire: who sees a version sees that it was announced.
    const std::uint64_t word = std::atomic_ref(place).load(std::memory_order_acquire);
    // acquire: who sees no truncation any more sees what it left.
    const bool truncating = state.truncations.load(std::memory_order_acquire) != 0;
    // relaxed, both: the acquires above order.
    const Version at_risk = lane.at_risk.load(std::memory_order_relaxed);
    const Version newest = lane.announced.load(std::memory_order_relaxed);

    const auto version = static_cast<Version>(word >> version_shift);
    const bool ours = word == stamp(page, writer, version);
    const bool zero_allowed = oldest == 0 || truncating || at_risk >= oldest;
    const bool version_allowed = version >= oldest && version > gone && version <= newest;
    if (ours && (version == 0 ? zero_allowed : version_allowed)) {
        return {};
    }
    std::ostringstream wrong;
    wrong << "object " << object_ << ", page " << page << ", writer " << writer << ": ";
    if (ours) {
        wrong << "version " << version;
    } else {
        wrong << "0x" << std::hex << word << std::dec << ", which was never written here";
    }
    wrong << "; confirmed before " << oldest << ", announced after " << newest << ", truncated " << gone << " to "
          << at_risk << (truncating ? " and being truncated" : "");
    return wrong.str();
}

void StampedPages::truncation_begins(PageIndex page) noexcept {
    State& state = states_[page];
    for (Lane& lane : state.lanes) {
        // acquire: pairs with the release in write; what was confirmed is in the page, and goes.
        lane.going = lane.confirmed.load(std::memory_order_acquire);
    }
    // release: the zeroes come later than this.
    state.truncations.fetch_add(1, std::memory_order_release);
}

void StampedPages::truncation_ends(PageIndex page) noexcept {
    State& state = states_[page];
    for (Lane& lane : state.lanes) {
        // relaxed, both: the release below publishes; a version that is announced later is written after the truncation.
        lane.at_risk.store(lane.announced.load(std::memory_order_relaxed), std::memory_order_relaxed);
        // release: pairs with the acquire in read.
        lane.gone.store(lane.going, std::memory_order_release);
    }
    // release: pairs with the acquire in read.
    state.truncations.fetch_sub(1, std::memory_order_release);
}

}  // namespace page_map_lab::stress
