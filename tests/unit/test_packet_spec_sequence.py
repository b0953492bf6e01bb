from __future__ import annotations

import pytest

from packet_spec.catalogue import load_catalogue
from packet_spec.errors import CatalogueError
from packet_spec.findings import Severity
from packet_spec.sequence import check_sequence
from packet_spec.sequence_policy import SequencePolicy

CATALOGUE = load_catalogue()
ENFORCE, WARN, OFF = SequencePolicy.ENFORCE, SequencePolicy.WARN, SequencePolicy.OFF


def codes(business_type: str, *history: str, policy: SequencePolicy = ENFORCE) -> list[tuple[str, Severity]]:
    found = check_sequence(business_type, history, CATALOGUE, policy)
    return [(finding.code, finding.severity) for finding in found]


def test_an_entry_point_may_begin_a_case() -> None:
    assert codes("prosecution.transfer") == []


def test_an_entry_point_inside_a_case_has_its_usual_predecessors() -> None:
    assert codes("prosecution.transfer", "legalaid.duty.request") == [("predecessor-expected", Severity.WARN)]
    assert codes("prosecution.transfer", "case.report") == []


def test_any_one_of_the_required_is_enough() -> None:
    assert codes("execution.return", "execution.deprivation") == []
    assert codes("execution.return", "trial.judgment") == [("predecessor-missing", Severity.REFUSE)]


def test_the_required_may_be_long_ago() -> None:
    assert codes("trial.judgment", "trial.indict", "trial.schedule.notice", "trial.appear.notice") == []


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (ENFORCE, [("predecessor-missing", Severity.REFUSE)]),
        (WARN, [("predecessor-missing", Severity.WARN)]),
        (OFF, []),
    ],
)
def test_policy_for_a_missing_predecessor(
    policy: SequencePolicy, expected: list[tuple[str, Severity]]
) -> None:
    assert codes("arrest.decision", policy=policy) == expected
    assert codes("arrest.decision", "case.report", policy=policy) == expected


@pytest.mark.parametrize("policy", [ENFORCE, WARN])
def test_what_is_merely_usual_never_refuses(policy: SequencePolicy) -> None:
    assert codes("trial.indict", "case.report", policy=policy) == [("predecessor-expected", Severity.WARN)]


def test_both_kinds_of_predecessor_are_not_reported_together() -> None:
    assert codes("custody.extend.request", "case.report") == [("predecessor-missing", Severity.REFUSE)]
    usual = codes("custody.extend.request", "arrest.execution.return")
    assert usual == [("predecessor-expected", Severity.WARN)]


JUDGED = ("prosecution.transfer", "trial.indict", "trial.judgment")


@pytest.mark.parametrize("policy", [ENFORCE, WARN])
def test_forbidden_after(policy: SequencePolicy) -> None:
    assert codes("trial.indict", *JUDGED, policy=policy) == [("forbidden-after", Severity.REFUSE)]
    assert codes("trial.indict", *JUDGED, policy=OFF) == []


@pytest.mark.parametrize("reopener", ["appeal.remand", "trial.withdraw.ruling", "retrial.decision"])
def test_a_reopener_seen_later_lifts_it(reopener: str) -> None:
    assert codes("trial.indict", *JUDGED, "appeal.transfer", reopener) == []


def test_a_reopener_seen_before_does_not() -> None:
    assert codes("trial.indict", "appeal.remand", *JUDGED) == [("forbidden-after", Severity.REFUSE)]


def test_a_second_judgment_forbids_again() -> None:
    again = (*JUDGED, "appeal.remand", "trial.indict", "trial.judgment", "execution.deliver")
    assert codes("trial.indict", *again) == [("forbidden-after", Severity.REFUSE)]


def test_a_forbidden_entry_point_is_forbidden() -> None:
    assert codes("arrest.request", "prosecution.transfer") == [
        ("forbidden-after", Severity.REFUSE),
        ("predecessor-expected", Severity.WARN),
    ]
    assert codes("arrest.request", "case.report", "prosecution.transfer", "supplement.return") == []


def test_wild_predecessors() -> None:
    assert codes("common.accept", "case.report") == [("predecessor-expected", Severity.WARN)]
    assert codes("common.accept", "arrest.request") == []
    assert codes("common.correct") == [("predecessor-expected", Severity.WARN)]
    assert codes("common.correct", "case.report") == []


def test_types_of_another_catalogue_in_the_history_do_no_harm() -> None:
    assert codes("trial.judgment", "old.type", "trial.indict") == []


def test_mended_predecessors() -> None:
    assert codes("dossier.response", "dossier.read.online") == []
    assert codes("arrest.execution.return", "arrest.order") == []
    assert codes("correction.receipt", "correction.place.change") == []
    assert codes("execution.deliver", "trial.judgment", "appeal.judgment") == []


def test_the_sentence_names_both_types() -> None:
    (finding,) = check_sequence("arrest.decision", (), CATALOGUE, ENFORCE)
    assert "提请批准逮捕（报捕）（arrest.request）" in finding.zh
    assert "arrest.decision" in finding.en


def test_an_unknown_type_raises() -> None:
    with pytest.raises(CatalogueError):
        check_sequence("no.such", (), CATALOGUE, OFF)
