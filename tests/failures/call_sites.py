"""The last lines of the failure sweep: the calls in the sources that it did not reach or never makes fail, and its figures.

Usage: call_sites.py (TEST_BINARY SITES FIGURES)... SITES is what the test wrote: a call and the addresses it was made from.
The figures of several sweeps are added up. Exit 0 where every site failed, nothing broke, and of each C function that the
sources call it is known why it is never made to fail.
"""

import re
import subprocess
import sys
from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("impl/platform", "impl/store", "impl/page_map", "variants")

# As the sources spell what is called otherwise when it is linked, or written down.
SPELLED = {"__sched_cpualloc": "CPU_ALLOC"} | dict.fromkeys(
    ("perf_event_open", "move_pages", "pidfd_open", "pidfd_send_signal", "futex"), "syscall"
)
# Members and functions of the project have some of these names: those are called without `::` in front.
QUALIFIED = {"read", "open", "fork", "poll"}

# C functions that are never made to fail, by the reason.
LEFT_ALONE = {
    "cannot fail as they are called": (
        "_exit abort raise clock_gettime getenv getpid getppid getrusage uname sysconf ffs isalnum isspace tolower lround "
        "memchr memcmp memcpy memmove memset strcmp strerror strlen strtoll snprintf fprintf nanosleep sched_yield "
        "pthread_mutex_lock pthread_mutex_unlock pthread_once pthread_self pthread_sigmask sigaddset "
        "sigemptyset nallocx sdallocx free pfm_get_version pfm_strerror"
    ),
    "give nothing back that could be looked at": "urcu_* compat_futex_* hwloc_bitmap_free hwloc_distances_release hwloc_topology_destroy",
    "answer from what was loaded": (
        "hwloc_bitmap_first hwloc_bitmap_isset hwloc_bitmap_next hwloc_get_nbobjs_by_depth hwloc_get_obj_by_depth "
        "hwloc_get_type_depth hwloc_topology_get_* hwloc_topology_is_thissystem"
    ),
    "fail where nobody could do anything about it": "close kill waitpid prctl setenv signal eventfd_write",
    "fail by way of an answer": "process_vm_readv",
}


def calls_made_to_fail() -> set[str]:
    """The functions that the linker wraps, as it names them."""
    lists = (ROOT / "tests/failures/CMakeLists.txt").read_text(encoding="utf-8")
    wrapped = re.search(r"foreach\(wrapped IN ITEMS ([^)]*)\)", lists)
    return set(wrapped[1].split()) if wrapped else set()


def calls_in_sources() -> list[tuple[str, int, str]]:
    """Every call that can be made to fail: its file, its line, and how it is spelled there."""
    names = "|".join(sorted(SPELLED.get(name, name) for name in calls_made_to_fail()))
    call = re.compile(rf"(?P<global>(?<![\w:.>])(?:::|std::)?)\b(?P<name>{names})\(")
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.[ch]pp")):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                for match in call.finditer(line.split("//")[0]):
                    if (match["name"] not in QUALIFIED or match["global"]) and "FUTEX_WAKE" not in line:  # waking never fails
                        found.append((str(path.relative_to(ROOT)), number, match["name"]))
    return sorted(found)


def c_functions(build: Path) -> set[str]:
    """The C functions that the compiled sources call, but for what the compiler calls by itself."""
    objects = [*(build / "impl").glob("*.a"), *(build / "tests/failures").rglob("instances.cpp.o")]
    answer = subprocess.run(["nm", "--undefined-only", *objects], capture_output=True, text=True, check=True)
    names = set(re.findall(r"^ +U (\w+)$", answer.stdout, re.MULTILINE)) - {"stderr"}
    return {name for name in names if name in calls_made_to_fail() or not name.startswith(("_Z", "__", "_Unwind"))}


def calls_not_judged(called: set[str]) -> set[str]:
    """Those that are neither made to fail nor left alone for a reason."""
    known = " ".join([*calls_made_to_fail(), *LEFT_ALONE.values()]).split()
    return {name for name in called if not any(fnmatch(name, pattern) for pattern in known)}


def calls_reached(binary: Path, sites: list[list[str]]) -> set[tuple[str, int, str]]:
    """What the sites called, and from where, by the debugging information."""
    calls = {(site[0], "0x" + site[1]) for site in sites if len(site) > 1}
    addresses = sorted({address for _, address in calls})
    answer = subprocess.run(
        ["addr2line", "-a", "-i", "-e", str(binary)],
        input="\n".join(addresses) + "\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = re.split(r"^(0x[0-9a-f]+)$", answer.stdout, flags=re.MULTILINE)
    places = {int(address, 16): re.findall(r"(?:^|/)((?:impl|variants)/.*):(\d+)", text) for address, text in zip(lines[1::2], lines[2::2])}
    return {(file, int(line), SPELLED.get(name, name)) for name, address in calls for file, line in places[int(address, 16)]}


def main(arguments: list[Path]) -> int:
    """Prints what was not reached or is left alone, and the line of figures."""
    reached: set[tuple[str, int, str]] = set()
    total: Counter[str] = Counter()
    called: set[str] = set()
    for binary, sites_file, figures_file in zip(arguments[::3], arguments[1::3], arguments[2::3]):
        # "operator new 0x12 0x34"
        sites = [line.split(" 0x") for line in sites_file.read_text(encoding="utf-8").splitlines()]
        reached |= calls_reached(binary, sites)
        figures = figures_file.read_text(encoding="utf-8").split()
        total.update({name: int(value) for name, value in zip(figures[::2], figures[1::2])})
        called |= c_functions(binary.parents[2])
    missed = [call for call in calls_in_sources() if call not in reached]
    for file, line, call in missed:
        print(f"not reached: {file}:{line} {call}")
    for reason, patterns in LEFT_ALONE.items():
        alone = sorted(name for name in called if any(fnmatch(name, pattern) for pattern in patterns.split()))
        if alone:
            print(f"never made to fail, because they {reason}: {', '.join(alone)}")
    for name in sorted(calls_not_judged(called)):
        print(f"neither made to fail nor left alone for a reason: {name}")
    print(
        f"failures: sites {total['sites']}, injected {total['injected']}, not reached {len(missed)}, "
        f"not met again {total['not_met']}, excluded {total['excluded']}, "
        f"broken {total['broken']}, leaked {total['leaked']}"
    )
    wrong = total["not_met"] + total["broken"] + total["leaked"]
    return 0 if total["sites"] and not wrong and not calls_not_judged(called) else 1


if __name__ == "__main__":
    sys.exit(main([Path(argument) for argument in sys.argv[1:]]))
