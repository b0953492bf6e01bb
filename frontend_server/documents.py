"""Look into the copied documents of drops before they are taken, in worker processes.

Guarantees: what is inspected are the very bytes that will be sealed; a drop without documents costs nothing;
a document that ends its worker, or that nobody can judge, holds its drop and no other.

Leaves to others: the checks (``packet_spec.documents``), and what an answer means (``checking``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from exchanged.config import ScannerConfig
from exchanged.inspecting import Document, Inspection, findings_of, inspect_documents, plan
from exchanged.pool import WorkPool
from frontend_server.taking import Candidate
from packet_spec.documents.check import DocumentReport
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Outcome, Severity, verdict_of
from packet_spec.limits import FINDINGS, MIB

Answer = tuple[Finding, ...] | ExchangeError

# One piece of work: enough to keep a worker busy, little enough that its time says something.
_PIECE_BYTES: Final = 16 * MIB
_PIECE_DOCUMENTS: Final = 32


def inspect_copies(
    pool: WorkPool, candidates: Sequence[Candidate], scanner: ScannerConfig | None, packs: Path
) -> list[Answer]:
    """What was found in the documents of each candidate, or why that cannot be told. ``packs`` is a folder.

    Raises WorkerDiedError when the workers cannot be started or are being stopped.
    """
    wholes = [
        Inspection(_documents(candidate), scanner, str(packs), candidate.checked.pack.digest)
        for candidate in candidates
    ]
    pieces = [plan(each, most_bytes=_PIECE_BYTES, most_documents=_PIECE_DOCUMENTS) for each in wholes]
    works: list[Inspection] = [piece for each in pieces for piece in each]
    if not works:
        return [() for _ in candidates]
    reports = iter(pool.run(inspect_documents, works))
    return [
        _answer(each.documents, [next(reports) for _ in planned])
        for each, planned in zip(wholes, pieces, strict=True)
    ]


def first_refusals(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Refusals first, and no more than a verdict lists."""
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)[:FINDINGS])


def _documents(candidate: Candidate) -> tuple[Document, ...]:
    pairs = zip(candidate.packet.attachments, candidate.content.parts, strict=True)
    return tuple(
        Document(
            listed=replace(listed, size=each.part.size, sha256=each.part.digest),
            size=each.part.size,
            path="" if each.path is None else str(each.path),
            data=each.data,
        )
        for listed, each in pairs
    )


def _answer(
    documents: Sequence[Document], pieces: Sequence[tuple[DocumentReport, ...] | ExchangeError]
) -> Answer:
    """Findings that refuse decide, whatever happened to other documents; without them a doubt does."""
    reports = [report for piece in pieces if not isinstance(piece, ExchangeError) for report in piece]
    found = tuple(finding for report in reports for finding in report.findings)
    doubt = next((piece for piece in pieces if isinstance(piece, ExchangeError)), None)
    if doubt is None:
        return findings_of(documents, reports, is_whole=True)
    return found if verdict_of(found).outcome is Outcome.REFUSED else doubt
