"""Copy the files of a drop out of the outbox, once, hashing them (C3, C8).

Guarantees: the bytes that are hashed here are the bytes that are sealed; at most ``INLINE_PARTS_BYTES``
of one drop are held in memory, everything else is a flushed private file beside the stored blobs. What
was copied for a drop that is not taken is removed; after a crash ``remove_leftovers`` does it.

Leaves to others: whether the digests are those listed, and what becomes of the copies (``acceptance``).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exchanged.blobs import BlobStore
from exchanged.clock import Randomness
from exchanged.disk_floor import DiskFloor
from exchanged.durable import DurableFiles
from exchanged.errors import FileOperationError
from exchanged.inspecting import Inspection
from frontend_server.drops import DropChangedError, DropSource
from packet_spec.documents.check import DocumentReport
from packet_spec.errors import ExchangeError
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.limits import INLINE_PART_BYTES, INLINE_PARTS_BYTES
from packet_spec.model import Attachment, Carriage, SealPart
from packet_spec.names import sealed_name

SUFFIX: Final = ".intake"
"""Of private files that are not adopted yet; a start removes them."""


@dataclass(frozen=True, slots=True)
class CopiedPart:
    """One attachment as it will travel: ``data`` when inline, ``path`` of the private file when a blob."""

    part: SealPart
    data: bytes = b""
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class CopiedDrop:
    """The whole content of a drop, ours now, with the digests that bind it (C11)."""

    packet_xml: bytes
    packet_digest: str
    parts: tuple[CopiedPart, ...]
    content_digest: str
    reports: dict[Inspection, tuple[DocumentReport, ...]] = field(default_factory=dict, compare=False)
    """What was told of the documents of this very copy so far, piece by piece; it ends with the copy."""


class Copier:
    """Copies drops of one node. ``files`` are those of our own volume."""

    def __init__(
        self, blobs: BlobStore, files: DurableFiles, randomness: Randomness, floor: DiskFloor
    ) -> None:
        self._blobs = blobs
        self._files = files
        self._randomness = randomness
        self._floor = floor

    def copy(
        self, source: DropSource, packet_xml: bytes, attachments: Sequence[Attachment], parts: Sequence[int]
    ) -> CopiedDrop:
        """Copy the member ``parts[i]`` for ``attachments[i]``, each once, in order.

        Raises what reading raises, and NoSpaceError when too little room would be left; nothing of the drop
        is kept then.
        """
        members = [source.members[index] for index in parts]
        # Below the floor nothing is taken: what is under way needs the room (fault matrix, I10).
        self._floor.require(sum(member.size for member in members))
        carriages = choose_carriages([member.size for member in members])
        copied: list[CopiedPart] = []
        try:
            for number, (index, listed) in enumerate(zip(parts, attachments, strict=True), start=1):
                carriage = carriages[number - 1]
                copied.append(self._copy_part(source, index, listed, number, carriage))
        except ExchangeError:
            self._discard_parts(copied)
            raise
        digest = sha256_hex(packet_xml)
        listing = ((each.part.name, each.part.size, each.part.digest) for each in copied)
        return CopiedDrop(packet_xml, digest, tuple(copied), content_digest(digest, listing))

    def discard(self, drop: CopiedDrop) -> None:
        """Remove what was copied and not adopted; files that were adopted are no longer there."""
        self._discard_parts(drop.parts)

    def remove_leftovers(self) -> None:
        """Remove copies that a crash left behind. Once, before the first drop is read."""
        for path in sorted(self._blobs.incoming.glob(f"*{SUFFIX}")):
            self._files.unlink(path)

    def _copy_part(
        self, source: DropSource, index: int, listed: Attachment, number: int, carriage: Carriage
    ) -> CopiedPart:
        member = source.members[index]
        path: Path | None = None
        data = b""
        if carriage is Carriage.BLOB:
            path = self._blobs.incoming / f"{self._randomness.token(12).hex()}{SUFFIX}"
            try:
                fetched = self._files.copy_blocks(path, source.blocks(index), limit_bytes=member.size)
            except ExchangeError:
                with suppress(FileOperationError):
                    self._files.unlink(path)
                raise
            size, digest = fetched.size, fetched.digest
        else:
            data = b"".join(source.blocks(index))
            size, digest = len(data), sha256_hex(data)
        if size != member.size:
            raise DropChangedError("a file of a drop has another size than it had")
        name = sealed_name(member.name, listed.file)
        part = SealPart(number, name, size, digest, carriage, listed.document_type)
        return CopiedPart(part, data, path)

    def _discard_parts(self, parts: Sequence[CopiedPart]) -> None:
        for part in parts:
            if part.path is not None:
                self._files.unlink(part.path)


def choose_carriages(sizes: Sequence[int]) -> list[Carriage]:
    """A part above 1 MiB is a blob, and so are the largest others beyond 8 MiB in total (C8)."""
    carriages = [Carriage.BLOB if size > INLINE_PART_BYTES else Carriage.INLINE for size in sizes]
    inline = [index for index, carriage in enumerate(carriages) if carriage is Carriage.INLINE]
    total = sum(sizes[index] for index in inline)
    # Of equal sizes the last one goes first: the same drop is always carried the same way.
    for index in sorted(inline, key=lambda index: (sizes[index], index), reverse=True):
        if total <= INLINE_PARTS_BYTES:
            break
        carriages[index] = Carriage.BLOB
        total -= sizes[index]
    return carriages
