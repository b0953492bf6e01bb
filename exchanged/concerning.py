"""Whether what somebody says of a packet belongs to that packet (C14, C21, C23).

Who may say what kind of thing, and by which key, is ``packet_spec.authority``; that alone would let every
agency fill the ledger and the queue of any other with true signatures about packets that never were.

Guarantees: a hop note comes by the road of the node that speaks, a receipt by that or by the road of the node
that admits the packet and passed it on. Of a packet that is known here nobody speaks who has nothing to do
with it, or before it was. A new receipt or hop note of somebody who is disabled, or by a key that was revoked
before it was seen, waits for a person: a thief says anything of any time. A packet may be unknown for good
reasons: its statement came first, a bridge forgot it after its days, a node was restored. So what is said of
it goes its way as ever (C23), up to ``A_DAY`` such statements of one node in a day; more are set aside, where
they cost nothing but room, until a person has looked. They are not held: what is held is looked at again and
again. Of one packet nobody says the same more than ``OF_ONE_KIND`` times (kind, attempt, recipient), whatever
the number and time, and no node notes it more often than that for each recipient and attempt; the rest is set
aside as well. An attempt that is not known here yet is as an unknown packet.

Leaves to others: that a flood waits behind its own (``receipts``). Known limits: after a change of the
directory the way is that of now, so a statement of a node that left the way is set aside. A node that takes
back its memory takes receipts of the time before it from whoever gives them back (C23).
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from exchanged.decisions import Held, Suspicious
from exchanged.ledger import Transaction, packets, restoring, statements
from exchanged.ledger.arrivals import RELEASED_BY_OPERATOR
from exchanged.ledger.rows import ArrivalRow, PacketRow
from exchanged.routing import has_to_do_with, node_may_come_from
from packet_spec.authority import (
    DATED_AHEAD_TOLERANCE,
    check_new_hop,
    check_new_receipt,
    speaking_node,
)
from packet_spec.identity import PacketKey
from packet_spec.model import Directory, HopNote, Receipt

# More than an agency signs in a day about packets that a bridge forgot; less than others' queues would feel.
A_DAY: Final = 1_000
# Once is the rule; each restore of the issuer, or of what it lost, may add one.
OF_ONE_KIND: Final = 16
UNKNOWN_PACKET: Final = "packet-not-known"
STRANGER: Final = "statement-of-a-stranger"
WRONG_ROAD: Final = "receipt-by-a-wrong-road"
TOO_EARLY: Final = "receipt-before-its-packet"
SAID_TOO_OFTEN: Final = "receipt-said-too-often"
NOTED_TOO_OFTEN: Final = "hop-noted-too-often"


def check_hop(transaction: Transaction, directory: Directory, here: str, peer: str, hop: HopNote) -> None:
    """A verified note that is new here and came from the neighbour ``peer``, empty if nobody can tell which.

    It was recorded a moment ago. Raises Suspicious or Held.
    """
    if not peer:
        raise Held("link-not-configured")
    if not node_may_come_from(directory, here, hop.node, peer):
        raise Suspicious("note-by-a-wrong-road")
    packet = _known(transaction, hop.key)
    if packet is not None and has_to_do_with(
        directory, here, hop.node, packet.key.sender, packet.recipients
    ):
        # Each attempt leaves a node once for each of its links, and once more after a restore.
        most = OF_ONE_KIND * len(packet.recipients) * min(packet.attempt, OF_ONE_KIND)
        if statements.times_noted(transaction.connection, hop, most + 1) > most:
            raise Suspicious(NOTED_TOO_OFTEN)
        return
    if packet is not None and packet.seal_digest == hop.seal_digest:
        raise Suspicious(STRANGER, by_directory=True)
    _require_few(transaction, hop.node)


def check_new_hop_here(
    transaction: Transaction, directory: Directory, hop: HopNote, key_id: str, link: str
) -> None:
    """Whether a note that was not recorded before counts at this time.

    Raises UnknownKeyError leaves (hold).
    """
    if not _is_given_back(transaction, hop.left_at, link):
        check_new_hop(directory, hop, key_id, transaction.now)


def check_new_receipt_here(
    transaction: Transaction, directory: Directory, receipt: Receipt, key_id: str, row: ArrivalRow
) -> None:
    """Whether a receipt that is not recorded yet counts at this time; ours may be one that comes back.

    An operator who released it has vouched for it. Raises UnknownKeyError leaves (hold).
    """
    if row.reason == RELEASED_BY_OPERATOR or _is_given_back(transaction, receipt.issued_at, row.link):
        return
    check_new_receipt(directory, receipt, key_id, transaction.now)


def check_receipt(
    transaction: Transaction, directory: Directory, here: str, peer: str, receipt: Receipt, link: str
) -> None:
    """A receipt of another that is new here, of somebody who may issue its kind, over ``link`` from ``peer``.

    Raises Suspicious or Held.
    """
    if not _is_given_back(transaction, receipt.issued_at, link):
        _require_road(directory, here, peer, receipt)
        if statements.times_said(transaction.connection, receipt, OF_ONE_KIND) >= OF_ONE_KIND:
            raise Suspicious(SAID_TOO_OFTEN)
    packet = _known(transaction, receipt.key)
    if packet is not None:
        if packet.seal_digest == receipt.seal_digest and _is_before(receipt, packet):
            raise Suspicious(TOO_EARLY)
        is_of_a_party = not receipt.recipient or receipt.recipient in packet.recipients
        if is_of_a_party and receipt.attempt <= packet.attempt:
            return
        if not is_of_a_party and packet.attempt == receipt.attempt:
            raise Suspicious(STRANGER)
    sender = directory.agency(receipt.key.sender)
    if sender is not None and here != sender.node and receipt.issued_by == sender.admitting_node:
        # Behind it comes the packet itself.
        return
    _require_few(transaction, speaking_node(directory, receipt).code)


def _require_road(directory: Directory, here: str, peer: str, receipt: Receipt) -> None:
    if not peer:
        raise Held("link-not-configured")
    sources = [speaking_node(directory, receipt).code]
    sender = directory.agency(receipt.key.sender)
    if sender is not None and here != sender.admitting_node:
        # It has turned there, and a bridge in between may have forgotten that it passed before (C16).
        sources.append(sender.admitting_node)
    if not any(node_may_come_from(directory, here, source, peer) for source in sources):
        raise Suspicious(WRONG_ROAD, by_directory=True)


def _is_before(receipt: Receipt, packet: PacketRow) -> bool:
    return packet.sealed_at - receipt.issued_at > DATED_AHEAD_TOLERANCE


def _is_given_back(transaction: Transaction, dated: datetime, link: str) -> bool:
    """A neighbour gives back what this restored node forgot; one that was skipped may still do."""
    connection = transaction.connection
    if restoring.is_going_on(connection):
        return True
    at = restoring.restored_at(connection)
    return at is not None and dated <= at and restoring.was_skipped(connection, link)


def _known(transaction: Transaction, key: PacketKey) -> PacketRow | None:
    """What others only told of it after a restore is no knowledge."""
    packet = packets.find(transaction.connection, key)
    return None if packet is None or restoring.is_hearsay(transaction.connection, packet) else packet


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
