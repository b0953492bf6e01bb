"""What is in quarantine leaves it by an operator's word alone, and never in silence (C21)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.acts.values import Act, Filter
from exchanged.folder_transport import FolderTransport
from exchanged.ledger import arrivals, questions, releasing
from exchanged.ledger.arrivals import HELD_BY_OPERATOR
from exchanged.ledger.verify import verify_ledger
from exchanged.states import ArrivalState, Event
from exchanged.trace import trace
from exchanged.trace_values import Holding, StepKind, Viewpoint
from exchanged.transport import Source
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import ExceptionKind
from tests.support import bridging
from tests.support.acting import act, outcomes, recorded
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Sealed, packet_item
from tests.support.province import Province, node, station, video_packet
from tests.support.traffic import drop_packet


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


def test_c21_a_restored_node_tells_nobody_before_it_knows_what_it_said(province: Province) -> None:
    packet = province.police.seal(province.request())
    land(province, packet)
    quarantine(province)
    ledger = node(province).opened.ledger
    ledger.write(lambda tx: tx.remember("restoring", "yes"))
    assert outcomes(act(node(province), Act.DISCARD, packet.key.packet_id)) == ["node-restoring"]
    assert [*(node(province).config.node.data_dir / "discarded").glob("*")] == []
    ledger.write(lambda tx: tx.remember("restoring", ""))
    assert outcomes(act(node(province), Act.DISCARD, packet.key.packet_id)) == ["discarded-told"]


def put_in_front(province: Province, **changes: str) -> None:
    """Three rows of arrivals that came before all others, like the first but for ``changes``."""
    changes |= {"landed_at": "2026-01-01T00:00:00.000000Z", "packet_id": "0" * 32}
    connection = node(province).opened.ledger.read()
    names = [row["name"] for row in connection.execute("PRAGMA table_info(arrival)") if row["name"] != "id"]
    values = ", ".join(f"'{changes[name]}'" if name in changes else name for name in names)
    for _ in range(3):
        node(province).opened.ledger.write(
            lambda tx: tx.execute(
                f"INSERT INTO arrival ({', '.join(names)}) SELECT {values} FROM arrival ORDER BY id LIMIT 1"  # noqa: S608
            )
        )


def test_what_an_act_never_takes_hides_nothing_behind_it(province: Province) -> None:
    """However much of it waits in front: what a look takes out of the ledger has a limit."""
    packet = province.police.seal(province.request())
    land(province, packet)
    ledger, one = node(province).opened.ledger, Filter(limit=1)
    put_in_front(province, kind="receipt")
    assert outcomes(act(node(province), Act.HOLD, filter=one, preview=True)) == ["held"]
    put_in_front(province, kind="packet", state="held", reason="unknown-key")
    held = replace(one, state="held")
    assert outcomes(act(node(province), Act.DISCARD, filter=held, preview=True)) == []
    row = arrivals.of_packet(ledger.read(), packet.key)[0]
    ledger.write(lambda tx: arrivals.keep(tx, row, Event.HOLD, "revoked-since"))
    for wanted in (held, replace(held, reasons=("unknown-key", "revoked-since"))):
        assert outcomes(act(node(province), Act.DISCARD, filter=wanted, preview=True)) == ["discarded-told"]
    none = replace(held, reasons=("unknown-key",))
    assert outcomes(act(node(province), Act.DISCARD, filter=none, preview=True)) == []


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
    facts = questions.facts(node(province).opened.ledger.read(), packet.key)
    (way,) = trace(facts, Viewpoint(PROVINCE, {})).ways
    assert (way.state, way.holder.holding, way.holder.node) == ("discarded", Holding.NOBODY, PROVINCE)
    assert (way.steps[0].kind, way.steps[-1].detail) == (StepKind.LANDED, detail["kept"])
    # Whoever sealed it sends it again, whole: it is judged as if nothing had been.
    province.police.send(packet)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


# --- what lacks a large part ----------------------------------------------------------------------------

BLOB = b"a part that its sender never puts" * 40_000


def lack(province: Province, packet: Sealed, blobs: dict[str, bytes]) -> None:
    """The packet lands from the police, whose waybill names these parts; none of them is put."""
    police = province.police
    police.put(police.batch([(packet_item(packet.data, packet.key, blobs), packet.data)]))
    province.run()
    assert province.arrivals() == [("needing", "")]


def needed(province: Province) -> list[ExceptionKind]:
    """What the police read of their batches that is not simply disposed of."""
    told = province.police.acknowledgement()
    assert told is not None
    assert told.through == 1
    return [each.kind for each in told.exceptions]


def test_c6_what_lacks_a_part_that_never_comes_is_given_up_and_its_sender_is_told(province: Province) -> None:
    """It stays in its neighbour's custody for ever otherwise, and every look goes through it."""
    whole = video_packet(province)
    lack(province, whole, whole.blobs)
    assert needed(province) == [ExceptionKind.NEED]
    # The part may be on its way: nothing but the operator's word says that it is not.
    assert outcomes(act(node(province), Act.DISCARD, whole.key.packet_id)) == ["lacks-blobs"]
    seen = act(node(province), Act.DISCARD, whole.key.packet_id, without_parts=True, preview=True)
    assert (outcomes(seen), needed(province)) == (["discarded-told"], [ExceptionKind.NEED])
    done = act(node(province), Act.DISCARD, whole.key.packet_id, without_parts=True)
    assert outcomes(done) == ["discarded-told"]
    folder = next((node(province).config.node.data_dir / "discarded").iterdir())
    assert [each.name for each in folder.iterdir()] == ["item.packet"]
    assert (folder / "item.packet").read_bytes() == whole.data
    province.run()
    assert (province.arrivals(), needed(province)) == ([], [])
    (receipt,) = province.receipts(province.police)
    assert (receipt.kind, receipt.recipient) == (ReceiptKind.UNDELIVERABLE, "")
    assert [finding.code for finding in receipt.findings] == ["discarded-by-operator"]
    assert province.procuratorate.items(ItemKind.PACKET) == []
    (event,) = province.events("discard")
    assert json.loads(str(event["detail"]))["was"] == "needing"
    verify_ledger(node(province).opened.ledger.read(), node(province).config.node.data_dir)
    # Sent once more as a higher attempt, with its parts, it passes.
    request = province.request("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000)
    again = province.police.seal(request, attempt=2, packet_id=whole.key.packet_id)
    province.police.acknowledge()
    province.police.send(again)
    province.run()
    assert [each.kind for each in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert province.procuratorate.items(ItemKind.PACKET) == [again.data]


def test_c9_what_is_set_aside_holds_no_part_that_only_others_have_put(province: Province) -> None:
    """Naming a digest would be enough to find somebody else's part among one's own things."""
    theirs = video_packet(province)
    province.police.send(theirs)
    province.run()
    mine = province.procuratorate.seal(province.request())
    assert theirs.blobs
    named = packet_item(mine.data, mine.key, theirs.blobs)
    province.procuratorate.put(province.procuratorate.batch([(named, mine.data)]))
    province.run()
    assert province.arrivals() == [("needing", "")]
    done = act(
        node(province), Act.DISCARD, mine.key.packet_id, without_parts=True, without_receipt=True
    )
    assert [each.startswith("discarded") for each in outcomes(done)] == [True]
    folder = next((node(province).config.node.data_dir / "discarded").iterdir())
    assert [each.name for each in folder.iterdir()] == ["item.packet"]


def test_what_lacks_a_part_and_has_no_good_seal_needs_both_words(province: Province) -> None:
    packet = province.police.seal(province.request())
    forged = packet.data.replace(b"case.report", b"case.rep0rt", 1)
    lack(province, Sealed(packet.seal, forged, {}), {sha256_hex(BLOB): BLOB})
    what = packet.key.packet_id
    assert outcomes(act(node(province), Act.DISCARD, what, without_receipt=True)) == ["lacks-blobs"]
    assert outcomes(act(node(province), Act.DISCARD, what, without_parts=True)) == ["no-receipt"]
    assert needed(province) == [ExceptionKind.NEED]
    done = act(node(province), Act.DISCARD, what, without_parts=True, without_receipt=True)
    assert outcomes(done) == ["discarded-untold"]
    province.run()
    assert (province.arrivals(), needed(province)) == ([], [])


def test_of_many_what_lacks_a_part_is_meant_only_where_it_is_named(province: Province) -> None:
    packet = province.police.seal(province.request())
    lack(province, packet, {sha256_hex(BLOB): BLOB})
    everything, those = Filter(), Filter(state="needing")
    seen = [
        act(node(province), Act.DISCARD, filter=one, preview=True, without_parts=True)
        for one in (everything, those)
    ]
    assert [outcomes(each) for each in seen] == [[], ["discarded-told"]]
    assert outcomes(act(node(province), Act.DISCARD, filter=those, preview=True)) == ["lacks-blobs"]


def test_what_came_of_a_part_that_nothing_lacks_any_more_goes_at_the_next_start(province: Province) -> None:
    packet = province.police.seal(province.request())
    lack(province, packet, {sha256_hex(BLOB): BLOB})
    link = node(province).opened.links.name_of(POLICE)
    incoming = node(province).config.node.data_dir / "blobs" / "incoming"
    partial, other = incoming / f"{sha256_hex(BLOB)}.{link}", incoming / "0a1b2c.part"
    for path in (partial, other):
        path.write_bytes(BLOB[:1000])
    node(province).die()
    node(province).open()
    assert partial.exists()
    act(node(province), Act.DISCARD, packet.key.packet_id, without_parts=True)
    node(province).die()
    node(province).open()
    assert (partial.exists(), other.exists()) == (False, True)


def test_c6_the_node_of_the_sender_hears_that_it_ended_and_lets_go_of_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderTransport.put

    def put_small(self: FolderTransport, name: str, source: Source) -> bool:
        return name.endswith(".blob") or put(self, name, source)

    monkeypatch.setattr(FolderTransport, "put", put_small)
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        drop = drop_packet(
            network, seed=1, business_type="prosecution.transfer",
            extra_documents=("EVD-024",), video_bytes=2_000_000,
        )  # fmt: skip
        network.run()
        assert bridging.rows(network, POLICE, "SELECT state FROM destination") == [("offered",)]
        statement = "SELECT packet_id, state FROM arrival"
        ((packet_id, state),) = bridging.rows(network, PROVINCE, statement)
        assert state == "needing"
        done = act(network.nodes[PROVINCE], Act.DISCARD, packet_id, without_parts=True)
        assert outcomes(done) == ["discarded-told"]
        network.run()
        assert bridging.rows(network, POLICE, "SELECT state FROM destination") == [("undeliverable",)]
        assert bridging.rows(network, POLICE, "SELECT 1 FROM batch_out WHERE state = 'needing'") == []
        path = network.agency(POLICE) / "status" / f"{drop.name}.status.json"
        assert json.loads(path.read_text("utf-8"))["state"] == "undeliverable"
