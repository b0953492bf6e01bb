"""The receiver's case software: it looks at the inbox after every round, and at every death twice.

It writes down each packet that it has not seen lying there the time before, has its papers judged, takes it
away (with its folder flushed, so that a power cut does not bring it back), and signs once for what has a
large part. What lies there must stay as it is, to the byte, until it takes it: it looks at all of it again
each time, also when the power is back. A packet that appears twice, in parts, or with other bytes shows here;
so does one that vanishes.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packet_spec.identity import sha256_hex
from packet_spec.limits import MIB

# Made by nodes, and different wherever an id or a time is: two runs have them by name only. Whether they are
# true is judged as they appear, and that they stay the same as long as they lie there.
_MADE: Final = frozenset({"accepted.xml", "delivery.xml", "seal.xml", "seal.sig"})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EROFS})

Files = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Seen:
    """One appearance: which packet, and the digests of its files by name (of what nodes make, the name)."""

    packet: str
    files: Files


def _no_problems(_: Path) -> list[str]:
    return []


def _never(_: str) -> bool:
    return False


@dataclass
class Reader:
    """The case software of one agency, below ``agency``. ``takes`` false: it looks and leaves all there.

    ``judge`` says what is wrong with a packet's folder that has just appeared. ``troubles`` are broken
    promises, each an invariant and a sentence. ``undone``: what a power cut took back that had not been
    receipted, by files; that much may appear once more (custody C19).
    """

    agency: Path
    takes: bool = True
    judge: Callable[[Path], list[str]] = _no_problems
    appeared: list[Seen] = field(default_factory=list)
    undone: Counter[Files] = field(default_factory=Counter)
    troubles: list[tuple[str, str]] = field(default_factory=list)
    _lying: dict[str, tuple[Seen, dict[str, str]]] = field(default_factory=dict)
    _taking: set[str] = field(default_factory=set)
    _signed: set[str] = field(default_factory=set)

    def know(self, other: Reader) -> None:
        """Go on with what another one saw, signed for, and left lying in the same folders."""
        self.appeared = list(other.appeared)
        self._lying, self._signed = dict(other._lying), set(other._signed)

    def look(self, *, may_take: bool = True, may_undo: Callable[[str], bool] = _never) -> None:
        """One look at everything. What did not lie there the time before is written down.

        ``may_undo`` is asked about a packet that has vanished: whether the power cut just now may do that.
        """
        lying: dict[str, tuple[Seen, dict[str, str]]] = {}
        for folder in sorted((self.agency / "inbox").glob("*/*")):
            name, found = f"{folder.parent.name}/{folder.name}", digests(folder)
            known = self._lying.pop(name, None)
            if known is None:
                seen = Seen(folder.name, contents(found))
                self.appeared.append(seen)
                self.troubles += [("I4", what) for what in self.judge(folder)]
            else:
                seen = known[0]
                self._compare(name, known[1], found)
            if known is None or not (may_take and self.takes and self._take(folder, name)):
                lying[name] = (seen, found)
        for name, (seen, _) in sorted(self._lying.items()):
            if may_undo(seen.packet):
                self.undone[seen.files] += 1
            else:
                self.troubles.append(("I1", f"vanished from the inbox, and nobody took it: {name}"))
        self._lying = lying

    def _compare(self, name: str, before: dict[str, str], found: dict[str, str]) -> None:
        if name in self._taking:
            return
        other = sorted(file for file in {*before, *found} if before.get(file) != found.get(file))
        if other:
            self.troubles.append(("I3", f"changed after it had appeared: {', '.join(other)} of {name}"))

    def _take(self, folder: Path, name: str) -> bool:
        """Sign for it where that is due and take it away; False on a disk that lets nobody write now."""
        try:
            self._sign(folder)
            self._taking.add(name)
            shutil.rmtree(folder)
            _flush(folder.parent)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            return False
        self._taking.discard(name)
        return True

    @staticmethod
    def signs(folder: Path) -> bool:
        """Whether a packet is one that is signed for."""
        return any(path.stat().st_size > MIB for path in folder.iterdir())

    def _sign(self, folder: Path) -> None:
        if folder.name in self._signed or not self.signs(folder):
            return
        sender, _, packet = folder.name.partition("_")
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<disposition xmlns="urn:exchanged:disposition:1"'
            f' packetId="{packet}" sender="{sender}" kind="signed" by="虚构丙"'
            f' at="2026-07-15T10:00:00+08:00"/>\n'
        )
        hidden = self.agency / f"signed-{packet}.part"
        with hidden.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        hidden.rename(self.agency / "outbox" / f"signed-{packet}.xml")
        self._signed.add(folder.name)
        _flush(self.agency / "outbox")


def digests(folder: Path) -> dict[str, str]:
    """The digest of every file below ``folder``, by its name there."""
    return {
        str(path.relative_to(folder)): sha256_hex(path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def contents(found: dict[str, str]) -> Files:
    """What two runs of one beginning must have alike of a packet's files."""
    return tuple((name, "" if name in _MADE else digest) for name, digest in sorted(found.items()))


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
