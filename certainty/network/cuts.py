"""F60 and F64: connections that are cut, or whose bytes are changed, again and again under load."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack

from certainty.network.line import Line, Trouble
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage
from certainty.network.traffic import MIB, Way, heal, move_until, offset, outages, settle
from certainty.shard import Outcome, Run, Violation

_OVERHEAD_MOST = 64 * MIB
_CODES = (POLICE, PROCURATORATE, COURT)
_WAYS = (
    Way(POLICE, PROCURATORATE, large=True),
    Way(POLICE, COURT),
    Way(COURT, PROCURATORATE),
    Way(PROCURATORATE, POLICE),
)
# Tried again at once: the pauses of a node that fails again and again would be most of the time.
_LIMITS = {"retry_first_seconds": "0.05", "retry_max_seconds": "0.3", "link_scan_seconds": "1.0"}
_HEALED_SECONDS = 120.0


def cut_again_and_again(run: Run, seconds: float) -> Outcome:
    """F60: many cuts at any byte, either way; then a few of a large upload, to see what is sent twice."""
    target = 6 if run.quick else 500
    draw = random.Random(run.seed)

    def choose(_number: int) -> Trouble:
        where = offset(draw, MIB)
        return Trouble(cut_up=where) if draw.random() < 0.6 else Trouble(cut_down=where)

    found, cases, recovery, measured, short = _hammer(run, "F60", choose, target, seconds)
    overheads, more = _sent_twice(run, 1 if run.quick else 6)
    found += more
    most = max(overheads, default=0) / MIB
    measured += f" Of {len(overheads)} large uploads cut once, at most {most:.1f} MiB crossed the line twice."
    return Outcome("F60", cases + len(overheads), tuple(found), recovery, measured, short)


def corrupt_again_and_again(run: Run, seconds: float) -> Outcome:
    """F64: one changed byte in each connection, anywhere in either direction."""
    target = 10 if run.quick else 1000
    draw = random.Random(run.seed + 1)

    def choose(_number: int) -> Trouble:
        where, mask = offset(draw, MIB), 1 << draw.randrange(8)
        if draw.random() < 0.5:
            return Trouble(flip_up=where, mask=mask)
        return Trouble(flip_down=where, mask=mask)

    found, cases, recovery, measured, short = _hammer(run, "F64", choose, target, seconds)
    return Outcome("F64", cases, tuple(found), recovery, measured, short)


def _hammer(
    run: Run, row: str, choose: Callable[[int], Trouble], target: int, seconds: float
) -> tuple[list[Violation], int, tuple[float, ...], str, str]:
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(run.folder / row.lower(), _CODES, seed=run.seed, limits=_LIMITS))
        # Nothing befalls the first connection of each line: all nodes have met before the trouble begins.
        lines = [stack.enter_context(Line(("127.0.0.1", stage.port), seed=run.seed)) for _ in _CODES]
        for code, line in zip(_CODES, lines, strict=True):
            stage.dial(code, line.port)
        stage.lab.start()
        for line in lines:
            line.choose = choose
            line.cut()
        draw = random.Random(run.seed + 2)

        def hit() -> int:
            return sum(line.happened for line in lines)

        move_until(
            run,
            stage,
            _WAYS,
            hit,
            target,
            f"{row} hits",
            large_bytes=lambda: draw.randrange(2 * MIB, 12 * MIB),
            seconds=seconds,
        )
        hits = hit()
        heal(lines)
        settle(stage, _HEALED_SECONDS)
        case = f"seed {run.seed}"
        found = stage.violations(case)
        recovery = outages(stage, _CODES)
        logins = sum(len(line.crossings) for line in lines)
        told = f"{hits} hits in {logins} connections while {len(stage.sent)} packets moved"
        told += "." if found else ", all delivered once."
        short = f"{hits} of {target} in the time given" if hits < target else ""
        return found, hits, recovery, told, short


def _sent_twice(run: Run, count: int) -> tuple[list[int], list[Violation]]:
    """Cut one large upload once: what crossed the line beyond its size is what was sent twice."""
    size = 8 * MIB if run.quick else 128 * MIB
    draw = random.Random(run.seed + 3)
    overheads: list[int] = []
    found: list[Violation] = []
    with ExitStack() as stack:
        stage = stack.enter_context(
            Stage(run.folder / "twice", (POLICE, PROCURATORATE), seed=run.seed + 1, limits=_LIMITS)
        )
        line = stack.enter_context(Line(("127.0.0.1", stage.port), seed=run.seed))
        stage.dial(POLICE, line.port)
        stage.lab.start()
        for number in range(count):
            if run.is_over:
                break
            where = draw.randrange(2 * MIB, size)
            pending = [where]

            def choose(_number: int, pending: list[int] = pending) -> Trouble:
                return Trouble(cut_up=pending.pop()) if pending else Trouble()

            line.cut()
            line.choose = choose
            before = line.up_bytes
            stage.drop(POLICE, PROCURATORATE, video_bytes=size)
            settle(stage, _HEALED_SECONDS)
            overhead = line.up_bytes - before - size
            overheads.append(overhead)
            if overhead > _OVERHEAD_MOST:
                case = f"seed {run.seed} cut {number} at byte {where}"
                found.append(Violation("I1", case, f"{overhead / MIB:.1f} MiB were sent twice"))
            run.progress(number + 1, count, "F60 large uploads")
        found += stage.violations(f"seed {run.seed} large")
    return overheads, found
