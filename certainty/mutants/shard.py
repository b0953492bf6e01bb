"""The seeded bugs as a part of the programme: each must be killed, and the unchanged program must pass."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from certainty.mutants.running import Tried, chosen, try_all
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
    yield told(tried)


def told(tried: list[Tried]) -> Outcome:
    """The outcome of all. A mutant that was not tried is said, and is no success."""
    bugs = [one for one in tried if one.name]
    violations = [
        Violation(each.invariant, f"seed {one.seed}, {one.scene}", f"the unchanged program: {each.what}")
        for one in tried
        if not one.name
        for each in one.violations
    ]
    violations += [
        Violation(one.promise.split()[0], f"seed {one.seed}, {one.scene}", f"{one.name} was not found")
        for one in bugs
        if not one.is_killed and not one.not_run
    ]
    killed = [one for one in bugs if one.is_killed]
    shown = ", ".join(f"{one.name} {one.seconds:.0f} s (seed {one.seed})" for one in killed)
    left = "".join(f"; {one.name} not run: {one.not_run}" for one in tried if one.not_run and one.name)
    measured = f"{len(killed)} of {len(bugs)} seeded bugs killed: {shown}{left}"
    if not any(not one.not_run for one in bugs):
        return Outcome(ROW, 0, not_run=left or "nothing was tried")
    return Outcome(ROW, len(killed) + len(violations), tuple(violations), measured=measured)
