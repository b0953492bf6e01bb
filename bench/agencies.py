"""The rows of many agencies: memory, idle cost, a mixed load, fairness, and the return after a restart."""

from __future__ import annotations

import os
import time
from functools import partial
from statistics import median
from typing import Final

from bench.crowd import TOGETHER, Crowd
from bench.growth import await_rest
from bench.latency import p95
from bench.meter import Meter
from bench.mix import Mix
from bench.post import Patience, Post
from bench.province import NotArrivedError
from bench.result import Check, Result, Run
from certainty.kills.nodes import NotReadyError
from cli.lab.errors import LabError

PER_MINUTE: Final = 2_000
QUICK_MINUTES: Final = 1.0
FULL_MINUTES: Final = 5.0
QUICK_IDLE_SECONDS: Final = 30.0
FULL_IDLE_SECONDS: Final = 60.0
# 500 front-ends in 8 GiB.
_MIB_EACH: Final = 8 * 1024 / 500
_BACK_SECONDS: Final = 120.0
# Without one arrival. Who is overloaded is slow, not broken: the figures say so.
_DRAIN_SECONDS: Final = 1_800.0
_LOOK_SECONDS: Final = 1.0
WARM_UP_EACH: Final = 3
# Far from those of the load.
_WARM_NUMBERS: Final = 500_000
# Below so many packets a median says nothing of an agency.
_LEAST_PACKETS: Final = 5


def many(run: Run, count: int) -> Result:
    """``count`` agencies: idle, then loaded, then after a restart of the province."""
    with Crowd(run.folder, count, run.tell) as crowd:
        idle, rested = _idle(run, crowd)
        before = crowd.frontend_memory()
        mix = Mix(run.folder / "templates", crowd.agencies)
        rested = _warm(run, crowd, mix, WARM_UP_EACH * count) and rested
        checks, figures, books = _load(run, crowd, mix)
        memory = crowd.frontend_memory()
        back, failed = _restart(run, crowd)
    last = f"all in {back[-1]:.0f} s" if len(back) == count else f"{count - len(back)} not at all"
    in_time = sum(wait <= _BACK_SECONDS for wait in back)
    return Result(
        (
            Check("front-ends together, PSS", memory, _MIB_EACH * count, "MiB", at_least=False),
            *checks,
            Check("front-ends back within 120 s", in_time, count, ""),
            *idle,
        ),
        figures=figures
        | {
            "MiB per front-end": round(memory / count, 2),
            "MiB per front-end before its first packet": round(before / count, 2),
            "last one back, s": round(max(back, default=0.0), 1),
        },
        notes=(
            books,
            f"restart of node and server: half of them back in {median(back or [0.0]):.0f} s, {last}",
            f"{memory / count:.0f} MiB a front-end, {before / count:.0f} MiB before its first packet",
            f"{TOGETHER} front-ends in a process, with worker processes in common",
            "login keys from a file; limits as shipped",
            *failed,
            *(() if rested else ("it did not come to rest in time before it was measured idle, or loaded",)),
        ),
    )


hundred = partial(many, count=100)
five_hundred = partial(many, count=500)


def _restart(run: Run, crowd: Crowd) -> tuple[list[float], tuple[str, ...]]:
    """Seconds until each front-end was back; why it failed. It fails alone: hours were measured before it."""
    run.tell("the province starts again")
    try:
        crowd.restart_province()
        return crowd.back_after(_BACK_SECONDS * 1.5), ()
    except (LabError, NotReadyError) as error:
        return [], (f"the restart failed: {error}",)


def _idle(run: Run, crowd: Crowd) -> tuple[tuple[Check, ...], bool]:
    """Checks, and whether it had come to rest before."""
    seconds = FULL_IDLE_SECONDS if run.full else QUICK_IDLE_SECONDS
    rested = await_rest(len(crowd.agencies))
    run.tell(f"idle for {seconds:.0f} s")
    frontends, province, began = crowd.frontend_cpu(), crowd.province_cpu(), time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    each = (crowd.frontend_cpu() - frontends) / took * 100 / len(crowd.agencies)
    of_province = (crowd.province_cpu() - province) / took * 100
    checks = (
        Check("idle province with its server", of_province, 10.0, "% core", at_least=False),
        Check("idle front-end, mean", each, 0.1, "% core", at_least=False),
    )
    return checks, rested


def _warm(run: Run, crowd: Crowd, mix: Mix, count: int) -> bool:
    """A few packets for everybody, which do not count: what is at work every day has its worker processes.

    Whether it came to rest afterwards. Raises NotArrivedError.
    """
    run.tell(f"{count} packets before the load")
    post, staged = Post(crowd.lab), run.folder / "lab" / "warm"
    staged.mkdir()
    before = post.receipts_back()
    post.drop([mix.write(_WARM_NUMBERS + number, staged) for number in range(count)])
    _drain(crowd, post)
    if post.open:
        told = f"{len(post.open)} of {count} packets before the load did not arrive"
        raise NotArrivedError(f"{told}, {len(post.refused())} were refused")
    post.await_receipts(count, before)
    return await_rest(len(crowd.agencies))


def _drain(crowd: Crowd, post: Post) -> float:
    """Take what arrives until nothing is open, or nothing moves; when the last one arrived (monotonic)."""
    patience = Patience(post, _DRAIN_SECONDS)
    while True:
        post.look()
        crowd.require_health()
        if patience.is_over() or not post.open:
            return patience.moved
        time.sleep(_LOOK_SECONDS)


def _load(run: Run, crowd: Crowd, mix: Mix) -> tuple[tuple[Check, ...], dict[str, float], str]:
    """Checks, figures, and how the books stand."""
    minutes = FULL_MINUTES if run.full else QUICK_MINUTES
    count = round(PER_MINUTE * minutes)
    run.tell(f"writing {count} drops")
    post = Post(crowd.lab)
    before = post.receipts_back()
    staged = run.folder / "lab" / "staged"
    staged.mkdir()
    letters = [mix.write(number, staged) for number in range(count)]
    # What they take to write is not to be part of the first minute.
    os.sync()
    run.tell(f"{count} drops in {minutes:g} min")
    meter, began, sent = Meter(), time.monotonic(), 0
    while sent < count:
        due = min(count, round((time.monotonic() - began) / 60 * PER_MINUTE) + 1)
        post.drop(letters[sent:due])
        sent = due
        post.look()
        time.sleep(_LOOK_SECONDS)
    took = _drain(crowd, post) - began
    # What is lost or refused gets no receipt.
    post.await_receipts(post.arrived, before)
    cost = meter.read()
    problems = post.problems(count, before)
    told = "; ".join(problems[:5]) or "the books balance"
    run.tell(told)
    post.give_up()
    waits = post.all_waits()
    middle = median(waits)
    medians = [median(each) for each in post.waits.values() if len(each) >= _LEAST_PACKETS]
    unfair = max(medians, default=middle) / middle
    checks = (
        Check("what is wrong with the books", len(problems), 0, "", at_least=False),
        Check("packets a minute, mixed", post.arrived / took * 60, PER_MINUTE * 0.95, "/min"),
        Check("drop to inbox under it, p95", p95(waits), 60.0, "s", at_least=False),
        Check("slowest agency's median / all's", unfair, 3.0, "x", at_least=False),
    )
    figures = {
        "load, p50, s": round(middle, 3),
        "load, most, s": round(max(waits), 2),
        "load, packets": float(count),
        "load, CPU ms per packet": round(cost.cpu / count * 1000, 1),
    }
    return checks, figures, told
