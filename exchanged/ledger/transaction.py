"""One transaction: the connection, the time it counts as, and the event chain.

Every change of state goes through a function that takes a ``Transaction``; each writes an event row.
Events form a hash chain (fault matrix, invariant I8): ``chain`` of a row is SHA-256 over the previous
row's chain and the row's canonical text, so that a change, a removal or a fork shows.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final

from exchanged.ledger.times import moment, stamp
from packet_spec.identity import PacketKey

GENESIS: Final = "0" * 64
# One for all: making an encoder takes longer than encoding by it.
_DETAIL: Final = json.JSONEncoder(ensure_ascii=True, sort_keys=True)

Detail = Mapping[str, "str | int | float | bool | list[str] | None"]


def encode_detail(detail: Detail | None) -> str:
    """The particulars of an event or an effect, as text: JSON with sorted keys."""
    return _DETAIL.encode(dict(detail)) if detail else "{}"


def event_link(
    previous: str, event_id: int, at: str, kind: str, sender: str, packet_id: str, recipient: str, detail: str
) -> str:
    """The chain value of one event row."""
    text = json.dumps([event_id, at, kind, sender, packet_id, recipient, detail], ensure_ascii=True)
    return hashlib.sha256(f"{previous}\n{text}\n".encode()).hexdigest()


class Transaction:
    """What a writing function gets: SQL, the time, events, and what to do after the commit."""

    def __init__(self, connection: sqlite3.Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.stamp = stamp(now)
        self.wakes: set[str] = set()
        row = connection.execute("SELECT id, chain FROM event ORDER BY id DESC LIMIT 1").fetchone()
        self.head_id: int = row[0] if row else 0
        self.head: str = row[1] if row else GENESIS

    def execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        """Run one statement with bound parameters."""
        return self.connection.execute(statement, parameters)

    def event(
        self,
        kind: str,
        key: PacketKey | None = None,
        *,
        recipient: str = "",
        detail: Detail | None = None,
    ) -> None:
        """Append one event to the chain. ``detail`` holds no case data beyond ids and codes."""
        text = encode_detail(detail)
        sender, packet_id = (key.sender, key.packet_id) if key else ("", "")
        event_id = self.head_id + 1
        chain = event_link(self.head, event_id, self.stamp, kind, sender, packet_id, recipient, text)
        self.execute(
            "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            event_id, self.stamp, kind, sender, packet_id, recipient, text, chain,
        )  # fmt: skip
        self.head_id, self.head = event_id, chain

    @contextmanager
    def part(self) -> Iterator[None]:
        """A part that counts whole or not at all: what it wrote is undone when it raises. May be nested.

        Where the engine itself failed, the writer undoes the whole transaction.
        """
        head, head_id, wakes = self.head, self.head_id, set(self.wakes)
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException as error:
            if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.IntegrityError):
                self.connection.execute("ROLLBACK TO part")
                self.connection.execute("RELEASE part")
                self.head, self.head_id, self.wakes = head, head_id, wakes
            raise
        self.connection.execute("RELEASE part")

    def wake(self, station: str) -> None:
        """Ask for a station to look again once this is committed (a hint; its scan is the truth)."""
        self.wakes.add(station)

    def remember(self, name: str, value: str) -> None:
        """Set a value of the node itself (incarnation, counters)."""
        self.execute(
            "INSERT INTO node VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            name,
            value,
        )

    def recall(self, name: str) -> str | None:
        """A value of the node itself, or None."""
        row = self.execute("SELECT value FROM node WHERE name = ?", name).fetchone()
        return None if row is None else str(row[0])

    def next_number(self, name: str) -> int:
        """A counter of this node that only rises, from 1."""
        number = int(self.recall(name) or "0") + 1
        self.remember(name, str(number))
        return number

    def issue_time(self) -> datetime:
        """The time a receipt issued now bears: never before an earlier one of this node (C18)."""
        last = self.recall("last-issued-at")
        issued = (
            self.now if last is None or moment(last) < self.now else moment(last) + timedelta(microseconds=1)
        )
        self.remember("last-issued-at", stamp(issued))
        return issued
