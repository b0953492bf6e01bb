"""The one check of a document: its declared format against the catalogue and against its content.

Guarantees: the same answer for the same bytes wherever it is asked; memory does not grow with the size of a
document, time grows with it and with its entries; whatever the bytes are, the answer is findings, or a
ValidatorError where nothing can be said: then the packet is held.

Leaves to others: sizes and digests, the electronic seals of documents, viruses (``exchanged.scanner``), and
limits of time and memory (worker processes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import BinaryIO, Final

from packet_spec.catalogue import Catalogue
from packet_spec.documents.declared import declared_format, extension, runs_by_name
from packet_spec.documents.dossier import check_dossier
from packet_spec.documents.formats import CHECKS, ZIP, check_content
from packet_spec.documents.index import check_index
from packet_spec.documents.values import Content, Fault, FaultError, IndexEntry, Member, Scratch, Source
from packet_spec.errors import ValidatorError
from packet_spec.findings import Finding
from packet_spec.limits import MIB
from packet_spec.model import Attachment
from packet_spec.sentences import make_finding

INDEX_TYPE: Final = "COM-002"
PACKAGE_TYPE: Final = "COM-001"
# Bytes a second that a check does at least, by format, on a slow machine: packages are unpacked, and
# what they hold is checked and hashed; pictures unpack to far more than their size. Of others little is read.
_SLOW: Final[Mapping[str, int]] = MappingProxyType(
    {ZIP: 8 * MIB, "ofd": 8 * MIB, "jpg": 4 * MIB, "tif": 4 * MIB}
)
_FAST: Final = 64 * MIB


@dataclass(frozen=True, slots=True)
class DocumentReport:
    """What the check of one document found. ``members`` and ``index`` serve ``agreement`` alone."""

    findings: tuple[Finding, ...] = ()
    members: tuple[Member, ...] | None = None
    index: tuple[IndexEntry, ...] | None = None


def check_document(
    file: BinaryIO, size: int, listed: Attachment, catalogue: Catalogue, scratch: Scratch
) -> DocumentReport:
    """Check the ``size`` bytes of a seekable ``file`` as the attachment that ``listed`` describes.

    ``scratch`` gives private empty files for what a package holds. Raises ValidatorError when nothing can be
    said about the document (the file fails, memory ends): hold the packet.
    """
    fault = _declared_fault(listed, catalogue)
    if fault is not None:
        return DocumentReport((_finding(fault, listed),))
    source = Source(file, size)
    try:
        content = _content(source, listed, scratch)
    except (MemoryError, RecursionError) as error:
        kind = type(error).__name__
        raise ValidatorError("a document asks for more than this machine gives", found=kind) from None
    except OSError as error:
        raise ValidatorError("a document could not be read here", found=error.strerror or "") from error
    source.require_sound()
    faults = content.faults
    if not faults and None not in (listed.pages, content.pages) and listed.pages != content.pages:
        faults = (Fault("document-pages-differ", expected=str(listed.pages), found=str(content.pages)),)
    return DocumentReport(tuple(_finding(fault, listed) for fault in faults), content.members, content.index)


def estimate_seconds(name: str, size: int) -> float:
    """What the check of a document of that name may take because of its size, on a slow machine."""
    return size / _SLOW.get(declared_format(name), _FAST)


def longest_seconds(size: int) -> float:
    """The same where only the sizes of documents are known."""
    return size / min(_SLOW.values())


def _declared_fault(listed: Attachment, catalogue: Catalogue) -> Fault | None:
    """What the name alone tells. A type that the catalogue does not know is the rules' business."""
    row = catalogue.document_types.get(listed.document_type)
    if runs_by_name(listed.file):
        return Fault("document-executable", found=extension(listed.file))
    declared = declared_format(listed.file)
    if row is not None and declared not in row.formats:
        return Fault("document-format-not-allowed", expected=", ".join(row.formats), found=declared or "-")
    return None


def _content(source: Source, listed: Attachment, scratch: Scratch) -> Content:
    declared = declared_format(listed.file)
    if declared == ZIP:
        return check_dossier(source, scratch)
    if declared not in CHECKS:
        # A format that a newer catalogue allows and this program cannot read: nothing can be said.
        raise ValidatorError("this program cannot check documents of this format", found=declared)
    content = check_content(source, declared)
    if declared == "xml" and listed.document_type == INDEX_TYPE and not content.faults:
        try:
            return check_index(source)
        except FaultError as error:  # pragma: no cover - it was well-formed a moment ago
            return Content(faults=(error.fault,))
    return content


def _finding(fault: Fault, listed: Attachment) -> Finding:
    return make_finding(
        fault.code,
        file=f"{listed.file}/{fault.inside}" if fault.inside else listed.file,
        line=fault.line,
        document=listed.document_type,
        expected=fault.expected,
        found=fault.found,
    )
