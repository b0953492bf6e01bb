from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from packet_spec.findings import Finding
from packet_spec.model import Directory, DirectoryAgency, Packet
from packet_spec.rules import Parties, Party
from tests.unit.packet_values import (
    ARREST,
    CATALOGUE,
    COURT,
    DETENTION,
    ENVELOPE,
    POLICE,
    PRISON,
    PROCURATORATE,
    UPPER_COURT,
    change,
    findings,
    the_finding,
    typed,
)


def agency(code: str, level: str = "county", **changes: Any) -> DirectoryAgency:
    kind = CATALOGUE.kind_of_number(code[7:9])
    return DirectoryAgency(
        code=code,
        kind=kind,
        level=level,
        parent="",
        node=code,
        admitting_node="620000-00-01",
        name_zh=code,
        name_en=code,
        **changes,
    )


def directory(*agencies: DirectoryAgency) -> Directory:
    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    return Directory(1, start, end, 1, (), (), agencies)


def with_directory(packet: Packet, *agencies: DirectoryAgency) -> list[Finding]:
    return findings(packet, Parties.from_directory(directory(*agencies), packet.envelope))


def test_directory_gives_kind_level_and_lists() -> None:
    parties = Parties.from_directory(
        directory(agency(POLICE, case_kinds=("theft",)), agency(PROCURATORATE, "city")), ENVELOPE
    )
    assert parties.sender == Party(POLICE, known=True, kind="police", level="county", case_kinds=("theft",))
    assert (parties.receiver.kind, parties.receiver.level) == ("procuratorate", "city")


def test_unknown_receiver_and_disabled_sender() -> None:
    found = with_directory(ARREST, agency(POLICE, disabled=True))
    assert [(finding.code, finding.found) for finding in found] == [
        ("sender-disabled", POLICE),
        ("receiver-unknown", PROCURATORATE),
    ]


@pytest.mark.parametrize(("minutes", "retired"), [(-1, False), (0, True), (None, True)])
def test_from_its_last_day_on_nothing_is_sent_by_or_to_a_retired_agency(
    minutes: int | None, retired: bool
) -> None:
    """What was sealed before goes on; where nobody says when, the agency counts as retired."""
    at = datetime(2026, 7, 15, tzinfo=UTC)
    moment = None if minutes is None else at + timedelta(minutes=minutes)
    packet = change(envelope={"copy_to": (COURT,)})
    listed = directory(*(agency(code, retired_at=at) for code in (POLICE, PROCURATORATE, COURT)))
    found = findings(packet, Parties.from_directory(listed, packet.envelope, moment))
    codes = {finding.code for finding in found} & {"sender-retired", "receiver-retired", "copy-retired"}
    assert codes == ({"sender-retired", "receiver-retired", "copy-retired"} if retired else set())


def test_addressing_a_disabled_agency_says_so() -> None:
    found = with_directory(ARREST, agency(POLICE), agency(PROCURATORATE, disabled=True))
    assert [(finding.code, finding.element) for finding in found] == [
        ("receiver-disabled", "envelope/receiver")
    ]
    assert "停用" in found[0].zh


def test_unknown_copy_is_named_by_its_place() -> None:
    packet = change(envelope={"copy_to": (COURT, DETENTION)})
    found = with_directory(packet, agency(POLICE), agency(PROCURATORATE), agency(COURT))
    assert [(finding.code, finding.element) for finding in found] == [
        ("copy-unknown", "envelope/copyTo[2]"),
        ("copy-kind", "envelope/copyTo[1]"),
    ]


def test_without_directory_a_number_of_no_kind_is_unknown() -> None:
    assert the_finding(change(envelope={"sender": "620199-77-00"})).code == "sender-unknown"


def test_kinds() -> None:
    finding = the_finding(change(envelope={"sender": COURT}))
    assert finding.code == "sender-kind"
    assert finding.found == "人民法院（court）"
    assert finding.expected == "公安机关（police）"
    assert the_finding(change(envelope={"receiver": COURT})).code == "receiver-kind"


def test_state_security_sends_what_police_may_send() -> None:
    assert findings(change(envelope={"sender": "620199-10-00"})) == []


def test_the_directory_and_not_the_code_says_what_an_agency_is() -> None:
    railway = replace(agency("620199-04-77"), kind="procuratorate")
    packet = change(envelope={"receiver": "620199-04-77"})
    assert with_directory(packet, agency(POLICE), railway) == []


@pytest.mark.parametrize(
    ("code", "sender_level", "receiver_level", "fits"),
    [
        ("arrest.request", "county", "county", True),
        ("arrest.request", "county", "city", False),
        ("arrest.review.request", "county", "city", True),
        ("arrest.review.request", "county", "province", False),
        ("arrest.review.request", "county", "county", False),
        ("arrest.request", "county", "", True),
    ],
)
def test_level_of_the_receiver(code: str, sender_level: str, receiver_level: str, fits: bool) -> None:
    packet = typed(code)
    found = with_directory(packet, agency(POLICE, sender_level), agency(PROCURATORATE, receiver_level))
    assert ("level-wrong" in [finding.code for finding in found]) is not fits


def test_a_reply_goes_any_number_of_levels_down() -> None:
    packet = typed("appeal.remand", envelope={"sender": UPPER_COURT, "receiver": COURT})
    for level, fits in (("city", True), ("province", True), ("county", False)):
        found = with_directory(packet, agency(UPPER_COURT, level), agency(COURT))
        assert ("level-wrong" in [finding.code for finding in found]) is not fits


def test_level_does_not_bind_organs_that_serve_several_levels() -> None:
    packet = typed("execution.refuse", envelope={"sender": PRISON, "receiver": DETENTION})
    found = with_directory(packet, agency(PRISON, "province"), agency(DETENTION))
    assert "level-wrong" not in [finding.code for finding in found]


def test_allow_lists_of_every_party() -> None:
    packet = change(envelope={"copy_to": (COURT,)})
    found = with_directory(
        packet,
        agency(POLICE, case_kinds=("dangerous_driving",)),
        agency(PROCURATORATE, business_types=("case.report", "prosecution.transfer")),
        agency(COURT, business_types=("arrest.request",)),
    )
    refused = [finding for finding in found if "allowed" in finding.code]
    assert [(finding.code, finding.element, finding.expected) for finding in refused] == [
        ("case-kind-not-allowed", POLICE, "dangerous_driving"),
        ("type-not-allowed", PROCURATORATE, "case.report, prosecution.transfer"),
    ]


def test_a_packet_without_a_case_is_not_held_against_case_kinds() -> None:
    packet = typed("notice.publish", envelope={"case_kind": ""}, attachments=(), persons=())
    codes = [finding.code for finding in with_directory(packet, agency(POLICE, case_kinds=("theft",)))]
    assert "case-kind-not-allowed" not in codes


def test_nobody_writes_to_himself() -> None:
    packet = typed("notice.publish", envelope={"receiver": POLICE})
    assert "recipient-is-sender" in [finding.code for finding in findings(packet)]
