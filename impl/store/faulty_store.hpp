// A wrapper that makes another store fail and wait on purpose.
//
// Thread safety: any number of threads; a plan that is set while calls run counts for the calls that start later.
// Invariants: a call that is failed does not reach the inner store; the same plan and order of calls fail the same
// calls.
#pragma once

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <set>

#include "impl/store/store.hpp"

namespace page_map_lab {

/// Which calls of one kind fail, and how long each takes. A call fails where any of the three rules says so.
struct FaultRules {
    std::set<PageIndex> pages;         // every call that touches one of these pages
    std::uint64_t every_kth_call = 0;  // calls k, 2k, 3k ... since the plan was set; 0 for none
    double probability = 0.0;          // of each call, drawn from the plan's seed
    int system_errno = EIO;            // what the failing call reports
    std::chrono::nanoseconds latency{0};
};

struct FaultPlan {
    FaultRules reads;
    FaultRules writes;
    FaultRules syncs;  // its pages are not used
    std::uint64_t seed = 0;
};

class FaultyStore final : public Store {
public:
    /// `inner` must outlive this wrapper.
    explicit FaultyStore(Store& inner, FaultPlan plan = {}) : inner_(inner), plan_(std::move(plan)) {}

    /// Replaces the plan and starts the counting of calls anew; an empty plan heals the store.
    void set_plan(FaultPlan plan);

    /// How many calls were failed since the start.
    std::uint64_t injected_faults() const;

    Status read_pages(PageRange range, std::span<std::byte> bytes) override;
    Status write_pages(PageRange range, std::span<const std::byte> bytes) override;
    Status read_scattered(PageIndex first, std::span<std::byte* const> pages) override;
    Status write_gathered(PageIndex first, std::span<const std::byte* const> pages) override;
    Status sync() override;
    std::uint64_t size_pages() const override { return inner_.size_pages(); }
    std::string name() const override { return inner_.name(); }

private:
    enum class Kind : std::uint8_t { read, write, sync };

    /// Waits as long as the plan says, then fails or lets the call pass.
    Status admit(Kind kind, PageRange range);

    Store& inner_;
    mutable std::mutex lock_;  // guards what follows
    FaultPlan plan_;
    std::uint64_t calls_[3] = {0, 0, 0};
    std::uint64_t injected_faults_ = 0;
};

}  // namespace page_map_lab
