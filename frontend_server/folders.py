"""The agency's folders: where they are, that they are really there, and what each promises (C19).

Guarantees: a folder counts as there only while it holds the marker that the ledger remembers, so an
empty mount point never looks like an empty outbox; nothing here makes a marker except ``write_marker``,
which a person's act calls (``exchangectl folder init``). Folders that are missing below a root that is
there are made with the configured mode and group.

    outbox status sent refused inbox receipts notices      what the case software sees
    .exchanged                                             private staging beside the inbox

Leaves to others: what lies in the folders. Known limits: all of them lie on one file system (checked);
the other folders have no marker of their own and stand or fall with the outbox.
"""

from __future__ import annotations

import grp
import logging
import os
import re
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ForeignVolumeError, TransportFileError
from exchanged.ledger import Ledger, Transaction
from exchanged.log import event_line
from exchanged.mailbox import open_foreign
from frontend_server.claim import FolderClaim
from packet_spec.identity import is_node_code

MARKER_NAME: Final = ".exchanged-marker"
BY_ID: Final = "by-id"
"""Within the statuses: each once more, by the id of its packet."""

OUTBOX: Final = "outbox"
INBOX: Final = "inbox"
FOLDERS: Final = (OUTBOX, "status", "sent", "refused", INBOX, "receipts", "notices")
# What only a node puts there.
_ANSWERS: Final = ("status", "sent", "refused", "receipts")
STAGING: Final = ".exchanged"

# The daemon's alone: nobody sees a packet before it is delivered.
STAGING_MODE: Final = 0o2700
_MARKER_BYTES: Final = 256
_MARKER: Final = re.compile(r"node ([a-z0-9-]{1,64})\ntoken ([0-9a-f]{16,128})\n")
_FOLDER_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# To lead into a folder, nothing more: needs no permission to read it.
_PIN: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


class MarkerState(StrEnum):
    """What a folder's marker says: work there, or leave it alone and conclude nothing."""

    GOOD = "good"
    MISSING = "missing"
    FOREIGN = "foreign"
    READ_ONLY = "read-only"
    IN_USE = "in-use"


@dataclass(frozen=True, slots=True)
class Marker:
    """The two lines of ``.exchanged-marker``. A marker that reads otherwise has an empty ``node``."""

    node: str
    token: str


@dataclass(frozen=True, slots=True)
class FolderRights:
    """Owner, group and mode of one agency folder, by number, and whether they are as configured.

    ``mended``: they were not, and now are. Neither: the file system or another owner does not let us.
    """

    name: str
    uid: int
    gid: int
    mode: int
    wanted_mode: int
    is_good: bool
    mended: bool


class AgencyFolders:
    """The folders of one agency below ``root``. May be used by every thread.

    ``files`` is for the foreign volume; ``node`` is this node's code, which its markers name. ``mode`` and
    ``group`` (a group's name, or empty for the daemon's own) apply to folders that ``ensure`` makes.
    """

    def __init__(
        self,
        root: Path,
        files: DurableFiles,
        *,
        node: str,
        mode: int = 0o2770,
        group: str = "",
        claim: FolderClaim | None = None,
    ) -> None:
        """``claim``: of the daemon, which works there alone; who only looks has none."""
        self.root = root
        self.files = files
        self.node = node
        self.mode = mode
        self._group = group
        self._claim = claim
        self._guard = threading.Lock()
        self._tokens: dict[str, str] = {}
        self._states: dict[str, MarkerState] = {}
        # Right below the root and made by this process: their names may not have been flushed.
        self._made: set[Path] = set()

    @property
    def outbox(self) -> Path:
        """Where the case software drops packets."""
        return self.root / OUTBOX

    @property
    def status(self) -> Path:
        """How far each drop is."""
        return self.root / "status"

    @property
    def sent(self) -> Path:
        """Originals of drops that were taken."""
        return self.root / "sent"

    @property
    def refused(self) -> Path:
        """Originals of drops that were refused, with their findings beside them."""
        return self.root / "refused"

    @property
    def inbox(self) -> Path:
        """Where delivered packets appear."""
        return self.root / INBOX

    @property
    def receipts(self) -> Path:
        """Every signed receipt about this agency's packets."""
        return self.root / "receipts"

    @property
    def notices(self) -> Path:
        """For the agency's IT staff."""
        return self.root / "notices"

    @property
    def staging(self) -> Path:
        """The private folder beside the inbox."""
        return self.root / STAGING

    def ensure(self) -> None:
        """Make missing folders and check that all lie on one file system.

        Raises ForeignVolumeError when the root is not there (it may be a share that is not mounted), when
        the group is unknown, or when the folders lie on several file systems.
        """
        try:
            has_root = self.root.is_dir()
        except OSError as error:
            raise ForeignVolumeError(
                "the agency root cannot be looked at", where=str(self.root), found=error.strerror or ""
            ) from error
        if not has_root:
            raise ForeignVolumeError(
                "the agency root is not there",
                where=str(self.root),
                hint="mount the share; at a new node make the folder, then run: exchangectl folder init",
            )
        modes = self._modes()
        for path, mode in modes.items():
            self._make(path, mode)
            self._give_to_group(path, mode)
        self.files.sync_dir(self.root)
        devices = {found.st_dev for path in modes if (found := _look_at(path)) is not None}
        if len(devices) != 1:
            raise ForeignVolumeError(
                "the agency folders lie on several file systems; packets move between them by renaming",
                where=str(self.root),
                expected="one file system",
                found=str(len(devices)),
            )

    def mend(self) -> tuple[FolderRights, ...]:
        """Give every folder that is ours the configured group and mode, for a person who asked for it.

        Not at the daemon's start: what an administrator changed on purpose stays. Raises ForeignVolumeError
        when a folder is not there or the group is unknown.
        """
        group = self._group_number() if self._group else None
        return tuple(self._mend(path, mode, group) for path, mode in self._modes().items())

    def make_folder(self, path: Path, files: DurableFiles | None = None) -> None:
        """Make one folder, an agency folder or below one, with its mode and group; ``files`` may be a group.

        Raises ForeignVolumeError, also where it would lie in an empty mount point.
        """
        is_missing = path.parent == self.root and _look_at(path) is None
        if is_missing and _look_at(self.outbox / MARKER_NAME) is None:
            raise ForeignVolumeError("the agency folders are not there", where=str(self.root))
        self._make(path, self.mode, files)

    @contextmanager
    def pinned(self, *below: str) -> Iterator[Path]:
        """The folder ``below`` the root, as a path that leads into it whatever is put in its place meanwhile.

        Case software may swap a folder inside its own for a link between any two of our steps; no link
        below the root is followed. Raises ForeignVolumeError when it is not there or no folder.
        """
        descriptor = -1
        try:
            try:
                descriptor = os.open(self.root, _PIN)
                for name in below:
                    outer, descriptor = descriptor, os.open(name, _PIN | os.O_NOFOLLOW, dir_fd=descriptor)
                    os.close(outer)
            except OSError as error:
                raise ForeignVolumeError(
                    "a folder cannot be opened", where=str(self.root), found=error.strerror or ""
                ) from error
            yield Path(f"/proc/self/fd/{descriptor}")
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    @contextmanager
    def opened(self, folder: str) -> Iterator[int]:
        """The descriptor of ``folder``, not followed: everything done through it is done in that folder.

        Raises ForeignVolumeError when it is not there or no folder.
        """
        try:
            descriptor = os.open(self.root / folder, _FOLDER_FLAGS)
        except OSError as error:
            raise ForeignVolumeError(
                f"the {folder} cannot be opened", where=str(self.root), found=error.strerror or ""
            ) from error
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def check_marker(self, ledger: Ledger, folder: str) -> MarkerState:
        """Whether ``folder`` (``outbox`` or ``inbox``) may be worked on now.

        The first marker that names this node is remembered, unless its folders were served before: then a
        person must say so (``accept_marker``). From then on another or none is an alarm: one
        event and one log line when the answer changes. Never raises for what lies in the folder.
        """
        found = self._read(folder)
        with self._guard:
            state = self._judge(ledger, folder, found)
            before = self._states.get(folder, MarkerState.GOOD)
            self._states[folder] = state
        if state is not before:
            detail = {"folder": folder, "state": state.value}
            ledger.write(lambda tx: tx.event("folder-marker", detail=detail))
            level = logging.INFO if state is MarkerState.GOOD else logging.ERROR
            event_line("folder-marker", level=level, folder=folder, state=state.value, root=str(self.root))
        return state

    def compare_marker(self, folder: str, known: str | None) -> MarkerState:
        """What ``folder``'s marker is against the token that a ledger remembers; writes nothing.

        With ``known`` None (no ledger yet) any marker of this node is good. Never raises for what lies there.
        """
        found = self._read(folder)
        if found is None:
            return MarkerState.MISSING
        is_ours = found.node == self.node and known in {None, found.token}
        return self._usable(folder) if is_ours else MarkerState.FOREIGN

    def accept_marker(self, ledger: Ledger, folder: str) -> MarkerState:
        """Remember the marker that lies in ``folder`` now instead of the earlier one: a person's decision."""
        found = self._read(folder)
        if found is not None and found.node == self.node:
            token = found.token
            ledger.write(lambda tx: _remember(tx, folder, token, "marker-accepted"))
            with self._guard:
                self._tokens[folder] = token
        return self.check_marker(ledger, folder)

    def _judge(self, ledger: Ledger, folder: str, found: Marker | None) -> MarkerState:
        if found is None:
            return MarkerState.MISSING
        if found.node != self.node:
            return MarkerState.FOREIGN
        token = self._tokens.get(folder)
        if token is None:
            if not ledger.write(_has_met) and self._has_served():
                # A ledger that knows nothing of it may lie where the node's own should be mounted.
                return MarkerState.FOREIGN
            token = ledger.write(lambda tx: _meet(tx, folder, found.token))
            self._tokens[folder] = token
        return self._usable(folder) if token == found.token else MarkerState.FOREIGN

    def _has_served(self) -> bool:
        """A node has answered here before: originals, statuses or receipts lie in the agency's folders."""
        for name in _ANSWERS:
            try:
                with os.scandir(self.root / name) as entries:
                    if any(entry.name != BY_ID for entry in entries):
                        return True
            except FileNotFoundError:
                continue
            except OSError:
                return True
        return False

    def _usable(self, folder: str) -> MarkerState:
        """A share that was mounted read-only takes no status and gives no original: it is not worked on."""
        try:
            flags = os.statvfs(self.root / folder).f_flag
        except OSError:
            return MarkerState.MISSING
        if flags & os.ST_RDONLY:
            return MarkerState.READ_ONLY
        return MarkerState.GOOD if self._claim is None or self._claim.is_ours() else MarkerState.IN_USE

    def _read(self, folder: str) -> Marker | None:
        """The marker of a folder, or None when there is none that can be read."""
        try:
            with self.opened(folder) as descriptor:
                file = open_foreign(descriptor, MARKER_NAME)
                try:
                    data = os.read(file, _MARKER_BYTES + 1)
                finally:
                    os.close(file)
        except (OSError, ForeignVolumeError, TransportFileError):
            return None
        match = _MARKER.fullmatch(data.decode("ascii", errors="replace"))
        return Marker("", "") if match is None else Marker(match[1], match[2])

    def _make(self, path: Path, mode: int, files: DurableFiles | None = None) -> None:
        found = _look_at(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            if path.parent == self.root:
                self._made.add(path)
            (files or self.files).make_dir(path, mode=mode)
            self._give_to_group(path, mode)
        elif path.parent != self.root or path in self._made:
            # Whoever made it may have failed to flush its name, and what lies in it would go with it.
            (files or self.files).sync_dir(path.parent)

    def _modes(self) -> dict[Path, int]:
        modes = {self.root / name: self.mode for name in FOLDERS}
        return modes | {self.staging: STAGING_MODE, self.status / BY_ID: self.mode}

    def _group_number(self) -> int:
        try:
            return grp.getgrnam(self._group).gr_gid
        except KeyError as error:
            raise ForeignVolumeError("this machine does not know the group", found=self._group) from error

    def _mend(self, path: Path, mode: int, group: int | None) -> FolderRights:
        before = _look_at(path)
        if before is None or not stat.S_ISDIR(before.st_mode):
            raise ForeignVolumeError("what should be a folder is not one", where=str(path))
        if not _has_rights(before, mode, group):
            # What the owner or the file system forbids is told by how it looks afterwards.
            with suppress(OSError):
                if group is not None and before.st_gid != group:
                    os.chown(path, -1, group, follow_symlinks=False)
            with suppress(OSError):
                path.chmod(mode)
        after = _look_at(path) or before
        is_good = _has_rights(after, mode, group)
        return FolderRights(
            name=path.relative_to(self.root).as_posix(),
            uid=after.st_uid,
            gid=after.st_gid,
            mode=stat.S_IMODE(after.st_mode),
            wanted_mode=mode,
            is_good=is_good,
            mended=is_good and not _has_rights(before, mode, group),
        )

    def _give_to_group(self, path: Path, mode: int) -> None:
        """Also a folder of ours that an earlier run made and did not come to give away."""
        if not self._group:
            return
        try:
            group = grp.getgrnam(self._group).gr_gid
            found = path.lstat()
            if found.st_uid == os.geteuid() and found.st_gid != group:
                os.chown(path, -1, group, follow_symlinks=False)
                path.chmod(mode)
        except (KeyError, OSError) as error:
            raise ForeignVolumeError(
                "a folder could not be given to its group", where=str(path), found=self._group
            ) from error


class MarkedFolders:
    """``AgencyFolders`` with the ledger that remembers its markers, for who only asks good or not."""

    def __init__(self, folders: AgencyFolders, ledger: Ledger) -> None:
        self._folders = folders
        self._ledger = ledger

    @property
    def inbox(self) -> Path:
        """Where delivered packets appear."""
        return self._folders.inbox

    @property
    def staging(self) -> Path:
        """The private folder beside the inbox."""
        return self._folders.staging

    def marker_is_good(self, folder: str) -> bool:
        """``folder`` holds the marker that the ledger remembers."""
        return self._folders.check_marker(self._ledger, folder) is MarkerState.GOOD


def write_marker(folder: Path, node: str, token: str, files: DurableFiles | None = None) -> Path:
    """Make the marker of one folder, once: by ``exchangectl folder init`` and ``lab create``.

    ``token`` is 16 random bytes or more in hexadecimal. Raises NameTakenError when there is one already,
    ForeignVolumeError when the folder cannot be written, and ValueError for a node or token of no use.
    """
    text = f"node {node}\ntoken {token}\n"
    if not is_node_code(node) or _MARKER.fullmatch(text) is None:
        raise ValueError("a marker needs a node code and a token of at least 16 hexadecimal digits")
    path = folder / MARKER_NAME
    (files or DurableFiles(Volume.FOREIGN)).write_new(path, (text.encode("ascii"),), mode=0o640)
    return path


def _has_rights(found: os.stat_result, mode: int, group: int | None) -> bool:
    return stat.S_IMODE(found.st_mode) == mode and group in {None, found.st_gid}


def _look_at(path: Path) -> os.stat_result | None:
    """What stands there, not followed; None when nothing does. Raises ForeignVolumeError."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ForeignVolumeError(
            "a folder cannot be looked at", where=str(path.parent), found=error.strerror or ""
        ) from error


def _has_met(transaction: Transaction) -> bool:
    return any(transaction.recall(f"marker:{folder}") is not None for folder in (OUTBOX, INBOX))


def _meet(transaction: Transaction, folder: str, token: str) -> str:
    known = transaction.recall(f"marker:{folder}")
    if known is not None:
        return known
    _remember(transaction, folder, token, "marker-met")
    return token


def _remember(transaction: Transaction, folder: str, token: str, kind: str) -> None:
    transaction.remember(f"marker:{folder}", token)
    transaction.event(kind, detail={"folder": folder})
