"""Drops: what case software put into the outbox, from first sight until its original was put away.

A row is *live* while the name that it was seen under still belongs to it (``original`` is ``outbox``, or
``kept`` for something that was refused and left where it lay). What a file system says of a file is kept
as text: inode numbers and times of foreign volumes may pass 64 bits. Names are bytes (C13).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from exchanged.errors import NotFoundError, StaleStateError
from exchanged.ledger import search
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from exchanged.states import DropState, Event, advance
from packet_spec.findings import Finding, Severity
from packet_spec.identity import PacketKey
from packet_spec.names import status_name as safe_status_name


class Original(StrEnum):
    """Where a drop's original is: what became of the files that the case software wrote."""

    OUTBOX = "outbox"
    KEPT = "kept"
    SENT = "sent"
    REFUSED = "refused"
    GONE = "gone"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class DropIdentity:
    """Which files a drop is (C13). ``size`` in bytes and ``mtime`` in nanoseconds are over all of them.

    ``fingerprint`` binds name, device, inode, size and mtime of every file.
    """

    name: bytes
    device: int
    inode: int
    size: int
    mtime: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class DropRow:
    """What this node knows of one drop. ``packet`` is the row of the packet that it became.

    ``fingerprint`` counts with ``device``: the number that the drop's file system had then.
    """

    id: int
    name: bytes
    status_name: str
    state: DropState
    since: datetime
    seen_at: datetime
    device: int
    fingerprint: str
    packet: int | None
    attempt: int
    duplicate_of: str
    sender_ref: str
    missing: tuple[str, ...]
    findings: tuple[Finding, ...]
    reason: str
    retry_at: datetime | None
    tries: int
    in_work: int
    crashes: int
    original: Original


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a transition writes beside the state. ``packet`` and ``attempt`` only for what was taken."""

    packet: int | None = None
    attempt: int = 0
    duplicate_of: str = ""
    sender_ref: str = ""
    missing: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    retry_at: datetime | None = None
    original: Original = Original.OUTBOX


def register(
    transaction: Transaction,
    identity: DropIdentity,
    status_base: str,
    *,
    original: Original = Original.OUTBOX,
) -> DropRow:
    """A drop seen for the first time. ``status_base`` is the safe form of its name, without a suffix.

    While an earlier drop of that status name can still change, this one's is marked ``~2``, ``~3`` ...
    """
    cursor = transaction.execute(
        'INSERT INTO "drop" (name, status_name, state, since, seen_at, device, inode, size, mtime,'
        " fingerprint, original) VALUES (?, '', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        identity.name, DropState.SEEN.value, transaction.stamp, transaction.stamp, str(identity.device),
        str(identity.inode), str(identity.size), str(identity.mtime), identity.fingerprint, original.value,
    )  # fmt: skip
    number = cursor.lastrowid
    assert number is not None  # noqa: S101 - an INSERT always sets it
    status_name = _free_status_name(transaction.connection, status_base, number)
    transaction.execute('UPDATE "drop" SET status_name = ? WHERE id = ?', status_name, number)
    search.note_drop(transaction, number, identity.name, status_name)
    transaction.event("drop-seen", detail={"drop": number})
    return get(transaction.connection, number)


def see_again(transaction: Transaction, row: DropRow, identity: DropIdentity) -> None:
    """The files of a drop that is not disposed of changed: what was counted against it counts no more."""
    transaction.execute(
        'UPDATE "drop" SET device = ?, inode = ?, size = ?, mtime = ?, fingerprint = ?, tries = 0,'
        " crashes = 0, retry_at = NULL, reason = '' WHERE id = ?",
        str(identity.device), str(identity.inode), str(identity.size), str(identity.mtime),
        identity.fingerprint, row.id,
    )  # fmt: skip


def begin_work(transaction: Transaction, number: int, *, alone: bool) -> None:
    """Count the attempt before the work: a crash must find it counted (1: with others, 2: alone)."""
    transaction.execute(
        'UPDATE "drop" SET tries = tries + 1, in_work = ? WHERE id = ?', 2 if alone else 1, number
    )


def end_work(transaction: Transaction, numbers: Iterable[int]) -> None:
    """Nothing is being done about these now."""
    for number in numbers:
        transaction.execute('UPDATE "drop" SET in_work = 0 WHERE id = ?', number)


def count_crash(transaction: Transaction, row: DropRow) -> int:
    """The work on this drop, alone, ended its worker or the process. Returns the count so far."""
    transaction.execute('UPDATE "drop" SET crashes = crashes + 1, in_work = 0 WHERE id = ?', row.id)
    transaction.event("crashed-while-checking", detail={"drop": row.id, "count": row.crashes + 1})
    return row.crashes + 1


def move(
    transaction: Transaction,
    row: DropRow,
    event: Event,
    outcome: Outcome,
    *,
    kind: str = "",
    key: PacketKey | None = None,
    detail: dict[str, str | int] | None = None,
) -> DropState:
    """Advance a drop: compare-and-set, and an event row unless nothing but the particulars changed.

    Raises IllegalTransitionError by the table and StaleStateError when somebody was faster.
    """
    target = DropState(advance(row.state, event))
    cursor = transaction.execute(
        'UPDATE "drop" SET state = ?, since = ?, packet = ?, attempt = ?, duplicate_of = ?,'
        " sender_ref = CASE WHEN ? = '' THEN sender_ref ELSE ? END, missing = ?, findings = ?, reason = ?,"
        " retry_at = ?, in_work = 0, original = ? WHERE id = ? AND state = ? AND original = ?",
        target.value, transaction.stamp, outcome.packet, outcome.attempt, outcome.duplicate_of,
        outcome.sender_ref, outcome.sender_ref, json.dumps(list(outcome.missing)),
        encode_findings(outcome.findings), outcome.reason,
        stamp(outcome.retry_at) if outcome.retry_at else None, outcome.original.value, row.id,
        row.state.value, row.original.value,
    )  # fmt: skip
    if cursor.rowcount != 1:
        raise StaleStateError(f"drop {row.id} is no longer {row.state.value}")
    search.note_drop_ref(transaction, row.id, outcome.sender_ref)
    if target is not row.state or outcome.reason != row.reason:
        codes = sorted({finding.code for finding in outcome.findings})
        particulars: dict[str, str | int | list[str]] = {"drop": row.id, "from": row.state.value}
        particulars.update(detail or {})
        if outcome.reason:
            particulars["reason"] = outcome.reason
        if codes:
            particulars["codes"] = codes
        transaction.event(kind or f"drop-{target.value}", key, detail=particulars)
    return target


def set_original(transaction: Transaction, number: int, original: Original) -> None:
    """The original was put away, is gone, or something else lies under its name."""
    transaction.execute('UPDATE "drop" SET original = ? WHERE id = ?', original.value, number)
    if original in (Original.GONE, Original.REPLACED):
        transaction.event(f"original-{original.value}", detail={"drop": number})


def release(transaction: Transaction, number: int) -> None:
    """Try a held drop again now, as if for the first time: a person's decision."""
    transaction.execute(
        'UPDATE "drop" SET tries = 0, crashes = 0, retry_at = NULL, reason = \'\' WHERE id = ? AND state = ?',
        number, DropState.HELD.value,
    )  # fmt: skip
    transaction.event("drop-released", detail={"drop": number})
    transaction.wake("intake")


def live(connection: sqlite3.Connection) -> dict[bytes, DropRow]:
    """Every drop whose name in the outbox still belongs to it."""
    rows = connection.execute("SELECT * FROM \"drop\" WHERE original IN ('outbox', 'kept')")
    return {bytes(row["name"]): _drop_row(row) for row in rows}


def waiting(connection: sqlite3.Connection) -> dict[bytes, DropRow]:
    """Live drops that are not disposed of, and what was left lying."""
    rows = connection.execute(
        "SELECT * FROM \"drop\" WHERE original IN ('outbox', 'kept')"
        " AND (original = 'kept' OR state IN ('seen', 'incomplete', 'held'))"
    )
    return {bytes(row["name"]): _drop_row(row) for row in rows}


def leaving(connection: sqlite3.Connection) -> frozenset[bytes]:
    """The names of drops that are disposed of, and whose originals still lie in the outbox."""
    rows = connection.execute(
        "SELECT name FROM \"drop\" WHERE original IN ('outbox', 'kept')"
        " AND original = 'outbox' AND state NOT IN ('seen', 'incomplete', 'held')"
    )
    return frozenset(bytes(row["name"]) for row in rows)


def find(connection: sqlite3.Connection, number: int) -> DropRow | None:
    """The drop of that row number, or None."""
    row = connection.execute('SELECT * FROM "drop" WHERE id = ?', (number,)).fetchone()
    return None if row is None else _drop_row(row)


def get(connection: sqlite3.Connection, number: int) -> DropRow:
    """The drop of that row number. Raises NotFoundError."""
    found = find(connection, number)
    if found is None:
        raise NotFoundError("no such drop", found=str(number))
    return found


def of_packet(connection: sqlite3.Connection, packet: int) -> DropRow | None:
    """The newest drop that became this packet: a higher attempt has a drop of its own."""
    row = connection.execute(
        'SELECT * FROM "drop" WHERE packet = ? ORDER BY id DESC LIMIT 1', (packet,)
    ).fetchone()
    return None if row is None else _drop_row(row)


def all_of_packet(connection: sqlite3.Connection, packet: int) -> tuple[DropRow, ...]:
    """Every drop that became this packet, one for each attempt, the oldest first."""
    rows = connection.execute(
        'SELECT * FROM "drop" WHERE packet = ? AND state = ? ORDER BY id', (packet, DropState.TAKEN.value)
    )
    return tuple(map(_drop_row, rows))


def disposed_of(connection: sqlite3.Connection) -> Iterator[DropIdentity]:
    """Which files every drop was that was taken, recognised or answered: its original belongs into sent/."""
    rows = connection.execute(
        'SELECT name, device, inode, size, mtime, fingerprint FROM "drop"'
        " WHERE state IN ('taken', 'duplicate', 'disposed')"
    )
    for row in rows:
        yield DropIdentity(
            name=bytes(row["name"]),
            device=int(row["device"]),
            inode=int(row["inode"]),
            size=int(row["size"]),
            mtime=int(row["mtime"]),
            fingerprint=row["fingerprint"],
        )


def join(
    transaction: Transaction,
    identity: DropIdentity,
    status_name: str,
    packet: int,
    attempt: int,
    sender_ref: str,
) -> int:
    """A drop that was taken and forgotten (C23) stands for its packet again; its original lies in sent/.

    In place of the row of the same name that was seen only, if there is one. ``status_name`` is that of its
    status file, or empty where nobody knows it any more. Its row number.
    """
    seen = waiting(transaction.connection).get(identity.name)
    if seen is not None and seen.original is Original.OUTBOX:
        row = seen
        see_again(transaction, row, identity)
    else:
        # What was left lying under that name, or is on its way out, is another drop.
        base = safe_status_name(identity.name, "")
        row = register(transaction, identity, base, original=Original.SENT)
    if status_name:
        transaction.execute('UPDATE "drop" SET status_name = ? WHERE id = ?', status_name, row.id)
    outcome = Outcome(packet=packet, attempt=attempt, sender_ref=sender_ref, original=Original.SENT)
    move(transaction, get(transaction.connection, row.id), Event.TAKE, outcome, kind="drop-joined")
    return row.id


def is_on_its_way(connection: sqlite3.Connection, packet: int, link: str) -> bool:
    """The packet waits on that link, or lies in a batch that the neighbour has not disposed of."""
    row = connection.execute(
        "SELECT 1 FROM outgoing WHERE link = ? AND kind = 'packet' AND reference = ?", (link, packet)
    ).fetchone()
    return row is not None


def owner_of_status(connection: sqlite3.Connection, status_name: str) -> int | None:
    """The newest drop of that status name: only it may write the file of that name."""
    row = connection.execute(
        'SELECT id FROM "drop" WHERE status_name = ? ORDER BY id DESC LIMIT 1', (status_name,)
    ).fetchone()
    return None if row is None else int(row["id"])


def has_borrowed_status_name(connection: sqlite3.Connection, row: DropRow) -> bool:
    """An earlier drop had the status name of this one, and may have left a status file."""
    found = connection.execute(
        'SELECT 1 FROM "drop" WHERE status_name = ? AND id < ? LIMIT 1', (row.status_name, row.id)
    ).fetchone()
    return found is not None


def encode_findings(findings: Iterable[Finding]) -> str:
    """Findings as the ledger keeps them."""
    return json.dumps([asdict(finding) for finding in findings])


def decode_findings(text: str) -> tuple[Finding, ...]:
    """Findings out of the ledger."""
    return tuple(
        Finding(**{**values, "severity": Severity(values["severity"])}) for values in json.loads(text)
    )


def _free_status_name(connection: sqlite3.Connection, base: str, number: int) -> str:
    for mark in ("", *(f"~{twin}" for twin in range(2, 10))):
        if not _may_still_change(connection, base + mark):
            return base + mark
    # Case software that gives every drop one name: the row number keeps the cost of a name flat.
    return f"{base}~{number}"


def _may_still_change(connection: sqlite3.Connection, status_name: str) -> bool:
    """Only the newest drop of a status name can: the name is given anew only when all before are settled."""
    row = connection.execute(
        'SELECT d.original, d.attempt, p.state, p.attempt AS newest FROM "drop" d'
        " LEFT JOIN packet p ON p.id = d.packet WHERE d.status_name = ? ORDER BY d.id DESC LIMIT 1",
        (status_name,),
    ).fetchone()
    if row is None:
        return False
    is_under_way = row["state"] == "active" and row["attempt"] == row["newest"]
    return row["original"] in (Original.OUTBOX, Original.KEPT) or is_under_way


def _drop_row(row: sqlite3.Row) -> DropRow:
    return DropRow(
        id=row["id"],
        name=bytes(row["name"]),
        status_name=row["status_name"],
        state=DropState(row["state"]),
        since=moment(row["since"]),
        seen_at=moment(row["seen_at"]),
        device=int(row["device"]),
        fingerprint=row["fingerprint"],
        packet=row["packet"],
        attempt=row["attempt"],
        duplicate_of=row["duplicate_of"],
        sender_ref=row["sender_ref"],
        missing=tuple(json.loads(row["missing"])),
        findings=decode_findings(row["findings"]),
        reason=row["reason"],
        retry_at=moment(row["retry_at"]) if row["retry_at"] else None,
        tries=row["tries"],
        in_work=row["in_work"],
        crashes=row["crashes"],
        original=Original(row["original"]),
    )
