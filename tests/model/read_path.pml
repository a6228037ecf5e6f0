// The walk from an index to its slot, and the life of the leaf that the slot lies in: insert makes leaves, a removal
// unlinks and retires them, and they are freed and used again. No mappings here. [file: functions] says which code a step
// stands for.
//
// A scenario, by macros: LOCKED (a section holds the map's lock) or not (RCU: a section is only announced), QUIESCENT
// (RCU whose threads are in a section all the time but where they are offline), READERS (default 2), ROUNDS (each thread
// ends after as many).

#ifndef READERS
#define READERS 2
#endif
#define THREADS 3  // the readers, and who inserts
#define INSERTER 2
#define LEAVES 2
#define FRAMES 2
#define MAX_REFERENCES 1
#define JUNK 3  // what freed memory holds

// The properties. Never true: an assertion `condition || property` fails under the property's name.
bool use_of_freed_node;
bool use_of_freed_page;
bool dropped_while_referenced;
#define REQUIRE(condition, property) assert((condition) || property)

typedef Leaf {  // [radix.hpp: With] with the one slot of our page [slot.hpp: SlotWord]
    bool taken;
    byte references;
    bool removal;
    byte frame;
}
Leaf leaf[LEAVES + 1];
byte root;     // the link that a walk follows [link.hpp: walk, publish]; 0 is none
bool retired;  // a leaf waits for its grace period
byte retired_leaf;
bool frame_taken[FRAMES + 1];
bool map_lock;

bool in_section[THREADS];
bool waited_for[THREADS];

#ifdef QUIESCENT
#define open_section(thread) in_section[thread] = true
#define close_section(thread) skip
#define online(thread) in_section[thread] = true
#define quiescent(thread) d_step { in_section[thread] = false; waited_for[thread] = false }
#ifdef WITHOUT_OFFLINE
#define offline(thread) skip
#else
#define offline(thread) quiescent(thread)
#endif
#else
#ifdef LOCKED
#define open_section(thread) atomic { !map_lock -> map_lock = true }
#define close_section(thread) map_lock = false
#else
#define open_section(thread) in_section[thread] = true
#define close_section(thread) d_step { in_section[thread] = false; waited_for[thread] = false }
#endif
#define quiescent(thread) skip
#define online(thread) skip
#define offline(thread) skip
#endif

#define lock_map() atomic { !map_lock -> map_lock = true }
#define unlock_map() map_lock = false

// [page_map.hpp: find] `held` and `slot` are 0 where there is no page, or its count is saturated.
inline find(thread, held, slot) {
    open_section(thread);
    slot = root;
    if
    :: slot == 0
    :: else ->
        atomic {
            REQUIRE(leaf[slot].taken, use_of_freed_node);
            if
#ifndef DEFECT_8
            :: leaf[slot].frame != 0 && leaf[slot].references == MAX_REFERENCES
#endif
            :: leaf[slot].frame == 0
            :: else ->
                held = leaf[slot].frame;
                REQUIRE(held <= FRAMES && frame_taken[held], use_of_freed_page);
                leaf[slot].references = (leaf[slot].references + 1) % (MAX_REFERENCES + 1);
                leaf[slot].removal = false
            fi
        }
    fi;
    close_section(thread)
}

// [page_map.hpp: put] By the slot's address: no walk, no section.
inline put(held, slot) {
    atomic {
        REQUIRE(leaf[slot].taken, use_of_freed_node);
        REQUIRE(leaf[slot].frame == held && leaf[slot].references != 0, dropped_while_referenced);
        leaf[slot].references--
    };
    d_step { held = 0; slot = 0 }
}

inline free_leaf(number) {
    d_step { leaf[number].taken = false; leaf[number].frame = JUNK; leaf[number].references = 1; leaf[number].removal = true }
}

// [rcu.hpp: synchronize] Returns once every section that was open at the call is closed.
inline synchronize() {
#ifndef LOCKED
    d_step {
        waited_for[0] = in_section[0]; waited_for[1] = in_section[1]; waited_for[2] = in_section[2]
    };
    !waited_for[0] && !waited_for[1] && !waited_for[2]
#else
    skip
#endif
}

#ifdef ROUNDS
#define again rounds < ROUNDS -> rounds++
#define ended rounds == ROUNDS
#else
#define again true
#define ended false
#endif

proctype Reader(byte thread) {
    byte held, slot, rounds;
end:
    do
    :: ended -> break
    :: again;
       find(thread, held, slot);
       if
       :: held != 0 -> put(held, slot)
       :: else -> slot = 0
       fi;
       quiescent(thread)
    od
}

// [page_map_load.hpp: load, insert] [tree.hpp: claim, grow]
proctype Inserter() {
    byte held, slot, rounds;
end:
    do
    :: ended -> break
    :: again;
       open_section(INSERTER);
       close_section(INSERTER);
       atomic {
           if
           :: !frame_taken[1] -> held = 1
           :: frame_taken[1] && !frame_taken[2] -> held = 2
           :: else
           fi;
           frame_taken[held] = (held != 0)
       };
       if
       :: held == 0
       :: else ->
           offline(INSERTER);
           lock_map();
           online(INSERTER);
           slot = root;
           if
           :: slot != 0 && (leaf[slot].frame != 0 || leaf[slot].removal) -> slot = 0  // already present, or busy
           :: slot != 0 && leaf[slot].frame == 0 && !leaf[slot].removal
           :: slot == 0 ->
               atomic {
                   if
                   :: !leaf[1].taken -> slot = 1
                   :: leaf[1].taken && !leaf[2].taken -> slot = 2
                   :: else  // no memory
                   fi;
                   leaf[slot].taken = (slot != 0)
               };
               if
               :: slot == 0
               :: else ->
                   // What a walk can reach is complete: made aside, published by one store.
#ifdef WITHOUT_PUBLISHING_LAST
                   root = slot;
#endif
                   d_step { leaf[slot].frame = 0; leaf[slot].references = 0; leaf[slot].removal = false };
                   root = slot
               fi
           fi;
           if
           :: slot == 0 -> d_step { frame_taken[held] = false; held = 0; unlock_map() }
           :: else ->
               d_step { REQUIRE(leaf[slot].taken, use_of_freed_node); leaf[slot].frame = held; leaf[slot].references = 1 };
               unlock_map();
               put(held, slot)
           fi
       fi;
       quiescent(INSERTER)
    od
}

// [tree.hpp: release, unlink_empty] Map lock.
inline release_leaf(number) {
#ifdef WITHOUT_UNLINKING_FIRST
    skip
#else
    root = 0
#endif
    ;
    d_step { retired = true; retired_leaf = number }
}

// [page_map_removal.hpp: mark_unused, empty_unclaimed_slots, give_back, free_retired_nodes]
proctype Remover() {
    byte slot, held, rounds;
end:
    do
    :: ended -> break
    :: again;
progress:
       lock_map();
       slot = root;
       if
       :: slot == 0
       :: else ->
           atomic {
               if
               :: leaf[slot].frame != 0 && leaf[slot].references == 0 -> leaf[slot].removal = true; held = leaf[slot].frame
               :: else
               fi
           };
           atomic {
               if
               :: held != 0 && leaf[slot].removal && leaf[slot].references == 0 -> leaf[slot].frame = 0
               :: else -> held = 0
               fi
           };
           if
           :: held == 0
           :: else ->
#ifdef WITHOUT_LEAF_KEPT_FOR_THE_PUNCH
               release_leaf(slot);
               free_leaf(slot);
               retired = false;
#endif
               unlock_map();  // the punch
               lock_map();
               atomic { REQUIRE(leaf[slot].taken, use_of_freed_node); leaf[slot].removal = false };
#ifndef WITHOUT_LEAF_KEPT_FOR_THE_PUNCH
               release_leaf(slot);
#endif
               frame_taken[held] = false
           fi
       fi;
       d_step { held = 0; slot = 0 };
#ifndef WITHOUT_UNLOCKED_GRACE_PERIOD
       unlock_map();
       lock_map();
#endif
       if
       :: retired ->
           d_step { slot = retired_leaf; retired = false; retired_leaf = 0 };
#ifndef WITHOUT_UNLOCKED_GRACE_PERIOD
           unlock_map();
#endif
#ifndef WITHOUT_GRACE_PERIOD
           synchronize();
#endif
#ifdef WITHOUT_UNLINKING_FIRST
           root = 0;
#endif
           free_leaf(slot);
#ifdef WITHOUT_UNLOCKED_GRACE_PERIOD
           unlock_map();
#endif
           slot = 0
       :: else -> unlock_map()
       fi
    od
}

#ifdef WITHOUT_STABLE_SLOTS
// The tree grows, and a slot that lay in its head moves into a leaf.
proctype Growth() {
    byte slot;
    lock_map();
    slot = root;
    if
    :: slot != 0 && !leaf[3 - slot].taken ->
        atomic {
            leaf[3 - slot].taken = true;
            leaf[3 - slot].frame = leaf[slot].frame;
            leaf[3 - slot].references = leaf[slot].references;
            leaf[3 - slot].removal = leaf[slot].removal
        };
        root = 3 - slot;
        d_step { retired = true; retired_leaf = slot }
    :: else
    fi;
    unlock_map()
}
#endif

init {
    atomic {
        d_step { leaf[1].frame = JUNK; leaf[2].frame = JUNK };
        run Reader(0);
#if READERS > 1
        run Reader(1);
#endif
        run Inserter();
        run Remover();
#ifdef WITHOUT_STABLE_SLOTS
        run Growth();
#endif
    }
}
