// What a removal is measured on: a page map's remove_contig, or the floor's raw system calls on mappings of the same
// shape.
//
// A target is made for one repetition. Pages [0, pages) are to be removed; one page for each victim follows them. With
// processes, the regions and the victims are in worker processes, each process with all the regions and at most one victim.
//
// Thread safety: the initiator's; victims touch their words only.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bench/workloads/mapped_object.hpp"
#include "bench/workloads/victim.hpp"
#include "bench/workloads/worker_team.hpp"
#include "bench/workloads/worker_victim.hpp"
#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"

namespace page_map_lab::bench {

/// The point of the sweep that a removal is measured at.
struct RemoveShape {
    std::uint64_t pages = 0;
    std::uint64_t dirty_percent = 0;
    std::uint64_t pinned_percent = 0;  ///< pages that somebody holds a reference to, so that they stay
    std::uint64_t regions = 1;
    bool mapped = true;
    bool keep_memory = false;
    unsigned victims = 0;
    unsigned processes = 0;  ///< 0: regions and victims are this process's
    std::uint64_t shootdown_spaces = 10;

    /// Whether `page` is one of the `percent` of pages that are spread evenly.
    static bool chosen(PageIndex page, std::uint64_t percent) {
        return (page + 1) * percent / 100 != page * percent / 100;
    }
    static std::uint64_t count_chosen(std::uint64_t pages, std::uint64_t percent) { return pages * percent / 100; }
    std::uint64_t removable() const { return pages - count_chosen(pages, pinned_percent); }
    std::uint64_t object_pages() const { return pages + victims; }
    PageRange range() const { return {0, pages}; }
};

/// A removal and how long it took.
struct TimedRemoval {
    TimeSpan time;
    RemovalOutcome outcome;
};

/// Virtual, so that the workload is compiled once; the clock is read inside `remove`, so that no virtual call is timed.
class RemoveTarget {
public:
    RemoveTarget() = default;
    RemoveTarget(const RemoveTarget&) = delete;
    RemoveTarget& operator=(const RemoveTarget&) = delete;
    virtual ~RemoveTarget() = default;

    /// Has a victim count in a word of its own, in a page that is not to be removed, until the run is over.
    virtual Status be_a_victim(unsigned victim, TeamMember& member, VictimLog& log) = 0;
    /// Waits until the victims are at work: the start of the run does not mean it. Patient, but not for ever.
    virtual void await_victims() = 0;
    /// How many faults the victims' processes had answered so far; nothing where they are threads of this one.
    virtual std::optional<std::uint64_t> faults_answered() { return std::nullopt; }
    /// Everything resident, mapped in every region, the dirty pages written with a new version, the pinned ones held.
    virtual Status prepare() = 0;
    virtual Result<TimedRemoval> remove(PhaseObserver* observer) = 0;
    /// What is wrong after a removal, or empty. Lets the pinned pages go.
    virtual std::string verify(const RemovalOutcome& outcome) = 0;
    /// What is wrong at the end, or empty: the victims' counts, the map's invariants, whatever leaked.
    virtual std::string finish(const std::vector<std::uint64_t>& iterations) = 0;

protected:
    /// Long enough for what a victim does between the start of the run and its first increment.
    static constexpr auto patience_for_a_victim = std::chrono::milliseconds(1);

    /// A thread's part: increments at `word` between the member's start and stop.
    static Status be_a_victim_at(volatile std::uint64_t* word, TeamMember& member, VictimLog& log) {
        *word = *word;  // a fault here is not the removal's
        const std::uint64_t before = log.iterations;
        log.prepare();
        member.start();
        suffer(log, member, [word](std::uint64_t) { return word; });
        member.stop(log.iterations - before);
        return {};
    }

    /// Calls `removal`, which returns a Result<RemovalOutcome>, under the clock.
    template <class Removal>
    static Result<TimedRemoval> timed(Removal&& removal) {
        const auto started = VictimClock::now();
        Result<RemovalOutcome> outcome = removal();
        const auto removed = VictimClock::now();
        if (!outcome) {
            return tl::unexpected(std::move(outcome.error()));
        }
        return TimedRemoval{{started, removed}, *std::move(outcome)};
    }

    /// What is wrong with the victims' words, which `word(victim)` finds, or empty.
    template <class Word>
    static std::string judge_victims(const std::vector<std::uint64_t>& iterations, Word&& word) {
        for (unsigned victim = 0; victim < iterations.size(); ++victim) {
            if (const std::uint64_t counted = *word(victim); counted != iterations[victim]) {
                return "victim " + std::to_string(victim) + " made " + std::to_string(iterations[victim]) +
                       " increments and memory holds " + std::to_string(counted);
            }
        }
        return {};
    }
};

/// remove_contig on a page map.
template <class Variant>
class MapRemoveTarget final : public RemoveTarget {
public:
    using Object = MappedObject<Variant>;
    using Map = typename Object::Map;
    using Online = typename Object::Online;

    MapRemoveTarget(const RemoveShape& shape, Environment& environment)
        : shape_(shape),
          store_(std::make_shared<MemoryStore>(shape.object_pages(), MemoryStore::Fresh::versioned)),
          workers_(shape.processes),
          object_({shape.object_pages(), shape.object_pages(), shape.keep_memory, shape.shootdown_spaces}, store_,
                  environment) {
        for (unsigned space = 0; space < std::max(1U, shape.processes); ++space) {
            for (std::uint64_t region = 0; region < shape.regions; ++region) {
                auto attached = object_.attach(
                    shape.processes == 0 ? Map::Space::this_process() : workers_.space(space),
                    {.pages = {0, shape.object_pages()}});
                if (!attached) {
                    throw std::runtime_error(attached.error().text());
                }
                regions_.push_back(*attached);
            }
        }
        const PageRange outside{shape.pages, shape.victims};
        Status opened = object_.load(outside);
        if (opened && shape.processes == 0) {
            opened = object_.open(*regions_.front(), outside, Access::write);
        }
        if (!opened) {
            throw std::runtime_error(opened.error().text());
        }
        for (unsigned victim = 0; victim < shape.victims; ++victim) {
            *watched_word(victim) = 0;
        }
    }

    Status be_a_victim(unsigned victim, TeamMember& member, VictimLog& log) override {
        const PageIndex page = shape_.pages + victim;
        if (shape_.processes == 0) {
            return be_a_victim_at(reinterpret_cast<volatile std::uint64_t*>(regions_.front()->address_of(page)), member,
                                  log);
        }
        const auto* const address = regions_[victim * shape_.regions]->address_of(page);
        return stand_by_a_victim(workers_.worker(victim), {reinterpret_cast<std::uint64_t>(address)}, member, log);
    }

    void await_victims() override {
        for (unsigned victim = 0; victim < shape_.victims; ++victim) {
            if (shape_.processes == 0) {
                await_increment(watched_word(victim), patience_for_a_victim);
            } else {
                await_victim(workers_.worker(victim));
            }
        }
    }

    std::optional<std::uint64_t> faults_answered() override {
        return workers_.size() == 0 ? std::nullopt : std::optional(workers_.faults_answered());
    }

    Status prepare() override {
        const Online online;
        ++version_;
        if (Status loaded = object_.load(shape_.range()); !loaded) {
            return loaded;
        }
        if (Status mapped = shape_.processes == 0 ? use_here() : use_in_workers(); !mapped) {
            return mapped;
        }
        for (PageIndex page = 0; page < shape_.pages; ++page) {
            if (shape_.chosen(page, shape_.pinned_percent)) {
                pins_.push_back(object_.map().find(page));
            }
        }
        return {};
    }

    Result<TimedRemoval> remove(PhaseObserver* observer) override {
        const Online online;
        return timed([&] { return object_.map().remove_contig(shape_.range(), observer); });
    }

    std::string verify(const RemovalOutcome& outcome) override {
        const Online online;
        std::string wrong = judge(outcome);
        for (const auto pin : pins_) {
            if (pin) {
                Map::put(pin);
            }
        }
        pins_.clear();
        return wrong;
    }

    std::string finish(const std::vector<std::uint64_t>& iterations) override {
        const Online online;
        if (std::string wrong = judge_victims(iterations, [&](unsigned victim) { return watched_word(victim); });
            !wrong.empty()) {
            return wrong;
        }
        Status sound = object_.map().audit();
        if (sound) {
            sound = object_.retire();
        }
        return sound ? std::string() : sound.error().text();
    }

private:
    /// A worker's part of mapping: it reads every page and writes the dirty ones.
    struct Use {
        std::uint64_t address = 0;
        std::uint64_t pages = 0;
        std::uint64_t dirty_percent = 0;
        std::uint64_t version = 0;
    };
    /// Apart from the victim's: one may be prepared while the other runs.
    struct Board {
        VictimBoard victim;
        Use use;
    };
    static void use_pages(WorkerSide& side) {
        const Use& use = side.blackboard<Board>().use;
        auto* const base = reinterpret_cast<std::byte*>(use.address);  // NOLINT: as its owner mapped it
        for (PageIndex page = 0; page < use.pages; ++page) {
            touch(base + page * page_size);
            if (RemoveShape::chosen(page, use.dirty_percent)) {
                fill_contents({base + page * page_size, page_size}, page, use.version);
            }
        }
    }

    /// The victim's word where its owner can read it at any time.
    volatile std::uint64_t* watched_word(unsigned victim) const {
        return reinterpret_cast<volatile std::uint64_t*>(object_.bytes({shape_.pages + victim, 1}).data());
    }

    Status use_here() {
        for (auto* region : regions_) {
            if (Status opened = shape_.mapped ? object_.open(*region, shape_.range(), Access::read) : Status{};
                !opened) {
                return opened;
            }
        }
        for (PageIndex page = 0; page < shape_.pages; ++page) {
            if (Status written = shape_.chosen(page, shape_.dirty_percent) ? write(page) : Status{}; !written) {
                return written;
            }
        }
        return {};
    }

    /// One region of each worker after the other; the first of all writes.
    Status use_in_workers() {
        for (std::uint64_t region = 0; region < shape_.regions; ++region) {
            for (unsigned worker = 0; worker < workers_.size(); ++worker) {
                const auto* const mapped = regions_[worker * shape_.regions + region];
                workers_.worker(worker).template blackboard<Board>().use = {
                    reinterpret_cast<std::uint64_t>(mapped->base()), shape_.pages,
                    mapped == regions_.front() ? shape_.dirty_percent : 0, version_};
            }
            if (Status used = workers_.run_everywhere(use_pages); !used) {
                return used;
            }
        }
        return {};
    }

    Status write(PageIndex page) {
        if (shape_.mapped) {
            auto& region = *regions_.front();
            if (Status opened = object_.map().fault(region, page, Access::write); !opened) {
                return opened;
            }
            fill_contents({region.address_of(page), page_size}, page, version_);
            return {};
        }
        const auto held = object_.map().load(page);
        if (!held) {
            return tl::unexpected(held.error());
        }
        fill_contents(object_.map().bytes(*held), page, version_);
        object_.map().mark_dirty(*held);
        Map::put(*held);
        return {};
    }

    std::string judge(const RemovalOutcome& outcome) {
        if (outcome.removed != shape_.removable() || outcome.write_failures != 0 || outcome.punch_error) {
            return std::to_string(outcome.removed) + " of " + std::to_string(shape_.removable()) +
                   " removable pages were removed, " + std::to_string(outcome.write_failures) + " could not be written";
        }
        const std::uint64_t left = object_.map().page_count();
        if (left != shape_.object_pages() - shape_.removable()) {
            return "the map counts " + std::to_string(left) + " pages after the removal, and holds " +
                   std::to_string(shape_.object_pages() - shape_.removable());
        }
        for (PageIndex page = 0; page < shape_.pages; ++page) {
            const bool pinned = shape_.chosen(page, shape_.pinned_percent);
            const auto found = object_.map().find(page);
            if (found) {
                Map::put(found);
            }
            if (static_cast<bool>(found) != pinned) {
                return "page " + std::to_string(page) +
                       (pinned ? " is held and was removed" : " was removed and is found");
            }
            if (!pinned && shape_.chosen(page, shape_.dirty_percent) && store_->stored_version(page) != version_) {
                return "the store does not hold what was written last to page " + std::to_string(page);
            }
        }
        for (std::size_t region = 0; region < regions_.size(); ++region) {
            constexpr std::uint64_t probes = 64;
            const auto open = find_spread(shape_.pages, probes, [&](PageIndex page) {
                return !shape_.chosen(page, shape_.pinned_percent) &&
                       is_readable(regions_[region]->address_of(page), regions_[region]->space().process());
            });
            if (open) {
                return "page " + std::to_string(*open) + " was removed and can still be read through region " +
                       std::to_string(region);
            }
        }
        return {};
    }

    const RemoveShape shape_;
    std::shared_ptr<MemoryStore> store_;
    WorkerTeam<typename Map::Machine> workers_;  // outlives the object, whose regions are in their spaces
    Object object_;
    std::vector<typename Object::Region*> regions_;  // those of one space after those of the one before
    std::vector<typename Object::Counted> pins_;
    std::uint64_t version_ = 0;
};

/// The floor: the same pages mapped readable in as many mappings, and closed with one raw call a mapping, or one a
/// page.
class RawRemoveTarget final : public RemoveTarget {
public:
    /// Throws std::runtime_error where the system has no room.
    RawRemoveTarget(const RemoveShape& shape, bool one_call_a_page, Environment& environment)
        : environment_(environment),
          shape_(shape),
          calls_(one_call_a_page ? shape.pages : 1),
          store_(shape.object_pages(), MemoryStore::Fresh::versioned),
          memory_(shape.object_pages()) {
        const auto bytes = memory_.bytes({0, shape.object_pages()});
        environment.place(bytes.data(), bytes.size());
        for (std::uint64_t region = 0; region < shape.regions; ++region) {
            auto base = memory_.map({0, shape.object_pages()}, Sharing::shared);
            if (!base) {
                throw std::runtime_error(base.error().text());
            }
            bases_.push_back(*base);
        }
        Status opened;
        if (shape.victims != 0) {
            opened = protect(bases_.front() + shape.pages * page_size, shape.victims * page_size, Access::write);
        }
        if (!opened) {
            throw std::runtime_error(opened.error().text());
        }
        for (unsigned victim = 0; victim < shape.victims; ++victim) {
            *outside_word(victim) = 0;
        }
    }
    ~RawRemoveTarget() override {
        environment_.forget(memory_.bytes({0, 1}).data());
        for (std::byte* base : bases_) {
            static_cast<void>(ObjectMemory::unmap(base, shape_.object_pages()));
        }
    }

    Status be_a_victim(unsigned victim, TeamMember& member, VictimLog& log) override {
        return be_a_victim_at(outside_word(victim), member, log);
    }

    void await_victims() override {
        for (unsigned victim = 0; victim < shape_.victims; ++victim) {
            await_increment(outside_word(victim), patience_for_a_victim);
        }
    }

    Status prepare() override {
        // Read from a store as a page map's pages are, so that the caches are as cold before the floor's call as before
        // the map's.
        for (PageIndex page = 0; page < shape_.pages; ++page) {
            if (Status read = store_.read_pages({page, 1}, memory_.bytes({page, 1})); !read) {
                return read;
            }
        }
        for (std::byte* base : bases_) {
            if (Status opened = protect(base, shape_.pages * page_size, Access::read); !opened) {
                return opened;
            }
            for (PageIndex page = 0; page < shape_.pages; ++page) {
                touch(base + page * page_size);
            }
        }
        return {};
    }

    Result<TimedRemoval> remove(PhaseObserver*) override {
        return timed([&]() -> Result<RemovalOutcome> {
            RemovalOutcome outcome;
            outcome.removed = shape_.pages;
            const std::size_t bytes = shape_.pages * page_size / calls_;
            for (std::byte* base : bases_) {
                outcome.shootdown += {.pages = shape_.pages, .ranges = calls_, .system_calls = calls_};
                for (std::uint64_t call = 0; call < calls_; ++call) {
                    if (Status closed = protect(base + call * bytes, bytes, Access::none); !closed) {
                        return tl::unexpected(std::move(closed.error()));
                    }
                }
            }
            return outcome;
        });
    }

    std::string verify(const RemovalOutcome&) override {
        for (const std::byte* base : bases_) {
            constexpr std::uint64_t probes = 64;
            if (const auto open = find_spread(shape_.pages, probes,
                                              [&](PageIndex page) { return is_readable(base + page * page_size); })) {
                return "page " + std::to_string(*open) + " can still be read after the raw call";
            }
        }
        return {};
    }

    std::string finish(const std::vector<std::uint64_t>& iterations) override {
        return judge_victims(iterations, [&](unsigned victim) { return outside_word(victim); });
    }

private:
    volatile std::uint64_t* outside_word(unsigned victim) const {
        return reinterpret_cast<volatile std::uint64_t*>(bases_.front() + (shape_.pages + victim) * page_size);
    }

    Environment& environment_;
    const RemoveShape shape_;
    const std::uint64_t calls_;
    MemoryStore store_;
    ObjectMemory memory_;
    std::vector<std::byte*> bases_;
};

}  // namespace page_map_lab::bench
