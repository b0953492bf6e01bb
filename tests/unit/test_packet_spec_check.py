from __future__ import annotations

from typing import Any

import pytest

from packet_spec.catalogue import load_catalogue
from packet_spec.check import check_packet
from packet_spec.errors import ValidatorError
from packet_spec.findings import Outcome, Severity
from packet_spec.limits import FINDINGS
from packet_spec.pack import shipped_pack
from tests.conformance.case_packets import directory_of, load_case, packet_xml, row_of

CATALOGUE = load_catalogue()
CASE = load_case("dangerous_driving")


def text(**changes: Any) -> str:
    return packet_xml(CASE, row_of(CASE, 2) | changes)


def check(data: bytes, *, encoding: str | None = None, with_directory: bool = True) -> Any:
    directory = directory_of(CASE) if with_directory else None
    return check_packet(data, directory=directory, pack=shipped_pack(), encoding=encoding)


def test_a_valid_packet_comes_back_with_its_reading() -> None:
    data = text().encode()
    result = check(data)
    assert result.verdict.outcome is Outcome.VALID
    assert (result.encoding, result.utf8) == ("utf-8", data)
    assert result.packet.envelope.business_type == "prosecution.transfer"


def test_gb18030_is_decided_and_can_be_given() -> None:
    data = ('<?xml version="1.0" encoding="GBK"?>' + text()).encode("gb18030")
    for encoding in (None, "gb18030"):
        result = check(data, encoding=encoding)
        assert result.verdict.outcome is Outcome.VALID
        assert result.encoding == "gb18030"
        assert "李某甲" in result.utf8.decode()


def test_a_seal_that_names_another_encoding_is_refused() -> None:
    data = ('<?xml version="1.0" encoding="GBK"?>' + text()).encode("gb18030")
    result = check(data, encoding="utf-8")
    (finding,) = result.verdict.findings
    assert (finding.code, finding.expected, finding.found) == ("seal-differs", "gb18030", "utf-8")
    assert (result.packet, result.encoding, result.utf8) == (None, "", b"")
    # The other way round everything decodes, and every name would be another one.
    (lie,) = check(text().encode(), encoding="gb18030").verdict.findings
    assert (lie.code, lie.element, lie.expected, lie.found) == (
        "seal-differs", "encoding", "utf-8", "gb18030"
    )  # fmt: skip
    undecidable = b'<?xml version="1.0" encoding="EBCDIC"?><packet>\xff</packet>'
    assert check(undecidable, encoding="utf-8").verdict.findings[0].expected == "-"


def test_bytes_without_a_readable_encoding_are_refused() -> None:
    result = check(b'<?xml version="1.0" encoding="EBCDIC"?><packet>\xff</packet>')
    assert result.verdict.outcome is Outcome.REFUSED
    assert (result.packet, result.encoding, result.utf8) == (None, "", b"")
    assert result.verdict.findings[0].file == "packet.xml"


@pytest.mark.parametrize("data", [b"", b"<", b"<packet/>", b"\x00" * 9, b"<!DOCTYPE x><x/>"])
def test_rubbish_is_refused_and_never_raises(data: bytes) -> None:
    result = check(data)
    assert result.verdict.outcome is Outcome.REFUSED
    assert result.packet is None
    assert result.verdict.findings


def test_without_a_directory_kinds_come_from_the_codes() -> None:
    strange = text(envelope={"receiver": "990000-03-00"}).encode()
    assert check(strange, with_directory=False).verdict.outcome is Outcome.VALID
    assert [finding.code for finding in check(strange).verdict.findings] == ["receiver-unknown"]
    wrong = text(envelope={"receiver": "990000-04-00"}).encode()
    (finding,) = check(wrong, with_directory=False).verdict.findings
    assert finding.code == "receiver-kind"


def test_schema_and_rules_say_each_thing_once() -> None:
    result = check(text(fields={"cause_name": None, "case_name": ""}, person={"plea": None}).encode())
    assert sorted((finding.code, finding.element) for finding in result.verdict.findings) == [
        ("field-empty", "case_name"),
        ("field-missing", "cause_name"),
        ("field-missing", "persons/person[1]/plea"),
    ]
    assert all(finding.line for finding in result.verdict.findings)


def test_everything_at_once_refusals_first() -> None:
    result = check(
        text(
            documents=["POL-020", "COM-001", "COM-002", "EVD-016"],
            person={"id_type": "passport", "id_no": "?", "measure_code": "jail"},
            fields={"fast_track": "true"},
        ).encode()
    )
    assert [(finding.code, finding.severity) for finding in result.verdict.findings] == [
        ("code-not-in-list", Severity.REFUSE),
        ("document-missing-conditional", Severity.REFUSE),
        ("paper-number-shape", Severity.WARN),
    ]
    assert result.verdict.outcome is Outcome.REFUSED
    assert result.verdict.findings[0].file == "packet.xml"
    assert result.verdict.findings[1].file == ""


def test_warnings_alone_are_valid() -> None:
    result = check(text(person={"id_type": "passport", "id_no": "?"}).encode())
    assert result.verdict.outcome is Outcome.VALID
    assert [finding.severity for finding in result.verdict.findings] == [Severity.WARN]


def test_the_body_is_checked_even_where_the_envelope_is_refused() -> None:
    result = check(text(copies=["PRO"], fields={"cause_name": None}).encode())
    assert result.packet is None
    assert sorted(finding.code for finding in result.verdict.findings) == ["field-missing", "recipient-twice"]


def test_a_body_of_another_type_is_one_finding() -> None:
    data = text().replace("prosecution.transfer xmlns", "arrest.request xmlns")
    data = data.replace("</prosecution.transfer>", "</arrest.request>")
    assert [finding.code for finding in check(data.encode()).verdict.findings] == ["body-mismatch"]


def test_an_unknown_type_is_one_finding() -> None:
    data = text().replace("prosecution.transfer", "no.such")
    assert [finding.code for finding in check(data.encode()).verdict.findings] == ["type-unknown"]


def test_findings_are_bounded_and_the_verdict_is_not_lost() -> None:
    witness = (
        "<person><person_no>{}</person_no><person_name>证人</person_name><person_role>witness</person_role>"
        "<id_type>passport</id_type><id_no>?</id_no><measure_code>none</measure_code>"
        "<in_custody>false</in_custody><plea>false</plea></person>"
    )
    # Every witness warns before the one refusal, the number that the first person has too, is found.
    witnesses = "".join(witness.format(number) for number in [*range(2, FINDINGS + 50), 1])
    data = text().replace("</person></persons>", f"</person>{witnesses}</persons>")
    result = check(data.encode())
    assert len(result.verdict.findings) == FINDINGS
    assert result.verdict.outcome is Outcome.REFUSED
    assert [finding.code for finding in result.verdict.findings[:2]] == [
        "person-number-repeated",
        "paper-number-shape",
    ]


def test_a_failing_validator_holds_and_blames_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValidatorError("broken")

    monkeypatch.setattr("packet_spec.check.validate_body", broken)
    result = check(text(documents=[]).encode())
    assert result.verdict.outcome is Outcome.HELD
    assert result.verdict.held_because == "validator-failed"
    assert result.verdict.findings == ()
    assert result.packet is not None
