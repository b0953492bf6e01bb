"""C4, C5, C6, C8: batches, acknowledgements, blobs that are missing, as a neighbour sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exchanged import forks
from exchanged.acts.values import Act, Filter
from exchanged.notices import LOOK_SECONDS
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.notice import decode_notice
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.acting import act, outcomes
from tests.support.province import Province, answer, node


def test_c5_a_good_batch_is_acknowledged_at_landing_and_the_packet_goes_on(province: Province) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert (acknowledged.through, acknowledged.exceptions) == (1, ())
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    # the receipt that admits the packet goes before it
    kinds = [item.kind for item in province.procuratorate.waybills()[0].items]
    assert kinds.index(ItemKind.RECEIPT) < kinds.index(ItemKind.PACKET)


def test_c4_a_resend_is_the_same_bytes_until_it_is_acknowledged(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    (path,) = (province.procuratorate.mailbox / "down").glob("0*.batch")
    before = path.read_bytes()
    path.unlink()
    province.network.clock.advance(60)
    province.run()
    assert path.read_bytes() == before
    province.procuratorate.acknowledge()
    province.run()
    assert not path.exists()


def test_c5_a_damaged_batch_is_bad_and_its_number_is_disposed_of(province: Province) -> None:
    province.police.greet()
    packet = province.police.seal(province.request())
    data = bytearray(province.police.batch([(packet.item(), packet.data)]))
    data[-2000] ^= 1
    province.police.put(bytes(data))
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert acknowledged.through == 1
    assert [(one.number, one.kind) for one in acknowledged.exceptions] == [(1, ExceptionKind.BAD)]
    # under a new number the same packet passes
    province.police.send(packet)
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 1
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
    assert notices_of(province) == ["batch-damaged"]


@pytest.mark.parametrize(
    ("kind", "detail"),
    [(ExceptionKind.BAD, "format-unusable"), (ExceptionKind.HELD, "speaks 1")],
    ids=["bad", "held for a version that the neighbour speaks"],
)
def test_c5_what_the_neighbour_found_damaged_goes_out_again_once_and_is_an_alarm_here(
    province: Province, kind: ExceptionKind, detail: str
) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    receiver = province.procuratorate
    (first,) = [one.number for one in receiver.waybills() if one.number]
    bad = BatchException(first, kind, detail, ())
    receiver.put(receiver.batch([], bare=True, acknowledgement=answer(receiver, bad)), name="ack.batch")
    province.run()
    assert [one.number for one in receiver.waybills() if one.number] == [first + 1]
    assert receiver.items(ItemKind.PACKET) == [packet.data]
    assert notices_of(province) == ["batch-damaged"]


@pytest.mark.parametrize("detail", ["", "speaks 2 3", "forked batch-number-used-twice"])
def test_c5_what_the_neighbour_holds_is_not_sent_twice(province: Province, detail: str) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    receiver = province.procuratorate
    (first,) = [one.number for one in receiver.waybills() if one.number]
    held = BatchException(first, ExceptionKind.HELD, detail, ())
    receiver.put(receiver.batch([], bare=True, acknowledgement=answer(receiver, held)), name="ack.batch")
    province.run()
    assert [one.number for one in receiver.waybills() if one.number] == [first]


def test_c5_junk_under_a_number_to_come_passes_no_custody(province: Province) -> None:
    """Whoever carries the mailbox can write any number into a file's name; it signs nothing."""
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    for number in (2, 99_999_999):
        province.police.put(b"no batch at all", number=number)
    province.run()
    packet = province.police.seal(province.request(seed=2))
    province.police.send(packet)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert acknowledged.through == 2
    assert (2, ExceptionKind.BAD) in [(one.number, one.kind) for one in acknowledged.exceptions]
    # The police have it still, and send it again as they do whatever came damaged.
    province.police.send(packet)
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 2


def test_c5_what_was_bad_at_the_neighbour_does_not_show_that_we_were_set_back(province: Province) -> None:
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    receiver = province.procuratorate
    (first,) = [one.number for one in receiver.waybills() if one.number]
    junk = [BatchException(first + 1, ExceptionKind.BAD, "format-unusable", ())]
    junk.append(BatchException(first + 2, ExceptionKind.HELD, "speaks 1", ()))
    told = answer(receiver, *junk, through=first + 2)
    receiver.put(receiver.batch([], bare=True, acknowledgement=told), name="ack.batch")
    province.run()
    assert province.events("node-set-back") == []
    province.police.send(province.police.seal(province.request(seed=2)))
    province.run()
    assert len(receiver.items(ItemKind.PACKET)) == 1
    assert [one.number for one in receiver.waybills() if one.number][-1] > first


@pytest.mark.parametrize("is_good", [True, False], ids=["good", "bad"])
def test_c5_an_acknowledgement_that_was_damaged_on_its_way_comes_again(
    province: Province, is_good: bool
) -> None:
    """Not only with the next news or sign of life: what lies there unheard of may be all that may be open."""
    province.police.greet()
    province.run()
    path = province.police.send(province.police.seal(province.request()))
    if not is_good:
        path.write_bytes(path.read_bytes()[:-2000])
    province.run()
    before = province.police.acknowledgement()
    assert before is not None
    lost = province.police.mailbox / "down" / "ack.batch"
    lost.write_bytes(b"damaged")
    for _ in range(3):
        province.network.clock.advance(30.0)
        province.run()
    assert lost.read_bytes() != b"damaged"
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, told.counter > before.counter) == (before.through, True)
    # Once the police have heard it, they take their batch away, and nothing is said again.
    path.unlink()
    province.run()
    # But for the second time that everything new is said (C15).
    province.network.clock.advance(120.0)
    province.run()
    told = province.police.acknowledgement()
    for _ in range(3):
        province.network.clock.advance(300.0)
        province.run()
    assert province.police.acknowledgement() == told


def notices_of(province: Province) -> list[str]:
    """The references of the notices that the province's operator has, once it looked."""
    province.network.clock.advance(LOOK_SECONDS)
    province.run()
    folder = node(province).config.node.data_dir / "notices"
    return [decode_notice(path.read_bytes()).reference for path in sorted(folder.glob("*.xml"))]


def test_c4_an_unknown_format_is_held_and_answered_with_the_versions_known(province: Province) -> None:
    province.police.greet()
    packet = province.police.seal(province.request())
    data = province.police.batch([(packet.item(), packet.data)]).replace(
        b"exchanged-waybill-1\n", b"exchanged-waybill-9\n"
    )
    province.police.put(data)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    (exception,) = acknowledged.exceptions
    assert (exception.kind, exception.detail) == (ExceptionKind.HELD, "speaks 1")
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_c5_an_older_acknowledgement_is_ignored(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.run()
    stale = province.procuratorate.batch([], bare=True)
    province.procuratorate.acknowledge()
    province.run()
    settled = sorted((province.procuratorate.mailbox / "down").iterdir())
    province.procuratorate.put(stale, name="ack.batch")
    province.run()
    assert sorted((province.procuratorate.mailbox / "down").iterdir()) == settled


def test_c6_a_packet_whose_blob_is_missing_stays_with_its_sender(province: Province) -> None:
    video = bytes(range(256)) * 8192
    packet = province.police.seal(
        province.request("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000)
    )
    assert packet.blobs
    assert video not in packet.blobs.values()
    province.police.send(packet, blobs=False)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    (exception,) = acknowledged.exceptions
    assert exception.kind is ExceptionKind.NEED
    assert set(exception.blobs) == set(packet.blobs)
    assert province.receipts(province.police) == []
    for content in packet.blobs.values():
        province.police.put_blob(content)
    province.run()
    later = province.police.acknowledgement()
    assert later is not None
    assert later.counter > acknowledged.counter
    assert later.exceptions == ()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c8_a_blob_file_with_other_bytes_is_asked_for_again(province: Province) -> None:
    packet = province.police.seal(
        province.request("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000)
    )
    digest, content = next(iter(packet.blobs.items()))
    province.police.put_blob(content).write_bytes(content[:-1] + b"?")
    province.police.send(packet, blobs=False)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    (exception,) = acknowledged.exceptions
    assert exception.detail.startswith("again")
    assert digest in exception.blobs
    for good in packet.blobs.values():
        province.police.put_blob(good)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c9_a_blob_that_is_known_here_is_still_asked_from_an_agency_without_title(province: Province) -> None:
    """Another agency cannot find out by naming a digest whether the province holds that blob."""
    packet = province.police.seal(
        province.request("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000)
    )
    province.police.send(packet)
    province.run()
    other = province.procuratorate.seal(
        replace(
            province.request("prosecution.evidence.request"),
            sender=province.procuratorate.agency,
            receiver=province.police.agency,
        )
    )
    item = replace(other.item(), blobs=tuple(other.item().blobs) + packet.item().blobs)
    province.procuratorate.put(province.procuratorate.batch([(item, other.data)]))
    province.run()
    acknowledged = province.procuratorate.acknowledgement()
    assert acknowledged is not None
    (exception,) = acknowledged.exceptions
    assert exception.kind is ExceptionKind.NEED
    assert set(packet.blobs) <= set(exception.blobs)


def test_c11_and_c12_the_same_packet_again_repeats_the_receipt_and_is_forwarded_once(
    province: Province,
) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    first = province.police.items(ItemKind.RECEIPT)
    province.police.acknowledge()
    province.run()
    province.police.send(packet)
    province.run()
    assert province.police.items(ItemKind.RECEIPT) == first
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_c12_the_same_identity_with_other_content_is_quarantined_and_told(province: Province) -> None:
    first = province.police.seal(province.request(seed=1))
    province.police.send(first)
    province.run()
    second = province.police.seal(province.request(seed=2), packet_id=first.key.packet_id)
    province.police.send(second)
    province.run()
    assert ("quarantined", "packet-id-reused") in province.arrivals()
    told = province.receipts(province.police)
    assert [receipt.kind for receipt in told] == [ReceiptKind.ACCEPTED, ReceiptKind.REFUSED]
    assert told[1].content_digest == second.seal.content_digest
    assert [finding.code for finding in told[1].findings] == ["packet-id-reused"]
    assert province.procuratorate.items(ItemKind.PACKET) == [first.data]


def test_c12_after_a_refusal_a_higher_attempt_is_judged_anew(province: Province) -> None:
    bad = province.police.seal(province.request(omit_documents=frozenset({"POL-002"})))
    province.police.send(bad)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.REFUSED]
    good = province.police.seal(province.request(), packet_id=bad.key.packet_id, attempt=2)
    province.police.send(good)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [
        ReceiptKind.REFUSED,
        ReceiptKind.ACCEPTED,
    ]
    assert province.procuratorate.items(ItemKind.PACKET) == [good.data]


def test_c15_two_seals_under_one_number_are_a_fork_and_held(province: Province) -> None:
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    province.police.sequence -= 1
    province.police.send(province.police.seal(province.request(seed=2)))
    province.run()
    assert ("held", "sequence-fork") in province.arrivals()


def test_c15_what_bears_a_number_that_was_used_before_is_given_up_and_comes_under_another(
    province: Province,
) -> None:
    """An honest node that was set back seals like that: its packet would be held for ever."""
    police = province.police
    police.send(police.seal(province.request(seed=1)))
    province.run()
    police.sequence -= 1
    second = police.seal(province.request(seed=2))
    police.send(second)
    province.run()
    link = node(province).opened.links.name_of(police.agency)
    assert outcomes(act(node(province), Act.ACCEPT, link, incarnation=police.incarnation)) == ["accepted"]
    assert outcomes(act(node(province), Act.RELEASE, second.key.packet_id)) == ["to-judge"]
    province.run()
    assert province.arrivals() == [("held", "sequence-fork")]
    assert forks.marks(node(province).opened.ledger.read(), link).forked == ""
    held = Filter(state="held", reasons=("sequence-fork",))
    assert outcomes(act(node(province), Act.DISCARD, filter=held, preview=True)) == ["discarded-told"]
    assert outcomes(act(node(province), Act.DISCARD, second.key.packet_id)) == ["discarded-told"]
    police.sequence += 1
    again = police.seal(province.request(seed=2), packet_id=second.key.packet_id, attempt=2)
    police.send(again)
    province.run()
    told = [each for each in province.receipts(police) if each.key == second.key]
    assert [(each.kind, each.attempt) for each in told] == [
        (ReceiptKind.UNDELIVERABLE, 1), (ReceiptKind.ACCEPTED, 2),
    ]  # fmt: skip
    assert province.procuratorate.items(ItemKind.PACKET)[1:] == [again.data]


def test_c15_what_a_restored_node_sealed_while_it_was_set_back_holds_its_link_no_more(
    province: Province,
) -> None:
    """It comes in batches of its new name, and an operator has decided about the old one already."""
    police, before = province.police, province.police.incarnation
    police.send(police.seal(province.request(seed=1)))
    province.run()
    police.sequence -= 1
    police.send(police.seal(province.request(seed=2)))
    province.run()
    link = node(province).opened.links.name_of(police.agency)
    police.incarnation, police.number = "ab" * 16, 0
    assert outcomes(act(node(province), Act.ACCEPT, link, incarnation=police.incarnation)) != []
    police.put(police.batch([], bare=True), name="ack.batch")
    province.run()
    police.send(police.seal(province.request(seed=3), change={"incarnation": before, "sequence": 1}))
    police.send(police.seal(province.request(seed=4)))
    province.run()
    assert province.arrivals() == [("held", "sequence-fork")] * 2
    assert forks.marks(node(province).opened.ledger.read(), link).forked == ""
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 2


def test_c15_the_number_of_an_attempt_that_was_replaced_is_remembered(province: Province) -> None:
    """Whoever saw the first attempt has a proof of its seal; another under its number is a fork as well."""
    police = province.police
    bad = police.seal(province.request(omit_documents=frozenset({"POL-002"})))
    police.send(bad)
    province.run()
    police.send(police.seal(province.request(), packet_id=bad.key.packet_id, attempt=2))
    province.run()
    police.sequence = bad.seal.sequence - 1
    police.send(police.seal(province.request(seed=2)))
    province.run()
    assert province.arrivals() == [("held", "sequence-fork")]


def test_c3_and_c5_the_digest_in_the_waybill_is_that_of_the_bytes(province: Province) -> None:
    province.police.greet()
    packet = province.police.seal(province.request())
    item = replace(packet.item(), digest=sha256_hex(b"something else"))
    province.police.put(province.police.batch([(item, packet.data)]))
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [one.kind for one in acknowledged.exceptions] == [ExceptionKind.BAD]
    assert province.procuratorate.items(ItemKind.PACKET) == []
