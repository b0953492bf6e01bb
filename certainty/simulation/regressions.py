"""Seeds that once violated something: each is played first, for ever, and by a test."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("regressions.toml")


def seeds_of(mode: str) -> tuple[int, ...]:
    """The seeds that once failed in that mode, in the order in which they were found."""
    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return tuple(each["seed"] for each in data.get("failed", ()) if each["mode"] == mode)
