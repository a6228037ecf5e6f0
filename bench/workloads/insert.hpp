// The insert workload: populating an empty map, each thread its own pages, in ascending or random order.
//
// One operation takes a frame, inserts it at a page and puts the reference. A repetition populates fresh maps until the
// time is up; making and clearing them is not measured.
//
// Thread safety: the harness calls one cell at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "bench/harness/digest.hpp"
#include "bench/harness/workload.hpp"
#include "bench/workloads/slot_array.hpp"
#include "impl/page_map/page_map.hpp"

namespace page_map_lab::bench {

/// An empty map of some variant, and frames to put into it. No page has memory.
template <class Variant>
class MapToPopulate {
public:
    using Map = PageMap<Variant>;
    using Thread = typename Map::Thread;

    MapToPopulate(std::uint64_t pages, Environment& environment)
        : environment_(environment),
          nodes_(environment.arena_options()),
          descriptors_(environment.arena_options()),
          frames_(pages, descriptors_),
          map_({.size_pages = pages, .arena = &nodes_, .frames = &frames_}) {}
    ~MapToPopulate() {
        environment_.observe(nodes_);
        environment_.observe(descriptors_);
        const Thread registration;
        const Status destroyed = map_.destroy();
        page_map_lab::check(destroyed.has_value(), "a map that nobody uses can be destroyed");
    }
    MapToPopulate(const MapToPopulate&) = delete;
    MapToPopulate& operator=(const MapToPopulate&) = delete;

    Status insert(PageIndex index) {
        const auto inserted = map_.insert(index, frames_.allocate());
        if (!inserted) [[unlikely]] {
            return tl::unexpected(inserted.error());
        }
        Map::put(*inserted);
        return {};
    }
    static void quiescent() noexcept { Map::ReadPath::quiescent(); }

    FrameNumber frame_at(PageIndex index) {
        const auto page = map_.find(index);
        if (page) {
            Map::put(page);
        }
        return page ? page.frame : 0;
    }
    Status audit() { return map_.audit(); }
    std::uint64_t page_count() { return map_.page_count(); }

private:
    Environment& environment_;
    NodeArena nodes_;
    NodeArena descriptors_;
    typename Map::Frames frames_;
    Map map_;
};

/// The floor: the same frames, stored into an array under no lock.
class ArrayToPopulate {
public:
    struct Thread {
        Thread() {}
        ~Thread() {}  // user-provided, so that one that is only held is no unused variable
    };

    /// Throws std::runtime_error where the memory cannot be had as --memory says.
    ArrayToPopulate(std::uint64_t pages, Environment& environment)
        : pages_(pages),
          environment_(environment),
          descriptors_(environment.arena_options()),
          frames_(pages, descriptors_),
          slots_(pages, descriptors_.displacement_lines()) {
        environment.place(slots_.memory(), slots_.bytes());
    }
    ~ArrayToPopulate() {
        environment_.forget(slots_.memory());
        environment_.observe(descriptors_);
    }
    ArrayToPopulate(const ArrayToPopulate&) = delete;
    ArrayToPopulate& operator=(const ArrayToPopulate&) = delete;

    Status insert(PageIndex index) {
        const FrameNumber frame = frames_.allocate();
        frames_[frame].index = index;
        slots_.fill(index, frame);
        return {};
    }
    static void quiescent() noexcept {}

    FrameNumber frame_at(PageIndex index) {
        const auto page = slots_.find(index);
        if (page) {
            SlotArray::put(page);
        }
        return page ? page.frame : 0;
    }
    Status audit() { return {}; }
    std::uint64_t page_count() {
        std::uint64_t count = 0;
        for (PageIndex index = 0; index < pages_; ++index) {
            count += frame_at(index) != 0 ? 1 : 0;
        }
        return count;
    }

private:
    std::uint64_t pages_;
    Environment& environment_;
    NodeArena descriptors_;
    FrameTable<RealMachine> frames_;
    SlotArray slots_;
};

/// One subject's populating at one point of the sweep.
template <class Target>
class InsertCell final : public Cell {
public:
    explicit InsertCell(const Parameters& parameters)
        : threads_(static_cast<unsigned>(parameters.number("threads"))),
          pages_(parameters.number("pages")),
          shuffled_(parameters.text("order") == "shuffled") {}

    Footprint footprint() const override {
        constexpr std::uint64_t bytes_per_page = 64 + 10 + sizeof(PageIndex);
        return {"", pages_ * bytes_per_page};
    }

    Status set_up(Environment& environment) override {
        order_.resize(pages_);
        std::iota(order_.begin(), order_.end(), PageIndex{0});
        if (shuffled_) {
            std::mt19937_64 random(environment.seed);
            std::shuffle(order_.begin(), order_.end(), random);
        }
        return {};
    }

    Result<Sample> measure(Environment& environment, ThreadTeam& team, unsigned) override {
        Sample sample;
        for (std::uint64_t spent_ns = 0; spent_ns < static_cast<std::uint64_t>(environment.minimum_time.count());) {
            Target target(pages_, environment);
            auto reports =
                team.run({{"writer", threads_}}, {}, [&](TeamMember& member) { return populate(target, member); });
            if (!reports) {
                return tl::unexpected(reports.error());
            }
            spent_ns += std::max<std::uint64_t>(1, reports->front().duration_ns);
            add_run(sample.threads, *std::move(reports));
            hold_against_order(target);
        }
        sample.score = ns_per_operation(sample.threads, "writer");
        sample.metrics = {{"operations_per_second", operations_per_second(sample.threads, "writer"), {}},
                          {"fairness", fairness(sample.threads, "writer"), {}}};
        return sample;
    }

    CheckOutcome check(Environment&) override {
        Digest digest;
        digest.add(pages_);
        return {problem_.empty(), digest.text(), problem_};
    }

private:
    Status populate(Target& target, TeamMember& member) {
        const typename Target::Thread registration;
        const std::size_t first = order_.size() * member.index() / threads_;
        const std::size_t last = order_.size() * (member.index() + 1) / threads_;
        Status status;
        member.start();
        for (std::size_t position = first; position != last && status; ++position) {
            status = target.insert(order_[position]);
            if (position % 1024 == 0) {
                Target::quiescent();
            }
        }
        member.stop(last - first);
        return status;
    }

    /// Every page is there, each at a frame of its own, and the map agrees with itself.
    void hold_against_order(Target& target) {
        const typename Target::Thread registration;
        std::vector<bool> seen(pages_ + 1);
        for (PageIndex index = 0; index < pages_ && problem_.empty(); ++index) {
            const FrameNumber frame = target.frame_at(index);
            if (frame == 0 || frame > pages_ || seen[frame]) {
                problem_ = "page " + std::to_string(index) + " was inserted and is at frame " + std::to_string(frame) +
                           (frame == 0 ? ": it is not there" : ", which is another page's");
                return;
            }
            seen[frame] = true;
        }
        if (const std::uint64_t count = target.page_count(); count != pages_ && problem_.empty()) {
            problem_ = std::to_string(count) + " pages are counted, " + std::to_string(pages_) + " were inserted";
        }
        if (const Status sound = target.audit(); !sound && problem_.empty()) {
            problem_ = sound.error().text();
        }
    }

    const unsigned threads_;
    const std::uint64_t pages_;
    const bool shuffled_;
    std::vector<PageIndex> order_;
    std::string problem_;
};

/// What the insert workload asks, without subjects.
inline WorkloadDescription insert_question() {
    return {.name = "insert",
            .question = "What does populating an empty map cost?",
            .parameters = {ParameterAxis::numbers("pages", {4096}, {4096, 262144}, 1, std::uint64_t{1} << 31),
                           ParameterAxis::words("order", {"ascending", "shuffled"}), ParameterAxis::threads()},
            .score = {.metric = "ns_per_operation", .unit = "ns"},
            .possible = a_page_for_each_thread};
}

}  // namespace page_map_lab::bench
