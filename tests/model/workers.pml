// Address spaces that are processes: an owner that keeps the page map, and a worker with page tables of its own, which
// the owner can only ask. SEMANTICS: the agent alone applies grants and revocations, in one order; a dead worker is
// acknowledged for once its exit was reported; one that neither answers nor exits has its frame quarantined.
//
// A scenario, by macros: ROUNDS (how many pages the owner frees before it ends), LIVING (nobody dies or hangs).

// The properties. Never true: an assertion `condition || property` fails under the property's name.
bool access_by_stale_translation;
#define REQUIRE(condition, property) assert((condition) || property)

#define WORKERS 2
#define GRANT 1
#define REVOKE 2
#ifndef ROUNDS
#define ROUNDS 2
#endif

typedef Worker {
    bool present;       // the owner's entry: owner lock
    bool open;          // the worker's own page table
    bool stale;         // the model's own: open when the page was freed
    bool wants;         // a fault waits for the owner to see it
    bool waits;         // and then for the agent to open the page
    bool may_open;      // for mutants: granted, and not by the agent
    bool acknowledged;
    bool hangs;         // its agent answers no more, and it does not die
    bool killed;        // SIGKILL was sent; its threads may run on
    bool exited;        // reported by its pidfd: no thread of it runs
    bool given_up;
}
Worker worker[WORKERS];
chan asked_0 = [3] of { byte };  // in one order: the sequence numbers
chan asked_1 = [3] of { byte };
bool owner_lock;
bool quarantined;

#define alive(number) (!worker[number].exited)

// What the worker's threads do: touch the page, or fault; and what ends it.
proctype Threads(byte number) {
end:
    do
    :: atomic { alive(number) && worker[number].open -> REQUIRE(!worker[number].stale, access_by_stale_translation) }
    :: atomic {
           alive(number) && !worker[number].killed && !worker[number].open && !worker[number].waits &&
               !worker[number].given_up -> worker[number].waits = true; worker[number].wants = true
       }
#ifdef WITHOUT_THE_AGENT_ALONE
    :: atomic { alive(number) && worker[number].may_open -> worker[number].may_open = false; worker[number].waits = false; worker[number].open = true }
#endif
#ifndef LIVING
    :: atomic { !worker[number].killed -> worker[number].killed = true }
#endif
    :: atomic { worker[number].killed && !worker[number].exited && !worker[number].hangs -> worker[number].exited = true }
    :: atomic { worker[number].exited -> break }
    od
}

inline apply(number) {
#ifdef WITHOUT_AN_AGENT_THAT_TAKES_NO_OWNER_LOCK
    atomic { !owner_lock };
#endif
    atomic {
        if
        :: !alive(number)
        :: alive(number) && command == GRANT -> worker[number].open = true; worker[number].waits = false
        :: alive(number) && command == REVOKE -> worker[number].open = false; worker[number].acknowledged = true
        fi;
        command = 0
    }
}

// Applies what the owner asks, in the order asked, and touches nothing else.
proctype Agent(byte number; chan asked) {
    byte command;
end:
    do
#ifdef WITHOUT_ONE_ORDER
    :: atomic { alive(number) && !worker[number].hangs && asked ?? [REVOKE] -> asked ?? REVOKE; command = REVOKE }; apply(number)
#endif
    :: atomic { alive(number) && !worker[number].hangs && nempty(asked) -> asked ? command }; apply(number)
#ifndef LIVING
    :: atomic { alive(number) && !worker[number].hangs -> worker[number].hangs = true; break }
#endif
    :: atomic { !alive(number) -> break }
    od
}

// Serves faults: the entry and the request to open are one step under the owner's lock.
inline serve(number, asked) {
    atomic {
        worker[number].wants && !owner_lock && !quarantined && nfull(asked) ->
        worker[number].wants = false;
        if
        :: alive(number) && !worker[number].given_up ->
            worker[number].present = true;
#ifdef WITHOUT_THE_AGENT_ALONE
            worker[number].may_open = true
#else
            asked ! GRANT
#endif
        :: else -> worker[number].waits = false
        fi
    }
}

proctype Server() {
end:
    do
    :: serve(0, asked_0)
    :: serve(1, asked_1)
    od
}

inline revoke(number, asked) {
    atomic {
        if
        :: worker[number].present && !worker[number].given_up ->
            worker[number].present = false;
            worker[number].acknowledged = false;
            asked ! REVOKE
        :: else -> worker[number].acknowledged = true
        fi
    }
}

// Waits for the acknowledgement, or for the exit; when the time is up it kills and waits for the exit; and then gives up.
inline wait_for(number) {
    if
    :: atomic { worker[number].acknowledged }
#ifdef WITHOUT_ACKNOWLEDGING_FOR_THE_DEAD
#else
    :: atomic { worker[number].exited }
#ifdef WITHOUT_WAITING_FOR_THE_EXIT
    :: atomic { worker[number].killed }
#endif
    :: atomic { worker[number].hangs -> worker[number].killed = true; worker[number].given_up = true };
#ifndef WITHOUT_QUARANTINE_OF_THE_HANGING
       quarantined = true
#endif
#endif
    fi
}

proctype Owner() {
    byte rounds;
    do
    :: rounds == ROUNDS || quarantined -> break
    :: rounds < ROUNDS && !quarantined ->
        rounds++;
        atomic { !owner_lock -> owner_lock = true };
        revoke(0, asked_0);
        revoke(1, asked_1);
        wait_for(0);
        wait_for(1);
        atomic {
            if
            :: quarantined  // the frame is never handed out again
            :: else ->
                worker[0].stale = worker[0].open && alive(0);
                worker[1].stale = worker[1].open && alive(1)
            fi;
            owner_lock = false
        }
    od
}

init {
    atomic {
        run Threads(0); run Threads(1);
        run Agent(0, asked_0); run Agent(1, asked_1);
        run Server(); run Owner();
    }
}
