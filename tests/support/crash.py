"""Stopping the world at a durable step: count the crash points of a scenario, then crash at each.

A crash is a ``BaseException``, so that no ordinary handler of the code under test catches it; from the
crash on, every later point of the same run crashes too: a dead process does nothing more. What was not
flushed is not lost here, only what was not done; losing pages is the business of the tests of volumes.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exchanged.durable import CrashPoints, DurableFiles


class SimulatedCrash(BaseException):
    """The process dies at this point."""


class CountingCrash:
    """Lets everything pass and remembers the points in their order."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def point(self, name: str) -> None:
        self.names.append(name)


class CrashAt:
    """Crashes at the ``number``-th point (from 1) and at every one after it."""

    def __init__(self, number: int) -> None:
        self._number = number
        self.passed = 0

    def point(self, name: str) -> None:
        self.passed += 1
        if self.passed >= self._number:
            raise SimulatedCrash(f"{self._number}: {name}")


def crash_loop(build_and_run: Callable[[CrashPoints], None], check: Callable[[], None]) -> tuple[str, ...]:
    """Run a scenario once undisturbed, then once for each of its crash points, crashing there.

    ``build_and_run`` makes a **fresh** world and runs it to the end with the given crash points; it must
    let go of what it opened (ledger, files) also when a crash flies through. ``check`` starts that world
    again without crashes, lets it finish and asserts what must hold. Returns the names of the points.
    """
    counting = CountingCrash()
    build_and_run(counting)
    check()
    for number, name in enumerate(counting.names, start=1):
        crash = CrashAt(number)
        try:
            build_and_run(crash)
        except SimulatedCrash:
            pass
        else:
            raise AssertionError(f"the run did not reach crash point {number} ({name}): it is not repeatable")
        try:
            check()
        except Exception as error:
            error.add_note(f"after a crash at point {number} of {len(counting.names)}: {name}")
            raise
    return tuple(counting.names)


class PowerCutError(BaseException):
    """The power goes."""


def break_off(monkeypatch: pytest.MonkeyPatch, what: str, number: int) -> None:
    """The power goes before the ``number``-th of these operations."""
    real, calls = getattr(DurableFiles, what), []

    def cut(self: DurableFiles, *args: object, **options: object) -> object:
        calls.append(args)
        if len(calls) == number:
            raise PowerCutError
        return real(self, *args, **options)

    monkeypatch.setattr(DurableFiles, what, cut)
