"""Probing a folder: whether it keeps what the daemon relies on, found out by doing it.

Guarantees: the probe uses the daemon's own operations (``exchanged.durable``), so a fall-back that works
for the daemon works here; it writes only under names of its own, which begin with a dot and are passed
over by intake, links and sweep; it takes everything away again, also what a killed probe left there
before, and replaces nothing. It may run beside the daemon.

Leaves to others: what follows from the facts (``cli.checks_folders``). Known limits: a share that hangs
blocks the caller; what another machine does cannot be tried from here, only inferred from the kind of
file system; a probe says how it is now.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.clock import Randomness
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ForeignVolumeError, NameTakenError
from exchanged.mounts import Mount, mount_of
from exchanged.volume import NO_CRASH, UNSUPPORTED, Kernel
from exchanged.watch import FolderWatch
from packet_spec.errors import ExchangeError

# A probe's files, and the temporary ones under which they grow.
_NAME: Final = re.compile(r"\.{1,2}exchanged-probe-[0-9a-f]{16}(?:\.b)?(?:\.part)?")
# Names looked at to find what a killed probe left; a folder with a million originals is not read for it.
_LEFTOVER_NAMES: Final = 20_000
# A probe takes seconds. What is older than this has no owner any more.
_LEFTOVER_NS: Final = 600 * 10**9
_EVENT_SECONDS: Final = 2.0
_PIN: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# From the coarsest: two seconds are FAT's, 100 ns those of SMB.
_TIME_STEPS_NS: Final = (2 * 10**9, 10**9, 10**8, 10**7, 10**6, 10**5, 10**4, 10**3, 10**2)
_ODD_NS: Final = 123_456_789


class NameKind(StrEnum):
    """A kind of file name that a drop may have."""

    CHINESE = "chinese"
    GBK = "gbk"
    DECOMPOSED = "decomposed"
    LONG = "long"


_NAMES: Final = {
    NameKind.CHINESE: "起诉书.xml".encode(),
    NameKind.GBK: "起诉书.xml".encode("gbk"),
    NameKind.DECOMPOSED: "re\u0301sume\u0301.xml".encode(),
    NameKind.LONG: b"n" * 255,
}


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What a probe found in one folder. ``failure`` says which step did not work; then the rest is unknown.

    ``renames_new``: renameat2 knows RENAME_NOREPLACE there. ``keeps_taken``: renaming onto a taken name was
    refused. ``time_step_ns``: by how much times are rounded, 0 when times could not be set. ``lost_names``:
    kinds of names that were refused or came back changed. ``mode``: of a folder made with ``wanted_mode``.
    ``sees_events`` is None when it was not tried.
    """

    path: Path
    mount: Mount | None
    free_bytes: int
    total_bytes: int
    free_names: int
    device: int
    failure: str = ""
    syncs_folder: bool = True
    renames_new: bool = True
    links: bool = True
    keeps_taken: bool = True
    knows_case: bool = True
    time_step_ns: int = 1
    lost_names: tuple[NameKind, ...] = ()
    wanted_mode: int = 0
    mode: int = 0
    keeps_group: bool = True
    keeps_inode: bool = True
    sees_events: bool | None = None


class _Noting(Kernel):
    """The real system calls, noting which of them the file system does not know."""

    def __init__(self) -> None:
        self.unknown: set[str] = set()

    def rename_new(self, source: Path, target: Path) -> None:
        with self._noted("rename-new"):
            super().rename_new(source, target)

    def link(self, source: Path, target: Path) -> None:
        with self._noted("link"):
            super().link(source, target)

    @contextmanager
    def _noted(self, call: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in UNSUPPORTED | {errno.EPERM, errno.EMLINK}:
                self.unknown.add(call)
            raise


@dataclass(slots=True)
class _Notes:
    """The facts while they are gathered: field of ``FolderFacts`` -> value."""

    facts: dict[str, object] = field(default_factory=dict)


class FolderProbe:
    """Probes folders. ``randomness`` names the probe files; one instance probes one folder after another."""

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._kernel = _Noting()
        # Foreign: every failure is told as that of this folder, none ends the process.
        self._files = DurableFiles(Volume.FOREIGN, NO_CRASH, self._kernel)

    def look(self, path: Path, *, mode: int = 0o700, events: bool = False, flat: bool = False) -> FolderFacts:
        """Probe one folder.

        ``mode``: what a folder made there should have. ``events``: try file-system events too. ``flat``: make
        files only and no folder, where the daemon takes every name for a file of its own (the spool).
        Raises OSError when the folder cannot even be looked at.
        """
        volume, found = os.statvfs(path), path.stat()
        notes = _Notes({"wanted_mode": mode})
        name = f".exchanged-probe-{self._randomness.token(8).hex()}"
        self._kernel.unknown.clear()
        try:
            self._probe_file(path, name, notes)
            if not flat:
                self._probe_folder(path, name, mode, notes, events=events)
        except ExchangeError as error:
            notes.facts["failure"] = error.found or error.summary
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno == errno.EROFS:
                notes.facts["failure"] = "read-only"
        except OSError as error:
            notes.facts["failure"] = error.strerror or "unknown error"
        finally:
            for left in (path / name, path / f"{name}.b"):
                self._remove(left)
        notes.facts["renames_new"] = "rename-new" not in self._kernel.unknown
        notes.facts["links"] = "link" not in self._kernel.unknown
        return FolderFacts(
            path=path,
            mount=mount_of(path),
            free_bytes=volume.f_bavail * volume.f_frsize,
            total_bytes=volume.f_blocks * volume.f_frsize,
            free_names=volume.f_favail if volume.f_files else -1,
            device=found.st_dev,
            **notes.facts,  # type: ignore[arg-type]
        )

    def moves(self, source: Path, target: Path) -> str:
        """Why a file cannot be renamed from one folder into another; empty when it can."""
        name = f".exchanged-probe-{self._randomness.token(8).hex()}"
        try:
            self._files.write_new(source / name, (b"probe\n",))
            self._files.rename_new(source / name, target / name)
        except ExchangeError as error:
            return error.found or error.summary
        finally:
            for folder in (source, target):
                with suppress(ExchangeError):
                    self._files.unlink(folder / name)
        return ""

    # --- steps ---------------------------------------------------------------------------------

    def _probe_file(self, path: Path, name: str, notes: _Notes) -> None:
        """The life of a file: create, write, flush, name, rename, rename onto a taken name, remove."""
        one, two = path / name, path / f"{name}.b"
        self._files.write_new(one, (b"probe\n",), mode=0o600)
        found = one.lstat()
        self._remove_leftovers(path, found.st_mtime_ns)
        notes.facts["syncs_folder"] = self._files.rename_new(one, two)
        after = two.lstat()
        notes.facts["keeps_inode"] = (after.st_ino, after.st_size) == (found.st_ino, found.st_size)
        self._files.write_file(one, (b"other\n",), mode=0o600)
        notes.facts["keeps_taken"] = self._is_refused(one, two)
        self._files.replace(one, two)
        if two.read_bytes() != b"other\n":
            raise ForeignVolumeError("a file was read back otherwise than it was written", where=str(path))
        self._files.unlink(two)
        if os.path.lexists(two):
            raise ForeignVolumeError("a removed file is still there", where=str(path))

    def _is_refused(self, source: Path, target: Path) -> bool:
        try:
            self._files.rename_new(source, target)
        except NameTakenError:
            return True
        # It replaced the file; there must be one to go on with.
        self._files.write_file(source, (b"other\n",), mode=0o600)
        return False

    def _probe_folder(self, path: Path, name: str, mode: int, notes: _Notes, *, events: bool) -> None:
        folder = path / name
        self._files.make_dir(folder, mode=mode)
        found = folder.lstat()
        notes.facts["mode"] = stat.S_IMODE(found.st_mode)
        descriptor = os.open(folder, _PIN)
        try:
            # Whoever may write to the folder above could put a link in its place.
            inside = Path(f"/proc/self/fd/{descriptor}")
            if mode & stat.S_ISGID and path.lstat().st_mode & stat.S_ISGID:
                self._files.write_new(inside / "group", (b"",))
                notes.facts["keeps_group"] = (inside / "group").lstat().st_gid == path.lstat().st_gid
            if events:
                notes.facts["sees_events"] = self._sees_events(folder, inside)
            self._probe_names(inside, notes)
            notes.facts["time_step_ns"] = self._time_step(inside)
            self._files.make_dir(inside / "staged")
            self._files.write_new(inside / "staged" / "file", (b"probe\n",))
            self._files.rename_new(inside / "staged", inside / "placed")
            self._files.remove_tree(inside / "placed")
        finally:
            os.close(descriptor)

    def _probe_names(self, inside: Path, notes: _Notes) -> None:
        self._files.write_new(inside / "case", (b"",))
        notes.facts["knows_case"] = not os.path.lexists(inside / "CASE")
        lost = []
        for kind, name in _NAMES.items():
            path = inside / os.fsdecode(name)
            try:
                with self._files.create(path) as writer:
                    writer.append(b"probe\n")
                if name not in os.listdir(os.fsencode(inside)):  # noqa: PTH208 - names as bytes
                    lost.append(kind)
                self._files.unlink(path)
            except ExchangeError:
                lost.append(kind)
        notes.facts["lost_names"] = tuple(lost)

    def _time_step(self, inside: Path) -> int:
        """By how much times are rounded, found by setting an odd one."""
        path = inside / "case"
        wanted = ((path.lstat().st_mtime_ns // 10**9) | 1) * 10**9 + _ODD_NS
        try:
            os.utime(path, ns=(wanted, wanted))
        except OSError:
            return 0
        found = path.lstat().st_mtime_ns
        if abs(found - wanted) > 2 * _TIME_STEPS_NS[0]:
            return 0
        return next((step for step in _TIME_STEPS_NS if found % step == 0), 1)

    def _sees_events(self, folder: Path, inside: Path) -> bool:
        seen = threading.Event()
        watch = FolderWatch(lambda _folder: seen.set())
        watch.add(folder)
        watch.start()
        try:
            # The second time it tells whether the folder is really watched.
            if not watch.add(folder):
                return False
            self._files.write_new(inside / "event", (b"",))
            return seen.wait(_EVENT_SECONDS)
        finally:
            watch.stop()

    # --- leftovers -----------------------------------------------------------------------------

    def _remove_leftovers(self, path: Path, now_ns: int) -> None:
        """What a killed probe left here. ``now_ns`` is the time of the file system itself."""
        with os.scandir(path) as entries:
            names = [entry.name for _, entry in zip(range(_LEFTOVER_NAMES), entries, strict=False)]
        for name in names:
            if _NAME.fullmatch(name):
                with suppress(OSError):
                    if now_ns - (path / name).lstat().st_mtime_ns > _LEFTOVER_NS:
                        self._remove(path / name)

    def _remove(self, path: Path) -> None:
        with suppress(ExchangeError, OSError):
            if stat.S_ISDIR(path.lstat().st_mode):
                self._files.remove_tree(path)
            else:
                self._files.unlink(path)
