"""A node's ledger written by hand, through the ledger's own functions: what the command line then asks.

The agencies, nodes and keys are those of ``tests.support.documents``; the node is the police front-end, whose
one link ``province`` leads to the bridge.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Self

from exchanged.ledger import Ledger, Transaction, arrivals, batches, blobs, drops, packets, spool, statements
from exchanged.ledger.drops import DropIdentity, Outcome
from exchanged.ledger.rows import OutgoingRow, PacketRow, SpoolRange
from exchanged.states import ArrivalState, DestinationState, Event, PacketState
from packet_spec.findings import Finding
from packet_spec.hop import sign_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import HopNote, ItemKind, KeyUse, Receipt, ReceiptKind, Seal
from packet_spec.receipt import sign_receipt
from packet_spec.waybill_model import BlobReference
from tests.support.clock import FakeClock
from tests.support.documents import (
    BRIDGE,
    KEYS,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    make_receipt,
    make_seal,
)

LINK = "province"
PEERS = {LINK: BRIDGE}


def packet_id(number: int) -> str:
    """An id that differs from those of other numbers within its first eight characters."""
    return f"0190{number:04x}-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


def seal_digest(seal: Seal) -> str:
    """What the ledger keeps as this seal's digest."""
    return sha256_hex(f"{seal.key} {seal.attempt}".encode())


def take_a_step_of_tomorrow(path: Path) -> None:
    """As a newer program leaves a ledger: one step more, which made a table and an index."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE of_tomorrow (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
        connection.execute("CREATE INDEX of_tomorrow_name ON of_tomorrow(name)")
        row = ("exchanged-ledger", "9999-of-tomorrow", "2030-01-01")
        connection.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)", row
        )


class Books:
    """The ledger ``data/ledger.sqlite3`` below ``root``; every writing takes one second."""

    def __init__(self, data_dir: Path, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.data_dir = data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        self.path = data_dir / "ledger.sqlite3"
        self.ledger = Ledger(self.path, self.clock, on_wake=lambda names: None, threaded=False)
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def write(self, function):
        """One transaction; then a second passes."""
        answer = self.ledger.write(function)
        self.clock.advance(1.0)
        return answer

    def file(self, tx: Transaction, folder: str, size: int, needed: int = 1) -> SpoolRange:
        """A spool file of ``size`` bytes, on disk and on the books."""
        self._sequence += 1
        path = self.data_dir / folder / f"{self._sequence:024x}.group"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(size))
        return SpoolRange(spool.adopt(tx, path.name, size, needed), path.name, 0, size)

    def blob(self, content: bytes) -> str:
        """A stored blob, on disk and on the books. Its digest."""
        digest = sha256_hex(content)
        folder = self.data_dir / "blobs"
        folder.mkdir(exist_ok=True)
        (folder / f"{digest}.1").write_bytes(content)
        self.write(lambda tx: blobs.store(tx, digest, 1, len(content)))
        return digest

    def packet(
        self,
        number: int,
        *recipients: str,
        sender: str = POLICE,
        own: bool = True,
        link: str = LINK,
        state: DestinationState = DestinationState.QUEUED,
        packet_state: PacketState = PacketState.ACTIVE,
        **changes,
    ) -> PacketKey:
        """A packet that was sealed here (``own``) or came by ``link``, with a destination per recipient."""
        recipients = recipients or (PROCURATORATE,)
        seal = make_seal(
            key=PacketKey(sender, packet_id(number)),
            receiver=recipients[0],
            copy_to=recipients[1:],
            sequence=number,
            **changes,
        )

        def commit(tx: Transaction) -> None:
            row = packets.insert(
                tx,
                seal,
                seal_digest=seal_digest(seal),
                landed_at=tx.now,
                came_by="" if own else link,
                bytes_at=self.file(tx, "spool", 100),
                relations=("", "", ""),
                state=packet_state,
            )
            if packet_state is PacketState.ACTIVE:
                for recipient in recipients:
                    packets.add_destination(tx, row, recipient, state, link)

        self.write(commit)
        return seal.key

    def row(self, key: PacketKey) -> PacketRow:
        """The packet as the ledger has it."""
        found = packets.find(self.ledger.read(), key)
        assert found is not None
        return found

    def new_attempt(self, key: PacketKey, *recipients: str) -> None:
        """A higher attempt takes the place of the last one."""
        row = self.row(key)
        recipients = recipients or (PROCURATORATE,)
        seal = make_seal(key=key, attempt=row.attempt + 1, receiver=recipients[0], copy_to=recipients[1:])

        def commit(tx: Transaction) -> None:
            packets.replace(
                tx,
                row,
                Event.NEW_ATTEMPT,
                seal,
                seal_digest=seal_digest(seal),
                landed_at=tx.now,
                came_by=row.came_by,
                bytes_at=self.file(tx, "spool", 100),
                relations=("", "", ""),
            )
            for recipient in recipients:
                packets.add_destination(tx, row.id, recipient, DestinationState.QUEUED, LINK)

        self.write(commit)

    def move(
        self, key: PacketKey, *events: Event, recipient: str = PROCURATORATE, batch: int = 7
    ) -> datetime:
        """Events of one destination, a second apart. The time of the last."""
        for event in events:
            at = self.clock.now()

            def commit(tx: Transaction, event: Event = event) -> None:
                packet = packets.find(tx.connection, key)
                assert packet is not None
                rows = packets.destinations(tx.connection, packet.id)
                row = next(row for row in rows if row.recipient == recipient)
                of_batch = event in {Event.OFFER, Event.ACKNOWLEDGE, Event.BATCH_BAD}
                detail = {"batch": batch} if of_batch else {}
                packets.move(tx, packet, row, event, detail=detail)

            self.write(commit)
        return at

    def receipt(
        self, key: PacketKey, kind: ReceiptKind, recipient: str = "", by: str = PROVINCE, **changes
    ) -> Receipt:
        """A receipt about the packet as it is now, recorded, its destination left as it is."""
        said = {"key": key, "recipient": recipient, "issued_by": by, "issued_at": self.clock.now()}
        packet = packets.find(self.ledger.read(), key)
        if packet is not None:
            said["attempt"] = packet.attempt
            said["content_digest"], said["seal_digest"] = packet.content_digest, packet.seal_digest
        receipt = make_receipt(kind, **(said | changes))
        document = sign_receipt(receipt, KEYS[by, KeyUse.RECEIPT])
        self.write(lambda tx: statements.record_receipt(tx, receipt, document, own=False))
        return receipt

    def hop(self, key: PacketKey, node: str, next_node: str, **changes) -> HopNote:
        """A hop note about the packet as it is now: landed a second before it left."""
        landed = self.clock.now()
        self.clock.advance(1.0)
        digest = self.row(key).seal_digest
        note = replace(HopNote(node, key, digest, landed, self.clock.now(), next_node), **changes)
        document = sign_hop(note, KEYS[node, KeyUse.LINK])
        self.write(lambda tx: statements.record_hop(tx, note, document))
        return note

    def arrival(
        self,
        key: PacketKey,
        *events: Event,
        reason: str = "",
        kind: ItemKind = ItemKind.PACKET,
        missing: tuple[str, ...] = (),
        retry_at: datetime | None = None,
    ) -> int:
        """An item that the link brought and that is not judged. Its row."""
        self._sequence += 1
        state = ArrivalState.NEEDING if missing else ArrivalState.LANDED

        def land(tx: Transaction) -> int:
            batches.meet_incarnation(tx, LINK, "5f3a")
            batch = batches.land(tx, LINK, "5f3a", self._sequence, f"{self._sequence:08d}.batch")
            where = self.file(tx, "spool", 10)
            number = arrivals.insert(tx, LINK, batch, kind, key, "0" * 64, where, state)
            blobs.named(tx, number, [BlobReference(digest, 10) for digest in missing], missing)
            return number

        number: int = self.write(land)
        for event in events:
            rows = [row for state in ArrivalState for row in arrivals.in_state(self.ledger.read(), state)]
            row = next(row for row in rows if row.id == number)
            self.write(
                lambda tx, row=row, event=event: arrivals.keep(tx, row, event, reason, retry_at=retry_at)
            )
        return number

    def give_up(self, number: int) -> datetime:
        """An operator gives an arrival up, and nobody can be told. The time."""
        row, at = arrivals.find(self.ledger.read(), number), self.clock.now()
        assert row is not None
        kept = f"discarded/{number}"
        detail = {"item": row.kind.value, "was": row.reason, "kept": kept, "outcome": "discarded-untold"}
        self.write(lambda tx: arrivals.finish(tx, row, Event.DISCARD, detail=detail))
        return at

    def drop(
        self,
        name: str,
        event: Event | None = None,
        missing: tuple[str, ...] = (),
        reason: str = "",
        findings: tuple[Finding, ...] = (),
    ) -> int:
        """Something that case software put into the outbox. Its row."""
        identity = DropIdentity(name.encode(), 1, 2, 3, 4, sha256_hex(name.encode()))
        row = self.write(lambda tx: drops.register(tx, identity, name))
        if event is not None:
            outcome = Outcome(missing=missing, reason=reason, findings=findings)
            self.write(lambda tx: drops.move(tx, row, event, outcome))
        return int(row.id)

    def batch(self, link: str = LINK, settled: bool = False) -> int:
        """A committed batch, with one packet in it if one waits on the link."""

        def commit(tx: Transaction) -> int:
            number = batches.next_number(tx.connection, link)
            rows: tuple[OutgoingRow, ...] = batches.due(tx.connection, link, 1)
            name = f"{number:08d}-{link}.batch"
            batch = batches.commit_batch(tx, link, number, name, b"w", b"s", 2, rows, ())
            if settled:
                batches.settle(tx, batch)
            return batch

        answer: int = self.write(commit)
        return answer

