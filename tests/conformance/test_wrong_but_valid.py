"""What fits every schema and is wrong all the same: what the rules find, and what they let pass.

One row for each kind of mistake, with its verdict. What no rule speaks of is delivered as it is; a pack of a
province may hold rules of its own (``examples/local-pack``), which then decide. Whether a case belongs to
others is known at the admitting node alone (tests/custody/test_attackers.py, C17), how many pages a document
has where it lies (tests/unit/frontend_server_sending/test_documents.py).
"""

from __future__ import annotations

from typing import Any

import pytest

from packet_spec.findings import Outcome
from tests.conformance.case_packets import load_case, row_of
from tests.conformance.test_sample_cases import check
from tests.unit.test_packet_spec_pack_choice import COUNT, LOCAL, codes, named

CASE = load_case("dangerous_driving")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def card(birth: str, number: str = "701") -> str:
    """An identity card's number with that birth date (YYYYMMDD) and the right check digit (GB 11643)."""
    digits = f"620199{birth}{number}"
    return digits + "10X98765432"[sum(int(d) * w for d, w in zip(digits, _WEIGHTS, strict=True)) % 11]


# What is wrong, how row 2 of the case is changed, and the codes found. None: it is delivered as it is.
TABLE: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing": ({}, []),
    "another birth date than on the card": ({"person": {"birth_date": "1991-03-07"}}, ["id-number-differs"]),
    "another sex than on the card": ({"person": {"sex": "2"}}, ["id-number-differs"]),
    "born after the packet was made": (
        {"person": {"id_no": card("20990307"), "birth_date": "2099-03-07"}},
        ["id-number-birth-date"],
    ),
    "born on a day that never was": (
        {"person": {"id_no": card("19900230"), "birth_date": None}},
        ["id-number-birth-date"],
    ),
    "filed before the person was born": ({"fields": {"filed_date": "1989-01-01"}}, []),
    "filed on a date that stands for none": ({"fields": {"filed_date": "1900-01-01"}}, ["date-placeholder"]),
    "more volumes than are there": ({"fields": {"volume_count": "9"}}, []),
    "fewer pages than are there": ({"fields": {"page_count": "1"}}, []),
    "no volume at all": ({"fields": {"volume_count": "0"}}, []),
    "a document type less than its values ask for": (
        {"documents": [code for code in row_of(CASE, 2)["documents"] if code != "POL-022"]},
        ["document-missing-conditional"],
    ),
}


@pytest.mark.parametrize("wrong", TABLE)
def test_f47_what_the_rules_of_the_standard_find(wrong: str, record_property: Any) -> None:
    changes, found = TABLE[wrong]
    row = row_of(CASE, 2)
    if "fields" in changes:
        changes = {"fields": row["fields"] | changes["fields"]}
    result = check(CASE, row | changes)
    assert [finding.code for finding in result.verdict.findings] == found
    assert result.verdict.outcome is (Outcome.REFUSED if found else Outcome.VALID)
    record_property("verdicts", 1)


@pytest.mark.parametrize(
    ("total", "pack", "verdict"),
    [
        ("23", True, ("valid", [])),
        ("24", True, ("refused", ["schema-rule-broken"])),
        ("24", False, ("refused", ["type-unknown"])),
    ],
)
def test_f47_counts_that_differ_are_found_by_the_rules_of_a_local_pack(
    total: str, pack: bool, verdict: tuple[str, list[str]], record_property: Any
) -> None:
    packs = (named(LOCAL),) if pack else ()
    outcome, found, _ = codes(COUNT.format(total=total), *packs)
    assert (outcome, found) == verdict
    record_property("verdicts", 1)
