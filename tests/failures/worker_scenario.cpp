// A worker process and its owner: whichever call fails, in the owner, in the nursery or in the worker, the owner goes on,
// and no page is lost. What fails in a worker may end it; then another one takes its place.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "impl/page_map/worker.hpp"
#include "impl/platform/nursery.hpp"
#include "impl/platform/shared_memory.hpp"
#include "impl/store/memory_store.hpp"
#include "impl/store/page_contents.hpp"
#include "tests/failures/scenario.hpp"

namespace page_map_lab::failures {
namespace {

constexpr std::uint64_t object_pages = 12;
constexpr PageRange mapped_pages{2, 6};

/// The nursery is gone, and with it every worker, as documented: the program has to be started again.
struct NurseryGone {};

struct Errand {
    std::uint64_t address = 0;  ///< of the first mapped page in the worker
    std::uint64_t version = 0;
    PageRange pages;
    bool found = false;
};

std::span<std::byte, page_size> page_of(const Errand& errand, PageIndex index) {
    auto* first = reinterpret_cast<std::byte*>(errand.address);  // NOLINT: an address of the worker
    return std::span<std::byte, page_size>(first + (index - mapped_pages.first) * page_size, page_size);
}

void write_pages(WorkerSide& side) {
    const auto& errand = side.blackboard<Errand>();
    for (PageIndex index = errand.pages.first; index < errand.pages.end(); ++index) {
        fill_contents(page_of(errand, index), index, errand.version);
    }
}

void read_pages(WorkerSide& side) {
    auto& errand = side.blackboard<Errand>();
    errand.found = true;
    for (PageIndex index = errand.pages.first; index < errand.pages.end(); ++index) {
        errand.found = version_of(page_of(errand, index), index) == errand.version && errand.found;
    }
}

/// The children of a process, also those that have ended and were not waited for.
std::vector<pid_t> children_of(pid_t process) {
    const std::string number = std::to_string(process);
    std::ifstream file("/proc/" + number + "/task/" + number + "/children");
    return {std::istream_iterator<pid_t>(file), {}};
}

bool is_alive(pid_t process) {
    std::ifstream file("/proc/" + std::to_string(process) + "/stat");
    std::string facts;
    return std::getline(file, facts) && facts.find(") Z ") == std::string::npos;
}

/// Whether the nursery is still there.
bool nursery_forks() {
    Nursery& nursery = **Nursery::running();
    const auto child = nursery.fork_child([](auto) {}, {});
    return child && child->wait_for_end(std::chrono::seconds(60)) && nursery.reap(*child);
}

class WorkerRun {
public:
    WorkerRun(const VariantEntry& variant, Store& store) : variant_(variant), store_(store) {}

    void run();

private:
    static constexpr std::initializer_list<ErrorCode> errors_of_a_worker{ErrorCode::unavailable, ErrorCode::system,
                                                                         ErrorCode::no_memory};
    static constexpr Documented of_a_worker{errors_of_a_worker, Throws::bad_alloc};
    static constexpr Documented of_a_new_worker{errors_of_a_worker, Throws::bad_alloc_or_runtime_error};  // space_of throws
    static constexpr Documented revokes{{ErrorCode::no_memory, ErrorCode::system, ErrorCode::unavailable}};

    /// Runs it with a worker that lives, as often as attempt does; `operation` is given its region.
    template <class Operation>
    auto attempt_with_a_worker(const char* name, Documented documented, Operation&& operation) {
        return attempt(name, documented, operation, [this](const Error*) {
            if (look_and_let_go_of_the_dead()) {
                have_a_worker();
            }
        });
    }

    /// After a failure. Returns whether the worker had died of it.
    bool look_and_let_go_of_the_dead() {
        if (const Status sound = map_->audit(); !sound) {
            broken(sound.error().text());
        }
        if (!nursery_forks()) {
            throw NurseryGone();
        }
        const bool dead = worker_ != nullptr && worker_->state() != WorkerState::running;
        if (dead) {
            let_go();
        }
        return dead;
    }

    void have_a_worker();
    void let_go();
    void run_in_the_worker(const char* name, WorkerJob job, PageRange pages, std::uint64_t version);
    void write(PageRange pages, std::uint64_t version);
    void expect_in_the_worker(PageRange pages, std::uint64_t version);
    void take_away();
    void expect_in_the_store() const;
    void use();
    void end();

    const VariantEntry& variant_;
    Store& store_;
    std::optional<SharedMemory> shared_memory_;
    std::unique_ptr<AnyPageMap> map_;
    std::shared_ptr<void> thread_;
    std::unique_ptr<Worker> worker_;
    std::shared_ptr<AnySpace> space_;
    AnyRegion* region_ = nullptr;
    std::array<std::uint64_t, object_pages> version_{};
    std::array<std::uint64_t, object_pages> begun_{};  ///< the version that a worker may have got to write
};

/// Each step is tried again by itself; a worker that dies in one of them is replaced in all.
void WorkerRun::have_a_worker() {
    const auto have = [this]() -> Status {
        if (worker_ == nullptr) {
            Result<std::unique_ptr<Worker>> made = Worker::spawn();
            if (!made) {
                return tl::unexpected(std::move(made.error()));
            }
            worker_ = *std::move(made);
        }
        // As large as the object: a worker that took its file for the region's would write to the wrong one.
        if (const Result<std::byte*> shared = worker_->share(*shared_memory_); !shared) {
            return tl::unexpected(shared.error());
        }
        if (space_ == nullptr) {
            space_ = map_->space_of(*worker_);
        }
        Result<AnyRegion*> region = map_->add_region_in(*space_, {.pages = mapped_pages});
        if (!region) {
            return tl::unexpected(std::move(region.error()));
        }
        region_ = *region;
        return {};
    };
    attempt("have a worker", of_a_new_worker, have, [this](const Error*) { look_and_let_go_of_the_dead(); });
}

void WorkerRun::let_go() {
    if (space_ != nullptr) {
        attempt("remove a worker's regions", revokes, [this] { return map_->remove_regions(*space_); });
    }
    const Armed armed("end a worker");
    region_ = nullptr;
    space_.reset();
    worker_.reset();
}

void WorkerRun::run_in_the_worker(const char* name, WorkerJob job, PageRange pages, std::uint64_t version) {
    attempt_with_a_worker(name, of_a_worker, [&] {
        auto& errand = worker_->blackboard<Errand>();
        errand.address = reinterpret_cast<std::uint64_t>(map_->address_of(region_, mapped_pages.first));
        errand.version = version;
        errand.pages = pages;
        return worker_->run(job);
    });
}

void WorkerRun::write(PageRange pages, std::uint64_t version) {
    std::fill_n(begun_.begin() + pages.first, pages.count, version);
    run_in_the_worker("write in a worker", write_pages, pages, version);
    std::fill_n(version_.begin() + pages.first, pages.count, version);
}

void WorkerRun::expect_in_the_worker(PageRange pages, std::uint64_t version) {
    run_in_the_worker("read in a worker", read_pages, pages, version);
    if (!worker_->blackboard<Errand>().found) {
        broken("a worker does not see what was written");
    }
}

void WorkerRun::take_away() {
    attempt_with_a_worker("remove_contig", revokes, [&] { return map_->remove_contig({0, object_pages}); });
    expect_in_the_store();
}

void WorkerRun::expect_in_the_store() const {
    for (PageIndex index = 0; index < object_pages; ++index) {
        std::array<std::byte, page_size> bytes;
        const Status read = store_.read_pages({index, 1}, bytes);
        const auto found = version_of(bytes, index);
        if (!read || !found || (found != version_[index] && found != begun_[index])) {
            broken("page " + std::to_string(index) + " is not in the store as a worker wrote it");
        }
    }
}

void WorkerRun::use() {
    have_a_worker();
    write({2, 4}, 7);
    expect_in_the_worker({2, 4}, 7);
    take_away();
    expect_in_the_worker({2, 4}, 7);
    write({4, 4}, 8);
    attempt_with_a_worker("writeback", revokes, [&] { return map_->writeback({0, object_pages}); });
    write({5, 2}, 9);
    attempt("kill a worker", of_a_worker, [&]() -> Status {
        const bool failed_before = injected();
        worker_->signal(SIGKILL);
        if (!failed_before && injected_into("pidfd_send_signal")) {
            return fail(ErrorCode::unavailable, "it was not sent");  // or its end would be waited for in vain
        }
        return worker_->wait_for_end(std::chrono::seconds(60)) ? Status{} : fail(ErrorCode::unavailable, "it has not ended");
    });
    let_go();
    take_away();
    have_a_worker();
    expect_in_the_worker({5, 2}, 9);
    let_go();
}

void WorkerRun::end() {
    attempt("destroy", revokes, [&] { return map_->destroy(); });
    expect_in_the_store();
    if (map_->frames_in_use() != 0 || map_->page_count() != 0 || map_->memory_pages() > map_->frames_quarantined()) {
        broken("frames, pages or memory are left after destroy");
    }
}

void WorkerRun::run() {
    attempt_throwing("make a page map", [this] {
        map_ = variant_.make({.size_pages = object_pages, .frame_count = object_pages, .store = &store_});
    }, Throws::bad_alloc_or_runtime_error);
    attempt_throwing("register a thread", [this] { thread_ = map_->register_thread(); });
    attempt("share memory", {{ErrorCode::system, ErrorCode::no_memory}, Throws::bad_alloc}, [this]() -> Status {
        Result<SharedMemory> made = SharedMemory::make(object_pages * page_size, "page-map-shared");
        if (!made) {
            return tl::unexpected(std::move(made.error()));
        }
        shared_memory_.emplace(*std::move(made));
        return {};
    });
    try {
        use();
    } catch (const NurseryGone&) {
        let_go();
    }
    end();
    thread_.reset();
    map_.reset();
}

}  // namespace

void page_map_with_a_worker(const VariantEntry& variant) {
    attempt("start the nursery", {{ErrorCode::system}, Throws::bad_alloc}, [] { return Nursery::start(); });  // before there is a thread
    const std::vector<pid_t> nurseries = children_of(::getpid());
    if (nurseries.size() != 1) {
        broken("the nursery is not this process's only child");
    }
    const int files = open_files();
    {
        MemoryStore store(object_pages, MemoryStore::Fresh::versioned);
        WorkerRun(variant, store).run();
    }
    if (open_files() > files) {  // fewer: the nursery is gone, and what led to it
        broken("a file descriptor was left open");
    }
    // One that its owner never heard of ends with the nursery.
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    const auto workers_left = [&] {
        const std::vector<pid_t> workers = children_of(nurseries.front());
        return std::any_of(workers.begin(), workers.end(), is_alive);
    };
    while (workers_left()) {
        if (std::chrono::steady_clock::now() >= end) {
            broken("a worker was left");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

}  // namespace page_map_lab::failures
