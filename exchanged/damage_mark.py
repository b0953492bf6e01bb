"""The mark that the node's own volume failed: with it nothing opens the node before a person has looked.

Guarantees: whoever works with the ledger and is told that the volume failed leaves the mark, also on the way
up and in the last commit of a stop; the next start is refused until ``exchanged --recover`` (``recovering``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from exchanged.errors import VolumeDamagedError
from exchanged.ledger.damage import REFUSED, damage_by_name
from exchanged.places import DAMAGE_FILE, LEDGER_FILE


def require_sound(data_dir: Path) -> None:
    """Raises VolumeDamagedError when an earlier run left the mark."""
    if (data_dir / DAMAGE_FILE).exists():
        raise VolumeDamagedError(
            "an earlier run ended because the volume of ledger or spool failed", where=str(data_dir)
        )


def leave_mark(data_dir: Path) -> None:
    """As far as the volume lets it: the error itself is told in any case."""
    with suppress(OSError):
        (data_dir / DAMAGE_FILE).touch()


@contextmanager
def marking(data_dir: Path) -> Iterator[None]:
    """What the ledger refuses gets its name; a failure of the volume leaves the mark on its way out."""
    try:
        with damage_by_name(str(data_dir / LEDGER_FILE), REFUSED):
            yield
    except VolumeDamagedError:
        leave_mark(data_dir)
        raise
