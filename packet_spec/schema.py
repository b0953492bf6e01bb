"""Whether a body fits its schema in a pack: lxml decides, xmlschema explains.

Guarantees: within the limits of sizes, the answer valid or not is libxml2's alone, or xmlschema's alone for
a schema that needs XSD 1.1; a refused body has at least one finding. Schemas are compiled when first
needed. Otherwise xmlschema is imported and asked only about bodies that were refused, and not about very
large ones.

Leaves to others: everything that looks at two fields at once (``rules``). Where the validator itself fails,
ValidatorError is raised and the packet is held.

Both validators stop a content model at its first wrong child; so what is missing, repeated, misplaced or
not allowed is found by comparing the children with the field list from which the schema was written. A type
with a schema of its own has no such list: there the validators' findings must do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from lxml import etree

from packet_spec.body_xsd import BODY_NAMESPACE, body_fields
from packet_spec.catalogue import BusinessType, Catalogue, MetadataField
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.errors import FormatError, ValidatorError
from packet_spec.findings import Finding
from packet_spec.limits import FINDINGS, KIB, LIST_ITEMS, PERSONS
from packet_spec.pack import Pack, needs_xsd_11, schema_document
from packet_spec.rule_subject import person_element
from packet_spec.sentences import make_finding
from packet_spec.xml import Element, Schema, Violation, compile_schema, line_of, local_name, validate

# xmlschema needs about two seconds for a megabyte; beyond this, libxml2's lines must do.
_EXPLAINED_BYTES: Final = 256 * KIB
# What has no more children than this is within every limit.
_LEAST_LIMIT: Final = min(PERSONS, LIST_ITEMS)
_NAMESPACE: Final = f"{{{BODY_NAMESPACE}}}"


def validate_body(body: Element, business_type: str, pack: Pack) -> tuple[Finding, ...]:
    """What is wrong with ``body``, the one element inside ``<body>``: at most ``limits.FINDINGS``, or empty.

    Paths in findings are below the body's element. Raises CatalogueError for an unknown business type and
    ValidatorError when the validator fails by itself.
    """
    row = pack.catalogue.business_type(business_type)
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
    # Of itself first: there may be a million children.
    if len(body) > _LEAST_LIMIT or max(map(len, body), default=0) > _LEAST_LIMIT:
        oversized = tuple(_sizes(body))
        if oversized:
            return oversized
    violations = _violations(body, row, pack)
    if not violations:
        return ()
    structure = islice(_structure_findings(pack.catalogue, row, body), FINDINGS)
    # A value can break several facets of its type; that is one thing to correct.
    once = {
        (finding.code, finding.element, finding.line): finding
        for finding in chain(structure, _value_findings(pack, row, body, violations))
    }
    if once:
        return tuple(once.values())[:FINDINGS]
    lines = sorted({violation.line for violation in violations})[:FINDINGS]
    return tuple(make_finding("body-not-valid", line=line, element="body") for line in lines)


def _violations(body: Element, row: BusinessType, pack: Pack) -> Sequence[Violation]:
    """What the deciding validator says against a body; empty for a valid one."""
    file = pack.schema_file(row)
    if row.schema and needs_xsd_11(pack, file):
        from packet_spec.schema_explain import violations_of  # noqa: PLC0415 - few types need it

        return violations_of(body, pack, row)
    schema = compiled_schema(pack, file)
    try:
        return validate(body, schema)
    except etree.LxmlError as error:
        raise ValidatorError("libxml2 could not validate a body", where=row.code) from error


def _value_findings(
    pack: Pack, row: BusinessType, body: Element, violations: Sequence[Violation]
) -> Iterator[Finding]:
    if len(etree.tostring(body)) > _EXPLAINED_BYTES:
        return iter(())
    # Imported here: xmlschema takes a fifth of a second, and most bodies are valid.
    from packet_spec.schema_explain import value_findings  # noqa: PLC0415

    return value_findings(pack, row, body, violations)


def _sizes(body: Element) -> Iterator[Finding]:
    """Lists within their limits, looked at first: libxml2 would note every fault of every person."""
    elements = [body] if len(body) > LIST_ITEMS else [body, *body]
    for element in elements:
        code = "body" if element is body else local_name(element)
        limit, count = PERSONS if code == "persons" else LIST_ITEMS, len(element)
        if count > limit:
            yield make_finding(
                "list-too-long",
                line=line_of(element),
                element=code,
                expected=str(limit),
                found=str(count),
            )


@lru_cache(maxsize=64)
def compiled_schema(pack: Pack, file: str) -> Schema:
    """A schema of the pack, ready to use. Raises ValidatorError when it cannot be read or compiled."""
    try:
        return compile_schema(schema_document(pack, file))
    except (FormatError, etree.LxmlError) as error:
        raise ValidatorError("a body schema cannot be used", where=f"{pack.title} {file}") from error


def _structure_findings(catalogue: Catalogue, row: BusinessType, body: Element) -> Iterator[Finding]:
    if row.schema:
        return
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
    labels = {field.code: f"{field.zh}（{field.code}）" for field, _ in fields}
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
                    expected=labels[min(later, key=order.__getitem__)],
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
