"""Questions about the chain of events: what happened when, to which packet, by whose hand.

Read-only, by indexes. An operator's act is an event whose kind begins with ``operator-``; its detail
names the operator and the reason.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.ledger.times import moment, stamp
from packet_spec.identity import PacketKey

# Word for word as in the partial index event_operator.
_OF_OPERATORS: Final = "kind >= 'operator-' AND kind < 'operator.'"
_OPERATOR: Final = "json_extract(detail, '$.operator')"
_COLUMNS: Final = "id, at, kind, sender, packet_id, recipient, detail"


@dataclass(frozen=True, slots=True)
class EventFilter:
    """What the chain is narrowed down to; empty means all. ``since`` inclusive, ``until`` exclusive.

    ``kind`` is a kind or, ending with ``*``, how kinds begin. ``operator`` is any part of an operator's name.
    """

    since: datetime | None = None
    until: datetime | None = None
    key: PacketKey | None = None
    operator: str = ""
    kind: str = ""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ChainEvent:
    """One event of the chain. ``key`` is None where it is about no packet."""

    id: int
    at: datetime
    kind: str
    key: PacketKey | None
    recipient: str
    detail: Mapping[str, object]


def list_events(connection: sqlite3.Connection, wanted: EventFilter) -> tuple[ChainEvent, ...]:
    """The newest events that ``wanted`` lets through, in the order of the chain."""
    found: dict[int, ChainEvent] = {}
    for condition, values in _looks(connection, wanted):
        times, stamps = _times(wanted)
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM event WHERE {condition}{times} ORDER BY at DESC, id DESC LIMIT ?",  # noqa: S608
            (*values, *stamps, wanted.limit),
        )
        found.update((row["id"], _event(row)) for row in rows)
    newest = sorted(found, key=lambda number: (found[number].at, number))[-wanted.limit :]
    return tuple(found[number] for number in sorted(newest))


def known_kinds(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Every kind of event that ever happened here, in order: one step in the index for each."""
    kinds: list[str] = []
    while True:
        last = kinds[-1] if kinds else ""
        row = connection.execute("SELECT min(kind) AS next FROM event WHERE kind > ?", (last,)).fetchone()
        if row["next"] is None:
            return tuple(kinds)
        kinds.append(row["next"])


def known_operators(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Everybody who ever acted on this node, in order."""
    names: list[str] = []
    while True:
        last = names[-1] if names else ""
        row = connection.execute(
            f"SELECT min({_OPERATOR}) AS next FROM event WHERE {_OF_OPERATORS} AND {_OPERATOR} > ?",  # noqa: S608
            (last,),
        ).fetchone()
        if row["next"] is None:
            return tuple(names)
        names.append(str(row["next"]))


def _looks(
    connection: sqlite3.Connection, wanted: EventFilter
) -> tuple[tuple[str, tuple[object, ...]], ...]:
    """The conditions to look with, one for each stretch of an index; what narrows most leads."""
    kinds = _kinds(connection, wanted.kind)
    if wanted.key is not None:
        of_packet = "packet_id <> '' AND packet_id = ? AND sender = ?"
        values: tuple[object, ...] = (wanted.key.packet_id, wanted.key.sender)
        if kinds is not None:
            of_packet += f" AND +kind IN ({', '.join('?' for _ in kinds)})"
            values += kinds
        if wanted.operator:
            names = _operators(connection, wanted.operator)
            of_packet += f" AND {_OF_OPERATORS} AND +{_OPERATOR} IN ({', '.join('?' for _ in names)})"
            values += names
        # The sign keeps SQLite from walking all events in order of time.
        return ((of_packet, values),)
    if wanted.operator:
        by = f"{_OF_OPERATORS} AND {_OPERATOR} = ?"
        if kinds is not None:
            by += f" AND +kind IN ({', '.join('?' for _ in kinds)})"
        return tuple((by, (name, *(kinds or ()))) for name in _operators(connection, wanted.operator))
    if kinds is not None:
        return tuple(("kind = ?", (kind,)) for kind in kinds)
    return (("1", ()),)


def _kinds(connection: sqlite3.Connection, wanted: str) -> tuple[str, ...] | None:
    if not wanted:
        return None
    if not wanted.endswith("*"):
        return (wanted,)
    return tuple(kind for kind in known_kinds(connection) if kind.startswith(wanted[:-1]))


def _operators(connection: sqlite3.Connection, text: str) -> tuple[str, ...]:
    wanted = text.casefold()
    return tuple(name for name in known_operators(connection) if wanted in name.casefold())


def _times(wanted: EventFilter) -> tuple[str, tuple[str, ...]]:
    bounds = [(" AND at >= ?", wanted.since), (" AND at < ?", wanted.until)]
    given = [(text, stamp(bound)) for text, bound in bounds if bound is not None]
    return "".join(text for text, _ in given), tuple(value for _, value in given)


def _event(row: sqlite3.Row) -> ChainEvent:
    key = PacketKey(row["sender"], row["packet_id"]) if row["packet_id"] else None
    return ChainEvent(
        row["id"], moment(row["at"]), row["kind"], key, row["recipient"], json.loads(row["detail"])
    )
