"""The last line of the failure sweep: its figures, and the calls in the sources that it did not reach or never makes fail.

Usage: call_sites.py (TEST_BINARY SITES FIGURES)... SITES is what the test wrote: a call and the addresses it was made from.
The figures of several sweeps are added up.
"""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("impl/platform", "impl/store", "impl/page_map", "variants")

# What the sweep can make fail, as the sources spell it.
CALLS = (
    "aligned_alloc mallocx mallctl mmap munmap mprotect madvise mincore memfd_create ftruncate fallocate fstat fdatasync "
    "read open preadv pwritev syscall ioctl sched_getaffinity sigaction fork waitid poll eventfd socketpair "
    "sendmsg recvmsg hwloc_bitmap_alloc hwloc_bitmap_copy "
    "hwloc_bitmap_set hwloc_bitmap_only hwloc_bitmap_and hwloc_topology_init hwloc_topology_set_flags "
    "hwloc_topology_set_synthetic hwloc_topology_set_xml hwloc_topology_load hwloc_distances_get_by_type "
    "hwloc_get_cpubind hwloc_set_cpubind hwloc_set_area_membind"
).split()
# Members and functions of the project have some of these names: those are called without `::` in front.
QUALIFIED = {"read", "open", "fork", "poll"}
_CALL = re.compile(r"(?P<global>(?<![\w:.>])(?:::|std::)?)\b(?P<name>" + "|".join(CALLS) + r")\(")


def calls_in_sources() -> dict[tuple[str, int], str]:
    """Every call that can fail, by file and line."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                code = line.split("//")[0]
                for match in _CALL.finditer(code):
                    if match["name"] not in QUALIFIED or match["global"]:
                        found[(str(path.relative_to(ROOT)), number)] = match["name"]
    return found


def calls_left_alone() -> set[str]:
    """The calls of C functions (`::name(`) that the sweep never makes fail."""
    sources = (path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.[ch]pp"))
    return {name for text in sources for name in re.findall(r"(?<![\w:>])::(\w+)\(", text)} - set(CALLS)


def lines_reached(binary: Path, sites: list[list[str]]) -> set[tuple[str, int]]:
    """Every line of the project that was on the stack of a site, by the debugging information."""
    addresses = sorted({"0x" + address for site in sites for address in site[1:]})
    answer = subprocess.run(
        ["addr2line", "-i", "-e", str(binary)],
        input="\n".join(addresses) + "\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    reached = set()
    for line in answer.stdout.splitlines():
        match = re.match(r"(.*):(\d+)", line)
        place = re.search(r"(?:^|/)((?:impl|variants)/.*)$", match.group(1)) if match else None
        if match and place:
            reached.add((place.group(1), int(match.group(2))))
    return reached


def main(arguments: list[Path]) -> int:
    """Prints what was not reached, and the line of figures."""
    reached: set[tuple[str, int]] = set()
    total: Counter[str] = Counter()
    for binary, sites_file, figures_file in zip(arguments[::3], arguments[1::3], arguments[2::3]):
        # "operator new 0x12 0x34"
        sites = [line.split(" 0x") for line in sites_file.read_text(encoding="utf-8").splitlines()]
        reached |= lines_reached(binary, sites)
        figures = figures_file.read_text(encoding="utf-8").split()
        total.update({name: int(value) for name, value in zip(figures[::2], figures[1::2])})
    missed = []
    for (file, line), call in sorted(calls_in_sources().items()):
        # A call that goes on over several lines has the number of any of them.
        if not any((file, near) in reached for near in range(line - 1, line + 3)):
            missed.append(f"{file}:{line} {call}")
    for place in missed:
        print(f"not reached: {place}")
    print(f"never made to fail: {', '.join(sorted(calls_left_alone()))}")
    print(
        f"failures: sites {total['sites']}, injected {total['injected']}, not reached {len(missed)}, "
        f"not met again {total['not_met']}, excluded {total['excluded']}, "
        f"broken {total['broken']}, leaked {total['leaked']}"
    )
    return 0 if total["sites"] else 1


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
