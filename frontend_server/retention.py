"""Retention: what lies in the agency's folders goes some days after it became final (C18, C19, C23).

Guarantees: only what is final by the ledger goes, and only what is ours by it: originals that are still the
files that were taken; status files, receipts and findings that hold the very bytes that we would write
today. A stranger's file or a changed one stays, for ever. Nothing happens without a good outbox marker
before and after, nor without a time that neighbours confirmed. The ledger says what is going before the
first byte goes, and a crash resumes there; its rows stay.

    sent       sent/<name>                                  sent_days
    refused    refused/<name> with findings.xml and .txt    refused_days
    status     status/<name>.status.*, status/by-id/<id>    status_days
    receipts   receipts/<packet id>/                        receipt_days

Leaves to others: spool and blobs (``exchanged.sweep``), notices (``exchanged.notices``), delivered folders
(``collected``). Known limits: files that an older program wrote in other words count as changed; the
markers of drops, which lie beside them in sent/ and refused/, stay.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from exchanged.clock import Clock
from exchanged.config import RetentionConfig, StatusEncoding
from exchanged.errors import ForeignVolumeError, VolumeDamagedError
from exchanged.ledger import Ledger, Transaction, drops, keeping, packets, statements
from exchanged.ledger.drops import DropRow, Original
from exchanged.ledger.keeping import KeptRow, Kind, Old
from exchanged.log import event_line
from exchanged.station import NOW
from frontend_server.folders import BY_ID, OUTBOX, AgencyFolders, MarkerState
from frontend_server.originals import companion, free_names, mark_of
from frontend_server.outbox import observe
from frontend_server.removal import IsOurs, Removed, Remover
from frontend_server.status_files import build_status, encode_refusal, encode_status, receipt_names
from packet_spec.errors import ExchangeError

RUN_SECONDS: Final = 3600.0
# One group is marked, removed and forgotten together; small, so that a stop is heard soon.
_GROUP: Final = 32
_START: Final = ("", 0)


class Retention:
    """The station ``retention`` of a front-end. ``proven`` is ``ClockGuard.proven``."""

    name = "retention"

    def __init__(
        self,
        *,
        ledger: Ledger,
        folders: AgencyFolders,
        remover: Remover,
        clock: Clock,
        proven: Callable[[], datetime | None],
        keep: RetentionConfig,
    ) -> None:
        self._ledger = ledger
        self._folders = folders
        self._remover = remover
        self._clock = clock
        self._proven = proven
        days = {
            Kind.SENT: keep.sent_days,
            Kind.REFUSED: keep.refused_days,
            Kind.STATUS: keep.status_days,
            Kind.RECEIPTS: keep.receipt_days,
        }
        self._keep = {kind: timedelta(days=value) for kind, value in days.items() if value}
        self._remove: dict[Kind, Callable[[int], Counter[Removed]]] = {
            Kind.SENT: self._remove_original,
            Kind.REFUSED: self._remove_original,
            Kind.STATUS: self._remove_status,
            Kind.RECEIPTS: self._remove_receipts,
        }
        self._next: float | None = None
        # Where the run is: what is left of its groups, and what it did so far.
        self._groups: Iterator[None] | None = None
        self._done: Counter[str] = Counter()

    def step(self) -> float | None:
        """One group, or wait for the next run. Raises VolumeDamagedError."""
        now = self._clock.monotonic()
        if self._groups is None:
            if self._next is not None and now < self._next:
                return self._next - now
            self._next = now + RUN_SECONDS
            proven = self._proven()
            if proven is None or not self._is_there():
                return RUN_SECONDS
            self._done = Counter()
            self._groups = self._run(proven)
        try:
            next(self._groups)
        except StopIteration:
            self._groups = None
            if self._done:
                event_line("retention", **dict(sorted(self._done.items())))
            return RUN_SECONDS
        except BaseException:
            # What is marked as going is done by the next run.
            self._groups = None
            raise
        return NOW

    def _run(self, proven: datetime) -> Iterator[None]:
        """Everything once, a group for each step; what could not be removed waits for the next run."""
        for kind in Kind:
            resumed = keeping.going(self._ledger.read(), kind, _GROUP)
            if resumed:
                self._work(kind, resumed)
                yield
            if kind not in self._keep:
                continue
            old = keeping.old(self._ledger.read(), proven - self._keep[kind])
            after = _START
            while group := keeping.removable(self._ledger.read(), kind, old, after, _GROUP):
                after = group[-1].since, group[-1].id
                chosen = [row for row in group if self._may_go(kind, row, old)]
                if chosen and not self._work(kind, chosen):
                    return
                yield

    def _may_go(self, kind: Kind, row: KeptRow, old: Old) -> bool:
        """A receipt that came late may have made a status younger than its drop and packet."""
        if kind is not Kind.STATUS:
            return True
        connection = self._ledger.read()
        status = build_status(connection, drops.get(connection, row.id))
        return status.final and status.updated_at < old.before

    def _work(self, kind: Kind, rows: Sequence[KeptRow]) -> bool:
        """Mark, remove, forget. False when the folders went away meanwhile."""
        fresh = [row.id for row in rows if not row.is_going]
        if fresh:
            self._ledger.write(lambda tx: _begin(tx, kind, fresh))
        gone: list[int] = []
        for row in rows:
            try:
                self._done.update({f"{kind}-{what}": n for what, n in self._remove[kind](row.id).items()})
            except VolumeDamagedError:
                raise
            except ExchangeError as error:
                self._done[f"{kind}-failed"] += 1
                event_line(
                    "retention-waits", level=logging.WARNING, kind=kind.value, row=row.id,
                    error=error.reference, what=str(error),
                )  # fmt: skip
                continue
            gone.append(row.id)
        # Without the marker, that a file is not there says nothing.
        if not self._is_there():
            return False
        # Else a power cut could bring back what the ledger says is gone, and nobody would remove it again.
        self._remover.settle()
        self._ledger.write(lambda tx: keeping.end(tx, kind, gone))
        return True

    def _is_there(self) -> bool:
        return self._folders.check_marker(self._ledger, OUTBOX) is MarkerState.GOOD

    # --- what each kind removes ----------------------------------------------------------------

    def _remove_original(self, number: int) -> Counter[Removed]:
        drop = drops.get(self._ledger.read(), number)
        home = self._folders.sent if drop.original is Original.SENT else self._folders.refused
        found: Counter[Removed] = Counter()
        mark = mark_of(drop)
        self._remover.finish_move(home.name, free_names(drop.name, number), mark)
        for name in free_names(drop.name, number):
            removed = self._remover.remove_original(home.name, name, mark, _is_original(drop))
            if drop.original is Original.REFUSED:
                self._remove_findings(drop, home / os.fsdecode(name))
            if removed is Removed.REMOVED:
                return Counter([removed])
            found[removed] += 1
        return Counter([Removed.STRANGER if found[Removed.STRANGER] else Removed.GONE])

    def _remove_findings(self, drop: DropRow, path: Path) -> None:
        """They name the drop and the microsecond of its refusal, so their bytes tell whose they are."""
        document, text = encode_refusal(drop)
        for suffix, data in ((".findings.xml", document), (".findings.txt", text)):
            self._remover.remove_file((path.parent.name,), companion(path, suffix).name, {data})

    def _remove_status(self, number: int) -> Counter[Removed]:
        connection = self._ledger.read()
        drop = drops.get(connection, number)
        status = build_status(connection, drop)
        forms = [encode_status(status, encoding) for encoding in StatusEncoding]
        xml, json = {form[0] for form in forms}, {form[1] for form in forms}
        folder = self._folders.status.name
        found: Counter[Removed] = Counter()
        if drops.owner_of_status(connection, drop.status_name) == drop.id:
            found[self._remover.remove_file((folder,), f"{drop.status_name}.status.xml", xml)] += 1
            found[self._remover.remove_file((folder,), f"{drop.status_name}.status.json", json)] += 1
        newest = None if drop.packet is None else drops.of_packet(connection, drop.packet)
        if status.packet_id is not None and newest is not None and newest.id == drop.id:
            name = f"{status.packet_id}.status.xml"
            found[self._remover.remove_file((folder, BY_ID), name, xml)] += 1
        return found

    def _remove_receipts(self, number: int) -> Counter[Removed]:
        connection = self._ledger.read()
        key = packets.get(connection, number).key
        rows = statements.summaries_of(connection, key)
        names = receipt_names(rows)
        folder = self._folders.receipts.name
        found: Counter[Removed] = Counter()
        for row in rows:
            document = statements.get_document(connection, "receipt", row.id)
            found[self._remover.remove_file((folder, key.packet_id), names[row.id], {document})] += 1
        self._remover.remove_empty((folder,), key.packet_id)
        return found


def _begin(tx: Transaction, kind: Kind, numbers: Sequence[int]) -> None:
    keeping.begin(tx, kind, numbers)
    tx.event("retention", detail={"kind": kind.value, "count": len(numbers)})


def _is_original(drop: DropRow) -> IsOurs:
    """It is, file for file, what was taken."""

    def is_ours(descriptor: int, name: bytes) -> bool:
        seen = observe(descriptor, drop.name, lies_as=name)
        if seen is None:
            return False
        if seen.problem:
            raise ForeignVolumeError("an original cannot be looked at", found=seen.problem)
        return seen.is_same(drop.device, drop.fingerprint)

    return is_ours
