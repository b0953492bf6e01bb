"""Rows of the ledger as values, for everybody outside this package."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.times import moment
from exchanged.ranges import SpoolRange
from exchanged.states import ArrivalState, DestinationState, PacketState
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, Priority


@dataclass(frozen=True, slots=True)
class PacketRow:
    """What this node knows of one packet. ``bytes_at`` is None once the bytes were let go.

    ``transit``: it only passes through this node, which neither sealed, admits nor delivers it (C14).
    """

    id: int
    key: PacketKey
    attempt: int
    state: PacketState
    business_type: str
    sender_ref: str
    receiver: str
    copies: tuple[str, ...]
    priority: Priority
    expires_at: datetime | None
    sealed_at: datetime
    landed_at: datetime
    incarnation: str
    sequence: int
    content_digest: str
    seal_digest: str
    in_reply_to: str
    supersedes: str
    case_key: str
    came_by: str
    own: bool
    transit: bool
    bytes_at: SpoolRange | None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The receiver, then every copy."""
        return (self.receiver, *self.copies)

    def is_meant_by(self, attempt: int, content_digest: str, seal_digest: str) -> bool:
        """A receipt that names these speaks of this packet.

        Its seal may be another one: an attempt that was sealed anew after a restore keeps its receipts (C12,
        C23).
        """
        is_this_seal, is_this_attempt = seal_digest == self.seal_digest, attempt == self.attempt
        return content_digest == self.content_digest and (is_this_seal or is_this_attempt)


PACKET_COLUMNS = "packet.*, spool.name AS spool_name"
PACKET_TABLES = "packet LEFT JOIN spool ON spool.id = packet.spool"


def packet_row(row: sqlite3.Row) -> PacketRow:
    """A PacketRow from a row of PACKET_COLUMNS."""
    where = None
    if row["spool"] is not None:
        where = SpoolRange(row["spool"], row["spool_name"], row["start"], row["length"], row["bytes_digest"])
    return PacketRow(
        id=row["id"],
        key=PacketKey(row["sender"], row["packet_id"]),
        attempt=row["attempt"],
        state=PacketState(row["state"]),
        business_type=row["business_type"],
        sender_ref=row["sender_ref"],
        receiver=row["receiver"],
        copies=tuple(json.loads(copies)) if (copies := row["copies"]) != "[]" else (),
        priority=Priority(row["priority"]),
        expires_at=moment(row["expires_at"]) if row["expires_at"] else None,
        sealed_at=moment(row["sealed_at"]),
        landed_at=moment(row["landed_at"]),
        incarnation=row["incarnation"],
        sequence=row["sequence"],
        content_digest=row["content_digest"],
        seal_digest=row["seal_digest"],
        in_reply_to=row["in_reply_to"],
        supersedes=row["supersedes"],
        case_key=row["case_key"],
        came_by=row["came_by"],
        own=bool(row["own"]),
        transit=bool(row["transit"]),
        bytes_at=where,
    )


@dataclass(frozen=True, slots=True)
class DestinationRow:
    """A packet for one recipient: its state, the link it takes, where it was staged or placed."""

    packet: int
    recipient: str
    state: DestinationState
    since: datetime
    link: str
    staging: str
    folder: str


def destination_row(row: sqlite3.Row) -> DestinationRow:
    """A DestinationRow from a row of the destination table."""
    return DestinationRow(
        row["packet"],
        row["recipient"],
        DestinationState(row["state"]),
        moment(row["since"]),
        row["link"],
        row["staging"],
        row["folder"],
    )


@dataclass(frozen=True, slots=True)
class ArrivalRow:
    """One item that a link brought and that was acknowledged, until it is judged.

    ``is_quiet``: it is judged again by itself, and no event says so yet.
    """

    id: int
    link: str
    kind: ItemKind
    key: PacketKey
    digest: str
    bytes_at: SpoolRange
    state: ArrivalState
    since: datetime
    landed_at: datetime
    reason: str
    tries: int
    in_work: bool
    crashes: int
    is_quiet: bool


def arrival_row(row: sqlite3.Row) -> ArrivalRow:
    """An ArrivalRow from a row of arrival joined with spool.name AS spool_name."""
    return ArrivalRow(
        id=row["id"],
        link=row["link"],
        kind=ItemKind(row["kind"]),
        key=PacketKey(row["sender"], row["packet_id"]),
        digest=row["digest"],
        bytes_at=SpoolRange(row["spool"], row["spool_name"], row["start"], row["length"], row["digest"]),
        state=ArrivalState(row["state"]),
        since=moment(row["since"]),
        landed_at=moment(row["landed_at"]),
        reason=row["reason"],
        tries=row["tries"],
        in_work=bool(row["in_work"]),
        crashes=row["crashes"],
        is_quiet=bool(row["quiet"]),
    )


@dataclass(frozen=True, slots=True)
class OutgoingRow:
    """Something that waits to be offered on a link; ``reference`` is the row of its kind.

    ``again``: a restored neighbour wants the packet once more, in whatever state it is here (C23).
    """

    id: int
    kind: ItemKind
    reference: int
    again: bool = False


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A committed batch of ours: name and exact waybill bytes, so that a re-send is the same.

    ``told``: a digest of what the neighbour said last of it (the blobs that it needs, why it is held), empty
    before.
    """

    id: int
    link: str
    number: int
    name: str
    waybill: bytes
    signature: bytes
    size: int
    state: str
    told: str


@dataclass(frozen=True, slots=True)
class ReceiptSummary:
    """What a receipt says, ours or another's, without its document."""

    id: int
    key: PacketKey
    kind: str
    recipient: str
    attempt: int
    issued_by: str
    issued_at: datetime
    recorded_at: datetime
    own: bool
    content_digest: str
    seal_digest: str

    def speaks_of(self, content_digest: str, seal_digest: str) -> bool:
        """The receipt is about this very content under this very seal."""
        return (self.content_digest, self.seal_digest) == (content_digest, seal_digest)


@dataclass(frozen=True, slots=True)
class ReceiptRow(ReceiptSummary):
    """The same with the exact signed bytes."""

    document: bytes


# They stand before the document in the table: reading them reads nothing of it.
RECEIPT_SUMMARY = (
    "id, sender, packet_id, kind, recipient, attempt, issued_by, issued_at, recorded_at, own, content_digest,"
    " seal_digest"
)


def receipt_summary(row: sqlite3.Row) -> ReceiptSummary:
    """A ReceiptSummary from a row of RECEIPT_SUMMARY."""
    return ReceiptSummary(*_summary(row))


def receipt_row(row: sqlite3.Row) -> ReceiptRow:
    """A ReceiptRow from a row of the receipt table."""
    return ReceiptRow(*_summary(row), row["document"])


def _summary(
    row: sqlite3.Row,
) -> tuple[int, PacketKey, str, str, int, str, datetime, datetime, bool, str, str]:
    return (
        row["id"],
        PacketKey(row["sender"], row["packet_id"]),
        row["kind"],
        row["recipient"],
        row["attempt"],
        row["issued_by"],
        moment(row["issued_at"]),
        moment(row["recorded_at"]),
        bool(row["own"]),
        row["content_digest"],
        row["seal_digest"],
    )
