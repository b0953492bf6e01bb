"""The one XML parser and the one XML writer, and the shipped schemas.

Guarantees: a DOCTYPE is refused before libxml2 sees it, nothing is fetched, no entity is expanded,
size, depth and attributes are capped, input is read as UTF-8 whatever its declaration says, and the
same tree is always written as the same bytes. lxml errors do not leave this module.

Leaves to others: which encoding foreign bytes are in (``encoding``), what a violation means to a
clerk (``xml_findings``). Known limit: libxml2 itself stops at 10 MB per text node and depth 256;
our own caps lie below.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import Any, Final, TypeAlias, cast

from lxml import etree

from packet_spec.errors import FormatError, SchemaError, ValidatorError, VersionError, XmlRefusedError
from packet_spec.limits import KIB, XML_ATTRIBUTES, XML_DEPTH
from packet_spec.schema_pieces import Piece, one_by_one, take_apart

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml has no other name for it
Schema: TypeAlias = etree.XMLSchema

# The version of every machine-written document here; it stands on the root and in the namespace.
FORMAT_VERSION: Final = "1"

_DECLARATION: Final = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACE: Final = re.compile(rb"[ \t\r\n]*")
# As most begin: a declaration, and at once the root element.
_PLAIN_PROLOG: Final = re.compile(rb"<\?[^?]*\?>[ \t\r\n]*<[A-Za-z]")
# What a parser grew for one document it keeps: a large one has a parser of its own.
_SMALL_BYTES: Final = 64 * KIB
# Every byte but those between which attributes are counted.
_NEITHER: Final = bytes({*range(0x100)} - {*b"<="})
_VIOLATIONS: Final = 1_000
# With no more tags than this a document is validated in a moment, whatever is wrong with it. In a larger
# one, children that are more than a few are held against the schema one by one first.
_TAGS: Final = 64
_FEW: Final = 16
# What libxml2 says of itself and not of the document: it can stand between other errors.
_OWN_FAULTS: Final = frozenset(
    {
        etree.ErrorTypes.ERR_NO_MEMORY,
        etree.ErrorTypes.ERR_INTERNAL_ERROR,
        etree.ErrorTypes.SCHEMAV_INTERNAL,
        etree.ErrorTypes.SCHEMAP_INTERNAL,
    }
)


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that libxml2's schema validation names: ``kind`` is its error type, ``path`` generic."""

    kind: str
    line: int
    path: str
    message: str


def parse_document(
    data: bytes, *, limit_bytes: int, depth: int = XML_DEPTH, attributes: int = XML_ATTRIBUTES
) -> Element:
    """The root element of UTF-8 ``data``; comments and processing instructions are dropped.

    Raises XmlRefusedError: ``too-large``, ``doctype-refused``, ``xml-not-wellformed``, ``too-deep`` or
    ``too-many-attributes``; ValidatorError when libxml2 fails by itself, such as for want of memory.
    """
    if len(data) > limit_bytes:
        raise XmlRefusedError(
            "the XML document is too large",
            code="too-large",
            expected=f"at most {limit_bytes} bytes",
            found=f"{len(data)} bytes",
        )
    _refuse_doctype(data)
    try:
        root = etree.fromstring(data, _own.parser if len(data) <= _SMALL_BYTES else _parser())
    except etree.XMLSyntaxError as error:
        _own.parser = _parser()  # the one that failed keeps what it said of the document
        raise _refusal(error, depth) from None
    except (etree.LxmlError, MemoryError) as error:
        _own.parser = _parser()
        raise _no_answer("parsed", error) from None
    if root.getroottree().docinfo.internalDTD is not None:  # pragma: no cover - should the walk ever miss one
        raise XmlRefusedError("the XML document has a DOCTYPE", code="doctype-refused")
    _refuse_depth(root, depth)
    # No attribute holds a "<", so an element's attributes stand between two of them. A text with many equals
    # signs counts too: then libxml2 counts.
    if b"=" * (attributes + 1) in data.translate(None, _NEITHER):
        _refuse_attributes(root, attributes)
    return root


def write_document(root: Element) -> bytes:
    """``root`` as UTF-8 with declaration, two-space indentation and a final line feed."""
    etree.indent(root, space="  ")
    return _DECLARATION + etree.tostring(root, encoding="UTF-8", xml_declaration=False) + b"\n"


def written_size(element: Element) -> int:
    """How many bytes ``element`` takes when it is written, about: indentation is allowed for."""
    return len(etree.tostring(element, encoding="UTF-8", xml_declaration=False)) + 16 * (len(element) + 1)


_COMPILING: Final = threading.Lock()


def compile_schema(document: Element) -> Schema:
    """The schema that is written down in ``document``. Raises etree.XMLSchemaParseError when it is none.

    One at a time: libxml2 makes its table of built-in types with the first schema, and a second thread that
    compiles meanwhile finds it half made.
    """
    with _COMPILING:
        return etree.XMLSchema(document)


@lru_cache(maxsize=32)
def load_schema(name: str) -> Schema:
    """The shipped schema ``name`` (without ``.xsd``), compiled once. Raises SchemaError if there is none."""
    return compile_schema(_schema_document(name))


@lru_cache(maxsize=32)
def schema_pieces(name: str) -> Piece:
    """The shipped schema ``name`` taken apart, once. Raises SchemaError if there is none."""
    return take_apart(_schema_document(name), compile_schema)


def _schema_document(name: str) -> Element:
    path = files("packet_spec").joinpath("schemas", f"{name}.xsd")
    if not path.is_file():
        raise SchemaError("no such schema is shipped", found=name)
    return etree.fromstring(path.read_bytes(), _parser())


def validate(root: Element, schema: Schema) -> tuple[Violation, ...]:
    """What ``schema`` finds wrong with ``root``, in document order; empty when valid.

    Raises ValidatorError when libxml2 gives no answer: it gave up on a pattern, or had no memory.
    """
    try:
        if schema.validate(root):
            return ()
        log = list(islice(cast("Iterable[Any]", schema.error_log), _VIOLATIONS))
    except (etree.LxmlError, MemoryError) as error:
        raise _no_answer("validated", error) from None
    if not log or any(entry.type in _OWN_FAULTS for entry in log):
        raise ValidatorError("libxml2 could not finish", where="validated")
    return tuple(Violation(entry.type_name, entry.line, entry.path or "", entry.message) for entry in log)


def read_machine_document(data: bytes, kind: str, *, limit_bytes: int) -> Element:
    """Parse a machine-written document and hold it against the schema ``kind``.

    Raises XmlRefusedError, VersionError for another version of this kind (hold it), or SchemaError,
    which names the line, never the content. The time grows with the length, whatever stands in it.
    """
    root = parse_document(data, limit_bytes=limit_bytes)
    _require_version(root, kind)
    violations = _first_in_crowds(root, kind) if data.count(b"<") > _TAGS else ()
    violations = violations or validate(root, load_schema(kind))
    if violations:
        raise SchemaError(
            f"the document does not fit the {kind} schema",
            where=f"line {violations[0].line}",
            found=violations[0].kind.lower(),
        )
    return root


def _first_in_crowds(root: Element, kind: str) -> tuple[Violation, ...]:
    """What is wrong with the first faulty one of many children; empty when each of them is good by itself.

    The innermost first: who stands around them is then held against the schema with good ones inside.
    """
    for parent in reversed(_found(root, _CROWDED)):
        for each, schema in one_by_one(schema_pieces(kind), parent):
            if violations := validate(each, schema):
                return violations
    return ()


def _require_version(root: Element, kind: str) -> None:
    name, _, version = namespace_of(root).rpartition(":")
    stated = root.get("formatVersion", FORMAT_VERSION)
    if name == f"urn:exchanged:{kind}" and (version != FORMAT_VERSION or stated != FORMAT_VERSION):
        raise VersionError(
            f"the version of the {kind} format is not known here", expected=FORMAT_VERSION, found=version
        )


def write_machine_document(root: Element, kind: str, *, limit_bytes: int) -> bytes:
    """Write ``root`` and hold it against the schema ``kind``: nothing leaves that could not be read.

    Raises SchemaError when the value cannot be said in this format, or is too large.
    """
    violations = validate(root, load_schema(kind))
    if violations:
        raise SchemaError(
            f"the value cannot be written as a {kind} document", found=violations[0].kind.lower()
        )
    data = write_document(root)
    if len(data) > limit_bytes:
        raise SchemaError(
            f"the {kind} document would be too large",
            expected=f"at most {limit_bytes} bytes",
            found=f"{len(data)} bytes",
        )
    return data


def new_root(kind: str, tag: str, attributes: Mapping[str, str] | None = None) -> Element:
    """A root element ``tag`` in the namespace ``urn:exchanged:<kind>:1``."""
    namespace = f"urn:exchanged:{kind}:1"
    root = etree.Element(f"{{{namespace}}}{tag}", nsmap={None: namespace})  # type: ignore[dict-item]
    for name, value in (attributes or {}).items():
        _set(root, name, value)
    return root


def add(parent: Element, tag: str, text: str = "", /, **attributes: str | None) -> Element:
    """Append a child ``tag`` in the parent's namespace; attributes that are None are left out.

    Raises SchemaError when a text holds a character that XML 1.0 cannot carry.
    """
    child = etree.SubElement(parent, f"{{{namespace_of(parent)}}}{tag}")
    if text:
        try:
            child.text = text
        except ValueError:
            raise SchemaError("a text holds a character that XML cannot carry", where=tag) from None
    for name, value in attributes.items():
        if value is not None:
            _set(child, name.rstrip("_"), value)
    return child


def _set(element: Element, name: str, value: str) -> None:
    try:
        element.set(name, value)
    except ValueError:
        raise SchemaError("a text holds a character that XML cannot carry", where=name) from None


def namespace_of(element: Element) -> str:
    """The namespace of ``element``, empty when it has none."""
    namespace, closed, _ = str(element.tag).rpartition("}")
    return namespace[1:] if closed else ""


def local_name(element: Element) -> str:
    """The tag of ``element`` without its namespace."""
    return element.tag.rpartition("}")[2]


def children(parent: Element, tag: str) -> list[Element]:
    """The children ``tag`` in the parent's namespace."""
    # Not findall: that reads its argument as a path, which takes longer than finding.
    return list(parent.iterchildren(_beside(parent, tag)))


def child(parent: Element, tag: str) -> Element | None:
    """The first child ``tag`` in the parent's namespace, or None."""
    return next(parent.iterchildren(_beside(parent, tag)), None)


def _beside(element: Element, tag: str) -> str:
    """``tag`` in the namespace of ``element``."""
    own = str(element.tag)
    return own[: own.rfind("}") + 1] + tag


def text(parent: Element, tag: str) -> str:
    """The text of the first child ``tag``; empty when there is no such child."""
    found = child(parent, tag)
    return "" if found is None else found.text or ""


def texts(parent: Element, tag: str) -> tuple[str, ...]:
    """The texts of the children ``tag``."""
    return tuple(element.text or "" for element in children(parent, tag))


def attribute(element: Element, name: str, default: str = "") -> str:
    """The attribute ``name`` of ``element``."""
    return str(element.get(name, default))


def line_of(element: Element) -> int | None:
    """The line on which ``element`` starts in the document it was parsed from."""
    return cast("int | None", element.sourceline)


def path_of(element: Element) -> str:
    """Where ``element`` stands below the root: ``envelope/case/number[2]``; the root's own name for itself.

    Positions are given only where siblings share a name.
    """
    steps: list[str] = []
    here, parent = element, element.getparent()
    while parent is not None:
        same = [sibling for sibling in parent if sibling.tag == here.tag]
        steps.append(local_name(here) + (f"[{same.index(here) + 1}]" if len(same) > 1 else ""))
        here, parent = parent, parent.getparent()
    return "/".join(reversed(steps)) or local_name(element)


def element_at(root: Element, path: str) -> Element | None:
    """The element at a ``Violation.path``; None where libxml2 gives no path or one that needs a prefix."""
    prefixes = {prefix: name for prefix, name in root.nsmap.items() if prefix}
    try:
        found = root.getroottree().xpath(path, namespaces=prefixes)
    except etree.XPathError:
        return None
    first = found[0] if isinstance(found, list) and found else None
    return first if isinstance(first, Element) else None


def read_truth(value: str) -> bool:
    """A schema-valid xs:boolean."""
    return value in ("true", "1")


def write_truth(value: bool) -> str:
    """``true`` or ``false``."""
    return "true" if value else "false"


def write_moment(moment: datetime) -> str:
    """An aware time as UTC with a final Z; microseconds only where there are some.

    Raises FormatError for a naive time.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise FormatError("a time without a zone cannot be written")
    utc = moment.replace(tzinfo=None) - offset
    return utc.isoformat() + "Z"


def read_moment(value: str) -> datetime:
    """An ISO 8601 time with offset as aware UTC. Raises SchemaError for anything else, 24:00 included."""
    try:
        if value[11:13] == "24":  # newer Pythons read it as the next day's midnight
            raise SchemaError("a time of 24:00 is not read")
        moment = datetime.fromisoformat(value)
        offset = moment.utcoffset()
        if offset is None:
            raise SchemaError("a time has no zone")
        return (moment - offset).replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise SchemaError("a time cannot be read", expected="YYYY-MM-DDThh:mm:ss with offset") from None


def read_date(value: str) -> date:
    """A date as YYYY-MM-DD. Raises SchemaError for anything else."""
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise SchemaError("a date cannot be read", expected="YYYY-MM-DD") from None


def _refuse_doctype(data: bytes) -> None:
    """Walk the prolog; a DOCTYPE can stand nowhere else in a well-formed document."""
    if _PLAIN_PROLOG.match(data):
        return
    position = 3 if data.startswith(b"\xef\xbb\xbf") else 0
    while True:
        position = _skip_space(data, position)
        if data.startswith(b"<?", position):
            end, length = data.find(b"?>", position), 2
        elif data.startswith(b"<!--", position):
            end, length = data.find(b"-->", position + 4), 3
        else:
            break
        if end < 0:
            return  # not well-formed: the parser says so with a line
        position = end + length
    if data[position : position + 9].upper() == b"<!DOCTYPE":
        line = data.count(b"\n", 0, position) + 1
        raise XmlRefusedError("the XML document has a DOCTYPE", code="doctype-refused", line=line)


def _no_answer(what: str, error: Exception) -> ValidatorError:
    """libxml2 failed by itself. Its message may quote the document: only the kind is passed on."""
    return ValidatorError("libxml2 could not finish", where=what, found=type(error).__name__)


def _refusal(error: etree.XMLSyntaxError, depth: int) -> XmlRefusedError | ValidatorError:
    """What libxml2 refused. Its own message may quote the document: only the position is passed on."""
    line = error.lineno or None
    if cast("Any", error).code in _OWN_FAULTS:
        return _no_answer("parsed", error)
    if cast("Any", error).code != etree.ErrorTypes.ERR_RESOURCE_LIMIT:
        return XmlRefusedError("the XML document is not well-formed", code="xml-not-wellformed", line=line)
    if "depth" in str(error):
        expected = f"at most {depth} levels"
        return XmlRefusedError(
            "the XML document is nested too deeply", code="too-deep", line=line, expected=expected
        )
    return XmlRefusedError("a text in the XML document is too large", code="too-large", line=line)


def _skip_space(data: bytes, position: int) -> int:
    match = _SPACE.match(data, position)
    return match.end() if match else position


def _refuse_depth(root: Element, depth: int) -> None:
    # Asked in libxml2: walking a document of a million elements in Python takes seconds.
    deep = _first(root, _deeper_than(depth))
    if deep is not None:
        raise XmlRefusedError(
            "the XML document is nested too deeply",
            code="too-deep",
            line=line_of(deep),
            expected=f"at most {depth} levels",
        )


def _refuse_attributes(root: Element, attributes: int) -> None:
    broad = _first(root, _broader_than(attributes))
    if broad is not None:
        raise XmlRefusedError(
            "an element has too many attributes",
            code="too-many-attributes",
            line=line_of(broad),
            expected=f"at most {attributes}",
        )


def _first(root: Element, path: etree.XPath) -> Element | None:
    return next(iter(_found(root, path)), None)


def _found(root: Element, path: etree.XPath) -> list[Element]:
    try:
        return cast("list[Element]", path(root))
    except (etree.LxmlError, MemoryError) as error:
        raise _no_answer("searched", error) from None


# The elements with more than a few children; asked in libxml2 for the same reason.
_CROWDED: Final = etree.XPath(f"//*[*[{_FEW + 1}]]", regexp=False)


@lru_cache(maxsize=16)
def _deeper_than(depth: int) -> etree.XPath:
    """The first element that stands below ``depth`` levels."""
    return etree.XPath("(/" + "/".join(["*"] * (depth + 1)) + ")[1]", regexp=False)


@lru_cache(maxsize=16)
def _broader_than(attributes: int) -> etree.XPath:
    """The first element that has more than so many attributes."""
    return etree.XPath(f"(//*[count(@*) > {attributes}])[1]", regexp=False)


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


class _Own(threading.local):
    """One parser for the small documents of each thread, used again and again."""

    def __init__(self) -> None:
        self.parser = _parser()


_own = _Own()
