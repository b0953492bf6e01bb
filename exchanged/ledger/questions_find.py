"""The question of the telephone: somebody names a packet by whatever they have at hand.

A drop's name, the case software's own number, any case number in any way of writing brackets, or the
beginning of a packet id. What fits exactly is told alone; else what begins with it. Read-only, by indexes.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from exchanged.ledger import drops, packets
from exchanged.ledger.drops import DropRow
from exchanged.ledger.questions import find_keys
from exchanged.ledger.questions_list import ListedPacket, packets_of
from exchanged.ledger.search import PACKET_FIELDS, Field, search_key
from packet_spec.identity import PacketKey

_ID: Final = re.compile(r"[0-9a-f][0-9a-f-]{5,35}")
# After every character that a word may hold.
_LAST: Final = "\U0010ffff"
BY_ID: Final = "packet-id"


@dataclass(frozen=True, slots=True)
class Found:
    """One packet or drop that fits, and by what (names of ``Field``, or ``packet-id``).

    ``key`` is None for a drop that became no packet; ``packet`` is None also where only arrivals or
    receipts are known. ``drop`` is the newest drop of the packet where that is what fitted.
    """

    by: tuple[str, ...]
    key: PacketKey | None
    packet: ListedPacket | None
    drop: DropRow | None


def find(connection: sqlite3.Connection, text: str, limit: int = 50) -> tuple[Found, ...]:
    """What fits ``text``, at most ``limit``: exact words newest first, else by their beginnings."""
    word = search_key(text)
    if not word:
        return ()
    merged: dict[tuple[str, object], Found] = {}
    for look in (_exact, _beginning):
        # Several words may lead to one packet, so how many rows are needed shows only while reading.
        for field, subject in look(connection, word):
            for found in _resolve(connection, field, subject):
                _merge(merged, found)
            if len(merged) >= limit:
                return tuple(merged.values())
        if merged:
            break
    for found in _by_id(connection, word, limit):
        _merge(merged, found)
    return tuple(merged.values())[:limit]


def _exact(connection: sqlite3.Connection, word: str) -> Iterator[tuple[Field, int]]:
    for field in Field:
        for row in connection.execute(
            "SELECT subject FROM search WHERE word = ? AND field = ? ORDER BY subject DESC",
            (word, field.value),
        ):
            yield field, row["subject"]


def _beginning(connection: sqlite3.Connection, word: str) -> Iterator[tuple[Field, int]]:
    for row in connection.execute(
        "SELECT field, subject FROM search WHERE word >= ? AND word < ? ORDER BY word", (word, word + _LAST)
    ):
        yield Field(row["field"]), row["subject"]


def _resolve(connection: sqlite3.Connection, field: Field, subject: int) -> Iterator[Found]:
    """What a word points to; nothing where the row was removed since."""
    if field in PACKET_FIELDS:
        for listed in packets_of(connection, (subject,)):
            yield Found((field.value,), listed.packet.key, listed, None)
        return
    drop = drops.find(connection, subject)
    if drop is None:
        return
    for listed in packets_of(connection, (drop.packet,)) if drop.packet is not None else ():
        yield Found((field.value,), listed.packet.key, listed, drop)
    if drop.packet is None:
        yield Found((field.value,), None, None, drop)


def _by_id(connection: sqlite3.Connection, word: str, limit: int) -> Iterator[Found]:
    if _ID.fullmatch(word) is None:
        return
    for key in find_keys(connection, word, limit=limit):
        row = packets.find(connection, key)
        listed = packets_of(connection, (row.id,)) if row is not None else ()
        yield Found((BY_ID,), key, listed[0] if listed else None, None)


def _merge(merged: dict[tuple[str, object], Found], found: Found) -> None:
    """A packet found by several words is told once."""
    name = ("packet", found.key) if found.key or found.drop is None else ("drop", found.drop.id)
    before = merged.get(name)
    if before is None:
        merged[name] = found
        return
    newest = max(filter(None, (before.drop, found.drop)), key=lambda drop: drop.id, default=None)
    by = tuple(dict.fromkeys((*before.by, *found.by)))
    merged[name] = replace(before, by=by, drop=newest)
