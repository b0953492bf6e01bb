"""The row of volume: what Guizhou counted in two years, in its published mix, as fast as it goes.

At most so many packets are under way at a time, as many as a busy morning would bring; whatever arrives is
taken, as case software does. Broken off, by whatever, it goes on in another sitting: what was dropped and
what arrived is seen from the folders, and what the sittings took is added up.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from bench.crowd import Crowd
from bench.growth import await_rest
from bench.keeping import disk_use, write_whole
from bench.meter import Meter
from bench.mix import TOTAL, Letter, Mix
from bench.post import Patience, Post
from bench.result import Check, Result, Run

AGENCIES: Final = 100
_UNDER_WAY: Final = 1_000
_AT_ONCE: Final = 100
# Without one arrival.
_DRAIN_SECONDS: Final = 1_800.0
_LOOK_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0


@dataclass(slots=True)
class Sitting:
    """What passed between two breaks: packets that arrived, seconds, and seconds of processor time."""

    arrived: int = 0
    seconds: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class Books:
    """How far it is, in a file. ``disk``: bytes of the idle lab.

    ``ready``: the drops below that number were written whole, before any of them appeared.
    """

    path: Path
    ready: int = 0
    disk: int = 0
    sittings: list[Sitting] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Books:
        """As an earlier call left them; empty without one."""
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path)
        return cls(path, value["ready"], value["disk"], [Sitting(**each) for each in value["sittings"]])

    def save(self) -> None:
        """On disk before the next step."""
        value = {"ready": self.ready, "disk": self.disk, "sittings": [asdict(each) for each in self.sittings]}
        write_whole(self.path, json.dumps(value))

    def total(self) -> Sitting:
        """All sittings together."""
        arrived = sum(each.arrived for each in self.sittings)
        seconds, cpu = sum(each.seconds for each in self.sittings), sum(each.cpu for each in self.sittings)
        return Sitting(arrived, seconds, cpu)


class Supply:
    """The drops of all numbers below ``wanted``, each once, whatever earlier calls dropped of them."""

    def __init__(self, mix: Mix, staged: Path, books: Books, wanted: int) -> None:
        staged.mkdir(exist_ok=True)
        self._mix, self._books = mix, books
        letters = [(number, mix.draw(number, staged)) for number in range(wanted)]
        ready = letters[: books.ready]
        # Whatever was ready and lies there no more has appeared; it did so by one rename.
        self._again = [(number, letter) for number, letter in ready if letter.path.exists()]
        self.gone = tuple(letter for _, letter in ready if not letter.path.exists())
        self._rest = iter(letters[books.ready :])

    def take(self, most: int) -> list[Letter]:
        """The next ones, written whole, ``most`` of them at most; none when all were taken."""
        most = max(0, most)
        if self._again:
            again, self._again = self._again[:most], self._again[most:]
            for number, letter in again:
                # A machine that stopped hard may have lost what was in it.
                self._mix.render(number, letter)
            return [letter for _, letter in again]
        found = []
        for number, letter in islice(self._rest, most):
            self._mix.render(number, letter)
            found.append(letter)
        if found:
            self._books.ready += len(found)
            self._books.save()
        return found


def volume(run: Run) -> Result:
    """All packets through a hundred agencies, and the books afterwards."""
    wanted = run.packets or TOTAL
    books = Books.open(run.folder / "books.json")
    with Crowd(run.folder, AGENCIES, run.tell) as crowd:
        root = crowd.lab.layout.root
        # Also until what an earlier sitting let appear has come to its end.
        await_rest(AGENCIES)
        if not books.sittings:
            books.disk = disk_use(root)
        mix = Mix(run.folder / f"templates-{len(books.sittings)}", crowd.agencies)
        post, supply = Post(crowd.lab, root / "taken"), Supply(mix, root / "staged", books, wanted)
        for letter in supply.gone:
            post.went(letter)
        post.look()
        books.sittings.append(Sitting())
        _pass(run, post, supply, books, wanted)
        total = books.total()
        # In a small try all may have arrived between two sittings.
        passed = max(total.arrived, 1)
        problems = post.problems(wanted)
        used = disk_use(root) - books.disk - disk_use(post.taken)
    return Result(
        (
            Check("packets passed", post.arrived, wanted, ""),
            Check("what is wrong with the books", len(problems), 0, "", at_least=False),
        ),
        figures={
            "packets": float(wanted), "sittings": float(len(books.sittings)),
            "seconds": round(total.seconds, 1),
            "packets a second": round(total.arrived / total.seconds, 1),
            "CPU ms per packet": round(total.cpu / passed * 1000, 2),
            "disk bytes per packet": round(used / wanted),
        },
        notes=(
            f"{wanted:,} in {total.seconds / 60:.0f} min through {AGENCIES} agencies",
            f"{total.arrived / total.seconds:.1f} a second, of {total.cpu / passed:.3f} s of CPU each",
            f"and {used / wanted / 1024:.0f} KiB of disk",
            "; ".join(problems[:5]) or "each in its inbox once, each delivered receipt back",
        ),
    )  # fmt: skip


def _pass(run: Run, post: Post, supply: Supply, books: Books, wanted: int) -> None:
    """Drop all that is left and wait for its end and its receipts; what is lost or refused the books say."""
    sitting, meter, before = books.sittings[-1], Meter(), post.arrived

    def note() -> None:
        cost = meter.read()
        sitting.arrived, sitting.seconds, sitting.cpu = post.arrived - before, cost.seconds, cost.cpu
        books.save()

    began = told = time.monotonic()
    patience, noted = Patience(post, _DRAIN_SECONDS), before
    while True:
        letters = supply.take(min(_AT_ONCE, _UNDER_WAY - len(post.open)))
        post.drop(letters)
        post.look()
        now, is_over = time.monotonic(), patience.is_over()
        if now - told > _TELL_SECONDS:
            told = now
            # Waiting in vain belongs to no figure.
            if post.arrived > noted:
                noted = post.arrived
                note()
            rate = (post.arrived - before) / (now - began)
            run.tell(f"{post.arrived:,} of {wanted:,} packets, {rate:.0f} a second")
        if is_over or (not letters and not post.open):
            break
        if not letters:
            time.sleep(_LOOK_SECONDS)
    run.tell("waiting for the last receipts, then closing the books")
    # What is lost or refused gets none.
    post.await_receipts(post.arrived)
    if not post.open or not books.total().seconds:
        note()
