"""What a profiling session draws and counts: stacks, flame graphs, differences, spans, attribution, timelines."""

import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import pytest

from page_map_lab import flame_graph, sample_kinds, timeline, trace_attribution
from page_map_lab.cli_errors import UsageError
from page_map_lab.machine import Machine
from page_map_lab.perf_script import TraceEvent, read_events, short_name, system_call_name
from page_map_lab.profile_views import hardware_views, lock_waits, off_cpu
from page_map_lab.trace_attribution import CALL, DESCHEDULED, FLUSH, GRACE, INTERRUPT, KINDS, LOCK, OWN, Mark

SAMPLES = """\
initiator 100 [000] 10.000000100:     200000 cpu-clock:
\tffffffff81000001 flush_tlb_mm_range
\tffffffff81000002 do_syscall_64
\t           1000 page_map_lab::PageMap<page_map_lab::Variant<int> >::remove_contig(page_map_lab::PageRange)
\t           2000 std::_Function_handler<void ()>::_M_invoke
\t           3000 page_map_lab::bench::ThreadTeam::Worker::run

victim 101 [001] 10.000000300: cpu-clock:
\t           4000 page_map_lab::bench::suffer<page_map_lab::bench::Lambda(unsigned long)#1>
\t           3000 page_map_lab::bench::ThreadTeam::Worker::run

initiator 100 [000] 10.000000900: cpu-clock:
\t           4000 page_map_lab::bench::ProfilerControl::ask
\t           3000 page_map_lab::bench::ThreadTeam::Worker::run
"""
TRACE = """\
initiator 100 [000] 5.000001000: raw_syscalls:sys_enter: NR 10 (7f, 1000, 0, 0, 0, 0)
initiator 100 [000] 5.000001200: tlb:tlb_flush: pages:1 reason:remote ipi send (4)
victim 101 [001] 5.000001300: irq_vectors:call_function_single_entry: vector=251
victim 101 [001] 5.000001350: tlb:tlb_flush: pages:1 reason:remote shootdown (1)
victim 101 [001] 5.000001400: irq_vectors:call_function_single_exit: vector=251
initiator 100 [000] 5.000001500: raw_syscalls:sys_exit: NR 10 = 0
initiator 100 [000] 5.000001600: lock:contention_begin: 0xff (flags=WRITE)
initiator 100 [000] 5.000001700: lock:contention_end: 0xff (ret=0)
initiator 100 [-01] 5.000001750: PERF_RECORD_SWITCH OUT preempt
initiator 100 [-01] 5.000001790: PERF_RECORD_SWITCH IN
initiator 100 [000] 5.000001800: raw_syscalls:sys_enter: NR 324 (1, 0, 0, 0, 0, 0)
initiator 100 [000] 5.000001850: raw_syscalls:sys_exit: NR 324 = 0
initiator 100 [000] 5.000001865: raw_syscalls:sys_enter: NR 202 (7f, 0, 0, 0, 0, 0)
initiator 100 [000] 5.000001885: raw_syscalls:sys_exit: NR 202 = 0
"""
START = 5_000_001_000
MARKS = [
    Mark("remove", "removal", "initiator", 1, 100, START - 100, START + 1000),
    Mark("remove", "flush", "initiator", 1, 100, START, START + 500),
    Mark("remove", "free", "initiator", 1, 100, START + 500, START + 710),
    Mark("remove", "lock", "initiator", 1, 100, START + 710, START + 730),
    Mark("remove", "free", "initiator", 1, 100, START + 730, START + 795),
    Mark("remove", "grace_period", "initiator", 1, 100, START + 795, START + 860),
    Mark("remove", "free", "initiator", 1, 100, START + 860, START + 900),
    Mark("remove", "at work", "victim", 1, 101, START - 5000, START + 5000),
    Mark("remove", "stall", "victim", 1, 101, START + 290, START + 420),
]


@pytest.fixture(name="events")
def fixture_events(monkeypatch: pytest.MonkeyPatch) -> list[TraceEvent]:
    """The trace of one removal."""
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return list(read_events(TRACE.splitlines()))


def test_samples_are_read_with_their_stacks() -> None:
    samples = list(read_events(SAMPLES.splitlines()))
    assert [(sample.thread_name, sample.time_ns, len(sample.stack)) for sample in samples] == [
        ("initiator", 10_000_000_100, 5), ("victim", 10_000_000_300, 2), ("initiator", 10_000_000_900, 2),
    ]  # fmt: skip
    assert samples[0].stack[0] == "flush_tlb_mm_range_[k]" and samples[0].name.startswith("cpu-clock")


@pytest.mark.parametrize(
    ("symbol", "short"),
    [
        ("page_map_lab::PageMap<page_map_lab::Variant<A, B> >::remove_contig(page_map_lab::PageRange)", "PageMap::remove_contig"),
        ("page_map_lab::bench::RemoveTarget::timed<X::remove(Y*)::{lambda()#1}>", "RemoveTarget::timed"),
        ("do_syscall_64_[k]", "do_syscall_64_[k]"),
        ("__mprotect", "__mprotect"),
    ],
)
def test_names_are_short_enough_to_read(symbol: str, short: str) -> None:
    assert short_name(symbol) == short


def test_stacks_are_folded_by_role_without_the_harness_and_the_profiler() -> None:
    stacks = flame_graph.fold(read_events(SAMPLES.splitlines()))
    assert stacks == {
        ("initiator", "PageMap::remove_contig", "do_syscall_64_[k]", "flush_tlb_mm_range_[k]"): 1.0, ("victim", "suffer"): 1.0,
    }  # fmt: skip


def test_a_flame_graph_is_a_picture_that_needs_nothing() -> None:
    drawn = flame_graph.draw({("a<b", "f"): 3.0, ("a<b", "g_[k]"): 1.0}, 'Title & "more"', "samples")
    root = xml.etree.ElementTree.fromstring(drawn)
    titles = [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert any(title.startswith("f: 75.00 %") for title in titles) and any(title.startswith("g_[k]: 25.00 %") for title in titles)
    assert "href" not in drawn and "<script" not in drawn
    assert "No sample" in flame_graph.draw({}, "nothing", "samples")


def test_a_difference_says_what_grew_what_shrank_and_what_went() -> None:
    before, after = {("i", "f"): 50.0, ("i", "h"): 50.0}, {("i", "f"): 3.0, ("i", "g"): 1.0}
    drawn = flame_graph.draw_difference(before, after, "from a to b", ("a", "b"))
    assert "+25.00 points" in drawn and "f: 50.00 % of its role in a, 75.00 % in b" in drawn
    assert "Only in a: h -50.0" in drawn
    assert drawn != flame_graph.draw_difference(after, before, "from a to b", ("a", "b"))


def test_roles_have_the_same_width_however_many_samples_they_have() -> None:
    assert flame_graph.by_role({("i", "f"): 1.0, ("v", "g"): 90.0, ("v", "h"): 10.0}) == {
        ("i", "f"): 0.5, ("v", "g"): 0.45, ("v", "h"): 0.05,
    }  # fmt: skip


def test_samples_have_kinds() -> None:
    found = sample_kinds.shares(read_events(SAMPLES.splitlines()))
    assert found["initiator"][FLUSH] == 100 and found["victim"][OWN] == 100 and found["initiator"]["samples"] == 1


def test_spans_pair_entries_with_exits_and_flushes_with_their_answers(events: list[TraceEvent]) -> None:
    found = [(span.kind, span.thread, span.started_ns - START, span.ended_ns - START) for span in trace_attribution.spans_of(events)]
    assert found == [
        (CALL, 100, 0, 500), (FLUSH, 100, 200, 400), (INTERRUPT, 101, 300, 400), (LOCK, 100, 600, 700),
        (DESCHEDULED, 100, 750, 790), (CALL, 100, 800, 850), (CALL, 100, 865, 885),
    ]  # fmt: skip


def test_the_kinds_of_a_phase_add_up_to_it(events: list[TraceEvent]) -> None:
    removals, rows = trace_attribution.attribution_rows("v", MARKS, trace_attribution.spans_of(events))
    found = {row["phase"]: row for row in rows}
    assert removals == 1 and list(found) == ["flush", "free", "lock", "grace_period", trace_attribution.AROUND]
    assert all(sum(row["kinds"].values()) == row["total_ns"] for row in rows)
    assert found["flush"]["kinds"] == {**dict.fromkeys(KINDS, 0), FLUSH: 200, CALL: 300}
    assert found["free"]["kinds"] == {**dict.fromkeys(KINDS, 0), LOCK: 100, DESCHEDULED: 40, CALL: 20, OWN: 155}
    assert found[trace_attribution.AROUND]["total_ns"] == 200


def test_flushes_that_nobody_answered_are_not_told_apart_rather_than_free(events: list[TraceEvent]) -> None:
    spans = trace_attribution.spans_of([event for event in events if not event.name.startswith("irq_vectors")])
    removals, rows = trace_attribution.attribution_rows("v", MARKS, spans)
    found = {row["phase"]: row["kinds"] for row in rows}
    assert removals == 1 and all(kinds[FLUSH] is None for kinds in found.values()) and found["flush"][CALL] == 500
    assert "without interrupts" in trace_attribution.attribution_notes(rows)[0]
    without = trace_attribution.spans_of([event for event in events if event.name != "tlb:tlb_flush"])
    none_sent = trace_attribution.attribution_rows("v", MARKS, without)[1]
    assert all(row["kinds"][FLUSH] == 0 for row in none_sent) and not trace_attribution.attribution_notes(none_sent)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"host": 1}', '{"host": "h", "workload": "w", "removals": 1, "rows": [{}]}', '{"host": "\\ud800", "workload": "w", "removals": 1, "rows": []}']
)
def test_a_damaged_table_of_a_profile_is_named_in_one_line_with_the_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / trace_attribution.FILE_NAME).write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        trace_attribution.find([tmp_path])
    said = str(caught.value)
    assert said.startswith(str(tmp_path / trace_attribution.FILE_NAME)) and "\n" not in said and "make it again" in said


def test_what_is_waited_for_is_what_the_marks_say_and_not_what_the_system_call_is_called(events: list[TraceEvent]) -> None:
    rows = {row["phase"]: row for row in trace_attribution.attribution_rows("v", MARKS, trace_attribution.spans_of(events))[1]}
    assert rows["lock"]["kinds"] == {**dict.fromkeys(KINDS, 0), LOCK: 20}, "spinning calls nobody"
    assert rows["grace_period"]["kinds"] == {**dict.fromkeys(KINDS, 0), GRACE: 65}, "and so may a flavour of RCU"
    assert rows["free"]["kinds"][CALL] == 20, "a futex is an agent's answer as well as a lock"


def test_a_grace_period_that_removals_share_is_shared_in_the_table(events: list[TraceEvent]) -> None:
    again = [replace(mark, run=2) for mark in MARKS if mark.name != "grace_period"]
    removals, rows = trace_attribution.attribution_rows("v", [*MARKS, *again], trace_attribution.spans_of(events))
    found = {row["phase"]: row for row in rows}
    assert removals == 2 and found["grace_period"]["kinds"][GRACE] == 32.5 and found["flush"]["total_ns"] == 500
    assert all(sum(row["kinds"].values()) == row["total_ns"] for row in rows)


def test_a_timeline_is_trace_events_and_a_picture(events: list[TraceEvent]) -> None:
    spans = trace_attribution.spans_of(events)
    run = timeline.typical_run(MARKS)
    made = timeline.trace_events(7, "v", run, spans)
    assert all(event["pid"] == 7 and event["ph"] in "MX" for event in made)
    whole = next(event for event in made if event["name"] == "removal")
    assert (whole["ts"], whole["dur"]) == (0.0, 1.1)
    assert {"flush", "lock", "grace_period", "mprotect", "stall", "call_function_single", "membarrier"} <= {event["name"] for event in made}
    assert all(0 <= event["ts"] and event["ts"] + event["dur"] <= 1.1 + 1e-9 for event in made if event["ph"] == "X")
    drawn = timeline.draw("v", run, spans)
    assert xml.etree.ElementTree.fromstring(drawn).tag.endswith("svg") and "victim: stalls" in drawn and "href" not in drawn


def test_time_off_the_processor_is_from_leaving_to_being_back() -> None:
    lines = [
        "reader 7 [000] 1.000000000: sched:sched_switch:", "\tffffffff81000001 schedule", "",
        "reader 7 [-01] 1.000000010: PERF_RECORD_SWITCH OUT", "reader 7 [-01] 1.000005000: PERF_RECORD_SWITCH IN",
        "other 8 [-01] 1.000006000: PERF_RECORD_SWITCH IN",
    ]  # fmt: skip
    samples, weights = off_cpu(list(read_events(lines)))
    assert [sample.thread for sample in samples] == [7] and weights == [5.0]


def test_waits_for_the_kernels_locks_are_summed_by_role(events: list[TraceEvent]) -> None:
    assert lock_waits(events) == [{"role": "initiator", "waits": 1, "us": 0.1, "longest_us": 0.1}]


def test_what_takes_a_pmu_is_named_with_the_reason(tmp_path) -> None:
    views = hardware_views(Machine(tmp_path))
    assert [bool(view.why_not) and not view.files for view in views] == [True] * 3
    assert all("no PMU" in view.why_not for view in views)


def test_system_calls_have_names() -> None:
    assert system_call_name(10, "x86_64") == "mprotect" and system_call_name(226, "aarch64") == "mprotect"
    assert system_call_name(9999, "x86_64") == "system call 9999"
