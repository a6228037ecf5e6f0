// The lookup workload: find + put of resident pages, against an array that does the same compare-and-swap and
// subtraction.
//
// Each thread runs over keys that were computed before; the loop does find and put and adds up the frames it saw, which
// the check holds against what the keys owe. Variant and floor run the same loop over the same keys.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/key_pattern.hpp"
#include "bench/harness/planted.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/resident.hpp"

namespace page_map_lab::bench {

/// What a thread did in its loop.
struct LookupTotals {
    std::uint64_t operations = 0;
    std::uint64_t frames_sum = 0;
};

/// The measured loop: blocks of keys from `position` on, around and around, until the run is over. Between two blocks
/// the thread says that it is in no read section and looks whether to stop.
///
/// Flattened, so that find and put are part of the loop for every subject, and not for the small ones alone: a call's
/// return address would have to leave the store buffer before each locked instruction, which costs a tenth here.
template <class Resident>
[[gnu::noinline, gnu::flatten]] LookupTotals look_up(Resident& resident, std::span<const PageIndex> keys, std::size_t position,
                                       const TeamMember& member) {
    constexpr std::size_t block_keys = 1024;
    LookupTotals totals;
    do {
        const std::size_t end = std::min(position + block_keys, keys.size());
        totals.operations += end - position;
        for (; position != end; ++position) {
            if (const auto page = resident.find(keys[position])) {
                totals.frames_sum += page.frame;
                Resident::put(page);
            }
        }
        position = position == keys.size() ? 0 : position;
        Resident::quiescent();
    } while (!member.stopping());
    return totals;
}

/// One subject's lookups at one point of the sweep. `Resident` is one of resident.hpp's fixtures, or a broken one in
/// the tests of the check.
template <class Resident>
class LookupCell final : public Cell {
public:
    LookupCell(std::string subject, const Parameters& parameters)
        : subject_(std::move(subject)),
          threads_(static_cast<unsigned>(parameters.number("threads"))),
          misses_(parameters.text("access") == "miss"),
          slices_(parameters.text("sharing") == "slices"),
          shape_{parameters.number("pages"), misses_ ? std::uint64_t{2} : std::uint64_t{1}},
          pattern_(*parse_key_pattern(parameters.text("pattern"))) {
        if (parameters.has(planted_parameter)) {
            planted_percent_ = parameters.number(planted_parameter);
        }
    }

    Footprint footprint() const override { return {fixture_name(), Resident::footprint_bytes(shape_)}; }

    Status set_up(Environment& environment) override {
        auto resident = environment.fixture<Resident>(fixture_name(), [&]() -> Result<std::shared_ptr<Resident>> {
            return std::make_shared<Resident>(shape_, environment);
        });
        if (!resident) {
            return tl::unexpected(resident.error());
        }
        resident_ = *std::move(resident);
        for (unsigned thread = 0; thread < threads_; ++thread) {
            keys_.push_back(keys_of(thread, environment));
            frames_owed_by_pass_.push_back(frames_owed(*keys_.back(), 0, keys_.back()->size()));
        }
        return {};
    }

    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned) override {
        auto reports = team.run({{"reader", threads_}}, environment.minimum_time, [&](TeamMember& member) -> Status {
            const typename Resident::Thread registration;
            const std::vector<PageIndex>& keys = *keys_[member.index()];
            // Threads that share one sequence start far apart in it.
            const std::size_t first = slices_ ? 0 : keys.size() / threads_ * member.index();
            warm_up(keys, first);
            member.start();
            const LookupTotals totals = look_up(*resident_, keys, first, member);
            member.stop(counted(totals.operations));
            check_totals(member.index(), totals, first);
            return {};
        });
        if (!reports) {
            return tl::unexpected(reports.error());
        }
        Sample sample;
        sample.score = ns_per_operation(*reports, "reader");
        sample.metrics = {{"operations_per_second", operations_per_second(*reports, "reader"), {}},
                          {"fairness", fairness(*reports, "reader"), {}}};
        sample.threads = *std::move(reports);
        return sample;
    }

    std::vector<Metric> metrics() const override {
        if (shape_.stride != 1) {
            return {
                {"bytes_per_page", std::nullopt, "every second page is absent, so that there is something to miss"}};
        }
        return {resident_->bytes_per_page()};
    }

    /// Every page is found, at its frame, and nobody's reference is left; and so was every lookup that was measured.
    CheckOutcome check(Environment&) override {
        // relaxed: the threads that counted have reported since.
        if (const std::uint64_t wrong = wrong_runs_.load(std::memory_order_relaxed); wrong != 0) {
            return {false, "", std::to_string(wrong) + " threads saw frames that their keys do not owe"};
        }
        Digest digest;
        {
            const typename Resident::Thread registration;
            for (PageIndex index = 0; index < shape_.indexes(); ++index) {
                const FrameNumber owed = resident_->expected_frame(index);
                const auto page = resident_->find(index);
                const FrameNumber found = page ? page.frame : 0;
                const std::uint64_t references = page ? Resident::references(page) : 0;
                if (page) {
                    Resident::put(page);
                }
                if (found != owed || references != (page ? 1U : 0U)) {
                    return {false, "",
                            "page " + std::to_string(index) + " is at frame " + std::to_string(found) + " with " +
                                std::to_string(references) + " references; it is owed frame " + std::to_string(owed)};
                }
                digest.add(found);
                if (index % 1024 == 0) {
                    Resident::quiescent();
                }
            }
        }
        if (const Status sound = resident_->audit(); !sound) {
            return {false, digest.text(), sound.error().text()};
        }
        return {true, digest.text(), ""};
    }

private:
    using Keys = std::vector<PageIndex>;

    std::string fixture_name() const {
        const std::string twin = planted_percent_ ? "/planted:" + std::to_string(*planted_percent_) : "";
        return "resident/" + subject_ + "/" + std::to_string(shape_.pages) + "/" + std::to_string(shape_.stride) + twin;
    }

    /// The operations that count of those that were done: a planted slowdown is work that does not.
    std::uint64_t counted(std::uint64_t done) const { return done * 100 / (100 + planted_percent_.value_or(0)); }

    /// The keys of one thread: of its slice of the pages, or all threads' own. Shared by every subject.
    std::shared_ptr<const Keys> keys_of(unsigned thread, Environment& environment) const {
        const PageRange range =
            slices_ ? PageRange{shape_.pages * thread / threads_,
                                shape_.pages * (thread + 1) / threads_ - shape_.pages * thread / threads_}
                    : PageRange{0, shape_.pages};
        const std::string name = "keys/" + std::string(to_string(pattern_)) + "/" + std::to_string(range.first) + "/" +
                                 std::to_string(range.count) + (misses_ ? "/misses" : "/hits") +
                                 (planted_percent_.value_or(0) != 0 ? "/" + std::to_string(*planted_percent_) : "");
        return *environment.fixture<Keys>(name, [&]() -> Result<std::shared_ptr<Keys>> {
            auto keys =
                std::make_shared<Keys>(make_keys(pattern_, range, advised_key_count(range.count), environment.seed));
            for (PageIndex& key : *keys) {
                key = key * shape_.stride + (misses_ ? 1 : 0);
            }
            return with_planted(std::move(keys));
        });
    }

    /// After each hundred keys, as many more as are planted: from half a round further on, so that they are as cold.
    std::shared_ptr<Keys> with_planted(std::shared_ptr<Keys> keys) const {
        if (planted_percent_.value_or(0) == 0) {
            return keys;
        }
        auto planted = std::make_shared<Keys>();
        planted->reserve(keys->size() + keys->size() / 100 * *planted_percent_);
        for (std::size_t position = 0; position < keys->size(); ++position) {
            planted->push_back((*keys)[position]);
            for (std::uint64_t more = 0; position % 100 == 99 && more < *planted_percent_; ++more) {
                planted->push_back((*keys)[(position + keys->size() / 2 + more) % keys->size()]);
            }
        }
        return planted;
    }

    std::uint64_t frames_owed(const Keys& keys, std::size_t first, std::size_t last) const {
        std::uint64_t sum = 0;
        for (std::size_t position = first; position < last; ++position) {
            sum += resident_->expected_frame(keys[position]);
        }
        return sum;
    }

    void warm_up(const Keys& keys, std::size_t first) {
        constexpr std::size_t at_most = std::size_t{1} << 16;
        for (std::size_t step = 0; step < std::min(at_most, keys.size()); ++step) {
            if (const auto page = resident_->find(keys[(first + step) % keys.size()])) {
                Resident::put(page);
            }
        }
        Resident::quiescent();
    }

    /// Holds what a thread saw against what its keys owe: whole passes, and the part of one around the start.
    void check_totals(unsigned thread, LookupTotals totals, std::size_t first) {
        const Keys& keys = *keys_[thread];
        const std::size_t rest = static_cast<std::size_t>(totals.operations % keys.size());
        std::uint64_t owed = totals.operations / keys.size() * frames_owed_by_pass_[thread];
        owed += frames_owed(keys, first, std::min(first + rest, keys.size()));
        if (first + rest > keys.size()) {
            owed += frames_owed(keys, 0, first + rest - keys.size());
        }
        if (owed != totals.frames_sum) {
            // relaxed: read after the threads have reported.
            wrong_runs_.fetch_add(1, std::memory_order_relaxed);
        }
    }

    const std::string subject_;
    const unsigned threads_;
    const bool misses_;
    const bool slices_;
    const ResidentPages shape_;
    const KeyPattern pattern_;
    std::optional<std::uint64_t> planted_percent_;  // of a planted twin
    std::shared_ptr<Resident> resident_;
    std::vector<std::shared_ptr<const Keys>> keys_;
    std::vector<std::uint64_t> frames_owed_by_pass_;
    std::atomic<std::uint64_t> wrong_runs_{0};
};

/// What the lookup workload asks, without subjects.
inline WorkloadDescription lookup_question() {
    return {.name = "lookup",
            .question = "What does finding a resident page and putting it back cost?",
            .parameters = {ParameterAxis::numbers("pages", {4096}, {4096, 262144, 4194304}, 1, std::uint64_t{1} << 31),
                           ParameterAxis::words("pattern", key_pattern_names()),
                           ParameterAxis::option("access", {"hit", "miss"}),
                           ParameterAxis::option("sharing", {"all", "slices"}), ParameterAxis::threads()},
            .variations = {{{"access", "miss"}, {"pattern", "uniform"}}, {{"sharing", "slices"}, {"pattern", "uniform"}}},
            .score = {.metric = "ns_per_operation", .unit = "ns"},
            .plants = true,
            .possible = a_page_for_each_thread};
}

}  // namespace page_map_lab::bench
