#include "tests/linearise/recorded_map.hpp"

#include <array>
#include <barrier>
#include <optional>
#include <random>
#include <thread>

#include "impl/store/memory_store.hpp"

namespace page_map_lab::linearise {
namespace {

constexpr std::uint64_t object_pages = 8192;
constexpr std::array<PageIndex, 4> pages{0, 1, 64, 5000};

/// The first word of a page, which is its value. Threads write it under references of their own, at once.
std::atomic_ref<std::uint64_t> value_of(AnyPageMap& map, AnyCounted page) {
    return std::atomic_ref(*reinterpret_cast<std::uint64_t*>(map.bytes(page).data()));
}

/// Calls the map for one thread, and keeps what it answered.
class RecordingThread {
public:
    RecordingThread(AnyPageMap& map, Clock& clock, const Recording& recording, unsigned number)
        : map_(map), clock_(clock), number_(number), random_(recording.seed * 1'000'003 + number) {
        history_.reserve(recording.steps * std::size_t{5});
    }

    void step() {
        map_.quiescent();
        if (held_ && random_() % 4 == 0) {
            put(held_page_, *std::exchange(held_, std::nullopt));
        }
        const PageIndex page = pages[random_() % pages.size()];
        const std::uint64_t choice = random_() % 16;
        if (choice < 6) {
            remove(page);
        } else if (const AnyCounted counted = choice < 10 ? find(page) : choice < 14 ? load(page) : insert(page)) {
            use(page, counted);
        }
        if (random_() % 8 == 0) {
            std::this_thread::yield();
        }
    }

    ThreadHistory finish() {
        if (held_) {
            put(held_page_, *std::exchange(held_, std::nullopt));
        }
        return std::move(history_);
    }
    std::optional<Error> failure;

private:
    template <class Call>
    auto timed(Event event, Call&& call) {
        event.called = clock_.tick();
        auto answered = call(event);
        event.returned = clock_.tick();
        history_.push_back(event);
        return answered;
    }

    AnyCounted find(PageIndex page) {
        return timed({Operation::find, Answer::nothing, page}, [&](Event& event) {
            const AnyCounted found = map_.find(page);
            event.answer = found ? Answer::page : Answer::nothing;
            return found;
        });
    }
    AnyCounted load(PageIndex page) {
        return timed({Operation::load, Answer::page, page}, [&](Event&) {
            Result<AnyCounted> loaded = map_.load(page);
            return loaded ? *loaded : fails(loaded.error());
        });
    }
    AnyCounted insert(PageIndex page) {
        return timed({Operation::insert, Answer::page, page}, [&](Event& event) {
            Result<AnyCounted> inserted = map_.insert(page);
            if (inserted) {
                return *inserted;
            }
            const ErrorCode code = inserted.error().code;
            event.answer = code == ErrorCode::busy ? Answer::busy : Answer::present;
            return code == ErrorCode::busy || code == ErrorCode::already_present ? AnyCounted{}
                                                                                : fails(inserted.error());
        });
    }
    void put(PageIndex page, AnyCounted counted) {
        timed({Operation::put, Answer::done, page}, [&](Event&) {
            map_.put(counted);
            return 0;
        });
    }
    void remove(PageIndex page) {
        timed({Operation::remove, Answer::kept, page}, [&](Event& event) {
            const Result<RemovalOutcome> outcome = map_.remove_contig({page, 1});
            if (!outcome) {
                failure = failure ? failure : outcome.error();
            } else if (outcome->removed != 0) {
                event.answer = Answer::removed;
            }
            return 0;
        });
    }

    /// Reads and writes a page that is up to date, and puts it, now or a few steps later.
    void use(PageIndex page, AnyCounted counted) {
        if ((map_.flags(counted) & page_flag::up_to_date) != 0) {
            if (random_() % 2 == 0) {
                timed({Operation::read, Answer::done, page}, [&](Event& event) {
                    // relaxed: the clock orders.
                    return event.value = value_of(map_, counted).load(std::memory_order_relaxed);
                });
            }
            if (random_() % 2 == 0) {
                const std::uint64_t value = (page + 1) << 40 | std::uint64_t{number_ + 1} << 32 | ++written_;
                timed({Operation::write, Answer::done, page, value}, [&](Event&) {
                    value_of(map_, counted).store(value, std::memory_order_relaxed);  // relaxed: as above
                    map_.mark_dirty(counted);
                    return 0;
                });
            }
        }
        if (!held_ && random_() % 4 == 0) {
            held_ = counted;
            held_page_ = page;
        } else {
            put(page, counted);
        }
    }

    AnyCounted fails(const Error& error) {
        failure = failure ? failure : error;
        return {};
    }

    AnyPageMap& map_;
    Clock& clock_;
    const unsigned number_;
    std::mt19937_64 random_;
    ThreadHistory history_;
    std::optional<AnyCounted> held_;
    PageIndex held_page_ = 0;
    std::uint64_t written_ = 0;
};

}  // namespace

std::span<const PageIndex> recorded_pages() { return pages; }

Result<History> record_history(const MakeMap& make, const Recording& recording) {
    MemoryStore store(object_pages);
    // Every thread may hold a page and want another.
    const auto map = make({.size_pages = object_pages,
                           .frame_count = pages.size() + 2 * recording.threads,
                           .store = &store,
                           .reclaim = [] { return false; }});
    Clock clock;
    History history(recording.threads);
    std::vector<std::optional<Error>> failures(recording.threads);
    std::barrier start(static_cast<std::ptrdiff_t>(recording.threads));
    {
        std::vector<std::jthread> threads;
        for (unsigned number = 0; number < recording.threads; ++number) {
            threads.emplace_back([&, number] {
                RecordingThread thread(*map, clock, recording, number);
                start.arrive_and_wait();
                const auto registration = map->register_thread();
                for (unsigned step = 0; step < recording.steps && !thread.failure; ++step) {
                    thread.step();
                }
                history[number] = thread.finish();
                failures[number] = thread.failure;
            });
        }
    }
    for (std::optional<Error>& failure : failures) {
        if (failure) {
            return tl::unexpected(std::move(*failure));
        }
    }
    const auto registration = map->register_thread();
    if (Status sound = map->audit(); !sound) {
        return tl::unexpected(std::move(sound.error()));
    }
    if (Status destroyed = map->destroy(); !destroyed) {
        return tl::unexpected(std::move(destroyed.error()));
    }
    if (map->frames_in_use() != 0) {
        return fail(ErrorCode::malformed, std::to_string(map->frames_in_use()) + " frames leaked");
    }
    return history;
}

}  // namespace page_map_lab::linearise
