"""Questions of the command line about many packets: lists, narrowed down, newest first.

Read-only, like ``questions``. A list ends as soon as it is full. Known limit: a recipient, type or time
that few packets have is looked for through the whole table; measured with a million packets on two
cores, that takes half a second.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from exchanged.ledger.rows import (
    PACKET_COLUMNS,
    PACKET_TABLES,
    DestinationRow,
    PacketRow,
    destination_row,
    packet_row,
)
from exchanged.ledger.times import stamp
from exchanged.states import HEADLINE_ORDER, DestinationState, PacketState

OPEN_SQL: Final = (
    "('queued', 'on-hold', 'offered', 'handed-over', 'accepted', 'arrived', 'delivering')"
)
"""Open states, word for word as in the partial index destination_open: SQLite uses it only then."""

OPEN_DESTINATIONS: Final = frozenset(
    {
        DestinationState.QUEUED,
        DestinationState.ON_HOLD,
        DestinationState.OFFERED,
        DestinationState.HANDED_OVER,
        DestinationState.ACCEPTED,
        DestinationState.ARRIVED,
        DestinationState.DELIVERING,
    }
)
"""The exchange still owes something."""

# How nearly all packets end: a list of them is full at once. All other ends are rare.
_USUAL_ENDS: Final = frozenset(
    {DestinationState.DELIVERED, DestinationState.COLLECTED, DestinationState.SIGNED}
)


@dataclass(frozen=True, slots=True)
class PacketFilter:
    """What a list of packets is narrowed down to; empty means all.

    ``state`` is a state of a packet or of a destination. Times are those of coming to this node, from
    ``since`` inclusive to ``until`` exclusive.
    """

    state: str = ""
    business_type: str = ""
    sender: str = ""
    recipient: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ListedPacket:
    """One line of a list of packets."""

    packet: PacketRow
    destinations: tuple[DestinationRow, ...]

    @property
    def state(self) -> str:
        """The worst destination's state; the packet's own where it has no destination."""
        states = [row.state for row in self.destinations]
        return min(states, key=HEADLINE_ORDER.index).value if states else self.packet.state.value


def list_packets(connection: sqlite3.Connection, wanted: PacketFilter) -> tuple[ListedPacket, ...]:
    """Packets that ``wanted`` lets through, newest first."""
    conditions = _conditions(wanted)
    where = f" WHERE {' AND '.join(conditions.texts)}" if conditions.texts else ""
    rows = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES}{where} ORDER BY packet.id DESC LIMIT ?",  # noqa: S608
        (*conditions.values, wanted.limit),
    ).fetchall()
    found = tuple(packet_row(row) for row in rows)
    destinations = _destinations_of(connection, found)
    return tuple(ListedPacket(packet, destinations.get(packet.id, ())) for packet in found)


@dataclass(slots=True)
class _Conditions:
    """Conditions that all must hold, and the values of their marks in order."""

    texts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        self.texts.append(text)
        self.values.extend(values)


def _conditions(wanted: PacketFilter) -> _Conditions:
    conditions = _Conditions()
    if wanted.business_type:
        conditions.add("packet.business_type = ?", wanted.business_type)
    if wanted.sender:
        # The plus keeps SQLite from an index whose rows would all be sorted before the first is shown.
        conditions.add("+packet.sender = ?", wanted.sender)
    if wanted.since is not None:
        conditions.add("packet.landed_at >= ?", stamp(wanted.since))
    if wanted.until is not None:
        conditions.add("packet.landed_at < ?", stamp(wanted.until))
    if wanted.recipient:
        conditions.add(_some_destination("recipient"), wanted.recipient)
    if wanted.state:
        _add_state(conditions, wanted.state)
    return conditions


def _add_state(conditions: _Conditions, state: str) -> None:
    """A state of the packet, of one of its destinations, or of either where both know the word."""
    if state == PacketState.ACTIVE:
        conditions.add("packet.state = 'active'")
    elif state == PacketState.REFUSED:
        either = f"(packet.state = ? OR {_some_destination('state')})"
        conditions.add(either, state, state)
    elif state == PacketState.DONE:
        conditions.add("packet.state = ?", state)
    elif state in OPEN_DESTINATIONS:
        of_open = f"SELECT packet FROM destination WHERE state IN {OPEN_SQL} AND state = ?"  # noqa: S608
        conditions.add(f"packet.id IN ({of_open})", state)
    elif state in _USUAL_ENDS:
        conditions.add(_some_destination("state"), state)
    else:
        conditions.add("packet.id IN (SELECT packet FROM destination WHERE state = ?)", state)


def _some_destination(column: str) -> str:
    of_packet = "destination.packet = packet.id"
    return f"EXISTS (SELECT 1 FROM destination WHERE {of_packet} AND destination.{column} = ?)"  # noqa: S608


def _destinations_of(
    connection: sqlite3.Connection, found: tuple[PacketRow, ...]
) -> dict[int, tuple[DestinationRow, ...]]:
    grouped: dict[int, list[DestinationRow]] = {packet.id: [] for packet in found}
    marks = ", ".join("?" for _ in found)
    rows = connection.execute(
        f"SELECT * FROM destination WHERE packet IN ({marks}) ORDER BY packet, recipient",  # noqa: S608
        tuple(grouped),
    )
    for row in rows:
        grouped[row["packet"]].append(destination_row(row))
    return {number: tuple(rows_of) for number, rows_of in grouped.items()}
