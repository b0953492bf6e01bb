"""What the sweeps share: the world made ready, and the points of every role in both runs."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from certainty.shard import Run
from certainty.sweep.calls import CHANGES
from certainty.sweep.judging import prepare
from certainty.sweep.outside import View
from certainty.sweep.points import Point, Recorder, chosen
from certainty.sweep.stage import Stage
from certainty.sweep.volume import private_mounts
from certainty.sweep.world import JOURNEY, RETENTION, ROLES, Beginning, World


@dataclass(frozen=True, slots=True)
class Case:
    """One point of one role, in the run from ``beginning``."""

    role: str
    beginning: str
    point: Point

    def __str__(self) -> str:
        return f"{self.beginning} {self.role} {self.point}"


class Ready:
    """A world with both templates and what an undisturbed run of each looks like, for one layout."""

    def __init__(self, world: World, layout: str = "") -> None:
        self.world = world
        self.layout = layout
        # Of the sender: calls from the seal to the first batch (``rotten.calls``). Who needs them, sets them.
        self.sealed_and_put = 0, 0, 0
        self._known: dict[tuple[str, str, frozenset[str]], list[Point]] = {}
        self.beginnings: dict[str, Beginning]
        self.views: dict[str, View]
        self.beginnings, self.views = prepare(world, layout)

    def cases(self, roles: Iterable[str], tables: tuple[dict[str, int], ...] = (CHANGES,)) -> list[Case]:
        """All points of these roles: of the journey all, of retention what follows when the days are over."""
        return [
            Case(role, name, self._shown(point))
            for name in (JOURNEY, RETENTION)
            for role in roles
            for point in chosen(self.points(role, name, tables))
        ]

    def points(self, role: str, name: str, tables: tuple[dict[str, int], ...]) -> list[Point]:
        """Every trapped call of that role in an undisturbed run, which is played once."""
        key = role, name, frozenset(call for table in tables for call in table)
        if key not in self._known:
            self._known[key] = self._recorded(role, name, tables)
        return self._known[key]

    def _recorded(self, role: str, name: str, tables: tuple[dict[str, int], ...]) -> list[Point]:
        recorder = Recorder(armed=name == JOURNEY)
        self.world.restore(self.beginnings[name], self.layout)
        stage = Stage(
            self.world, self.beginnings[name], {ROLES[role]: recorder}, tables=tables,
            on_old=lambda: setattr(recorder, "armed", True),
            on_rest=lambda: setattr(recorder, "armed", False),
        )  # fmt: skip
        stage.play()
        return recorder.points

    def _shown(self, point: Point) -> Point:
        root = f"{self.world.layout.root}/"
        return Point(point.number, point.name, point.path.removeprefix(root), point.is_idle)


@contextmanager
def ready(run: Run, *layouts: str, inodes: int = 0, loses_power: bool = True) -> Iterator[dict[str, Ready]]:
    """The world of one shard in each layout, below its folder, in mounts that end with this process.

    ``inodes``: so many has each volume; 0 leaves it to mkfs. ``loses_power``: as of ``World``.
    """
    private_mounts()
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        place = run.folder / f"sweep-{len(layouts)}"
        with World(place, inodes, loses_power=loses_power) as world:
            made: dict[str, Ready] = {}
            for layout in layouts or ("",):
                run.progress(len(made), len(layouts) or 1, "making the world")
                made[layout] = Ready(world, layout)
            yield made
    finally:
        logging.disable(level)


@cache
def start_seconds() -> float:
    """How long an interpreter takes until the daemon's modules are there: part of every real recovery."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import cli.wiring"], check=True)
    return time.monotonic() - began
