"""Look into the copied documents of drops before they are taken, in worker processes.

Guarantees: what is inspected are the very bytes that will be sealed; a drop without documents costs nothing;
a document that ends its worker, or that nobody can judge, holds its drop and no other. What was told of a
piece of a copy is not asked for again, so a drop is finished however few of its pieces are told at a time.

Leaves to others: the checks (``packet_spec.documents``), and what an answer means (``checking``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from exchanged.config import ScannerConfig
from exchanged.errors import CheckTakesLongError, WorkerDiedError
from exchanged.inspecting import Document, Inspection, findings_of, inspect_documents, plan
from exchanged.pool import WorkPool
from exchanged.slow_answers import SlowAnswers
from exchanged.slow_lane import Piece
from frontend_server.taking import Candidate
from packet_spec.documents.check import DocumentReport
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Outcome, Severity, verdict_of
from packet_spec.limits import FINDINGS, MIB
from packet_spec.model import Attachment

Answer = tuple[Finding, ...] | ExchangeError

# One piece of work: enough to keep a worker busy, little enough that its time says something.
_PIECE_BYTES: Final = 16 * MIB
_PIECE_DOCUMENTS: Final = 32


def inspect_copies(
    pool: WorkPool,
    candidates: Sequence[Candidate],
    scanner: ScannerConfig | None,
    packs: Path,
    slow: SlowAnswers[bytes],
) -> list[Answer]:
    """What was found in the documents of each candidate, or why that cannot be told. ``packs`` is a folder.

    ``slow`` takes note, by the names of the drops, of what takes long.

    Raises WorkerDiedError when the workers cannot be started or are being stopped.
    """
    wholes = [
        Inspection(_documents(candidate), scanner, str(packs), candidate.checked.pack.digest)
        for candidate in candidates
    ]
    pieces = [_planned(each) for each in wholes]
    told = [candidate.content.reports for candidate in candidates]
    works = [piece for each, known in zip(pieces, told, strict=True) for piece in each if piece not in known]
    reports = iter(pool.run(inspect_documents, works) if works else ())
    answers: list[Answer] = []
    for candidate, whole, planned, known in zip(candidates, wholes, pieces, told, strict=True):
        outcome = [known[piece] if piece in known else next(reports) for piece in planned]
        for piece, report in zip(planned, outcome, strict=True):
            slow.note(inspect_documents, piece, report, candidate.row.name)
        known.update(
            (piece, report)
            for piece, report in zip(planned, outcome, strict=True)
            if not isinstance(report, ExchangeError)
        )
        answers.append(_answer(whole.documents, outcome))
    return answers


def is_large(attachments: Sequence[Attachment], sizes: Sequence[int], scanner: ScannerConfig | None) -> bool:
    """Documents of these sizes go to the slow lane at once: their copy serves more than one attempt."""
    documents = [Document(listed, size) for listed, size in zip(attachments, sizes, strict=True)]
    planned = _planned(Inspection(tuple(documents), scanner))
    return any(Piece(inspect_documents, piece).is_large for piece in planned)


def first_refusals(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Refusals first, and no more than a verdict lists."""
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)[:FINDINGS])


def _planned(whole: Inspection) -> list[Inspection]:
    return plan(whole, most_bytes=_PIECE_BYTES, most_documents=_PIECE_DOCUMENTS)


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
    """Findings that refuse decide, whatever happened to other documents; without them a doubt does.

    Of several doubts a worker that ended does, which is counted, then a piece that is still at work.
    """
    reports = [report for piece in pieces if not isinstance(piece, ExchangeError) for report in piece]
    found = tuple(finding for report in reports for finding in report.findings)
    doubts = [piece for piece in pieces if isinstance(piece, ExchangeError)]
    doubt = min(doubts, key=_rank, default=None)
    if doubt is None:
        return findings_of(documents, reports, is_whole=True)
    return found if verdict_of(found).outcome is Outcome.REFUSED else doubt


def _rank(doubt: ExchangeError) -> int:
    if isinstance(doubt, WorkerDiedError):
        return 0
    return 1 if isinstance(doubt, CheckTakesLongError) else 2
