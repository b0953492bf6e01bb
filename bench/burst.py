"""The rows of bursts: two thousand packets at once, sender to province to receiver, and their receipts back.

Every round measures each of the references and ours once, in turn, so that a machine whose speed drifts
drifts for all; compared are the medians of the rounds. Before each burst ours passes a few packets that do
not count: a node that is at work has its worker processes, and the others have set up theirs too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.drops import Drops, folders_of_three, lone_files
from bench.meter import MemoryWatch, Meter
from bench.peers import local, lsyncd, postfix, sftp_loop
from bench.province import Province
from bench.result import Check, Reference, Result, Run

COUNT: Final = 2_000
WARM_UP: Final = 40
ROUNDS: Final = 3
# In the quick set: of the first row, and of those that vary one thing of it.
QUICK_ROUNDS: Final = 2
FEW_ROUNDS: Final = 1
_LIMIT_SECONDS: Final = 900.0
# Packets a second through a hub, as measured on two cores with these programs (docs/performance.md).
USUAL_LSYNCD: Final = 287.0
USUAL_LSYNCD_FOLDERS: Final = 200.0
USUAL_SFTP_LOOP: Final = 246.0
USUAL_POSTFIX: Final = 113.0
NEEDS_LSYNCD: Final = lsyncd.NEEDS
NEEDS: Final = tuple(dict.fromkeys((*lsyncd.NEEDS, *sftp_loop.NEEDS, *postfix.NEEDS)))


def many_cases(run: Run) -> Result:
    """Single files of as many cases."""
    drops = lone_files(run.folder / "drops", COUNT)
    warm = lone_files(run.folder / "warm", WARM_UP, first=1 + COUNT)
    others = {
        "lsyncd+rsync": partial(lsyncd.through_hub, drops=drops),
        "sftp -b loop": partial(sftp_loop.through_hub, drops=drops),
        "Postfix": partial(postfix.through_relay, count=COUNT),
        "local disk": partial(local.write_and_flush, drops=drops),
    }
    rounds = ROUNDS if run.full else QUICK_ROUNDS
    rates, figures, costs = _rounds(run, drops, warm, others, rounds)
    ours = median(rates["ours"])
    checks = (
        Check("x lsyncd+rsync", ours / median(rates["lsyncd+rsync"]), 1.5, "x"),
        Check("x Postfix", ours / median(rates["Postfix"]), 4.0, "x"),
        Check("packets a second, receipts back", ours, 0.0, "/s", aim=500.0),
    )
    references = (
        Reference("lsyncd+rsync", median(rates["lsyncd+rsync"]), USUAL_LSYNCD, "/s"),
        Reference("Postfix", median(rates["Postfix"]), USUAL_POSTFIX, "/s"),
        Reference("sftp -b loop", median(rates["sftp -b loop"]), USUAL_SFTP_LOOP, "/s"),
        Reference("written and flushed locally", median(rates["local disk"]), 0.0, "/s"),
    )
    return Result(checks, references, figures, costs)


def one_case(run: Run) -> Result:
    """The same of one case, whose packets keep their order."""
    drops = lone_files(run.folder / "drops", COUNT, one_case=True)
    warm = lone_files(run.folder / "warm", WARM_UP, first=1 + COUNT)
    return _beside_lsyncd(run, drops, warm, "x lsyncd+rsync", 1.5, USUAL_LSYNCD)


def folders(run: Run) -> Result:
    """As many folders of three files."""
    drops = folders_of_three(run.folder / "drops", COUNT)
    warm = folders_of_three(run.folder / "warm", WARM_UP, first=1 + COUNT)
    return _beside_lsyncd(run, drops, warm, "x lsyncd+rsync, same folders", 1.2, USUAL_LSYNCD_FOLDERS)


def _beside_lsyncd(run: Run, drops: Drops, warm: Drops, what: str, goal: float, usual: float) -> Result:
    """Ours and lsyncd with the same drops; ``usual`` packets a second is what that does."""
    others = {"lsyncd+rsync": partial(lsyncd.through_hub, drops=drops)}
    rounds = ROUNDS if run.full else FEW_ROUNDS
    rates, figures, costs = _rounds(run, drops, warm, others, rounds)
    ours, theirs = median(rates["ours"]), median(rates["lsyncd+rsync"])
    return Result(
        (Check(what, ours / theirs, goal, "x"),),
        (Reference("lsyncd+rsync", theirs, usual, "/s"),),
        figures,
        costs,
    )


def _rounds(
    run: Run, drops: Drops, warm: Drops, others: Mapping[str, Callable[[Path], float]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, float], tuple[str, ...]]:
    """Packets a second by name, one figure for each round; what ours cost; and that in words."""
    rates: dict[str, list[float]] = {name: [] for name in (*others, "ours")}
    inbox, cpu, memory = [], [], []
    count = len(drops.names)
    for number in range(1, rounds + 1):
        for name, measure in others.items():
            run.tell(f"round {number} of {rounds}: {name}")
            rates[name].append(count / measure(run.folder / f"{name.replace(' ', '-')}-{number}"))
        run.tell(f"round {number} of {rounds}: ours")
        with Province(run.folder / f"ours-{number}") as province, MemoryWatch() as watch:
            province.send(warm, _LIMIT_SECONDS)
            meter = Meter()
            journey = province.send(drops, _LIMIT_SECONDS)
            cpu.append(meter.read().cpu / count * 1000)
        memory.append(watch.peak_all)
        rates["ours"].append(count / journey.receipts)
        inbox.append(count / journey.inbox)
    figures = {f"{name}, /s": round(median(values), 1) for name, values in rates.items()}
    figures |= {
        "in the inbox, /s": round(median(inbox), 1),
        "CPU ms per packet": round(median(cpu), 2),
        "peak MiB of all processes": round(median(memory), 0),
    }
    words = f"ours: {median(cpu):.1f} ms of CPU a packet, {median(memory):.0f} MiB in all processes"
    return rates, figures, (words,)
