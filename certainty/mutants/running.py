"""Try mutants: put one into a copy of the program, play its scenes, until the checker finds what it breaks.

A mutant is killed by what breaks an invariant of its own promise, in a scene and at a seed that the unchanged
program passes. That a node does not start kills none.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Final

from certainty.kills.nodes import NotReadyError
from certainty.mutants.scenes import SCENES
from certainty.mutants.stage import UnreadyError
from certainty.mutants.table import MUTANTS, Mutant
from certainty.mutants.tree import apply, copy_tree
from certainty.mutants.tried import Tried
from certainty.shard import Violation

# These mount volumes of their own.
POWER: Final = frozenset({"power", "power-steps"})
# A scene is mostly waiting for a few processes.
_AT_ONCE: Final = 2
OVER: Final = "the time was over"


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
    """Each mutant until it is killed, and the unchanged program wherever one was, which must pass there.

    Two are played at once, each with a copy of the program of its own; told in the order in which they end.
    ``rounds``: how often a mutant's scenes are played, each time with another seed.
    """
    mutants = tuple(mutants)
    controls = Controls(folder / "unchanged", is_over)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting = [
            pool.submit(_until_killed, mutant, folder / mutant.name, seed, rounds, controls)
            for mutant in mutants
        ]
        try:
            for done in as_completed(waiting):
                yield from done.result()
        finally:
            for each in waiting:
                each.cancel()


class Controls:
    """The unchanged program in the scenes, and at the seeds, where a mutant was killed: each once.

    A scene that fails now and then without any bug would otherwise kill every mutant that is given enough
    seeds. ``is_over``: nothing more may be begun.
    """

    def __init__(self, folder: Path, is_over: Callable[[], bool]) -> None:
        self.is_over = is_over
        self._folder = folder
        self._lock = threading.Lock()
        self._tree: Path | None = None
        self._played: dict[tuple[str, int], Future[Tried]] = {}

    def ask(self, scene: str, seed: int) -> tuple[Tried, bool]:
        """How it fared there, and whether it was played just now: whoever asks first plays."""
        with self._lock:
            known = self._played.get((scene, seed))
            future = self._played[scene, seed] = known or Future()
            if known is None and self._tree is None:
                self._tree = copy_tree(self._folder / "tree")
        if known is None:
            try:
                future.set_result(self._play(scene, seed))
            except BaseException as error:
                future.set_exception(error)
        return future.result(), known is None

    def _play(self, scene: str, seed: int) -> Tried:
        if self.is_over():
            return Tried("", "", scene, seed, 0.0, not_run=OVER)
        assert self._tree is not None
        return _play(None, scene, self._tree, self._folder / f"{scene}-{seed}", seed)


def _until_killed(
    mutant: Mutant, folder: Path, seed: int, rounds: int, controls: Controls
) -> tuple[Tried, ...]:
    """How the mutant fared in the end, and the unchanged program where it was played for it."""
    began = time.monotonic()
    tried = Tried(mutant.name, mutant.promise, mutant.scenes[0], seed, 0.0, not_run=OVER)
    if controls.is_over():
        return (tried,)
    tree = copy_tree(folder / "tree")
    apply(mutant, tree)
    played: list[Tried] = []
    for number, turn in product(range(rounds), range(len(mutant.scenes))):
        if controls.is_over():
            # Not all was tried that may find it: nothing is known.
            return (*played, replace(tried, violations=(), not_run=f"{OVER} before it was found"))
        scene = mutant.scenes[turn]
        one = _play(mutant, scene, tree, folder / f"{number}-{turn}", seed + 100 * number + turn)
        tried = replace(one, seconds=time.monotonic() - began)
        if tried.not_run:
            return (*played, tried)
        if not tried.is_killed:
            continue
        control, is_new = controls.ask(scene, tried.seed)
        played += [control] if is_new else []
        if control.not_run:
            why = f"found, and the unchanged program was not tried there: {control.not_run}"
            return (*played, replace(tried, not_run=why))
        if not control.violations:
            return (*played, tried)
        # The scene finds something without the bug as well.
        tried = replace(tried, violations=())
    return (*played, tried)


def _play(mutant: Mutant | None, scene: str, tree: Path, folder: Path, seed: int) -> Tried:
    name, promise = ("", "") if mutant is None else (mutant.name, mutant.promise)
    missing = _missing(scene)
    if missing:
        return Tried(name, promise, scene, seed, 0.0, not_run=missing, lacks=True)
    began, not_ready = time.monotonic(), ""
    try:
        found = SCENES[scene](tree, folder, seed)
    except NotReadyError as error:
        not_ready, found = str(error), error.found if isinstance(error, UnreadyError) else ()
        if mutant is None:
            found = (Violation("I12", f"seed {seed}", f"a node does not run: {error}"), *found)
    if mutant is not None or not found:
        shutil.rmtree(folder, ignore_errors=True)
    return Tried(name, promise, scene, seed, time.monotonic() - began, found, not_ready=not_ready)


def _missing(scene: str) -> str:
    if scene == "no-events" and not (os.access("/dev/fuse", os.W_OK) and shutil.which("fusermount3")):
        return "no FUSE"
    if scene not in POWER:
        return ""
    if os.geteuid() != 0:
        return "volumes are mounted by root alone"
    path = f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"
    return "" if shutil.which("mkfs.ext4", path=path) else "no mkfs.ext4"
