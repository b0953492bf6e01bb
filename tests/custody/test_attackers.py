"""Who owns one agency's account can hurt nobody else: C1, C3, C11, C16, C17, C21, C24.

Every case ends the same way: nothing delivered, the thing named in the ledger or in a receipt, and the
next honest packet unaffected.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cli.fiction.request import DropRequest
from exchanged.keys import load_key
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.hop import sign_hop
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import HopNote, ItemKind, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.signing import PrivateKey
from packet_spec.waybill_model import ExceptionKind, WaybillItem
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.peer import Peer
from tests.support.province import Province


def assert_next_packet_passes(province: Province) -> None:
    """An honest packet of the same agency is admitted and forwarded."""
    before = len(province.procuratorate.items(ItemKind.PACKET))
    packet = province.police.seal(province.request(seed=99))
    province.police.send(packet)
    province.run()
    after = province.procuratorate.items(ItemKind.PACKET)
    assert len(after) == before + 1
    assert after[-1] == packet.data


def test_a_tampered_packet_is_quarantined(province: Province) -> None:
    packet = province.police.seal(province.request())
    data = bytearray(packet.data)
    data[data.index(b"<envelope") + 40] ^= 1
    item = replace(packet.item(), digest=sha256_hex(bytes(data)))
    province.police.put(province.police.batch([(item, bytes(data))]))
    province.run()
    assert province.arrivals() == [("quarantined", "digest-mismatch")]
    assert province.procuratorate.items(ItemKind.PACKET) == []
    assert_next_packet_passes(province)


def test_a_seal_signed_with_a_strange_key_is_held_as_unknown(province: Province) -> None:
    packet = province.police.seal(province.request(), key=PrivateKey.from_seed(b"s" * 32))
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "unknown-key")]
    assert_next_packet_passes(province)


def test_c21_a_seal_signed_with_another_agencys_key_is_quarantined(province: Province) -> None:
    packet = province.police.seal(province.request(), key=province.procuratorate.seal_key)
    province.police.send(packet)
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_c21_a_link_key_cannot_seal(province: Province) -> None:
    province.police.send(province.police.seal(province.request(), key=province.police.link_key))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]


def test_a_packet_in_another_agencys_mailbox_is_quarantined(province: Province) -> None:
    """Fault F81: the police's own, rightly signed packet comes by the procuratorate's account."""
    packet = province.police.seal(province.request("case.report"))
    province.procuratorate.send(packet)
    province.run()
    assert province.arrivals() == [("quarantined", "packet-in-a-foreign-mailbox")]
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_c11_the_waybill_may_not_name_another_packet(province: Province) -> None:
    packet = province.police.seal(province.request())
    item = replace(packet.item(), key=PacketKey(PROCURATORATE, packet.key.packet_id))
    province.police.put(province.police.batch([(item, packet.data)]))
    province.run()
    assert province.arrivals() == [("quarantined", "waybill-names-another-packet")]


def test_a_seal_that_says_otherwise_than_its_envelope_is_refused(province: Province) -> None:
    packet = province.police.seal(province.request(), change={"receiver": COURT})
    province.police.send(packet)
    province.run()
    (receipt,) = province.receipts(province.police)
    assert receipt.kind is ReceiptKind.REFUSED
    assert "seal-differs" in [finding.code for finding in receipt.findings]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"receiver": "620199-03-09"}, "receiver-unknown"),
        ({"receiver": "620199-04-00"}, "receiver-kind"),
    ],
)
def test_the_province_refuses_what_a_tampered_front_end_let_through(
    province: Province, change: dict[str, str], code: str
) -> None:
    request: DropRequest = replace(province.request(), **change)  # type: ignore[arg-type]
    province.police.send(province.police.seal(request))
    province.run()
    (receipt,) = province.receipts(province.police)
    assert receipt.kind is ReceiptKind.REFUSED
    assert code in [finding.code for finding in receipt.findings]
    assert all(finding.zh and finding.en for finding in receipt.findings)
    assert_next_packet_passes(province)


def test_a_waybill_of_another_neighbour_is_bad(province: Province) -> None:
    province.police.greet()
    packet = province.police.seal(province.request())
    data = province.police.batch(
        [(packet.item(), packet.data)], key=province.procuratorate.link_key, from_node=PROCURATORATE
    )
    province.police.put(data)
    province.run()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [one.kind for one in acknowledged.exceptions] == [ExceptionKind.BAD]
    assert province.arrivals() == []


def special_files(secret: Path) -> dict[str, Callable[[Path], object]]:
    """How to make each kind of file that is no plain file of one's own."""
    return {
        "symlink": lambda path: path.symlink_to(secret),
        "hard link": lambda path: path.hardlink_to(secret),
        "fifo": os.mkfifo,
        "folder": Path.mkdir,
    }


@pytest.mark.parametrize("kind", ["symlink", "hard link", "fifo", "folder"])
def test_c3_special_files_in_the_mailbox_are_never_read(province: Province, kind: str) -> None:
    province.police.greet()
    up = province.police.mailbox / "up"
    secret = province.police.mailbox.parent / "secret"
    secret.write_bytes(b"another agency's packet")
    name = "00000001-0123456789abcdef.batch"
    special_files(secret)[kind](up / name)
    for strange in ("..batch", "00000001-0123456789abcdef.batch.part", "x" * 255, "外来文件.batch"):
        (up / strange).write_bytes(b"?")
    (up / os.fsdecode("案卷".encode("gbk"))).write_bytes(b"?")
    province.run()
    assert province.arrivals() == []
    province.police.number = 1
    assert_next_packet_passes(province)


def test_c3_a_batch_rewritten_after_it_was_landed_changes_nothing(province: Province) -> None:
    packet = province.police.seal(province.request())
    path = province.police.send(packet)
    province.network.nodes[PROVINCE].step()
    path.write_bytes(b"something else entirely")
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def receipt_about(
    packet_key: PacketKey,
    kind: ReceiptKind,
    recipient: str,
    by: Peer,
    province: Province,
    digests: tuple[str, str],
) -> tuple[WaybillItem, bytes]:
    receipt = Receipt(
        kind, packet_key, 1, digests[0], digests[1], "case.report", recipient, by.agency,
        province.network.clock.now(), 1,
    )  # fmt: skip
    data = sign_receipt(receipt, by.receipt_key)
    return WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet_key), data


def test_c21_nobody_else_can_say_that_a_packet_was_delivered(province: Province) -> None:
    """The court's account claims delivery of a packet addressed to the procuratorate."""
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    court = Peer(province.network, COURT)
    digests = (packet.seal.content_digest, sha256_hex(b""))
    court.put(
        court.batch(
            [receipt_about(packet.key, ReceiptKind.DELIVERED, PROCURATORATE, court, province, digests)]
        )
    )
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]
    assert len(province.events("receipt-without-authority")) == 1
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c21_an_agency_cannot_accept_its_own_packet(province: Province) -> None:
    packet = province.police.seal(province.request())
    digests = (packet.seal.content_digest, sha256_hex(b""))
    item = receipt_about(packet.key, ReceiptKind.ACCEPTED, "", province.police, province, digests)
    province.police.put(province.police.batch([item]))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]


def test_a_receipt_for_other_content_moves_nothing(province: Province) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    item = receipt_about(
        packet.key,
        ReceiptKind.DELIVERED,
        PROCURATORATE,
        province.procuratorate,
        province,
        ("0" * 64, "1" * 64),
    )
    province.procuratorate.put(province.procuratorate.batch([item]))
    province.run()
    assert len(province.events("receipt-for-other-content")) == 1
    assert province.events("receipt-delivered") == []


def test_c21_a_hop_note_of_another_node_is_quarantined(province: Province) -> None:
    now = province.network.clock.now()
    note = HopNote(
        PROVINCE, PacketKey(POLICE, "0" * 8 + "-0000-7000-8000-" + "0" * 12), "0" * 64, now, now, COURT
    )
    data = sign_hop(note, province.police.link_key)
    item = WaybillItem(ItemKind.HOP, sha256_hex(data), len(data), note.key)
    province.police.put(province.police.batch([(item, data)]))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]


def test_c17_a_reply_may_only_come_from_a_recipient(province: Province) -> None:
    packet = province.police.seal(province.request("prosecution.transfer"))
    province.police.send(packet)
    province.run()
    court = Peer(province.network, COURT)
    reply = DropRequest(
        "common.accept", COURT, PROCURATORATE, province.network.clock.now(), in_reply_to=packet.key
    )
    court.send(court.seal(reply))
    province.run()
    (receipt,) = province.receipts(court)
    assert receipt.kind is ReceiptKind.REFUSED
    codes = [finding.code for finding in receipt.findings]
    assert "reply-not-allowed" in codes
    # the answer is the same for a packet that does not exist: nothing is learnt about other cases
    unknown = replace(reply, in_reply_to=PacketKey(POLICE, packet.key.packet_id[:-1] + "0"), seed=2)
    court.send(court.seal(unknown))
    province.run()
    assert "reply-not-allowed" in [finding.code for finding in province.receipts(court)[-1].findings]


def test_c17_supersedes_works_only_on_ones_own_packet_to_the_same_receiver(province: Province) -> None:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    other = province.procuratorate.seal(
        DropRequest(
            "prosecution.evidence.request", PROCURATORATE, POLICE, province.network.clock.now(),
            supersedes=packet.key.packet_id,
        )
    )  # fmt: skip
    province.procuratorate.send(other)
    province.run()
    assert "supersedes-not-allowed" in [
        finding.code for receipt in province.receipts(province.procuratorate) for finding in receipt.findings
    ]


def test_c17_a_case_is_closed_to_strangers_however_its_number_is_written(province: Province) -> None:
    known = {"court_case_no": "（2026）甘0199刑初58号"}
    packet = province.police.seal(province.request(set_fields=known))
    province.police.send(packet)
    province.run()
    court = Peer(province.network, COURT)
    for seed, written in enumerate(("(2026)甘0199刑初58号", "〔２０２６〕甘0199刑初58号"), 2):
        request = DropRequest(
            "trial.schedule.notice", COURT, PROCURATORATE, province.network.clock.now(),
            set_fields={"court_case_no": written, "police_case_no": f"A62019900000020260700{seed:02d}"},
            seed=seed,
        )  # fmt: skip
        court.send(court.seal(request))
        province.run()
        receipt = province.receipts(court)[-1]
        assert receipt.kind is ReceiptKind.REFUSED
        # Not what the case has had so far, either.
        assert [finding.code for finding in receipt.findings] == ["case-not-open-to-sender"]


@pytest.mark.parametrize("kind", ["trial.indict", "prosecution.evidence.request"])
def test_c17_who_named_a_number_first_keeps_its_owner_out_of_no_case_of_his(
    province: Province, kind: str
) -> None:
    """A number that was guessed, or mistyped, belongs to another case by the time its owner uses it."""
    police = {"police_case_no": "A6201990000002026070001"}
    number = {"proc_case_no": "62010220260012300"}
    now = province.network.clock.now()
    first = province.police.seal(province.request("prosecution.transfer", set_fields=police))
    province.police.send(first)
    province.run()
    court = Peer(province.network, COURT)
    other = {**number, "police_case_no": "A6201990000002026070002"}
    court.send(court.seal(DropRequest("dossier.request", COURT, POLICE, now, set_fields=other, seed=5)))
    province.run()
    assert [receipt.kind for receipt in province.receipts(court)] == [ReceiptKind.ACCEPTED]
    owner = province.procuratorate
    receiver = COURT if kind == "trial.indict" else POLICE
    owner.send(
        owner.seal(DropRequest(kind, PROCURATORATE, receiver, now, set_fields={**police, **number}, seed=6))
    )
    province.run()
    mine = [receipt for receipt in province.receipts(owner) if receipt.key.sender == PROCURATORATE]
    assert [(receipt.kind, receipt.findings) for receipt in mine] == [(ReceiptKind.ACCEPTED, ())]
    # Its number names both, and they did not become one.
    rows = province.network.nodes[PROVINCE].opened.ledger.read().execute(
        "SELECT count(DISTINCT case_id) FROM case_number"
    )
    assert rows.fetchone()[0] == 2
    assert province.events("case-joined") == []


def test_c24_a_directory_proves_itself_by_root_signatures_alone(province: Province) -> None:
    node = province.network.nodes[PROVINCE]
    trust = node.opened.trust
    root = load_key(province.network.layout.root_key)
    newer = replace(trust.directory, version=2)
    path = province.police.mailbox / "up" / "directory-2.xml"
    path.write_bytes(sign_directory(encode_directory(newer), [province.police.link_key]))
    province.run()
    assert trust.version == 1
    path.unlink()
    (province.police.mailbox / "up" / "directory-3.xml").write_bytes(
        sign_directory(encode_directory(replace(newer, version=3)), [root])
    )
    province.run()
    assert trust.version == 3


def test_c24_an_older_directory_is_never_taken_and_a_neighbour_behind_is_served(province: Province) -> None:
    node = province.network.nodes[PROVINCE]
    root = load_key(province.network.layout.root_key)
    newer = sign_directory(encode_directory(replace(node.opened.trust.directory, version=2)), [root])
    (node.opened.trust.incoming / "new.xml").write_bytes(newer)
    province.police.greet()
    province.run()
    assert node.opened.trust.version == 2
    assert (province.police.mailbox / "down" / "directory-2.xml").read_bytes() == newer
    (node.opened.trust.incoming / "old.xml").write_bytes(
        sign_directory(encode_directory(replace(node.opened.trust.directory, version=1)), [root])
    )
    province.run()
    assert node.opened.trust.version == 2


def test_c24_with_an_expired_directory_packets_are_held_and_a_new_one_releases_them(
    province: Province,
) -> None:
    node = province.network.nodes[PROVINCE]
    root = load_key(province.network.layout.root_key)
    current = node.opened.trust.directory
    short = replace(current, version=2, expires_at=province.network.clock.now() + timedelta(seconds=30))
    node.opened.trust.offer(sign_directory(encode_directory(short), [root]))
    province.network.clock.advance(60)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    assert province.arrivals() == [("held", "directory-expired")]
    (node.opened.trust.incoming / "new.xml").write_bytes(
        sign_directory(encode_directory(replace(current, version=3)), [root])
    )
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_a_revoked_key_no_longer_counts(province: Province) -> None:
    node = province.network.nodes[PROVINCE]
    root = load_key(province.network.layout.root_key)
    current = node.opened.trust.directory
    now = province.network.clock.now()
    nodes = tuple(
        replace(
            one, keys=tuple(replace(key, revoked_at=now) if "seal" in key.uses else key for key in one.keys)
        )
        if one.code == POLICE
        else one
        for one in current.nodes
    )
    node.opened.trust.offer(
        sign_directory(encode_directory(replace(current, version=2, nodes=nodes)), [root])
    )
    province.network.clock.advance(1)
    province.police.send(province.police.seal(province.request()))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]
    assert province.procuratorate.items(ItemKind.PACKET) == []


def test_c18_a_doubtful_clock_issues_no_accepted(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.network.clock.jump(7200)
    province.network.nodes[PROVINCE].step()
    province.network.nodes[PROVINCE].step()
    assert [reason for _, reason in province.arrivals()] == ["clock-jumped"]
    # Waiting alone makes no clock right.
    for _ in range(5):
        province.network.clock.advance(60)
        province.network.nodes[PROVINCE].step()
    assert [reason for _, reason in province.arrivals()] == ["clock-not-confirmed"]
    province.police.greet()
    province.network.nodes[PROVINCE].step()
    province.network.clock.advance(60)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]


def test_c18_a_clock_behind_its_only_neighbour_is_doubtful_until_they_agree(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    province.network.clock.jump(-7200)
    for _ in range(5):
        province.network.clock.advance(31)
        province.network.nodes[PROVINCE].step()
    assert [reason for _, reason in province.arrivals()] == ["clock-far-from-neighbours"]
    province.police.greet()
    province.network.nodes[PROVINCE].step()
    province.network.clock.advance(31)
    province.run()
    assert [receipt.kind for receipt in province.receipts(province.police)] == [ReceiptKind.ACCEPTED]
