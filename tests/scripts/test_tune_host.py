"""`lab tune-host`: what it changes, and that it gives everything back on every exit, kill included."""

import fcntl
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab_process import LAB, ROOT, Finished, environment, lab

from page_map_lab import host_settings, host_snapshot
from page_map_lab.cli_errors import UsageError

UNTUNED = {
    "proc/sys/kernel/random/boot_id": "0b0b",
    "proc/sys/kernel/numa_balancing": "1",
    "proc/sys/kernel/nmi_watchdog": "1",
    "proc/sys/kernel/perf_event_paranoid": "3",
    "proc/sys/kernel/kptr_restrict": "1",
    "proc/sys/vm/max_map_count": "65530",
    "sys/devices/system/cpu/online": "0-3",
    "sys/devices/system/cpu/cpufreq/boost": "1",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "powersave",
    "sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "schedutil",
    "sys/kernel/mm/ksm/run": "1",
    "proc/irq/24/smp_affinity_list": "0-3",
    "proc/irq/25/smp_affinity_list": "1",
}
TUNED = {
    "proc/sys/kernel/numa_balancing": "0",
    "proc/sys/kernel/nmi_watchdog": "0",
    "proc/sys/kernel/perf_event_paranoid": "-1",
    "proc/sys/kernel/kptr_restrict": "0",
    "sys/devices/system/cpu/cpufreq/boost": "0",
    "sys/devices/system/cpu/cpufreq/policy0/scaling_governor": "performance",
    "sys/devices/system/cpu/cpufreq/policy1/scaling_governor": "performance",
    "sys/kernel/mm/ksm/run": "0",
    "proc/irq/24/smp_affinity_list": "0-1",
}


class Host:
    """A made-up host: its tree, and the lab that tunes it."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.state = folder / "state"
        self.variables = {"PAGE_MAP_LAB_STATE": str(self.state)}
        for name, text in UNTUNED.items():
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).write_text(text)

    def values(self) -> dict[str, str]:
        """What every file says."""
        return {str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def is_tuned(self) -> bool:
        """Whether every setting is as tune-host wants it."""
        return self.values() == {**UNTUNED, **TUNED}

    def is_untuned(self) -> bool:
        """Whether every setting is as it was, and nothing is remembered."""
        return self.values() == UNTUNED and not (self.state / "tune-host.json").exists()

    def arguments(self, *arguments: str) -> list[str]:
        """The command line of tune-host for this host."""
        return ["tune-host", "--root", str(self.root), "--cpus", "2-3", *arguments]

    def tune(self, *arguments: str) -> Finished:
        """Runs tune-host to its end."""
        return lab(self.root, *self.arguments(*arguments), **self.variables)

    def call(self, *arguments: str) -> Finished:
        """Runs another verb."""
        return lab(self.root, *arguments, **self.variables)

    def start(self, *command: str) -> subprocess.Popen:
        """Starts tune-host and waits until the host is tuned."""
        process = subprocess.Popen(
            [LAB, *self.arguments("--", *command)], env=environment(self.root, **self.variables),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        wait_for(lambda: self.is_tuned() and children(process.pid))
        return process


def wait_for(condition, seconds: float = 30) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.002)


def children(pid: int) -> list[int]:
    """The child processes."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits for its parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture(name="host")
def fixture_host(tmp_path: Path) -> Iterator[Host]:
    """A host that needs tuning."""
    yield Host(tmp_path)


def test_a_command_runs_tuned_and_everything_is_given_back(host: Host) -> None:
    looked_at = [str(host.root / name) for name in ("proc/sys/kernel/numa_balancing", "proc/irq/24/smp_affinity_list")]
    finished = host.tune("--", "sh", "-c", f"cat {' '.join(looked_at)}; exit 7")
    assert finished.code == 7 and finished.out == "00-1"
    assert "governor: powersave -> performance" in finished.err and "restored and verified 9 settings" in finished.err
    assert host.is_untuned()


def test_json_has_before_and_after_of_each_setting_and_nothing_else_on_stdout(host: Host) -> None:
    finished = host.tune("--json", "--", "echo", "hello")
    said = finished.json
    assert finished.code == said["exit_code"] == 0 and said["verified"] and "hello" in finished.err
    applied = {entry["path"].lstrip("/"): entry for entry in said["applied"]}
    assert {path: entry["after"] for path, entry in applied.items()} == TUNED
    assert all(entry["before"] == UNTUNED[path] and not entry["why"] for path, entry in applied.items())
    assert {entry["path"].lstrip("/"): entry["after"] for entry in said["restored"]} == {path: UNTUNED[path] for path in TUNED}


@pytest.mark.parametrize("verb", [("list", "--help"), ("doctor", "load"), ("tune-host", "--status"), ("tune-host", "--restore")])
def test_a_killed_tune_host_is_restored_by_the_next_call_of_lab(host: Host, verb: tuple[str, ...]) -> None:
    with host.start("sleep", "100") as process:
        command = children(process.pid)[0]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_for(lambda: has_ended(command))
    assert host.is_tuned() and (host.state / "tune-host.json").exists()
    finished = host.call(*verb)
    assert finished.code == 0 and finished.err.count("\n") == 1
    assert f"pid {process.pid}" in finished.err and "was killed: restored and verified 9 settings" in finished.err
    assert host.is_untuned()
    assert host.call(*verb).err.replace("lab tune-host: nothing to restore\n", "") == ""


KILLED_AT = """
import itertools, os, signal, sys
sys.dont_write_bytecode = True
sys.path.insert(0, {scripts!r})
from page_map_lab import host_snapshot, main
moments = itertools.count()
def stop_before(function):
    def stopping(*arguments):
        if next(moments) == {moment}:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments)
    return stopping
host_snapshot.write = stop_before(host_snapshot.write)
host_snapshot.StateFolder._sync = stop_before(host_snapshot.StateFolder._sync)
sys.exit(main.main(sys.argv[1:]))
"""


def test_killed_at_any_moment_everything_is_given_back(host: Host) -> None:
    tuned_when_killed = []
    for moment in itertools.count():
        program = KILLED_AT.format(scripts=str(ROOT / "scripts"), moment=moment)
        command = [sys.executable, "-c", program, *host.arguments("--", "true")]
        code = subprocess.run(command, env=environment(host.root, **host.variables), stderr=subprocess.DEVNULL, check=False).returncode
        if code == 0:
            break
        assert code == -signal.SIGKILL
        tuned_when_killed.append(host.values() != UNTUNED)
        assert host.call("list", "--help").code == 0
        assert host.is_untuned()
    # Before the snapshot is safe and before each change and restoration; nothing is tuned yet before the first change, and
    # not any more once the last restoration was made and the snapshot is gone.
    changes = len(TUNED)
    assert tuned_when_killed == [False] * 2 + [True] * (2 * changes - 1) + [False]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_command_and_restores(host: Host, how: int) -> None:
    with host.start("sleep", "100") as process:
        command = children(process.pid)[0]
        os.kill(process.pid, how)
        said = process.communicate(timeout=30)[1]
    assert process.returncode == 130 and "restored and verified 9 settings" in said
    assert has_ended(command) and host.is_untuned()


def test_a_command_that_is_killed_restores(host: Host) -> None:
    with host.start("sleep", "100") as process:
        os.kill(children(process.pid)[0], signal.SIGKILL)
        process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGKILL and host.is_untuned()


def test_a_second_tune_host_is_refused_and_other_verbs_leave_the_first_alone(host: Host) -> None:
    with host.start("sleep", "100") as process:
        assert host.tune("--", "true").failed_with(2, f"pid {process.pid}", "sleep 100")
        assert host.tune("--restore").failed_with(2, f"pid {process.pid}")
        assert host.call("list", "--help").err == "" and host.is_tuned()
        status = json.loads(host.tune("--status", "--json").out)
        assert status["active"]["pid"] == process.pid and status["changes"] == []
        os.kill(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)
    assert host.is_untuned()


def test_a_restore_that_does_not_take_is_reported_and_the_snapshot_kept(host: Host) -> None:
    stubborn = host.root / "proc/sys/kernel/numa_balancing"
    finished = host.tune("--", "sh", "-c", f"rm {stubborn}; mkdir {stubborn}")
    assert finished.code == 3 and "cannot restore: numa_balancing" in finished.err and "1 of 9 settings" in finished.err
    kept = host.state / "tune-host.json"
    assert json.loads(kept.read_text())["changes"]
    others = {path: text for path, text in UNTUNED.items() if not path.endswith("numa_balancing")}
    assert host.values() == others
    again = host.tune("--restore")
    assert again.code == 3 and "numa_balancing" in again.err and kept.exists()
    verb = host.call("list", "--help")
    assert verb.code == 0 and "cannot be restored" in verb.err and "tune-host --restore" in verb.err
    assert host.tune("--", "true").code == 2
    stubborn.rmdir()
    stubborn.write_text("0")
    assert host.tune("--restore").code == 0 and host.is_untuned()


def test_a_value_that_does_not_stick_is_no_success(tmp_path: Path) -> None:
    # /dev/null takes every write and keeps none.
    (tmp_path / "setting").symlink_to("/dev/null")
    written = host_snapshot.write(tmp_path, "setting", "/setting", "1")
    assert not written.took and "says  after 1" in written.why


def test_a_setting_that_cannot_be_written_is_named_and_skipped(host: Host) -> None:
    (host.root / "sys/kernel/mm/ksm/run").unlink()
    (host.root / "sys/kernel/mm/ksm/run").symlink_to("/proc/version")  # can be read, and not written
    finished = host.tune("--", "true")
    assert finished.code == 0 and "same_page_merging" in finished.err and "not taken: /sys/kernel/mm/ksm/run" in finished.err
    assert "numa_balancing: 1 -> 0" in finished.err


def test_a_snapshot_of_an_earlier_boot_is_not_applied(host: Host) -> None:
    with host.start("sleep", "100") as process:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    (host.root / "proc/sys/kernel/random/boot_id").write_text("another")
    before = host.values()
    assert "earlier boot" in host.call("list", "--help").err
    assert host.values() == before and not (host.state / "tune-host.json").exists()


def test_an_interrupt_whose_device_is_gone_needs_no_restoring(host: Host) -> None:
    finished = host.tune("--", "rm", str(host.root / "proc/irq/24/smp_affinity_list"))
    assert finished.code == 0 and "restored and verified" in finished.err


def test_dry_run_and_status_change_nothing_and_say_what_is_left_alone(host: Host) -> None:
    for option in ("--dry-run", "--status"):
        finished = host.tune(option)
        assert finished.code == 0 and "numa_balancing: 1 -> 0" in finished.out and "swap" in finished.out and host.is_untuned()
    assert host.tune("--dry-run", "--", "true").code == 0 and host.is_untuned()


def test_absent_settings_are_said_to_be_absent(tmp_path: Path) -> None:
    plan = host_settings.make_plan(tmp_path, [])
    said = {remark.name: remark.found for remark in plan.remarks}
    assert plan.changes == [] and "absent" in said["numa_balancing"] and "absent" in said["governor"] and "absent" in said["boost"]
    assert "--cpus" in said["irq_affinity"]


def test_boost_has_a_switch_on_intel_and_on_amd(host: Host) -> None:
    (host.root / "sys/devices/system/cpu/cpufreq/boost").unlink()
    for policy in ("policy0", "policy1"):
        (host.root / "sys/devices/system/cpu/cpufreq" / policy / "boost").write_text("1")
    amd = [change for change in host_settings.make_plan(host.root, []).changes if change.name == "boost"]
    assert len(amd) == 2 and {change.wanted for change in amd} == {"0"}
    (host.root / "sys/devices/system/cpu/intel_pstate").mkdir()
    (host.root / "sys/devices/system/cpu/intel_pstate/no_turbo").write_text("0")
    intel = [change for change in host_settings.make_plan(host.root, []).changes if change.name == "boost"]
    assert [(change.path, change.wanted) for change in intel] == [("/sys/devices/system/cpu/intel_pstate/no_turbo", "1")]


@pytest.mark.parametrize(
    ("setting", "name", "text", "wanted"),
    [
        ("enabled", "transparent_huge_pages", "[always] madvise never", ["madvise"]),
        ("enabled", "transparent_huge_pages", "always [madvise] never", []),
        ("enabled", "transparent_huge_pages", "always madvise [never]", []),
        ("shmem_enabled", "shared_memory_huge_pages", "[always] within_size advise never deny force", ["advise"]),
        ("shmem_enabled", "shared_memory_huge_pages", "always [within_size] advise never deny force", ["advise"]),
        ("shmem_enabled", "shared_memory_huge_pages", "always within_size advise never deny [force]", ["advise"]),
        ("shmem_enabled", "shared_memory_huge_pages", "always within_size [advise] never deny force", []),
        ("shmem_enabled", "shared_memory_huge_pages", "always within_size advise [never] deny force", []),
        ("shmem_enabled", "shared_memory_huge_pages", "always within_size advise never [deny] force", []),
    ],
)
def test_huge_pages_are_tuned_only_where_they_come_unasked(host: Host, setting: str, name: str, text: str, wanted: list[str]) -> None:
    path = host.root / "sys/kernel/mm/transparent_hugepage" / setting
    path.parent.mkdir(parents=True)
    path.write_text(text)
    plan = host_settings.make_plan(host.root, [])
    assert [change.wanted for change in plan.changes if change.name == name] == wanted


def test_interrupts_stay_where_every_processor_is_measured(host: Host) -> None:
    plan = host_settings.make_plan(host.root, [0, 1, 2, 3])
    assert not [change for change in plan.changes if change.name == "irq_affinity"]
    assert "every processor is measured" in {remark.name: remark.found for remark in plan.remarks}["irq_affinity"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "nothing to run"),
        (("--", "no-such-command"), "no-such-command"),
        (("--cpus", "two", "--", "true"), "two"),
        (("--status", "--restore"), "give one of them"),
        (("--root", "/no/where", "--", "true"), "/no/where"),
    ],
)
def test_wrong_usage_is_one_line(host: Host, arguments: tuple[str, ...], words: str) -> None:
    assert host.tune(*arguments).failed_with(2, words)
    assert host.is_untuned()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/usr/sbin/runuser").exists(), reason="no way to be another user")
def test_without_root_it_says_so(host: Host) -> None:
    command = [str(LAB), "tune-host", "--", "true"]
    if os.geteuid() == 0:
        command = ["/usr/sbin/runuser", "-u", "nobody", "--", *command]
    finished = subprocess.run(
        command, env=environment(host.root, PAGE_MAP_LAB_STATE="/nonexistent/state"), capture_output=True, text=True, check=False
    )
    if "Permission denied" in finished.stderr and "lab" in finished.stderr and "tune-host" not in finished.stderr:
        pytest.skip("the clone cannot be read by another user")
    assert finished.returncode == 2 and "need root" in finished.stderr and finished.stderr.count("\n") == 1


def test_a_user_without_a_home_can_use_every_verb(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for home in ("/proc/1/cwd/nowhere", ""):
        finished = lab(host.root, "list", "--help", HOME=home, XDG_STATE_HOME="", PAGE_MAP_LAB_STATE="")
        assert finished.code == 0 and finished.err == ""
    # A user whom the system does not know.
    monkeypatch.delenv("PAGE_MAP_LAB_STATE", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert host_snapshot.state_folders()[-1] == Path("~/.local/state/page_map_lab")


def test_a_damaged_snapshot_stops_no_other_verb(host: Host) -> None:
    host.state.mkdir()
    (host.state / "tune-host.json").write_text("{}")
    finished = host.call("list", "--help")
    assert finished.code == 0 and "cannot be restored" in finished.err
    assert host.tune("--", "true").failed_with(2, "tune-host.json")


def test_the_snapshot_is_on_disk_before_the_first_change_and_gone_after_the_last(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    state = host_snapshot.StateFolder(host.state)
    plan = host_settings.make_plan(host.root, [2, 3])
    with state.locked(create=True) as free:
        assert free
        with state.locked(create=True) as second:
            assert not second
        snapshot = host_snapshot.Snapshot.take(host.root, ["x"], plan.changes)
        state.save(snapshot)
        assert state.load() == snapshot and host.values() == UNTUNED
        written = [host_snapshot.write(host.root, change.name, change.path, change.wanted) for change in plan.changes]
        assert all(setting.took for setting in written) and host.is_tuned()
        order = [setting.path for setting in state.restore(snapshot)]
        assert order == [change.path for change in reversed(plan.changes)] and host.is_untuned()
    with open(host.state / "tune-host.lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(UsageError, match="not a snapshot"):
        host_snapshot.Snapshot.from_json({"changes": [{}]}, host.state)
