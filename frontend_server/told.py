"""What the agency's status files say of drops that a restored ledger does not know any more (C23).

Guarantees: only what stands in a whole status file counts; an odd or unreadable one is none. Both forms of a
status, that by name and that by packet id, are one; where they disagree, the states of both count.

Leaves to others: which original a status speaks of, and what follows (``forgotten``). Known limit: a status
file is believed, as one's own word; a drop that was never disposed of has nothing to tell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exchanged.errors import ForeignVolumeError
from exchanged.ledger import Connection, drops, packets
from exchanged.states import RETRYABLE_DESTINATIONS, DestinationState, DropState
from frontend_server.folders import BY_ID, AgencyFolders
from frontend_server.staging import read_plain
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey, is_packet_id
from packet_spec.limits import STATUS_BYTES
from packet_spec.status import decode_status_xml
from packet_spec.told import Status

_SUFFIX: Final = ".status.xml"
_ENDED: Final = frozenset({each.value for each in RETRYABLE_DESTINATIONS} | {DropState.DUPLICATE.value})
_STOPPED: Final = _ENDED | {DestinationState.ON_HOLD.value}
# Far more than there ever are, and a number that every document and table can hold.
_MOST_ATTEMPTS: Final = 10**6


@dataclass(frozen=True, slots=True)
class Told:
    """One drop that became the packet ``packet_id``, or was a duplicate of it (``attempt`` is 0 then).

    ``name`` is the name of its status file, empty where only the one by id speaks of it; ``states`` are those
    of the drop and of its recipients.
    """

    name: str
    drop: str
    packet_id: str
    attempt: int
    sender_ref: str
    states: frozenset[str]

    @property
    def is_ended(self) -> bool:
        """For every recipient it was cancelled, expired, refused or given up, or it never was a packet."""
        return self.states <= _ENDED

    @property
    def is_stopped(self) -> bool:
        """For some recipient it ended, or somebody put it on hold: it may not simply be sent."""
        return bool(self.states & _STOPPED)


def told_of_forgotten(connection: Connection, agency: str, folders: AgencyFolders) -> tuple[Told, ...]:
    """What is told of drops of ``agency`` that the ledger does not know. Raises ForeignVolumeError."""
    found: dict[tuple[str, str, int], Told] = {}
    for path in _status_files(folders):
        status = read_status(path)
        by_name = "" if path.parent.name == BY_ID else path.name.removesuffix(_SUFFIX)
        told = None if status is None else _forgotten(connection, agency, by_name, status)
        if told is None:
            continue
        # Duplicates of one packet are drops of their own; an attempt is one.
        key = (told.packet_id, "" if told.attempt else by_name, told.attempt)
        if (known := found.get(key)) is not None:
            told = replace(known, name=known.name or told.name, states=known.states | told.states)
        found[key] = told
    return tuple(found.values())


def _status_files(folders: AgencyFolders) -> Iterator[Path]:
    """Those by name first, then those by id."""
    home = folders.status
    with folders.opened(home.name) as descriptor:
        names = _names_in(descriptor)
    yield from (home / name for name in names if name.endswith(_SUFFIX))
    if BY_ID in names:
        with folders.pinned(home.name, BY_ID) as below:
            names = _names_in(below)
        yield from (home / BY_ID / name for name in names if name.endswith(_SUFFIX))


def _names_in(folder: int | Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries)
    except OSError as error:
        raise ForeignVolumeError(
            "the folder of status files cannot be read", found=error.strerror or ""
        ) from error


def read_status(path: Path) -> Status | None:
    """A status file; None where there is none that can be read."""
    data = read_plain(path, STATUS_BYTES)
    with suppress(ExchangeError, ValueError, LookupError, RecursionError):
        return None if data is None else decode_status_xml(data)
    return None


def _forgotten(connection: Connection, agency: str, by_name: str, status: Status) -> Told | None:
    """What a status says of a drop that was taken or recognised, if the ledger does not know that drop."""
    packet_id, attempt = status.packet_id, status.attempt
    if status.state == DropState.DUPLICATE.value and status.duplicate_of is not None:
        packet_id, attempt = status.duplicate_of, 0
        owner = drops.owner_of_status(connection, by_name)
        row = None if owner is None else drops.get(connection, owner)
        is_known = row is not None and (row.state.value, row.since) == (status.state, status.updated_at)
    elif packet_id is None or attempt is None or not 1 <= attempt <= _MOST_ATTEMPTS:
        return None
    else:
        packet = packets.find(connection, PacketKey(agency, packet_id))
        known = () if packet is None else drops.all_of_packet(connection, packet.id)
        is_known = any(row.attempt == attempt for row in known)
    if is_known or not is_packet_id(packet_id):
        return None
    states = frozenset({status.state, *(each.state for each in status.destinations)})
    return Told(by_name, status.drop, packet_id, attempt, status.sender_ref or "", states)
