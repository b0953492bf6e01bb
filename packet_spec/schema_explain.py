"""Why a body was refused, value by value, in a clerk's words: xmlschema's findings about one business type.

Guarantees: decides only where libxml2 cannot, which is XSD 1.1; otherwise an error of xmlschema itself
leaves the refusal without explanation. Importing this module imports xmlschema, which takes a fifth of a
second: ``schema`` does so when a body was refused.

Leaves to others: children that are missing, misplaced or not allowed (``schema``), because a content model
stops at its first wrong child.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Final, cast

from lxml import etree
from xmlschema import (
    XMLSchema10,
    XMLSchema11,
    XMLSchemaChildrenValidationError,
    XMLSchemaException,
    XMLSchemaValidationError,
)

from packet_spec.catalogue import BusinessType, Catalogue, MetadataField
from packet_spec.errors import FormatError, ValidatorError
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS
from packet_spec.pack import Pack, needs_xsd_11, schema_document
from packet_spec.sentences import make_finding
from packet_spec.xml import Element, Violation, line_of, local_name

_ATTRIBUTE_VALUE: Final = re.compile(r"attribute (\w+)=")
_NOT_OF_TYPE: Final = "SCHEMAV_CVC_DATATYPE_VALID_1_2_1"
# What a value of each type looks like, in words that fit both languages.
_EXAMPLES: Final = {
    "bool": "true | false",
    "date": "2026-07-15",
    "datetime": "2026-07-15T09:30:00+08:00",
    "integer": "0, 1, 2 … 999999",
    "decimal": "1234.56",
    "agency": "620199-01-00",
    "code": "A-Z a-z 0-9 _ . - (1-64)",
    "document": "POL-020",
}


def value_findings(
    pack: Pack, row: BusinessType, body: Element, violations: Iterable[Violation]
) -> Iterator[Finding]:
    """One finding for each value, attribute or stray text that xmlschema names; none where it fails.

    Values that libxml2 alone refuses (``violations``) follow: xmlschema takes the digits of every script.
    """
    try:
        errors = list(islice(explainer(pack, row).iter_errors(body), FINDINGS))
    except (XMLSchemaException, FormatError):
        return  # the refusal stands without its explanation
    named: set[str] = set()
    for error in errors:
        if row.schema or not isinstance(error, XMLSchemaChildrenValidationError):
            finding = _value_finding(pack.catalogue, row, body, error)
            named.add(finding.element)
            yield finding
    for violation in violations:
        other = _other_value(pack.catalogue, body, violation)
        if other is not None and other.element not in named:
            yield other


def violations_of(body: Element, pack: Pack, row: BusinessType) -> tuple[Violation, ...]:
    """What xmlschema says against a body whose schema needs XSD 1.1; empty when it is valid.

    Raises ValidatorError when xmlschema fails by itself.
    """
    try:
        errors = list(islice(explainer(pack, row).iter_errors(body), FINDINGS))
    except (XMLSchemaException, FormatError, RecursionError) as error:
        raise ValidatorError("xmlschema could not validate a body", where=row.code) from error
    nodes = (body if error.elem is None else cast("Element", error.elem) for error in errors)
    return tuple(Violation("", line_of(node) or 0, "", "") for node in nodes)


def _other_value(catalogue: Catalogue, body: Element, violation: Violation) -> Finding | None:
    """The value of a field that libxml2 refuses; its paths begin at the body's own element."""
    if violation.kind != _NOT_OF_TYPE or ", attribute '" in violation.message:
        return None
    nodes = body.xpath("." + violation.path.removeprefix("/*"))
    node = nodes[0] if isinstance(nodes, list) and nodes else None
    if not isinstance(node, etree._Element):  # noqa: SLF001 - lxml has no other name for it
        return None
    path = _path_below(body, node)
    field = _field_at(catalogue, path)
    example = "" if field is None else _EXAMPLES.get(field.items or field.type, "")
    text = (node.text or "").strip()
    return make_finding("value-wrong", line=violation.line, element=path, expected=example, found=text)


@lru_cache(maxsize=32)
def explainer(pack: Pack, row: BusinessType, validation: str = "skip") -> XMLSchema10 | XMLSchema11:
    """The schema of one business type as xmlschema sees it; a whole category would take seconds to build.

    That a pack's schemas are schemas is proved when it is accepted (``validation="strict"``); to prove it
    again would take six times as long as the rest. Raises XMLSchemaException for a schema that is wrong,
    PackError when the pack has none.
    """
    file = pack.schema_file(row)
    document = schema_document(pack, file, row.code)
    kind = XMLSchema11 if needs_xsd_11(pack, file) else XMLSchema10
    return kind(etree.tostring(document, encoding="unicode"), validation=validation)


def _value_finding(
    catalogue: Catalogue, row: BusinessType, body: Element, error: XMLSchemaValidationError
) -> Finding:
    # xmlschema hands back the nodes it was given, which are lxml's.
    node = body if error.elem is None else cast("Element", error.elem)
    path, line = _path_below(body, node), line_of(node)
    text = "" if len(node) else (node.text or "").strip()
    kind = type(error.validator).__name__
    attribute = _ATTRIBUTE_VALUE.match(error.reason or "")
    if kind == "XsdAttributeGroup":
        return make_finding(
            "attribute-not-allowed", line=line, element=path, found=", ".join(sorted(map(str, node.attrib)))
        )
    if attribute is not None:
        return make_finding(
            "value-wrong",
            line=line,
            element=f"{path}/@{attribute[1]}",
            expected=_EXAMPLES["code"],
            found=str(node.get(attribute[1], "")),
        )
    field = _field_at(catalogue, path)
    if row.schema and (field is None or len(node)):
        # A schema of its own may say anything: name the place, and what the schema says to it.
        return make_finding("schema-rule-broken", line=line, element=path, expected=_rule_of(error))
    if kind == "XsdGroup" or len(node) or field is None:
        return make_finding("text-not-allowed", line=line, element=path)
    if not text:
        return make_finding("field-empty", line=line, element=path)
    codes = row.outcome_codes if field.code == "decision_code" else _codes(catalogue, field)
    if codes:
        return make_finding(
            "code-not-in-list", line=line, element=path, expected=", ".join(codes), found=text
        )
    if kind == "XsdMaxLengthFacet":
        return make_finding("value-too-long", line=line, element=path, expected=str(field.max_length))
    example = _EXAMPLES.get(field.items or field.type, "")
    return make_finding("value-wrong", line=line, element=path, expected=example, found=text)


def _rule_of(error: XMLSchemaValidationError) -> str:
    """What the schema wants, from its own words: the test of an assertion, or the children that may stand."""
    test = getattr(error.validator, "path", None)
    if type(error.validator).__name__ == "XsdAssert" and test:
        return str(test)
    if isinstance(error, XMLSchemaChildrenValidationError) and error.expected:
        return ", ".join(str(each.local_name) for each in error.expected if each.local_name)
    name = getattr(error.validator, "local_name", None)
    return str(name or type(error.validator).__name__.removeprefix("Xsd"))


def _codes(catalogue: Catalogue, field: MetadataField) -> tuple[str, ...]:
    return tuple(catalogue.code_lists[field.code_list]) if field.code_list else ()


def _field_at(catalogue: Catalogue, path: str) -> MetadataField | None:
    names = [re.sub(r"\[\d+\]$", "", step) for step in path.split("/")]
    return next((catalogue.fields[name] for name in reversed(names) if name in catalogue.fields), None)


def _path_below(body: Element, node: Element) -> str:
    """``persons/person[2]/id_no``: persons and items are counted, fields are not; ``body`` for itself."""
    steps: list[str] = []
    here, parent = node, node.getparent()
    while here is not body and parent is not None:
        name = local_name(here)
        counted = name in {"person", "item"}
        steps.append(f"{name}[{parent.findall(here.tag).index(here) + 1}]" if counted else name)
        here, parent = parent, parent.getparent()
    return "/".join(reversed(steps)) or "body"
