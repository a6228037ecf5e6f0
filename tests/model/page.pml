// One slot of a page map: its word, the pages that may stand in it, their bytes and the store; find, put, load and the
// page lock. Included by mappings.pml. Each step is one atomic access of the code, or what one lock keeps together and
// nobody sees without it. [file: functions] says which code a step stands for.
//
// Switches: LOCKED (find holds the map's lock) or not (the RCU walk), FAILING_STORE (each call of the store may fail).

#define FRAMES 2

// The properties. Never true: an assertion `condition || property` fails under the property's name.
bool use_of_freed_page;
bool lost_write;
bool stale_read;
bool dropped_while_referenced;
bool access_by_stale_translation;
bool entry_of_freed_page;
bool use_of_removed_region;
bool frame_without_its_flags_cleared;
bool frame_freed_before_its_memory;

#define REQUIRE(condition, property) assert((condition) || property)

// Where every thread is to end, failures do, too: an access that fails is tried again as long as it does.
#ifdef ROUNDS
byte failures_to_come = 2;
#define FAILING failures_to_come > 0 -> failures_to_come--;
#else
#define FAILING
#endif

// The slot word [slot.hpp: SlotWord]. Frame 0 is "no page"; {REMOVAL, frame 0} gives its memory back.
byte slot_references;
bool slot_removal;
byte slot_frame;

typedef Page {       // [frame_table.hpp: Page]
    bool taken;      // handed out by the frame table
    bool locked;
    bool up_to_date;
    bool dirty;
    bool on_worklist;
}
Page page[FRAMES + 1];

bool map_lock;        // [map_lock.hpp: MapLock]
bool removal_active;  // [page_map_locking.hpp: RemovalTurn]

// Who has the newest bytes ever written: the page's memory, the store, a read of the store or a write-out under way.
// A page keeps its place in the object's memory, whichever frame stands for it.
bool memory_is_newest;
bool store_is_newest = true;
bool read_is_newest;
bool write_out_is_newest;

// Frames whose memory is still allocated though their page left the map.
bool memory_unreturned;

#define lock_map() atomic { !map_lock -> map_lock = true }
#define unlock_map() map_lock = false

#ifdef LOCKED
#define read_section_can_open (!map_lock)
#else
#define read_section_can_open true
#endif

#define in_the_map(number) (slot_frame == number && page[number].taken)

inline write_bytes() {
    memory_is_newest = true;
    store_is_newest = false;
    read_is_newest = false;
    write_out_is_newest = false
}

// [page_map.hpp: find] One compare-and-swap; whether it had to be tried again changes nothing.
inline find(held) {
    atomic {
        read_section_can_open;
        held = slot_frame;
        if
        :: held != 0 ->
            slot_references++;
#ifndef DEFECT_12
            slot_removal = false
#endif
        :: else
        fi
    }
}

// [page_map.hpp: put]
inline put(held) {
    atomic {
        REQUIRE(in_the_map(held) && slot_references != 0, dropped_while_referenced);
        slot_references--
    }
}

// [page_map_load.hpp: lock_page]
inline lock_page(number) {
    atomic {
        REQUIRE(in_the_map(number), use_of_freed_page);
        !page[number].locked -> page[number].locked = true
    }
}

// [page_map_load.hpp: unlock_page] `also` is what UPTODATE becomes.
inline unlock_page(number, also) {
    atomic {
        REQUIRE(in_the_map(number), use_of_freed_page);
        page[number].locked = false;
        page[number].up_to_date = page[number].up_to_date || also
    }
}

// [frame_table.hpp: release_chain, clear]
inline release_frame(number) {
    d_step {
        page[number].taken = false;
        page[number].locked = false;
        page[number].up_to_date = false;
        page[number].dirty = false;
        page[number].on_worklist = false
    }
}

// What must hold when a page leaves its slot, by the compare-and-swap that empties it.
#ifndef every_translation_is_gone
#define every_translation_is_gone(number) skip
#endif

// [page_map_removal.hpp: give_back] The page left its slot, which is {REMOVAL, no page}. Map lock, given up and taken
// again.
inline give_back(number) {
#ifdef WITHOUT_LATE_PUNCH
    slot_removal = false;
#endif
#ifdef WITHOUT_LATE_RELEASE
    release_frame(number);
#endif
    unlock_map();
    if
    :: atomic {  // the punch
           REQUIRE(store_is_newest, lost_write);
           memory_is_newest = false
       }
#ifdef FAILING_PUNCH
    :: atomic { FAILING memory_unreturned = true; memory_is_newest = false }
#endif
    fi;
    lock_map();
    d_step {
        slot_removal = false;
        REQUIRE(page[number].taken, use_of_freed_page);
        if
        :: memory_unreturned ->
#ifdef WITHOUT_QUARANTINE
            REQUIRE(false, frame_freed_before_its_memory)
#else
            // [frame_table.hpp: release_chain] Kept out of circulation; here as if its memory came back later, for a
            // model that runs out of frames has nothing left to show.
            memory_unreturned = false
#endif
        :: else
        fi
    }
    release_frame(number)
}

// [page_map_load.hpp: discard_never_read]
inline discard_never_read(number) {
#ifdef WITHOUT_DISCARD_AT_ZERO
    // Takes the page away from those who wait for it.
    lock_map();
    d_step {
        number = slot_frame;
        slot_frame = 0; slot_references = 0; slot_removal = true
    };
    if
    :: number != 0 -> give_back(number)
    :: else -> slot_removal = false
    fi;
    unlock_map();
#else
    lock_map();
    atomic {
        if
        :: slot_frame != 0 && slot_references == 0 ->
            number = slot_frame;
            marked_before = slot_removal;
#ifndef WITHOUT_DISCARD_MARK
            slot_removal = true
#endif
        :: else -> number = 0
        fi
    };
    if
    :: number == 0
    :: else ->
        if
        :: page[number].up_to_date || page[number].locked || page[number].dirty ->
            if
            :: marked_before
            :: else -> slot_removal = false
            fi
        :: else ->
            atomic {
#ifdef WITHOUT_DISCARD_MARK
                if
                :: slot_frame == number && slot_references == 0 ->
#else
                if
                :: slot_frame == number && slot_references == 0 && slot_removal ->
#endif
                    slot_frame = 0; slot_removal = true;
                    every_translation_is_gone(number)
                :: else -> number = 0
                fi
            };
            if
            :: number != 0 -> give_back(number)
            :: else
            fi
        fi
    fi;
    unlock_map();
#endif
    atomic { number = 0; marked_before = false }
}

// [page_map_load.hpp: read_locked_page] The caller has locked and counted the page. A failure leaves `held` 0.
inline read_locked_page(held) {
    atomic { REQUIRE(in_the_map(held), use_of_freed_page); read_is_newest = store_is_newest };
    if
    :: atomic {
           memory_is_newest = read_is_newest; read_is_newest = false;
           REQUIRE(memory_is_newest || store_is_newest, lost_write)
       };
       unlock_page(held, true)
#ifdef FAILING_STORE
    :: atomic { FAILING read_is_newest = false; unlock_page(held, false) };
       put(held);
       discard_never_read(held)
#endif
    fi
}

// [page_map_load.hpp: wait_until_current] A failure leaves `held` 0.
inline wait_until_current(held) {
    REQUIRE(in_the_map(held), use_of_freed_page);
    if
    :: page[held].up_to_date
    :: else ->
        lock_page(held);
#ifndef WITHOUT_SECOND_LOOK
        if
        :: page[held].up_to_date -> unlock_page(held, false)
        :: else -> read_locked_page(held)
        fi
#else
        read_locked_page(held)
#endif
    fi
}

// [page_map_load.hpp: load_nowait] 0 where the page is absent or not up to date.
inline load_nowait(held) {
    find(held);
    if
    :: held == 0
    :: held != 0 && page[held].up_to_date
    :: held != 0 && !page[held].up_to_date -> put(held); held = 0
    fi
}

// [page_map_load.hpp: load, take_frame, insert] `held` is 0 where there is no frame (where rounds are counted it waits for
// one) or the store fails. A caller that
// meets a page giving its memory back tries again; here it waits until that can succeed.
inline load(held, fresh) {
    do
    :: find(held);
       if
       :: held != 0 -> wait_until_current(held); break
       :: else ->
           atomic {  // [frame_table.hpp: allocate]
               if
               :: !page[1].taken -> fresh = 1
               :: page[1].taken && !page[2].taken -> fresh = 2
#ifndef ROUNDS
               :: page[1].taken && page[2].taken -> break
#endif
               fi;
               REQUIRE(!page[fresh].locked && !page[fresh].up_to_date && !page[fresh].dirty && !page[fresh].on_worklist,
                       frame_without_its_flags_cleared);
               page[fresh].taken = true;
               page[fresh].locked = true
           };
           atomic {  // [page_map_load.hpp: insert] under the map's lock, published by one store
               !map_lock;
               if
               :: slot_frame == 0 && !slot_removal ->
                   slot_frame = fresh; slot_references = 1;
                   held = fresh; fresh = 0
               :: else
               fi
           };
           if
           :: fresh == 0 -> read_locked_page(held); break
           :: else ->
#ifdef DEFECT_3
               d_step { page[fresh].taken = false; fresh = 0 };
#else
               d_step { release_frame(fresh); fresh = 0 };
#endif
               slot_frame != 0 || !slot_removal
           fi
       fi
    od
}
