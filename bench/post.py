"""The case software of many agencies: it drops at given moments, takes what arrives, and keeps the books.

Guarantees: a packet counts as arrived when its folder appeared in the inbox of the agency that it is for, and
is taken out then, as case software does; a second one of the same reference, a refused drop, a packet in a
wrong inbox are remembered and make the books not balance. What was taken lies in ``taken`` under its
reference, so that whoever is broken off knows afterwards what arrived.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.mix import Letter
from bench.province import folders_of, names_in, packets_in
from cli.lab.lab import Lab

_RECEIPT_SECONDS: Final = 600.0
_RECEIPT_LOOK_SECONDS: Final = 5.0
# Nothing arrived for so long: worth a look whether only refused ones are left. It costs the measured little.
_STILL_SECONDS: Final = 120.0
_BESIDE_REFUSED: Final = (".findings.xml", ".findings.txt")
_REFERENCE: Final = re.compile(rb"<senderRef>([^<]+)</senderRef>")


@dataclass(frozen=True, slots=True)
class Open:
    """A packet that was dropped and did not arrive yet; ``at`` is monotonic."""

    letter: Letter
    at: float


class Post:
    """Drops letters into the outboxes of a lab's agencies, and takes them out of the inboxes."""

    def __init__(self, lab: Lab, taken: Path | None = None) -> None:
        self._lab = lab
        self.open: dict[str, Open] = {}
        # Seconds from drop to inbox, by sender, in the order of arrival.
        self.waits: dict[str, list[float]] = {}
        self.arrived = 0
        self.taken = taken or lab.layout.root / f"taken-{time.monotonic_ns()}"
        self.taken.mkdir(exist_ok=True)
        self._wrong = self.taken.with_name(f"{self.taken.name}-wrong")
        self._wrong.mkdir(exist_ok=True)

    def went(self, letter: Letter) -> None:
        """It was dropped in an earlier call: it has arrived since, or is open."""
        if (self.taken / letter.reference).exists():
            self.arrived += 1
        else:
            self.open[letter.reference] = Open(letter, time.monotonic())

    def drop(self, letters: Iterable[Letter]) -> None:
        """They appear now; they lie on the volume of the outboxes already."""
        for letter in letters:
            letter.path.rename(self._lab.agency_root(letter.sender) / "outbox" / letter.reference)
            self.open[letter.reference] = Open(letter, time.monotonic())

    def look(self) -> None:
        """Take everything that lies in an inbox."""
        for code in self._lab.agencies:
            for path in packets_in(self._lab.agency_root(code) / "inbox"):
                self._take(code, path)

    def receipts_back(self) -> int:
        """How many packets have their ``delivered`` receipt at the sender."""
        return sum(
            any(folder.glob("delivered-*"))
            for code in self._lab.agencies
            for folder in folders_of(self._lab.agency_root(code) / "receipts")
        )

    def await_receipts(self, count: int, before: int = 0) -> None:
        """Until ``count`` ``delivered`` receipts lie at the senders beside those of ``before``; ten minutes.

        The last ones may wait out a bell that nobody heard, while everything else rests.
        """
        deadline = time.monotonic() + _RECEIPT_SECONDS
        while self.receipts_back() < before + count and time.monotonic() < deadline:
            time.sleep(_RECEIPT_LOOK_SECONDS)

    def refused(self) -> frozenset[str]:
        """The names of the drops that the front-ends refused."""
        roots = [self._lab.agency_root(code) / "refused" for code in self._lab.agencies]
        names = (name for root in roots for name in names_in(root))
        return frozenset(name for name in names if not name.endswith(_BESIDE_REFUSED))

    def give_up(self) -> None:
        """What is open has waited until now; in the books it is missing."""
        now = time.monotonic()
        for each in self.open.values():
            self.waits.setdefault(each.letter.sender, []).append(now - each.at)

    def all_waits(self) -> list[float]:
        """Seconds from drop to inbox of everything that arrived, and of what was given up."""
        return [wait for waits in self.waits.values() for wait in waits]

    def problems(self, count: int, before: int = 0) -> Sequence[str]:
        """What is wrong with the books when ``count`` were dropped and all is at rest.

        ``before``: so many ``delivered`` receipts lay there already.
        """
        found = sorted(each.name for each in self._wrong.iterdir())
        if self.open or self.arrived != count:
            found.append(f"{self.arrived} of {count} arrived")
        if (back := self.receipts_back() - before) != count:
            found.append(f"{back} of {count} have their delivered receipt")
        if refused := self.refused():
            found.append(f"{len(refused)} were refused")
        return found

    def _take(self, code: str, path: Path) -> None:
        now = time.monotonic()
        match = _REFERENCE.search((path / "packet.xml").read_bytes())
        reference = match[1].decode() if match else ""
        taken = self.open.get(reference)
        # Not removed: where files went a moment ago making others is dear (ext4), and no part of the load.
        if taken is None or taken.letter.receiver != code:
            path.rename(
                self._wrong / f"{reference or path.name} in the inbox of {code}, {time.monotonic_ns()}"
            )
            return
        path.rename(self.taken / reference)
        del self.open[reference]
        self.waits.setdefault(taken.letter.sender, []).append(now - taken.at)
        self.arrived += 1


class Patience:
    """Says when nothing more is worth waiting for. ``moved``: when a packet arrived last (monotonic)."""

    def __init__(self, post: Post, seconds: float) -> None:
        """``seconds`` without an arrival are enough."""
        self._post, self._seconds = post, seconds
        self._arrived, self.moved = post.arrived, time.monotonic()

    def is_over(self) -> bool:
        """To be asked after each look: nothing moved for too long, or all that is open was refused."""
        now = time.monotonic()
        if self._post.arrived > self._arrived:
            self._arrived, self.moved = self._post.arrived, now
        still = now - self.moved
        if still > _STILL_SECONDS and self._post.open and self._post.open.keys() <= self._post.refused():
            return True
        return still > self._seconds
