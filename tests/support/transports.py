"""Transports and sources for tests: a mailbox in memory, and one that fails by a script.

``MemoryTransport`` keeps the transport contract (it runs in tests/contract beside the real ones).
``ScriptedTransport`` wraps any transport; one letter decides each operation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from exchanged.durable import DurableFiles
from exchanged.errors import TransportError, TransportFileError
from exchanged.folder_transport import resume_offset
from exchanged.mailbox import (
    SCAN_NAMES,
    Direction,
    MailboxKind,
    classify,
    growing_name,
    partial_name,
    require_known,
    sort_files,
)
from exchanged.transport import Fetched, Listing, MailboxFile, Source, Transport

Answer = TypeVar("Answer")


class BytesSource:
    """A ``Source`` of bytes in memory; ``fail_after`` bytes it raises ``failure``, if given."""

    def __init__(
        self,
        content: bytes,
        *,
        block_bytes: int = 64 * 1024,
        fail_after: int | None = None,
        failure: BaseException | None = None,
    ) -> None:
        self.content = content
        self.offsets_asked: list[int] = []
        self._block_bytes = block_bytes
        self._fail_after = fail_after
        self._failure = failure or TransportError("the source failed, as the test wants")

    @property
    def size(self) -> int:
        return len(self.content)

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        self.offsets_asked.append(offset)
        for start in range(offset, len(self.content), self._block_bytes):
            if self._fail_after is not None and start >= self._fail_after:
                raise self._failure
            yield self.content[start : start + self._block_bytes]


@dataclass
class MemoryMailbox:
    """Both directions of one mailbox, and whether somebody waits at its bell."""

    files: dict[Direction, dict[str, bytes]] = field(
        default_factory=lambda: {Direction.UP: {}, Direction.DOWN: {}}
    )
    is_there: bool = True
    somebody_waits: bool = False
    rings: int = 0


class MemoryTransport:
    """One side of a ``MemoryMailbox``; ``down`` is the serving side and owns the bell."""

    def __init__(
        self,
        mailbox: MemoryMailbox,
        *,
        outgoing: Direction,
        durable: DurableFiles,
        scan_names: int = SCAN_NAMES,
    ) -> None:
        self.mailbox = mailbox
        self._outgoing = outgoing
        self._durable = durable
        self._scan_names = scan_names

    def list_names(self) -> Listing:
        return self._list(self._outgoing.opposite)

    def list_own(self) -> Listing:
        return self._list(self._outgoing)

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        known = require_known(name)
        content = self._folder(self._outgoing.opposite).get(name)
        if content is None:
            raise TransportFileError("a file cannot be opened", found="missing")
        offset = resume_offset(target, len(content)) if known.kind is MailboxKind.BLOB else 0
        rest = BytesSource(content).blocks(offset)
        return self._durable.copy_blocks(target, rest, limit_bytes=limit_bytes, offset=offset)

    def put(self, name: str, source: Source) -> bool:
        known = require_known(name)
        folder = self._folder(self._outgoing)
        partial = partial_name(name)
        kept = folder.get(partial, b"") if known.kind is MailboxKind.BLOB else b""
        if len(kept) > source.size:
            kept = b""
        folder[partial] = kept
        for block in source.blocks(len(kept)):
            folder[partial] += block
        if len(folder[partial]) != source.size:
            del folder[partial]
            raise TransportError("the bytes to put do not match their stated size")
        folder[name] = folder.pop(partial)
        return True

    def remove_own(self, name: str) -> None:
        self._folder(self._outgoing).pop(require_known(name).name, None)

    def discard_partial(self, name: str) -> None:
        self._folder(self._outgoing).pop(partial_name(require_known(name).name), None)

    def ring(self) -> bool:
        if self._outgoing is Direction.UP:
            return False
        self.mailbox.rings += 1
        return self.mailbox.somebody_waits

    def close(self) -> None:
        """Nothing is held open."""

    def _folder(self, direction: Direction) -> dict[str, bytes]:
        if not self.mailbox.is_there:
            raise TransportError("the mailbox is not there")
        return self.mailbox.files[direction]

    def _list(self, direction: Direction) -> Listing:
        names = sorted(self._folder(direction).items())
        seen = names[: self._scan_names]
        files = [MailboxFile(name, len(content)) for name, content in seen if classify(name)]
        growing = tuple(filter(None, (growing_name(name) for name, _ in seen)))
        return Listing(
            sort_files(files), len(seen) - len(files), len(names) > len(seen), growing=growing
        )


class ScriptedTransport:
    """Another transport whose operations fail by a script, one letter each.

    ``D`` done · ``T`` fails with TransportError before anything happens · ``L`` lost answer: it
    happens, then fails · ``F`` the file is refused (TransportFileError). After the last letter all
    is done. ``ring`` and ``close`` take no letter.
    """

    def __init__(self, inner: Transport, script: str) -> None:
        if set(script) - set("DTLF"):
            raise ValueError("a script is made of D, T, L and F")
        self.inner = inner
        self.operations: list[str] = []
        self._script = iter(script)

    def list_names(self) -> Listing:
        letter = self._begin("list_names")
        return self._end(letter, self.inner.list_names())

    def list_own(self) -> Listing:
        letter = self._begin("list_own")
        return self._end(letter, self.inner.list_own())

    def fetch(self, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        letter = self._begin(f"fetch {name}")
        return self._end(letter, self.inner.fetch(name, target, limit_bytes=limit_bytes))

    def put(self, name: str, source: Source) -> bool:
        letter = self._begin(f"put {name}")
        return self._end(letter, self.inner.put(name, source))

    def remove_own(self, name: str) -> None:
        letter = self._begin(f"remove_own {name}")
        self.inner.remove_own(name)
        self._end(letter, None)

    def discard_partial(self, name: str) -> None:
        letter = self._begin(f"discard_partial {name}")
        self.inner.discard_partial(name)
        self._end(letter, None)

    def ring(self) -> bool:
        return self.inner.ring()

    def close(self) -> None:
        self.inner.close()

    def _begin(self, operation: str) -> str:
        self.operations.append(operation)
        letter = next(self._script, "D")
        if letter == "T":
            raise TransportError("the link is down, as the script wants")
        if letter == "F":
            raise TransportFileError("the file is refused, as the script wants")
        return letter

    def _end(self, letter: str, result: Answer) -> Answer:
        if letter == "L":
            raise TransportError("the answer was lost, as the script wants")
        return result


def digest_of(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()
