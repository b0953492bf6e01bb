"""A seeded bug counts as found by what breaks its own promise alone, where the unchanged program passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certainty.kills.nodes import NotReadyError
from certainty.mutants import running
from certainty.mutants.__main__ import told as line_of
from certainty.mutants.running import OVER, try_all
from certainty.mutants.shard import told
from certainty.mutants.stage import Stage, UnreadyError
from certainty.mutants.table import MUTANTS, Mutant
from certainty.mutants.tried import Tried, exit_code, invariants_of
from certainty.shard import Violation

PLAIN = "scene-a"
MUTANT = Mutant("bug", "I1 I8 C5: a promise", (), (PLAIN,))
LOST = Violation("I1", "seed 1", "lost")
OTHER = Violation("I16", "seed 1", "the books do not balance")

Scene = Callable[[Path, Path, int], tuple[Violation, ...]]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[Tried]]]:
    """Try mutants with an invented scene; the tree that it is given tells whose program it is."""

    def tree(to: Path) -> Path:
        to.mkdir(parents=True)
        return to

    monkeypatch.setattr(running, "copy_tree", tree)
    monkeypatch.setattr(running, "apply", lambda mutant, tree: (tree / mutant.name).touch())

    def played(
        scene: Scene,
        mutants: tuple[Mutant, ...] = (MUTANT,),
        *,
        rounds: int = 3,
        is_over: Callable[[], bool] = lambda: False,
    ) -> dict[str, list[Tried]]:
        monkeypatch.setattr(running, "SCENES", {PLAIN: scene})
        found: dict[str, list[Tried]] = {"": []}
        for one in try_all(mutants, tmp_path / "play", 1, rounds=rounds, is_over=is_over):
            found.setdefault(one.name, []).append(one)
        return found

    return played


def _is_changed(tree: Path) -> bool:
    return any(tree.iterdir())


def test_a_bug_is_killed_where_the_unchanged_program_passes(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    found = play(lambda tree, folder, seed: (OTHER, LOST) if _is_changed(tree) and seed == 101 else ())
    (bug,), (control,) = found["bug"], found[""]
    assert (bug.is_killed, bug.seed, bug.killing) == (True, 101, (LOST,))
    assert (control.scene, control.seed, control.violations) == (PLAIN, 101, ())
    assert exit_code([bug, control], [MUTANT]) == 0
    outcome = told([bug, control], planned=1)
    assert (outcome.cases, outcome.violations, outcome.shortfalls) == (1, (), ())


def test_the_unchanged_program_is_played_once_for_several_that_were_found_there(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    mutants = tuple(Mutant(f"bug{number}", "I1: a promise", (), (PLAIN,)) for number in range(4))
    found = play(lambda tree, folder, seed: (LOST,) if _is_changed(tree) else (), mutants)
    assert len(found[""]) == 1
    assert all(found[mutant.name][0].is_killed for mutant in mutants)


def test_what_breaks_another_invariant_kills_nothing(play: Callable[..., dict[str, list[Tried]]]) -> None:
    found = play(lambda tree, folder, seed: (OTHER,) if _is_changed(tree) else ())
    (bug,) = found["bug"]
    assert not bug.is_killed
    assert found[""] == []
    assert "other invariants than its own: I16" in line_of(bug)
    assert [each.what for each in told([bug], planned=1).violations] == ["bug was not found"]
    assert exit_code([bug], [MUTANT]) == 1


def test_that_a_node_does_not_start_kills_no_bug(play: Callable[..., dict[str, list[Tried]]]) -> None:
    def scene(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
        raise NotReadyError("620000-00-00 ended: SyntaxError")

    found = play(scene, (Mutant("bug", "I1 I12: a promise", (), (PLAIN,)),))
    (bug,) = found["bug"]
    assert not bug.is_killed
    assert bug.not_ready == "620000-00-00 ended: SyntaxError"
    assert "LIVES" in line_of(bug)
    assert "SyntaxError" in line_of(bug)


def test_what_the_books_show_when_a_node_does_not_start_again_may_kill(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    def scene(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
        if _is_changed(tree):
            raise UnreadyError("620000-00-00 ended: ledger-damaged", (Violation("I8", "", "damaged"),))
        return ()

    assert play(scene)["bug"][0].is_killed


def test_that_a_node_does_not_start_is_a_violation_of_the_unchanged_program(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    def scene(tree: Path, folder: Path, seed: int) -> tuple[Violation, ...]:
        if _is_changed(tree):
            return (LOST,)
        raise NotReadyError("620000-00-00 ended: fault")

    found = play(scene, rounds=1)
    (bug,), (control,) = found["bug"], found[""]
    assert [each.invariant for each in control.violations] == ["I12"]
    assert not bug.is_killed
    assert exit_code([bug, control], [MUTANT]) == 1


def test_a_scene_that_finds_something_without_a_bug_kills_none(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    found = play(lambda tree, folder, seed: (LOST,))
    (bug,) = found["bug"]
    assert not bug.is_killed
    assert [one.seed for one in found[""]] == [1, 101, 201]
    violations = told([bug, *found[""]], planned=1).violations
    assert sum(each.what.startswith("the unchanged program: ") for each in violations) == 3


def test_a_bug_that_the_time_did_not_suffice_for_is_no_success(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    (bug,) = play(lambda tree, folder, seed: (LOST,), is_over=lambda: True)["bug"]
    assert bug.not_run == OVER
    assert exit_code([bug], [MUTANT]) == 1
    over = iter([False, False, True])
    (bug,) = play(lambda tree, folder, seed: (), rounds=3, is_over=lambda: next(over))["bug"]
    assert (bug.is_killed, bug.not_run) == (False, f"{OVER} before it was found")


def test_a_bug_whose_unchanged_program_was_not_tried_is_no_success(
    play: Callable[..., dict[str, list[Tried]]],
) -> None:
    over = iter([False, False, True])
    found = play(lambda tree, folder, seed: (LOST,) if _is_changed(tree) else (), is_over=lambda: next(over))
    (bug,), (control,) = found["bug"], found[""]
    assert (control.not_run, bug.is_killed) == (OVER, False)
    assert exit_code([bug, control], [MUTANT]) == 1
    outcome = told([bug, control, Tried("other", "I1: x", PLAIN, 1, 1.0, (LOST,))], planned=2)
    assert outcome.shortfalls[-1] == "1 of 2 planned cases"
    assert "the unchanged program in scene-a, seed 1, not run" in outcome.short
    assert "bug not run: found, and the unchanged program was not tried there" in outcome.short


def test_one_killed_and_fifteen_untried_are_short() -> None:
    tried = [Tried(f"bug{number}", "I1: x", PLAIN, 1, 0.0, not_run=OVER) for number in range(15)]
    outcome = told([Tried("bug", "I1: x", PLAIN, 1, 1.0, (LOST,)), *tried], planned=16)
    assert (outcome.cases, outcome.violations) == (1, ())
    assert "1 of 16 planned cases" in outcome.shortfalls
    assert "bug14 not run: the time was over" in outcome.short
    assert told(tried, planned=15).not_run


def test_what_this_machine_lacks_is_no_fault_and_is_named() -> None:
    mutants = [Mutant(name, "I1: x", (), (PLAIN,)) for name in ("bug", "other")]
    killed = Tried("bug", "I1: x", PLAIN, 1, 1.0, (LOST,))
    lacking = Tried("other", "I1: x", PLAIN, 1, 0.0, not_run="no FUSE", lacks=True)
    assert exit_code([killed, lacking], mutants) == 0
    assert exit_code([killed, Tried("other", "I1: x", PLAIN, 1, 0.0, not_run=OVER)], mutants) == 1
    assert exit_code([killed], mutants) == 1
    assert exit_code([lacking], mutants[1:]) == 1
    assert line_of(lacking).endswith("NOT RUN: no FUSE")
    assert told([killed, lacking], planned=2).short == "other not run: no FUSE"


def test_a_node_that_ended_by_itself_is_no_finding_of_a_scene() -> None:
    stage = Stage.__new__(Stage)
    nodes: Any = SimpleNamespace(fallen=lambda: {"620000-00-00": "event=fault"})
    stage.nodes = nodes
    with pytest.raises(NotReadyError, match="620000-00-00 ended by itself: event=fault"):
        stage.require_alive()
    with pytest.raises(NotReadyError):
        stage.judge_now()
    nodes.fallen = dict
    stage.require_alive()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_promise_names_the_invariants_that_it_breaks(mutant: Mutant) -> None:
    named = invariants_of(mutant.promise)
    assert named
    assert named <= {f"I{number}" for number in range(1, 17)}
    assert ":" in mutant.promise
