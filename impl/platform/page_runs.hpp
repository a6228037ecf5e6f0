// Objects of one size, packed into runs of one page each, for sizes that an allocator's classes would round up too far.
//
// A page starts with a header of one cache line, then objects: seven of 576 bytes, where jemalloc would spend 640 on
// each. A run goes back to the supply as soon as its last object does.
//
// Thread safety: none; its owner locks. Cost: a few instructions, and a page from the supply now and then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

#include "impl/core/check.hpp"
#include "impl/core/page_index.hpp"

namespace page_map_lab {

class PageRuns {
public:
    /// How many objects of `object_bytes` a page holds.
    static constexpr std::size_t objects_per_run(std::size_t object_bytes) noexcept {
        return (page_size - cache_line_size) / object_bytes;
    }

    /// Uninitialised memory for one object, aligned to a cache line where `object_bytes` is a multiple of one; nullptr
    /// where `take_page()`, which returns a page-aligned page or nullptr, has none.
    template <class TakePage>
    void* allocate(std::size_t object_bytes, TakePage&& take_page) {
        if (partial_ == nullptr) {
            void* page = take_page();
            if (page == nullptr) {
                return nullptr;
            }
            link(new (page) Run{.capacity = objects_per_run(object_bytes)});
        }
        Run* run = partial_;
        void* object = run->freed;
        if (object != nullptr) {
            run->freed = run->freed->next;
        } else {
            object = reinterpret_cast<std::byte*>(run) + cache_line_size + run->carved++ * object_bytes;
        }
        if (++run->live == run->capacity) {
            unlink(run);
        }
        return object;
    }

    /// Takes an object back; `return_page(page)` is called for a run that holds no other.
    template <class ReturnPage>
    void release(void* object, ReturnPage&& return_page) {
        Run* run = run_of(object);
        debug_check([&] { return run->live > 0 && run->live <= run->capacity; }, "the object is not of this run");
        if (run->live == run->capacity) {
            link(run);
        }
        run->freed = new (object) Freed{run->freed};
        if (--run->live == 0) {
            unlink(run);
            return_page(static_cast<void*>(run));
        }
    }

private:
    struct Freed {
        Freed* next;
    };
    struct Run {
        Run* next = nullptr;
        Run* previous = nullptr;
        Freed* freed = nullptr;
        std::size_t carved = 0;  // objects handed out at least once; those after them were never touched
        std::size_t live = 0;
        std::size_t capacity = 0;
    };
    static_assert(sizeof(Run) <= cache_line_size);

    static Run* run_of(void* object) noexcept {
        return reinterpret_cast<Run*>(reinterpret_cast<std::uintptr_t>(object) & ~(std::uintptr_t{page_size} - 1));
    }

    void link(Run* run) noexcept {
        run->previous = nullptr;
        run->next = partial_;
        if (partial_ != nullptr) {
            partial_->previous = run;
        }
        partial_ = run;
    }

    void unlink(Run* run) noexcept {
        (run->previous != nullptr ? run->previous->next : partial_) = run->next;
        if (run->next != nullptr) {
            run->next->previous = run->previous;
        }
    }

    Run* partial_ = nullptr;  // runs with room, most recently used first
};

}  // namespace page_map_lab
