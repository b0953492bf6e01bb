"""Questions of the command line about many packets: lists, narrowed down, newest first.

Read-only, like ``questions``. A list ends as soon as it is full. Known limit: a sender or type that few
packets have is looked for through an index of all packets (less than half a second for a million); together
with a recipient or a destination's state it costs a look at each of the packets of those.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
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
from exchanged.ledger.snapshot import snapshot
from exchanged.ledger.times import stamp
from exchanged.states import HEADLINE_ORDER, DestinationState, PacketState

OPEN_IN_ORDER: Final = (
    DestinationState.QUEUED,
    DestinationState.ON_HOLD,
    DestinationState.OFFERED,
    DestinationState.HANDED_OVER,
    DestinationState.ACCEPTED,
    DestinationState.ARRIVED,
    DestinationState.DELIVERING,
)
"""The exchange still owes something, in the order of the way."""

OPEN_DESTINATIONS: Final = frozenset(OPEN_IN_ORDER)
OPEN_SQL: Final = f"({', '.join(repr(state.value) for state in OPEN_IN_ORDER)})"

DELIVERY_REASON: Final = (
    "SELECT detail FROM event WHERE packet_id <> '' AND event.packet_id = packet.packet_id"
    " AND event.sender = packet.sender AND kind = 'delivery-waiting' AND at >= packet.landed_at"
    " ORDER BY id DESC LIMIT 1"
)
"""Why the delivery of the packet at hand was put off last, as the detail of an event; since it landed."""

# Words that no destination knows; the word refused is known to both.
_OF_PACKETS_ONLY: Final = frozenset({PacketState.ACTIVE.value, PacketState.DONE.value})


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
    ask = _numbers_by_destination if _asks_for_destination(wanted) else _numbers
    with snapshot(connection):
        return packets_of(connection, [number for _, number in ask(connection, wanted)])


def packets_of(connection: sqlite3.Connection, numbers: Sequence[int]) -> tuple[ListedPacket, ...]:
    """The packets of these row numbers, in this order, with their destinations; unknown ones are left out."""
    marks = ", ".join("?" for _ in numbers)
    rows = connection.execute(
        f"SELECT {PACKET_COLUMNS} FROM {PACKET_TABLES} WHERE packet.id IN ({marks})",  # noqa: S608
        tuple(numbers),
    ).fetchall()
    found = {row["id"]: packet_row(row) for row in rows}
    destinations = _destinations_of(connection, tuple(found.values()))
    return tuple(
        ListedPacket(found[number], destinations.get(number, ())) for number in numbers if number in found
    )


# When a packet came here, as the ledger keeps it, and its row number.
_Numbered = tuple[str, int]


def _asks_for_destination(wanted: PacketFilter) -> bool:
    return bool(wanted.recipient) or wanted.state in {*map(str, DestinationState)}


def _numbers(connection: sqlite3.Connection, wanted: PacketFilter) -> list[_Numbered]:
    """By what stands in the packet itself: all of it in one index, newest first."""
    conditions = _conditions(wanted, "packet.landed_at")
    if wanted.state:
        conditions.add("packet.state = ?", wanted.state)
    rows = connection.execute(
        f"SELECT landed_at, id FROM packet INDEXED BY packet_list {conditions.where}"  # noqa: S608
        " ORDER BY packet.landed_at DESC, packet.id DESC LIMIT ?",
        (*conditions.values, wanted.limit),
    )
    return [(row["landed_at"], row["id"]) for row in rows]


def _numbers_by_destination(connection: sqlite3.Connection, wanted: PacketFilter) -> list[_Numbered]:
    """By recipient or state of a destination, newest first.

    One look per state: within one, the index holds destinations in the order of their coming.
    """
    found: set[_Numbered] = set()
    of_packet = wanted.state in _OF_PACKETS_ONLY
    states = (wanted.state,) if wanted.state and not of_packet else tuple(map(str, DestinationState))
    for state in states:
        conditions = _conditions(wanted, "destination.came_at")
        conditions.add("destination.state = ?", state)
        if wanted.recipient:
            conditions.add("destination.recipient = ?", wanted.recipient)
        if of_packet:
            conditions.add("packet.state = ?", wanted.state)
        joined = " CROSS JOIN packet ON packet.id = destination.packet" if conditions.of_packet else ""
        rows = connection.execute(
            f"SELECT DISTINCT destination.came_at, destination.packet FROM destination{joined}"  # noqa: S608
            f" {conditions.where} ORDER BY destination.came_at DESC, destination.packet DESC LIMIT ?",
            (*conditions.values, wanted.limit),
        )
        found.update((row["came_at"], row["packet"]) for row in rows)
    if wanted.state == PacketState.REFUSED and not wanted.recipient:
        # Refused as a whole: such a packet has no destination.
        found.update(_numbers(connection, wanted))
    return sorted(found, reverse=True)[: wanted.limit]


@dataclass(slots=True)
class _Conditions:
    """Conditions that all must hold, and the values of their marks in order."""

    texts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        self.texts.append(text)
        self.values.extend(values)

    @property
    def where(self) -> str:
        return f"WHERE {' AND '.join(self.texts)}" if self.texts else ""

    @property
    def of_packet(self) -> bool:
        """Some condition looks into the packet's own row."""
        return any(text.startswith("packet.") for text in self.texts)


def _conditions(wanted: PacketFilter, came_at: str) -> _Conditions:
    conditions = _Conditions()
    if wanted.business_type:
        conditions.add("packet.business_type = ?", wanted.business_type)
    if wanted.sender:
        conditions.add("packet.sender = ?", wanted.sender)
    if wanted.since is not None:
        conditions.add(f"{came_at} >= ?", stamp(wanted.since))
    if wanted.until is not None:
        conditions.add(f"{came_at} < ?", stamp(wanted.until))
    return conditions


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
