"""A case against the undisturbed run of its beginning, and what must hold of any run that came to rest."""

from __future__ import annotations

from typing import Final

from certainty.sweep.outside import View, differences
from certainty.sweep.stage import DAY, CaseOverError, Ending, Stage
from certainty.sweep.world import JOURNEY, LARGE, LATE, RETENTION, Beginning, World

_KEPT_DAYS: Final = 92.0


class UndisturbedError(Exception):
    """What every case is held against is itself not as it must be."""


def prepare(world: World, layout: str = "") -> tuple[dict[str, Beginning], dict[str, View]]:
    """Make both templates of a layout, and the view of each that was not disturbed."""
    beginnings = {JOURNEY: Beginning(JOURNEY)}
    world.build(layout)
    world.keep(beginnings[JOURNEY], layout)
    world.restore(beginnings[JOURNEY], layout)
    stage = Stage(world, beginnings[JOURNEY])
    views = {JOURNEY: _sound(stage.play())}
    beginnings[RETENTION] = Beginning(RETENTION, stage.elapsed + _KEPT_DAYS * DAY)
    world.drop(LATE)
    world.keep(beginnings[RETENTION], layout)
    world.restore(beginnings[RETENTION], layout)
    views[RETENTION] = _sound(Stage(world, beginnings[RETENTION]).play())
    return beginnings, views


def _sound(ending: Ending) -> View:
    """The large drop came and was signed for; nothing else is wrong either. Raises UndisturbedError."""
    status = ending.view.statuses.get(f"{LARGE}.status.json")
    if ending.violations or status != "signed True":
        raise UndisturbedError(f"undisturbed, the large drop is {status}: {ending.violations}")
    return ending.view


def judged(stage: Stage, expected: View, case: str) -> Ending:
    """Play a case and hold it against the undisturbed view."""
    try:
        ending = stage.play()
    except CaseOverError:
        return stage.ending
    ending.violations += differences(expected, ending.view, case)
    return ending
