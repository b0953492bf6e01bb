"""The seeded bugs as a part of the programme: each must be killed where the unchanged program passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from certainty.mutants.running import chosen, try_all
from certainty.mutants.tried import Tried
from certainty.shard import Outcome, Run, Violation
from certainty.sweep.volume import private_mounts

ROW = "SB"


def work(run: Run) -> Iterator[Outcome]:
    """The cheapest ones in the quick size, all of them in the full one."""
    mutants = chosen(quick=run.quick)
    with suppress(OSError):
        private_mounts()
    tried: list[Tried] = []
    rounds = 2 if run.quick else 3
    for one in try_all(mutants, run.folder / "play", run.seed, rounds=rounds, is_over=lambda: run.is_over):
        tried.append(one)
        run.progress(sum(bool(each.name) for each in tried), len(mutants), one.name or one.scene)
    yield told(tried, planned=len(mutants))


def told(tried: list[Tried], *, planned: int) -> Outcome:
    """The outcome of all; ``planned``: how many seeded bugs were to be tried. What was not is no success."""
    bugs = [one for one in tried if one.name]
    violations = [
        Violation(each.invariant, f"seed {one.seed}, {one.scene}", f"the unchanged program: {each.what}")
        for one in tried
        if not one.name
        for each in one.violations
    ]
    known = [one for one in bugs if not one.not_run]
    violations += [
        Violation(one.promise.split()[0], f"seed {one.seed}, {one.scene}", f"{one.name} was not found")
        for one in known
        if not one.is_killed
    ]
    killed = [one for one in known if one.is_killed]
    passed = [one for one in tried if not one.name and not one.not_run and not one.violations]
    shown = ", ".join(f"{one.name} {one.seconds:.0f} s (seed {one.seed})" for one in killed)
    left = "; ".join(
        f"{one.name or f'the unchanged program in {one.scene}, seed {one.seed},'} not run: {one.not_run}"
        for one in tried
        if one.not_run
    )
    if not known and not violations:
        return Outcome(ROW, 0, not_run=left or "nothing was tried")
    measured = f"{len(killed)} of {planned} seeded bugs killed: {shown}"
    measured += f"; the unchanged program passed {len(passed)} scenes with the same seeds"
    return Outcome(ROW, len(known), tuple(violations), measured=measured, short=left, planned=planned)
