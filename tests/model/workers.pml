// Address spaces that are processes: an owner that keeps the page map, and workers with page tables of their own, which
// the owner can only ask. One page, which both map. [file: functions] says which code a step stands for.
//
// What a fault and a removal do to each other is in faults.pml and removal.pml: here faults are served between removals.
// The owner does not wait for the agent before it goes on after a grant, as the code does: the order alone carries.
//
// A scenario, by macros: ROUNDS (how often the owner tries to free the page before it ends), LIVING (nobody dies or
// hangs).

// The properties. Never true: an assertion `condition || property` fails under the property's name.
bool access_by_stale_translation;
bool removal_that_fails_again;
#define REQUIRE(condition, property) assert((condition) || property)

#define WORKERS 2
#define GRANT 1
#define REVOKE 2
#ifndef ROUNDS
#define ROUNDS 3
#endif

typedef Worker {
    bool present;       // the owner's entry: owner lock
    bool open;          // the worker's own page table
    bool stale;         // the model's own: open when the page was freed
    bool wants;         // a fault waits for the owner to see it
    bool waits;         // and then for the agent to open the page
    bool may_open;      // for mutants: granted, and not by the agent
    bool gathered;      // the removal under way has revoked the entry
    bool acknowledged;  // [agent_channel.hpp: answered] and so is the revocation
    bool hangs;         // its agent does not answer, now
    bool killed;        // SIGKILL was sent; its threads may run on
    bool exited;        // reported by its pidfd: no thread of it runs
    bool lost;          // [agent_link.hpp: lost] killed, and its end not reported within the bound
}
Worker worker[WORKERS];
chan asked_0 = [3] of { byte };  // [agent_channel.hpp: ring] in one order: the sequence numbers
chan asked_1 = [3] of { byte };
bool owner_lock;

#define alive(number) (!worker[number].exited)
// Asks the kernel again: who ends after all is lost no more.
#define is_lost(number) (worker[number].lost && alive(number))

// [worker_process.cpp: serve] What the worker's threads do: touch the page, or fault; and what ends it.
proctype Threads(byte number) {
end:
    do
    :: atomic { alive(number) && worker[number].open -> REQUIRE(!worker[number].stale, access_by_stale_translation) }
    :: atomic {
           alive(number) && !worker[number].killed && !worker[number].open && !worker[number].waits ->
           worker[number].waits = true;
           worker[number].wants = true
       }
#ifdef WITHOUT_THE_AGENT_ALONE
    :: atomic { alive(number) && worker[number].may_open -> worker[number].may_open = false; worker[number].waits = false; worker[number].open = true }
#endif
#ifndef LIVING
    :: atomic { !worker[number].killed -> worker[number].killed = true }
#endif
    :: atomic { worker[number].killed && !worker[number].exited -> worker[number].exited = true }
    :: atomic { worker[number].exited -> break }
    od
}

// [agent.cpp: perform, set_access] What nobody waits for any more is done, and acknowledged to nobody.
inline apply(number) {
#ifdef WITHOUT_AN_AGENT_THAT_TAKES_NO_OWNER_LOCK
    atomic { !owner_lock };
#endif
    atomic {
        if
        :: !alive(number)
        :: alive(number) && command == GRANT -> worker[number].open = true; worker[number].waits = false
        :: alive(number) && command == REVOKE -> worker[number].open = false; worker[number].acknowledged = worker[number].gathered
        fi;
        command = 0
    }
}

// [agent.cpp: serve] Applies what the owner asks, in the order asked, and touches nothing else.
proctype Agent(byte number; chan asked) {
    byte command;
end:
    do
#ifdef WITHOUT_ONE_ORDER
    :: atomic { alive(number) && !worker[number].hangs && asked ?? [REVOKE] -> asked ?? REVOKE; command = REVOKE }; apply(number)
#endif
    :: atomic { alive(number) && !worker[number].hangs && nempty(asked) -> asked ? command }; apply(number)
#ifndef LIVING
    // Stopped, or starved; it may go on when nobody waits any more.
    :: atomic { alive(number) -> worker[number].hangs = !worker[number].hangs }
#endif
    :: atomic { !alive(number) -> break }
    od
}

// [worker.cpp: attend] [page_map_fault.hpp: fault, grant] The entry and the request to open are one step under the owner's
// lock. [agent_link.cpp: post] Nobody asks a lost worker: its fault fails, and its entry is present all the same.
inline serve(number, asked) {
    atomic {
        worker[number].wants && !owner_lock && nfull(asked) ->
        worker[number].wants = false;
        worker[number].present = true;
        if
        :: alive(number) && !worker[number].lost ->
#ifdef WITHOUT_THE_AGENT_ALONE
            worker[number].may_open = true
#else
            asked ! GRANT
#endif
        :: else -> worker[number].waits = false
        fi
    }
}

proctype Attendants() {
end:
    do
    :: serve(0, asked_0)
    :: serve(1, asked_1)
    od
}

// [page_map_removal.hpp: revoke_entries] [shootdown.hpp: post_to_workers] [agent_link.cpp: post] A page that a lost worker
// may still reach is passed by. Owner lock.
inline revoke(number, asked) {
    atomic {
        if
        :: !worker[number].present
#ifndef WITHOUT_PASSING_BY_WHAT_IS_LOST
        :: worker[number].present && is_lost(number) -> passed_by = true
        :: worker[number].present && !is_lost(number) ->
#else
        :: worker[number].present ->
#endif
            worker[number].present = false;
            worker[number].gathered = true;
            worker[number].acknowledged = false;
            if
            :: worker[number].lost || !alive(number)
            :: else -> asked ! REVOKE
            fi
        fi
    }
}

// [agent_link.cpp: answer_to, kill] Waits for the acknowledgement, or for the reported end. When the time is up it kills
// and waits for the end; when that time is up, too, the worker is lost and the removal fails.
inline wait_for(number) {
    if
    :: atomic { !worker[number].gathered || worker[number].acknowledged }
#ifndef WITHOUT_ACKNOWLEDGING_FOR_THE_DEAD
    :: atomic { worker[number].gathered && worker[number].exited }
#ifdef WITHOUT_WAITING_FOR_THE_EXIT
    :: atomic { worker[number].gathered && worker[number].killed }
#endif
    :: atomic {
           worker[number].gathered && alive(number) && !worker[number].acknowledged &&
               (worker[number].hangs || worker[number].lost) ->
           REQUIRE(!worker[number].lost, removal_that_fails_again);
           worker[number].killed = true;
           worker[number].lost = true;
#ifndef WITHOUT_QUARANTINE_OF_THE_HANGING
           failed = true
#endif
       }
#endif
    fi
}

// [page_map_removal.hpp: abandon_removal] The hardware may be open. Owner lock.
inline restore(number) {
#ifdef WITHOUT_ENTRIES_PRESENT_AGAIN
    skip
#else
    worker[number].present = worker[number].present || worker[number].gathered
#endif
}

// [page_map_removal.hpp: remove_contig] Again and again, also after a failure: what a lost worker kept from being freed is
// freed once its end was reported.
proctype Owner() {
    byte rounds;
    bool passed_by, failed;
    do
    :: rounds == ROUNDS -> break
    :: rounds < ROUNDS ->
        atomic { !owner_lock -> owner_lock = true; rounds++ };
        revoke(0, asked_0);
        revoke(1, asked_1);
        wait_for(0);
        wait_for(1);
        atomic {
            if
            :: failed -> restore(0); restore(1)
            :: !failed && passed_by  // it stays in the map; others would go
            :: else ->
                worker[0].stale = worker[0].open && alive(0);
                worker[1].stale = worker[1].open && alive(1)
            fi;
            passed_by = false;
            failed = false;
            worker[0].gathered = false;
            worker[1].gathered = false;
            owner_lock = false
        }
    od
}

init {
    atomic {
        run Threads(0); run Threads(1);
        run Agent(0, asked_0); run Agent(1, asked_1);
        run Attendants(); run Owner();
    }
}
