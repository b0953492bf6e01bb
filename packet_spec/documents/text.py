"""XML and CSV documents: text of a known encoding, and XML that is well-formed without DOCTYPE.

The encoding of XML is found as that of packet.xml (``encoding``). Vocabularies belong to the deployment,
except the index of a dossier (``index``). Known limit: CSV has no form that all programs share, so columns
are not counted.
"""

from __future__ import annotations

import codecs
from typing import Final

from packet_spec.documents.values import Content, FaultError, Source
from packet_spec.encoding import READING_GROWTH, decide_encoding
from packet_spec.errors import XmlRefusedError
from packet_spec.findings import Finding
from packet_spec.limits import DOCUMENT_XML_ATTRIBUTES, DOCUMENT_XML_BYTES, DOCUMENT_XML_DEPTH, MIB
from packet_spec.xml import Element, parse_document

_ENCODINGS: Final = ("utf-8", "gb18030")


def check_xml(source: Source) -> Content:
    """Raises FaultError."""
    read_xml(source)
    return Content()


def read_xml(source: Source) -> Element:
    """The root element of an XML document. Raises FaultError."""
    if source.size > DOCUMENT_XML_BYTES:
        sizes = f"{DOCUMENT_XML_BYTES // MIB} MiB", f"{source.size // MIB} MiB"
        raise FaultError("document-too-large", expected=sizes[0], found=sizes[1])
    decided = decide_encoding(source.head(source.size))
    if isinstance(decided, Finding):
        raise FaultError("document-unreadable", expected="XML", found=decided.code)
    try:
        return parse_document(
            decided.utf8,
            limit_bytes=DOCUMENT_XML_BYTES * READING_GROWTH,
            depth=DOCUMENT_XML_DEPTH,
            attributes=DOCUMENT_XML_ATTRIBUTES,
        )
    except XmlRefusedError as error:
        raise FaultError("document-unreadable", expected="XML", found=error.code, line=error.line) from None


def check_csv(source: Source) -> Content:
    """Raises FaultError."""
    decoders = {encoding: codecs.getincrementaldecoder(encoding)() for encoding in _ENCODINGS}
    for block in source.blocks():
        if b"\0" in block:
            raise FaultError("document-unreadable", expected="csv", found="a zero byte")
        _feed(decoders, block, final=False)
    _feed(decoders, b"", final=True)
    return Content()


def _feed(decoders: dict[str, codecs.IncrementalDecoder], block: bytes, *, final: bool) -> None:
    """Every encoding that still fits reads on. Raises FaultError when none is left."""
    for encoding in list(decoders):
        try:
            decoders[encoding].decode(block, final)
        except UnicodeDecodeError:
            del decoders[encoding]
    if not decoders:
        raise FaultError("document-unreadable", expected="UTF-8, GB18030", found="?")
