"""The invented agencies, persons, numbers and the case file."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from cli.fiction.agencies import DEFAULT_AGENCIES, find_agency, more_agencies
from cli.fiction.case_file import CaseFile, CaseFileError, new_case, read_case_file, write_case_file
from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.people import credit_code, fictional_person, phone
from cli.fiction.values import describe_agency
from exchanged.errors import ForeignVolumeError
from packet_spec.errors import CatalogueError
from packet_spec.identifiers import is_social_credit_code, matches, read_id_card
from tests.support.fiction import CATALOGUE, request_for


def test_an_unlisted_agency_is_named_by_its_code():
    agency = describe_agency("620150-03-02", CATALOGUE)
    assert (agency.kind, agency.level) == ("procuratorate", "county")
    assert describe_agency("620100-01-00", CATALOGUE).level == "city"
    assert make_drop(request_for("case.report", receiver="620150-03-02")).envelope.receiver == "620150-03-02"


def test_invented_persons_and_numbers_have_valid_shapes():
    today = date(2026, 7, 15)
    for seed in range(50):
        person = fictional_person(seed, 1, today)
        card = read_id_card(person["id_no"])
        assert card is not None
        assert card.check_holds
        assert person["id_no"].startswith("620199")
        assert (card.born, card.sex) == (date.fromisoformat(person["birth_date"]), person["sex"])
        assert 20 <= (today - date.fromisoformat(person["birth_date"])).days / 365 <= 60
        assert is_social_credit_code(credit_code(seed, "x"))
        assert phone(seed, "x").startswith("0000-555")
        envelope = make_drop(request_for("trial.amend", seed=seed)).envelope
        patterns = {"police": "police_case_no", "procuratorate": "proc_case_no", "court": "court_case_no"}
        for number in envelope.case_numbers:
            assert matches(CATALOGUE.patterns[patterns[number.kind]], number.value)
        assert len(envelope.case_numbers) == 3


def test_the_default_lab_has_the_agencies_of_the_sample_case():
    codes = {agency.alias: agency.code for agency in DEFAULT_AGENCIES}
    assert codes == {
        "POL": "620199-01-00",
        "DET": "620199-02-00",
        "PRO": "620199-03-00",
        "CRT": "620199-04-00",
        "JUS": "620199-05-00",
        "COR": "620199-06-00",
        "LAW": "620199-07-00",
        "PRS": "620000-08-01",
        "CRT2": "620100-04-00",
        "PRO2": "620100-03-00",
    }
    assert find_agency("POL") == find_agency("620199-01-00")
    assert find_agency("XYZ") is None


def test_further_agencies_are_many_different_and_always_the_same():
    agencies = more_agencies(1200)
    codes = [agency.code for agency in agencies]
    assert more_agencies(500) == agencies[:500]
    assert len(set(codes) | {agency.code for agency in DEFAULT_AGENCIES}) == 1210
    assert len({agency.name_zh for agency in agencies}) == len({agency.alias for agency in agencies}) == 1200
    assert {agency.kind for agency in agencies[:7]} == {agency.kind for agency in DEFAULT_AGENCIES[:7]}
    for agency in agencies:
        assert CATALOGUE.agency_kinds[agency.kind].number == agency.code[7:9]
        # 620101 to 620123 are real counties, 620171 is used by statistics.
        assert 620124 <= int(agency.division) <= 620198
        assert agency.division != "620171"
    with pytest.raises(CatalogueError):
        more_agencies(-1)
    with pytest.raises(CatalogueError):
        more_agencies(51_801)


def test_senders_and_receivers_fit_kind_and_level():
    for row in CATALOGUE.business_types.values():
        sender, receiver = choose_parties(CATALOGUE, row)
        assert sender.kind in row.senders
        assert receiver.kind in row.receivers
        assert sender != receiver
    above = choose_parties(CATALOGUE, CATALOGUE.business_type("appeal.transfer"))
    assert [agency.alias for agency in above] == ["CRT", "CRT2"]
    given = find_agency("CRT2")
    assert choose_parties(CATALOGUE, CATALOGUE.business_type("trial.judgment"), given)[1].alias == "PRO2"
    with pytest.raises(CatalogueError):
        choose_parties(CATALOGUE, CATALOGUE.business_type("appeal.transfer"), given)


def test_a_case_file_comes_back_as_it_went(tmp_path: Path):
    case = new_case(7, date(2026, 7, 15), case_kind="theft").with_numbers({"court": "（2026）甘0199刑初58号"})
    path = tmp_path / "case.json"
    write_case_file(path, case)
    assert read_case_file(path) == case
    assert [entry.name for entry in tmp_path.iterdir()] == ["case.json"]
    assert "盗窃" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"format": "other"}',
        '{"format": "exchanged-case-1", "seed": 1, "caseKind": "theft", "persons": []}',
        '{"format": "exchanged-case-1", "seed": "1", "caseKind": "theft", "persons": [{}]}',
        '{"format": "exchanged-case-1", "seed": 1, "caseKind": "theft", "persons": [{"a": 1}]}',
    ],
)
def test_another_file_is_no_case_file(tmp_path: Path, text: str):
    path = tmp_path / "case.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CaseFileError):
        read_case_file(path)


def test_a_disk_that_refuses_a_case_file_is_named(tmp_path: Path):
    case: CaseFile = new_case(1, date(2026, 7, 15))
    with pytest.raises(ForeignVolumeError):
        read_case_file(tmp_path / "missing.json")
    with pytest.raises(ForeignVolumeError):
        write_case_file(tmp_path / "missing" / "case.json", case)
