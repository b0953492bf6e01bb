"""The ledger of ten years, written through the product's own calls, for the shard ``operation-ledger``.

Guarantees: every row is written by a function of ``exchanged.ledger`` in a transaction of ``Ledger.write``;
chain, Merkle log, receipts, cases, search words and destinations agree as a provincial node leaves them.
The first fiftieth of the packets still waits, all others are delivered. Signed bytes are stand-ins of the
usual size: nothing here verifies signatures. All names and numbers are fictional.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from exchanged.ledger import (
    Connection,
    Ledger,
    Transaction,
    batches,
    cases,
    log_entries,
    packets,
    search,
    spool,
    statements,
)
from exchanged.ranges import SpoolRange
from exchanged.states import DestinationState, Event
from packet_spec.identity import PacketKey
from packet_spec.model import (
    CaseNumber,
    HopNote,
    ItemKind,
    PackStamp,
    Priority,
    Receipt,
    ReceiptKind,
    Seal,
)
from packet_spec.receipt import encode_receipt

GROUP: Final = 2_000
WAITING: Final = 50
# As long as a signature and its line are.
_SIGNATURE: Final = b"<!-- a stand-in for a signature -->" * 6
_TYPES: Final = ("prosecution.transfer", "case.report", "custody.change.receipt")
_TEN_YEARS: Final = timedelta(days=3650)


class BookClock:
    """The time that the books are written at: a span (ten years) until now, evenly."""

    def __init__(self, total: int, span: timedelta = _TEN_YEARS) -> None:
        self._step = span / max(1, total)
        self._moment = datetime.now(UTC) - span

    def now(self) -> datetime:
        """The moment of the packet in hand."""
        return self._moment

    def monotonic(self) -> float:
        """The same in seconds."""
        return self._moment.timestamp()

    def advance(self, packets_written: int) -> None:
        """So many packets later; never beyond the present."""
        self._moment = min(self._moment + self._step * packets_written, datetime.now(UTC))


def key_of(number: int, agencies: Sequence[str]) -> PacketKey:
    """The identity of the packet of that number: an id that sorts by number, as UUIDs of version 7 do."""
    text = f"{0x0190_0000_0000 + number:012x}"
    return PacketKey(agencies[number % len(agencies)], f"{text[:8]}-{text[8:]}-7000-8000-{number:012x}")


def fill(ledger: Ledger, clock: BookClock, folder: Path, total: int, province: str, agencies: Sequence[str],
         told: Callable[[int], None], waiting: int = WAITING, first: int = 0) -> None:  # fmt: skip
    """Write ``total`` packets; ``folder`` is the node's spool, ``told`` hears how many were written.

    One in ``waiting`` still waits, the last ones; 0: none does. ``first``: those before it are there already.
    """
    last = total - total // waiting if waiting else total
    for start in range(first, total, GROUP):
        count = min(GROUP, total - start)
        name = f"{start:024x}.group"
        (folder / name).write_bytes(bytes(1))
        ledger.write(lambda tx, start=start, count=count, name=name: _group(  # type: ignore[misc]
            tx, start, count, last, name, province, agencies))  # fmt: skip
        clock.advance(count)
        told(start + count)


def _group(tx: Transaction, start: int, count: int, last: int, name: str, province: str,
           agencies: Sequence[str]) -> None:  # fmt: skip
    where = SpoolRange(spool.adopt(tx, name, 1, count), name, 0, 1)
    for number in range(start, start + count):
        _packet(tx, number, last, where, province, agencies)
    for agency in log_entries.owed(tx.connection):
        entries = log_entries.owed_to(tx.connection, agency, 1 << 60, 1 << 30)
        log_entries.forget_owed(tx, agency, entries)


def _packet(tx: Transaction, number: int, last: int, where: SpoolRange, province: str,
            agencies: Sequence[str]) -> None:  # fmt: skip
    seal = seal_of(number, agencies, tx.now)
    tx.event("landed", seal.key, detail={"link": seal.key.sender, "state": "landed"})
    relations = ("", "", f"police:A{number // 8:022d}")
    row = packets.insert(
        tx, seal, seal_digest=digest_of(number, 2), landed_at=tx.now, came_by=seal.key.sender, bytes_at=where,
        relations=relations,
    )  # fmt: skip
    numbers = (CaseNumber("police", f"A{number // 8:022d}"), CaseNumber("court", f"(2026)甘{number // 8}号"))
    search.note_cases(tx, row, numbers)
    tx.event("admit", seal.key, detail={"to": "admitted"})
    note_receipt(tx, seal, ReceiptKind.ACCEPTED, "", province, number, own=True)
    case, parties = f"case-{number // 8:022d}", (seal.key.sender, seal.receiver)
    cases.record(tx, case, (), numbers, parties, seal.business_type, seal.key)
    packets.add_destination(tx, row, seal.receiver, DestinationState.QUEUED, seal.receiver)
    batches.enqueue(tx, seal.receiver, ItemKind.PACKET, row)
    if number >= last:
        return
    for event in (Event.OFFER, Event.ACKNOWLEDGE):
        move(tx, row, event)
    hop = HopNote(province, seal.key, digest_of(number, 2), tx.now, tx.now, seal.receiver)
    statements.record_hop(tx, hop, _SIGNATURE + f"hop {number}".encode())
    for kind, event in (
        (ReceiptKind.DELIVERED, Event.RECEIPT_DELIVERED), (ReceiptKind.COLLECTED, Event.RECEIPT_COLLECTED),
    ):  # fmt: skip
        note_receipt(tx, seal, kind, seal.receiver, seal.receiver, number, own=False)
        move(tx, row, event)


def move(tx: Transaction, row: int, event: Event) -> None:
    """The only destination of a packet takes the next step."""
    packet = packets.get(tx.connection, row)
    packets.move(tx, packet, packets.destinations(tx.connection, row)[0], event)


def note_receipt(tx: Transaction, seal: Seal, kind: ReceiptKind, recipient: str, issuer: str, number: int, *,
             own: bool) -> None:  # fmt: skip
    """A receipt about the packet of that number; ``own``: issued by this node."""
    receipt = Receipt(
        kind, seal.key, 1, seal.content_digest, digest_of(number, 2), seal.business_type, recipient, issuer,
        tx.issue_time() if own else tx.now, tx.next_number("receipt-number") if own else number,
    )  # fmt: skip
    statements.record_receipt(tx, receipt, encode_receipt(receipt) + _SIGNATURE, own=own)


def seal_of(number: int, agencies: Sequence[str], at: datetime) -> Seal:
    """The seal of the packet of that number; no other has its digests."""
    key = key_of(number, agencies)
    receiver = agencies[(number + 1 + number % (len(agencies) - 1)) % len(agencies)]
    return Seal(
        key=key, attempt=1, receiver=receiver, copy_to=(), business_type=_TYPES[number % len(_TYPES)],
        sender_ref=f"A{key.sender}-{number:08d}", priority=Priority.NORMAL, expires_at=None, sealed_at=at,
        key_id="0" * 16, suite="ed25519", incarnation="1", sequence=number, pack=PackStamp("", "", ""),
        encoding="utf-8", packet_size=1, packet_digest=digest_of(number, 0),
        content_digest=digest_of(number, 1), parts=(),
    )  # fmt: skip


def digest_of(number: int, which: int) -> str:
    """One of four digests that belong to a number."""
    return f"{number * 4 + which:064x}"


def count_rows(connection: Connection) -> int:
    """The rows of all tables together."""
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = [row[0] for row in names if not row[0].startswith(("sqlite_", "_sqlite"))]
    counts = (f'SELECT count(*) FROM "{name}"' for name in tables)  # noqa: S608 - names of the schema
    return sum(int(connection.execute(count).fetchone()[0]) for count in counts)
