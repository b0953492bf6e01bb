"""What the shards of the network judge by: doubles, receipts, faults without a sign, alarms of long ago."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import cast

import pytest

from certainty.network.alarms import Alarms
from certainty.network.betraying import tampered
from certainty.network.judging import Sent, judge, judge_receipts
from certainty.network.killed_server import deaths
from certainty.network.reader import Reader
from certainty.network.relay import Relay, Step
from certainty.network.spaces import dropped
from certainty.network.stage import wait_until
from certainty.network.taker import ReadAgency, Taker
from cli.demo.watch import Agency, Original
from packet_spec.delivery import encode_delivery
from packet_spec.errors import SignatureError
from packet_spec.identity import sha256_hex
from packet_spec.model import Envelope, Receipt, ReceiptKind
from packet_spec.notice import Bilingual, Notice, NoticeLevel, encode_notice
from packet_spec.receipt import encode_receipt
from packet_spec.status import encode_status_xml
from packet_spec.told import DeliveredFile, Delivery, Status
from tests.support.documents import DIGEST, KEY, NOW, POLICE, PROCURATORATE, PROVINCE, make_receipt

TYPE = "info.share"
NAME = f"{KEY.sender}_{KEY.packet_id}"
WAIT = 20.0
ACCEPTED = make_receipt()
DELIVERED = make_receipt(ReceiptKind.DELIVERED, recipient=PROCURATORATE, issued_by=PROCURATORATE)
COLLECTED = make_receipt(ReceiptKind.COLLECTED, recipient=PROCURATORATE, issued_by=PROCURATORATE)
SENT = Sent("drop", POLICE, PROCURATORATE, TYPE, Original(cast("Envelope", None), (), DIGEST, DIGEST), 0.0)


class Proven:
    """Takes the receipts that it was given for proven, any other for forged; every folder is as dropped."""

    def __init__(self, *receipts: Receipt) -> None:
        self._known = {encode_receipt(each): each for each in receipts}

    def receipt(self, data: bytes, moment: datetime) -> Receipt:
        if data not in self._known:
            raise SignatureError("forged", where=str(moment))
        return self._known[data]

    def problems_of(self, folder: Path, original: Original, recipient: str, moment: datetime) -> list[str]:
        wanted = (SENT.original, PROCURATORATE, NOW)
        return [] if folder.is_dir() and (original, recipient, moment) == wanted else ["no folder"]


@pytest.fixture
def agencies(tmp_path: Path) -> dict[str, Agency]:
    """A sender whose status says delivered, and a receiver with the folder."""
    found = {code: Agency(code, tmp_path / code) for code in (POLICE, PROCURATORATE)}
    for agency in found.values():
        for folder in ("inbox", "status", "receipts"):
            (agency.root / folder).mkdir(parents=True)
    status = Status("drop", "delivered", True, NOW, "虚构", "fictional", KEY.packet_id)
    (found[POLICE].root / "status" / "drop.status.xml").write_bytes(encode_status_xml(status))
    (found[PROCURATORATE].root / "inbox" / TYPE / NAME).mkdir(parents=True)
    return found


def file(agency: Agency, *receipts: Receipt) -> tuple[Path, ...]:
    folder = agency.root / "receipts" / KEY.packet_id
    folder.mkdir(exist_ok=True)
    for number, each in enumerate(receipts):
        (folder / f"{each.kind}-{number}.xml").write_bytes(encode_receipt(each))
    return agency.receipt_files(KEY.packet_id)


def invariants(agencies: dict[str, Agency], *receipts: Receipt) -> list[str]:
    return [each.invariant for each in judge([SENT], agencies, Proven(*receipts), NOW, "case")]


def test_a_packet_with_folder_and_proven_receipts_is_in_order(agencies: dict[str, Agency]) -> None:
    file(agencies[POLICE], ACCEPTED, DELIVERED, COLLECTED)
    assert not invariants(agencies, ACCEPTED, DELIVERED, COLLECTED)


def test_a_receipt_whose_name_alone_says_delivered_proves_nothing(agencies: dict[str, Agency]) -> None:
    file(agencies[POLICE], ACCEPTED, DELIVERED)
    # The forged one is told, and that a proven one is missing.
    assert invariants(agencies, ACCEPTED) == ["I7", "I7"]


@pytest.mark.parametrize(
    "wrong",
    [
        make_receipt(ReceiptKind.DELIVERED, recipient=PROCURATORATE, issued_by=PROVINCE),
        make_receipt(ReceiptKind.DELIVERED, recipient=POLICE, issued_by=PROCURATORATE),
        make_receipt(
            ReceiptKind.DELIVERED, recipient=PROCURATORATE, issued_by=PROCURATORATE, content_digest="1" * 64
        ),
    ],
    ids=["of another issuer", "for another recipient", "of another content"],
)
def test_a_proven_receipt_of_something_else_is_none(agencies: dict[str, Agency], wrong: Receipt) -> None:
    files = file(agencies[POLICE], ACCEPTED, wrong)
    assert list(judge_receipts(SENT, KEY, files, Proven(ACCEPTED, wrong), NOW))


def test_a_second_receipt_of_one_kind_is_told(agencies: dict[str, Agency]) -> None:
    again = make_receipt(
        ReceiptKind.DELIVERED, recipient=PROCURATORATE, issued_by=PROCURATORATE, number=2
    )
    file(agencies[POLICE], ACCEPTED, DELIVERED, again)
    assert invariants(agencies, ACCEPTED, DELIVERED, again) == ["I7"]


def test_a_packet_that_lies_nowhere_and_a_stranger_are_told(agencies: dict[str, Agency]) -> None:
    file(agencies[POLICE], ACCEPTED, DELIVERED)
    place = agencies[PROCURATORATE].root / "inbox" / TYPE
    (place / NAME).rename(place / f"{KEY.sender}_another")
    assert sorted(invariants(agencies, ACCEPTED, DELIVERED)) == ["I2", "I7"]


def test_a_drop_without_a_status_is_not_delivered(agencies: dict[str, Agency]) -> None:
    (agencies[POLICE].root / "status" / "drop.status.xml").unlink()
    assert invariants(agencies) == ["I1"]


def deliver(inbox: Path, content: bytes, papers: bytes) -> None:
    folder = inbox / TYPE / NAME
    folder.mkdir(parents=True)
    (folder / "packet.xml").write_bytes(content)
    (folder / "delivery.xml").write_bytes(papers)


def test_a_second_delivery_shows_when_the_first_was_taken(tmp_path: Path) -> None:
    inbox = tmp_path / PROCURATORATE / "inbox"
    taker = Taker({PROCURATORATE: inbox}, tmp_path / "taken", runs=False)
    deliver(inbox, b"content", b"first")
    taker.look()
    assert (taker.taken, taker.violations("case")) == (1, [])
    agency = taker.agency(PROCURATORATE, inbox.parent)
    assert isinstance(agency, ReadAgency)
    assert agency.folder(KEY, TYPE) == agency.folders()[0]
    deliver(inbox, b"content", b"another moment")
    taker.look()
    assert [each.invariant for each in taker.violations("case")] == ["I2"]
    assert len(agency.folders()) == 2
    deliver(inbox, b"other content", b"third")
    taker.look()
    assert [each.invariant for each in taker.violations("case")] == ["I2", "I4"]


def test_a_taker_that_runs_takes_by_itself(tmp_path: Path) -> None:
    taker = Taker({PROCURATORATE: tmp_path / "inbox"}, tmp_path / "taken")
    (tmp_path / "inbox" / TYPE / f"{NAME}_a2").mkdir(parents=True)
    assert wait_until(lambda: taker.taken == 1, WAIT)
    taker.stop()
    # A later attempt is the same packet.
    (tmp_path / "inbox" / TYPE / NAME).mkdir()
    taker.look()
    assert [each.invariant for each in taker.violations("case")] == ["I2"]


def test_a_server_that_was_not_killed_is_not_counted(tmp_path: Path) -> None:
    (tmp_path / "trace-7-100").write_text("write(1, ...) = 5\n+++ killed by SIGKILL +++\n")
    (tmp_path / "trace-7-101").write_text("write(1, ...) = 5\n+++ exited with 0 +++\n")
    (tmp_path / "trace-8-102").write_text("")
    assert (deaths(tmp_path, 7), deaths(tmp_path, 8), deaths(tmp_path, 9)) == (1, 0, 0)


def test_what_a_rule_dropped_is_counted() -> None:
    listing = (
        "Chain INPUT (policy ACCEPT 12 packets, 900 bytes)\n"
        "    pkts      bytes target     prot opt in     out     source               destination\n"
        "     118     9204 DROP       0    --  *      *       0.0.0.0/0            0.0.0.0/0\n"
        "       7      100 ACCEPT     0    --  *      *       0.0.0.0/0            0.0.0.0/0\n"
    )
    assert dropped(listing) == 118
    assert dropped("Chain INPUT (policy ACCEPT 0 packets, 0 bytes)\n") == 0


def notice(*, over: bool) -> bytes:
    words = Bilingual("虚构", "fictional")
    ended = NOW if over else None
    return encode_notice(
        Notice(1, "link-down", NoticeLevel.ALARM, POLICE, "province", NOW, NOW, ended, words, words)
    )


def test_an_alarm_of_an_earlier_trouble_is_none_of_this_one(tmp_path: Path) -> None:
    (tmp_path / "20260715T013000Z-link-down-1.xml").write_bytes(notice(over=False))
    alarms = Alarms.since_now(tmp_path)
    # The earlier one changes, and another matter comes.
    (tmp_path / "20260715T013000Z-link-down-1.xml").write_bytes(notice(over=True))
    (tmp_path / "20260715T013000Z-disk-floor-2.xml").write_bytes(b"")
    assert not alarms.is_raised(0.0)
    (tmp_path / "20260715T013100Z-link-down-3.xml").write_bytes(notice(over=False))
    assert alarms.is_raised(0.0)
    assert not alarms.are_over(0.0)
    (tmp_path / "20260715T013100Z-link-down-3.xml").write_bytes(notice(over=True))
    assert alarms.are_over(0.0)


def whole(folder: Path, content: bytes) -> None:
    folder.mkdir(parents=True)
    (folder / "packet.xml").write_bytes(content)
    (folder / "1.pdf").write_bytes(content)
    for name in ("seal.xml", "seal.sig", "accepted.xml"):
        (folder / name).touch()
    listed = DeliveredFile("1.pdf", "1.pdf", len(content), sha256_hex(content), "PRO-001")
    digests = (sha256_hex(content), DIGEST, DIGEST)
    delivery = Delivery(
        KEY, 1, PROCURATORATE, TYPE, "ref", NOW, NOW, NOW, *digests, "utf-8", (listed,)
    )
    (folder / "delivery.xml").write_bytes(encode_delivery(delivery))


@pytest.mark.parametrize("broken", ["packet.xml", "1.pdf", "seal.sig"])
def test_the_reader_judges_every_file_at_first_sight(tmp_path: Path, broken: str) -> None:
    inbox = tmp_path / "inbox"
    reader = Reader(inbox, tmp_path / "aside", 1, threads=0)
    whole(inbox / TYPE / NAME, b"content")
    reader.see(inbox / TYPE / NAME)
    other = inbox / TYPE / f"{POLICE}_other"
    whole(other, b"content")
    (other / broken).unlink()
    reader.see(other)
    assert [each.split(":")[0] for each in reader.partial] == [other.name]
    reader.stop()
    assert reader.taken == {NAME, other.name}


def test_the_reader_counts_what_comes_again(tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / TYPE / NAME
    reader = Reader(tmp_path / "inbox", tmp_path / "aside", 1, threads=0)
    whole(folder, b"content")
    reader.see(folder)
    reader.see(folder)
    assert reader.appeared[NAME] == 1
    reader._take(folder, in_place=True)
    whole(folder, b"content")
    reader.stop()
    assert reader.appeared[NAME] == 2


def test_a_tampered_file_is_never_the_file(tmp_path: Path) -> None:
    relay = Relay(tmp_path / "near", tmp_path / "far", 1)
    step = Step(POLICE, "up", "00000001-0123456789abcdef.batch", b"content", 0.0)
    ((folder, name, data),) = tampered(relay, step)
    assert (folder, name) == (relay.target(step), step.name)
    assert len(data) == len(step.data)
    assert data != step.data
