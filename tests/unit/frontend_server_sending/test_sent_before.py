"""C13: the same content is sent once, and what failed may be sent again."""

from __future__ import annotations

from typing import Any

import pytest

from exchanged.ledger import batches, effects, packets
from exchanged.states import DestinationState, DropState, Event, PacketState
from packet_spec.model import ItemKind
from tests.support.documents import COURT, KEY, PROCURATORATE
from tests.support.outbox import LINK, SETTLE, SendingFrontend, acceptance_xml, names_in
from tests.support.sending import in_order, states


@pytest.mark.parametrize("packet_id", ["", KEY.packet_id])
def test_the_same_content_is_sent_once(frontend: SendingFrontend, packet_id: str) -> None:
    """F8."""
    document = acceptance_xml(packetId=packet_id)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    for name in ("B.xml", "A.xml"):
        frontend.drop_xml(name, document)
        frontend.run()
    (packet,) = frontend.packets()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE, DropState.DUPLICATE]
    assert frontend.status("B.xml")["duplicateOf"] == packet.key.packet_id
    assert frontend.status("B.xml")["final"] is True
    assert names_in(frontend.folders.sent) == ["A.xml", "A~2.xml", "B.xml"]
    # The first one's status is not lost to the second of its name.
    assert frontend.status("A.xml")["state"] == "queued"
    assert frontend.status("A.xml~2")["state"] == "duplicate"


def test_two_drops_of_one_content_in_one_scan_are_a_packet_and_a_duplicate(frontend: SendingFrontend) -> None:
    for name in ("A.xml", "B.xml"):
        frontend.drop_xml(name)
    frontend.run()
    (packet,) = frontend.packets()
    assert sorted(states(frontend)) == [DropState.DUPLICATE, DropState.TAKEN]
    assert frontend.open(packet)[0].key == packet.key
    needed = frontend.ledger.read().execute("SELECT needed FROM spool").fetchone()["needed"]
    assert needed == 1


def test_a_folder_and_a_zip_of_one_content_are_one_packet(frontend: SendingFrontend) -> None:
    frontend.drop_folder()
    frontend.run()
    frontend.drop_zip()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


@pytest.mark.parametrize("packet_id", ["", KEY.packet_id])
@pytest.mark.parametrize(
    "events", [(Event.OFFER, Event.RECEIPT_REFUSED), (Event.CANCEL,), (Event.RECEIPT_EXPIRED,)]
)
def test_what_failed_may_be_sent_again(
    frontend: SendingFrontend, packet_id: str, events: tuple[Event, ...]
) -> None:
    document = acceptance_xml(packetId=packet_id)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    (first,) = frontend.packets()
    frontend.end_packet(first, *events)
    frontend.drop_xml("A.xml", document)
    frontend.run()
    (again,) = frontend.packets()
    assert (again.id, again.key, again.attempt) == (first.id, first.key, 2)
    assert (again.state, again.sequence) == (PacketState.ACTIVE, 2)
    assert frontend.destination_states(again) == {PROCURATORATE: DestinationState.QUEUED}
    assert frontend.open(again)[0].attempt == 2
    assert frontend.status("A.xml")["attempt"] == 2
    assert len(batches.due(frontend.ledger.read(), LINK, 10)) == 1


def test_how_an_attempt_ended_is_told_though_the_next_came_before_it_was_written(
    frontend: SendingFrontend,
) -> None:
    document = acceptance_xml()
    frontend.drop_xml("A.xml", document)
    frontend.run()
    (first,) = frontend.packets()
    frontend.end_packet(first, Event.OFFER, Event.RECEIPT_REFUSED)
    frontend.ledger.write(lambda tx: effects.intend(tx, "status", f"packet:{first.id}"))
    frontend.drop_xml("B.xml", document)
    frontend.intake.step()
    frontend.clock.advance(SETTLE)
    frontend.intake.step()
    assert frontend.packets()[0].attempt == 2
    frontend.effects.step()
    assert frontend.status("A.xml")["final"] is True
    assert (frontend.status("B.xml")["attempt"], frontend.status("B.xml")["final"]) == (2, False)


def test_a_delivered_packet_is_not_sent_again(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()
    frontend.end_packet(packet, Event.OFFER, Event.ACKNOWLEDGE, Event.RECEIPT_DELIVERED)
    frontend.drop_xml()
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


def test_one_packet_id_does_not_stand_for_two_contents(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", acceptance_xml(packetId=KEY.packet_id))
    frontend.run()
    frontend.drop_xml("B.xml", acceptance_xml(packetId=KEY.packet_id, senderRef="R-2"))
    frontend.run()
    assert frontend.codes("B.xml") == ["packet-id-reused"]
    frontend.end_packet(frontend.packets()[0], Event.OFFER, Event.RECEIPT_REFUSED)
    frontend.drop_xml("B.xml", acceptance_xml(packetId=KEY.packet_id, senderRef="R-2"))
    frontend.run()
    (packet,) = frontend.packets()
    assert (packet.attempt, packet.sender_ref, packet.key.packet_id) == (2, "R-2", KEY.packet_id)


def test_a_packet_that_one_recipient_refused_is_not_sent_again_to_all(
    frontend: SendingFrontend, any_copies: None
) -> None:
    document = in_order(acceptance_xml(copyTo=COURT))
    frontend.drop_xml(document=document)
    frontend.run()
    (packet,) = frontend.packets()

    def end(tx: Any) -> None:
        refused, delivered = packets.destinations(tx.connection, packet.id)
        batches.withdraw(tx, LINK, ItemKind.PACKET, packet.id)
        packets.move(tx, packet, refused, Event.RECEIPT_REFUSED)
        packets.move(tx, packet, delivered, Event.RECEIPT_DELIVERED)

    frontend.ledger.write(end)
    frontend.drop_xml(document=document)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.DUPLICATE]


def test_a_new_attempt_waits_until_the_earlier_batch_is_disposed_of(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()

    def refused_too_soon(tx: Any) -> int:
        """Offered in a batch, and refused before the neighbour has disposed of that batch."""
        due = batches.due(tx.connection, LINK, 10)
        batch = batches.commit_batch(tx, LINK, 1, "00000001-0011223344556677.batch", b"", b"", 0, due, ())
        for event in (Event.OFFER, Event.RECEIPT_REFUSED):
            (row,) = packets.destinations(tx.connection, packet.id)
            packets.move(tx, packet, row, event)
        return batch

    batch = frontend.ledger.write(refused_too_soon)
    frontend.drop_xml()
    frontend.run()
    assert frontend.rows()[-1].reason == "earlier-attempt-open"
    assert frontend.packets()[0].attempt == 1
    frontend.ledger.write(lambda tx: batches.settle(tx, batch))
    frontend.clock.advance(1.0)
    frontend.run()
    assert frontend.packets()[0].attempt == 2
