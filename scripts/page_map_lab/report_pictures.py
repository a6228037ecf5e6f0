"""Which pictures a report has, and a plain word for each that this machine or these records cannot show."""

from __future__ import annotations

from dataclasses import dataclass

from page_map_lab.pictures import Picture
from page_map_lab.pictures_curves import cost_by_pages, latency, scalability
from page_map_lab.pictures_machine import initiator_and_victim, node_pairs, phases
from page_map_lab.pictures_ratios import counters, heat_map, ratios
from page_map_lab.report_machine import has_pmu
from page_map_lab.report_model import HostReport

WORKLOAD_PICTURES = (ratios, heat_map, scalability, cost_by_pages, initiator_and_victim, latency, phases, counters)


@dataclass(frozen=True)
class Gallery:
    """The pictures of one host: by workload, of the machine as a whole, and what is missing and why."""

    by_workload: dict[str, list[Picture]]
    of_machine: list[Picture]
    missing: list[str]

    def all(self) -> list[Picture]:
        """Every picture."""
        return [picture for pictures in self.by_workload.values() for picture in pictures] + self.of_machine


def draw(host: HostReport) -> Gallery:
    """Draws everything that the host's records allow."""
    by_workload = {}
    for workload in host.workloads:
        drawn = (make(host.name, workload) for make in WORKLOAD_PICTURES)
        by_workload[workload.name] = [picture for picture in drawn if picture is not None]
    pairs = node_pairs(host)
    return Gallery(by_workload, [pairs] if pairs else [], _missing(host, pairs is not None))


def _missing(host: HostReport, has_pairs: bool) -> list[str]:
    words = []
    nodes = host.facts.get("numa_nodes")
    if not has_pairs and nodes == 1:
        words.append("Cost by node pair (local, interleaved and remote memory): this machine has one memory node.")
    elif not has_pairs:
        known = f"this machine has {nodes} memory nodes, but" if nodes else "the number of memory nodes is not recorded, and"
        words.append(f"Cost by node pair: {known} no launch placed memory apart from its threads (lab run --memory node:N --plan list:CPU).")
    pmu, why = has_pmu(host)
    if not pmu:
        words.append(f"Hardware counters (cycles, TLB walks, cache to cache): {why.rstrip('.')}.")
    measured = {workload.name for workload in host.workloads}
    for name, lost in (("shootdown", "cost against pages, initiator against victim"), ("remove", "phases of removal")):
        if name not in measured:
            words.append(f"Workload {name} was not run, so there is no picture of {lost}.")
    if not any(cell.histograms for record in host.records for cell in record.cells):
        words.append("Latency distributions: no record holds a histogram.")
    return words
