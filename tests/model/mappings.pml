// Faults, mappings and their translations, and what takes pages away: remove_contig, writeback, remove_region,
// protect_region, over one slot and two address spaces. [file: functions] says which code a step stands for.
//
// A scenario, by macros: FAULTERS_OF_0 and FAULTERS_OF_1 (threads that fault in each space, default 1 and 1), HOLDERS
// (users of load and put), REMOVERS (default 1: remove_contig or writeback, again and again), UNMAPPED and PROTECTED (the
// region of space 0 is unmapped and mapped again, its protection changed), PRIVATE (the region of space 1 is
// copy-on-write), FAILING_MPROTECT, FAILING_STORE, FAILING_PUNCH; ROUNDS: each thread ends after as many, and only faulting
// threads touch memory. LOCKED is the read path under the map's lock, otherwise it is RCU's.

#define every_translation_is_gone(number) translations_of(number)
#include "page.pml"

#ifndef FAULTERS_OF_0
#define FAULTERS_OF_0 1
#endif
#ifndef FAULTERS_OF_1
#define FAULTERS_OF_1 1
#endif
#ifndef HOLDERS
#define HOLDERS 0
#endif
#ifndef REMOVERS
#define REMOVERS 1
#endif

#define SPACES 2
#define NONE 0
#define READ 1
#define WRITE 2

typedef Entry {  // [page_table.hpp: PageTableEntry] under its space's page-table lock
    byte frame;
    bool present;
    bool writable;
    bool dirty;
    bool private_copy;
}
typedef Region {      // [region.hpp: Region] one in each space
    byte protection;  // page-table lock
    bool dead;        // page-table lock
    bool linked;      // in the reverse map: map lock
    bool attached;    // in the space's list: list lock
    byte pins;
    bool gone;        // the model's own: its addresses were given back
}
Entry entry[SPACES];
Region region[SPACES];
bool table_lock[SPACES];  // [address_space.hpp: page_table_lock]

// The machine: what the system's page table allows, what the processor remembers of it, and an interrupt under way that
// makes it forget. `stale` is the model's own: the page left the map while a translation to it was left.
byte hardware[SPACES];
byte tlb[SPACES];
bool interrupt[SPACES];
bool stale[SPACES];
bool copied[SPACES];  // the system copied a private mapping's page

#ifdef PRIVATE
#define private_space(space) (space == 1)
#else
#define private_space(space) false
#endif
#define allowed(space) (tlb[space] > hardware[space] -> tlb[space] : hardware[space])
#define maps_shared_page(space) (entry[space].frame != 0 && !entry[space].private_copy)
#define rights(space) (!entry[space].present -> NONE : (entry[space].writable -> WRITE : READ))
#define refused(space, wanted) (region[space].dead || wanted > region[space].protection)
#define lock_table(space) !table_lock[space] -> table_lock[space] = true
#define unlock_table(space) table_lock[space] = false

#define unmap(space) d_step { \
    entry[space].frame = 0; entry[space].present = false; entry[space].writable = false; \
    entry[space].dirty = false; entry[space].private_copy = false }

// A page leaves its slot: what could still reach it is an error when it does, and its entries are gone already.
#define translation_of(space, number) \
    REQUIRE(entry[space].frame != number || entry[space].private_copy, entry_of_freed_page); \
    stale[space] = allowed(space) != NONE && !copied[space]
inline translations_of(number) { translation_of(0, number); translation_of(1, number) }

// [region.hpp: close_hardware] and every other set_access: mprotect changes the page table, interrupts the processors that
// may remember it, and waits for them: inside an atomic sequence, which the wait interrupts.
inline set_access(space, access) {
    hardware[space] = access;
    interrupt[space] = (tlb[space] > access);
#ifndef DEFECT_13
    !interrupt[space]
#endif
}
// As set_access; where the system has no room for another mapping `failed` is set, and the hardware unknown.
inline try_set_access(space, access, failed) {
#ifdef FAILING_MPROTECT
    if
    :: set_access(space, access); failed = false
    :: FAILING failed = true
    :: FAILING failed = true; hardware[space] = access; interrupt[space] = (tlb[space] > access)
    fi
#else
    set_access(space, access); failed = false
#endif
}

// One access through the region: by what the processor remembers, else by what the page table allows.
inline touch(space, access) {
    REQUIRE(!stale[space], access_by_stale_translation);
    REQUIRE(region[space].attached, use_of_removed_region);
    if
    :: tlb[space] < access -> tlb[space] = hardware[space]
    :: else
    fi;
#ifdef PRIVATE
    if
    :: private_space(space) && !copied[space] ->
        REQUIRE(memory_is_newest && slot_frame != 0, stale_read);
        copied[space] = (access == WRITE)
    :: private_space(space) && copied[space]
    :: else ->
#endif
        REQUIRE(memory_is_newest, stale_read);
        if
        :: access == WRITE -> write_bytes()
        :: else
        fi
#ifdef PRIVATE
    fi
#endif
}

// A processor that runs the space: it touches memory when it can, and answers interrupts.
proctype Processor(byte space) {
end:
    do
#ifndef ROUNDS
    :: atomic { allowed(space) >= READ -> touch(space, READ) }
    :: atomic { allowed(space) == WRITE -> touch(space, WRITE) }
#endif
    :: d_step {
           interrupt[space] -> tlb[space] = NONE; interrupt[space] = false;
           if
           :: hardware[space] == NONE -> stale[space] = false
           :: else
           fi
       }
    od
}

// [page_map_fault.hpp: grant] Page-table lock.
inline grant(space, failed) {
    access = (rights(space) < region[space].protection -> rights(space) : region[space].protection);
    try_set_access(space, access, failed);
    if
    :: failed ->
        try_set_access(space, NONE, failed);
        if
        :: !failed -> try_set_access(space, access, failed);
            if
            :: failed -> try_set_access(space, NONE, failed)
            :: else
            fi
        :: else
        fi
    :: else
    fi;
    access = NONE
}

#include "faults.pml"
#include "removal.pml"

#if HOLDERS > 0
// A user of the page by load and put, through the kernel-side mapping. [page_map_load.hpp: mark_dirty]
proctype Holder() {
    byte held, fresh;
    bool marked_before;
    byte rounds;
end:
    do
#ifdef ROUNDS
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS -> rounds++;
#else
    ::
#endif
        load(held, fresh);
        if
        :: held == 0
        :: else ->
            if
            :: atomic { REQUIRE(in_the_map(held), dropped_while_referenced); REQUIRE(memory_is_newest, stale_read) }
            :: atomic { REQUIRE(in_the_map(held), dropped_while_referenced); write_bytes() };
#ifdef WITHOUT_DIRTY_BEFORE_PUT
               put(held);
               page[held].dirty = true;
               held = 0
#else
               page[held].dirty = true
#endif
            fi;
            if
            :: held != 0 -> put(held)
            :: else
            fi
        fi;
        held = 0
    od
}
#endif

init {
    atomic {
        region[0].protection = WRITE; region[0].linked = true; region[0].attached = true;
        region[1].protection = WRITE; region[1].linked = true; region[1].attached = true;
        run Processor(0);
        run Processor(1);
#if FAULTERS_OF_0 > 0
        run Faulter(0);
#endif
#if FAULTERS_OF_0 > 1
        run Faulter(0);
#endif
#if FAULTERS_OF_1 > 0
        run Faulter(1);
#endif
#if HOLDERS > 0
        run Holder();
#endif
#if HOLDERS > 1
        run Holder();
#endif
#if REMOVERS > 0
        run Remover();
#endif
#if REMOVERS > 1
        run Remover();
#endif
#ifdef UNMAPPED
        run Unmapper();
#endif
#ifdef PROTECTED
        run Protector();
#endif
    }
}
