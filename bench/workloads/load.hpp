// The load workload: bringing pages in from a store, by threads that race for the same pages or load different ones,
// and load_nowait of pages that are there.
//
// One operation is a load (or load_nowait) and a put. A repetition loads fresh maps until the time is up, or goes
// around one that is loaded; making and clearing them is not measured. The store is in memory and counts: exactly one
// read a page, however many threads race.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "bench/harness/digest.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/slot_array.hpp"
#include "impl/page_map/page_map.hpp"
#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

/// An empty map of some variant over a store, with memory for its pages.
template <class Variant>
class MapToLoad {
public:
    using Map = PageMap<Variant>;
    using Thread = typename Map::Thread;

    MapToLoad(std::uint64_t pages, unsigned threads, Store& store, Environment& environment)
        : environment_(environment),
          memory_(pages),
          nodes_(environment.arena_options()),
          descriptors_(environment.arena_options()),
          frames_(pages + threads, descriptors_),  // who loses a race holds a frame meanwhile
          map_({.size_pages = pages, .arena = &nodes_, .frames = &frames_, .store = &store, .memory = &memory_}) {
        const auto bytes = memory_.bytes({0, pages});
        environment.place(bytes.data(), bytes.size());
    }
    ~MapToLoad() {
        environment_.forget(memory_.bytes({0, memory_.size_pages()}).data());
        environment_.observe(nodes_);
        environment_.observe(descriptors_);
        const Thread registration;
        const Status destroyed = map_.destroy();
        page_map_lab::check(destroyed.has_value(), "a map that nobody uses can be destroyed");
    }
    MapToLoad(const MapToLoad&) = delete;
    MapToLoad& operator=(const MapToLoad&) = delete;

    Status load(PageIndex index, unsigned, unsigned) { return put_back(map_.load(index)); }
    Status load_nowait(PageIndex index) { return put_back(map_.load_nowait(index)); }
    static void quiescent() noexcept { Map::ReadPath::quiescent(); }
    std::span<const std::byte> bytes(PageIndex index) const { return memory_.bytes({index, 1}); }
    Status audit() { return map_.audit(); }

private:
    static Status put_back(Result<typename Map::Counted> page) {
        if (!page) [[unlikely]] {
            return tl::unexpected(std::move(page.error()));
        }
        Map::put(*page);
        return {};
    }

    Environment& environment_;
    ObjectMemory memory_;
    NodeArena nodes_;
    NodeArena descriptors_;
    typename Map::Frames frames_;
    Map map_;
};

/// The floor: the store's read into the same kind of memory, and an array of slots in place of a map. Threads that would
/// race for a page take turns instead, so that each page is read once.
class ArrayToLoad {
public:
    struct Thread {
        Thread() {}
        ~Thread() {}  // user-provided, so that one that is only held is no unused variable
    };

    ArrayToLoad(std::uint64_t pages, unsigned, Store& store, Environment& environment)
        : store_(store),
          environment_(environment),
          memory_(pages),
          slots_(pages, environment.arena_options().displacement_lines) {
        const auto bytes = memory_.bytes({0, pages});
        environment.place(bytes.data(), bytes.size());
        environment.place(slots_.memory(), slots_.bytes());
    }
    ~ArrayToLoad() {
        environment_.forget(slots_.memory());
        environment_.forget(memory_.bytes({0, memory_.size_pages()}).data());
    }
    ArrayToLoad(const ArrayToLoad&) = delete;
    ArrayToLoad& operator=(const ArrayToLoad&) = delete;

    Status load(PageIndex index, unsigned thread, unsigned racing) {
        if (index % racing != thread) {
            return {};
        }
        Status read = store_.read_pages({index, 1}, memory_.bytes({index, 1}));
        if (read) {
            slots_.fill(index, index + 1);
        }
        return read;
    }
    Status load_nowait(PageIndex index) {
        const SlotArray::Counted page = slots_.find(index);
        if (!page) [[unlikely]] {
            return fail(ErrorCode::try_again);
        }
        SlotArray::put(page);
        return {};
    }
    static void quiescent() noexcept {}
    std::span<const std::byte> bytes(PageIndex index) const { return memory_.bytes({index, 1}); }
    Status audit() { return {}; }

private:
    Store& store_;
    Environment& environment_;
    ObjectMemory memory_;
    SlotArray slots_;
};

/// What the threads do.
enum class Loading : std::uint8_t { same_pages, different_pages, nowait };

/// One subject's loading at one point of the sweep.
template <class Target>
class LoadCell final : public Cell {
public:
    explicit LoadCell(const Parameters& parameters)
        : threads_(static_cast<unsigned>(parameters.number("threads"))),
          pages_(parameters.number("pages")),
          loading_(parameters.text("race") == "same"        ? Loading::same_pages
                   : parameters.text("race") == "different" ? Loading::different_pages
                                                            : Loading::nowait) {}

    Footprint footprint() const override {
        constexpr std::uint64_t bytes_per_page = page_size + 64 + 10 + 16;
        return {"", pages_ * bytes_per_page};
    }

    Status set_up(Environment&) override {
        store_.emplace(pages_, MemoryStore::Fresh::versioned);
        return {};
    }

    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned) override {
        Sample sample;
        std::uint64_t rounds = 0;
        const auto time_bound =
            loading_ == Loading::nowait ? environment.minimum_time : std::chrono::nanoseconds::zero();
        store_->reset_counts();
        for (std::uint64_t spent_ns = 0; spent_ns < static_cast<std::uint64_t>(environment.minimum_time.count());
             ++rounds) {
            Target target(pages_, threads_, *store_, environment);
            if (loading_ == Loading::nowait) {
                if (const Status ready = load_all(target); !ready) {
                    return tl::unexpected(ready.error());
                }
            }
            auto reports =
                team.run({{"loader", threads_}}, time_bound, [&](TeamMember& member) { return run(target, member); });
            if (!reports) {
                return tl::unexpected(reports.error());
            }
            spent_ns += std::max<std::uint64_t>(1, reports->front().duration_ns);
            add_run(sample.threads, *std::move(reports));
            hold_against_store(target, rounds + 1);
        }
        sample.score = ns_per_operation(sample.threads, "loader");
        sample.metrics = {{"operations_per_second", operations_per_second(sample.threads, "loader"), {}},
                          {"fairness", fairness(sample.threads, "loader"), {}},
                          {"store_reads_per_page",
                           static_cast<double>(store_->total_reads()) / static_cast<double>(pages_ * rounds),
                           {}}};
        return sample;
    }

    CheckOutcome check(Environment&) override {
        Digest digest;
        digest.add(pages_);
        return {problem_.empty(), digest.text(), problem_};
    }

private:
    Status load_all(Target& target) {
        const typename Target::Thread registration;
        for (PageIndex index = 0; index < pages_; ++index) {
            const Status early = target.load_nowait(index);
            if (early || early.error().code != ErrorCode::try_again) {
                note("load_nowait of page " + std::to_string(index) + ", which is absent, does not say try_again");
            }
            if (const Status loaded = target.load(index, 0, 1); !loaded) {
                return loaded;
            }
        }
        return {};
    }

    Status run(Target& target, TeamMember& member) {
        const typename Target::Thread registration;
        return loading_ == Loading::nowait ? take_what_is_there(target, member) : load_once(target, member);
    }

    /// Each page once: all of them against the other threads, or this thread's share.
    Status load_once(Target& target, TeamMember& member) {
        const bool apart = loading_ == Loading::different_pages;
        const PageIndex first = apart ? pages_ * member.index() / threads_ : 0;
        const PageIndex last = apart ? pages_ * (member.index() + 1) / threads_ : pages_;
        const unsigned thread = apart ? 0 : member.index();
        const unsigned racing = apart ? 1 : threads_;
        Status status;
        member.start();
        for (PageIndex index = first; index != last && status; ++index) {
            status = target.load(index, thread, racing);
            if (index % 1024 == 0) {
                Target::quiescent();
            }
        }
        member.stop(last - first);
        return status;
    }

    /// Pages that are loaded already, around and around until the time is up.
    Status take_what_is_there(Target& target, TeamMember& member) {
        Status status;
        std::uint64_t operations = 0;
        member.start();
        do {
            for (PageIndex index = 0; index != pages_ && status; ++index) {
                status = target.load_nowait(index);
            }
            operations += pages_;
            Target::quiescent();
        } while (status && !member.stopping());
        member.stop(operations);
        return status;
    }

    void hold_against_store(Target& target, std::uint64_t rounds) {
        for (PageIndex index = 0; index < pages_ && problem_.empty(); ++index) {
            if (const std::uint64_t reads = store_->reads_of(index); reads != rounds) {
                note("page " + std::to_string(index) + " was read " + std::to_string(reads) + " times in " +
                     std::to_string(rounds) + " rounds");
            }
            if (const auto place = find_mismatch(target.bytes(index), index, 0)) {
                note("byte " + std::to_string(*place) + " of page " + std::to_string(index) + " is not the store's");
            }
        }
        const typename Target::Thread registration;
        if (const Status sound = target.audit(); !sound) {
            note(sound.error().text());
        }
    }

    void note(const std::string& problem) {
        if (problem_.empty()) {
            problem_ = problem;
        }
    }

    const unsigned threads_;
    const std::uint64_t pages_;
    const Loading loading_;
    std::optional<MemoryStore> store_;
    std::string problem_;
};

/// What the load workload asks, without subjects.
inline WorkloadDescription load_question() {
    return {.name = "load",
            .question = "What does bringing a page in cost, alone and in a race?",
            .parameters = {ParameterAxis::numbers("pages", {1024}, {4096, 65536}, 1, std::uint64_t{1} << 26),
                           ParameterAxis::words("race", {"same", "different", "nowait"}), ParameterAxis::threads()},
            .score = {.metric = "ns_per_operation", .unit = "ns"},
            .possible = a_page_for_each_thread};
}

}  // namespace page_map_lab::bench
