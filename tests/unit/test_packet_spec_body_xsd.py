"""Catalogue and body schemas agree, and the translated patterns match the same texts in both validators."""

from __future__ import annotations

from importlib.resources import files

import pytest
import xmlschema
from lxml import etree

from packet_spec.body_xsd import body_fields, body_schemas
from packet_spec.catalogue import load_catalogue
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.errors import CatalogueError
from packet_spec.xsd_pattern import xsd_pattern

CATALOGUE = load_catalogue()
XS = "{http://www.w3.org/2001/XMLSchema}"

NEAR_MISSES = {
    "court_case_no": (
        "（2022）甘0102刑初123号之",
        "(2022)甘0102刑初123号",
        "（2022）西0102刑初123号",
        "（2022）甘010刑初123号",
        "（２０２２）甘0102刑初123号",
        "（2022）甘0102刑初123号 x",
    ),
    "court_case_no_old": ("（2014）城刑初字123号", "（1814）城刑初字第123号"),
    "police_case_no": ("A6201020000002026130001", "J6201020000002026080001", "A620102000000202608001"),
    "proc_case_no": ("6201022026001230", "62010218260012300"),
    "id_card": ("01010519491231002X", "11010519491331002X", "11010519491231002x", "11010517491231002X"),
    "uscc": ("11620199MB9900013I", "1162O199MB9900013D", "11620199MB9900013"),
    "division": ("62010", "６20102"),
    "agency": ("620102-01-0", "620102-01-000", "620102_01_00"),
    "paper_passport": ("E123", "E1234567890123456", "e1234567"),
    "paper_hk_macao": ("H123456789", "A12345678", "H1234567"),
    "paper_taiwan": ("1234567", "123456789", "1234567A"),
    "paper_residence_permit": ("840000199001010016", "81000019900101001", "81000019900101001Y"),
    "paper_foreign_permit": ("811000199001010016", "ABC12345678901", "AB123456789012"),
}


def stood_alone(pattern: str) -> str:
    return (
        f'<xs:schema xmlns:xs="{XS[1:-1]}"><xs:element name="v"><xs:simpleType>'
        f'<xs:restriction base="xs:token"><xs:pattern value="{pattern}"/></xs:restriction>'
        "</xs:simpleType></xs:element></xs:schema>"
    )


@pytest.mark.parametrize("name", CATALOGUE.patterns)
def test_pattern_means_the_same_to_both_validators(name: str) -> None:
    pattern = CATALOGUE.patterns[name]
    schema = stood_alone(xsd_pattern(pattern.regex))
    fast, slow = etree.XMLSchema(etree.fromstring(schema)), xmlschema.XMLSchema10(schema)
    cases = [(pattern.example, True), *((text, False) for text in NEAR_MISSES[name])]
    for text, expected in cases:
        element = etree.fromstring(f"<v>{text}</v>")
        assert (text, fast.validate(element), slow.is_valid(element)) == (text, expected, expected)


@pytest.mark.parametrize(
    ("python", "xsd"),
    [
        (r"^(?P<a>\d)(?:b|c)$", "([0-9])(b|c)"),
        (r"^[\d\u002d\u4e00]+\.$", r"[0-9\-一]+\."),
        (r"^\u002ex$", r"\.x"),
        (r"^[^\]]$", r"[^\]]"),
    ],
)
def test_translation(python: str, xsd: str) -> None:
    assert xsd_pattern(python) == xsd


@pytest.mark.parametrize(
    "python",
    [
        *("abc", "^abc", r"^abc\$", "^a.c$", "^(?=a)b$", "^(?i:a)$"),
        *(r"^\w$", r"^(a)\1$", "^a+?$", "^a|^b$", "^[[a]$", "^a]$"),
    ],
)
def test_what_xsd_cannot_say_is_not_translated(python: str) -> None:
    with pytest.raises(CatalogueError):
        xsd_pattern(python)


def declared(parent: etree._Element) -> list[tuple[str, bool]]:
    rows = parent.findall(f"{XS}complexType/{XS}sequence/{XS}element")
    return [(str(row.get("name")), row.get("minOccurs") != "0") for row in rows]


def schema_of(category: str) -> etree._Element:
    path = files("packet_spec").joinpath("schemas", "body", f"{category}.xsd")
    return etree.fromstring(path.read_bytes())


@pytest.mark.parametrize("category", CATALOGUE.categories)
def test_schema_has_every_type_with_its_fields_in_order(category: str) -> None:
    declarations = schema_of(category).findall(f"{XS}element")
    elements = {str(element.get("name")): element for element in declarations}
    rows = [row for row in CATALOGUE.business_types.values() if row.category == category]
    assert list(elements) == [row.code for row in rows]
    order = list(CATALOGUE.fields)
    for row in rows:
        packet = declared(elements[row.code])
        allowed = [
            code
            for code in order
            if code in row.allowed_fields
            and CATALOGUE.fields[code].scope == "packet"
            and code not in ENVELOPE_FIELDS
        ]
        assert packet == [(code, code in row.required_fields) for code in allowed]
        person = elements[row.code].find(f".//{XS}element[@name='person']")
        if "persons" in row.allowed_fields:
            assert person is not None
            names = dict(declared(person))
            assert {code for code, must in names.items() if must} == {
                *CATALOGUE.person_block.required,
                *(code for code in row.required_fields if CATALOGUE.fields[code].scope == "person"),
            }
            assert list(names) == sorted(names, key=order.index)
        else:
            assert person is None


def test_no_body_repeats_what_the_envelope_carries() -> None:
    for row in CATALOGUE.business_types.values():
        for scope in ("packet", "person"):
            codes = {field.code for field, _ in body_fields(CATALOGUE, row, scope)}
            assert codes.isdisjoint(ENVELOPE_FIELDS)


def test_the_same_catalogue_gives_the_same_bytes() -> None:
    first, second = body_schemas(CATALOGUE), body_schemas(CATALOGUE)
    assert first == second
    assert set(first) == {"common.xsd", *(f"{category}.xsd" for category in CATALOGUE.categories)}


def test_outcome_codes_stand_in_the_schema() -> None:
    element = schema_of("arrest").find(f"{XS}element[@name='arrest.decision']")
    assert element is not None
    codes = element.findall(f".//{XS}element[@name='decision_code']//{XS}enumeration")
    row = CATALOGUE.business_type("arrest.decision")
    assert [code.get("value") for code in codes] == list(row.outcome_codes)
