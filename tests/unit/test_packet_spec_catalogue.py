from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from importlib.resources import files
from types import MappingProxyType

import pytest

from packet_spec import catalogue
from packet_spec.catalogue import Catalogue, load_catalogue, read_catalogue
from packet_spec.errors import CatalogueError

CATALOGUE = load_catalogue()


def compiled() -> bytes:
    return files("packet_spec").joinpath("data", "catalogue.json").read_bytes()


def test_counts() -> None:
    assert len(CATALOGUE.business_types) == 171
    assert len(CATALOGUE.document_types) == 262
    assert len(CATALOGUE.fields) == 90
    assert sum(len(row.deadlines) for row in CATALOGUE.business_types.values()) == 125


def test_digest_is_that_of_the_compiled_bytes() -> None:
    assert hashlib.sha256(compiled()).hexdigest() == CATALOGUE.digest


def test_it_is_read_once() -> None:
    assert load_catalogue() is load_catalogue()


def test_a_row_has_typed_values() -> None:
    row = CATALOGUE.business_type("trial.indict")
    assert row.zh == "提起公诉（一审公诉）"
    assert row.senders == ("procuratorate",)
    plea = row.conditional_documents[0]
    assert (plea.when[0].field, plea.when[0].values) == ("plea", ("true",))
    assert (plea.require, plea.basis) == (("PRO-016", "PRO-017"), "CPL-176")
    ordinary = next(deadline for deadline in row.deadlines if deadline.id == "judge.ordinary")
    assert (ordinary.amount, ordinary.unit, ordinary.applies_if[0].values) == (2, "month", ("ordinary",))
    assert ordinary.extensions[0].mode == "total"
    assert row.predecessors.expect_any == ("prosecution.transfer", "prosecution.result")
    assert row.approval.customary


def test_allowed_documents_are_those_of_all_four_lists() -> None:
    row = CATALOGUE.business_type("arrest.decision")
    assert {"PRO-002", "PRO-003", "PRO-006"} <= row.allowed_documents
    assert "POL-009" not in row.allowed_documents


def test_fields_stand_in_the_order_of_the_source() -> None:
    row = CATALOGUE.business_type("arrest.request")
    order = list(CATALOGUE.fields)
    codes = [field.code for field in CATALOGUE.fields_of(row, "person")]
    assert codes == sorted(codes, key=order.index)
    assert {"person_name", "id_type", "measure_code", "custody_end"} <= set(codes)


def test_a_type_without_persons_has_no_person_block() -> None:
    assert CATALOGUE.fields_of(CATALOGUE.business_type("info.query"), "person") == ()


def test_unknown_type_is_named() -> None:
    with pytest.raises(CatalogueError) as caught:
        CATALOGUE.business_type("no.such")
    assert caught.value.found == "no.such"


def test_state_security_stands_in_for_police_but_not_the_other_way_round() -> None:
    assert CATALOGUE.plays("state_security", ("police",))
    assert not CATALOGUE.plays("police", ("state_security",))
    assert not CATALOGUE.plays("nobody", ("nobody",))


def test_kind_of_a_number() -> None:
    assert CATALOGUE.kind_of_number("03") == "procuratorate"
    assert CATALOGUE.kind_of_number("99") == ""


def test_nothing_can_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        CATALOGUE.version = "2"  # type: ignore[misc]
    lists = CATALOGUE.code_lists
    for table in (CATALOGUE.business_types, CATALOGUE.fields, lists, lists["sex"]):
        assert isinstance(table, MappingProxyType)


@pytest.mark.parametrize("change", ["missing", "too many", "row", "not json"])
def test_a_compiled_form_that_does_not_fit_is_refused(change: str) -> None:
    data = json.loads(compiled())
    if change == "missing":
        del data["fields"]
    elif change == "too many":
        data["surplus"] = 1
    elif change == "row":
        del data["business_types"][0]["level"]
    text = "{" if change == "not json" else json.dumps(data)
    with pytest.raises(CatalogueError):
        read_catalogue(text.encode())


def test_reading_gives_equal_values() -> None:
    assert read_catalogue(compiled()) == CATALOGUE
    assert isinstance(CATALOGUE, Catalogue)


def test_a_missing_compiled_form_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "COMPILED", "none.json")
    with pytest.raises(CatalogueError):
        load_catalogue.__wrapped__()


def test_the_program_does_not_import_yaml() -> None:
    code = "import sys, packet_spec.check as c; c.check_packet; sys.exit('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
