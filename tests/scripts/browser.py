"""Opens a page in headless Chromium and reports what became of it there. Only a copy of the page with a probe is opened, in a
frame of the width that is asked for: a window of Chromium's own is never narrower than 500 pixels."""

import html
import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")

_BEFORE = "<script>window.problems = []; addEventListener('error', (event) => problems.push(event.message || 'a resource failed'), true);</script>"
_AFTER = """<script>
addEventListener('load', async () => {
  const facts = await (async () => { %s })();
  const fetched = performance.getEntriesByType('resource').map((entry) => entry.name);
  parent.postMessage({name: window.name, problems, fetched, width: innerWidth, height: innerHeight, facts}, '*');
});
</script>"""
_FRAMES = """<html><head><meta charset="utf-8"></head><body style="margin: 0"><pre id="facts"></pre><script>
const found = {};
addEventListener('message', (event) => { found[event.data.name] = event.data;
  document.getElementById('facts').textContent = JSON.stringify(found); });
</script>%s</body></html>"""
_FRAME = '<iframe name="%d" src="%s" width="%d" height="%d" style="border: 0"></iframe>'


@dataclass(frozen=True)
class View:
    """A window of that size in which the page is opened, at that place in it."""

    width: int = 1440
    height: int = 900
    address: str = ""


def opened(page: Path, folder: Path, probe: str, view: View = View(), dark: bool = False) -> dict[str, Any]:
    """Opens `page` and evaluates `probe`, the body of an async function that returns facts; says also what failed and was fetched."""
    return opened_in_each(page, folder, probe, [view], dark)[0]


def opened_in_each(page: Path, folder: Path, probe: str, views: Sequence[View], dark: bool = False) -> list[dict[str, Any]]:
    """The same in several views, each a page of its own; Chromium, whose start takes longer than any page, is started once."""
    text = page.read_text(encoding="utf-8")
    copy = page.with_name(f"probed-{page.name}")
    copy.write_text(text.replace("<meta charset", _BEFORE + "<meta charset", 1) + _AFTER % probe, encoding="utf-8")
    frame = folder / "frame.html"
    frames = (_FRAME % (index, html.escape(f"file://{copy}{view.address}"), view.width, view.height) for index, view in enumerate(views))
    frame.write_text(_FRAMES % "".join(frames), encoding="utf-8")
    width, height = max(view.width for view in views), sum(view.height for view in views)
    settings = ["--blink-settings=preferredColorScheme=0"] if dark else []
    command = [
        str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", *settings,
        f"--window-size={width + 100},{height + 200}", "--virtual-time-budget=3000", "--dump-dom", f"file://{frame}",
    ]  # fmt: skip
    try:
        finished = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=120, check=False)
    finally:
        copy.unlink()
    found = re.search(r'<pre id="facts">(.+?)</pre>', finished.stdout, re.DOTALL)
    assert found, finished.stderr[-500:]
    facts = json.loads(html.unescape(found.group(1)))
    return [facts[str(index)] for index in range(len(views))]
