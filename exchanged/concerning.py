"""Whether what somebody says of a packet belongs to that packet (C14, C21, C23).

Who may say what kind of thing, and by which key, is ``packet_spec.authority``; that alone would let every
agency fill the ledger and the queue of any other with true signatures about packets that never were.

Guarantees: a hop note comes by the road of the node that speaks. Of a packet that is known here nobody speaks
who has nothing to do with it. A packet may be unknown for good reasons: its statement came first, a bridge
forgot it after its days, a node was restored. So what is said of it goes its way as ever (C23), up to
``A_DAY`` such statements of one node in a day; more are set aside, where they cost nothing but room, until a
person has looked. They are not held: what is held is looked at again and again.

Leaves to others: that a flood waits behind its own (``receipts``). Known limit: after a change of the
directory the way is that of now, so a note of a node that left the way is set aside.
"""

from __future__ import annotations

from typing import Final

from exchanged.decisions import Held, Suspicious
from exchanged.ledger import Transaction, packets, restoring
from exchanged.ledger.rows import PacketRow
from exchanged.readmission import is_hearsay
from exchanged.routing import has_to_do_with, node_may_come_from
from packet_spec.identity import PacketKey
from packet_spec.model import Directory, HopNote, Receipt

# More than an agency signs in a day about packets that a bridge forgot; less than others' queues would feel.
A_DAY: Final = 1_000
UNKNOWN_PACKET: Final = "packet-not-known"
STRANGER: Final = "statement-of-a-stranger"


def check_hop(transaction: Transaction, directory: Directory, here: str, peer: str, hop: HopNote) -> None:
    """A verified note that is new here and came from the neighbour ``peer``, empty if nobody can tell which.

    Raises Suspicious or Held.
    """
    if not peer:
        raise Held("link-not-configured")
    if not node_may_come_from(directory, here, hop.node, peer):
        raise Suspicious("note-by-a-wrong-road")
    packet = _known(transaction, hop.key)
    if packet is not None and has_to_do_with(
        directory, here, hop.node, packet.key.sender, packet.recipients
    ):
        return
    if packet is not None and packet.seal_digest == hop.seal_digest:
        raise Suspicious(STRANGER, by_directory=True)
    _require_few(transaction, hop.node)


def check_receipt(transaction: Transaction, directory: Directory, here: str, receipt: Receipt) -> None:
    """A receipt that is new here, of somebody who may issue its kind. Raises Suspicious or Held."""
    packet = _known(transaction, receipt.key)
    if packet is not None:
        if not receipt.recipient or receipt.recipient in packet.recipients:
            return
        if packet.attempt == receipt.attempt:
            raise Suspicious(STRANGER)
    sender = directory.agency(receipt.key.sender)
    if sender is not None and here != sender.node and receipt.issued_by == sender.admitting_node:
        # Behind it comes the packet itself.
        return
    agency = directory.agency(receipt.issued_by)
    _require_few(transaction, receipt.issued_by if agency is None else agency.node)


def _known(transaction: Transaction, key: PacketKey) -> PacketRow | None:
    """What others only told of it after a restore is no knowledge."""
    packet = packets.find(transaction.connection, key)
    return None if packet is None or is_hearsay(transaction, packet) else packet


def _require_few(transaction: Transaction, node: str) -> None:
    """One more of this node about what is unknown here. A node that takes back its memory counts nothing."""
    if restoring.is_going_on(transaction.connection):
        return
    name, today = f"of-unknown-packets:{node}", transaction.now.date().isoformat()
    day, _space, said = (transaction.recall(name) or "").partition(" ")
    count = int(said) + 1 if day == today else 1
    if count > A_DAY:
        raise Suspicious(UNKNOWN_PACKET)
    transaction.remember(name, f"{today} {count}")
