"""What a document says, before it has a format: one value that every writer of this package reads.

Guarantees nothing about the law: the sentences are invented, and every writer adds ``MARK``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Final

from packet_spec.documents.values import IndexEntry

MARK: Final = "虚构数据 FICTIONAL"


@dataclass(frozen=True, slots=True)
class DocumentContext:
    """The content of one document. ``pages`` is the least number of text pages, 1 or more.

    ``scans`` adds that many pages with a scanned picture (about 0.6 MiB each, incompressible).
    ``seed`` decides pictures and noise; ``entries`` is for lists and indexes; ``members`` are the
    documents of a dossier package, each with the volume that it lies in.
    """

    document_type: str
    title: str
    number: str
    issuer: str
    addressee: str
    case_name: str
    case_numbers: tuple[str, ...]
    parties: tuple[str, ...]
    issued_on: date
    paragraphs: tuple[str, ...]
    pages: int = 1
    scans: int = 0
    seed: str = "0"
    entries: tuple[IndexEntry, ...] = ()
    members: tuple[tuple[str, DocumentContext], ...] = ()


def noise(seed: str, index: int, size_bytes: int) -> bytes:
    """``size_bytes`` bytes that look random and are always the same for ``seed`` and ``index``.

    SHAKE-128 as a stream: about 400 MB/s, incompressible, and independent of Python's version.
    """
    return hashlib.shake_128(f"exchanged-fiction\n{seed}\n{index}".encode()).digest(size_bytes)
