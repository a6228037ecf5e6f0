// A region without a page map behind it, for asking shootdowns alone what they cost.
//
// `revocable` pages lie at the front, one every `stride` pages; then one page for each victim. Every page holds the
// contents of version 0 in its upper half; the lower half is the victims', one word each.
//
// Thread safety: victims touch their words; the rest is the initiator's.
// Invariant: whatever is revoked, the bytes stay: the victims' counts are exact, and the upper halves do not change.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "bench/harness/digest.hpp"
#include "bench/workloads/access_probe.hpp"
#include "impl/page_map/address_space.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

template <class Machine>
class ShootdownObject final : private FaultServer<Machine> {
public:
    static constexpr std::uint64_t most_victims = page_size / 2 / sizeof(std::uint64_t);

    /// Maps and opens everything. Throws std::runtime_error where the system has no room.
    ShootdownObject(std::uint64_t revocable, std::uint64_t stride, std::uint64_t victims)
        : revocable_(revocable),
          stride_(stride),
          memory_(revocable * stride + victims),
          space_(AddressSpace<Machine>::this_process()),
          region_(space_, *this, {.pages = {0, memory_.size_pages()}}, mapped()) {
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            fill_contents(memory_.bytes({page, 1}).subspan(page_size / 2), page, 0, page_size / 2);
        }
        space_.attach(region_);
        if (Status opened = reopen(); !opened) {
            throw std::runtime_error(opened.error().text());
        }
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            touch(region_.address_of(page));
        }
    }
    ~ShootdownObject() {
        space_.detach(region_);
        static_cast<void>(ObjectMemory::unmap(region_.base(), memory_.size_pages()));
    }
    ShootdownObject(const ShootdownObject&) = delete;
    ShootdownObject& operator=(const ShootdownObject&) = delete;

    Region<Machine>& region() { return region_; }
    std::uint64_t revocable() const { return revocable_; }
    PageIndex revocable_page(std::uint64_t place) const { return place * stride_; }
    /// From the first revocable page to the last, with those in between.
    PageRange hull() const { return {0, (revocable_ - 1) * stride_ + 1}; }

    /// The victim's word in a page of its own, which is not to be revoked.
    volatile std::uint64_t* outside_word(unsigned victim) const { return word(revocable_ * stride_ + victim, victim); }
    /// The victim's word in a page that is revoked again and again.
    volatile std::uint64_t* inside_word(unsigned victim, std::uint64_t step) const {
        return word(revocable_page(step % revocable_), victim);
    }

    /// The same word where it can be read at any time.
    const volatile std::uint64_t* watched_word(unsigned victim) const {
        const auto bytes = memory_.bytes({revocable_ * stride_ + victim, 1});
        return reinterpret_cast<const volatile std::uint64_t*>(bytes.data()) + victim;
    }

    /// Opens everything again; flushes nothing.
    Status reopen() { return Machine::set_access(region_.base(), region_.size_bytes(), Access::write); }

    /// Has the calling thread's processor use what is to be revoked.
    void use_revocable() const {
        for (std::uint64_t place = 0; place < revocable_; ++place) {
            touch(region_.address_of(revocable_page(place)));
        }
    }

    /// A revocable page that can still be read, or nothing: to be asked after a revocation, while no victim runs.
    std::optional<PageIndex> find_open() const {
        constexpr std::uint64_t probes = 64;
        return find_spread(revocable_, probes,
                           [&](std::uint64_t place) { return is_readable(region_.address_of(revocable_page(place))); });
    }

    /// The increments of one victim, wherever it made them; they start from zero again.
    std::uint64_t take_count(unsigned victim) {
        std::uint64_t sum = 0;
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            auto* const counted = reinterpret_cast<std::uint64_t*>(memory_.bytes({page, 1}).data()) + victim;
            sum += std::exchange(*counted, 0);
        }
        return sum;
    }

    /// A page whose constant half changed, or nothing.
    std::optional<PageIndex> find_damaged(Digest& digest) const {
        for (PageIndex page = 0; page < memory_.size_pages(); ++page) {
            if (find_mismatch(memory_.bytes({page, 1}).subspan(page_size / 2), page, 0, page_size / 2)) {
                return page;
            }
            digest.add(page);
        }
        return std::nullopt;
    }

private:
    std::byte* mapped() {
        Result<std::byte*> base = memory_.map({0, memory_.size_pages()}, Sharing::shared);
        return base ? *base : throw std::runtime_error(base.error().text());
    }
    volatile std::uint64_t* word(PageIndex page, unsigned victim) const {
        return reinterpret_cast<volatile std::uint64_t*>(region_.address_of(page)) + victim;
    }

    /// A victim touched what is closed: opened again, as a page map does for a page that is still there.
    Status serve_fault(Region<Machine>& region, PageIndex index, Access wanted) noexcept override {
        const LockGuard guard(space_.page_table_lock());
        return Machine::set_access(region.address_of(index), page_size, wanted);
    }

    const std::uint64_t revocable_;
    const std::uint64_t stride_;
    ObjectMemory memory_;
    AddressSpace<Machine>& space_;
    Region<Machine> region_;
};

}  // namespace page_map_lab::bench
