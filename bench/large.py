"""The rows of large attachments: how fast, how often over the line, and in how much memory.

What crosses the lines is counted by a relay between each front-end and the server: every byte of TCP's
payload, in both directions. The rates are measured without it.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from statistics import median
from typing import Final

from bench.dossier import dossier, forwarded
from bench.drops import COURT, POLICE, PROCURATORATE
from bench.meter import LOOK_SECONDS, MemoryWatch, Meter
from bench.peers import sftp_loop
from bench.province import Province
from bench.result import Check, Reference, Result, Run
from certainty.network.line import NONE, Line, Trouble

MIB: Final = 1 << 20
SIZE: Final = 1 << 30
HUGE: Final = 10 << 30
# Mega (not mebi) bytes a second of one `sftp put` on two cores (docs/performance.md).
USUAL_PUT: Final = 205.0
# Limits to waiting only; at 1.5 MB/s everything here ends in time, ten gigabytes in two hours.
_LEAST_RATE: Final = 1.5e6
_GRACE_SECONDS: Final = 60.0
_CUT_AT: Final = 0.9
_OWN: Final = (POLICE, PROCURATORATE)


def rate(run: Run) -> Result:
    """One dossier over two SFTP hops, beside one plain put of the same video."""
    puts, ours, cpu = [], [], []
    rounds = 3 if run.full else 2
    with Province(run.folder / "p", _OWN) as province:
        for number in range(1, rounds + 1):
            run.tell(f"round {number} of {rounds}: writing the video")
            made = dossier(run.folder / "made", SIZE, number)
            size, video = made.size, made.video.stat().st_size
            os.sync()
            run.tell(f"round {number} of {rounds}: plain put")
            puts.append(video / sftp_loop.plain_put(run.folder / f"put-{number}", made.video) / 1e6)
            os.sync()
            run.tell(f"round {number} of {rounds}: ours")
            meter = Meter()
            ours.append(size / province.hand_over(made, _patience(size)).inbox / 1e6)
            cpu.append(meter.read().cpu)
    share = median(one / put for one, put in zip(ours, puts, strict=True))
    figures = {"MB/s": round(median(ours), 1), "CPU s": round(median(cpu), 1)}
    return Result(
        (Check("of the rate of one plain put", share, 0.2, "x", aim=0.3),),
        (Reference("sftp put", median(puts), USUAL_PUT, "MB/s"),),
        figures,
        (f"ours: {median(ours):.0f} MB/s to the inbox over two hops, {median(cpu):.0f} s of CPU",),
    )


def forward(run: Run) -> Result:
    """A dossier is forwarded to one who lacks it, and then to one who holds it: bytes on the lines."""
    size = SIZE if run.full else SIZE // 4
    codes = (*_OWN, COURT)
    province = Province(run.folder / "p", codes)
    with ExitStack() as stack:
        lines = {code: stack.enter_context(Line(("127.0.0.1", province.port))) for code in codes}
        for code, line in lines.items():
            province.dial(code, line.port)
        stack.enter_context(province)
        run.tell("the first journey")
        first = dossier(run.folder / "made", size, 1)
        kept = run.folder / "kept"
        kept.mkdir()
        # The forwarder's case software has its own copy of what it forwards.
        for each in first.path.iterdir():
            shutil.copyfile(each, kept / each.name)
        video = max(kept.iterdir(), key=lambda each: each.stat().st_size)
        all_bytes, before = first.size, _crossed(lines)
        province.hand_over(first, _patience(all_bytes))
        journey = _crossed(lines) - before
        shares = []
        for number, what in ((2, "to one who lacks it"), (3, "to one who holds it")):
            run.tell(f"forwarded {what}")
            again = forwarded(run.folder / "made", video, number)
            up, before = lines[PROCURATORATE].up_bytes, _crossed(lines)
            province.hand_over(again, _patience(all_bytes))
            shares.append((lines[PROCURATORATE].up_bytes - up, _crossed(lines) - before))
    (up_lacking, all_lacking), (_, all_holding) = shares
    goals = (
        ("forwarder's up link, of the dossier", up_lacking / all_bytes, 1.0),
        ("on all lines, of the first journey", all_lacking / journey, 55.0),
        ("to one who holds it, of the dossier", all_holding / all_bytes, 2.0),
    )
    return Result(
        tuple(Check(what, share * 100, goal, "%", at_least=False) for what, share, goal in goals),
        figures={
            "dossier, bytes": float(all_bytes), "first journey, bytes": float(journey),
            "forwarded, up, bytes": float(up_lacking), "forwarded, all lines, bytes": float(all_lacking),
            "to a holder, all lines, bytes": float(all_holding),
        },
        notes=(f"a dossier of {all_bytes / MIB:.0f} MiB; TCP payload of all three lines, both ways",),
    )  # fmt: skip


def cut(run: Run) -> Result:
    """The sender's line is reset when nine tenths have passed: what crosses it twice."""
    province = Province(run.folder / "p", _OWN)
    run.tell("writing the video")
    made = dossier(run.folder / "made", SIZE, 1)
    size = made.size
    with Line(("127.0.0.1", province.port)) as line:

        def choose(_number: int) -> Trouble:
            return NONE if line.happened else Trouble(cut_up=int(size * _CUT_AT))

        line.choose = choose
        province.dial(POLICE, line.port)
        with province:
            run.tell("sending, with one cut")
            journey = province.hand_over(made, _patience(size) + _GRACE_SECONDS)
        if not line.happened:
            raise RuntimeError("the line was not cut")
        twice = (line.up_bytes - size) / MIB
    return Result(
        (Check("sent again after the cut", max(0.0, twice), 64.0, "MiB", at_least=False),),
        figures={"MiB over the line": round(line.up_bytes / MIB, 1), "seconds": round(journey.inbox, 1)},
        notes=(f"cut once after {size * _CUT_AT / MIB:.0f} of {size / MIB:.0f} MiB, with SSH's frame",),
    )


def huge(run: Run) -> Result:
    """Ten gigabytes: it arrives, and no process grows with it."""
    run.tell("writing the video")
    made = dossier(run.folder / "made", HUGE, 1)
    size = made.size
    with Province(run.folder / "p", _OWN) as province:
        run.tell("sending")
        began = time.monotonic()
        with MemoryWatch() as watch:
            journey = province.hand_over(made, _patience(size))
        took = time.monotonic() - began
    return Result(
        (Check("largest process, PSS", watch.peak_one * MIB / 1e6, 300.0, "MB", at_least=False),),
        figures={
            "MB/s": round(size / journey.inbox / 1e6, 1), "seconds": round(took, 1),
            "all processes, MiB": round(watch.peak_all, 1),
        },
        notes=(
            f"{size / (1 << 30):.1f} GiB in {journey.inbox:.0f} s to the inbox",
            f"PSS of each process, looked at every {LOOK_SECONDS:g} s: a peak between two looks is not seen",
        ),
    )  # fmt: skip


def _patience(size: int) -> float:
    return _GRACE_SECONDS + size / _LEAST_RATE


def _crossed(lines: dict[str, Line]) -> int:
    """Every byte over every line, both ways."""
    return sum(each.up + each.down for line in lines.values() for each in line.crossings)


def room(size: int, rounds: int) -> int:
    """Free disk for dossiers of that size: made, put away, in three stores, in the inbox, plain copies."""
    return 7 * size * rounds
