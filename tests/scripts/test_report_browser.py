"""The report in headless Chromium: the first screen answers, nothing fails or is fetched, filters work, pictures are drawn."""

import shutil
from pathlib import Path

import browser
import pytest
import synthetic_records as synthetic
from lab_process import lab

pytestmark = pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed")

# Everything of the first answer has to lie within the window as it opens.
FIRST_SCREEN = """
const seen = (element) => { const box = element.getBoundingClientRect();
  return box.width > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth; };
const answers = [...document.querySelectorAll('.answer')].map((answer) => ({
  workload: answer.dataset.workload, said: answer.querySelector('.said p').innerText, seen: seen(answer.querySelector('.said p')),
  sure: answer.querySelector('.badge').innerText, sure_seen: seen(answer.querySelector('.badge'))}));
return {answers, flags: [...document.querySelectorAll('.flags li')].filter(seen).map((flag) => flag.innerText),
  question: seen(document.querySelector('h1')), too_wide: document.documentElement.scrollWidth - innerWidth};
"""
CELLS = """
const rows = [...document.querySelectorAll('tr.cell')];
const shown = rows.filter((row) => !row.hidden && row.closest('[hidden]') === null);
return {all: rows.length, shown: shown.map((row) => [row.closest('section').dataset.workload, row.dataset.variant, row.dataset.threads]),
  said: document.getElementById('shown').textContent, filters: !document.getElementById('filters').hidden};
"""
PICTURES = """
const pictures = [...document.querySelectorAll('figure svg')];
return {count: pictures.length, drawn: pictures.filter((picture) => { const box = picture.getBoundingClientRect();
  return box.width > 100 && box.height > 80 && picture.querySelectorAll('path, image, text').length > 9; }).length};
"""


@pytest.fixture(name="page", scope="module")
def fixture_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report on the fixture host with two nodes and a PMU."""
    folder = tmp_path_factory.mktemp("report")
    finished = lab(Path("nowhere"), "report", str(synthetic.FOLDER / "two_node_pmu"), "--out", str(folder), "--formats", "html,svg")
    assert finished.code == 0, finished.err
    return folder / "report.html"


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (390, 844)])
def test_the_first_screen_holds_variant_ratio_and_interval(page: Path, tmp_path: Path, width: int, height: int) -> None:
    found = browser.opened(page, tmp_path, FIRST_SCREEN, width, height)
    facts = found["facts"]
    assert found["width"] == width and facts["question"] and facts["too_wide"] <= 0
    lookup = next(answer for answer in facts["answers"] if answer["workload"] == "lookup")
    assert lookup["seen"] and lookup["sure_seen"] and lookup["sure"] == "sure"
    for words in ("flat", "x the base's cost", " to ", "launches"):
        assert words in lookup["said"]
    assert {"! fixture", "PMU", "2 nodes"} <= set(facts["flags"])
    assert sum(answer["seen"] for answer in facts["answers"]) >= 3


@pytest.mark.parametrize("dark", [False, True])
def test_it_opens_without_an_error_and_fetches_nothing(page: Path, tmp_path: Path, dark: bool) -> None:
    found = browser.opened(page, tmp_path, "return getComputedStyle(document.body).backgroundColor;", dark=dark)
    assert found["problems"] == [] and found["fetched"] == []
    assert (found["facts"] == "rgb(255, 255, 255)") != dark


def test_filters_choose_workload_variant_and_threads(page: Path, tmp_path: Path) -> None:
    everything = browser.opened(page, tmp_path, CELLS)["facts"]
    assert everything["filters"] and len(everything["shown"]) == everything["all"] > 20
    removals = browser.opened(page, tmp_path, CELLS, address="#workload=remove")["facts"]
    assert removals["shown"] and {workload for workload, _, _ in removals["shown"]} == {"remove"}
    few = browser.opened(page, tmp_path, CELLS, address="#workload=lookup&variant=radix+spinlock&threads=2")["facts"]
    assert few["shown"] and set(map(tuple, few["shown"])) == {("lookup", "layout:radix/read:spinlock", "2")}
    assert few["said"] == f"{len(few['shown'])} of {everything['all']} cells shown"
    assert browser.opened(page, tmp_path, CELLS, address="#variant=nonsense")["facts"]["shown"] == []


def test_pictures_are_drawn_in_the_page_and_as_files(page: Path, tmp_path: Path) -> None:
    found = browser.opened(page, tmp_path, PICTURES)["facts"]
    assert found["count"] == found["drawn"] >= 9
    files = sorted((page.parent / "pictures").glob("*.svg"))
    gallery = tmp_path / "gallery.html"
    images = "".join(f'<img src="file://{file}">' for file in files)
    gallery.write_text(f"<html><head><meta charset='utf-8'></head><body>{images}</body></html>", encoding="utf-8")
    probe = "return [...document.images].map((image) => image.naturalWidth);"
    widths = browser.opened(gallery, tmp_path, probe)["facts"]
    assert len(widths) == len(files) >= 9 and all(width > 100 for width in widths)


def test_without_scripts_everything_is_shown(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    plain = page.with_name("plain.html")
    plain.write_text(text[: text.rindex("<script>")] + "</body></html>", encoding="utf-8")
    hidden = "return [...document.querySelectorAll('[hidden]')].map((element) => element.id);"
    assert set(browser.opened(plain, tmp_path, hidden)["facts"]) == {"theme", "filters"}
    plain.unlink()


def test_every_number_leads_to_its_place_in_a_record(page: Path, tmp_path: Path) -> None:
    probe = "return [...document.querySelectorAll('td.n a, .numbers a')].map((link) => link.href);"
    links = browser.opened(page, tmp_path, probe)["facts"]
    assert len(links) > 100
    for link in set(links):
        file, _, place = link.removeprefix("file://").partition("#/cells/")
        assert Path(file).is_file() and place.isdigit(), link


def test_an_example_report_stays_readable_at_a_phones_width(tmp_path: Path) -> None:
    folder = Path(__file__).resolve().parents[2] / "results" / "example" / "report"
    copy = tmp_path / "report.html"
    shutil.copy(folder / "report.html", copy)
    facts = browser.opened(copy, tmp_path, FIRST_SCREEN, 390, 844)["facts"]
    assert facts["too_wide"] <= 0
    mixed = next(answer for answer in facts["answers"] if answer["workload"] == "mixed")
    assert mixed["seen"] and mixed["sure_seen"]
