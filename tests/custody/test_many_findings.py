"""A packet of which more is to be said than one receipt holds is decided like any other."""

from __future__ import annotations

import re
from dataclasses import replace

from cli.fiction.request import DropRequest
from packet_spec.findings import Severity
from packet_spec.limits import FINDINGS
from packet_spec.model import ItemKind, Receipt, ReceiptKind, Route
from tests.support.network import COURT, PROCURATORATE
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, publish

MANY = FINDINGS + 50


def with_witnesses(data: bytes, *, number: str) -> bytes:
    """Many more persons like the first, with a passport that none is: of each there is a warning."""
    text = data.decode()
    person = text[text.index("<person>") : text.index("</person>") + len("</person>")]
    for tag, value in (("person_role", "witness"), ("id_type", "passport"), ("id_no", "?")):
        person = re.sub(f"<{tag}>[^<]*<", f"<{tag}>{value}<", person)
    others = (
        re.sub("<person_no>[^<]*<", f"<person_no>{number.format(each)}<", person)
        for each in range(50, 50 + MANY)
    )
    return text.replace("</persons>", f"{''.join(others)}</persons>").encode()


def answer(province: Province, peer: Peer, packet: Sealed) -> Receipt:
    peer.send(packet)
    province.run()
    assert province.arrivals() == []
    (receipt,) = (each for each in province.receipts(peer) if each.key == packet.key)
    return receipt


def cut(receipt: Receipt) -> str:
    """How many findings the last one says are left out."""
    assert len(receipt.findings) == FINDINGS
    assert receipt.findings[-1].code == "findings-cut"
    return receipt.findings[-1].found


def test_a_packet_with_as_many_warnings_as_a_receipt_holds_is_accepted_with_one_of_its_case(
    province: Province,
) -> None:
    trust = node(province).opened.trust
    routes = (Route("police", PROCURATORATE, sequence="warn"),)
    trust.offer(publish(province, replace(trust.directory, version=2, routes=routes)))
    packet = province.police.seal(
        province.request("measure.change.notice"), edit=lambda data: with_witnesses(data, number="{}")
    )
    receipt = answer(province, province.police, packet)
    assert receipt.kind is ReceiptKind.ACCEPTED
    assert {each.severity for each in receipt.findings} == {Severity.WARN}
    assert cut(receipt) == "2"
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]


def test_a_packet_with_as_many_refusals_as_a_receipt_holds_is_refused_with_one_of_its_case(
    province: Province,
) -> None:
    known, court = {"court_case_no": "（2026）甘0199刑初58号"}, Peer(province.network, COURT)
    first = province.police.seal(province.request(set_fields=known))
    assert answer(province, province.police, first).kind is ReceiptKind.ACCEPTED
    now = province.network.clock.now()
    foreign = court.seal(
        DropRequest("trial.judgment", COURT, PROCURATORATE, now, set_fields=known, seed=2),
        edit=lambda data: with_witnesses(data, number="1"),
    )
    receipt = answer(province, court, foreign)
    assert receipt.kind is ReceiptKind.REFUSED
    assert {each.severity for each in receipt.findings[:-1]} == {Severity.REFUSE}
    assert int(cut(receipt)) > 1
    assert foreign.data not in province.procuratorate.items(ItemKind.PACKET)
