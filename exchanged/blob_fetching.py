"""Fetching the blobs that batches of a link wait for, in turns; whoever puts a wrong one is asked again (C8).

Leaves to others: what is on the books for them (``landing``). Known limit: a line that breaks at a blob ends
the turn of all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from exchanged.batch import LandedBatch
from exchanged.corrupt_blobs import CorruptBlobs
from exchanged.errors import NoSpaceError, TransportFileError
from exchanged.ledger import blobs
from exchanged.link_context import LinkContext
from exchanged.mailbox import blob_name
from exchanged.transport import TURN_SECONDS
from packet_spec.limits import MIB

_ALWAYS_TAKEN_BYTES: Final = 1 * MIB


def require_room(link: LinkContext, size: int, *, here: int = 0) -> None:
    """Below the floor nothing large is taken in; what is small is what empties the spool again (I10).

    ``here``: so many of its ``size`` bytes lie on the volume already, and need no more room.
    """
    if size > _ALWAYS_TAKEN_BYTES:
        link.floor.require(size - here)


@dataclass(slots=True)
class BlobFetching:
    """Of one link. ``corrupt`` are blob files of the neighbour that are not what they claim.

    ``is_unfinished``: the last step ended with a blob that is not whole here, only because its turn was over.
    """

    link: LinkContext
    corrupt: CorruptBlobs = field(init=False)
    is_unfinished: bool = False

    def __post_init__(self) -> None:
        self.corrupt = CorruptBlobs(self.link)

    def fetch(
        self, files: Mapping[str, int], landing: Iterable[LandedBatch], fetched: dict[str, tuple[int, int]]
    ) -> None:
        """Fetch what these batches, or earlier ones, wait for; ``fetched``: digest -> (generation, size).

        A blob that is stored already but to which the neighbour has no title is still read whole:
        only its own upload proves that it has it (C9). It is kept once. Raises NoSpaceError, after the
        others, when there is no room for what is still to come of one of them.
        """
        if self.link.peer_is_disabled:
            return
        connection = self.link.ledger.read()
        sizes = dict(blobs.lacking(connection, self.link.name))
        for batch in landing:
            for entry in batch.items:
                for blob in entry.item.blobs:
                    if not blobs.is_present_for(connection, blob.digest, self.link.peer):
                        sizes[blob.digest] = blob.size
        self.corrupt.forget_others(sizes)
        ends = self.link.clock.monotonic() + TURN_SECONDS
        full: NoSpaceError | None = None
        for digest, size in sorted(sizes.items(), key=lambda entry: (entry[1], entry[0])):
            name = blob_name(digest)
            if name not in files or not self.corrupt.is_worth_reading(digest):
                continue
            if self.is_unfinished or self.link.clock.monotonic() >= ends:
                self.is_unfinished = True
                break
            if files[name] != size:
                self.corrupt.note(digest)
                continue
            try:
                require_room(self.link, size, here=self.link.blobs.partial_size(digest, self.link.name, size))
            except NoSpaceError as error:
                # Of a larger one more may be here already.
                full = error
                continue
            stored = blobs.live_generation(connection, digest)
            generation = blobs.next_generation(connection, digest) if stored is None else stored
            taken = self._take_in(digest, generation if stored is None else None, size)
            if taken is None:
                self.is_unfinished = True
            elif taken:
                fetched[digest] = (generation, size)
                self.corrupt.forget(digest)
            else:
                self.corrupt.note(digest)
        if full is not None:
            raise full

    def _take_in(self, digest: str, generation: int | None, size: int) -> bool | None:
        """Fetch one blob. False: what lies there is not that blob. None: its turn was over."""
        try:
            return self.link.blobs.take_in(
                digest,
                generation,
                size,
                lambda partial: self.link.transport.fetch(blob_name(digest), partial, limit_bytes=size),
                self.link.name,
            )
        except TransportFileError:
            return False
