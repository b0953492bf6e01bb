"""What ``config check`` finds, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cli.locale import _
from packet_spec.errors import ExchangeError


class CheckState(StrEnum):
    """``problem``: the node will not work; ``warning``: it works, and a person should look.

    ``note``: it works, nothing is to be mended, but a promise is different here.
    """

    GOOD = "good"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, and what was found.

    ``expected``: what the daemon relies on; ``follows``: what comes of it; ``advice``: what to do. All are
    for people, and empty where there is nothing to say.
    """

    name: str
    state: CheckState
    detail: str = ""
    expected: str = ""
    follows: str = ""
    advice: str = ""

    @property
    def text(self) -> str:
        """Everything that a person is to read, in one line."""
        expected = _("expected: {what}").format(what=self.expected) if self.expected else ""
        return _("; ").join(part for part in (self.detail, expected, self.follows, self.advice) if part)


def with_advice(error: ExchangeError) -> str:
    """What an error says, and what to do."""
    return f"{error}; {error.advice}" if error.advice else str(error)


def seen_mode(path: Path) -> int:
    """Type and mode of what ``path`` leads to; 0 where nothing is, or where this user may not look."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0
