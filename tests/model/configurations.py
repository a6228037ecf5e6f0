"""The scenarios that are searched through, and what each rule and each defect breaks when it is taken away or put back."""

from verifier import ENDLESS, HANG, Configuration, Kind

# Who takes part, by scenario of mappings.pml; each is searched through for both read paths.
ONE_SPACE = ("FAULTERS_OF_1=0",)
SCENARIOS: dict[str, tuple[str, ...]] = {
    "two-spaces": (),
    "user": (*ONE_SPACE, "HOLDERS=1"),
    "two-threads": (*ONE_SPACE, "FAULTERS_OF_0=2"),
    "munmap": (*ONE_SPACE, "UNMAPPED"),
    "protect": (*ONE_SPACE, "PROTECTED"),
    "private": ("FAULTERS_OF_0=0", "PRIVATE", "HOLDERS=1"),
    "failing-mprotect": (*ONE_SPACE, "FAILING_MPROTECT"),
    "failing-store": (*ONE_SPACE, "HOLDERS=1", "FAILING_STORE", "FAILING_PUNCH"),
    # What carries where the other of two defences is gone.
    "no-removal-word": (*ONE_SPACE, "REMOVERS=2", "WITHOUT_REMOVAL_WORD"),
}
READ_PATH_SCENARIOS: dict[str, tuple[str, ...]] = {
    "walk": (),
    "walk-locked": ("LOCKED",),
    "walk-quiescent": ("QUIESCENT",),
    "walk-quiescent-online": ("QUIESCENT", "ROUNDS=2", "WITHOUT_OFFLINE"),
    "walk-quiescent-waiting": ("QUIESCENT", "ROUNDS=2", "WITHOUT_UNLOCKED_GRACE_PERIOD"),
}
WORKER_SCENARIOS: dict[str, tuple[str, ...]] = {"workers": (), "workers-living": ("LIVING",)}
# Who takes part where every thread ends after its rounds, so that none may go on for ever; each for both read paths.
ENDING_SCENARIOS: dict[str, tuple[str, ...]] = {
    "ending": ("ROUNDS=2", *ONE_SPACE, "UNMAPPED"),
    "ending-user": ("ROUNDS=1", *ONE_SPACE, "HOLDERS=1", "UNMAPPED"),
    **{f"ending-{name}": ("ROUNDS=1", *SCENARIOS[name]) for name in ("two-spaces", "protect", "private", "failing-mprotect", "failing-store")},
}

# Rule: scenario, and the property that breaks.
RULES: dict[str, tuple[str, str]] = {
    # A grant is one step.
    "WITHOUT_ONE_STEP_GRANT": ("one-space", "lost_write"),
    # Closed but present is legal.
    "WITHOUT_REAPPLIED_RIGHTS": ("one-space-ending", ENDLESS),
    "WITHOUT_RIGHTS_DECIDED_UNDER_THE_LOCK": ("one-space", "access_by_stale_translation"),
    "WITHOUT_PRESENT_SPARED": ("one-space", "access_by_stale_translation"),
    # Dirty is folded under the lock that clears the entry.
    "WITHOUT_FOLDING_AND_CLEARING_AT_ONCE": ("munmap", "use_of_removed_region"),
    "WITHOUT_KEPT_DIRTY": ("one-space", "lost_write"),
    "WITHOUT_FLUSH_BEFORE_CLEANING": ("one-space", "lost_write"),
    "WITHOUT_DIRTY_CLEARED_FIRST": ("user", "lost_write"),
    "WITHOUT_DIRTY_BEFORE_PUT": ("user", "lost_write"),
    "WITHOUT_DIRTY_AFTER_FAILURE": ("failing-store", "lost_write"),
    "WITHOUT_DIRTY_SPARED": ("failing-store", "lost_write"),
    "WITHOUT_LOCKED_WRITE_OUT": ("no-removal-word", "use_of_freed_page"),
    "WITHOUT_LOCKED_SPARED": ("no-removal-word", "use_of_freed_page"),
    # Late punch.
    "WITHOUT_LATE_PUNCH": ("one-space", "stale_read"),
    "WITHOUT_LATE_RELEASE": ("one-space", "use_of_freed_page"),
    "WITHOUT_LEAF_KEPT_FOR_THE_PUNCH": ("walk", "use_of_freed_node"),
    "WITHOUT_QUARANTINE": ("failing-store", "frame_freed_before_its_memory"),
    # munmap.
    "WITHOUT_CLOSING_FIRST": ("munmap", "access_by_stale_translation"),
    "WITHOUT_SECOND_LOOK_FOR_DEAD": ("munmap", "use_of_removed_region"),
    "WITHOUT_UNLINKING_UNDER_THE_MAP_LOCK": ("munmap", "use_of_removed_region"),
    "WITHOUT_WAITING_FOR_PINS": ("munmap", "use_of_removed_region"),
    # A private copy.
    "WITHOUT_COPY_NOW": ("private", "access_by_stale_translation"),
    "WITHOUT_REFERENCE_UNTIL_COPIED": ("private", "stale_read"),
    # A failed mprotect leaves the hardware unknown.
    "WITHOUT_CLOSING_AFTER_FAILURE": ("failing-mprotect", "access_by_stale_translation"),
    "WITHOUT_RESTORED_ENTRIES": ("failing-mprotect", "access_by_stale_translation"),
    # A failed load only unlocks.
    "WITHOUT_DISCARD_AT_ZERO": ("failing-store", "dropped_while_referenced"),
    "WITHOUT_DISCARD_MARK": ("failing-store", "lost_write"),
    "WITHOUT_SECOND_LOOK": ("user", "lost_write"),
    # Slots live only in leaves, and other invariants of the walk.
    "WITHOUT_STABLE_SLOTS": ("walk", "use_of_freed_node"),
    "WITHOUT_GRACE_PERIOD": ("walk", "use_of_freed_node"),
    "WITHOUT_UNLINKING_FIRST": ("walk", "use_of_freed_node"),
    "WITHOUT_PUBLISHING_LAST": ("walk", "use_of_freed_page"),
    "WITHOUT_UNLOCKED_GRACE_PERIOD": ("walk-quiescent-online", HANG),
    "WITHOUT_OFFLINE": ("walk-quiescent-waiting", HANG),
    # The order of the passes, and what a fault owes to the page.
    "WITHOUT_SHOOTDOWN": ("one-space", "access_by_stale_translation"),
    "WITHOUT_REFERENCE_UNTIL_MAPPED": ("one-space", "entry_of_freed_page"),
    # Workers.
    "WITHOUT_THE_AGENT_ALONE": ("workers", "access_by_stale_translation"),
    "WITHOUT_ONE_ORDER": ("workers", "access_by_stale_translation"),
    "WITHOUT_AN_AGENT_THAT_TAKES_NO_OWNER_LOCK": ("workers-living", HANG),
    "WITHOUT_ACKNOWLEDGING_FOR_THE_DEAD": ("workers", HANG),
    "WITHOUT_WAITING_FOR_THE_EXIT": ("workers", "access_by_stale_translation"),
    "WITHOUT_QUARANTINE_OF_THE_HANGING": ("workers", "access_by_stale_translation"),
    "WITHOUT_ENTRIES_PRESENT_AGAIN": ("workers", "access_by_stale_translation"),
    "WITHOUT_PASSING_BY_WHAT_IS_LOST": ("workers", "removal_that_fails_again"),
}
# Defects of the reference that are races, or show in one slot.
DEFECTS: dict[str, tuple[str, str]] = {
    "DEFECT_2": ("munmap", "lost_write"),
    "DEFECT_3": ("user", "frame_without_its_flags_cleared"),
    "DEFECT_8": ("walk", "dropped_while_referenced"),
    "DEFECT_11": ("two-threads", "dropped_while_referenced"),
    "DEFECT_12": ("one-space", "dropped_while_referenced"),
    "DEFECT_13": ("one-space", "access_by_stale_translation"),
    "DEFECT_14": ("protect", "lost_write"),
}
_MUTANTS_ONLY: dict[str, tuple[str, tuple[str, ...]]] = {
    "one-space": ("mappings", ONE_SPACE),
    "one-space-ending": ("mappings", (*ONE_SPACE, "ROUNDS=2")),
}


def _scenarios() -> list[Configuration]:
    found = []
    for name, macros in SCENARIOS.items():
        found.append(Configuration(f"{name}-rcu", "mappings", macros))
        found.append(Configuration(f"{name}-locked", "mappings", (*macros, "LOCKED")))
    for name, macros in READ_PATH_SCENARIOS.items():
        found.append(Configuration(name, "read_path", macros))
    # Every thread ends: what the remover waits for comes.
    for suffix, path in (("rcu", ()), ("locked", ("LOCKED",))):
        for name, macros in ENDING_SCENARIOS.items():
            found.append(Configuration(f"{name}-{suffix}", "mappings", (*macros, *path), ends=True))
        found.append(Configuration(f"ending-walk-{suffix}", "read_path", ("ROUNDS=2", "READERS=1", *path), ends=True))
    found.append(Configuration("ending-walk-quiescent", "read_path", ("ROUNDS=2", "READERS=1", "QUIESCENT"), ends=True))
    found += [Configuration(name, "workers", macros) for name, macros in WORKER_SCENARIOS.items()]
    return found


def _mutants(kind: Kind, mutants: dict[str, tuple[str, str]]) -> list[Configuration]:
    where = {name: ("mappings", macros) for name, macros in SCENARIOS.items()}
    where |= {name: ("read_path", macros) for name, macros in READ_PATH_SCENARIOS.items()}
    where |= _MUTANTS_ONLY | {name: ("workers", macros) for name, macros in WORKER_SCENARIOS.items()}
    return [Configuration(macro.lower().replace("_", "-"), where[scenario][0], (*where[scenario][1], macro), kind, found)
            for macro, (scenario, found) in mutants.items()]


CONFIGURATIONS: list[Configuration] = [*_scenarios(), *_mutants(Kind.RULE, RULES), *_mutants(Kind.DEFECT, DEFECTS)]
