// What a trace is replayed on: a page map with fewer frames than the trace has pages, over a real file.
//
// Only the copying of bytes in and out, with the load and put or the faults that it takes, is timed; making what is
// written and checking what was read stand between two operations, outside the clock. Each page that an operation
// touches costs two readings of the steady clock, about 50 ns, that are in the operation's time.
//
// Virtual, so that the workload is compiled once; a whole replay is one call, its loop one instantiation.
//
// Thread safety: none; one thread replays.
// Invariant: `expected` holds what the file owes: every byte read is compared with it, and the whole file afterwards.
#pragma once

#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/harness/thread_team.hpp"
#include "bench/workloads/mapped_object.hpp"
#include "bench/workloads/replay_file.hpp"
#include "bench/workloads/sweeping_evictor.hpp"
#include "impl/store/trace.hpp"

namespace page_map_lab::bench {

struct ReplayShape {
    std::uint64_t frames = 0;
    std::uint64_t run_pages = 0;  ///< how many pages an eviction asks for
    bool mapping = false;         ///< through a region; otherwise through load and put
    bool durable = false;         ///< a sync of the trace waits for the disk, too
};

/// What a replay saw.
struct ReplayLog {
    std::uint64_t time_ns = 0;
    LatencyHistogram reads;
    LatencyHistogram writes;
    LatencyHistogram syncs;
    std::string wrong;  ///< the first read that returned something else than was written last
};

class ReplayTarget {
public:
    ReplayTarget() = default;
    ReplayTarget(const ReplayTarget&) = delete;
    ReplayTarget& operator=(const ReplayTarget&) = delete;
    virtual ~ReplayTarget() = default;

    virtual Status prepare() = 0;
    /// A member's whole body: replays the trace once. Errors: the map's and the store's.
    virtual Status replay(TeamMember& member, ReplayLog& log) = 0;
    virtual std::uint64_t pages_read() const = 0;
    virtual EvictionTotals evictions() = 0;
    /// Writes everything back, empties the map and compares the whole file. What is wrong, or empty.
    virtual std::string settle() = 0;
    /// What is wrong at the end, or empty.
    virtual std::string finish() = 0;
    /// The bytes the file owes now.
    virtual std::span<const std::byte> expected() const = 0;
};

template <class Variant>
class MapReplayTarget final : public ReplayTarget {
public:
    using Object = MappedObject<Variant>;
    using Map = typename Object::Map;
    using Online = typename Object::Online;

    /// Throws std::runtime_error where the system has no room.
    MapReplayTarget(const ReplayShape& shape, std::shared_ptr<const Trace> trace, std::shared_ptr<ReplayFile> file,
                    Environment& environment)
        : shape_(shape),
          trace_(std::move(trace)),
          file_(std::move(file)),
          evictor_(std::make_shared<SweepingEvictor<Map>>(trace_->total_pages(), shape.run_pages)),
          object_({trace_->total_pages(), shape.frames}, file_, environment,
                  [evictor = evictor_] { return (*evictor)(); }),
          expected_(trace_->total_pages() * page_size) {
        evictor_->serve(object_.map(), object_.frames());
        for (PageIndex page = 0; page < trace_->total_pages(); ++page) {
            fill_contents(std::span(expected_).subspan(page * page_size, page_size), page, 0);
        }
    }

    Status prepare() override {
        if (!shape_.mapping) {
            return {};
        }
        const auto attached = object_.attach({.pages = {0, trace_->total_pages()}});
        if (!attached) {
            return tl::unexpected(attached.error());
        }
        region_ = *attached;
        return {};
    }

    Status replay(TeamMember& member, ReplayLog& log) override {
        const typename Map::Thread registration;
        return shape_.mapping
                   ? replay_by(member, log, [&](PageIndex page, auto&& use) { return by_mapping(page, use); })
                   : replay_by(member, log, [&](PageIndex page, auto&& use) { return by_load(page, use); });
    }

    std::uint64_t pages_read() const override { return file_->pages_read(); }
    EvictionTotals evictions() override { return evictor_->totals(); }
    std::span<const std::byte> expected() const override { return expected_; }

    std::string settle() override {
        const Online online;
        if (Status detached = object_.detach(); !detached) {
            return detached.error().text();
        }
        object_.observe();  // nothing is left of it after this
        const PageRange all{0, trace_->total_pages()};
        const auto removed = object_.map().remove_contig(all);
        if (!removed || removed->write_error || object_.map().page_count() != 0) {
            return !removed                ? removed.error().text()
                   : removed->write_error ? removed->write_error->text()
                                          : std::to_string(object_.map().page_count()) + " pages stayed in the map";
        }
        if (std::string failure = evictor_->failure(); !failure.empty()) {
            return failure;
        }
        std::vector<std::byte> bytes(page_size);
        for (PageIndex page = 0; page < all.count; ++page) {
            if (Status read = file_->read_pages({page, 1}, bytes); !read) {
                return read.error().text();
            }
            if (std::memcmp(bytes.data(), expected_.data() + page * page_size, page_size) != 0) {
                return "the file does not hold what was written last to page " + std::to_string(page);
            }
        }
        return {};
    }

    std::string finish() override {
        const Online online;
        Status sound = object_.map().audit();
        if (sound) {
            sound = object_.retire();
        }
        return sound ? std::string() : sound.error().text();
    }

private:
    using Clock = std::chrono::steady_clock;

    /// Calls `use(bytes of the page, whether it was changed through a reference)`.
    template <class Use>
    Status by_load(PageIndex index, Use&& use) {
        const auto page = object_.map().load(index);
        if (!page) {
            return tl::unexpected(page.error());
        }
        if (use(object_.map().bytes(*page).data())) {
            object_.map().mark_dirty(*page);
        }
        Map::put(*page);
        return {};
    }
    template <class Use>
    Status by_mapping(PageIndex index, Use&& use) {
        use(region_->address_of(index));
        return {};
    }

    template <class With>
    [[gnu::noinline]] Status replay_by(TeamMember& member, ReplayLog& log, With&& with) {
        Status outcome;
        member.start();
        for (const TraceOperation& operation : trace_->operations()) {
            ++sequence_;
            std::uint64_t time_ns = 0;
            if (operation.kind == TraceOperation::Kind::sync) {
                outcome = timed(time_ns, [&] { return sync(operation); });
                log.syncs.record(time_ns);
            } else {
                for_each_page(operation, [&](const TracePageAccess& access) {
                    if (outcome) {
                        outcome = operation.kind == TraceOperation::Kind::read ? read(access, with, time_ns, log)
                                                                               : write(access, with, time_ns);
                    }
                });
                (operation.kind == TraceOperation::Kind::read ? log.reads : log.writes).record(time_ns);
            }
            log.time_ns += time_ns;
            if (!outcome) {
                break;
            }
            Map::ReadPath::quiescent();
        }
        member.stop(trace_->operations().size());
        return outcome;
    }

    template <class With>
    Status read(const TracePageAccess& access, With& with, std::uint64_t& time_ns, ReplayLog& log) {
        const PageIndex page = trace_->page_in_object(access);
        Status outcome = timed(time_ns, [&] {
            return with(page, [&](const std::byte* bytes) {
                std::memcpy(bytes_, bytes + access.first_byte, access.byte_count);
                return false;
            });
        });
        if (outcome && std::memcmp(bytes_, owed(page, access), access.byte_count) != 0 && log.wrong.empty()) {
            log.wrong = "operation " + std::to_string(sequence_) + " read from page " + std::to_string(page) +
                        " something else than was written last";
        }
        return outcome;
    }

    template <class With>
    Status write(const TracePageAccess& access, With& with, std::uint64_t& time_ns) {
        const PageIndex page = trace_->page_in_object(access);
        fill_contents(std::span(bytes_, access.byte_count), page, sequence_, access.first_byte);
        std::memcpy(owed(page, access), bytes_, access.byte_count);
        return timed(time_ns, [&] {
            return with(page, [&](std::byte* bytes) {
                std::memcpy(bytes + access.first_byte, bytes_, access.byte_count);
                return true;
            });
        });
    }

    Status sync(const TraceOperation& operation) {
        const TraceFile& file = trace_->files()[operation.file];
        const auto written = object_.map().writeback({file.first_page, file.size_pages});
        if (!written) {
            return tl::unexpected(written.error());
        }
        if (written->write_error) {
            return tl::unexpected(*written->write_error);
        }
        return shape_.durable ? file_->sync() : Status{};
    }

    template <class Work>
    static Status timed(std::uint64_t& sum_ns, Work&& work) {
        const auto started = Clock::now();
        Status outcome = work();
        sum_ns += static_cast<std::uint64_t>(std::chrono::nanoseconds(Clock::now() - started).count());
        return outcome;
    }

    std::byte* owed(PageIndex page, const TracePageAccess& access) {
        return expected_.data() + page * page_size + access.first_byte;
    }

    const ReplayShape shape_;
    std::shared_ptr<const Trace> trace_;
    std::shared_ptr<ReplayFile> file_;
    std::shared_ptr<SweepingEvictor<Map>> evictor_;
    Object object_;
    std::vector<std::byte> expected_;
    typename Object::Region* region_ = nullptr;
    std::uint64_t sequence_ =
        0;  ///< goes on from replay to replay, so that an old write is never mistaken for a new one
    std::byte bytes_[page_size];
};

}  // namespace page_map_lab::bench
