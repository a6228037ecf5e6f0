"""What samples say about time by kind, from the functions on their stacks: the TLB, the lock, or neither."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from page_map_lab.flame_graph import measured_frames
from page_map_lab.perf_script import TraceEvent
from page_map_lab.trace_attribution import FLUSH, GRACE, INTERRUPT, LOCK, OWN
from page_map_lab.trace_attribution import CALL as SYSTEM_CALL

FAULT = "page faults"
# The first kind of which a function is on the stack counts.
_PATTERNS = (
    (GRACE, re.compile(r"synchronize_rcu|membarrier|urcu\w*_(synchronize|wait)|wait_for_readers|wait_gp|GracePeriod|::synchronize\b")),
    (LOCK, re.compile(r"lock_slowpath|\bfutex|queued_spin|rwsem_down|osq_lock|mutex_lock|pthread_(mutex|spin|rwlock)_\w*lock|[Ll]ock::(lock|acquire)\b|::lock\(")),
    (FLUSH, re.compile(r"flush_tlb|smp_call_function|on_each_cpu|tlb_(finish|flush|gather)|flush_tlb_func")),
    (FAULT, re.compile(r"exc_page_fault|handle_mm_fault|::handle_fault|serve_fault|FaultHandler")),
    (SYSTEM_CALL, re.compile(r"entry_SYSCALL|do_syscall_64|el0_svc")),
    (INTERRUPT, re.compile(r"sysvec_|asm_common_interrupt|el0_irq|el1_irq|handle_irq")),
)  # fmt: skip
KINDS = (*(kind for kind, _ in _PATTERNS), OWN)


def kind_of(sample: TraceEvent) -> str:
    """The kind of one sample."""
    stack = "\n".join(sample.stack)
    return next((kind for kind, pattern in _PATTERNS if pattern.search(stack)), OWN)


def shares(samples: Iterable[TraceEvent]) -> dict[str, dict[str, float]]:
    """Role to kind to its share of the role's samples in percent, and under `samples` how many there were."""
    counts: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for sample in samples:
        if measured_frames(sample):
            counts[sample.thread_name][kind_of(sample)] += 1
    found = {}
    for role, kinds in sorted(counts.items()):
        total = sum(kinds.values())
        found[role] = {**{kind: 100 * kinds.get(kind, 0.0) / total for kind in KINDS}, "samples": total}
    return found
