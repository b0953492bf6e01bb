"""Delivery: what arrived for this agency is staged, renamed into its inbox, and receipted (C18, C19).

Guarantees: a packet appears in the inbox by one rename, whole, once, and never in place of anything
else; the ledger says ``delivering`` before the rename and ``delivered``, with the signed receipt, after it
was made durable. What was encrypted is checked after it was opened (``opened``), because nobody before could;
what is not as packet.xml says, or not sound, is refused here by the receiver (C21) and never seen in the
inbox. After a crash or a failed rename the file system is asked: staged folder there, rename again; gone
under a good marker, it was renamed. Without a good marker nothing is concluded. One packet that cannot be
delivered waits with a named reason and never blocks another.

Leaves to others: writing the staged folder (``frontend_server.staging``), what happens in the inbox
afterwards (``collected``, ``dispositions``). Known limits: attempts are not counted across restarts; the
case software, which may write to its own inbox, is trusted not to swap a type folder for a link
between two of our steps; a power cut between rename and folder sync on a share that syncs nothing may
show one packet twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from exchanged.clock import Clock, Randomness
from exchanged.durable_group import GroupedFiles
from exchanged.errors import (
    CheckTakesLongError,
    ForeignVolumeError,
    NameTakenError,
    StaleStateError,
    VolumeDamagedError,
)
from exchanged.ledger import (
    Ledger,
    Transaction,
    blobs,
    ciphertexts,
    effects,
    packets,
    restoring,
    statements,
)
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.log import event_line
from exchanged.receipts import Links, Statements, Subject
from exchanged.retry import Backoff
from exchanged.states import DestinationState, Event
from exchanged.station import NOW
from exchanged.trust import Trust
from frontend_server.folders import INBOX
from frontend_server.staged_folders import StagedFolders
from frontend_server.staging import InboxPlaces, Staged, Stager, device_of, kind_of, seal_digest_in
from frontend_server.waiting import Waits
from packet_spec.errors import AuthorityError, DecryptionError, ExchangeError, RevokedSinceError
from packet_spec.findings import Finding
from packet_spec.model import ReceiptKind
from packet_spec.names import safe_component
from packet_spec.sentences import make_finding

# Packets of one step: one commit for all, and the first receipts leave before a burst is through.
_GROUP: Final = 32
_ALL: Final = -1

T = TypeVar("T")
_Row = tuple[PacketRow, DestinationRow]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A packet that lies in the inbox as ``folder``, whose name is durable once ``holder`` was flushed.

    ``how`` is ``renamed`` (just now), ``found`` (by an earlier run, seen) or ``gone`` (taken already).
    """

    packet: PacketRow
    destination: DestinationRow
    folder: str
    holder: Path
    how: str


@dataclass(frozen=True, slots=True)
class _Outcome:
    """A packet that lies staged under ``name``, or that is refused with ``findings``."""

    name: str
    staged: Staged | None = None
    findings: tuple[Finding, ...] = ()


class Delivery:
    """The station ``delivery`` of one agency's front-end."""

    def __init__(
        self,
        *,
        agency: str,
        ledger: Ledger,
        folders: InboxPlaces,
        stager: Stager,
        files: GroupedFiles,
        statements: Statements,
        links: Links,
        trust: Trust,
        clock: Clock,
        clock_is_sound: Callable[[], bool],
        randomness: Randomness,
        backoff: Backoff,
        folder_mode: int,
    ) -> None:
        """``files`` are for the agency's (foreign) volume, and the group that ``stager`` writes through.

        ``folder_mode`` e.g. 0o2770, for type folders.
        """
        self._agency = agency
        self._ledger = ledger
        self._folders = folders
        self._stager = stager
        self._files = files
        self._statements = statements
        self._links = links
        self._trust = trust
        self._clock = clock
        self._clock_is_sound = clock_is_sound
        self._folder_mode = folder_mode
        self._waits = Waits(clock, randomness, backoff)
        self._closed = Waits(clock, randomness, backoff)
        self._is_reconciled = False
        self._staged = StagedFolders(folders, stager)

    @property
    def name(self) -> str:
        """``delivery``."""
        return "delivery"

    def step(self) -> float | None:
        """Deliver what is due. Raises only what concerns the ledger or our own volume."""
        try:
            self._require_good_folders()
            if not self._is_reconciled:
                self.reconcile()
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            return self._close_folders(error)
        self._open_folders()
        due, is_full = self._due((DestinationState.ARRIVED, DestinationState.DELIVERING))
        self._stage_all([row for row in due if row[1].state is DestinationState.ARRIVED])
        delivering, _ = self._due((DestinationState.DELIVERING,))
        self._place_all(delivering)
        return NOW if is_full and due else self._waits.next_look()

    def reconcile(self) -> int:
        """Remove staged folders that no ledger row names: spares of a crash. Returns how many.

        Run by the first step under a good inbox marker. Raises ForeignVolumeError.
        """
        rows = packets.in_states(self._ledger.read(), (DestinationState.DELIVERING,), _ALL)
        count = self._staged.remove_spares(rows)
        self._is_reconciled = True
        return count

    # --- the folders ---------------------------------------------------------------------------

    def _require_good_folders(self) -> None:
        """Raises ForeignVolumeError unless a rename into the inbox, or its absence, would prove something."""
        inbox, staging = self._folders.inbox, self._folders.staging
        if not self._folders.marker_is_good(INBOX):
            raise ForeignVolumeError(
                "the inbox has no good marker: a lost mount, or never initialised",
                where=str(inbox),
                hint="check the mount, else, with the daemon stopped: exchangectl folder init --accept",
            )
        if device_of(inbox) != device_of(staging):
            raise ForeignVolumeError(
                "inbox and staging lie on different file systems; packets are delivered by renaming",
                where=str(inbox.parent),
            )

    def _close_folders(self, error: ExchangeError) -> float | None:
        """Nothing is delivered until the folders are good; a person must act (C19)."""
        if self._closed.put_off(INBOX, error, "inbox-unusable", level=logging.ERROR, where=error.where):
            self._ledger.write(lambda tx: tx.event("inbox-unusable", detail={"reason": error.summary}))
        return self._closed.next_look()

    def _open_folders(self) -> None:
        if self._closed.done(INBOX):
            self._ledger.write(lambda tx: tx.event("inbox-usable"))
            event_line("inbox-usable", agency=self._agency)

    # --- what is due ---------------------------------------------------------------------------

    def _due(self, states: tuple[DestinationState, ...]) -> tuple[list[_Row], bool]:
        """Rows to work on now, and whether more may stand behind them. What waits takes no room."""
        limit = _GROUP + len(self._waits)
        rows = packets.in_states(self._ledger.read(), states, limit)
        due = [
            (packet, destination)
            for packet, destination in rows
            if destination.recipient == self._agency and self._is_due(str(packet.key))
        ]
        is_full = len(rows) == limit
        if not is_full and DestinationState.ARRIVED in states:
            known = {str(packet.key) for packet, _ in rows}
            self._waits.forget_others(known)
            self._staged.drop_others(known)
        return due, is_full

    def _is_due(self, key: str) -> bool:
        """It has waited long enough, or the check that it waits for is done."""
        return self._waits.is_due(key) or self._staged.has_answer(key)

    # --- arrived -> delivering, or expired -----------------------------------------------------

    def _stage_all(self, arrived: list[_Row]) -> None:
        expired = self._expired(arrived)
        staged = self._attempt_all([row for row in arrived if row not in expired], self._stage)
        if not staged and not expired:
            return

        def commit(tx: Transaction) -> list[str]:
            left = []
            for packet, destination in expired:
                self._expire(tx, packet, destination)
            for (packet, destination), outcome in staged:
                if outcome.staged is None:
                    self._refuse(tx, packet, destination, outcome.findings)
                elif _move(tx, packet, destination, Event.STAGE, staging=outcome.name, folder=""):
                    ciphertexts.keep(tx, outcome.staged.learned)
                else:
                    left.append(str(packet.key))
            return left

        for key in self._ledger.write(commit):
            # Somebody was faster: it lies there in clear, and goes nowhere.
            self._staged.drop(key)
        for packet, _ in expired:
            self._waits.done(str(packet.key))

    def _expired(self, arrived: list[_Row]) -> list[_Row]:
        """Those whose limit has passed, by a clock that is sound (C18)."""
        now = self._clock.now()
        late = [row for row in arrived if row[0].expires_at is not None and row[0].expires_at <= now]
        return late if late and self._clock_is_sound() else []

    def _expire(self, tx: Transaction, packet: PacketRow, destination: DestinationRow) -> None:
        if _move(tx, packet, destination, Event.RECEIPT_EXPIRED):
            self._statements.issue(tx, ReceiptKind.EXPIRED, subject_of(packet), recipient=self._agency)

    def _stage(self, packet: PacketRow, destination: DestinationRow) -> _Outcome:
        """Raises what makes the packet wait; what was opened is kept while its check takes long."""
        name, key = self._folder_name(packet), str(packet.key)
        folder = self._folders.staging / name
        staged = self._staged.take(packet, name)
        if staged is None:
            try:
                staged = self._stager.stage(packet, destination.recipient, folder)
            except DecryptionError:
                return _Outcome(name, findings=(make_finding("encryption-not-openable"),))
            self._staged.note(key, name)
        try:
            findings = self._stager.check(staged)
        except CheckTakesLongError:
            self._staged.keep(key, staged)
            raise
        except ExchangeError:
            self._staged.drop(key)
            raise
        if staged.work is not None and not self._staged.lies_there(name, staged):
            self._staged.drop(key)
            raise ForeignVolumeError("a staged folder went away while it was checked", where=str(folder))
        if findings:
            self._files.forget(key)
            self._stager.discard(folder)
            return _Outcome(name, findings=findings)
        return _Outcome(name, staged)

    def _refuse(
        self, tx: Transaction, packet: PacketRow, destination: DestinationRow, findings: tuple[Finding, ...]
    ) -> None:
        """What was sent encrypted is not what its sender says: the named receiver refuses it (C21)."""
        if _move(tx, packet, destination, Event.RECEIPT_REFUSED):
            subject = subject_of(packet)
            self._statements.issue(
                tx, ReceiptKind.REFUSED, subject, recipient=self._agency, findings=findings
            )

    def _folder_name(self, packet: PacketRow) -> str:
        """``<sender>_<packet id>``, and ``_a<attempt>`` where an earlier attempt still lies under that name.

        The staged folder has its final name already, so that a recovery knows where it went.
        """
        name = safe_component(f"{packet.key.sender}_{packet.key.packet_id}")
        if self._was_delivered_before(packet) and kind_of(self._type_folder(packet) / name) is not None:
            return f"{name}_a{packet.attempt}"
        return name

    def _was_delivered_before(self, packet: PacketRow) -> bool:
        if packet.attempt == 1:
            return False
        return any(
            row.own and row.kind == ReceiptKind.DELIVERED.value and row.attempt < packet.attempt
            for row in statements.summaries_of(self._ledger.read(), packet.key)
        )

    # --- delivering -> delivered ---------------------------------------------------------------

    def _place_all(self, delivering: list[_Row]) -> None:
        placed = [done for _, done in self._attempt_all(delivering, self._place)]
        if not placed:
            return
        # A share that refuses to sync folders is told in the receipt (C19), the names of type folders too.
        has_names = self._files.is_synced(self._folders.inbox)
        synced = {done.holder: has_names and self._files.is_synced(done.holder) for done in placed}
        committed = self._ledger.write(
            lambda tx: [done for done in placed if self._commit_placed(tx, done, synced=synced[done.holder])]
        )
        for done in committed:
            event_line("packet-delivered", packet=str(done.packet.key), folder=done.folder, how=done.how)

    def _place(self, packet: PacketRow, destination: DestinationRow) -> _Placed:
        source = self._folders.staging / destination.staging
        type_folder = self._type_folder(packet)
        target = type_folder / destination.staging
        folder = f"{type_folder.name}/{target.name}"
        if kind_of(source) is None:
            return self._already_placed(packet, destination, folder)
        # A new directory may have come since it was staged.
        try:
            self._stager.require_sender(packet)
        except (RevokedSinceError, AuthorityError):
            self._unstage(packet, destination, source)
            raise
        self._files.make_dir(type_folder, mode=self._folder_mode)
        try:
            self._files.rename_new(source, target)
        except NameTakenError:
            if seal_digest_in(target) != packet.seal_digest:
                raise
            # This very packet, placed before the ledger was set back (C23): it is not shown twice.
            self._files.remove_tree(source)
            self._files.sync_dir(type_folder)
            return _Placed(packet, destination, folder, type_folder, "found")
        return _Placed(packet, destination, folder, type_folder, "renamed")

    def _unstage(self, packet: PacketRow, destination: DestinationRow, source: Path) -> None:
        """What is staged and counts no more waits before that: there an operator may give it up.

        The ledger first: a staged folder that nothing names is a spare, a named one that is gone was renamed.
        """
        if self._ledger.write(lambda tx: _move(tx, packet, destination, Event.UNSTAGE, staging="")):
            with suppress(ForeignVolumeError):
                self._files.remove_tree(source)

    def _already_placed(self, packet: PacketRow, destination: DestinationRow, folder: str) -> _Placed:
        """The staged folder is gone: an earlier run renamed it, if the folders are good (C19)."""
        self._require_good_folders()
        if kind_of(self._folders.staging / destination.staging) is not None:
            raise ForeignVolumeError("a staged folder was not to be seen for a moment")
        self._require_good_folders()
        target = self._folders.inbox / folder
        is_seen = kind_of(target) is not None
        holder = target.parent if kind_of(target.parent) is not None else self._folders.inbox
        # Nobody knows which of the flushes behind that rename failed, or were never made.
        for each in (holder, self._folders.inbox, self._folders.staging):
            self._files.sync_dir(each)
        return _Placed(packet, destination, folder, holder, "found" if is_seen else "gone")

    def _commit_placed(self, tx: Transaction, done: _Placed, *, synced: bool) -> bool:
        packet = done.packet
        if not _move(tx, packet, done.destination, Event.PLACE, staging="", folder=done.folder, how=done.how):
            return False
        self._statements.issue(
            tx, ReceiptKind.DELIVERED, subject_of(packet), recipient=self._agency, folder_synced=synced
        )
        # The way ends here: a note without a next node means the inbox.
        self._statements.note_hop(tx, packet.key, packet.seal_digest, packet.landed_at, next_node="")
        self._entitle(tx, packet)
        if done.how != "found" and restoring.may_have_been_here(tx.connection, packet):
            # Its delivery.xml says so as well.
            tx.event("delivered-maybe-twice", packet.key, recipient=self._agency)
            tx.wake("notices")
        effects.intend(tx, "counts", INBOX)
        tx.wake("collected")
        return True

    def _entitle(self, tx: Transaction, packet: PacketRow) -> None:
        """The admitting node next door has the blobs that came from it: they need not go back (C9)."""
        neighbour = self._links.peer_of(packet.came_by)
        listed = self._trust.directory.agency(self._agency)
        if neighbour and listed is not None and neighbour == listed.admitting_node:
            for blob in blobs.references(tx.connection, packet.key):
                blobs.entitle(tx, blob.digest, neighbour)

    def _type_folder(self, packet: PacketRow) -> Path:
        return self._folders.inbox / safe_component(packet.business_type)

    # --- one packet's troubles -----------------------------------------------------------------

    def _attempt_all(
        self, rows: list[_Row], work: Callable[[PacketRow, DestinationRow], T]
    ) -> list[tuple[_Row, T]]:
        """Work on each packet, then one flush for all. A failure makes its own packet wait.

        Raises VolumeDamagedError only.
        """
        done: dict[str, tuple[_Row, T]] = {}
        for row in rows:
            self._files.owner = key = str(row[0].key)
            try:
                done[key] = (row, work(*row))
            except VolumeDamagedError:
                raise
            except ExchangeError as error:
                if not self._staged.is_kept(key):
                    self._files.forget(key)
                self._put_off(*row, error)
        for key, failure in self._files.flush().items():
            if self._staged.is_kept(key):
                self._staged.drop(key)
            if key in done:
                self._put_off(*done.pop(key)[0], failure)
        for key in done:
            self._waits.done(key)
        return list(done.values())

    def _put_off(self, packet: PacketRow, destination: DestinationRow, error: ExchangeError) -> None:
        key, state = str(packet.key), destination.state.value
        if self._waits.put_off(key, error, "delivery-failed", packet=key, state=state):
            detail = {"reason": error.reference, "state": state}
            self._ledger.write(
                lambda tx: tx.event("delivery-waiting", packet.key, recipient=self._agency, detail=detail)
            )


def subject_of(packet: PacketRow) -> Subject:
    """What a receipt about this packet names."""
    return Subject(
        packet.key, packet.attempt, packet.content_digest, packet.seal_digest, packet.business_type
    )


def _move(
    tx: Transaction,
    packet: PacketRow,
    destination: DestinationRow,
    event: Event,
    *,
    staging: str | None = None,
    folder: str | None = None,
    how: str = "",
) -> bool:
    """Advance one destination of a group; False, with nothing changed, when somebody was faster."""
    detail = {"how": how} if how else None
    try:
        packets.move(tx, packet, destination, event, staging=staging, folder=folder, detail=detail)
    except StaleStateError:
        return False
    return True
