"""Collected: the case software has taken a delivered folder, told by a marker or by its absence (C20).

Guarantees: a file ``collected`` in the folder (a plain file, no link) means taken; so does a folder that is
gone, but only when the inbox marker was good before and after the look, on the same device, in two scans
at least one scan interval apart, and when fewer than a set number are gone at once. More is a lost mount
or a restored share until a person says otherwise: by an empty file ``confirm-vanished`` in the private
staging folder, which counts once and only for what is held then. A link in place of a type folder proves
nothing. The receipt says how it was told, is issued once for each attempt, and moves the state where the
table allows it. A marked folder is removed ``keep_hours`` after the time that our ledger recorded,
whatever its time stamps say, if it still is what was marked.

Leaves to others: delivery, and the answer 签收 (``dispositions``). Known limits: absence is kept in memory
and starts anew with the daemon; the folder of an attempt that a higher attempt has replaced is no longer
watched; a wall clock that jumps ahead removes collected folders early.
"""

from __future__ import annotations

import logging
import stat
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.clock import Clock
from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, VolumeDamagedError
from exchanged.ledger import Connection, Ledger, Transaction, effects, packets, statements
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.log import event_line
from exchanged.receipts import Statements
from exchanged.states import Event, allows
from frontend_server.delivery import subject_of
from frontend_server.folders import INBOX
from frontend_server.staged_folders import REMOVED
from frontend_server.staging import InboxPlaces, device_of, kind_of, seal_digest_in
from packet_spec.errors import ExchangeError
from packet_spec.model import ReceiptKind

MARKER_NAME: Final = "collected"
# Made by a person in the private staging folder, which the case software cannot reach (C20).
CONFIRMATION_NAME: Final = "confirm-vanished"
# After a look of so long, no other one for so many times as long.
_SHARE: Final = 10.0


class Look(StrEnum):
    """What one look at a delivered folder showed. UNKNOWN proves nothing."""

    PRESENT = "present"
    MARKED = "marked"
    GONE = "gone"
    UNKNOWN = "unknown"


class How(StrEnum):
    """How the receipt says that a folder was collected (C20)."""

    MARKER = "marker"
    FOLDER_GONE = "folder-gone"


@dataclass(frozen=True, slots=True)
class _Folder:
    """A delivered folder that still counts as lying in the inbox."""

    packet: PacketRow
    destination: DestinationRow

    @property
    def key(self) -> tuple[int, int, str]:
        """Packet row, attempt and folder: the same only while it is the same delivery."""
        return self.packet.id, self.packet.attempt, self.destination.folder


_Looks = dict[Look, list[_Folder]]


def look_at(folder: Path) -> Look:
    """Look at a delivered folder without following links."""
    try:
        if kind_of(folder.parent) not in (None, stat.S_IFDIR):
            # A link in place of the type folder would lead the look, and a removal, to other folders.
            return Look.UNKNOWN
        kind = kind_of(folder)
        if kind is None:
            return Look.GONE
        if kind == stat.S_IFDIR and kind_of(folder / MARKER_NAME) == stat.S_IFREG:
            return Look.MARKED
    except ForeignVolumeError:
        return Look.UNKNOWN
    return Look.PRESENT


class Collected:
    """The station ``collected`` of one agency's front-end."""

    def __init__(
        self,
        *,
        agency: str,
        ledger: Ledger,
        folders: InboxPlaces,
        files: DurableFiles,
        statements: Statements,
        clock: Clock,
        scan_seconds: float,
        keep_hours: float,
        at_once: int,
    ) -> None:
        """``files`` are those of the agency's (foreign) volume; ``at_once`` absences and more are held."""
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._files = files
        self._statements = statements
        self._clock = clock
        self._scan_seconds = scan_seconds
        self._keep = timedelta(hours=keep_hours)
        self._at_once = at_once
        self._next_scan = 0.0
        self._device: int | None = None
        self._absent_since: dict[tuple[int, int, str], float] = {}
        self._held: frozenset[tuple[int, int, str]] = frozenset()
        self._confirmed: frozenset[tuple[int, int, str]] = frozenset()
        self._waiting: frozenset[tuple[int, int, str]] | None = None
        self._alarm = ""
        self._not_removed: frozenset[tuple[int, int, str]] = frozenset()

    @property
    def name(self) -> str:
        """``collected``."""
        return "collected"

    def step(self) -> float | None:
        """Look at every delivered folder once. None when there is none: a delivery wakes us.

        Of a large inbox a look takes long, and every delivery wakes us: it takes a tenth of the time at most.
        """
        began = self._clock.monotonic()
        if began < self._next_scan:
            return self._next_scan - began
        folders = [
            _Folder(packet, destination)
            for packet, destination in packets.in_inbox(self._ledger.read())
            if destination.recipient == self._agency
        ]
        try:
            looks = self._look(folders)
        except ForeignVolumeError as error:
            self._absent_since.clear()
            self._raise_alarm("inbox-not-readable", what=str(error))
            return self._scan_seconds
        self._record_marked(looks[Look.MARKED])
        self._record_gone(looks[Look.GONE])
        self._remove_kept_long_enough(looks[Look.MARKED])
        self._refresh_counts(looks)
        if not folders:
            return None
        now = self._clock.monotonic()
        self._next_scan = now + _SHARE * (now - began)
        return self._scan_seconds

    def confirm_vanished(self) -> int:
        """A person says that the case software really took the folders now held. Returns how many."""
        self._confirmed = self._held
        return len(self._confirmed)

    # --- looking -------------------------------------------------------------------------------

    def _look(self, folders: list[_Folder]) -> _Looks:
        """One scan. Raises ForeignVolumeError when it proves nothing."""
        before = self._good_device()
        looks: _Looks = {look: [] for look in Look}
        for folder in folders:
            looks[look_at(self._folders.inbox / folder.destination.folder)].append(folder)
        after = self._good_device()
        if before != after:
            raise ForeignVolumeError("the inbox changed its device during a scan")
        if before != self._device:
            self._absent_since.clear()
            self._device = before
        return looks

    def _good_device(self) -> int:
        inbox = self._folders.inbox
        if not self._folders.marker_is_good(INBOX):
            raise ForeignVolumeError("the inbox has no good marker", where=str(inbox))
        return device_of(inbox)

    # --- what it means -------------------------------------------------------------------------

    def _record_marked(self, marked: list[_Folder]) -> None:
        fresh = [folder for folder in marked if self._collected_at(folder) is None]
        if not fresh:
            return

        def commit(tx: Transaction) -> None:
            for folder in fresh:
                self._say_collected(tx, folder, How.MARKER)

        self._ledger.write(commit)

    def _record_gone(self, gone: list[_Folder]) -> None:
        now = self._clock.monotonic()
        self._absent_since = {folder.key: self._absent_since.get(folder.key, now) for folder in gone}
        news = {folder.key for folder in gone if self._collected_at(folder) is None} - self._confirmed
        self._held = frozenset(news) if len(news) >= self._at_once else frozenset()
        if self._held:
            self._raise_alarm(
                "inbox-folders-vanished",
                found=len(self._held),
                expected=f"fewer than {self._at_once}",
                hint=f"check the share; when the case software really took them, make the empty file"
                f" {self._folders.staging / CONFIRMATION_NAME}",
            )
        else:
            self._clear_alarm()
        self._hear_person()
        sure = [
            folder
            for folder in gone
            if folder.key not in self._held and now - self._absent_since[folder.key] >= self._scan_seconds
        ]
        if sure:
            self._ledger.write(lambda tx: self._forget_all(tx, sure))

    def _hear_person(self) -> None:
        """The file counts once, for what is held now: never for what vanishes later."""
        file = self._folders.staging / CONFIRMATION_NAME
        try:
            if kind_of(file) is None:
                return
            self._files.unlink(file)
        except ForeignVolumeError as error:
            event_line("confirmation-not-read", level=logging.WARNING, what=str(error))
            return
        count = self.confirm_vanished()
        self._ledger.write(lambda tx: tx.event("vanished-confirmed", detail={"found": count}))
        event_line("vanished-confirmed", agency=self._agency, found=count)

    def _collected_at(self, folder: _Folder, tx: Transaction | None = None) -> datetime | None:
        """When our ledger (inside ``tx``, if given) recorded that this attempt was collected, or None."""
        connection = self._ledger.read() if tx is None else tx.connection
        wanted = (True, ReceiptKind.COLLECTED.value, folder.packet.attempt, self._agency)
        for row in statements.summaries_of(connection, folder.packet.key):
            if (row.own, row.kind, row.attempt, row.recipient) == wanted:
                return row.recorded_at
        return None

    def _say_collected(self, tx: Transaction, folder: _Folder, how: How) -> None:
        packet, destination = folder.packet, _current(tx.connection, folder)
        if destination is None:
            return
        if allows(destination.state, Event.RECEIPT_COLLECTED):
            packets.move(tx, packet, destination, Event.RECEIPT_COLLECTED, detail={"how": how.value})
        self._statements.issue(
            tx, ReceiptKind.COLLECTED, subject_of(packet), recipient=self._agency, how=how.value
        )
        effects.intend(tx, "counts", INBOX)

    def _forget_all(self, tx: Transaction, folders: list[_Folder]) -> None:
        """These are gone for good; a receipt is issued unless a marker said it before."""
        for folder in folders:
            if _current(tx.connection, folder) is None:
                continue
            if self._collected_at(folder, tx) is None:
                self._say_collected(tx, folder, How.FOLDER_GONE)
            packets.forget_folder(tx, folder.packet.id, self._agency)
        effects.intend(tx, "counts", INBOX)

    # --- tidying -------------------------------------------------------------------------------

    def _remove_kept_long_enough(self, marked: list[_Folder]) -> None:
        now = self._clock.now()
        left: set[tuple[int, int, str]] = set()
        for folder in marked:
            collected_at = self._collected_at(folder)
            if collected_at is not None and now - collected_at >= self._keep and not self._remove(folder):
                left.add(folder.key)
        self._not_removed = frozenset(left)

    def _remove(self, folder: _Folder) -> bool:
        """Out of sight by one rename, then bit by bit. A crash in between leaves a spare in staging.

        False: it has to be tried again.
        """
        source = self._folders.inbox / folder.destination.folder
        away = self._folders.staging / f"{REMOVED}{source.name}"
        if not self._is_still_marked(folder, source):
            return True
        try:
            self._files.remove_tree(away)
            self._files.rename_new(source, away)
            self._files.remove_tree(away)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            if folder.key not in self._not_removed:
                # Tried again at every scan, told once.
                event_line(
                    "collected-folder-not-removed",
                    level=logging.WARNING,
                    packet=str(folder.packet.key),
                    error=error.reference,
                    what=str(error),
                )
            return False
        self._ledger.write(lambda tx: self._forget_all(tx, [folder]))
        event_line("collected-folder-removed", packet=str(folder.packet.key))
        return True

    def _is_still_marked(self, folder: _Folder, source: Path) -> bool:
        """Since the look the case software may have removed it, and a higher attempt have taken its name."""
        if _current(self._ledger.read(), folder) is None or look_at(source) is not Look.MARKED:
            return False
        # Who marked it may have taken the seal out of it.
        return seal_digest_in(source) in {"", folder.packet.seal_digest}

    def _refresh_counts(self, looks: _Looks) -> None:
        """The numbers on the icons change when software removes a folder, before we are sure of it."""
        waiting = frozenset(folder.key for folder in (*looks[Look.PRESENT], *looks[Look.UNKNOWN]))
        if waiting != self._waiting:
            self._ledger.write(lambda tx: effects.intend(tx, "counts", INBOX))
            self._waiting = waiting

    # --- alarms --------------------------------------------------------------------------------

    def _raise_alarm(self, reference: str, **fields: str | int) -> None:
        """Tell it once, in the log and in the ledger, until it is over or another."""
        if self._alarm == reference:
            return
        self._alarm = reference
        event_line(reference, level=logging.ERROR, agency=self._agency, **fields)
        self._ledger.write(lambda tx: tx.event(reference, detail=dict(fields)))

    def _clear_alarm(self) -> None:
        if self._alarm:
            before, self._alarm = self._alarm, ""
            event_line("inbox-good-again", agency=self._agency, was=before)
            self._ledger.write(lambda tx: tx.event("inbox-good-again", detail={"was": before}))


def _current(connection: Connection, folder: _Folder) -> DestinationRow | None:
    """The destination as it is now, or None when it is no longer this delivery."""
    packet = packets.get(connection, folder.packet.id)
    if packet.attempt != folder.packet.attempt:
        return None
    wanted = (folder.destination.recipient, folder.destination.folder)
    rows = packets.destinations(connection, folder.packet.id)
    return next((row for row in rows if (row.recipient, row.folder) == wanted), None)
