// Serving a fault, and the threads that fault. Included by mappings.pml.

#ifdef WITHOUT_REFERENCE_UNTIL_COPIED
#define WITHOUT_REFERENCE_UNTIL_MAPPED
#endif
#ifdef WITHOUT_ONE_STEP_GRANT
#define GRANTS_LATE
#endif
#ifdef WITHOUT_RIGHTS_DECIDED_UNDER_THE_LOCK
#define GRANTS_LATE
#endif

#define ABSENT 0
#define DONE 1

// [page_table.hpp: map_shared, set_writable_and_dirty] Page-table lock.
inline map_shared(space, number) {
    entry[space].frame = number;
    entry[space].present = true;
#ifdef WITHOUT_KEPT_DIRTY
    entry[space].dirty = false;
    entry[space].writable = false;
#endif
    if
    :: wanted == WRITE -> entry[space].writable = true; entry[space].dirty = true
    :: else
    fi
}

// [page_map_fault.hpp: grant_private_copy] Page-table lock. The system copies now, while the page is held.
inline grant_private_copy(space) {
    do
    :: try_set_access(space, WRITE, failed);
       if
       :: failed -> try_set_access(space, NONE, failed); break
       :: else ->
#ifdef WITHOUT_COPY_NOW
           entry[space].private_copy = true;
           entry[space].writable = true;
           break
#else
           if
           :: hardware[space] == WRITE ->
               REQUIRE(copied[space] || (memory_is_newest && slot_frame != 0), stale_read);
               copied[space] = true;
               entry[space].private_copy = true;
               entry[space].writable = true;
               break
           :: else  // closed again by a shootdown that does not take this lock
           fi
#endif
       fi
    od
}

// [page_map_fault.hpp: fault] What to do with the page once it is counted. Page-table lock.
inline map_and_grant(space) {
    if
#ifndef WITHOUT_SECOND_LOOK_FOR_DEAD
    :: refused(space, wanted)
#endif
    :: !refused(space, wanted) && entry[space].private_copy -> entry[space].present = true; grant(space, failed)
#ifdef WITHOUT_SECOND_LOOK_FOR_DEAD
    :: !entry[space].private_copy ->
#else
    :: !refused(space, wanted) && !entry[space].private_copy ->
#endif
#ifdef PRIVATE
        if
        :: private_space(space) && wanted == WRITE ->
            entry[space].frame = held;
            entry[space].present = true;
            grant_private_copy(space)
        :: else ->
            map_shared(space, held);
            grant(space, failed)
        fi
#else
        map_shared(space, held);
#ifdef WITHOUT_ONE_STEP_GRANT
        late = (rights(space) < region[space].protection -> rights(space) : region[space].protection)
#else
        grant(space, failed)
#endif
#endif
    fi
}

// For mutants: opens what was granted under the lock after it was given up.
inline grant_late(space) {
#ifdef GRANTS_LATE
    if
    :: late != NONE -> hardware[space] = late; late = NONE
    :: else
    fi
#else
    skip
#endif
}

#ifdef ROUNDS
#define choose_access() wanted = first_wanted
#define give_up() first_wanted = NONE
#else
#define give_up() skip
#define choose_access() if :: wanted = READ :: wanted = WRITE fi
#endif

// [address_space.hpp: serve, pin_region_at] [page_map_fault.hpp: serve_fault, fault]
inline fault(space) {
#ifdef UNMAPPED
    atomic { region[space].attached -> choose_access(); region[space].pins++ };
    atomic {
        lock_table(space);
#else
    atomic {
        choose_access();
        lock_table(space);
#endif
        REQUIRE(!region[space].gone, use_of_removed_region);
        outcome = ABSENT;
        if
        :: refused(space, wanted) -> outcome = DONE; give_up()
        :: else ->
            if
            :: entry[space].private_copy -> entry[space].present = true
            :: else
            fi;
            if
            :: rights(space) >= wanted ->
                outcome = DONE;
                // Closed but present, or a spurious fault.
#ifdef WITHOUT_REAPPLIED_RIGHTS
                skip
#else
#ifdef WITHOUT_RIGHTS_DECIDED_UNDER_THE_LOCK
                late = (rights(space) < region[space].protection -> rights(space) : region[space].protection)
#else
                grant(space, failed)
#endif
#endif
            :: else
            fi
        fi;
        unlock_table(space)
    };
    grant_late(space);
    if
    :: outcome == DONE
    :: else ->
        load_nowait(held);
        if
        :: held == 0 -> load(held, fresh)
        :: else
        fi;
        if
        :: held == 0
        :: else ->
#ifdef WITHOUT_REFERENCE_UNTIL_MAPPED
            put(held);
#endif
            atomic {
                lock_table(space);
                REQUIRE(!region[space].gone, use_of_removed_region);
#ifdef DEFECT_11
                if
                :: !refused(space, wanted) && entry[space].frame == held && rights(space) >= wanted ->
                    release_frame(held)
                :: else -> map_and_grant(space)
                fi;
#else
                map_and_grant(space);
#endif
                unlock_table(space)
            };
            grant_late(space);
#ifndef WITHOUT_REFERENCE_UNTIL_MAPPED
            put(held)
#endif
        fi
    fi;
    d_step {
#ifdef UNMAPPED
        REQUIRE(!region[space].gone, use_of_removed_region);
        region[space].pins--;
#endif
        wanted = NONE; held = 0; outcome = ABSENT; failed = false
    }
}

// A thread of a space. Where rounds are counted it wants its access, and faults until it has it.
proctype Faulter(byte space) {
    byte wanted, held, fresh, outcome, access;
    bool failed;
    bool marked_before;
#ifdef GRANTS_LATE
    byte late;
#endif
#ifdef ROUNDS
    byte rounds, first_wanted;
    do
    :: rounds < ROUNDS ->
        rounds++;
        if
        :: true -> first_wanted = READ
        :: true -> first_wanted = WRITE
        fi;
        do
        :: first_wanted == NONE -> break
        :: atomic { first_wanted != NONE && allowed(space) >= first_wanted -> touch(space, first_wanted); break }
        :: first_wanted != NONE && allowed(space) < first_wanted -> fault(space)
        od
    :: rounds == ROUNDS -> break
    od
#else
end:
    do
    :: fault(space)
    od
#endif
}
