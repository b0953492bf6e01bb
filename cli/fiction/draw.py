"""Numbers that are picked for a seed: the same seed and label always give the same pick.

Every pick has its own label, so a new field never moves the values of the old ones. No random source
and no state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


def draw(seed: int, label: str, bound: int) -> int:
    """A number from 0 to ``bound`` - 1 for ``seed`` and ``label``."""
    digest = hashlib.sha256(f"exchanged-fiction\n{seed}\n{label}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % bound


def pick(seed: int, label: str, choices: Sequence[_T]) -> _T:
    """One of ``choices``, which must not be empty."""
    return choices[draw(seed, label, len(choices))]
