"""The report in headless Chromium: the first screen answers, nothing fails or is fetched, filters work, pictures are drawn."""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import browser
import pytest
import synthetic_records as synthetic
from lab_process import ROOT, lab

# One group: these tests share a report, and Chromium's starts.
pytestmark = [pytest.mark.skipif(browser.CHROMIUM is None, reason="chromium is not installed"), pytest.mark.xdist_group("report in a browser")]

EXAMPLE = ROOT / "results" / "example" / "report" / "report.html"

# Everything of the first answer has to lie within the window as it opens.
FIRST_SCREEN = """
const seen = (element) => { const box = element.getBoundingClientRect();
  return box.width > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth; };
const answers = [...document.querySelectorAll('.answer')].map((answer) => ({
  workload: answer.dataset.workload, topic: answer.querySelector('.topic a').innerText, topic_seen: seen(answer.querySelector('.topic a')),
  said: answer.querySelector('.said p').innerText, seen: seen(answer.querySelector('.said p')),
  whose: answer.querySelector('.whose').innerText, sure: answer.querySelector('.badge').innerText, sure_seen: seen(answer.querySelector('.badge'))}));
return {answers, flags: [...document.querySelectorAll('.flags li')].filter(seen).map((flag) => flag.innerText),
  question: seen(document.querySelector('h1')), too_wide: document.documentElement.scrollWidth - innerWidth};
"""
CELLS = """
const look = () => { const rows = [...document.querySelectorAll('tr.cell')];
  const shown = rows.filter((row) => !row.hidden && row.closest('[hidden]') === null);
  return {all: rows.length, shown: shown.map((row) => [row.closest('section').dataset.workload, row.dataset.variant, row.dataset.threads]),
    said: document.getElementById('shown').textContent, filters: !document.getElementById('filters').hidden, address: location.hash}; };
"""
# What a user does: choosing and typing send `input` from the element that was changed, the button resets its form.
USED = CELLS + """
const form = document.getElementById('filters');
const set = (name, value) => { const field = form.elements[name]; field.value = value; field.dispatchEvent(new Event('input', {bubbles: true})); };
const found = {at_first: look()};
set('workload', 'lookup'); found.chosen = look();
set('variant', 'Radix SPINLOCK'); found.typed = look();
set('threads', '2'); found.threads = look();
form.querySelector('button[type=reset]').click();
await new Promise((done) => setTimeout(done, 10)); found.reset = look();
return found;
"""
THEME = """
const button = document.getElementById('theme');
const look = () => ({ground: getComputedStyle(document.body).backgroundColor, label: button.textContent});
const found = [look()];
for (let presses = 0; presses < 2; ++presses) { button.click(); found.push(look()); }
return found;
"""
# Print rules are made to hold on the screen, since nobody can look at the paper.
PRINTED = """
const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]).filter((rule) => rule.media && rule.media.mediaText === 'print');
rules.forEach((rule) => { rule.media.mediaText = 'all'; });
dispatchEvent(new Event('beforeprint'));
const drawn = (element) => getComputedStyle(element).display !== 'none' && element.getBoundingClientRect().height > 0;
const inside = (element) => element.getBoundingClientRect().right <= innerWidth + 1;
return {rules: rules.length, ground: getComputedStyle(document.body).backgroundColor, ink: getComputedStyle(document.body).color,
  controls: ['nav', '#filters', '#theme'].filter((name) => drawn(document.querySelector(name))),
  answers: [...document.querySelectorAll('.answer')].map((answer) => ({workload: answer.dataset.workload, said: answer.querySelector('.said p').innerText,
    where: drawn(answer.querySelector('details p'))})),
  pictures: [...document.querySelectorAll('figure svg')].map(inside)};
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
    finished = lab(Path("nowhere"), "report", str(synthetic.FOLDER / "two_node_pmu"), "--out", str(folder), "--formats", "html,svg,csv")
    assert finished.code == 0, finished.err
    return folder / "report.html"


SCREENS = {"wide": browser.View(1440, 900), "narrow": browser.View(390, 844)}


def first_screens(page: Path, folder: Path) -> dict[str, dict[str, Any]]:
    """What is seen of the page on each of the screens."""
    return dict(zip(SCREENS, browser.opened_in_each(page, folder, FIRST_SCREEN, list(SCREENS.values())), strict=True))


@pytest.fixture(name="seen", scope="module")
def fixture_seen(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The first screens of the fixture's report."""
    return first_screens(page, tmp_path_factory.mktemp("seen"))


@pytest.fixture(name="seen_of_example", scope="module")
def fixture_seen_of_example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Those of the example's report, of a copy since a page beside it is opened."""
    folder = tmp_path_factory.mktemp("example")
    return first_screens(Path(shutil.copy(EXAMPLE, folder)), folder)


@pytest.fixture(name="theme", scope="module", params=[False, True], ids=["light", "dark"])
def fixture_theme(page: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[bool, dict[str, Any]]:
    """Whether the user prefers darkness, and what the page then looks like, and again after each press of its button."""
    return request.param, browser.opened(page, tmp_path_factory.mktemp("theme"), THEME, dark=request.param)


# The sentence of an answer that has an interval: the variant, the ratio of it or of what comes nearest to it, and the interval.
ANSWER = re.compile(
    r"Take (?P<winner>\S.*?) \((?:else as )?the base\).*?(?P<ratio>\d+\.\d+)x(?: the base's cost)? \((?P<low>\d+\.\d+) to (?P<high>\d+\.\d+)\)"
    r".*\d+ launches"
)


def stated(page: Path, workload: str) -> list[dict[str, str]]:
    """The rows of the report's table for one workload that have an interval."""
    with open(page.with_name("report.csv"), newline="", encoding="utf-8") as stream:
        return [row for row in csv.DictReader(stream) if row["workload"] == workload and row["low"]]


def require_answer(facts: dict[str, Any], page: Path, workload: str, topic: str) -> None:
    """The whole answer to a workload's question is on the first screen, and it is the one of the table."""
    answer = next(answer for answer in facts["answers"] if answer["workload"] == workload)
    assert answer["topic"] == topic and answer["topic_seen"] and answer["seen"] and answer["sure_seen"]
    assert answer["sure"] in ("sure", "not told apart")
    found = ANSWER.match(answer["said"])
    assert found, answer["said"]
    low, ratio, high = (float(found[name]) for name in ("low", "ratio", "high"))
    assert low <= ratio <= high
    rows = [row for row in stated(page, workload) if f"{float(row['ratio']):.3f}" == found["ratio"]]
    assert any((f"{float(row['low']):.3f}", f"{float(row['high']):.3f}") == (found["low"], found["high"]) for row in rows)
    assert (answer["sure"] == "sure") == any(row["verdict"] in ("faster", "slower") for row in rows)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_first_screen_says_which_variant_to_take_and_how_sure_that_is(page: Path, seen: dict[str, dict[str, Any]], screen: str) -> None:
    facts, width = seen[screen]["facts"], seen[screen]["width"]
    assert width == SCREENS[screen].width and facts["question"] and facts["too_wide"] <= 0
    require_answer(facts, page, "mixed", "Random reads and writes, with eviction")
    require_answer(facts, page, "lookup", "Random reads, every page resident")
    # The large number beside the sentence is another variant's where the base is to be taken: then it says so.
    for answer in facts["answers"] if width > 640 else []:
        assert answer["whose"].startswith("next: ") == ("(the base)" in answer["said"]), answer
    assert {"! fixture", "PMU", "2 nodes"} <= set(facts["flags"])
    assert sum(answer["seen"] for answer in facts["answers"]) >= 3


def test_it_opens_without_an_error_and_fetches_nothing(theme: tuple[bool, dict[str, Any]]) -> None:
    dark, found = theme
    assert found["problems"] == [] and found["fetched"] == []
    assert (found["facts"][0]["ground"] == "rgb(255, 255, 255)") != dark


def test_filters_choose_workload_variant_and_threads(page: Path, tmp_path: Path) -> None:
    addresses = ("", "#workload=remove", "#workload=lookup&variant=radix+spinlock&threads=2", "#variant=nonsense")
    found = browser.opened_in_each(page, tmp_path, CELLS + "return look();", [browser.View(address=each) for each in addresses])
    everything, removals, few, none = (view["facts"] for view in found)
    assert everything["filters"] and len(everything["shown"]) == everything["all"] > 20
    assert removals["shown"] and {workload for workload, _, _ in removals["shown"]} == {"remove"}
    assert few["shown"] and set(map(tuple, few["shown"])) == {("lookup", "layout:radix/read:spinlock", "2")}
    assert few["said"] == f"{len(few['shown'])} of {everything['all']} cells shown"
    assert none["shown"] == []


def test_filters_follow_what_a_user_chooses_types_and_resets(page: Path, tmp_path: Path) -> None:
    found = browser.opened(page, tmp_path, USED)["facts"]
    everything = found["at_first"]
    assert {workload for workload, _, _ in found["chosen"]["shown"]} == {"lookup"} and found["chosen"]["address"] == "#workload=lookup"
    assert {variant for _, variant, _ in found["typed"]["shown"]} == {"layout:radix/read:spinlock"}
    assert set(map(tuple, found["threads"]["shown"])) == {("lookup", "layout:radix/read:spinlock", "2")}
    assert found["threads"]["said"] == f"{len(found['threads']['shown'])} of {everything['all']} cells shown"
    assert found["reset"] == everything and len(everything["shown"]) == everything["all"]


def test_the_button_changes_the_theme_and_back(theme: tuple[bool, dict[str, Any]]) -> None:
    dark, found = theme
    at_first, once, twice = found["facts"]
    assert at_first == twice and at_first["ground"] != once["ground"]
    assert [at_first["label"], once["label"]] == (["Light", "Dark"] if dark else ["Dark", "Light"])
    assert "rgb(255, 255, 255)" == (once if dark else at_first)["ground"]


def test_on_paper_it_is_black_on_white_with_every_answer_and_without_controls(page: Path, tmp_path: Path) -> None:
    facts = browser.opened(page, tmp_path, PRINTED, browser.View(width=720), dark=True)["facts"]
    assert facts["rules"] == 1 and facts["ground"] == "rgb(255, 255, 255)" and facts["ink"] == "rgb(0, 0, 0)"
    assert facts["controls"] == []
    assert any(answer["workload"] == "mixed" for answer in facts["answers"])
    for answer in facts["answers"]:
        assert ANSWER.match(answer["said"]) and answer["where"], answer
    assert len(facts["pictures"]) >= 9 and all(facts["pictures"])


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
    probe = """
const stated = (cell) => { const copy = cell.cloneNode(true); copy.querySelectorAll('.note').forEach((note) => note.remove()); return copy.textContent; };
const numbers = [...document.querySelectorAll('td.n, .numbers .big')].filter((cell) => !cell.closest('#records') && /\\d/.test(stated(cell)));
return {links: [...document.querySelectorAll('td.n a, .numbers a')].map((link) => link.href),
  without: numbers.filter((cell) => !cell.querySelector('a')).map((cell) => cell.closest('tr').innerText)};
"""
    found = browser.opened(page, tmp_path, probe)["facts"]
    assert found["without"] == [] and len(found["links"]) > 100
    for link in set(found["links"]):
        file, _, place = link.removeprefix("file://").partition("#/cells/")
        assert Path(file).is_file() and place.isdigit(), link


@pytest.mark.parametrize("screen", SCREENS)
def test_the_examples_first_screen_answers_too(seen_of_example: dict[str, dict[str, Any]], screen: str) -> None:
    facts = seen_of_example[screen]["facts"]
    assert facts["too_wide"] <= 0
    require_answer(facts, EXAMPLE, "mixed", "Random reads and writes, with eviction")
