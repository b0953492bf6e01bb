"""F110: nodes are stopped at random moments of traffic, while they start, and right after each start.

A stop is clean and within ten seconds; one that meets a start ends that start as soon, and the next start is
as any other. What was under way arrives once, whole, with its receipts.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from certainty.operation.logs import STOP_SECONDS, drained
from certainty.operation.town import PROVINCE, RECEIVER, SENDER, TooLateError, Town, wait_until
from certainty.shard import Outcome, Run, Violation
from cli.lab.errors import LabError

_FULL: Final = 60
_QUICK: Final = 3
_FULL_STORM: Final = 3
_QUICK_STORM: Final = 1
# Before anything is known: how long a start takes.
_START_SECONDS: Final = 1.0
_CLEAN: Final = "event=stopped clean=true"
_EARLY: Final = "during a start"


@dataclass
class Stops:
    """What was tried at one town, and what was found."""

    place: Town
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[Violation] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    slowest: float = 0.0
    storm: int = _FULL_STORM

    def in_traffic(self, node: str, case: str) -> None:
        """One stop of a node that is ready, at a random moment."""
        time.sleep(self.chance.random())
        if self._stop(node, case):
            self.done["in traffic"] += 1
        self._start(node, case)

    def in_a_storm(self, node: str, case: str) -> None:
        """Stopped as soon as it is ready, again and again."""
        for _ in range(self.storm):
            if self._stop(node, case):
                self.done["in a storm"] += 1
            self._start(node, case)

    def while_starting(self, node: str, case: str) -> None:
        """The signal comes before the node said that it is ready; another moment each time."""
        self._stop(node, case)
        refused: list[str] = []
        starter = threading.Thread(target=_start_quietly, args=(self.place, node, refused))
        starter.start()
        wait_until(lambda: self.place.lab.pid(node) is not None or not starter.is_alive(), "a process", 30.0)
        time.sleep(self.chance.random() * min([*self.starts, _START_SECONDS]))
        pid, began = self.place.lab.pid(node), time.monotonic()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        starter.join(STOP_SECONDS + 5)
        try:
            wait_until(lambda: self.place.lab.pid(node) is None, f"{node} to end", STOP_SECONDS + 5)
        except TooLateError as error:
            self.wrong.append(Violation("I12", case, str(error)))
        self._judge_seconds(node, time.monotonic() - began, case)
        if refused:
            self.done[_EARLY] += 1
        self.place.lab.stop_node(node)
        self._start(node, case)

    def _stop(self, node: str, case: str) -> bool:
        """False: it did not run, so that nothing was stopped."""
        if self.place.lab.pid(node) is None:
            self.wrong.append(Violation("I12", case, f"{node} had died"))
            return False
        clean = self._clean_ones(node)
        began = time.monotonic()
        self.place.lab.stop_node(node)
        self._judge_seconds(node, time.monotonic() - began, case)
        if self._clean_ones(node) != clean + 1:
            self.wrong.append(Violation("I12", case, f"the stop of {node} was not clean"))
        return True

    def _start(self, node: str, case: str) -> None:
        began = time.monotonic()
        try:
            self.place.lab.start_node(node)
        except LabError as error:
            self.wrong.append(Violation("I12", case, f"{node} does not start again: {error}"))
            return
        self.starts.append(time.monotonic() - began)

    def _clean_ones(self, node: str) -> int:
        return self.place.lab.log(node).read_text("utf-8", errors="replace").count(_CLEAN)

    def _judge_seconds(self, node: str, seconds: float, case: str) -> None:
        self.slowest = max(self.slowest, seconds)
        if seconds > STOP_SECONDS:
            self.wrong.append(Violation("I12", case, f"the stop of {node} took {seconds:.1f} s"))


def _start_quietly(place: Town, node: str, refused: list[str]) -> None:
    try:
        place.lab.start_node(node)
    except LabError as error:
        refused.append(str(error))


def try_stops(run: Run, place: Town, chance: random.Random) -> Outcome:
    """F110, in a town whose nodes are ready."""
    stops = Stops(place, chance, storm=_QUICK_STORM if run.quick else _FULL_STORM)
    ways: tuple[Callable[[str, str], None], ...]
    ways = (stops.in_traffic, stops.while_starting, stops.in_a_storm)
    wanted = _QUICK if run.quick else _FULL
    for number in range(wanted):
        if run.is_over:
            break
        node = chance.choice((SENDER, PROVINCE, RECEIVER))
        for each in range(3):
            place.drop(f"stop-{number}-{each}")
        ways[number % len(ways)](node, f"stop {number} of {node}")
        run.progress(number + 1, wanted, "stops")
    stops.wrong += drained(place)
    told = ", ".join(f"{count} {way}" for way, count in stops.done.items())
    # One that was ready before the signal came is none of those during a start.
    planned = wanted // len(ways) * (2 + stops.storm)
    return Outcome(
        "F110", sum(stops.done.values()), tuple(stops.wrong), tuple(stops.starts), planned=planned,
        measured=f"{told}; all that had been ready before stopped clean; the slowest {stops.slowest:.1f} s",
    )  # fmt: skip
