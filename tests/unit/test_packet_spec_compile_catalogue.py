from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packet_spec.catalogue import (
    BusinessType,
    Catalogue,
    Condition,
    Predecessors,
    Requirement,
    load_catalogue,
)
from packet_spec.catalogue_check import problems_of
from packet_spec.compile_catalogue import PACKAGE, SOURCES, compile_package, load_source, main

CATALOGUE = load_catalogue()


@pytest.fixture(scope="module")
def inverse() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = load_source(PACKAGE / "data" / SOURCES[1])["document_types"]
    return rows


@pytest.fixture
def package(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    for name in SOURCES:
        shutil.copy(PACKAGE / "data" / name, tmp_path / "data" / name)
    return tmp_path


def test_shipped_files_equal_a_fresh_compile() -> None:
    outputs = compile_package(PACKAGE)
    for path, data in outputs.items():
        assert path.read_bytes() == data, f"{path.name} is stale: run python -m packet_spec.compile_catalogue"
    assert set((PACKAGE / "schemas" / "body").glob("*.xsd")) < set(outputs)


@pytest.mark.slow
def test_compiling_writes_what_is_stale_and_then_nothing(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], package) == 0
    for path in (PACKAGE / "schemas" / "body").glob("*.xsd"):
        assert (package / path.relative_to(PACKAGE)).read_bytes() == path.read_bytes()
    left_over = package / "schemas" / "body" / "gone.xsd"
    left_over.write_text("")
    capsys.readouterr()
    assert main(["--check"], package) == 1
    assert left_over.exists()
    assert main([], package) == 0
    assert capsys.readouterr().out == "schemas/body/gone.xsd\n" * 2
    assert not left_over.exists()


def test_a_contradiction_is_named_and_nothing_written(
    package: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = package / "data" / SOURCES[0]
    source.write_text(source.read_text().replace("[POL-009, COM-001", "[POL-999, COM-001", 1))
    assert main([], package) == 1
    assert "arrest.request: unknown document POL-999" in capsys.readouterr().err
    assert not (package / "data" / "catalogue.json").exists()


def test_an_unknown_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--force"]) == 2
    assert "usage" in capsys.readouterr().err


def with_type(code: str, change: Callable[[BusinessType], BusinessType]) -> Catalogue:
    types = dict(CATALOGUE.business_types)
    types[code] = change(types[code])
    return replace(CATALOGUE, business_types=types)


def with_pattern(**changes: str) -> Catalogue:
    patterns = dict(CATALOGUE.patterns)
    patterns["agency"] = replace(patterns["agency"], **changes)
    return replace(CATALOGUE, patterns=patterns)


def requirement(field: str, value: str, basis: str = "") -> Requirement:
    return Requirement((Condition(field, (value,)),), ("PRO-001",), basis)


BROKEN: dict[str, tuple[Callable[[], Catalogue], str]] = {
    "sender": (
        lambda: with_type("case.report", lambda row: replace(row, senders=("nobody",))),
        "case.report: unknown agency kind nobody",
    ),
    "field": (
        lambda: with_type("case.report", lambda row: replace(row, optional_fields=("x",))),
        "case.report: unknown field x",
    ),
    "successor": (
        lambda: with_type("case.report", lambda row: replace(row, successors=("x.y",))),
        "case.report: unknown business type x.y",
    ),
    "level": (
        lambda: with_type("case.report", lambda row: replace(row, level="higher")),
        "case.report: unknown level higher",
    ),
    "predecessor": (
        lambda: with_type("case.report", lambda row: replace(row, predecessors=Predecessors(("x",), ()))),
        "case.report: unknown business type x",
    ),
    "persons": (
        lambda: with_type("case.report", lambda row: replace(row, required_fields=("case_name",))),
        "case.report: has person-scoped fields but no persons",
    ),
    "outcome": (
        lambda: with_type("case.report", lambda row: replace(row, outcome_codes=("yes",))),
        "case.report: has outcome codes but no decision_code",
    ),
    "condition field": (
        lambda: with_type(
            "common.accept", lambda row: replace(row, conditional_documents=(requirement("plea", "true"),))
        ),
        "common.accept: a condition looks at plea, which is in none of the lists",
    ),
    "condition value": (
        lambda: with_type(
            "arrest.decision",
            lambda row: replace(row, conditional_documents=(requirement("decision_code", "maybe"),)),
        ),
        "arrest.decision: unknown value of decision_code maybe",
    ),
    "condition truth": (
        lambda: with_type(
            "arrest.request", lambda row: replace(row, conditional_documents=(requirement("plea", "yes"),))
        ),
        "arrest.request: unknown value of plea yes",
    ),
    "basis": (
        lambda: with_type(
            "arrest.request",
            lambda row: replace(row, conditional_documents=(requirement("plea", "true", "XYZ-1"),)),
        ),
        "arrest.request: unknown law XYZ",
    ),
    "empty condition": (
        lambda: with_type(
            "arrest.request",
            lambda row: replace(row, conditional_fields=(Requirement((), ("custody_end",), ""),)),
        ),
        "arrest.request: a condition says nothing",
    ),
    "reply not mirrored": (
        lambda: with_type("arrest.decision", lambda row: replace(row, replies_to=())),
        "arrest.request: is answered by arrest.decision, which does not list it in replies_to",
    ),
    "question not mirrored": (
        lambda: with_type("arrest.request", lambda row: replace(row, replies=())),
        "arrest.decision: answers arrest.request, which does not list it in replies",
    ),
    "way back": (
        lambda: with_type("arrest.decision", lambda row: replace(row, receivers=("court",))),
        "arrest.request: is answered by arrest.decision, which cannot travel the way back",
    ),
    "level back": (
        lambda: with_type("arrest.decision", lambda row: replace(row, level="receiver_below")),
        "arrest.request: is answered by arrest.decision, whose level does not allow the way back",
    ),
    "unknown reply": (
        lambda: with_type("arrest.request", lambda row: replace(row, replies=("x",))),
        "arrest.request: unknown business type x",
    ),
    "acceptance": (
        lambda: with_type("common.accept", lambda row: replace(row, receivers=("court",))),
        "arrest.request: needs acceptance, but common.accept cannot travel the way back",
    ),
    "mirror": (
        lambda: with_type("case.report", lambda row: replace(row, required_documents=("POL-002",))),
        "document POL-008: required_by should be []",
    ),
    "carried by nothing": (
        lambda: with_type("case.report", lambda row: replace(row, required_documents=("POL-002",))),
        "document POL-008 is carried by no business type",
    ),
    "example": (lambda: with_pattern(example="x"), "pattern agency does not match its own example"),
    "mismatch": (
        lambda: with_pattern(mismatch="perhaps"),
        "pattern agency has a mismatch other than refuse and warn",
    ),
    "construct": (
        lambda: with_pattern(regex=r"^(?=6)\d{6}-\d{2}-\d{2}$"),
        "pattern agency: a pattern uses a construct that XSD cannot say",
    ),
    "kind number": (
        lambda: replace(
            CATALOGUE,
            agency_kinds={
                code: replace(kind, number="01") for code, kind in CATALOGUE.agency_kinds.items()
            },
        ),
        "two agency kinds have one number",
    ),
    "field kind": (
        lambda: replace(
            CATALOGUE,
            fields=dict(CATALOGUE.fields)
            | {"custody_place": replace(CATALOGUE.fields["custody_place"], agency_kind="inn")},
        ),
        "field custody_place: unknown agency kind inn",
    ),
}


def test_a_condition_on_a_field_without_a_list_may_have_any_value(inverse: list[dict[str, object]]) -> None:
    free = replace(requirement("reason_text", "anything"), require=("police_case_no",))
    catalogue = with_type("arrest.revoke", lambda row: replace(row, conditional_fields=(free,)))
    assert problems_of(catalogue, inverse) == ()


def test_the_shipped_catalogue_agrees_with_itself(inverse: list[dict[str, object]]) -> None:
    assert problems_of(CATALOGUE, inverse) == ()


@pytest.mark.parametrize("name", BROKEN)
def test_a_contradiction_is_found(name: str, inverse: list[dict[str, object]]) -> None:
    make, expected = BROKEN[name]
    assert any(problem.startswith(expected) for problem in problems_of(make(), inverse))
