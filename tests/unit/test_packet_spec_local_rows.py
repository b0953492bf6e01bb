"""A province's own rows over the standard: what is laid over, and what is told when it cannot be."""

from __future__ import annotations

from typing import Any

import pytest

from packet_spec.catalogue import Catalogue, read_catalogue
from packet_spec.errors import CatalogueError
from packet_spec.local_rows import lay_over
from packet_spec.pack import shipped_pack

BASE = shipped_pack().compiled
NEW_TYPE = {
    "code": "local.x",
    "zh": "虚构",
    "en": "fictional",
    "category": "filing",
    "main_flow": "MF01",
    "senders": ["police"],
    "receivers": ["court"],
}


def laid(**rows: Any) -> Catalogue:
    return read_catalogue(lay_over(BASE, rows, "2.0"))


def problems(**rows: Any) -> str:
    with pytest.raises(CatalogueError) as caught:
        lay_over(BASE, rows, "2.0")
    return str(caught.value)


def test_without_rows_only_the_version_changes() -> None:
    catalogue, before = laid(), read_catalogue(BASE)
    assert catalogue.version == "2.0"
    assert catalogue.business_types == before.business_types
    assert catalogue.document_types == before.document_types


def test_a_new_row_takes_defaults_and_a_known_one_keeps_what_is_not_said() -> None:
    catalogue = laid(
        business_type=[
            NEW_TYPE
            | {
                "required_fields": ["case_name", "local_f", "persons"],
                "conditional_documents": [{"when": {"in_custody": [True]}, "require": ["POL-001"]}],
            },
            {"code": "case.report", "enabled_by_default": False},
        ],
        field=[{"code": "local_f", "zh": "虚构项", "type": "code", "code_list": "local_codes"}],
        code_list=[{"name": "local_codes", "codes": {"a": "甲"}}, {"name": "sex", "codes": {"7": "另"}}],
    )
    row = catalogue.business_type("local.x")
    assert (row.level, row.entry_point, row.approval.customary) == ("any", False, False)
    assert row.conditional_documents[0].when[0].values == ("true",)
    assert "in_custody" in {field.code for field in catalogue.fields_of(row, "person")}
    report, before = catalogue.business_type("case.report"), read_catalogue(BASE).business_type("case.report")
    assert not report.enabled_by_default
    assert report.required_documents == before.required_documents
    assert catalogue.code_lists["local_codes"] == {"a": "甲"}
    assert {"1", "2", "7"} <= catalogue.code_lists["sex"].keys()


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ({"business_type": [{"code": "local.x"}]}, "senders is missing"),
        ({"business_type": [NEW_TYPE | {"sendres": []}]}, "unknown key sendres"),
        ({"business_type": [NEW_TYPE | {"entry_point": "yes"}]}, "entry_point is of another kind"),
        ({"business_type": [NEW_TYPE | {"receivers": ["tailor"]}]}, "unknown agency kind tailor"),
        ({"business_type": [NEW_TYPE | {"required_documents": ["XXX-001"]}]}, "unknown document XXX-001"),
        ({"business_type": [NEW_TYPE | {"level": "up"}]}, "unknown level up"),
        ({"business_type": [{"zh": "x"}]}, "a row has no code"),
        ({"business_type": "x"}, "expected a list of tables"),
        ({"field": [{"code": "f", "zh": "x", "type": "texts"}]}, "unknown type texts"),
        ({"document_type": [{"code": "LOC-1", "zh": "x", "en": "x"}]}, "formats is missing"),
        ({"code_list": [{"name": "x"}]}, "expected name and codes"),
        ({"code_list": [{"name": "x", "codes": {"a": 1}}]}, "every code needs a name"),
    ],
)
def test_rows_that_cannot_be_used_are_all_told(rows: dict[str, Any], told: str) -> None:
    assert told in problems(**rows)
    both = problems(**{"document_type": [{"code": "LOC-9"}], **rows})
    assert "document_type" in both or told in both
