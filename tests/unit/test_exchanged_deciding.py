"""Which judge decides follows from the directory in force when it is decided, not when it was looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from exchanged.deciding import ByPart
from exchanged.decisions import Held
from exchanged.examine import Scope
from tests.support.documents import POLICE, PROVINCE


@dataclass
class Part:
    """A judge that only remembers what it was asked to decide."""

    looks_at: Scope
    decided: list[Any] = field(default_factory=list)

    def scope(self, _sender: str) -> Scope:
        return self.looks_at

    def decide(self, _transaction: Any, _row: Any, examined: Any) -> None:
        self.decided.append(examined)


def test_c21_what_was_looked_at_for_another_part_is_looked_at_again() -> None:
    """A packet seen as one that only passes has no findings: as one to be admitted it would be refused."""
    admitting, passing = Part(Scope.STANDARD), Part(Scope.SEAL)
    agency = SimpleNamespace(admitting_node="somebody-else")
    trust: Any = SimpleNamespace(directory=SimpleNamespace(agency=lambda _code: agency))
    judge = ByPart(PROVINCE, trust, admitting, passing)
    seal = SimpleNamespace(key=SimpleNamespace(sender=POLICE))
    seen: Any = SimpleNamespace(seal=seal, scope=judge.scope(POLICE))
    agency.admitting_node = PROVINCE
    nothing: Any = None
    with pytest.raises(Held, match="directory-changed"):
        judge.decide(nothing, nothing, seen)
    seen.scope = judge.scope(POLICE)
    judge.decide(nothing, nothing, seen)
    assert (admitting.decided, passing.decided) == ([seen], [])
