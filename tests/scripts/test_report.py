"""`lab report` on synthetic records: what the page says, what it draws, and that it needs nothing but itself."""

from __future__ import annotations

import csv
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic_records as synthetic
from lab_process import Finished, lab

from page_map_lab import records, report_attribution, report_model, trace_attribution

pytestmark = pytest.mark.xdist_group("report")  # which is made once

BASE = "layout:radix/read:rcu_qsbr"
FLAT = "layout:flat/read:rcu_qsbr"
COSTS = {BASE: 11.0, FLAT: 9.0, "layout:radix/read:spinlock": 17.0, "floor:array": 10.0}

DEFAULT_TITLES = {
    "Ratio to the base",
    "Variant by threads",
    "Scalability: throughput by threads",
    "Cost against pages",
    "Initiator against victim",
    "Latency distribution",
    "Phases of removal",
    "Counters per operation beside each ratio",
    "Cost by node pair",
}


def report(*arguments: Any) -> Finished:
    return lab(Path("nowhere"), "report", *map(str, arguments))


@pytest.fixture(scope="session")
def two_node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on the fixture host with two nodes and a PMU."""
    folder = tmp_path_factory.mktemp("report")
    finished = report(synthetic.FOLDER / "two_node_pmu", "--out", folder)
    assert finished.code == 0, finished.err
    assert finished.out.strip().endswith("report.html")
    return folder


@pytest.fixture(scope="session")
def page(two_node: Path) -> str:
    return (two_node / "report.html").read_text(encoding="utf-8")


def titles(page: str) -> set[str]:
    return set(re.findall(r'<figcaption class="title">([^<]*)', page))


class Resources(html.parser.HTMLParser):
    """Collects everything that a browser would fetch or run, and every id."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("link", "iframe", "object", "embed"):
            self.fetched.append(tag)
        for name in ("src", "srcset", "data"):
            if found.get(name):
                self.fetched.append(str(found[name]))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if str(found.get("href", "")).startswith("#"):
            self.references.append(str(found["href"])[1:])


def test_the_page_fetches_nothing(page: str) -> None:
    parsed = Resources()
    parsed.feed(page)
    assert parsed.fetched == []
    assert not re.search(r"https?://|@import|url\((?!#)", page)


def test_every_reference_inside_the_page_leads_somewhere_and_ids_are_unique(page: str) -> None:
    parsed = Resources()
    parsed.feed(page)
    assert set(parsed.references) <= set(parsed.ids)
    named_by_us = [name for name in parsed.ids if re.fullmatch(r"R\d+|.*-(figure_1|lookup|remove)", name)]
    assert len(named_by_us) == len(set(named_by_us))


def test_a_host_with_two_nodes_and_a_pmu_gets_every_picture(page: str) -> None:
    assert titles(page) == DEFAULT_TITLES
    assert "What these records cannot show" not in page


def test_pictures_are_files_as_well(two_node: Path) -> None:
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG")):
        files = list((two_node / "pictures").glob(f"*{suffix}"))
        assert len(files) >= len(DEFAULT_TITLES)
        assert all(file.read_bytes().startswith(start) for file in files)


def test_the_first_screen_answers_every_workload_and_describes_the_machine(page: str) -> None:
    first = page[: page.index('id="fixture-two-node-0f0f0f0f-lookup"')]
    for words in ("Which layout and read path", "Which way of revoking", "How fast are pages taken away", "layout:flat", "0.9"):
        assert words in first
    for words in ("Synthetic records", "PMU", "2 nodes", "Fixture CPU"):
        assert words in first


def test_the_flush_ceiling_is_marked(page: str) -> None:
    assert "33 pages: above" in page


def test_remote_memory_is_dearer_than_local_in_the_picture_of_node_pairs(two_node: Path) -> None:
    drawn = (two_node / "pictures" / "fixture-two-node-0f0f0f0f-node-pairs.svg").read_text(encoding="utf-8")
    ratios = [float(text) for text in re.findall(r">([\d.]+)x<", drawn)]
    assert max(ratios) == pytest.approx(1.6, abs=0.1) and min(ratios) == pytest.approx(1.0, abs=0.05)


def test_counters_that_are_missing_say_why(page: str) -> None:
    assert "no event for TLB flushes on this CPU" in page


def test_counters_that_were_scaled_up_are_marked_and_no_others(page: str) -> None:
    table = page[page.index("<summary>Counters per operation") :].split("</table>")[0]
    names = re.findall(r'<th class="n">(\w+)', table)[1:]  # after the ratio
    cells = [re.findall(r'<td class="n">(.*?)</td>', row)[-len(names) :] for row in table.split("<tr ")[1:]]
    rows = [[re.sub("<[^>]*>", "", cell) for cell in row] for row in cells]
    assert rows and {"cycles", "remote_hitm"} <= set(names)
    for row in rows:
        assert [name for name, value in zip(names, row, strict=True) if value.startswith("~")] == ["remote_hitm"]


def test_the_tables_name_raw_records_and_certainty(two_node: Path, page: str) -> None:
    rows = list(csv.DictReader((two_node / "report.csv").open(encoding="utf-8")))
    assert {row["certainty"] for row in rows} >= {"interval", "single launch", "base"}
    for row in rows:
        for place in row["records"].split():
            file, _, pointer = place.partition("#/cells/")
            cell = json.loads((two_node / file).read_text(encoding="utf-8"))["cells"][int(pointer)]
            assert (cell["variant"], cell["workload"]) == (row["variant"], row["workload"])
        assert bool(row["low"]) == (row["certainty"] == "interval")
    assert "single launch" in page and '<tr id="R1">' in page


def test_the_markdown_has_the_answers_and_the_pictures(two_node: Path) -> None:
    text = (two_node / "report.md").read_text(encoding="utf-8")
    assert "## Answers" in text and FLAT in text
    for picture in re.findall(r"\]\((pictures/[^)]*)\)", text):
        assert (two_node / picture).exists()


def test_the_pdf_and_the_tables_for_a_paper_are_made_on_request(tmp_path: Path) -> None:
    folder = synthetic.write(synthetic.simple_run({**COSTS, "layout:a&b_c/read:rcu_qsbr": 12.0}), tmp_path / "run")
    assert report(folder, "--out", tmp_path / "out", "--formats", "pdf,tex").code == 0
    files = list((tmp_path / "out" / "pictures").iterdir())
    assert files and all(file.suffix == ".pdf" and file.read_bytes().startswith(b"%PDF") for file in files)
    text = (tmp_path / "out" / "report.tex").read_text(encoding="utf-8")
    assert r"\toprule" in text and r"\texttt{layout:a\&b\_c/read:rcu\_qsbr}" in text
    assert text.count(r"\begin{") == text.count(r"\end{") and not (tmp_path / "out" / "report.html").exists()
    assert report(folder, "--formats", "docx").failed_with(2, "docx", "html")


def test_phases_say_whether_it_is_the_tlb_or_the_lock(two_node: Path, page: str) -> None:
    assert "Is it the TLB or the lock?" in page
    rows = list(csv.DictReader((two_node / "phases.csv").open(encoding="utf-8")))
    per_page = {row["phase"]: row for row in rows if "per_page" in row["variant"] and "dirty_percent=0" in row["parameters"]}
    assert float(per_page["shoot down"]["flushes_sent_per_operation"]) == 512
    assert float(per_page["mark"]["flushes_sent_per_operation"]) == 0
    assert float(per_page["lock"]["ns_per_operation"]) == 2 and float(per_page["grace_period"]["ns_per_operation"]) == 4
    assert re.search(r"99 % in phases that flush \(shoot down\), 0 % waiting for a lock, 0 % waiting for a grace period", page)
    assert re.search(r"15 % in phases that flush \(shoot down\), 1 % waiting for a lock, 2 % waiting for a grace period", page)


def test_a_profiles_table_stands_beside_the_records(tmp_path: Path) -> None:
    folder = synthetic.write({"remove.json": synthetic.remove_launch(synthetic.Noise(np.random.default_rng(1)), 0)}, tmp_path / "run")
    kinds = {kind: 0.0 for kind in trace_attribution.KINDS}
    rows = [{"variant": "layout:radix", "phase": "flush", "total_ns": 12345.0, "kinds": {**kinds, "waiting for locks": 777.0}}]
    (folder / "session").mkdir()
    found = trace_attribution.Attribution(synthetic.HOST["name"], "remove", 5, rows)
    trace_attribution.write(folder / "session" / trace_attribution.FILE_NAME, found)
    assert report(folder, "--out", tmp_path / "out", "--formats", "html").code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "from a trace of 5 removals" in page and "777.0" in page and "takes a trace" not in page and "told apart" not in page


def test_a_kind_that_a_profile_did_not_tell_apart_is_no_zero_and_an_old_table_is_read(tmp_path: Path) -> None:
    folder = synthetic.write({"remove.json": synthetic.remove_launch(synthetic.Noise(np.random.default_rng(1)), 0)}, tmp_path / "run")
    rows = [{"variant": "layout:radix", "phase": "flush", "total_ns": 9.0, "kinds": {**dict.fromkeys(trace_attribution.KINDS, 0.0), "flushes": None}}]
    table = {"host": synthetic.HOST["name"], "workload": "remove", "removals": 5, "rows": rows}
    for name, more in (("new", {"notes": trace_attribution.attribution_notes(rows)}), ("old", {})):
        (folder / name).mkdir()
        (folder / name / trace_attribution.FILE_NAME).write_text(json.dumps({**table, **more}), encoding="utf-8")
    assert report(folder, "--out", tmp_path / "out", "--formats", "html").code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count('<td class="n">not told apart</td>') == 2 and page.count("the machine flushes without interrupts") == 1


def test_the_size_of_a_batch_has_its_advice(two_node: Path, page: str) -> None:
    advice = "Size of a batch (2 threads, layout contiguous, victims touch outside): from 8 pages on, page by page surely costs more ("
    assert advice in page and advice in (two_node / "report.md").read_text(encoding="utf-8")
    assert "Against a page of the largest, 4096 pages, one costs" in page


def test_expected_and_counted_interrupts_are_a_table(two_node: Path, page: str) -> None:
    rows = list(csv.DictReader((two_node / "shootdowns.csv").open(encoding="utf-8")))
    by_verdict = {row["verdict"] for row in rows}
    assert by_verdict == {"agree", "differ"} and all(row["mechanism"] == "ipi" for row in rows)
    wrong = [row for row in rows if row["verdict"] == "differ"]
    assert {row["variant"] for row in wrong} == {"floor:raw_mprotect_ranged"} and float(wrong[0]["deviation"]) == pytest.approx(-0.2)
    listed = next(row for row in rows if row["variant"] == "shootdown:per_page" and "pages=512" in row["parameters"])
    assert "the victim was descheduled" in listed["excluded"] and "/repetitions/0" in listed["excluded"]
    assert int(listed["trials_excluded"]) == 1 and float(listed["expected_interrupts"]) == 512
    assert "Expected and counted interrupts" in page


def judged(workload: str, variant: str, *repetitions: dict[str, Any], mechanism: str = "ipi") -> report_attribution.ShootdownRow:
    """The line of one cell whose repetitions have those metrics; "excluded" among them says why one may not be used."""
    made = synthetic.cell(workload, variant, {"pages": 8}, [1.0] * len(repetitions))
    for repetition, metrics in zip(made["repetitions"], repetitions, strict=True):
        repetition["excluded"] = metrics.get("excluded")
        repetition["metrics"] = {name: value for name, value in metrics.items() if name != "excluded"}
    host = {**synthetic.HOST, "tlb_mechanism": {"value": mechanism, "why": "tried"}}
    record = records._build(Path("r.json"), synthetic.record([made], host=host), plain=False)
    return report_attribution.shootdown_table(report_model.build([record])[0].workloads)[0]


PROVEN = {
    "expected_interrupts_per_operation": 1.0, "interrupts_per_operation": 0.9, "operations": 100.0, "operations_discarded": 3.0,
    "victims_away_per_operation": 0.25, "attempts_discarded": 0.0,
}  # fmt: skip


def test_interrupts_agree_where_victims_are_proven_to_have_been_at_work() -> None:
    differs = judged("shootdown", "shootdown:batched", PROVEN)
    assert differs.verdict == "differ" and differs.deviation == pytest.approx(-0.1) and differs.away == 0.25
    assert judged("shootdown", "shootdown:batched", {**PROVEN, "interrupts_per_operation": 0.96}).verdict == "agree"


def test_where_nobody_is_interrupted_nothing_is_counted_and_nothing_excluded_for_it(tmp_path: Path) -> None:
    uncounted = {**PROVEN, "interrupts_per_operation": None}
    found = judged("shootdown", "shootdown:batched", uncounted, {**uncounted, "excluded": "slept"}, mechanism="without_interrupts")
    assert (found.verdict, found.expected, found.counted, found.trials, found.trials_excluded) == ("not countable here", 1.0, None, 2, 1)
    assert judged("shootdown", "shootdown:batched", PROVEN, mechanism="broadcast").verdict == "not countable here"
    assert judged("shootdown", "shootdown:batched", uncounted).verdict == "no proof"
    why = {"value": "without_interrupts", "why": "16 revocations brought 0 interrupts"}
    launch = synthetic.shootdown_launch(synthetic.Noise(np.random.default_rng(1)), 0)
    launch["host"] = {**synthetic.HOST, "tlb_mechanism": why}
    for repetition in (repetition for cell in launch["cells"] for repetition in cell["repetitions"]):
        repetition["metrics"]["interrupts_per_operation"] = None
    folder = synthetic.write({"shootdown.json": launch}, tmp_path / "run")
    assert report(folder, "--out", tmp_path / "out", "--formats", "html,md").code == 0
    for name in ("report.html", "report.md"):
        page = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert "cannot be counted, since the mechanism is without_interrupts (16 revocations brought 0 interrupts)" in page
        assert "cells agree" not in page and "not countable here" in page


def test_attempts_that_were_thrown_away_are_excluded_and_listed() -> None:
    agrees = {**PROVEN, "interrupts_per_operation": 1.0}
    twice = {**agrees, "attempts_discarded": 2.0, "attempts_discarded_why": "a victim was away (twice)"}
    found = judged("shootdown", "shootdown:batched", twice, *[agrees] * 7)
    assert (found.trials, found.trials_excluded, found.verdict) == (10, 2, "agree, too many excluded")
    assert found.operations == 800 and "a victim was away (twice)" in found.excluded[0][2]
    gone = {**agrees, "excluded": "the victim slept", "attempts_discarded": 1.0}
    found = judged("shootdown", "shootdown:batched", gone, *[agrees] * 28)
    assert (found.trials, found.trials_excluded, found.verdict) == (30, 2, "agree")


def test_discarded_operations_of_old_records_are_in_their_counts() -> None:
    old = {name: value for name, value in PROVEN.items() if name != "victims_away_per_operation"}
    found = judged("shootdown", "shootdown:batched", old)
    assert found.verdict == "no proof" and "left its processor in 3 of 100" in found.excluded[0][2]


def test_removals_are_held_to_the_bar_where_nothing_else_interrupts() -> None:
    metrics = {"expected_interrupts_per_operation": 8.0, "interrupts_per_operation": 8.0, "removals": 9.0, "removals_discarded": 1.0}
    kept = judged("remove", "layout:radix/read:rcu_qsbr/shootdown:per_page/frames:keep", metrics)
    assert (kept.trials, kept.trials_excluded, kept.operations, kept.verdict) == (10, 1, 9, "agree")
    returned = judged("remove", "layout:radix/read:rcu_qsbr/shootdown:per_page", {**metrics, "interrupts_per_operation": 11.0})
    assert returned.verdict == "with the return of memory" and returned.deviation == pytest.approx(3 / 8)
    without = judged("remove", "layout:radix/read:rcu_qsbr/shootdown:per_page/frames:keep", metrics, {"excluded": "slept", "removals_discarded": 7.0})
    assert (without.trials, without.trials_excluded) == (17, 8)


def test_a_set_of_counters_that_was_split_over_launches_says_which_had_what(tmp_path: Path) -> None:
    files = synthetic.simple_run(COSTS)
    for index, data in enumerate(files.values()):
        name, more = (("walks", ["--counters", "tlb"]), ("misses", ["--counters=cache"]))[index % 2]
        data["launch"]["command"] += more
        data["cells"][0]["counters"] = [synthetic.counter(name, 10.0 * (index + 1), 10)]
    assert report(synthetic.write(files, tmp_path / "run"), "--out", tmp_path / "out").code == 0
    rows = list(csv.DictReader((tmp_path / "out" / "counters.csv").open(encoding="utf-8")))
    assert [(row["set"], row["counter"]) for row in rows] == [("tlb", "walks reader"), ("cache", "misses reader")] * 3
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    note = page[page.index("Sets of counters were split") :].split("</p>")[0]
    assert re.sub("<[^>]*>", "", note).endswith("cache in R2 R4 R6; tlb in R1 R3 R5.")
    table = page[page.index("Sets of counters were split") :]
    assert "3.000" in table and "4.000" in table  # of each counter the median over the three launches that carried it
    for name, places in (("walks", {0, 2, 4}), ("misses", {1, 3, 5})):
        column = re.findall(r'<th class="n">([a-z ]+)</th>', table).index(f"{name} reader")
        row = re.search(r"<tr data-variant=.*?</tr>", table, re.DOTALL)
        link = re.findall(r'<td class="n">(.*?)</td>', row.group())[1 + column] if row else ""
        assert int(re.search(r"lookup-(\d)\.json", link).group(1)) in places, (name, link)


def test_every_number_of_a_table_leads_to_its_place(page: str) -> None:
    tables = page[: page.index('id="records"')]
    cells = [re.sub(r'<span class="note">.*?</span>', "", cell) for cell in re.findall(r'<td class="n"[^>]*>(.*?)</td>', tables)]
    assert len(cells) > 1000 and [cell for cell in cells if re.search(r"\d", cell) and "<a href=" not in cell] == []


def small_host(folder: Path) -> Path:
    """A shared virtual machine with one node and no PMU, with one shootdown workload of victims that were not measured."""
    host = {**synthetic.HOST, "name": "fixture-small-vm-00000001", "shared_virtual_machine": True, "numa_nodes": 1, "packages": 1}
    files = synthetic.simple_run(COSTS, host=host)
    for data in files.values():
        why = "this machine has no PMU"
        data["cells"][0]["counters"] = [synthetic.counter("cycles", None, 1, state="absent", why=why)]
    return synthetic.write(files, folder)


def test_what_a_small_machine_cannot_show_is_said_plainly(tmp_path: Path) -> None:
    assert report(small_host(tmp_path), "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("shared VM", "no PMU", "one node", "this machine has one memory node", "this machine has no PMU", "no picture of phases"):
        assert words in page
    assert "Cost by node pair" not in titles(page)


def test_several_hosts_stand_side_by_side_by_ratios_only(tmp_path: Path) -> None:
    small_host(tmp_path / "vm")
    synthetic.write(synthetic.simple_run({name: 10 * cost for name, cost in COSTS.items()}), tmp_path / "big")
    assert report(tmp_path / "vm", tmp_path / "big", "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    section = page[page.index("Hosts side by side") : page.index('class="host"')]
    assert "fixture-small-vm-00000001" in section and "fixture-two-node-0f0f0f0f" in section
    assert section.count("0.8") >= 2 and not re.search(r"\d ns", section)
    assert "corrected over all cells of the same host by Benjamini" in page


def test_a_failed_check_is_shouted_and_exits_with_5(tmp_path: Path) -> None:
    files = synthetic.simple_run(COSTS, launches=1)
    files["lookup-0.json"]["cells"][0]["check"] = {"passed": False, "digest": "00", "message": "lost 3 writes"}
    finished = report(synthetic.write(files, tmp_path), "--out", tmp_path / "out")
    assert finished.failed_with(5, "lost 3 writes")
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "CHECK FAILED" in page and "lost 3 writes" in page


def test_words_from_a_record_cannot_become_markup(tmp_path: Path) -> None:
    name = "layout:<script>alert(1)/read:rcu_qsbr"
    files = synthetic.simple_run({BASE: 11.0, name: 12.0})
    assert report(synthetic.write(files, tmp_path), "--out", tmp_path / "out").code == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and page.count("<script") == 1


def test_a_run_of_single_launches_is_reported_without_intervals(tmp_path: Path) -> None:
    assert report(synthetic.write(synthetic.simple_run(COSTS, launches=1), tmp_path)).code == 0
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert "not enough data" in page and "0 cells with intervals" in page


def test_a_workload_that_nobody_knows_is_reported_too(tmp_path: Path) -> None:
    folder = synthetic.write(synthetic.simple_run({"policy:a": 1.0, "policy:b": 2.0}, workload="novel"), tmp_path)
    assert report(folder, "--out", tmp_path / "out").code == 0
    assert "no base was measured here" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_malformed_and_empty_input_exit_with_2_and_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "x.json").write_text("{", encoding="utf-8")
    assert report(tmp_path / "run", "--out", tmp_path / "out").failed_with(2, "x.json")
    assert report(tmp_path / "none", "--out", tmp_path / "out").failed_with(2, "none")
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    folder = synthetic.write(synthetic.simple_run(COSTS, launches=1), tmp_path / "run")
    assert report(folder, "--out", tmp_path / "file" / "out").failed_with(2, "--out")
