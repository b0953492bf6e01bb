"""One seed from its beginning to its end."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from random import Random
from typing import Final

from certainty.shard import Violation
from certainty.simulation.books import Books
from certainty.simulation.drops import Sample
from certainty.simulation.nemesis import Nemesis
from certainty.simulation.people import People
from certainty.simulation.template import PLANS, Templates
from certainty.simulation.trail import Trail
from certainty.simulation.world import World
from exchanged import examine
from exchanged.config import Config, DropProfile
from exchanged.packs import find_pack
from frontend_server.judging import read_directory
from tests.support.network import COURT

# What the program remembers by path: every world stands at the same one.
_REMEMBERED: Final = (read_directory, find_pack, examine._directory)

# So much virtual time passes with faults, and so much at most without until all must have come to rest.
_CHAOS: Final = (30.0, 90.0, 240.0)
_PATIENCE: Final = 7200.0
# A run that does so many things has gone round in circles.
_MOST_THINGS: Final = 60_000


class Mode(StrEnum):
    """``safety``: faults without end. ``liveness``: faults that heal, and everything must come to its end."""

    SAFETY = "safety"
    LIVENESS = "liveness"


@dataclass(frozen=True, slots=True)
class Result:
    """What one seed showed. ``seconds`` are the processor's, ``drained`` those from the healing to rest.

    ``packets`` is how often something was dropped, ``shown`` how often a packet appeared in an inbox;
    ``kinds`` are the faults that really took place.
    """

    seed: int
    mode: Mode
    digest: str
    violations: tuple[Violation, ...]
    seconds: float
    packets: int
    shown: int
    starts: int
    steps: int
    kinds: tuple[str, ...]
    drained: float = 0.0
    lines: tuple[str, ...] = ()


def run_seed(
    seed: int, mode: Mode, templates: Templates, samples: tuple[Sample, ...], *, keeps_trail: bool = False
) -> Result:
    """Play one seed. What is wrong is in the result; an exception is a mistake of the simulation."""
    logging.disable(logging.CRITICAL)
    for remembered in _REMEMBERED:
        remembered.cache_clear()
    began = time.process_time()
    dice = Random(f"{mode}/{seed}")
    plan = dice.choice(("two", "two", "three", "three", "bridged", "both-bridged", "encrypted", "pair"))
    trail = Trail(keeps=keeps_trail)
    world = World(seed, plan, templates, {each.mark: each for each in samples}, trail, _configure)
    people = People(world)
    books = Books(world, people)
    world.after_step, world.after_cut = books.after_step, books.after_cut
    chaos = dice.choice(_CHAOS)
    nemesis = Nemesis(world, people, chaos)
    nemesis.begin()
    _plan_drops(world, people, samples, dice, chaos)
    for agency in sorted(world.inboxes):
        world.at(dice.uniform(1.0, 10.0), "", partial(people.read, agency))
    _go_on(world, chaos)
    drained = 0.0
    if mode is Mode.LIVENESS and not world.violations:
        drained = _drain(world, people, books, nemesis)
    else:
        _stop(world)
    if not world.violations:
        books.keeps_everything()
    for node in world.nodes.values():
        node.die()
    return Result(
        seed, mode, trail.digest, tuple(world.violations), time.process_time() - began, len(people.dropped),
        sum(len(watch.every) for watch in world.inboxes.values()),
        sum(node.starts for node in world.nodes.values()), sum(node.steps for node in world.nodes.values()),
        tuple(sorted(kind for kind, times in world.happened.items() if times)), drained, tuple(trail.lines),
    )  # fmt: skip


def _configure(config: Config, dice: Random) -> Config:
    """A node's settings, as different as installations are. Waiting costs nothing here, so looks are rare."""
    limits = replace(
        config.limits,
        link_scan_seconds=dice.choice((10.0, 20.0, 30.0)),
        retry_first_seconds=dice.choice((0.5, 2.0)),
        retry_max_seconds=dice.choice((10.0, 30.0)),
        open_batches=dice.choice((1, 2, 8)),
        batch_items=dice.choice((1, 3, 200)),
    )
    folders = config.folders
    if folders is not None:
        folders = replace(
            folders,
            profile=dice.choice((DropProfile.RENAME, DropProfile.RENAME, DropProfile.SETTLED)),
            scan_seconds=dice.choice((10.0, 20.0)),
            collected_hours=dice.choice((0.001, 0.01, 24.0)),
        )
    return replace(config, limits=limits, folders=folders)


def _plan_drops(
    world: World, people: People, samples: tuple[Sample, ...], dice: Random, chaos: float
) -> None:
    there = world.inboxes.keys()
    fitting = [each for each in samples if {each.sender, *each.recipients} <= there]
    # Without a court nobody gets a copy; a blob costs as much time as ten others.
    light = [each for each in fitting if not each.has_blob]
    heavy = [each for each in fitting if each.has_blob]
    chosen = [dice.choice(light) for _ in range(dice.randint(2, 6))]
    if dice.random() < 0.25:
        chosen.append(dice.choice(heavy))
    if COURT in there:
        chosen.append(dice.choice([each for each in fitting if each.kind == "copies"]))
    unique = list({each.number: each for each in chosen}.values())
    for each in unique:
        when = dice.uniform(0.0, chaos * 0.5)
        world.at(when, "", partial(people.drop, each))
        if dice.random() < 0.25:
            world.at(when + dice.uniform(0.0, chaos * 0.3), "", partial(people.drop, each))


def _go_on(world: World, until: float) -> None:
    things = 0
    while not world.violations and world.advance(until):
        things += 1
        if things > _MOST_THINGS:
            what = f"still busy after {things} steps, at {world.now:.0f} s: it goes round in circles"
            world.broken("I9", what)
    world.now = max(world.now, until)


def _drain(world: World, people: People, books: Books, nemesis: Nemesis) -> float:
    """Everything heals, and must come to its end; then every node is started once more."""
    healed = world.now
    nemesis.heal()
    people.let_go()
    while world.now - healed < _PATIENCE and not world.violations:
        _go_on(world, world.now + 15.0)
        if books.is_at_rest():
            break
    drained = world.now - healed
    people.reads = False
    _go_on(world, world.now + 60.0)
    for code in sorted(world.nodes):
        node = world.nodes[code]
        if node.is_up:
            node.opened.close(clean=True)
            node.parts = None
        world.start(node)
    _go_on(world, world.now + 90.0)
    if not world.violations:
        books.at_rest()
    return drained


def _stop(world: World) -> None:
    """The faults of the disks end, and every node must come up."""
    for node in world.nodes.values():
        node.faults.heal()
        node.crash.arm(0)
    for code in sorted(world.nodes):
        node = world.nodes[code]
        if not node.is_up and not world.violations:
            world.start(node)
            if not node.is_up:
                world.broken("I12", f"{code} does not come up on a sound disk")


def all_plans() -> tuple[str, ...]:
    """The names of the plans."""
    return tuple(PLANS)
