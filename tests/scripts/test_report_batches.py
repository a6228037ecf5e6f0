"""What a report says of how many pages to revoke at once."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

import synthetic_records as synthetic
from page_map_lab import records, report_batches, report_model

SIZES = (1, 8, 33, 64, 512)


def advice(cost: Callable[[int], float], one_by_one: Callable[[int], float], launches: int = 8) -> str:
    """What is said of batches that cost so much a page, and of revoking page by page."""
    generator = np.random.default_rng(7)
    made = []
    for index in range(launches):
        cells = []
        for pages in SIZES:
            for variant, price in (("shootdown:batched", cost), ("shootdown:per_page", one_by_one)):
                scores = [price(pages) * float(generator.normal(1, 0.002)) for _ in range(4)]
                score = {"metric": "ns_per_page", "unit": "ns", "direction": "lower_is_better"}
                cells.append(synthetic.cell("shootdown", variant, {"pages": pages, "layout": "contiguous", "threads": 2}, scores, score))
        made.append(records._build(Path(f"{index}.json"), synthetic.record(cells, index), plain=False))
    return report_batches.advice(report_model.build(made)[0].workloads[0])


def test_a_batch_pays_from_where_page_by_page_is_surely_dearer() -> None:
    said = advice(lambda pages: 1000 / pages + 50, lambda pages: 1050.0)
    assert "2 threads, layout contiguous" in said
    assert "from 8 pages on, page by page surely costs more (6.0" in said
    assert "larger batches than that may gain more" in said and re.search(r"3\.3\d times at 8", said)


def test_sizes_beyond_which_little_is_gained_are_named() -> None:
    said = advice(lambda pages: 100.0 if pages >= 33 else 300.0, lambda pages: 1000.0)
    assert "beyond 33 there is little to gain" in said and "3.00 times at 8, 1.00 times at 33" in said


def test_a_batch_that_never_surely_pays_is_said_to() -> None:
    assert "no size at which page by page surely costs more" in advice(lambda pages: 100.0, lambda pages: 100.0)
    assert "no size at which page by page surely costs more" in advice(lambda pages: 100.0, lambda pages: 900.0, launches=2)
