"""The second opinion on a pack before it is published: both XML engines, every type, every pattern.

Guarantees: every schema compiles; of each business type an invented body is valid, and wrong ones are
refused, by libxml2 and by xmlschema alike; no pattern takes long on text that is made to hurt it. Each piece
runs in a worker process with a time limit, so that a hostile pack costs only its own verdict.

Leaves to others: whether the rows say what the law says. Known limits: of a type with a schema of its own
nothing is invented, so only the schema itself is looked at; text that hurts a pattern is guessed from the
pattern's own characters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from lxml import etree
from xmlschema import XMLSchema10, XMLSchemaException

from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding, packet_xml
from cli.fiction.request import DropRequest
from exchanged.pool import WorkPool
from packet_spec.body_xsd import BODY_NAMESPACE, body_fields
from packet_spec.catalogue import BusinessType
from packet_spec.errors import ExchangeError
from packet_spec.limits import MIB
from packet_spec.pack import Pack, needs_xsd_11, read_pack, schema_document
from packet_spec.schema import compiled_schema
from packet_spec.schema_explain import explainer
from packet_spec.xml import Element, parse_document, validate

# For one piece of work: building one type in xmlschema takes a tenth of a second.
PIECE_SECONDS: Final = 20.0

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_WHEN: Final = datetime(2026, 7, 15, 1, 30, tzinfo=UTC)
# Long enough that a pattern which tries every split of it does not end within the limit.
_REPEATS: Final = (40, 20_000)


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing to look at: ``kind`` is file, type or pattern, ``name`` which; the pack lies at ``path``."""

    path: str
    kind: str
    name: str


def pieces_of(pack: Pack, path: Path) -> list[Piece]:
    """Everything that must be looked at."""
    files = [Piece(str(path), "file", file) for file in sorted(pack.schemas)]
    types = [Piece(str(path), "type", code) for code in pack.catalogue.business_types]
    patterns = [Piece(str(path), "pattern", value) for value in sorted(_patterns(pack))]
    return [*files, *patterns, *types]


def problems_of_pack(
    pieces: list[Piece], pool: WorkPool, moved: Callable[[int], object] = lambda _count: None
) -> list[str]:
    """What speaks against the pack, in English; empty when nothing does. ``moved`` hears of each group."""
    problems: list[str] = []
    for start in range(0, len(pieces), 8):
        group = pieces[start : start + 8]
        for piece, answer in zip(group, pool.run(look_at, group), strict=True):
            if isinstance(answer, ExchangeError):
                problems.append(f"{piece.kind} {piece.name}: {answer}")
            else:
                problems += [f"{piece.kind} {piece.name}: {problem}" for problem in answer]
        moved(len(group))
    return problems


def look_at(piece: Piece) -> list[str]:
    """What is wrong with one piece. Runs in a worker process."""
    pack = _pack(piece.path)
    if piece.kind == "file":
        return list(_file(pack, piece.name))
    if piece.kind == "pattern":
        return list(_pattern(piece.name))
    return list(_type(pack, pack.catalogue.business_type(piece.name)))


@lru_cache(maxsize=2)
def _pack(path: str) -> Pack:
    return read_pack(Path(path).read_bytes())


def _file(pack: Pack, file: str) -> Iterator[str]:
    if needs_xsd_11(pack, file):
        return  # libxml2 reads no XSD 1.1; its types are built one by one
    try:
        compiled_schema(pack, file)
    except ExchangeError as error:
        yield f"libxml2 does not take the schema: {error.__cause__ or error}"


def _type(pack: Pack, row: BusinessType) -> Iterator[str]:
    try:
        second = explainer(pack, row)
    except (XMLSchemaException, ExchangeError) as error:
        yield f"xmlschema does not take the schema: {str(error).splitlines()[0]}"
        return
    if not any(name.endswith(row.code) for name in second.elements):
        yield f"the schema has no element {row.code}"
    if row.schema:
        return
    body = _invented(pack, row)
    if body is None:
        yield "no packet of this type can be invented: no two agency kinds fit"
        return
    first = compiled_schema(pack, pack.schema_file(row))
    for what, candidate, wanted in (("an invented body", body, True), *_near_misses(pack, row, body)):
        answers = (not validate(candidate, first), second.is_valid(candidate))
        if answers != (wanted, wanted):
            yield f"{what}: libxml2 says {_word(answers[0])}, xmlschema {_word(answers[1])}"


def _word(valid: bool) -> str:
    return "valid" if valid else "not valid"


def _invented(pack: Pack, row: BusinessType) -> Element | None:
    try:
        sender, receiver = choose_parties(pack.catalogue, row)
    except ExchangeError:
        return None
    drop = make_drop(DropRequest(row.code, sender.code, receiver.code, _WHEN), pack.catalogue)
    root = parse_document(packet_xml(drop, (), DropEncoding.UTF_8), limit_bytes=MIB)
    return next(iter(root[1]))


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


def _patterns(pack: Pack) -> set[str]:
    found: set[str] = set()
    for file in pack.schemas:
        document = schema_document(pack, file)
        found |= {element.get("value", "") for element in document.iter(f"{_XS}pattern")}
    return found


def _pattern(value: str) -> Iterator[str]:
    """Run text that is made of the pattern's own characters through both engines; the limit is the pool's."""
    schema = etree.fromstring(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:element name="t"><xs:simpleType>'
        '<xs:restriction base="xs:string"><xs:pattern/></xs:restriction>'
        "</xs:simpleType></xs:element></xs:schema>"
    )
    next(schema.iter(f"{_XS}pattern")).set("value", value)
    try:
        first = etree.XMLSchema(schema)
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
