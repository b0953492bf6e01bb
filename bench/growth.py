"""The row of growth: what a packet costs when the ledgers of all nodes are full, and how long answers take.

The packets of the ledgers are written before anything is started, one for each second. Then each size in
turn is started, comes to rest, passes a first burst that is not counted, and one that is; and again. Sizes
are compared within each round, so that a machine whose speed changes from one to the next compares nothing
false. Broken off, it goes on with the ledger, or the round, that it was at.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.asking import LIMIT_MS, command_ms
from bench.drops import POLICE, PROCURATORATE, lone_files
from bench.keeping import write_whole
from bench.ledgers import fill_lab
from bench.meter import Meter, cpu_of_descendants
from bench.province import Province
from bench.result import Check, Result, Run
from certainty.operation.growth import key_of

QUICK_SIZES: Final = (1_000, 100_000)
FULL_SIZES: Final = (1_000, 100_000, 1_000_000)
QUICK_ROUNDS: Final = 1
FULL_ROUNDS: Final = 3
WARM_UP: Final = 100
COUNT: Final = 300
MOST_RATIO: Final = 1.3
_LIMIT_SECONDS: Final = 600.0
# At rest: less than this share of a core, and of each idle node, over two seconds, so many times running.
_REST_SHARE: Final = 0.1
_IDLE_SHARE: Final = 0.001
_REST_SECONDS: Final = 2.0
_QUIET_LOOKS: Final = 3
_REST_MOST_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One burst on ledgers of ``size`` packets: ms of CPU per packet, ms of each answer (on the largest).

    ``restless``: how often rest was awaited in vain.
    """

    size: int
    cost: float
    answers: dict[str, float]
    restless: int = 0


@dataclass(slots=True)
class Book:
    """What was measured so far, in a file. ``tries``: bursts begun, so that each has numbers of its own."""

    path: Path
    tries: int = 0
    measured: list[Measured] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> Book:
        """As an earlier call left it; empty without one."""
        try:
            value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path)
        return cls(path, value["tries"], [Measured(**each) for each in value["measured"]])

    def drop_begun_round(self, sizes: int) -> None:
        """Keep whole rounds of so many sizes: the rest of a begun one would meet a machine of other speed."""
        del self.measured[len(self.measured) - len(self.measured) % sizes :]

    def save(self) -> None:
        """On disk before the next step."""
        value = {"tries": self.tries, "measured": [asdict(each) for each in self.measured]}
        write_whole(self.path, json.dumps(value))


def growth(run: Run) -> Result:
    """CPU per packet at each size of the ledgers, and the two questions of every day on the largest."""
    sizes, rounds = (FULL_SIZES, FULL_ROUNDS) if run.full else (QUICK_SIZES, QUICK_ROUNDS)
    for size in sizes:
        _prepare(run, size)
    book = Book.open(run.folder / "measured.json")
    book.drop_begun_round(len(sizes))
    for size in (sizes * rounds)[len(book.measured) :]:
        run.tell(f"round {len(book.measured) // len(sizes) + 1} of {rounds}: {size:,} packets in the ledgers")
        book.measured.append(_measure(run, book, size, asks=size == sizes[-1]))
        book.save()
    return _result(book.measured, _bytes_per_packet(run.folder, sizes[-1]))


def _result(measured: list[Measured], disk: float) -> Result:
    """The medians of all rounds, each of one burst of each size; ``disk``: bytes of ledger per packet."""
    sizes = list(dict.fromkeys(each.size for each in measured))
    rounds = [measured[first : first + len(sizes)] for first in range(0, len(measured), len(sizes))]
    ratio = median(max(each.cost for each in one) / min(each.cost for each in one) for one in rounds)
    costs = {size: median(each.cost for each in measured if each.size == size) for size in sizes}
    largest = [each for each in measured if each.size == sizes[-1]]
    checks = [
        Check("CPU per packet, most / least", ratio, MOST_RATIO, "x", at_least=False),
    ]
    for name in largest[0].answers:
        value = median(each.answers[name] for each in largest)
        checks.append(Check(f"{name}, {sizes[-1]:,} packets", value, LIMIT_MS, "ms", at_least=False))
    figures = {f"CPU ms per packet at {size:,}": round(value, 2) for size, value in costs.items()}
    told = ", ".join(f"{value:.1f} ms at {size:,}" for size, value in costs.items())
    notes = [f"CPU of all processes, a packet: {told}"]
    if restless := sum(each.restless for each in measured):
        notes.append(f"it did not come to rest {restless} times, and was measured so")
    return Result(
        tuple(checks),
        figures=figures | {"largest ledger, bytes per packet": round(disk)},
        notes=tuple(notes),
    )


def _province(folder: Path, size: int) -> Province:
    return Province(folder / str(size), (PROCURATORATE, POLICE))


def _prepare(run: Run, size: int) -> None:
    """Ledgers of that size, unless they are there."""
    filled = run.folder / f"{size}.filled"
    if not filled.exists():
        run.tell(f"writing {size:,} packets into each of three ledgers")
        fill_lab(_province(run.folder, size).lab, size, run.tell)
        filled.touch()


def _bytes_per_packet(folder: Path, size: int) -> float:
    lab = _province(folder, size).lab
    return (lab.layout.data(lab.province) / "ledger.sqlite3").stat().st_size / size


def _measure(run: Run, book: Book, size: int, *, asks: bool) -> Measured:
    first = 1 + book.tries * (WARM_UP + COUNT)
    drops = run.folder / f"drops-{book.tries}"
    book.tries += 1
    book.save()
    warm = lone_files(drops / "warm", WARM_UP, first=first)
    counted = lone_files(drops / "counted", COUNT, first=first + WARM_UP)
    province = _province(run.folder, size)
    with province:
        # Also until what a call that was broken off let appear has come to its end.
        rests = [await_rest()]
        province.send(warm, _LIMIT_SECONDS)
        rests.append(await_rest())
        meter = Meter()
        province.send(counted, _LIMIT_SECONDS)
        cost = meter.read().cpu / COUNT * 1000
        rests.append(await_rest())
        answers: dict[str, float] = {}
        if asks:
            config = ["--config", str(province.lab.node_config(province.lab.province))]
            middle = str(key_of(size // 2, province.lab.agencies))
            answers["queue summary"] = command_ms([*config, "queue", "summary"], 5)
            answers["packet trace"] = command_ms([*config, "packet", "trace", middle], 5)
    return Measured(size, cost, answers, rests.count(False))


def await_rest(nodes: int = 0) -> bool:
    """Until everything that this process started does next to nothing; False when five minutes are over.

    ``nodes``: that many idle ones are among it, which look at their folders now and then.
    """
    share = _REST_SHARE + _IDLE_SHARE * nodes
    deadline = time.monotonic() + _REST_MOST_SECONDS
    before, quiet = cpu_of_descendants(), 0
    while time.monotonic() < deadline:
        time.sleep(_REST_SECONDS)
        now = cpu_of_descendants()
        quiet = quiet + 1 if now - before < share * _REST_SECONDS else 0
        if quiet == _QUIET_LOOKS:
            return True
        before = now
    return False
