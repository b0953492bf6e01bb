"""The documents of a drop or sealed packet at the vendor's desk, checked as every node checks them.

Guarantees: the same findings as at front-end and province, those between an index and its packages
included; nothing is kept on the disk. What is packed in a zip is copied into a nameless temporary file
first where it is large. Leaves to others: sizes and digests (``packet_check``), and scanners, which only
nodes have.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, cast

from cli.drop_reader import Blocks
from cli.frame import InputFileError
from packet_spec.catalogue import Catalogue
from packet_spec.documents.agreement import agreement_findings
from packet_spec.documents.check import DocumentReport, check_document
from packet_spec.findings import Finding
from packet_spec.limits import MIB
from packet_spec.model import Attachment

_MEMORY_BYTES: Final = 8 * MIB


@dataclass(frozen=True, slots=True)
class DeskDocument:
    """A document whose size and digest are those listed. ``path`` is its own file, where it has one."""

    listed: Attachment
    size: int
    digest: str
    blocks: Blocks
    path: Path | None = None


def document_findings(
    documents: Iterable[DeskDocument], count: int, catalogue: Catalogue
) -> tuple[Finding, ...]:
    """What is wrong inside; between documents only where all ``count`` of the packet are there.

    Raises ValidatorError (hold), and InputFileError when a file cannot be read.
    """
    # Its warnings quote the document; the findings say what there is to say.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    checked: list[tuple[Attachment, DocumentReport]] = []
    for document in documents:
        listed = replace(document.listed, size=document.size, sha256=document.digest)
        with _opened(document) as file:
            report = check_document(file, document.size, listed, catalogue, _scratch)
        checked.append((listed, report))
    found = tuple(finding for _, report in checked for finding in report.findings)
    return found + (agreement_findings(checked) if len(checked) == count else ())


@contextmanager
def _opened(document: DeskDocument) -> Iterator[BinaryIO]:
    if document.path is None:
        with _scratch() as copy:
            for block in document.blocks():
                copy.write(block)
            yield copy
        return
    try:
        file = document.path.open("rb")
    except OSError as error:
        found = error.strerror or ""
        raise InputFileError("the drop cannot be read", where=str(document.path), found=found) from error
    with file:
        yield file


def _scratch() -> BinaryIO:
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(_MEMORY_BYTES))
