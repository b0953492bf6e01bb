"""Try mutants: put one into a copy of the program, play its scenes, until the checker finds something."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.kills.nodes import NotReadyError
from certainty.mutants.scenes import SCENES
from certainty.mutants.table import MUTANTS, Mutant
from certainty.mutants.tree import apply, copy_tree
from certainty.shard import Violation

# These mount volumes of their own.
POWER: Final = frozenset({"power", "power-steps"})
# A scene is mostly waiting for a few processes.
_AT_ONCE: Final = 2
_OVER: Final = "the time was over"


@dataclass(frozen=True, slots=True)
class Tried:
    """How one mutant, or the program without any (``name`` empty), fared; ``seed`` is the scene's."""

    name: str
    promise: str
    scene: str
    seed: int
    seconds: float
    violations: tuple[Violation, ...]
    not_run: str = ""

    @property
    def is_killed(self) -> bool:
        """The checker found something."""
        return bool(self.violations)


def chosen(names: Iterable[str] = (), *, quick: bool = False) -> tuple[Mutant, ...]:
    """Mutants by name, the quick ones, or all. Raises KeyError for an unknown name."""
    by_name = {mutant.name: mutant for mutant in MUTANTS}
    if wanted := tuple(by_name[name] for name in names):
        return wanted
    return tuple(mutant for mutant in MUTANTS if mutant.in_quick or not quick)


def try_all(
    mutants: Iterable[Mutant],
    folder: Path,
    seed: int,
    *,
    rounds: int = 3,
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[Tried]:
    """The unchanged program in every scene that is used, which must pass; and each mutant until it is killed.

    Two are played at once, each with a copy of the program of its own; told in the order in which they end.
    ``rounds``: how often a mutant's scenes are played, each time with another seed.
    """
    mutants = tuple(mutants)
    scenes = dict.fromkeys(scene for mutant in mutants for scene in mutant.scenes)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [pool.submit(_sound, scene, folder / f"sound-{scene}", seed, is_over) for scene in scenes]
        waiting += [
            pool.submit(_until_killed, mutant, folder / mutant.name, seed, rounds, is_over)
            for mutant in mutants
        ]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            for each in waiting:
                each.cancel()


def _sound(scene: str, folder: Path, seed: int, is_over: Callable[[], bool]) -> Tried:
    if is_over():
        return Tried("", "", scene, seed, 0.0, (), _OVER)
    return _play(None, scene, copy_tree(folder / "tree"), folder / "play", seed)


def _until_killed(
    mutant: Mutant, folder: Path, seed: int, rounds: int, is_over: Callable[[], bool]
) -> Tried:
    began = time.monotonic()
    tried = Tried(mutant.name, mutant.promise, mutant.scenes[0], seed, 0.0, (), _OVER)
    if is_over():
        return tried
    tree = copy_tree(folder / "tree")
    apply(mutant, tree)
    for number in range(rounds):
        for turn, scene in enumerate(mutant.scenes):
            one = _play(mutant, scene, tree, folder / f"{number}-{turn}", seed + 100 * number + turn)
            seconds = time.monotonic() - began
            tried = Tried(mutant.name, mutant.promise, scene, one.seed, seconds, one.violations, one.not_run)
            if tried.is_killed or tried.not_run or is_over():
                return tried
    return tried


def _play(mutant: Mutant | None, scene: str, tree: Path, folder: Path, seed: int) -> Tried:
    name, promise = ("", "") if mutant is None else (mutant.name, mutant.promise)
    missing = _missing(scene)
    if missing:
        return Tried(name, promise, scene, seed, 0.0, (), missing)
    began = time.monotonic()
    try:
        found = SCENES[scene](tree, folder, seed)
    except NotReadyError as error:
        found = (Violation("I12", f"seed {seed}", f"a node does not start again: {error}"),)
    if mutant is not None or not found:
        shutil.rmtree(folder, ignore_errors=True)
    return Tried(name, promise, scene, seed, time.monotonic() - began, found)


def _missing(scene: str) -> str:
    if scene == "no-events" and not (os.access("/dev/fuse", os.W_OK) and shutil.which("fusermount3")):
        return "no FUSE"
    if scene not in POWER:
        return ""
    if os.geteuid() != 0:
        return "volumes are mounted by root alone"
    path = f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"
    return "" if shutil.which("mkfs.ext4", path=path) else "no mkfs.ext4"
