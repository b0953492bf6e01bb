"""Random SIGKILL under load (F02): labs over SFTP with a bridge, any node killed every 0.2 to 3 seconds.

The full size is 2,000 kills in four shards of 500, each with a seed of its own; the quick size 20. Two labs
play at once. Goal: 0 violations, every recovery within 5 s. The daemons are forked from a process that has
loaded the program: to each recovery the time is added that an interpreter takes for that. A node that was
killed again before it was ready has a recovery only where it had taken longer than the goal by then.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Final

from certainty.kills.play import Play, Played
from certainty.shard import Outcome, Run
from certainty.sweep.sweeping import start_seconds

ROW: Final = "F02"
_LABS: Final = 2
_FULL: Final = 500
_QUICK: Final = 20
# How long a node may take from its start to READY.
_GOAL_SECONDS: Final = 5.0
# The part of the time that is kept for ending and judging after the last kill.
_RESERVE: Final = 0.3


def work(run: Run, part: int = 1) -> Iterator[Outcome]:
    """Play two labs at once."""
    kills = (_QUICK if run.quick else _FULL) // _LABS
    plays = [
        Play(run.folder / f"lab{number}", run.seed * 1000 + part * 10 + number, kills)
        for number in range(_LABS)
    ]
    errors: list[BaseException] = []

    def is_over() -> bool:
        return time.monotonic() - run.began > run.seconds * (1 - _RESERVE)

    def play(one: Play) -> None:
        try:
            one.run(is_over)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=partial(play, one)) for one in plays]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        done = sum(one.done for one in plays)
        run.progress(done, kills * _LABS, "kills" if done < kills * _LABS else "kills; all must drain now")
        threads[0].join(1.0)
        threads[-1].join(0.5)
    if errors:
        raise errors[0]
    yield told([one.played for one in plays], planned=kills * _LABS, start=start_seconds())


def told(played: list[Played], *, planned: int, start: float) -> Outcome:
    """The outcome of several labs as one; ``planned`` kills are asked of all of them together.

    ``start``: seconds that an interpreter takes until the program is loaded.
    """
    kills: Counter[str] = Counter()
    for one in played:
        kills += one.kills
    unready = [start + seconds for one in played for seconds in one.unready]
    late = [seconds for seconds in unready if seconds > _GOAL_SECONDS]
    recoveries = (*(start + seconds for one in played for seconds in one.recoveries), *late)
    roles = ", ".join(f"{code} {times}" for code, times in sorted(kills.items()))
    dropped = sum(one.dropped for one in played)
    drained = max((one.drained_seconds for one in played), default=0.0)
    seeds = ", ".join(str(one.seed) for one in played)
    let_go = sum(one.let_go for one in played)
    helped = f"; {let_go} met alone three times, held and let go on by an operator" if let_go else ""
    return Outcome(
        ROW,
        cases=kills.total(),
        violations=tuple(each for one in played for each in one.violations),
        recovery_seconds=recoveries,
        measured=f"{kills.total()} kills ({roles}) while {dropped} packets were dropped; all had ended"
        f" {drained:.0f} s after the last kill{helped}; recoveries until READY, with {start:.1f} s for the"
        " interpreter;"
        f" {len(unready)} nodes were killed again before they were ready, {len(late)} of them after more than"
        f" {_GOAL_SECONDS:g} s; seeds {seeds}",
        planned=planned,
        goal_seconds=_GOAL_SECONDS,
    )
