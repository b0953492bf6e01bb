"""The row of growth: what a packet costs when the ledgers of all nodes are full, and how long answers take.

The packets of the ledgers are written before anything is started, one for each second; then the daemons
start, come to rest, pass a first burst that is not counted, and one that is.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.asking import LIMIT_MS, command_ms
from bench.drops import POLICE, PROCURATORATE, Drops, lone_files
from bench.ledgers import fill_lab
from bench.meter import Meter, cpu_of_descendants
from bench.province import Province
from bench.result import Check, Result, Run
from certainty.operation.growth import key_of

QUICK_SIZES: Final = (1_000, 100_000)
FULL_SIZES: Final = (1_000, 100_000, 1_000_000)
COUNT: Final = 300
MOST_RATIO: Final = 1.3
_LIMIT_SECONDS: Final = 600.0
# At rest: less than this share of a core over two seconds.
_REST_SHARE: Final = 0.1
_IDLE_SHARE: Final = 0.002
_REST_SECONDS: Final = 2.0
_REST_MOST_SECONDS: Final = 300.0


def growth(run: Run) -> Result:
    """CPU per packet at each size of the ledgers, and the two questions of every day on the largest."""
    sizes = FULL_SIZES if run.full else QUICK_SIZES
    warm = lone_files(run.folder / "warm", COUNT, first=1)
    counted = lone_files(run.folder / "counted", COUNT, first=1 + COUNT)
    costs: dict[int, float] = {}
    answers: dict[str, float] = {}
    disk = 0.0
    for size in sizes:
        folder = run.folder / str(size)
        cost, found, disk = _at(run, folder, size, (warm, counted), asks=size == sizes[-1])
        costs[size] = cost
        answers |= found
    ratio = max(costs.values()) / min(costs.values())
    checks = [Check("CPU per packet, most / least", ratio, MOST_RATIO, "x", at_least=False)]
    checks += [
        Check(f"{name}, {sizes[-1]:,} packets", value, LIMIT_MS, "ms", at_least=False)
        for name, value in answers.items()
    ]
    figures = {f"CPU ms per packet at {size:,}": round(value, 2) for size, value in costs.items()}
    told = ", ".join(f"{value:.1f} ms at {size:,}" for size, value in costs.items())
    return Result(
        tuple(checks),
        figures=figures | {"largest ledger, bytes per packet": round(disk)},
        notes=(f"CPU of all processes, a packet: {told}",),
    )


def _at(
    run: Run, folder: Path, size: int, bursts: tuple[Drops, Drops], *, asks: bool
) -> tuple[float, dict[str, float], float]:
    """Milliseconds of CPU per packet, milliseconds of answers by question, bytes of ledger per packet."""
    province = Province(folder, (PROCURATORATE, POLICE))
    run.tell(f"writing {size:,} packets into each of three ledgers")
    fill_lab(province.lab, size)
    code = province.lab.province
    disk = (province.lab.layout.data(code) / "ledger.sqlite3").stat().st_size / size
    with province:
        await_rest()
        run.tell(f"{size:,} packets: a first burst, then the one that counts")
        warm, counted = bursts
        province.send(warm, _LIMIT_SECONDS)
        await_rest()
        meter = Meter()
        province.send(counted, _LIMIT_SECONDS)
        cost = meter.read().cpu / COUNT * 1000
        await_rest()
        answers: dict[str, float] = {}
        if asks:
            config = ["--config", str(province.lab.node_config(code))]
            middle = str(key_of(size // 2, province.lab.agencies))
            answers["queue summary"] = command_ms([*config, "queue", "summary"], 5)
            answers["packet trace"] = command_ms([*config, "packet", "trace", middle], 5)
    return cost, answers, disk


def await_rest(nodes: int = 0) -> None:
    """Until everything that this process started does next to nothing, or five minutes are over.

    ``nodes``: that many idle ones are among it, which look at their folders now and then.
    """
    share = _REST_SHARE + _IDLE_SHARE * nodes
    deadline = time.monotonic() + _REST_MOST_SECONDS
    before = cpu_of_descendants()
    while time.monotonic() < deadline:
        time.sleep(_REST_SECONDS)
        now = cpu_of_descendants()
        if now - before < share * _REST_SECONDS:
            return
        before = now
