"""How the host was before it was tuned: kept on disk before the first change, given back and verified at the end.

Invariant: while any setting differs from what it was, a whole snapshot says what it was. It is written and synced before
the first change and removed after the last one was read back. Whoever holds the lock may tune and restore; a snapshot
whose lock is free belongs to a tune-host that was killed.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from page_map_lab import atomic_file
from page_map_lab.cli_errors import UsageError
from page_map_lab.host_settings import Change, value_at
from page_map_lab.plain_types import misfit

_SYSTEM = Path("/run/page_map_lab")  # emptied at boot, as the settings are


def state_folders() -> list[Path]:
    """Where a snapshot may be; the first is where a new one goes. PAGE_MAP_LAB_STATE names another place."""
    if place := os.environ.get("PAGE_MAP_LAB_STATE"):
        return [Path(place)]
    home = Path(os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")) / "page_map_lab"
    return [_SYSTEM, home] if os.access(_SYSTEM.parent, os.W_OK) or _SYSTEM.exists() else [home]


def boot_id(root: Path) -> str:
    """What tells this boot from any other; empty where the kernel does not say."""
    return value_at(root, "/proc/sys/kernel/random/boot_id") or ""


@dataclass(frozen=True)
class Snapshot:
    """The settings as they were, and who changed them."""

    root: str
    boot_id: str
    pid: int
    command: list[str]
    created: str
    changes: list[Change]

    @staticmethod
    def take(root: Path, command: list[str], changes: list[Change]) -> "Snapshot":
        """A snapshot of now."""
        moment = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Snapshot(str(root.resolve()), boot_id(root), os.getpid(), command, moment, changes)

    @staticmethod
    def from_json(value: Any, path: Path) -> "Snapshot":
        """The snapshot that a file holds."""
        try:
            found = Snapshot(**{**value, "changes": [Change(**change) for change in value["changes"]]})
        except (TypeError, KeyError) as error:
            raise _not_one(path, str(error)) from error
        if wrong := misfit(found):
            raise _not_one(path, f"its {wrong} is of another type")
        return found


def _not_one(path: Path, what: str) -> UsageError:
    return UsageError(f"{path}: not a snapshot of tune-host ({what}): look at the settings in it, then remove it")


@dataclass(frozen=True)
class Written:
    """What became of one setting; `why` is empty where reading back showed the wanted value."""

    name: str
    path: str
    before: str | None
    wanted: str
    after: str | None
    why: str

    @property
    def took(self) -> bool:
        """Whether the setting was read back as wanted."""
        return not self.why


def write(root: Path, name: str, path: str, wanted: str) -> Written:
    """Writes one setting and reads it back."""
    before = value_at(root, path)
    why = ""
    if before != wanted:
        try:
            with open(root / path.lstrip("/"), "w", encoding="utf-8") as stream:
                stream.write(wanted)
        except OSError as error:
            why = error.strerror or str(error)
    after = value_at(root, path)
    if after != wanted and not why:
        why = f"it says {after} after {wanted} was written"
    return Written(name, path, before, wanted, after, why if after != wanted else "")


class StateFolder:
    """The folder of the snapshot and its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "tune-host.json"

    @contextlib.contextmanager
    def locked(self, create: bool) -> Iterator[bool]:
        """Holds the lock meanwhile; yields False where somebody else has it. A killed holder has let go of it."""
        path = self.folder / "tune-host.lock"
        if create or not path.exists():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                path.touch(mode=0o644)
            except OSError as error:
                raise UsageError(f"{path}: cannot be written ({error.strerror}): name a folder with PAGE_MAP_LAB_STATE") from error
        with open(path, "rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            yield True

    def has_snapshot(self) -> bool:
        """Whether there is one; a folder that this user may not look into holds none for them."""
        return os.path.exists(self.path)

    def load(self) -> Snapshot | None:
        """The snapshot that is there."""
        if not self.has_snapshot():
            return None
        return Snapshot.from_json(atomic_file.read_json(self.path, "the snapshot of tune-host"), self.path)

    def save(self, snapshot: Snapshot) -> None:
        """Writes the snapshot so that it survives whatever comes next."""
        atomic_file.write_text(self.path, json.dumps(asdict(snapshot), indent=1) + "\n")
        self._sync()

    def remove(self) -> None:
        """Forgets the snapshot."""
        self.path.unlink(missing_ok=True)
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def restore(self, snapshot: Snapshot) -> list[Written]:
        """Gives every setting back, the last changed first, and forgets the snapshot if all of them took. Hold the lock."""
        root = Path(snapshot.root)
        given_back = []
        for change in reversed(snapshot.changes):
            if not (root / change.path.lstrip("/")).exists():
                # The device of an interrupt may be gone, and its setting with it.
                given_back.append(Written(change.name, change.path, None, change.before, None, ""))
                continue
            given_back.append(write(root, change.name, change.path, change.before))
        if all(setting.took for setting in given_back):
            self.remove()
        return given_back


@dataclass(frozen=True)
class Recovery:
    """What was done about the snapshot of a tune-host that was killed."""

    line: str
    given_back: list[Written]

    @property
    def ok(self) -> bool:
        """Whether nothing is left tuned."""
        return all(setting.took for setting in self.given_back)


def recover() -> list[Recovery]:
    """Restores what a killed tune-host left behind, in every state folder; a living one is left alone."""
    return [found for folder in state_folders() if (found := _recover(StateFolder(folder))) is not None]


def _recover(state: StateFolder) -> Recovery | None:
    if not state.has_snapshot():
        return None
    with state.locked(create=False) as free:
        snapshot = state.load() if free else None
        if snapshot is None:
            return None
        who = f"tune-host (pid {snapshot.pid}, {snapshot.created})"
        if snapshot.boot_id != boot_id(Path(snapshot.root)):
            state.remove()
            return Recovery(f"{who} was of an earlier boot, whose settings are gone: its snapshot was removed", [])
        given_back = state.restore(snapshot)
    names = ", ".join(dict.fromkeys(setting.name for setting in given_back))
    failed = [setting for setting in given_back if not setting.took]
    if failed:
        first = failed[0]
        return Recovery(
            f"{who} was killed, and {len(failed)} of {len(given_back)} settings cannot be restored, first {first.name} "
            f"to {first.wanted} ({first.path}: {first.why}): `sudo scripts/lab tune-host --restore`; {state.path} is kept",
            given_back,
        )
    return Recovery(f"{who} was killed: restored and verified {len(given_back)} settings ({names})", given_back)
