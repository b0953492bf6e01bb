"""Whether a body fits its schema: lxml decides, xmlschema explains.

Guarantees: the answer valid or not is libxml2's alone, from the shipped schemas/body; a refused body has at
least one finding. Schemas are compiled when first needed, one per category. xmlschema is imported and asked
only about bodies that were refused, and not about very large ones.

Leaves to others: everything that looks at two fields at once (``rules``). Where the validator itself fails,
ValidatorError is raised and the packet is held.

Both validators stop a content model at its first wrong child; so what is missing, repeated, misplaced or
not allowed is found by comparing the children with the field list from which the schema was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Final, cast

from lxml import etree

from packet_spec.body_xsd import BODY_NAMESPACE, COMMON, body_fields
from packet_spec.catalogue import BusinessType, Catalogue, MetadataField, load_catalogue
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.errors import FormatError, ValidatorError
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS, KIB, MIB
from packet_spec.rule_subject import person_element
from packet_spec.sentences import element_label_zh, make_finding
from packet_spec.xml import Element, Schema, line_of, local_name, parse_document, validate

if TYPE_CHECKING:
    from xmlschema import XMLSchema10, XMLSchemaValidationError

# xmlschema needs about two seconds for a megabyte; beyond this, libxml2's lines must do.
_EXPLAINED_BYTES: Final = 256 * KIB
_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_NAMESPACE: Final = f"{{{BODY_NAMESPACE}}}"
_ATTRIBUTE_VALUE: Final = re.compile(r"attribute (\w+)=")

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


def validate_body(body: Element, business_type: str) -> tuple[Finding, ...]:
    """What is wrong with ``body``, the one element inside ``<body>``: at most ``limits.FINDINGS``, or empty.

    Paths in findings are below the body's element. Raises CatalogueError for an unknown business type and
    ValidatorError when the validator fails by itself.
    """
    catalogue = load_catalogue()
    row = catalogue.business_type(business_type)
    if body.tag != _NAMESPACE + business_type:
        return (
            make_finding(
                "body-mismatch",
                line=line_of(body),
                element="body",
                expected=business_type,
                found=local_name(body),
            ),
        )
    schema = _category_schema(row.category)
    try:
        violations = validate(body, schema)
    except etree.LxmlError as error:
        raise ValidatorError("libxml2 could not validate a body", where=business_type) from error
    if not violations:
        return ()
    found = [*_structure_findings(catalogue, row, body), *_value_findings(catalogue, row, body)]
    if not found:
        lines = sorted({violation.line for violation in violations})
        found = [make_finding("body-not-valid", line=line, element="body") for line in lines]
    return tuple(found[:FINDINGS])


@cache
def _category_schema(category: str) -> Schema:
    """The compiled schema of a category. Raises ValidatorError when it cannot be read or compiled."""
    try:
        return etree.XMLSchema(_schema_document(category))
    except (OSError, FormatError, etree.LxmlError) as error:
        raise ValidatorError("a body schema cannot be used", where=category) from error


def _schema_document(category: str, only: str = "") -> Element:
    """The category's schema with the common one put in the place of its include.

    Joined here, because an include would make libxml2 open files. ``only`` leaves one business type.
    """
    folder = files("packet_spec").joinpath("schemas", "body")
    root, common = (
        parse_document(folder.joinpath(f"{name}.xsd").read_bytes(), limit_bytes=MIB)
        for name in (category, COMMON)
    )
    for child in list(root):
        other = child.tag == f"{_XS}element" and child.get("name") != only
        if child.tag == f"{_XS}include" or (only and other):
            root.remove(child)
    for position, child in enumerate(list(common)):
        root.insert(position, child)
    return root


def _structure_findings(catalogue: Catalogue, row: BusinessType, body: Element) -> Iterator[Finding]:
    yield from _children_findings(body, body_fields(catalogue, row, "packet"), "")
    for persons in body.findall(f"{_NAMESPACE}persons"):
        yield from _only_children(persons, "persons", "person", empty="field-missing")
        for number, person in enumerate(persons.findall(f"{_NAMESPACE}person"), 1):
            yield from _children_findings(
                person, body_fields(catalogue, row, "person"), person_element(number, "")
            )
    for field, _ in body_fields(catalogue, row, "packet"):
        if field.type == "list" and field.code != "persons":
            for element in body.findall(_NAMESPACE + field.code):
                yield from _only_children(element, field.code, "item", empty="field-empty")


def _only_children(parent: Element, path: str, name: str, *, empty: str) -> Iterator[Finding]:
    if not len(parent):
        yield make_finding(empty, line=line_of(parent), element=path)
    for child in parent:
        if child.tag != _NAMESPACE + name:
            stranger = f"{path}/{local_name(child)}"
            yield make_finding("field-not-allowed", line=line_of(child), element=stranger)


def _children_findings(
    parent: Element, fields: Sequence[tuple[MetadataField, bool]], prefix: str
) -> Iterator[Finding]:
    order = {field.code: position for position, (field, _) in enumerate(fields)}
    seen: list[str] = []
    for child in parent:
        code = local_name(child)
        element = prefix + code
        if child.tag != _NAMESPACE + code or code not in order:
            yield _stranger(child, code, element)
        elif code in seen:
            yield make_finding("field-repeated", line=line_of(child), element=element)
        else:
            later = [name for name in seen if order[name] > order[code]]
            if later:
                yield make_finding(
                    "field-misplaced",
                    line=line_of(child),
                    element=element,
                    expected=element_label_zh(min(later, key=order.__getitem__)),
                )
            seen.append(code)
    for field, required in fields:
        if required and field.code not in seen:
            yield make_finding("field-missing", line=line_of(parent), element=prefix + field.code)


def _stranger(child: Element, code: str, element: str) -> Finding:
    if code in ENVELOPE_FIELDS:
        return make_finding(
            "field-belongs-in-envelope",
            line=line_of(child),
            element=element,
            expected=ENVELOPE_FIELDS[code].path,
        )
    return make_finding("field-not-allowed", line=line_of(child), element=element)


def _value_findings(catalogue: Catalogue, row: BusinessType, body: Element) -> Iterator[Finding]:
    """What xmlschema says about values, attributes and stray text; nothing for very large bodies."""
    import xmlschema

    if len(etree.tostring(body)) > _EXPLAINED_BYTES:
        return
    try:
        errors = list(islice(_explainer(row.category, row.code).iter_errors(body), FINDINGS))
    except xmlschema.XMLSchemaException:
        return  # the refusal stands without its explanation
    for error in _about_values(errors):
        yield _value_finding(catalogue, row, body, error)


@lru_cache(maxsize=32)
def _explainer(category: str, business_type: str) -> XMLSchema10:
    # One business type at a time: a whole category takes seconds to build.
    import xmlschema

    document = _schema_document(category, business_type)
    return xmlschema.XMLSchema10(etree.tostring(document, encoding="unicode"))


def _about_values(errors: Iterable[XMLSchemaValidationError]) -> Iterator[XMLSchemaValidationError]:
    import xmlschema

    for error in errors:
        if not isinstance(error, xmlschema.XMLSchemaChildrenValidationError):
            yield error


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


def _codes(catalogue: Catalogue, field: MetadataField) -> tuple[str, ...]:
    return tuple(catalogue.code_lists[field.code_list]) if field.code_list else ()


def _field_at(catalogue: Catalogue, path: str) -> MetadataField | None:
    names = [re.sub(r"\[\d+\]$", "", step) for step in path.split("/")]
    return next((catalogue.fields[name] for name in reversed(names) if name in catalogue.fields), None)


def _path_below(body: Element, node: Element) -> str:
    """``persons/person[2]/id_no``: persons and items are counted, fields are not; ``body`` for itself."""
    steps: list[str] = []
    here = node
    while here is not body:
        parent = here.getparent()
        if parent is None:
            break
        name = local_name(here)
        counted = name in {"person", "item"}
        steps.append(f"{name}[{parent.findall(here.tag).index(here) + 1}]" if counted else name)
        here = parent
    return "/".join(reversed(steps)) or "body"
