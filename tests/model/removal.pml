// What takes pages away: remove_contig and writeback with their shootdowns, and what happens to regions meanwhile.
// Included by mappings.pml.

#ifdef WITHOUT_PRESENT_SPARED
#define spared(space) false
#else
#define spared(space) entry[space].present
#endif
#ifdef DEFECT_14
#define folded(space) (region[space].protection == WRITE)
#else
#define folded(space) true
#endif
#ifdef WITHOUT_DIRTY_SPARED
#define keeps(number) page[number].locked
#else
#ifdef WITHOUT_LOCKED_SPARED
#define keeps(number) page[number].dirty
#else
#define keeps(number) (page[number].dirty || page[number].locked)
#endif
#endif

// Who takes the map's lock here holds it over several steps; what one lock alone guards is one step.

// [page_map_removal.hpp: mark_unused] Pass 1. `marked` is the page, or 0.
inline mark_unused() {
    atomic {
        if
        :: slot_frame != 0 && slot_references == 0 ->
            slot_removal = true;
            marked = slot_frame;
            page[marked].on_worklist = true
        :: else
        fi
    }
}

// [page_map_regions.hpp: for_each_entry] One region's visit is one step under its page-table lock.
// [page_map_removal.hpp: revoke_entries] Pass 2.
inline revoke_entries(space, owed) {
    atomic {
        !table_lock[space];
        if
        :: region[space].linked && maps_shared_page(space) && entry[space].present && page[entry[space].frame].on_worklist ->
            entry[space].present = false;
            owed = true
        :: else
        fi
    }
}

// [shootdown.hpp: revoke_range, flush] Pass 3, outside the page-table lock. A call that fails closes the whole region.
inline flush_owed(space, owed, access) {
    atomic {
    if
    :: owed ->
        REQUIRE(region[space].attached, use_of_removed_region);
        try_set_access(space, access, failed);
        if
        :: failed ->
#ifdef WITHOUT_CLOSING_AFTER_FAILURE
            failed = false
#else
            try_set_access(space, NONE, failed)
#endif
        :: else
        fi;
        owed = false;
        not_flushed = not_flushed || failed;
        failed = false
    :: else
    fi
    }
}

// [page_map_removal.hpp: abandon_removal, spare]
inline restore_entry(space) {
#ifndef WITHOUT_RESTORED_ENTRIES
    atomic {
        !table_lock[space];
        if
        :: region[space].linked && maps_shared_page(space) && page[entry[space].frame].on_worklist &&
           region[space].protection != NONE -> entry[space].present = true
        :: else
        fi
    }
#else
    skip
#endif
}

// [page_map_removal.hpp: collect_dirty_and_unmap] Pass 4.
inline collect_dirty_and_unmap(space) {
    atomic {
        !table_lock[space];
        if
        :: region[space].linked && maps_shared_page(space) && page[entry[space].frame].on_worklist && !spared(space) ->
            if
            :: entry[space].dirty && folded(space) -> page[entry[space].frame].dirty = true
            :: else
            fi;
            unmap(space)
        :: else
        fi
    }
}

// [page_map_writeback.hpp: write_pages] [page_map_removal.hpp: write_back_worklist, clear_dirty] Pass 5, and writeback's
// last. Map lock, given up for the write and taken again.
inline write_pages(number, only_marked) {
    if
    :: only_marked && !(page[number].on_worklist && slot_removal)
    :: else ->
        if
        :: !page[number].dirty
        :: else ->
            atomic {
                written = !page[number].locked;
#ifndef WITHOUT_LOCKED_WRITE_OUT
                page[number].locked = true
#endif
            };
            if
            :: !written
            :: else ->
#ifndef WITHOUT_DIRTY_CLEARED_FIRST
                page[number].dirty = false;
#endif
                unlock_map();
                atomic {
                    REQUIRE(in_the_map(number), use_of_freed_page);
                    write_out_is_newest = memory_is_newest
                };
                if
                :: atomic {
                       store_is_newest = store_is_newest || write_out_is_newest;
                       if
                       :: !write_out_is_newest -> store_is_newest = false
                       :: else
                       fi;
                       write_out_is_newest = false;
                       REQUIRE(memory_is_newest || store_is_newest, lost_write)
                   }
#ifdef FAILING_STORE
                :: FAILING write_out_is_newest = false;
#ifndef WITHOUT_DIRTY_AFTER_FAILURE
                   page[number].dirty = true
#endif
#endif
                fi;
#ifdef WITHOUT_DIRTY_CLEARED_FIRST
                page[number].dirty = false;
#endif
                unlock_page(number, false);
                lock_map()
            fi
        fi
    fi;
    written = false
}

// [page_map_removal.hpp: empty_unclaimed_slots] Pass 6. `number` is 0 afterwards where nothing was taken.
inline empty_unclaimed_slots(number) {
    atomic {
        word_frame = slot_frame; word_references = slot_references; word_removal = slot_removal;
        if
        :: word_frame != 0 && page[word_frame].on_worklist ->
            page[word_frame].on_worklist = false;
            number = (word_removal -> word_frame : 0)
        :: else -> number = 0
        fi
    };
    if
    :: number == 0
    :: else ->
        if
        :: keeps(number) -> slot_removal = false; number = 0
        :: else ->
            atomic {
                if
                :: slot_frame == word_frame && slot_references == word_references && slot_removal == word_removal ->
                    slot_frame = 0; slot_references = 0; slot_removal = true;
                    every_translation_is_gone(number)
                :: else -> number = 0
                fi
            }
        fi
    fi;
    d_step { word_frame = 0; word_references = 0; word_removal = false }
}

// [page_map_removal.hpp: remove_contig]
inline remove_contig() {
    lock_map();
    mark_unused();
    if
    :: marked == 0
    :: else ->
        revoke_entries(0, owed_0);
        revoke_entries(1, owed_1);
#ifdef WITHOUT_SHOOTDOWN
        owed_0 = false; owed_1 = false;
#endif
        flush_owed(0, owed_0, NONE);
        flush_owed(1, owed_1, NONE);
        if
        :: not_flushed ->
            restore_entry(0);
            restore_entry(1);
            slot_removal = false;
            page[marked].on_worklist = false
        :: else ->
            collect_dirty_and_unmap(0);
            collect_dirty_and_unmap(1);
            write_pages(marked, true);
            empty_unclaimed_slots(marked);
            if
            :: marked != 0 -> give_back(marked)
            :: else
            fi
        fi
    fi;
    d_step { unlock_map(); marked = 0; not_flushed = false }
}

// [page_map_writeback.hpp: writeback] Its first walk over the entries.
inline harvest(space, owed) {
    atomic {
        !table_lock[space];
        if
        :: region[space].linked && maps_shared_page(space) && entry[space].dirty ->
            page[entry[space].frame].dirty = true;
            page[entry[space].frame].on_worklist = true;
            owed = entry[space].present && entry[space].writable;
            entry[space].dirty = false;
            entry[space].writable = false
        :: else
        fi
    }
}

// Its second, after a flush that failed: the hardware may still be open.
inline reopen_entry(space) {
    atomic {
        !table_lock[space];
        if
        :: region[space].linked && maps_shared_page(space) && page[entry[space].frame].on_worklist &&
           region[space].protection == WRITE &&
           !private_space(space) ->
            entry[space].writable = true;
            entry[space].dirty = true
        :: else
        fi
    }
}

inline writeback() {
    lock_map();
    harvest(0, owed_0);
    harvest(1, owed_1);
#ifndef WITHOUT_FLUSH_BEFORE_CLEANING
    flush_owed(0, owed_0, READ);
    flush_owed(1, owed_1, READ);
#endif
    if
    :: not_flushed -> reopen_entry(0); reopen_entry(1)
    :: else
    fi;
    marked = slot_frame;
    page[marked].on_worklist = false;
    if
    :: not_flushed || marked == 0
    :: else -> write_pages(marked, false)
    fi;
#ifdef WITHOUT_FLUSH_BEFORE_CLEANING
    flush_owed(0, owed_0, READ);
    flush_owed(1, owed_1, READ);
#endif
    d_step { unlock_map(); marked = 0; not_flushed = false }
}

proctype Remover() {
    byte marked;
    bool owed_0, owed_1, failed, not_flushed, written;
    byte word_frame, word_references;
    bool word_removal;
    byte rounds;
end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    ::
#endif
        // [page_map_locking.hpp: RemovalTurn] Who does not get the turn goes away.
#ifndef WITHOUT_REMOVAL_WORD
        atomic { !removal_active -> removal_active = true };
#endif
        if
        :: remove_contig()
        :: writeback()
        fi;
#ifndef WITHOUT_REMOVAL_WORD
        removal_active = false
#endif
    od
}

#ifdef UNMAPPED
// [page_map_regions.hpp: remove_region, add_region] of space 0.
proctype Unmapper() {
    bool failed;
    byte rounds;
end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    ::
#endif
#ifndef WITHOUT_UNLINKING_UNDER_THE_MAP_LOCK
        lock_map();
#endif
        atomic { lock_table(0) };
#ifndef WITHOUT_CLOSING_FIRST
        atomic { try_set_access(0, NONE, failed) };
#endif
        if
        :: failed ->
            d_step { failed = false; unlock_table(0) };
            unlock_map()
        :: else ->
#ifdef WITHOUT_FOLDING_AND_CLEARING_AT_ONCE
            if
            :: maps_shared_page(0) && entry[0].dirty -> page[entry[0].frame].dirty = true
            :: else
            fi;
            unlock_table(0);
            atomic { lock_table(0) };
            unmap(0);
#endif
            d_step {
#ifndef DEFECT_2
                if
                :: maps_shared_page(0) && entry[0].dirty -> page[entry[0].frame].dirty = true
                :: else
                fi;
#endif
                entry[0].frame = 0; entry[0].present = false; entry[0].writable = false;
                entry[0].dirty = false; entry[0].private_copy = false;
                region[0].dead = true;
                unlock_table(0)
            };
            region[0].linked = false;
#ifndef WITHOUT_UNLINKING_UNDER_THE_MAP_LOCK
            unlock_map();
#endif
#ifdef WITHOUT_CLOSING_FIRST
            atomic { try_set_access(0, NONE, failed) };
#endif
            region[0].attached = false;
#ifndef WITHOUT_WAITING_FOR_PINS
            region[0].pins == 0;
#endif
            region[0].gone = true;
            // Another region takes its place.
            atomic {
                !map_lock;
                region[0].gone = false;
                region[0].pins = 0;
                region[0].dead = false;
                region[0].linked = true;
                region[0].attached = true
            }
        fi
    od
}
#endif

#ifdef PROTECTED
// [page_map_regions.hpp: protect_region] of space 0: taken down to reading, and given back.
proctype Protector() {
    bool failed;
    byte rounds;
end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    ::
#endif
        lock_map();
        atomic { lock_table(0) };
        if
        :: region[0].protection != WRITE -> region[0].protection = WRITE
        :: region[0].protection > NONE ->
            atomic { try_set_access(0, NONE, failed) };
            d_step {
                if
                :: failed -> failed = false
                :: else ->
                    if
                    :: region[0].protection == WRITE -> region[0].protection = READ
                    :: else -> region[0].protection = NONE; entry[0].present = false
                    fi;
                    entry[0].writable = false
                fi
            }
        fi;
        d_step { unlock_table(0); unlock_map() }
    od
}
#endif
