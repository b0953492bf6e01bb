"""What is in quarantine leaves it by an operator's word alone, and never in silence (C21)."""

from __future__ import annotations

import json

from exchanged.acts.values import Act
from exchanged.ledger import arrivals, releasing
from exchanged.ledger.arrivals import HELD_BY_OPERATOR
from exchanged.ledger.verify import verify_ledger
from exchanged.states import ArrivalState, Event
from packet_spec.model import ReceiptKind
from tests.support.acting import act, outcomes, recorded
from tests.support.peer import Sealed
from tests.support.province import Province, node, station, video_packet


def land(province: Province, *packets: Sealed) -> None:
    """The packets land from the police, and nothing judges them yet."""
    province.police.send(*packets)
    for name in [each.name for each in node(province).stations if each.name.startswith("link:")]:
        station(province, name).step()


def quarantine(province: Province, reason: str = "crashed-three-times") -> None:
    """As the judge does after the third crash of an item while alone."""
    ledger = node(province).opened.ledger
    for row in arrivals.in_state(ledger.read(), ArrivalState.LANDED):
        ledger.write(lambda tx, row=row: arrivals.keep(tx, row, Event.QUARANTINE, reason))


def test_requeue_judges_once_more_from_the_start(province: Province) -> None:
    packet = province.police.seal(province.request())
    land(province, packet)
    quarantine(province)
    node(province).opened.ledger.write(lambda tx: tx.execute("UPDATE arrival SET crashes = 3, tries = 7"))
    assert outcomes(act(node(province), Act.RELEASE, packet.key.packet_id)) == ["in-quarantine"]
    assert outcomes(act(node(province), Act.REQUEUE, packet.key.packet_id)) == ["requeued"]
    row = arrivals.of_packet(node(province).opened.ledger.read(), packet.key)[0]
    assert (row.state, row.crashes, row.tries) == (ArrivalState.LANDED, 0, 0)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert outcomes(act(node(province), Act.REQUEUE, packet.key.packet_id)) == ["not-in-quarantine"]


def test_what_an_operator_holds_is_released_by_an_operator_alone(province: Province) -> None:
    """Neither by time, nor by a restart, nor by the arrival of a receipt or a directory."""
    packet = province.police.seal(province.request())
    land(province, packet)
    assert outcomes(act(node(province), Act.HOLD, packet.key.packet_id)) == ["held"]
    ledger = node(province).opened.ledger
    ledger.write(releasing.mark)
    province.run()
    assert province.arrivals() == [("held", HELD_BY_OPERATOR)]
    node(province).die()
    node(province).open()
    province.run()
    assert province.arrivals() == [("held", HELD_BY_OPERATOR)]
    assert outcomes(act(node(province), Act.HOLD, packet.key.packet_id)) == ["already-held"]
    assert outcomes(act(node(province), Act.RELEASE, packet.key.packet_id)) == ["to-judge"]
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c21_a_discard_tells_the_sender_and_stays_remembered(province: Province) -> None:
    """Also where what is sealed is damaged: the seal says what it was."""
    whole = video_packet(province)
    packet = Sealed(whole.seal, whole.data[:-600] + b"x" * 600, whole.blobs)
    land(province, packet)
    province.run()
    assert province.arrivals()[0][0] == "quarantined"
    seen = act(node(province), Act.DISCARD, packet.key.packet_id, preview=True)
    assert outcomes(seen) == ["discarded-told"]
    assert not (node(province).config.node.data_dir / "discarded").exists()
    done = act(node(province), Act.DISCARD, packet.key.packet_id)
    assert outcomes(done) == ["discarded-told"]
    folder = next((node(province).config.node.data_dir / "discarded").iterdir())
    assert done.done[0].fields["kept"] == str(folder)
    assert (folder / "item.packet").read_bytes() == packet.data
    assert {path.name for path in folder.glob("*.blob")} == {f"{digest}.blob" for digest in whole.blobs}
    province.run()
    receipt = province.receipts(province.police)[0]
    assert (receipt.kind, receipt.recipient) == (ReceiptKind.UNDELIVERABLE, "")
    assert [finding.code for finding in receipt.findings] == ["discarded-by-operator"]
    assert [key for key, _ in recorded(node(province))] == ["", packet.key.packet_id]
    # The same seal coming again is not judged anew: the sender hears the same once more.
    province.police.acknowledge()
    province.police.send(whole)
    province.run()
    assert [each.kind for each in province.receipts(province.police)] == [ReceiptKind.UNDELIVERABLE]
    assert province.receipts(province.procuratorate) == []
    verify_ledger(node(province).opened.ledger.read(), node(province).config.node.data_dir)


def test_c21_a_copy_by_a_strange_road_never_ends_the_true_packet(province: Province) -> None:
    """An agency replays another's packet: giving that copy up must not tell its sender anything."""
    packet = province.police.seal(province.request())
    province.procuratorate.send(packet)
    province.run()
    assert province.arrivals() == [("quarantined", "packet-in-a-foreign-mailbox")]
    refused = act(node(province), Act.DISCARD, packet.key.packet_id)
    assert outcomes(refused) == ["no-receipt"]
    assert refused.not_done[0].fields["why"] == "packet-by-a-wrong-road"
    assert not (node(province).config.node.data_dir / "discarded").exists()
    # The true one comes, is admitted, and the copy can go without a word.
    province.police.send(packet)
    province.run()
    assert outcomes(act(node(province), Act.DISCARD, packet.key.packet_id)) == ["discarded-known"]
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_what_nobody_can_be_told_of_needs_the_operators_word(province: Province) -> None:
    packet = province.police.seal(province.request())
    forged = packet.data.replace(b"case.report", b"case.rep0rt", 1)
    province.police.send(Sealed(packet.seal, forged, packet.blobs))
    province.run()
    assert province.arrivals()[0][0] == "quarantined"
    assert outcomes(act(node(province), Act.DISCARD, packet.key.packet_id)) == ["no-receipt"]
    done = act(node(province), Act.DISCARD, packet.key.packet_id, without_receipt=True)
    assert outcomes(done) == ["discarded-untold"]
    assert province.arrivals() == []
    assert province.receipts(province.police) == []
    rows = node(province).opened.ledger.read().execute("SELECT detail FROM event WHERE kind = 'discard'")
    detail = json.loads(rows.fetchone()["detail"])
    assert detail["kept"].startswith("discarded/")
    # Whoever sealed it sends it again, whole: it is judged as if nothing had been.
    province.police.send(packet)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
