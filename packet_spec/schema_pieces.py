"""A shipped schema taken apart: how many of each element there may be, and what each is by itself.

libxml2 looks at all of a document before it answers, and where a fault stands is written down by counting
the siblings before it: thousands of faulty siblings take the square of their number. Guarantees: children
are counted, and can be held against the schema one by one, so that the first fault ends it.

Leaves to others: whether the whole is valid. Known limit: it reads what the shipped machine-written schemas
are made of, elements in sequences and choices, with a type in place or by name (``tests`` hold them to it).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cached_property
from typing import Final, TypeAlias

from lxml import etree

from packet_spec.errors import SchemaError

_Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml has no other name for it
_Schema: TypeAlias = etree.XMLSchema

_XS: Final = "{http://www.w3.org/2001/XMLSchema}"
_GROUPS: Final = frozenset({f"{_XS}sequence", f"{_XS}choice"})
_OCCURRENCES: Final = ("minOccurs", "maxOccurs")


class Piece:
    """One element that a schema declares. ``most`` is None where it may stand any number of times."""

    def __init__(self, declaration: _Element, compile_schema: Callable[[_Element], _Schema]) -> None:
        self._declaration = declaration
        self._compile = compile_schema
        most = declaration.get("maxOccurs", "1")
        self.most = None if most == "unbounded" else int(most)
        self.children = {
            f"{{{_document_of(declaration).get('targetNamespace')}}}{each.get('name')}": Piece(
                each, compile_schema
            )
            for each in _declared_in(declaration)
        }

    @cached_property
    def alone(self) -> _Schema:
        """The schema of a document that this element is the root of."""
        document = deepcopy(_document_of(self._declaration))
        for each in document.findall(f"{_XS}element"):
            document.remove(each)
        root = deepcopy(self._declaration)
        for name in _OCCURRENCES:
            root.attrib.pop(name, "")
        document.append(root)
        return self._compile(document)


def take_apart(document: _Element, compile_schema: Callable[[_Element], _Schema]) -> Piece:
    """What the schema in ``document`` declares, as the piece above its root elements."""
    return Piece(document, compile_schema)


def one_by_one(whole: Piece, parent: _Element) -> Iterator[tuple[_Element, _Schema]]:
    """The children of ``parent`` in a document of the schema ``whole``, each with what it has to fit alone.

    Raises SchemaError, before the first, for more of one kind than there may be, and for what may not be.
    """
    piece: Piece | None = whole
    for above in (*reversed(list(parent.iterancestors())), parent):
        piece = None if piece is None else piece.children.get(str(above.tag))
    pieces = {} if piece is None else piece.children
    counts = dict.fromkeys(pieces, 0)
    for child in parent:
        tag = str(child.tag)
        if tag not in pieces:
            raise SchemaError("many elements stand where the format does not know all of them")
        counts[tag] += 1
        most = pieces[tag].most
        if most is not None and counts[tag] > most:
            raise SchemaError(
                "there are more elements of one kind than the format allows",
                where=tag.rpartition("}")[2],
                expected=f"at most {most}",
                found=f"{counts[tag]} or more",
            )
    for child in parent:
        yield child, pieces[str(child.tag)].alone


def _document_of(declaration: _Element) -> _Element:
    return declaration.getroottree().getroot()


def _declared_in(declaration: _Element) -> Iterator[_Element]:
    """The declarations of an element's children, or of the roots of a whole schema."""
    document, named = _document_of(declaration), declaration.get("type")
    if declaration is document:
        yield from document.findall(f"{_XS}element")
        return
    for each in (declaration, document):
        for definition in each.findall(f"{_XS}complexType"):
            if each is declaration or definition.get("name") == named:
                yield from _particles(definition)


def _particles(group: _Element) -> Iterator[_Element]:
    for each in group:
        if each.tag == f"{_XS}element":
            yield each
        elif each.tag in _GROUPS:
            yield from _particles(each)
