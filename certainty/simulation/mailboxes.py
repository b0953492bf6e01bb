"""The virtual network: mailboxes in memory, transports to them, and everything that may happen in between.

A mailbox keeps the contract of ``exchanged.transport`` and no more: a put shows a file whole or not at all,
and says nothing about who reads it when. The way to it may be cut in the middle of a put or a fetch, answers
may be lost after the deed, bytes may come wrong, a listing comes in any order, and a relay that carries the
files may lose them, bring old ones back, exchange them or hold them back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Final

from exchanged.durable import DurableFiles
from exchanged.errors import TransportError, TransportFileError
from exchanged.folder_transport import resume_offset
from exchanged.mailbox import (
    Direction,
    MailboxKind,
    classify,
    growing_name,
    partial_name,
    require_known,
)
from exchanged.transport import Fetched, Listing, MailboxFile, Source

_BLOCK: Final = 64 * 1024


@dataclass
class LineFaults:
    """How likely each trouble is at one operation; ``heal`` ends all of them.

    ``happened`` counts what really came, by the kind of fault.
    """

    refused: float = 0.0
    cut: float = 0.0
    lost_answer: float = 0.0
    wrong_bytes: float = 0.0
    late: float = 0.0
    lost_file: float = 0.0
    lost_ring: float = 0.0
    turn: float = 0.0
    # A file's time stamp is rounded down to so many seconds; below zero the medium tells none.
    stamp_seconds: float = 0.0
    happened: Counter[str] = field(default_factory=Counter)

    def heal(self) -> None:
        """From now on everything passes."""
        self.refused = self.cut = self.lost_answer = self.wrong_bytes = 0.0
        self.late = self.lost_file = self.lost_ring = self.turn = 0.0


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file in a mailbox: its bytes, when it was put, and from when on the other side sees it."""

    content: bytes
    put_at: float
    seen_from: float


@dataclass
class Mailbox:
    """Both directions of one mailbox; ``past`` is what ever lay there, for relays that bring it back."""

    name: str
    files: dict[Direction, dict[str, MailFile]] = field(
        default_factory=lambda: {Direction.UP: {}, Direction.DOWN: {}}
    )
    past: list[tuple[Direction, str, bytes]] = field(default_factory=list)
    cut_until: float = 0.0

    def show(self, direction: Direction, name: str, content: bytes, now: float, seen_from: float) -> None:
        """``content`` lies there as ``name``, to be seen from then on."""
        self.files[direction][name] = MailFile(content, now, seen_from)
        self.past.append((direction, name, content))


class SimulatedTransport:
    """One node's side of a mailbox, over a line that may fail: the contract of ``exchanged.transport``."""

    def __init__(
        self,
        mailbox: Mailbox,
        outgoing: Direction,
        files: DurableFiles,
        faults: LineFaults,
        dice: Random,
        time: Callable[[], float],
        tell: Callable[[str], None],
        ring_peer: Callable[[], None],
        epoch: datetime,
    ) -> None:
        self._mailbox = mailbox
        self._outgoing = outgoing
        self._files = files
        self._faults = faults
        self._dice = dice
        self._time = time
        self._tell = tell
        self._ring_peer = ring_peer
        self._epoch = epoch.timestamp()

    def list_names(self) -> Listing:
        """What the other side put here and can be seen by now."""
        return self._list(self._outgoing.opposite)

    def list_own(self) -> Listing:
        """What this side put here and nobody lost."""
        return self._list(self._outgoing)

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        """Copy a file; a blob goes on where ``target`` ends."""
        known = require_known(name)
        self._try(f"fetch {short(name)}")
        found = self._mailbox.files[self._outgoing.opposite].get(name)
        if found is None or found.seen_from > self._time():
            raise TransportFileError("a file cannot be opened", found="missing")
        content = self._maybe_wrong(found.content, name)
        offset = resume_offset(target, len(content)) if known.kind is MailboxKind.BLOB else 0
        end, blob = len(content), known.kind is MailboxKind.BLOB
        if blob and end - offset > 1 and self._dice.random() < self._faults.turn:
            end = self._dice.randint(offset + 1, end - 1)
            self._faults.happened["turns"] += 1
        blocks = self._perhaps_cut(content[:end], offset, name)
        fetched = self._files.copy_blocks(target, blocks, limit_bytes=limit_bytes, offset=offset)
        self._answer(f"fetch {short(name)}")
        return replace(fetched, whole=end == len(content))

    def put(self, name: str, source: Source) -> bool:
        """Show a file whole; a blob goes on where an earlier try was cut, or its turn was over."""
        known = require_known(name)
        self._try(f"put {short(name)}")
        folder = self._mailbox.files[self._outgoing]
        partial = partial_name(name)
        kept = folder[partial].content if known.kind is MailboxKind.BLOB and partial in folder else b""
        if len(kept) > source.size:
            kept = b""
        rest = b"".join(source.blocks(len(kept)))
        if self._dice.random() < self._faults.cut:
            upto = self._dice.randint(0, len(rest))
            folder[partial] = MailFile(kept + rest[:upto], self._time(), 0.0)
            self._faults.happened["cuts"] += 1
            self._fail(f"put {short(name)} is cut after {len(kept) + upto} bytes")
        if known.kind is MailboxKind.BLOB and len(rest) > 1 and self._dice.random() < self._faults.turn:
            folder[partial] = MailFile(kept + rest[: self._dice.randint(1, len(rest) - 1)], self._time(), 0.0)
            self._faults.happened["turns"] += 1
            self._tell(f"{self._mailbox.name}: the turn of {short(name)} is over")
            return False
        content = kept + rest
        folder.pop(partial, None)
        if len(content) != source.size:
            raise TransportError("the bytes to put do not match their stated size")
        content = self._maybe_wrong(content, name)
        now = self._time()
        late = self._dice.random() < self._faults.late
        seen_from = now + self._dice.uniform(0.1, 60.0) if late else now
        self._faults.happened["late files"] += late
        if self._dice.random() < self._faults.lost_file:
            # Told as done and then lost: only an acknowledgement is custody.
            self._faults.happened["lost files"] += 1
            self._tell(f"{self._mailbox.name}: {short(name)} was put and is lost")
            folder.pop(name, None)
        else:
            self._mailbox.show(self._outgoing, name, content, now, seen_from)
        self._hint()
        self._answer(f"put {short(name)}")
        return True

    def remove_own(self, name: str) -> None:
        """Remove a file of this side."""
        self._try(f"remove {short(name)}")
        self._mailbox.files[self._outgoing].pop(require_known(name).name, None)
        self._answer(f"remove {short(name)}")

    def discard_partial(self, name: str) -> None:
        """Remove what a put that was cut left behind."""
        self._try(f"discard {short(name)}")
        self._mailbox.files[self._outgoing].pop(partial_name(require_known(name).name), None)

    def ring(self) -> bool:
        """Wake the peer, where this side serves."""
        if self._outgoing is Direction.UP:
            return False
        self._hint()
        return True

    def close(self) -> None:
        """Nothing is held open."""

    # --- the line ----------------------------------------------------------------------------------

    def _try(self, what: str) -> None:
        if self._mailbox.cut_until > self._time():
            self._faults.happened["partitions"] += 1
            raise TransportError("the way to the mailbox is cut")
        if self._faults.refused and self._dice.random() < self._faults.refused:
            self._faults.happened["line"] += 1
            self._fail(f"{what} fails")

    def _answer(self, what: str) -> None:
        if self._faults.lost_answer and self._dice.random() < self._faults.lost_answer:
            self._faults.happened["line"] += 1
            self._fail(f"{what} is done, its answer lost")

    def _fail(self, what: str) -> None:
        self._tell(f"{self._mailbox.name}: {what}")
        raise TransportError("the line failed")

    def _hint(self) -> None:
        if self._dice.random() >= self._faults.lost_ring:
            self._ring_peer()
        else:
            self._faults.happened["lost hints"] += 1

    def _maybe_wrong(self, content: bytes, name: str) -> bytes:
        if not content or not self._faults.wrong_bytes or self._dice.random() >= self._faults.wrong_bytes:
            return content
        at = self._dice.randrange(len(content))
        self._faults.happened["wrong bytes"] += 1
        self._tell(f"{self._mailbox.name}: byte {at} of {short(name)} comes wrong")
        return content[:at] + bytes((content[at] ^ (1 << self._dice.randrange(8)),)) + content[at + 1 :]

    def _perhaps_cut(self, content: bytes, offset: int, name: str) -> Iterator[bytes]:
        end = len(content)
        is_cut = bool(self._faults.cut) and self._dice.random() < self._faults.cut
        if is_cut:
            end = self._dice.randint(offset, len(content))
        for start in range(offset, end, _BLOCK):
            yield content[start : min(start + _BLOCK, end)]
        if is_cut:
            self._faults.happened["cuts"] += 1
            self._fail(f"fetch {short(name)} is cut after {end} of {len(content)} bytes")

    def _list(self, direction: Direction) -> Listing:
        self._try("list")
        now = self._time()
        names = [
            (name, file)
            for name, file in self._mailbox.files[direction].items()
            if file.seen_from <= now or direction is self._outgoing
        ]
        known = [
            MailboxFile(name, len(file.content), self._stamp(file))
            for name, file in names
            if classify(name) is not None
        ]
        self._dice.shuffle(known)
        growing = tuple(filter(None, (growing_name(name) for name, _ in names)))
        return Listing(tuple(known), len(names) - len(known), growing=growing)

    def _stamp(self, file: MailFile) -> float | None:
        step = self._faults.stamp_seconds
        self._faults.happened["coarse stamps"] += step != 0
        if step < 0:
            return None
        at = self._epoch + file.put_at
        return at if not step else at // step * step


def short(name: str) -> str:
    """A name for the trail: long ones have their middle left out."""
    return name if len(name) < 30 else f"{name[:14]}~{name[-6:]}"
