"""Which alarms stand in an agency's ``notices`` folder: each trouble of a link must raise one of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from certainty.network.stage import wait_until
from packet_spec.notice import decode_notice

_LINK_DOWN: Final = "link-down"
# The link counts as down after six seconds here, and the node looks every three.
_RAISED_SECONDS: Final = 40.0
_OVER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Alarms:
    """The notices of one agency that a link is down. ``before``: those that stood there at the beginning.

    Notices stay for long after they are over; a new one has a name of its own.
    """

    folder: Path
    before: frozenset[str]

    @classmethod
    def since_now(cls, folder: Path) -> Alarms:
        """Whatever is there now does not count."""
        return cls(folder, _names(folder))

    @property
    def fresh(self) -> frozenset[str]:
        """Those that came since."""
        return _names(self.folder) - self.before

    def is_raised(self, seconds: float = _RAISED_SECONDS) -> bool:
        """Wait for a new one; False when none came in that time."""
        return wait_until(lambda: bool(self.fresh), seconds)

    def are_over(self, seconds: float = _OVER_SECONDS) -> bool:
        """Wait until none of the new ones lasts any more: else the next trouble would be the same matter."""
        return wait_until(lambda: all(_is_over(self.folder / name) for name in self.fresh), seconds)


def _names(folder: Path) -> frozenset[str]:
    if not folder.is_dir():
        return frozenset()
    return frozenset(path.name for path in folder.glob(f"*-{_LINK_DOWN}-*.xml"))


def _is_over(path: Path) -> bool:
    return decode_notice(path.read_bytes()).over_at is not None
