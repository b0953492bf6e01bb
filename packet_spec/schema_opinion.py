"""The second opinion on a pack: both XML engines on every schema, every type and every pattern.

Guarantees: pure, and says what speaks against a pack in plain English. Leaves to others: time limits (a
hostile pattern may never end) and inventing right packets (``cli.pack.acceptance``). Known limits: of a
type with a schema of its own only the schema itself is looked at; text that hurts a pattern is guessed from
the pattern's own characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import Final

from lxml import etree
from xmlschema import XMLSchema10, XMLSchemaException

from packet_spec.body_xsd import BODY_NAMESPACE, body_fields
from packet_spec.catalogue import BusinessType
from packet_spec.errors import ExchangeError
from packet_spec.limits import MIB
from packet_spec.pack import Pack, needs_xsd_11, schema_document
from packet_spec.schema import compiled_schema
from packet_spec.schema_explain import explainer
from packet_spec.xml import Element, children, compile_schema, parse_document, validate

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
# Long enough that a pattern which tries every split of it does not end within any limit.
_REPEATS: Final = (40, 20_000)


def file_problems(pack: Pack, file: str) -> Iterator[str]:
    """What libxml2 says against a schema file; nothing of one that needs XSD 1.1, whose types say it."""
    if needs_xsd_11(pack, file):
        return
    try:
        compiled_schema(pack, file)
    except ExchangeError as error:
        yield f"libxml2 does not take the schema: {error.__cause__ or error}"


def type_problems(pack: Pack, row: BusinessType, packet_xml: bytes) -> Iterator[str]:
    """Whether both engines take the type, the body of a right packet, and none of its near misses.

    ``packet_xml`` is empty for a type of which no packet could be invented.
    """
    try:
        second = explainer(pack, row, "strict")
    except (XMLSchemaException, ExchangeError) as error:
        yield f"xmlschema does not take the schema: {str(error).splitlines()[0]}"
        return
    if not any(name.endswith(row.code) for name in second.elements):
        yield f"the schema has no element {row.code}"
    if row.schema:
        return
    if not packet_xml:
        yield "no packet of this type can be invented: no two agency kinds fit"
        return
    body = next(iter(children(parse_document(packet_xml, limit_bytes=MIB), "body")[0]))
    first = compiled_schema(pack, pack.schema_file(row))
    for what, candidate, wanted in (("an invented body", body, True), *_near_misses(pack, row, body)):
        answers = (not validate(candidate, first), second.is_valid(candidate))
        if answers != (wanted, wanted):
            yield f"{what}: libxml2 says {_word(answers[0])}, xmlschema {_word(answers[1])}"


def _word(valid: bool) -> str:
    return "valid" if valid else "not valid"


def _near_misses(pack: Pack, row: BusinessType, body: Element) -> Iterator[tuple[str, Element, bool]]:
    stranger = deepcopy(body)
    etree.SubElement(stranger, f"{{{BODY_NAMESPACE}}}no_such_field").text = "x"
    yield "a body with a strange field", stranger, False
    required = [field.code for field, must in body_fields(pack.catalogue, row, "packet") if must]
    for code in required:
        missing, empty = deepcopy(body), deepcopy(body)
        for changed, act in ((missing, "without"), (empty, "with an empty")):
            field = changed.find(f"{{{BODY_NAMESPACE}}}{code}")
            if field is None:
                continue
            if act == "without":
                changed.remove(field)
            else:
                field.clear()
            yield f"a body {act} {code}", changed, False


def patterns_of(pack: Pack) -> set[str]:
    """Every pattern of every schema of the pack."""
    found: set[str] = set()
    for file in pack.schemas:
        document = schema_document(pack, file)
        found |= {element.get("value", "") for element in document.iter(f"{_XS}pattern")}
    return found


def pattern_problems(value: str) -> Iterator[str]:
    """Run text that is made of the pattern's own characters through both engines; the limit is the pool's."""
    schema = etree.fromstring(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="t"><xs:simpleType>'
        '<xs:restriction base="xs:string"><xs:pattern/></xs:restriction>'
        "</xs:simpleType></xs:element></xs:schema>"
    )
    next(schema.iter(f"{_XS}pattern")).set("value", value)
    try:
        first = compile_schema(schema)
        second = XMLSchema10(etree.tostring(schema, encoding="unicode"))
    except (etree.LxmlError, XMLSchemaException) as error:
        yield str(error).splitlines()[0]
        return
    for text in _hurting(value):
        element = etree.Element("t")
        element.text = text
        if first.validate(element) != second.is_valid(element):
            yield f"libxml2 and xmlschema disagree on {text[:20]!r}"


def _hurting(value: str) -> Iterator[str]:
    letters = sorted({letter for letter in value if letter.isalnum()} | {"a", "0"})[:64]
    for count in _REPEATS:
        for letter in letters:
            yield letter * count + "!"
        yield ("a0" * count)[:count] + "!"
