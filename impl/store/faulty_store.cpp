#include "impl/store/faulty_store.hpp"

#include <array>
#include <thread>
#include <utility>

namespace page_map_lab {
namespace {

constexpr std::array<const char*, 3> verbs{"read", "write", "sync"};

// A number in [0, 1) that depends on nothing but its arguments (the finaliser of SplitMix64).
double draw(std::uint64_t seed, std::uint64_t kind, std::uint64_t call) {
    std::uint64_t value = seed * 3 + kind + call * 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    value ^= value >> 31;
    return static_cast<double>(value >> 11) * 0x1p-53;
}

// The first of the bad pages that the range holds, or the range's end.
PageIndex first_bad(const std::set<PageIndex>& bad, PageRange range) {
    const auto found = bad.lower_bound(range.first);
    return found != bad.end() && range.contains(*found) ? *found : range.end();
}

}  // namespace

void FaultyStore::set_plan(FaultPlan plan) {
    const std::lock_guard guard(lock_);
    plan_ = std::move(plan);
    std::fill(std::begin(calls_), std::end(calls_), 0);
}

std::uint64_t FaultyStore::injected_faults() const {
    const std::lock_guard guard(lock_);
    return injected_faults_;
}

Status FaultyStore::admit(Kind kind, PageRange range) {
    const auto position = static_cast<std::size_t>(kind);
    std::chrono::nanoseconds latency{0};
    Status outcome;
    {
        const std::lock_guard guard(lock_);
        const std::array<const FaultRules*, 3> all_rules{&plan_.reads, &plan_.writes, &plan_.syncs};
        const FaultRules& rules = *all_rules[position];
        const std::uint64_t call = ++calls_[position];
        latency = rules.latency;
        const PageIndex bad = first_bad(rules.pages, range);
        const bool fails = bad != range.end() || (rules.every_kth_call != 0 && call % rules.every_kth_call == 0) ||
                           draw(plan_.seed, position, call) < rules.probability;
        if (fails) {
            ++injected_faults_;
            const std::string place =
                kind == Kind::sync ? "" : " page " + std::to_string(bad != range.end() ? bad : range.first) + " of";
            outcome = fail(ErrorCode::io, std::string("cannot ") + verbs[position] + place + " " + name() +
                                              ": this failure was injected",
                           rules.system_errno);
        }
    }
    if (latency.count() > 0) {
        std::this_thread::sleep_for(latency);
    }
    return outcome;
}

Status FaultyStore::read_pages(PageRange range, std::span<std::byte> bytes) {
    return admit(Kind::read, range).and_then([&] { return inner_.read_pages(range, bytes); });
}

Status FaultyStore::write_pages(PageRange range, std::span<const std::byte> bytes) {
    return admit(Kind::write, range).and_then([&] { return inner_.write_pages(range, bytes); });
}

Status FaultyStore::read_scattered(PageIndex first, std::span<std::byte* const> pages) {
    return admit(Kind::read, {first, pages.size()}).and_then([&] { return inner_.read_scattered(first, pages); });
}

Status FaultyStore::write_gathered(PageIndex first, std::span<const std::byte* const> pages) {
    return admit(Kind::write, {first, pages.size()}).and_then([&] { return inner_.write_gathered(first, pages); });
}

Status FaultyStore::sync() {
    return admit(Kind::sync, {}).and_then([&] { return inner_.sync(); });
}

}  // namespace page_map_lab
