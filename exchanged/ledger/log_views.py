"""What a front-end knows of the logs of admitting nodes: heads, proofs, what it waits for, contradictions.

Guarantees: heads and contradictions are never removed, a proof only by a newer one for the same entry.
Leaves to others: whether a head may be believed (``log_watch``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.identity import PacketKey
from packet_spec.log_entry import EntryKind
from packet_spec.log_head import LogHead
from packet_spec.log_recovery import LogRecovery
from packet_spec.merkle import HASH_BYTES
from packet_spec.model import Receipt


class HeadState(StrEnum):
    """What a head that is kept here means."""

    HELD = "held"
    """Told to this node, and the log went on from every head held before."""
    RECOVERY = "recovery"
    """Where a recovery statement of the roots lets the log go on; not proved by a later head yet."""
    COMPARED = "compared"
    """Brought by a person from another agency; not proved by a head told to this node yet."""
    AGREED = "agreed"
    """Brought by a person, and part of the log that this node was told."""
    VOID = "void"
    """Excused by a recovery statement of the roots."""


@dataclass(frozen=True, slots=True)
class HeadRow:
    """One head. ``document`` is the signed file, of a recovery statement where ``state`` is RECOVERY."""

    id: int
    head: LogHead
    state: HeadState
    taken_at: datetime
    document: bytes


@dataclass(frozen=True, slots=True)
class ProofRow:
    """That an entry stands at ``position`` in the log of the head of row ``head``."""

    kind: EntryKind
    digest: str
    position: int
    head: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Awaited:
    """Entries of one node's log that did not come yet: how many, since when, and the first packets."""

    node: str
    count: int
    oldest_at: datetime
    packets: tuple[PacketKey, ...]


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two words of one node that cannot both be true. ``held`` and ``told`` are the signed files."""

    id: int
    node: str
    at: datetime
    reason: str
    held: bytes
    told: bytes


def newest(connection: sqlite3.Connection, node: str) -> HeadRow | None:
    """The largest head that was told to this node and counts."""
    row = connection.execute(
        "SELECT * FROM log_head WHERE node = ? AND state = ? ORDER BY size DESC LIMIT 1",
        (node, HeadState.HELD.value),
    ).fetchone()
    return None if row is None else _head_row(row)


def find(connection: sqlite3.Connection, node: str, size: int) -> tuple[HeadRow, ...]:
    """Heads of that size, whatever their state."""
    rows = connection.execute("SELECT * FROM log_head WHERE node = ? AND size = ?", (node, size))
    return tuple(_head_row(row) for row in rows)


def in_state(connection: sqlite3.Connection, node: str, state: HeadState) -> tuple[HeadRow, ...]:
    """Heads of ``node`` in that state, smallest first."""
    rows = connection.execute(
        "SELECT * FROM log_head WHERE node = ? AND state = ? ORDER BY size, id", (node, state.value)
    )
    return tuple(_head_row(row) for row in rows)


def unproved(connection: sqlite3.Connection, node: str, before: datetime) -> tuple[HeadRow, ...]:
    """Heads that people brought before that time, and that no head told here was proved to contain."""
    brought = [row for row in in_state(connection, node, HeadState.COMPARED) if row.taken_at < before]
    return tuple(sorted(brought, key=lambda row: row.taken_at))


def nodes(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Every node of whose log anything is known or awaited here."""
    found: set[str] = set()
    for statement in (
        "SELECT node FROM log_head WHERE node > ? ORDER BY node LIMIT 1",
        "SELECT node FROM log_awaited WHERE node > ? ORDER BY node LIMIT 1",
    ):
        last = ""
        # One look each: for DISTINCT SQLite reads the whole index.
        while (row := connection.execute(statement, (last,)).fetchone()) is not None:
            last = row["node"]
            found.add(last)
    return tuple(sorted(found))


def keep_head(transaction: Transaction, head: LogHead, state: HeadState, document: bytes) -> int:
    """Keep a head; one that is here already keeps its place, and counts from now if ``state`` is HELD."""
    transaction.execute(
        "INSERT INTO log_head (node, size, root, at, taken_at, state, document) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (node, size, root) DO UPDATE SET state = excluded.state, document = excluded.document,"
        " at = excluded.at WHERE excluded.state = 'held' AND log_head.state <> 'held'",
        head.node, head.size, head.root, stamp(head.at), transaction.stamp, state.value, document,
    )  # fmt: skip
    row = transaction.execute(
        "SELECT id FROM log_head WHERE node = ? AND size = ? AND root = ?", head.node, head.size, head.root
    ).fetchone()
    return int(row["id"])


def set_state(transaction: Transaction, number: int, state: HeadState) -> None:
    """The head of that row counts as this from now on."""
    transaction.execute("UPDATE log_head SET state = ? WHERE id = ?", state.value, number)


def keep_proof(transaction: Transaction, node: str, proof: ProofRow) -> None:
    """Keep the proof of one entry and wait for it no longer."""
    transaction.execute(
        "INSERT INTO log_proof (node, kind, digest, position, head, path) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (digest, kind, node) DO UPDATE SET position = excluded.position,"
        " head = excluded.head, path = excluded.path",
        node, proof.kind.value, proof.digest, proof.position, proof.head, b"".join(proof.path),
    )  # fmt: skip
    transaction.execute(
        "DELETE FROM log_awaited WHERE digest = ? AND kind = ? AND node = ?",
        proof.digest, proof.kind.value, node,
    )  # fmt: skip


def proof_of(connection: sqlite3.Connection, node: str, kind: EntryKind, digest: str) -> ProofRow | None:
    """The proof that the log of ``node`` has that entry; its head may be void (``head_of``)."""
    row = connection.execute(
        "SELECT * FROM log_proof WHERE digest = ? AND kind = ? AND node = ?", (digest, kind.value, node)
    ).fetchone()
    return None if row is None else _proof_row(row)


def head_of(connection: sqlite3.Connection, number: int) -> HeadRow:
    """The head of that row."""
    return _head_row(connection.execute("SELECT * FROM log_head WHERE id = ?", (number,)).fetchone())


def await_accepted(transaction: Transaction, receipt: Receipt, digest: str) -> None:
    """An ``accepted`` receipt came: its issuer's log has to show it, and the seal that it names.

    ``digest`` is that of the receipt's file. What the log showed already is not waited for.
    """
    for kind, value in ((EntryKind.RECEIPT, digest), (EntryKind.SEAL, receipt.seal_digest)):
        transaction.execute(
            "INSERT OR IGNORE INTO log_awaited SELECT ?, ?, ?, ?, ?, ? WHERE NOT EXISTS"
            " (SELECT 1 FROM log_proof WHERE digest = ? AND kind = ? AND node = ?)",
            value, kind.value, receipt.issued_by, transaction.stamp, receipt.key.sender,
            receipt.key.packet_id, value, kind.value, receipt.issued_by,
        )  # fmt: skip


def awaited(connection: sqlite3.Connection, node: str, before: datetime, limit: int) -> Awaited | None:
    """What the log of ``node`` should have shown of what came before that time; None when all is there."""
    where = "node = ? AND since < ?"
    values = (node, stamp(before))
    row = connection.execute(
        f"SELECT count(*) AS n, min(since) AS oldest FROM log_awaited WHERE {where}",  # noqa: S608
        values,
    ).fetchone()
    if not row["n"]:
        return None
    packets = connection.execute(
        f"SELECT DISTINCT sender, packet_id FROM log_awaited WHERE {where}"  # noqa: S608
        " ORDER BY since LIMIT ?",
        (*values, limit),
    )
    keys = tuple(PacketKey(each["sender"], each["packet_id"]) for each in packets)
    return Awaited(node, row["n"], moment(row["oldest"]), keys)


def awaited_digests(
    connection: sqlite3.Connection, node: str, before: datetime, limit: int
) -> tuple[str, ...]:
    """Digests of what is awaited since before that time, oldest first."""
    rows = connection.execute(
        "SELECT digest FROM log_awaited WHERE node = ? AND since < ? ORDER BY since LIMIT ?",
        (node, stamp(before), limit),
    )
    return tuple(dict.fromkeys(row["digest"] for row in rows))


@dataclass(frozen=True, slots=True)
class Asking:
    """Whether the log of a node has to be asked for a proof at once, and when it was asked last."""

    is_urgent: bool
    asked_at: datetime | None


def asking(connection: sqlite3.Connection, node: str) -> Asking:
    """How it stands with asking ``node``."""
    row = connection.execute("SELECT * FROM log_asking WHERE node = ?", (node,)).fetchone()
    if row is None:
        return Asking(is_urgent=False, asked_at=None)
    return Asking(bool(row["is_urgent"]), moment(row["asked_at"]) if row["asked_at"] else None)


def ask_at_once(transaction: Transaction, node: str, *, is_urgent: bool = True) -> None:
    """A proof is missing that ``node`` has to be asked for; ``is_urgent`` false: it came."""
    transaction.execute(
        "INSERT INTO log_asking VALUES (?, ?, NULL)"
        " ON CONFLICT (node) DO UPDATE SET is_urgent = excluded.is_urgent",
        node, int(is_urgent),
    )  # fmt: skip
    transaction.wake("log")


def note_asked(transaction: Transaction, node: str) -> None:
    """``node`` is being asked now."""
    transaction.execute(
        "INSERT INTO log_asking VALUES (?, 0, ?)"
        " ON CONFLICT (node) DO UPDATE SET asked_at = excluded.asked_at",
        node, transaction.stamp,
    )  # fmt: skip


def contradictions(
    connection: sqlite3.Connection, node: str = "", *, is_open: bool = True
) -> tuple[Contradiction, ...]:
    """Contradictions of ``node``, or of every node; ``is_open`` false: the settled ones too."""
    wanted = [text for text, is_asked in (("over_at IS NULL", is_open), ("node = ?", node)) if is_asked]
    rows = connection.execute(
        f"SELECT * FROM log_contradiction {'WHERE ' * bool(wanted)}{' AND '.join(wanted)}",  # noqa: S608
        (node,) * bool(node),
    )
    # A few rows in the life of a node.
    found = sorted(rows, key=lambda row: row["id"])
    return tuple(
        Contradiction(
            row["id"], row["node"], moment(row["at"]), row["reason"], bytes(row["held"]), bytes(row["told"])
        )
        for row in found
    )


def contradict(transaction: Transaction, node: str, reason: str, held: bytes, told: bytes) -> None:
    """Keep both words as evidence."""
    transaction.execute(
        "INSERT INTO log_contradiction (node, at, reason, held, told) VALUES (?, ?, ?, ?, ?)",
        node, transaction.stamp, reason, held, told,
    )  # fmt: skip


def settle(transaction: Transaction, number: int) -> None:
    """The roots excused one of the two heads."""
    transaction.execute(
        "UPDATE log_contradiction SET over_at = ? WHERE id = ?", transaction.stamp, number
    )


def excuse(transaction: Transaction, recovery: LogRecovery) -> int:
    """Void the heads that ``recovery`` excuses; receipts that only they proved are awaited again. How many.

    The seal stands before its receipt in every log.
    """
    rows = transaction.execute(
        "SELECT * FROM log_head WHERE node = ? AND size > ? AND size <= ? AND state <> 'void'",
        recovery.node, recovery.excused_above, recovery.excused_through,
    ).fetchall()  # fmt: skip
    void = [row for row in map(_head_row, rows) if recovery.excuses(row.head)]
    for row in void:
        set_state(transaction, row.id, HeadState.VOID)
        transaction.execute(
            "INSERT OR IGNORE INTO log_awaited SELECT log_proof.digest, log_proof.kind, log_proof.node, ?,"
            " receipt.sender, receipt.packet_id FROM log_proof"
            " JOIN receipt ON receipt.digest = log_proof.digest WHERE log_proof.node = ?"
            " AND log_proof.position >= ? AND log_proof.head = ? AND receipt.kind = 'accepted'",
            transaction.stamp, recovery.node, recovery.excused_above, row.id,
        )  # fmt: skip
    return len(void)


def _head_row(row: sqlite3.Row) -> HeadRow:
    head = LogHead(row["node"], row["size"], row["root"], moment(row["at"]))
    return HeadRow(row["id"], head, HeadState(row["state"]), moment(row["taken_at"]), bytes(row["document"]))


def _proof_row(row: sqlite3.Row) -> ProofRow:
    path = bytes(row["path"])
    hashes = tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES))
    return ProofRow(EntryKind(row["kind"]), row["digest"], row["position"], row["head"], hashes)
