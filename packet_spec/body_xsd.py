"""The body schemas, written from the catalogue: one XSD 1.0 file per category over one common file.

Guarantees: pure, and the same catalogue gives the same bytes. Each business type is one element whose
children are its fields in the order of ``metadata_fields``; a field in none of its lists has no place,
one in ``required_fields`` must stand, all others may. Fields that the envelope carries are left out.

Leaves to others: everything that looks at two fields at once (``rules``); the validation (``schema``).
Known limit: list items are plain text with optional attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from packet_spec.catalogue import BusinessType, Catalogue, MetadataField
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.limits import LIST_ITEMS, PERSONS
from packet_spec.xsd_pattern import xsd_pattern

BODY_NAMESPACE: Final = "urn:exchanged:body:1"
COMMON: Final = "common"

_HEAD: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<!-- Written by `python -m packet_spec.compile_catalogue` from data/*.yaml: edit those, not this. -->
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns="{BODY_NAMESPACE}"
           targetNamespace="{BODY_NAMESPACE}" elementFormDefault="qualified">
"""
_TAIL: Final = "</xs:schema>\n"
# A code without a list (docs/packet-format.md, body).
_CODE: Final = r"[A-Za-z0-9_.\-]{1,64}"
_DOCUMENT: Final = "[A-Z]{3}-[0-9]{3}"

# The types that are neither a code list, a pattern nor a text of some length: base and facets.
_PLAIN_TYPES: Final[Mapping[str, tuple[str, tuple[tuple[str, str], ...]]]] = {
    "bool": ("xs:boolean", (("pattern", "true|false"),)),
    "date": ("xs:date", (("pattern", "[0-9]{4}-[0-9]{2}-[0-9]{2}"),)),
    # xs:dateTime takes 24:00 too, which no packet may hold (domain catalogue, part 2.2).
    "datetime": ("xs:dateTime", (("pattern", r".*T([01][0-9]|2[0-3]):.*(Z|[+\-][0-9]{2}:[0-9]{2})"),)),
    "integer": ("xs:nonNegativeInteger", (("maxInclusive", "999999"),)),
    "decimal": ("xs:decimal", (("minInclusive", "0"), ("totalDigits", "18"), ("fractionDigits", "2"))),
    "code.free": ("xs:token", (("pattern", _CODE),)),
    "code.document": ("xs:token", (("pattern", _DOCUMENT),)),
}


def body_fields(
    catalogue: Catalogue, business_type: BusinessType, scope: str
) -> tuple[tuple[MetadataField, bool], ...]:
    """The fields of ``scope`` that a body of this type has, in order, each with whether it must stand."""
    required = {*business_type.required_fields}
    if scope == "person":
        required |= {*catalogue.person_block.required}
    return tuple(
        (field, field.code in required)
        for field in catalogue.fields_of(business_type, scope)
        if field.code not in ENVELOPE_FIELDS
    )


def body_schemas(catalogue: Catalogue) -> dict[str, bytes]:
    """File name -> bytes of every body schema."""
    schemas = {f"{COMMON}.xsd": _document(_common(catalogue))}
    for category in catalogue.categories:
        types = catalogue.business_types.values()
        rows = [row for row in types if row.category == category and not row.schema]
        lines = [f'  <xs:include schemaLocation="{COMMON}.xsd"/>']
        for row in rows:
            lines += ["", *_element(catalogue, row)]
        schemas[f"{category}.xsd"] = _document(lines)
    return schemas


def _document(lines: Iterable[str]) -> bytes:
    return (_HEAD + "".join(f"{line}\n" for line in lines) + _TAIL).encode()


def _common(catalogue: Catalogue) -> Iterator[str]:
    yield "  <!-- White space around a value does not count; an empty value is not a value. -->"
    lengths = {catalogue.fields[code].max_length for code in catalogue.fields}
    for length in sorted(lengths):
        yield from _simple(f"text.{length}", "xs:token", (("minLength", "1"), ("maxLength", str(length))))
    for name, (base, facets) in _PLAIN_TYPES.items():
        yield from _simple(name, base, facets)
    yield '  <xs:complexType name="code">'
    yield "    <xs:simpleContent>"
    yield '      <xs:extension base="code.free"><xs:attribute name="system" type="code.free"/></xs:extension>'
    yield "    </xs:simpleContent>"
    yield "  </xs:complexType>"
    for name, pattern in catalogue.patterns.items():
        yield from _simple(f"pattern.{name}", "xs:token", (("pattern", xsd_pattern(pattern.regex)),))
    for name, codes in catalogue.code_lists.items():
        yield f'  <xs:simpleType name="code.{name}">'
        yield '    <xs:restriction base="xs:token">'
        for code, zh in codes.items():
            yield f"      <xs:enumeration value={quoteattr(code)}>{_documentation('zh', zh)}</xs:enumeration>"
        yield "    </xs:restriction>"
        yield "  </xs:simpleType>"
    for field in catalogue.fields.values():
        if field.type == "list" and field.code != "persons":
            yield from _list(catalogue, field)


def _simple(name: str, base: str, facets: Iterable[tuple[str, str]]) -> Iterator[str]:
    inner = "".join(f"<xs:{facet} value={quoteattr(value)}/>" for facet, value in facets)
    yield f'  <xs:simpleType name="{name}">'
    yield f'    <xs:restriction base="{base}">{inner}</xs:restriction>'
    yield "  </xs:simpleType>"


def _list(catalogue: Catalogue, field: MetadataField) -> Iterator[str]:
    item = "code.document" if field.items == "document" else f"text.{catalogue.fields[field.code].max_length}"
    yield f'  <xs:complexType name="list.{field.code}">'
    yield "    <xs:sequence>"
    if field.item_attributes:
        yield f'      <xs:element name="item" maxOccurs="{LIST_ITEMS}">'
        yield "        <xs:complexType>"
        yield "          <xs:simpleContent>"
        yield f'            <xs:extension base="{item}">'
        for attribute in field.item_attributes:
            yield f'              <xs:attribute name="{attribute}" type="{item}"/>'
        yield "            </xs:extension>"
        yield "          </xs:simpleContent>"
        yield "        </xs:complexType>"
        yield "      </xs:element>"
    else:
        yield f'      <xs:element name="item" type="{item}" maxOccurs="{LIST_ITEMS}"/>'
    yield "    </xs:sequence>"
    yield "  </xs:complexType>"


def _element(catalogue: Catalogue, row: BusinessType) -> Iterator[str]:
    yield f'  <xs:element name="{row.code}">'
    yield f"    {_documentation('zh', row.zh)}"
    yield "    <xs:complexType>"
    yield "      <xs:sequence>"
    for field, required in body_fields(catalogue, row, "packet"):
        if field.code == "persons":
            yield from _persons(catalogue, row, required=required)
        else:
            yield from _field(row, field, required=required, indent=8)
    yield "      </xs:sequence>"
    yield "    </xs:complexType>"
    yield "  </xs:element>"


def _persons(catalogue: Catalogue, row: BusinessType, *, required: bool) -> Iterator[str]:
    yield f'        <xs:element name="persons"{_occurrence(required)}>'
    yield "          <xs:complexType>"
    yield "            <xs:sequence>"
    yield f'              <xs:element name="person" maxOccurs="{PERSONS}">'
    yield "                <xs:complexType>"
    yield "                  <xs:sequence>"
    for field, must in body_fields(catalogue, row, "person"):
        yield from _field(row, field, required=must, indent=20)
    yield "                  </xs:sequence>"
    yield "                </xs:complexType>"
    yield "              </xs:element>"
    yield "            </xs:sequence>"
    yield "          </xs:complexType>"
    yield "        </xs:element>"


def _field(row: BusinessType, field: MetadataField, *, required: bool, indent: int) -> Iterator[str]:
    space = " " * indent
    opening = f'{space}<xs:element name="{field.code}"'
    if field.code == "decision_code" and row.outcome_codes:
        yield f"{opening}{_occurrence(required)}>"
        yield f'{space}  <xs:simpleType><xs:restriction base="xs:token">'
        for code in row.outcome_codes:
            yield f'{space}    <xs:enumeration value="{code}"/>'
        yield f"{space}  </xs:restriction></xs:simpleType>"
        yield f"{space}</xs:element>"
    else:
        yield f'{opening} type="{_type_of(field)}"{_occurrence(required)}/>'


def _type_of(field: MetadataField) -> str:
    if field.type == "string":
        return f"text.{field.max_length}"
    if field.type == "code":
        return f"code.{field.code_list}" if field.code_list else "code"
    if field.type == "list":
        return f"list.{field.code}"
    return "pattern.agency" if field.type == "agency" else field.type


def _occurrence(required: bool) -> str:
    return "" if required else ' minOccurs="0"'


def _documentation(language: str, text: str) -> str:
    return (
        f'<xs:annotation><xs:documentation xml:lang="{language}">{escape(text)}</xs:documentation>'
        "</xs:annotation>"
    )
