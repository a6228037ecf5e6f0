// A link between nodes that readers follow while writers change it.
//
// Thread safety: walk by any thread inside a section; peek and publish under the map's lock. Progress: wait-free.
// Cost: a load or a store; on x86 no fence.
#pragma once

#include <atomic>

namespace page_map_lab {

/// A link that is read without the lock. Both accesses are atomic, so that no compiler keeps what a walk has read for
/// the next walk, nor reads it twice.
template <class Machine, class T>
class PublishedLink {
public:
    constexpr PublishedLink() noexcept = default;

    T walk() const noexcept {
        // [node-publish] acquire: sees the node as it was before the release in publish.
        return value_.load(std::memory_order_acquire);
    }

    T peek() const noexcept {
        // relaxed: the map's lock orders this after the publish that is read.
        return value_.load(std::memory_order_relaxed);
    }

    void publish(T value) noexcept {
        // [node-publish] release: the node is complete before the acquire in walk can find it.
        value_.store(value, std::memory_order_release);
    }

private:
    typename Machine::template Atomic<T> value_{};
};

}  // namespace page_map_lab
