"""The row of volume: what Guizhou counted in two years, in its published mix, as fast as it goes.

At most so many packets are under way at a time, as many as a busy morning would bring; whatever arrives is
taken, as case software does. After the limit of time nothing more is dropped, and the books are closed.
"""

from __future__ import annotations

import os
import time
from itertools import islice
from pathlib import Path
from typing import Final

from bench.crowd import Crowd
from bench.growth import await_rest
from bench.meter import Meter
from bench.mix import TOTAL, Mix
from bench.post import Post
from bench.province import NotArrivedError
from bench.result import Check, Result, Run

AGENCIES: Final = 100
LIMIT_SECONDS: Final = 3 * 3600.0
_UNDER_WAY: Final = 1_000
_DRAIN_SECONDS: Final = 1_800.0
_LOOK_SECONDS: Final = 1.0
_TELL_SECONDS: Final = 60.0


def volume(run: Run) -> Result:
    """All packets through a hundred agencies, and the books afterwards."""
    wanted = run.packets or TOTAL
    with Crowd(run.folder, AGENCIES, run.tell) as crowd:
        mix, post = Mix(run.folder / "templates", crowd.agencies), Post(crowd.lab)
        staged = run.folder / "lab" / "staged"
        staged.mkdir()
        await_rest(AGENCIES)
        disk, meter, began = disk_use(crowd.lab.layout.root), Meter(), time.monotonic()
        done = _pass(run, mix, post, staged, wanted)
        run.tell("waiting for the last receipts, then closing the books")
        post.await_receipts(done)
        took = time.monotonic() - began
        cost = meter.read()
        problems = post.problems(done)
        used = disk_use(crowd.lab.layout.root) - disk - disk_use(post.taken)
    return Result(
        (
            Check("packets passed", done, wanted, ""),
            Check("what is wrong with the books", len(problems), 0, "", at_least=False),
        ),
        figures={
            "packets": float(done), "seconds": round(took, 1), "packets a second": round(done / took, 1),
            "CPU ms per packet": round(cost.cpu / done * 1000, 2),
            "disk bytes per packet": round(used / done),
        },
        notes=(
            f"{done:,} of {wanted:,} in {took / 60:.0f} min through {AGENCIES} agencies",
            f"{done / took:.1f} a second; each takes {cost.cpu / done:.3f} s of CPU",
            f"and {used / done / 1024:.0f} KiB of disk",
            "; ".join(problems[:5]) or "each in its inbox once, each delivered receipt back",
        ),
    )


def _pass(run: Run, mix: Mix, post: Post, staged: Path, wanted: int) -> int:
    """Drop all, or what the limit of time allows, and wait for their end; how many."""
    began = last = time.monotonic()
    numbers = iter(range(wanted))
    sent = 0
    while True:
        now = time.monotonic()
        room = 0 if now - began > LIMIT_SECONDS else _UNDER_WAY - len(post.open)
        letters = [mix.write(number, staged) for number in islice(numbers, max(0, min(room, 100)))]
        post.drop(letters)
        sent += len(letters)
        post.look()
        if now - last > _TELL_SECONDS:
            last = now
            run.tell(f"{post.arrived:,} of {wanted:,} packets, {post.arrived / (now - began):.0f} a second")
        if not post.open and (sent == wanted or now - began > LIMIT_SECONDS):
            return sent
        if now - began > LIMIT_SECONDS + _DRAIN_SECONDS or post.refused():
            told = f"{len(post.open)} of {sent} packets did not arrive"
            raise NotArrivedError(f"{told}, {post.refused()} were refused")
        if not letters:
            time.sleep(_LOOK_SECONDS)


def disk_use(folder: Path) -> int:
    """Bytes that everything below ``folder`` takes on its disk."""
    used = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                used += (Path(place) / name).lstat().st_blocks * 512
            except FileNotFoundError:
                continue
    return used
