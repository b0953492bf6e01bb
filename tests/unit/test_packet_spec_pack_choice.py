"""Which pack counts for which document, by the directory alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cli.pack.source import build_pack
from packet_spec.errors import PackUnknownError
from packet_spec.findings import Outcome
from packet_spec.model import Directory, PackReference, Route
from packet_spec.pack import Pack, read_pack, shipped_pack
from packet_spec.pack_choice import check_with_packs, find_shipped, pack_of_seal
from packet_spec.parties import Parties
from tests.conformance.case_packets import directory_of, load_case, packet_xml, row_of
from tests.support.documents import NOW, make_seal

LOCAL = read_pack(build_pack(Path(__file__).resolve().parents[2] / "examples" / "local-pack"))
CASE = load_case("dangerous_driving")
COUNT = """<packet xmlns="urn:exchanged:packet:1" version="1.0"><envelope><senderRef>R-1</senderRef>
<businessType>local.custody.count</businessType><sender>620199-02-00</sender>
<receiver>620199-03-00</receiver><createdAt>2026-07-15T09:30:00+08:00</createdAt>
<priority>normal</priority><track>single</track><handover>copy</handover><secrecy>none</secrecy>
</envelope><body><local.custody.count xmlns="urn:exchanged:body:1"><counted_on>2026-07-15</counted_on>
<men>20</men><women>3</women><total>{total}</total></local.custody.count></body></packet>"""


def named(pack: Pack, start: float = -10, end: float | None = None) -> PackReference:
    until = None if end is None else NOW + timedelta(days=end)
    return PackReference(pack.name, pack.version, pack.digest, NOW + timedelta(days=start), until)


def with_packs(*packs: PackReference) -> Directory:
    return replace(directory_of(load_case("theft_in_custody")), packs=packs)


def find_all(digest: str) -> Pack:
    return {pack.digest: pack for pack in (LOCAL, shipped_pack())}[digest]


def codes(data: str, *packs: PackReference) -> tuple[str, list[str], str]:
    result, pack = check_with_packs(data.encode(), directory=with_packs(*packs), now=NOW, find=find_all)
    found = [finding.code for finding in result.verdict.findings]
    return result.verdict.outcome.value, found, pack.name


def test_without_packs_in_the_directory_the_shipped_one_counts() -> None:
    report = packet_xml(CASE, row_of(CASE, 1))
    assert codes(report) == ("valid", [], "standard")


def test_the_newest_pack_in_force_counts_and_one_that_is_not_in_force_does_not() -> None:
    report = packet_xml(CASE, row_of(CASE, 1))
    assert codes(report, named(shipped_pack()), named(LOCAL, -1)) == ("valid", [], "example-province")
    assert codes(report, named(shipped_pack()), named(LOCAL, 1)) == ("valid", [], "standard")
    assert codes(report, named(shipped_pack()), named(LOCAL, -5, -1)) == ("valid", [], "standard")


def test_an_older_pack_in_force_serves_with_a_warning() -> None:
    local = COUNT.format(total=23)
    assert codes(local, named(LOCAL), named(shipped_pack(), -1)) == (
        "valid",
        ["pack-older"],
        "example-province",
    )


def test_what_fits_none_is_answered_by_the_newest() -> None:
    outcome, found, pack = codes(COUNT.format(total=24), named(LOCAL), named(shipped_pack(), -1))
    assert (outcome, found, pack) == ("refused", ["type-unknown"], "standard")


def test_no_pack_in_force_or_a_missing_one_holds() -> None:
    report = packet_xml(CASE, row_of(CASE, 1)).encode()
    wrong = packet_xml(CASE, row_of(CASE, 1) | {"documents": []}).encode()
    both = with_packs(named(shipped_pack()), named(LOCAL, -1))
    with pytest.raises(PackUnknownError):
        check_with_packs(report, directory=with_packs(named(LOCAL)), now=NOW, find=find_shipped)
    with pytest.raises(PackUnknownError):
        check_with_packs(report, directory=with_packs(named(LOCAL, 1)), now=NOW, find=find_all)
    result, _ = check_with_packs(report, directory=both, now=NOW, find=find_shipped)
    assert result.verdict.outcome is Outcome.VALID
    with pytest.raises(PackUnknownError, match="is not here"):
        check_with_packs(wrong, directory=both, now=NOW, find=find_shipped)


def test_a_sealed_packet_is_judged_by_the_pack_that_was_in_force_when_it_was_sealed() -> None:
    seal = replace(make_seal(), pack=LOCAL.stamp)
    directory = with_packs(named(shipped_pack()), named(LOCAL, -5))
    assert pack_of_seal(seal, directory, find_all) == (LOCAL, ())
    over = with_packs(named(shipped_pack()), named(LOCAL, -5, 1))
    assert pack_of_seal(seal, over, find_all) == (LOCAL, ())
    pack, (finding,) = pack_of_seal(seal, with_packs(named(shipped_pack()), named(LOCAL, -5, -1)), find_all)
    assert (pack, finding.code) == (LOCAL, "pack-not-in-force")
    for directory in (with_packs(), with_packs(named(shipped_pack()))):
        with pytest.raises(PackUnknownError) as caught:
            pack_of_seal(seal, directory, find_all)
        assert LOCAL.version in caught.value.found
        assert shipped_pack().version in caught.value.expected


@pytest.mark.parametrize(
    ("total", "found"), [("23", []), ("24", ["schema-rule-broken"]), ("x", ["schema-rule-broken"] * 2)]
)
def test_a_schema_of_its_own_may_need_xsd_11(total: str, found: list[str]) -> None:
    outcome, given, _ = codes(COUNT.format(total=total), named(LOCAL))
    assert given[: len(found)] == found
    assert outcome == ("refused" if found else "valid")


def test_findings_name_local_fields_in_chinese() -> None:
    data = COUNT.replace("local.custody.count", "local.drugtest.report")
    body = "<counted_on>2026-07-15</counted_on>\n<men>20</men><women>3</women><total>{total}</total>"
    data = data.replace(body, "<case_name>虚构</case_name>").replace("620199-02-00", "620199-01-00")
    result, _ = check_with_packs(
        data.encode(), directory=with_packs(named(LOCAL)), now=NOW, find=find_all
    )
    words = " ".join(finding.zh for finding in result.verdict.findings)
    assert "检材编号（local_sample_no）" in words
    assert "毒品检测报告（虚构）（LOC-001）" in words


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ((Route("police", "procuratorate", case_kinds=("theft",)),), ["case-kind-not-on-route"]),
        ((Route("", "620199-03-00", business_types=("trial.indict",)),), ["type-not-on-route"]),
        ((Route("620199-01-00"), Route("police", case_kinds=("theft",))), []),
        ((Route("court", "", case_kinds=("theft",)),), []),
        ((Route("police", "", case_kinds=("dangerous_driving", "theft")),), []),
    ],
)
def test_the_first_route_that_fits_says_what_is_open(routes: tuple[Route, ...], found: list[str]) -> None:
    directory = replace(directory_of(CASE), routes=routes)
    report = packet_xml(CASE, row_of(CASE, 1)).encode()
    result, _ = check_with_packs(report, directory=directory, now=NOW, find=find_shipped)
    assert [finding.code for finding in result.verdict.findings] == found
    for finding in result.verdict.findings:
        assert finding.expected in {"theft", "trial.indict"}
        assert finding.element == "envelope/receiver"


def test_a_packet_about_a_case_that_hides_its_kind_is_on_no_list() -> None:
    directory = replace(directory_of(CASE), routes=(Route(case_kinds=("dangerous_driving",)),))
    report = packet_xml(CASE, row_of(CASE, 1))
    start, end = report.index("<case "), report.index("</case>") + len("</case>")
    hidden = (report[:start] + report[end:]).encode()
    result, _ = check_with_packs(hidden, directory=directory, now=NOW, find=find_shipped)
    assert "case-kind-not-on-route" in [finding.code for finding in result.verdict.findings]


def test_copies_have_routes_of_their_own() -> None:
    row = row_of(CASE, 18)
    assert row["copies"] == ["POL"]
    directory = replace(directory_of(CASE), routes=(Route("court", "police", case_kinds=("theft",)),))
    result, _ = check_with_packs(
        packet_xml(CASE, row).encode(), directory=directory, now=NOW, find=find_shipped
    )
    (finding,) = result.verdict.findings
    assert (finding.code, finding.element) == ("case-kind-not-on-route", "envelope/copyTo[1]")


def test_reserved_types_are_switched_on_by_the_directory() -> None:
    types = shipped_pack().catalogue.business_types.values()
    reserved = [row.code for row in types if not row.enabled_by_default]
    assert len(reserved) == 6
    packet, _ = check_with_packs(
        packet_xml(CASE, row_of(CASE, 1)).encode(), directory=None, now=NOW, find=find_shipped
    )
    assert packet.packet is not None
    directory = replace(directory_of(CASE), enabled_types=tuple(reserved))
    assert Parties.from_directory(directory, packet.packet.envelope).enabled_types == tuple(reserved)
