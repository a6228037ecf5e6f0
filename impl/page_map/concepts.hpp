// What each policy owes the page map. A variant is a composition of one policy per axis.
//
// A policy is a small tag type with a name, in a file of its own under variants/<axis>/, that makes the real thing for
// the machine and the read path it is composed with:
//
//     struct Radix   { static constexpr std::string_view name = "radix";
//                      template <class ReadPath> using With = RadixTree<ReadPath>; };
//     struct RcuQsbr { static constexpr std::string_view name = "rcu_qsbr";
//                      template <class Machine> using On = ...; };
//     struct Batched { static constexpr std::string_view name = "batched";
//                      template <class Machine> using On = ...; };
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "impl/core/error.hpp"
#include "impl/core/page_index.hpp"
#include "impl/page_map/map_lock.hpp"
#include "impl/page_map/slot.hpp"
#include "impl/platform/node_arena.hpp"

namespace page_map_lab {

/// How a walk is protected, and when what it could still see may be freed.
///
/// - `Section(lock)`: for its lifetime, nodes reached through `Link::walk` are not freed. Never blocks on anything but
///   the map's lock (and that only where `lock_free_readers` is false).
/// - `Link<T>`: an eight-byte, trivially copyable T in shared memory. `walk()` reads it inside a Section; `peek()` reads
///   it under the map's lock; `publish(value)` writes it under the map's lock, and what was written before is seen by
///   whoever walks to it.
/// - `synchronize()`: returns once every Section that was open at the call is closed. Never under a lock (invariant 8).
/// - `register_thread()`, `unregister_thread()`: each thread, before its first and after its last Section.
/// - `quiescent()`: this thread holds no Section now; owed now and then by flavours that do not notice themselves.
/// - `offline()`, `online()`: around anything that blocks, outside any Section.
template <class R>
concept ReadPath = requires(MapLock<typename R::Machine>& lock, typename R::template Link<std::uintptr_t>& link) {
    typename R::Machine;
    typename R::Section;
    requires std::constructible_from<typename R::Section, MapLock<typename R::Machine>&>;
    { R::lock_free_readers } -> std::convertible_to<bool>;
    { link.walk() } -> std::same_as<std::uintptr_t>;
    { link.peek() } -> std::same_as<std::uintptr_t>;
    link.publish(std::uintptr_t{});
    R::synchronize();
    R::register_thread();
    R::unregister_thread();
    R::quiescent();
    R::offline();
    R::online();
};

/// Index to slot address. Writers hold the map's lock; `find_slot` runs inside a Section or under the lock.
///
/// - `find_slot(index)`: the slot, or nullptr where no leaf is. Wait-free.
/// - `claim(index)`: the slot for a page that is about to be inserted, made if need be; the layout counts it as used
///   from now on. Only where the slot's word is empty. ENOMEM leaves everything as it was (defect 9).
/// - `release(index)`: gives a claimed slot back; its word is empty again. Nodes that nothing uses any more are unlinked
///   and retired.
/// - `for_each(range, visit)`: `visit(index, slot)` for every claimed slot of the range in ascending order, subtrees that
///   are not there skipped at once. `visit` returns whether to go on; it does not claim or release.
/// - `retired()`: how many nodes wait for a grace period; `take_retired()` hands them over as an object whose
///   `free_all()` frees them, to be called after `synchronize()`.
/// - `capacity`: one past the largest index that can be claimed.
/// - `stable_under_readers`: entries never move while a reader may walk to them; what cannot promise it does not go
///   with lock-free readers.
template <class L>
concept Layout = requires(L& layout, const L& constant, PageIndex index, PageRange range,
                          bool (*visit)(PageIndex, Slot<typename L::Machine>&)) {
    typename L::Machine;
    requires std::constructible_from<L, NodeArena&, std::uint64_t>;  // arena, pages the object may ever have
    { L::stable_under_readers } -> std::convertible_to<bool>;
    { constant.find_slot(index) } -> std::same_as<Slot<typename L::Machine>*>;
    { layout.claim(index) } -> std::same_as<Result<Slot<typename L::Machine>*>>;
    { layout.release(index) } -> std::same_as<void>;
    layout.for_each(range, visit);
    { constant.retired() } -> std::convertible_to<std::size_t>;
    layout.take_retired().free_all();
    { constant.capacity() } -> std::convertible_to<std::uint64_t>;
};

/// The marks a layout can keep per page and propagate to the root, so that marked pages are found without looking at
/// the others.
enum class Mark : std::uint8_t { dirty, count };

/// A layout with marks: set and cleared under the map's lock; `for_each_marked` visits as `for_each` does. A released
/// slot loses its marks.
template <class L>
concept MarkedLayout = Layout<L> && requires(L& layout, const L& constant, PageIndex index, PageRange range,
                                             bool (*visit)(PageIndex, Slot<typename L::Machine>&)) {
    layout.set_mark(index, Mark::dirty);
    layout.clear_mark(index, Mark::dirty);
    { constant.has_mark(index, Mark::dirty) } -> std::same_as<bool>;
    layout.for_each_marked(range, Mark::dirty, visit);
};

/// A layout and a read path that can go together.
template <class LayoutPolicy, class ReadPathOnMachine>
concept Composable = ReadPath<ReadPathOnMachine> && Layout<typename LayoutPolicy::template With<ReadPathOnMachine>> &&
                     (LayoutPolicy::template With<ReadPathOnMachine>::stable_under_readers ||
                      !ReadPathOnMachine::lock_free_readers);

}  // namespace page_map_lab
