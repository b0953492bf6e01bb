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
    target, large = (6, 1) if run.quick else (500, 6)
    draw = random.Random(run.seed)

    def choose(_number: int) -> Trouble:
        where = offset(draw, MIB)
        return Trouble(cut_up=where) if draw.random() < 0.6 else Trouble(cut_down=where)

    found, hits, recovery, measured = _hammer(run, "F60", choose, target, seconds)
    overheads, more = _sent_twice(run, large)
    found += more
    most = max(overheads, default=0) / MIB
    measured += f" Of {len(overheads)} large uploads cut once, at most {most:.1f} MiB crossed the line twice."
    # Only what was counted beyond one goal must not stand for what is missing of the other.
    cases = min(hits, target) + len(overheads)
    return Outcome("F60", cases, tuple(found), recovery, measured, planned=target + large)


def corrupt_again_and_again(run: Run, seconds: float) -> Outcome:
    """F64: one changed byte in each connection, anywhere in either direction."""
    target = 10 if run.quick else 1000
    draw = random.Random(run.seed + 1)

    def choose(_number: int) -> Trouble:
        where, mask = offset(draw, MIB), 1 << draw.randrange(8)
        if draw.random() < 0.5:
            return Trouble(flip_up=where, mask=mask)
        return Trouble(flip_down=where, mask=mask)

    found, hits, recovery, measured = _hammer(run, "F64", choose, target, seconds)
    return Outcome("F64", hits, tuple(found), recovery, measured, planned=target)


def _hammer(
    run: Run, row: str, choose: Callable[[int], Trouble], target: int, seconds: float
) -> tuple[list[Violation], int, tuple[float, ...], str]:
    """What was wrong, how many connections met their trouble, the outages, and the figures in words."""
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(run.folder / row.lower(), _CODES, seed=run.seed, limits=_LIMITS))
        # Nothing befalls the first connection of each line: all nodes have met before the trouble begins.
        lines = [stack.enter_context(Line(("127.0.0.1", stage.port), seed=run.seed)) for _ in _CODES]
        for code, line in zip(_CODES, lines, strict=True):
            stage.dial(code, line.port)
        stage.take_out()
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
        return found, hits, recovery, told


class CutOnce:
    """Each new connection is to be cut at ``where`` until it befell one: the bell's never gets that far."""

    def __init__(self, line: Line, where: int) -> None:
        self._line, self._where, self._before = line, where, line.happened

    def __call__(self, _number: int) -> Trouble:
        """For ``Line.choose``."""
        return Trouble() if self.happened else Trouble(cut_up=self._where)

    @property
    def happened(self) -> bool:
        """A connection was cut there."""
        return self._line.happened > self._before


def _sent_twice(run: Run, count: int) -> tuple[list[int], list[Violation]]:
    """Cut one large upload once: what crossed the line beyond its size is what was sent twice.

    An upload that was not cut, because none was long enough under way, is no case.
    """
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
        stage.take_out()
        stage.lab.start()
        for number in range(count):
            if run.is_over:
                break
            where = draw.randrange(2 * MIB, size)
            line.cut()
            line.choose = cut = CutOnce(line, where)
            before = line.up_bytes
            stage.drop(POLICE, PROCURATORATE, video_bytes=size)
            settle(stage, _HEALED_SECONDS)
            overhead = line.up_bytes - before - size
            if cut.happened:
                overheads.append(overhead)
            if overhead > _OVERHEAD_MOST:
                case = f"seed {run.seed} cut {number} at byte {where}"
                found.append(Violation("I1", case, f"{overhead / MIB:.1f} MiB were sent twice"))
            run.progress(number + 1, count, "F60 large uploads")
        found += stage.violations(f"seed {run.seed} large")
    return overheads, found
