"""The arithmetic behind the pictures, and the way of a picture into a page."""

from __future__ import annotations

import numpy as np
import pytest

from page_map_lab.latencies import percentile
from page_map_lab.pictures import Picture, chosen_variants, finish, new_figure, styles_for
from page_map_lab.pictures_curves import duration, exceedance
from page_map_lab.pictures_ratios import ratio_ticks
from page_map_lab.report_model import short_label

HISTOGRAM = {"count": 1000, "buckets": [[1, 10, 900], [10, 100, 90], [100, 1000, 9], [1000, 10000, 1]]}


@pytest.mark.parametrize(("share", "upper"), [(0.5, 10), (0.9, 10), (0.91, 100), (0.99, 100), (0.999, 1000), (1.0, 10000)])
def test_a_percentile_is_the_upper_edge_of_its_bucket(share: float, upper: float) -> None:
    assert percentile(HISTOGRAM, share) == upper


def test_exceedance_falls_from_all_to_the_slowest_one() -> None:
    uppers, above = exceedance(HISTOGRAM)
    assert list(uppers) == [1, 10, 100, 1000]
    assert np.allclose(above, [1.0, 0.1, 0.01, 0.001])


@pytest.mark.parametrize(("value", "text"), [(3, "3 ns"), (999, "999 ns"), (1000, "1 us"), (2.5e6, "2.5 ms"), (3e9, "3 s")])
def test_durations_have_the_unit_that_suits_them(value: float, text: str) -> None:
    assert duration(value) == text


def test_a_label_is_what_sets_a_variant_apart_from_the_base() -> None:
    base = "layout:radix/read:rcu_qsbr"
    assert short_label("layout:radix/read:spinlock", base) == "read:spinlock"
    assert short_label("layout:flat/read:spinlock", base) == "layout:flat read:spinlock"
    assert short_label("floor:array", base) == "floor:array"
    assert short_label("layout:flat/read:spinlock", None) == "layout:flat/read:spinlock"


@pytest.mark.parametrize(
    ("low", "high"), [(0.576, 1.38), (0.946, 1.066), (0.99, 1.01), (1.0, 1.0), (0.89, 10.9), (0.115, 12.9), (0.3, 80), (0.01, 1.1), (1e-4, 1e6)]
)  # fmt: skip
def test_the_numbers_below_an_axis_of_ratios_do_not_run_into_each_other(low: float, high: float) -> None:
    ticks = np.log(ratio_ticks(low, high))
    width = np.log(high * 1.05 / (low * 0.97))
    assert len(ticks) >= 2 and 0.0 in ticks
    assert np.all(np.diff(ticks) >= width / 5)


def test_no_two_of_the_first_variants_look_alike() -> None:
    variants = [f"layout:{name}/read:{path}" for name in ("flat", "radix", "xarray") for path in ("spinlock", "rcu_memb", "rcu_qsbr")]
    styles = styles_for(variants, "layout:radix/read:rcu_qsbr", [])
    looks = {(style.colour, style.marker) for style in styles.values()}
    assert len(looks) == len(variants)
    assert chosen_variants([], None) == []


@pytest.fixture
def picture() -> Picture:
    figure, axes = new_figure(4, 3)
    axes[0].plot([1, 2], [3, 4], marker="o")
    axes[0].fill_between([1, 2], [3, 4], hatch="//")
    return finish(figure, "a-picture", "Title", "Caption", 'Says "what" it <shows>', ["x.json#/cells/0"])


def test_an_inline_picture_has_ids_of_its_own_and_the_colours_of_the_page(picture: Picture) -> None:
    inline = picture.inline()
    assert inline.startswith("<svg ") and "http" not in inline and "xmlns" not in inline
    assert 'id="a-picture-figure_1"' in inline and "url(#a-picture-" in inline
    assert "var(--ink)" in inline and "#1c1d22" not in inline
    assert 'aria-label="Says &quot;what&quot; it &lt;shows>"' in inline


def test_a_picture_is_the_same_every_time(picture: Picture) -> None:
    figure, axes = new_figure(4, 3)
    axes[0].plot([1, 2], [3, 4], marker="o")
    axes[0].fill_between([1, 2], [3, 4], hatch="//")
    again = finish(figure, "a-picture", "Title", "Caption", 'Says "what" it <shows>', ["x.json#/cells/0"])
    assert again.svg == picture.svg
