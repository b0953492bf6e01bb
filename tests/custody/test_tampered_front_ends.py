"""The province refuses what a tampered front-end let through: the standard is checked again where it counts.

Whoever owns an agency's machine has its seal key and can leave out every check. Each packet here is rightly
sealed, signed and listed. It ends the same way: one refusal signed by the province, with the very finding
that the sender's desk would have given; nothing for the receiver; no trace in the case; and the next honest
packet passes. Fictional data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.request import DropRequest
from packet_spec.findings import Finding, Severity
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, Priority, ReceiptKind
from packet_spec.sequence_policy import SequencePolicy
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, publish, rows


@dataclass(frozen=True)
class Trick:
    """A packet that no front-end of ours would send, and what is found in it: code and place.

    ``request`` changes what is asked for, ``seal`` what the seal says, ``edit`` the bytes of packet.xml.
    ``also`` are the codes of what else is wrong with it.
    """

    code: str
    place: str = ""
    business_type: str = "case.report"
    request: dict[str, Any] = field(default_factory=dict)
    seal: dict[str, object] = field(default_factory=dict)
    edit: Callable[[bytes], bytes] = lambda data: data
    also: frozenset[str] = frozenset()


def swap(old: str, new: str) -> Callable[[bytes], bytes]:
    """Another text in packet.xml, which must hold the old one."""

    def edit(data: bytes) -> bytes:
        assert old.encode() in data
        return data.replace(old.encode(), new.encode())

    return edit


def before_the_root(text: str) -> Callable[[bytes], bytes]:
    return swap("<packet ", f"{text}<packet ")


WRONG_DIGIT = {"id_no": "620199199003077017", "birth_date": "1990-03-07", "sex": "1"}
TRICKS = {
    # documents
    "no required document": Trick(
        "document-missing", "POL-002", request={"omit_documents": frozenset({"POL-002"})}
    ),
    "no document that a value asks for": Trick(
        "document-missing-conditional",
        "POL-022",
        "prosecution.transfer",
        {"set_fields": {"fast_track": "true"}, "omit_documents": frozenset({"POL-022"})},
    ),
    "a document that has no place here": Trick(
        "document-not-allowed", "CRT-010", request={"extra_documents": ("CRT-010",)}
    ),
    # fields
    "no required field": Trick(
        "field-missing", "cause_name", "prosecution.transfer", {"set_fields": {"cause_name": ""}}
    ),
    "a wrong check digit": Trick(
        "id-number-check-digit",
        "persons/person[1]/id_no",
        "arrest.request",
        {"set_fields": WRONG_DIGIT},
    ),
    "an outcome that the type does not know": Trick(
        "code-not-in-list",
        "decision_code",
        "case.withdraw.notice",
        {"set_fields": {"decision_code": "forgotten"}, "extra_documents": ("POL-004",)},
    ),
    "a third supplementary round": Trick(
        "number-out-of-range",
        "supplement_round",
        "supplement.resubmit",
        {"set_fields": {"supplement_round": "3"}},
    ),
    "no approver": Trick(
        "approval-missing", "", "prosecution.transfer", {"set_fields": {"approver": ""}}
    ),
    "a state secret": Trick("secrecy-refused", "", edit=swap(">none</secrecy>", ">top_secret</secrecy>")),
    # parties
    "a sender of a wrong kind": Trick("sender-kind", "", "trial.indict", {"receiver": COURT}),
    "a receiver of a wrong kind": Trick("receiver-kind", "", request={"receiver": COURT}),
    "a receiver that nobody knows": Trick("receiver-unknown", "", request={"receiver": "620199-03-09"}),
    "a copy that nobody knows": Trick("copy-unknown", "", request={"copy_to": ("620199-03-09",)}),
    # types
    "a type that is not switched on": Trick(
        "type-disabled",
        "",
        "civil.supervision",
        also=frozenset({"sender-kind", "receiver-kind"}),
    ),
    "a type that does not exist": Trick(
        "type-unknown",
        "",
        edit=lambda data: data.replace(b"case.report", b"case.closing"),
        seal={"business_type": "case.closing"},
    ),
    # what the seal says of packet.xml
    "a lie about the encoding": Trick("seal-differs", "encoding", seal={"encoding": "gb18030"}),
    "a seal of other priority": Trick(
        "seal-differs", "envelope/priority", seal={"priority": Priority.URGENT}
    ),
    "a document that is another than listed": Trick(
        "parts-differ",
        "attachments/attachment[1]/@sha256",
        edit=lambda data: re.sub(rb'sha256="[0-9a-f]{64}"', b'sha256="' + b"0" * 64 + b'"', data, count=1),
    ),
    # the bytes of packet.xml
    "an entity": Trick(
        "doctype-refused", "", edit=before_the_root('<!DOCTYPE packet [<!ENTITY x SYSTEM "file:///etc/passwd">]>')
    ),
    "a cut end": Trick("xml-not-wellformed", "", edit=lambda data: data[:-20]),
    "an encoding that nobody reads": Trick(
        "seal-differs", "encoding", edit=lambda data: data.decode().encode("utf-32")
    ),
}


@pytest.mark.parametrize("trick", TRICKS.values(), ids=TRICKS)
def test_the_province_refuses_it(province: Province, trick: Trick) -> None:
    request = replace(province.request(trick.business_type, seed=3), **trick.request)
    findings = refusal(province, request, seal=trick.seal, edit=trick.edit)
    assert {finding.code for finding in findings} == {trick.code, *trick.also}, findings
    places = {place for finding in findings for place in (finding.element, finding.document)}
    assert not trick.place or any(place.endswith(trick.place) for place in places), findings


@pytest.mark.parametrize(
    ("lists", "code"),
    [({"business_types": ("arrest.request",)}, "type-not-allowed"),
     ({"case_kinds": ("theft",)}, "case-kind-not-allowed")],
)  # fmt: skip
def test_the_province_holds_to_the_allow_lists_of_its_directory(
    province: Province, lists: dict[str, tuple[str, ...]], code: str
) -> None:
    trust = node(province).opened.trust
    current = trust.directory
    agencies = tuple(
        replace(one, **lists) if one.code == PROCURATORATE else one  # type: ignore[arg-type]
        for one in current.agencies
    )
    trust.offer(publish(province, replace(current, version=2, agencies=agencies)))
    (finding,) = refusal(province, province.request(seed=3), honest=False)
    assert (finding.code, finding.element) == (code, PROCURATORATE)
    assert finding.expected == ", ".join(*lists.values())


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Province]:
    """A province that enforces the order of a case."""
    plan = replace(small_plan(POLICE, PROCURATORATE, COURT), sequence=SequencePolicy.ENFORCE)
    network = Network(tmp_path / "lab", plan)
    network.only(PROVINCE)
    with network:
        yield Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))


def test_the_province_refuses_what_comes_too_early(strict: Province) -> None:
    (finding,) = refusal(strict, strict.request("arrest.execution.return", seed=3))
    assert (finding.code, finding.severity) == ("predecessor-missing", Severity.REFUSE)
    assert "arrest.decision" in finding.expected


@pytest.mark.parametrize("policy", ["strict", "province"])
def test_the_province_refuses_what_comes_too_late(policy: str, request: pytest.FixtureRequest) -> None:
    province: Province = request.getfixturevalue(policy)
    court = Peer(province.network, COURT)
    at = province.network.clock.now()
    indictment = DropRequest("trial.indict", PROCURATORATE, COURT, at, seed=3)
    honest = province.police.seal(province.request("prosecution.transfer", seed=3))
    province.police.send(honest)
    province.run()
    first = province.procuratorate.seal(indictment)
    province.procuratorate.send(first)
    province.run()
    judgment = DropRequest("trial.judgment", COURT, PROCURATORATE, at, in_reply_to=first.key, seed=3)
    court.send(court.seal(judgment))
    province.run()
    before = len(court.items(ItemKind.PACKET))
    again = province.procuratorate.seal(replace(indictment, sender_ref="again"))
    province.procuratorate.send(again)
    province.run()
    receipt = receipt_about(province, province.procuratorate, again.key)
    assert receipt.kind is ReceiptKind.REFUSED
    (finding,) = (each for each in receipt.findings if each.severity is Severity.REFUSE)
    assert finding.code == "forbidden-after"
    assert "trial.judgment" in finding.expected
    assert len(court.items(ItemKind.PACKET)) == before


# --- what every refusal must be ------------------------------------------------------------------


def refusal(
    province: Province,
    request: DropRequest,
    *,
    seal: dict[str, object] | None = None,
    edit: Callable[[bytes], bytes] = lambda data: data,
    honest: bool = True,
) -> tuple[Finding, ...]:
    """What refuses in the one signed refusal of this packet, after looking at everything around it."""
    packet = province.police.seal(request, change=seal, edit=edit)
    province.police.send(packet)
    province.run()
    # Under enforce a packet waits for its predecessor first; that does not save it.
    province.network.clock.advance(60)
    province.run()
    receipt = receipt_about(province, province.police, packet.key)
    assert (receipt.kind, receipt.issued_by) == (ReceiptKind.REFUSED, PROVINCE)
    assert all(each.zh and each.en for each in receipt.findings)
    assert province.arrivals() == []
    assert province.procuratorate.items(ItemKind.PACKET) == []
    assert province.procuratorate.items(ItemKind.RECEIPT) == []
    assert rows(province, "SELECT * FROM case_history") == []
    assert rows(province, "SELECT * FROM case_party") == []
    if honest:
        assert_passes(province, province.police.seal(province.request(seed=99)))
    return tuple(each for each in receipt.findings if each.severity is Severity.REFUSE)


def receipt_about(province: Province, peer: Peer, key: PacketKey) -> Any:
    """The one receipt about a packet that lies in its sender's mailbox."""
    (receipt,) = (each for each in province.receipts(peer) if each.key == key)
    return receipt


def assert_passes(province: Province, packet: Sealed) -> None:
    """An honest packet of the same agency is admitted and forwarded."""
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
