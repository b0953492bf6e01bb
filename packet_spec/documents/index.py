"""The index of a dossier (卷内文件目录): the format of ``index.xml`` in a package and of an XML COM-002.

Guarantees: an index of our own namespace fits its schema, or is refused with the line; one of another
vocabulary is left to the deployment, and said to be unchecked (docs/packet-format.md, documents).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from packet_spec.documents.text import read_xml
from packet_spec.documents.values import Content, Fault, IndexEntry, Member, Source
from packet_spec.limits import DOCUMENT_FAULTS, DOCUMENT_XML_BYTES
from packet_spec.xml import (
    Element,
    add,
    attribute,
    children,
    load_schema,
    namespace_of,
    new_root,
    validate,
    write_machine_document,
)

KIND: Final = "dossier-index"
_NAMESPACE: Final = f"urn:exchanged:{KIND}:1"


def check_index(source: Source) -> Content:
    """An XML document that is an index by its document type. Raises FaultError when it is no XML."""
    root = read_xml(source)
    if namespace_of(root) != _NAMESPACE:
        return Content(faults=(Fault("index-not-checked", expected=_NAMESPACE, found=namespace_of(root)),))
    violations = validate(root, load_schema(KIND))
    if violations:
        found = violations[0].path.rpartition("/")[2]
        return Content(faults=(Fault("index-not-valid", found=found, line=violations[0].line),))
    return Content(index=tuple(_entry(element) for element in children(root, "entry")))


def write_index(entries: Sequence[IndexEntry], *, notes: Sequence[str] = (), **facts: str) -> bytes:
    """An index as bytes. ``facts`` are ``title``, ``number`` and ``date`` of the document, where it has them.

    Raises SchemaError when the values cannot be said in this format.
    """
    said = {name: text for name, text in facts.items() if text}
    root = new_root(KIND, "index", {"formatVersion": "1", **said})
    for note in notes:
        add(root, "note", note)
    for entry in entries:
        add(
            root,
            "entry",
            number=str(entry.number),
            documentType=entry.document_type,
            title=entry.title,
            file=entry.file,
            package=entry.package or None,
            volume=entry.volume or None,
            pages=None if entry.pages is None else str(entry.pages),
            size=str(entry.size),
            sha256=entry.sha256,
        )
    return write_machine_document(root, KIND, limit_bytes=DOCUMENT_XML_BYTES)


def compare_entries(entries: Sequence[IndexEntry], members: Mapping[str, Member]) -> tuple[Fault, ...]:
    """An index against the files that it must list: each entry there and alike, and nothing unlisted."""
    faults: list[Fault] = []
    listed: set[str] = set()
    for entry in entries:
        member = members.get(entry.file)
        if entry.file in listed:
            faults.append(Fault("index-entry-differs", expected="1", found="2", inside=entry.file))
        elif member is None:
            faults.append(Fault("index-entry-missing", found=entry.title, inside=entry.file))
        else:
            faults.extend(_differences(entry, member))
        listed.add(entry.file)
    faults.extend(Fault("index-file-unlisted", inside=name) for name in members if name not in listed)
    return tuple(faults[:DOCUMENT_FAULTS])


def _differences(entry: IndexEntry, member: Member) -> list[Fault]:
    """What the entry says otherwise. Pages are compared where both count them."""
    pairs = [(entry.size, member.size, "size"), (entry.sha256, member.sha256, "sha256")]
    if entry.pages is not None and member.pages is not None:
        pairs.append((entry.pages, member.pages, "pages"))
    return [
        Fault("index-entry-differs", expected=f"{what} {said}", found=f"{what} {is_so}", inside=entry.file)
        for said, is_so, what in pairs
        if said != is_so
    ][:1]


def _entry(element: Element) -> IndexEntry:
    pages = attribute(element, "pages")
    return IndexEntry(
        number=int(attribute(element, "number")),
        document_type=attribute(element, "documentType"),
        title=attribute(element, "title"),
        file=attribute(element, "file"),
        volume=attribute(element, "volume"),
        pages=int(pages) if pages else None,
        size=int(attribute(element, "size")),
        sha256=attribute(element, "sha256").lower(),
        package=attribute(element, "package"),
    )
