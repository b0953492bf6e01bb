"""Waiting packets of a restored ledger that its agency was told not to expect to leave (C18, C23).

Guarantees: before anything is offered again, a packet that the ledger calls queued is cancelled if the status
of that attempt says so for everybody who still waits; whatever else says that it was stopped (on hold,
expired, cancelled for some) puts it on hold, until a person looks at it.

Leaves to others: packets that the ledger does not know (``forgotten``), and what receipts prove. Known limit:
the status file by packet id is believed, as one's own word; it may have been removed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from exchanged.acts.deeds import cancel, hold
from exchanged.acts.subjects import Leg
from exchanged.ledger import Ledger, Transaction, packets
from exchanged.ledger.rows import DestinationRow, PacketRow
from exchanged.states import DestinationState
from frontend_server.folders import BY_ID, AgencyFolders
from frontend_server.told import read_status

_QUEUED: Final = DestinationState.QUEUED
_CANCELLED: Final = DestinationState.CANCELLED.value
_STOPPED: Final = frozenset({_CANCELLED, DestinationState.EXPIRED.value, DestinationState.ON_HOLD.value})
# All there are: nothing of this node is under way while it is restoring.
_ALL: Final = 2**31


def stop_again(ledger: Ledger, folders: AgencyFolders) -> None:
    """Do to every own packet that waits what its status says was done to it before."""
    waiting: dict[PacketRow, list[DestinationRow]] = defaultdict(list)
    for packet, destination in packets.in_states(ledger.read(), (_QUEUED,), _ALL):
        if packet.own:
            waiting[packet].append(destination)
    for packet, destinations in waiting.items():
        status = read_status(folders.status / BY_ID / f"{packet.key.packet_id}.status.xml")
        if status is None or status.attempt != packet.attempt:
            continue
        said = {each.agency: each.state for each in status.destinations}
        if any(said.get(each.recipient) in _STOPPED for each in destinations):
            ledger.write(partial(_stop, packet=packet, waiting=destinations, said=said))


def _stop(
    tx: Transaction, *, packet: PacketRow, waiting: Sequence[DestinationRow], said: Mapping[str, str]
) -> None:
    if all(said.get(each.recipient) == _CANCELLED for each in waiting):
        cancel(tx, packet)
        return
    stopped = {each.link for each in waiting if said.get(each.recipient) in _STOPPED}
    for link in sorted(stopped):
        hold(tx, Leg(packet, link, tuple(each for each in waiting if each.link == link)))
