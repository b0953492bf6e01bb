"""What a worker process does with documents: hold each against its format, then let the scanner look.

Guarantees: runs without keys, ledger or connections; documents come as bytes or as the path of a private
file; a scratch file of a package's member is nameless and lies beside the document. What cannot be decided
raises, and the packet is held.

Leaves to others: sizes and digests, which were verified before (``require_stored`` looks once more, where a
document is about to be blamed); limits of the process (``pool``).
"""

from __future__ import annotations

import io
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

from exchanged.clock import SystemClock
from exchanged.config_values import ScannerConfig
from exchanged.errors import ScannerFailedError, StoredPartRottenError
from exchanged.packs import find_pack
from exchanged.scanner import is_clean
from packet_spec.catalogue import Catalogue
from packet_spec.documents.agreement import agreement_findings
from packet_spec.documents.check import DocumentReport, check_document, estimate_seconds
from packet_spec.errors import ValidatorError
from packet_spec.findings import Finding, Outcome, verdict_of
from packet_spec.limits import MIB
from packet_spec.model import Attachment
from packet_spec.pack import shipped_pack
from packet_spec.sentences import make_finding
from packet_spec.signing import digest_of_blocks

# A member of a package that is larger is unpacked into a file.
_MEMORY_BYTES: Final = 8 * MIB
# Starting a scanner and its guard; and what a scanner reads in a second on a slow machine.
_SCAN_SECONDS: Final = 0.2
_SCANNED_A_SECOND: Final = 10 * MIB


@dataclass(frozen=True, slots=True)
class Document:
    """One document to inspect. ``listed`` bears its true size and digest.

    ``path`` is a file that holds exactly it; where it is empty, ``data`` are its bytes.
    """

    listed: Attachment
    size: int
    path: str = ""
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Inspection:
    """Documents for one piece of work.

    ``pack`` is the digest of the pack that says which formats a document may have, ``packs`` the folder of
    packs; without it the shipped standard says it.
    """

    documents: tuple[Document, ...]
    scanner: ScannerConfig | None = None
    packs: str = ""
    pack: str = ""

    @property
    def catalogue(self) -> Catalogue:
        """The rows that say which formats are allowed. Raises PackUnknownError (hold)."""
        return (find_pack(Path(self.packs), self.pack) if self.pack else shipped_pack()).catalogue

    @property
    def allowance_seconds(self) -> float:
        """What they may take because of their number and size, beyond the time that everybody has."""
        checks = sum(estimate_seconds(each.listed.file, each.size) for each in self.documents)
        return checks + (self.scan_seconds - self.scanner.timeout_seconds if self.scanner else 0.0)

    @property
    def scan_seconds(self) -> float:
        """What the scanner may take for all of them: within the time of the worker, which else is blamed."""
        if self.scanner is None:
            return 0.0
        return self.scanner.timeout_seconds + sum(scan_allowance(each.size) for each in self.documents)


def scan_allowance(size: int) -> float:
    """Seconds that scanning a document of ``size`` bytes may take beyond the scanner's time-out."""
    return _SCAN_SECONDS + size / _SCANNED_A_SECOND


def inspect_documents(work: Inspection) -> tuple[DocumentReport, ...]:
    """A report for each document, in order. What is refused already is not scanned.

    Raises ValidatorError and ScannerFailedError (hold).
    """
    # Its warnings quote the document, and there is nobody to read them.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    clock, catalogue = SystemClock(), work.catalogue
    deadline = clock.monotonic() + work.scan_seconds
    reports: list[DocumentReport] = []
    for document in work.documents:
        with _opened(document) as file:
            scratch = partial(_scratch, document.path)
            report = check_document(file, document.size, document.listed, catalogue, scratch)
            if work.scanner is not None and verdict_of(report.findings).outcome is Outcome.VALID:
                report = _scanned(work.scanner, document, report, deadline - clock.monotonic())
        reports.append(report)
    return tuple(reports)


def _scanned(
    scanner: ScannerConfig, document: Document, report: DocumentReport, left: float
) -> DocumentReport:
    seconds = min(scanner.timeout_seconds + scan_allowance(document.size), left)
    if seconds <= 0:
        raise ScannerFailedError(
            "the scanner is too slow for the documents of one packet", found="out of time"
        )
    with _descriptor(document) as descriptor:
        clean = is_clean(scanner, descriptor, document.listed.file, seconds)
    if clean:
        return report
    listed = document.listed
    finding = make_finding("document-infected", file=listed.file, document=listed.document_type)
    return DocumentReport((*report.findings, finding), report.members, report.index)


@contextmanager
def _opened(document: Document) -> Iterator[BinaryIO]:
    if not document.path:
        yield io.BytesIO(document.data)
        return
    try:
        file = Path(document.path).open("rb")  # noqa: SIM115 - what fails inside is not ours to name
    except OSError as error:
        raise ValidatorError("a document could not be read here", found=error.strerror or "") from error
    with file:
        yield file


@contextmanager
def _descriptor(document: Document) -> Iterator[int]:
    """A descriptor of its own at the first byte: the scanner moves it as it likes."""
    try:
        if document.path:
            descriptor = os.open(document.path, os.O_RDONLY | os.O_CLOEXEC)
        else:
            descriptor = os.memfd_create("document", os.MFD_CLOEXEC)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(document.data)
            os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        raise ValidatorError("a document could not be read here", found=error.strerror or "") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _scratch(beside: str) -> BinaryIO:
    folder = str(Path(beside).parent) if beside else None
    return cast("BinaryIO", tempfile.SpooledTemporaryFile(_MEMORY_BYTES, dir=folder))


def require_stored(documents: Sequence[Document]) -> None:
    """Read those that lie in files of their own once more, and hold them against their digests.

    Raises StoredPartRottenError for the first that is another now, ValidatorError for what cannot be read.
    """
    for document in documents:
        if not document.path:
            continue
        try:
            with Path(document.path).open("rb") as file:
                digest = digest_of_blocks(iter(partial(file.read, MIB), b""))
        except OSError as error:
            raise ValidatorError("a document could not be read here", found=error.strerror or "") from error
        if digest != document.listed.sha256:
            raise StoredPartRottenError(
                "a stored part is not what it was when it came", where=Path(document.path).name
            )


def findings_of(
    documents: Sequence[Document], reports: Sequence[DocumentReport], *, is_whole: bool
) -> tuple[Finding, ...]:
    """What was found in the documents of one packet and, where ``is_whole`` (all are there), between them."""
    found = [finding for report in reports for finding in report.findings]
    if is_whole:
        pairs = [(each.listed, report) for each, report in zip(documents, reports, strict=True)]
        found.extend(agreement_findings(pairs))
    return tuple(found)


def plan(whole: Inspection, *, most_bytes: int, most_documents: int) -> list[Inspection]:
    """Documents of one packet as pieces of work of about one size, in order."""
    pieces: list[list[Document]] = []
    size = 0
    for document in whole.documents:
        if not pieces or size + document.size > most_bytes or len(pieces[-1]) >= most_documents:
            pieces.append([])
            size = 0
        pieces[-1].append(document)
        size += document.size
    return [replace(whole, documents=tuple(piece)) for piece in pieces]
