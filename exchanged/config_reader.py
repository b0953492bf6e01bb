"""Reading parsed TOML key by key, collecting every problem instead of stopping at the first.

Guarantees: a reader never raises for what a file says; each problem names section and key; a missing or
wrong value is replaced by something of the right type so that reading can go on, and a key that nobody
asked for is a problem once ``finish`` is called. The caller must not use values when there are problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar, cast

_E = TypeVar("_E", bound=StrEnum)

_TYPES: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    datetime: "a time",
}
_NOWHERE: Final = Path("/nonexistent")


class Section:
    """One table of the file. ``name`` is how problems call it; ``problems`` is shared by all sections."""

    def __init__(self, name: str, data: dict[str, Any], base: Path, problems: list[str]) -> None:
        self._name = name
        self._data = data
        self._base = base
        self._problems = problems
        self._asked: set[str] = set()
        self._retired: set[str] = set()

    def problem(self, key: str, what: str) -> None:
        """Note that ``key`` of this section is wrong."""
        self._problems.append(f"[{self._name}] {key}: {what}" if self._name else f"[{key}]: {what}")

    def has(self, key: str) -> bool:
        """The file gives ``key`` here; it counts as known from now on."""
        self._asked.add(key)
        return key in self._data

    def gives_retired(self, key: str) -> bool:
        """The file gives ``key``, which counted in an earlier version: no problem, and not named as known."""
        self._retired.add(key)
        return key in self._data

    def finish(self) -> None:
        """Report every key that nobody asked for."""
        kind = "key" if self._name else "section"
        known = ", ".join(sorted(self._asked))
        for key in sorted(set(self._data) - self._asked - self._retired):
            self.problem(key, f"this version knows no such {kind}; known: {known}")

    def table(self, key: str) -> Section:
        """The section ``[key]``; an empty one when it is missing."""
        found = self._data.get(key, {}) if self.has(key) else {}
        if not isinstance(found, dict):
            self.problem(key, f"expected a section [{key}], found {_shown(found)}")
            found = {}
        return Section(self._below(key), found, self._base, self._problems)

    def tables(self, key: str) -> list[Section]:
        """The sections ``[[key]]`` in order. A problem calls them by their name or number."""
        found = self._data[key] if self.has(key) else []
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            self.problem(key, f"expected sections [[{key}]], found {_shown(found)}")
            return []
        return [
            Section(f"{self._below(key)} {_name_of(item, number)}", item, self._base, self._problems)
            for number, item in enumerate(found, start=1)
        ]

    def text(
        self,
        key: str,
        default: str | None = None,
        *,
        check: Callable[[str], bool] | None = None,
        shape: str = "",
    ) -> str:
        """A text, or ``default``; without a default the key must be there and not be empty."""
        if not self.has(key) and default is not None:
            return default
        found = self._value(key, str)
        if found is None:
            return default or ""
        if not found and default is None:
            self.problem(key, "must not be empty")
        elif found and check is not None and not check(found):
            self.problem(key, f"expected {shape}, found {_shown(found)}")
        return str(found)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when missing."""
        if not self.has(key):
            return ()
        found = self._value(key, list)
        if found is None or not all(isinstance(item, str) for item in found):
            if found is not None:
                self.problem(key, "expected a list of texts")
            return ()
        return tuple(found)

    def path(self, key: str, default: Path | None = None) -> Path:
        """An absolute path; a relative one is taken from the folder of the file."""
        if not self.has(key) and default is not None:
            return default
        found = self.text(key)
        return self._base / found if found else _NOWHERE

    def integer(self, key: str, default: int, least: int, most: int) -> int:
        """A whole number from ``least`` to ``most``."""
        found = self._value(key, int) if self.has(key) else None
        return default if found is None or not self._is_within(key, found, least, most) else int(found)

    def number(self, key: str, default: float, least: float, most: float) -> float:
        """A number from ``least`` to ``most``, whole or not."""
        found = self._value(key, float) if self.has(key) else None
        return default if found is None or not self._is_within(key, found, least, most) else float(found)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        found = self._value(key, bool) if self.has(key) else None
        return default if found is None else bool(found)

    def moment(self, key: str, default: datetime | None = None) -> datetime | None:
        """A time with its offset, in UTC; ``default`` when missing, None after a problem."""
        if not self.has(key):
            return default
        found = self._value(key, datetime)
        if found is None:
            return None
        if found.tzinfo is None:
            self.problem(key, "expected a time with its offset, such as 2026-07-15T09:30:00+08:00")
            return None
        return cast("datetime", found).astimezone(UTC)

    def choice(self, key: str, kind: type[_E], default: _E | None = None) -> _E | None:
        """One of the values of ``kind``; None after a problem, or when it is missing without a default."""
        if not self.has(key) and default is not None:
            return default
        found = self._value(key, str)
        if found is None:
            return default
        try:
            return kind(found)
        except ValueError:
            self.problem(key, f"expected one of {', '.join(kind)}, found {found!r}")
            return default

    def _below(self, key: str) -> str:
        return f"{self._name} {key}" if self._name else key

    def _value(self, key: str, kind: type) -> Any:
        if key not in self._data:
            self.problem(key, "is missing")
            return None
        found = self._data[key]
        fits = isinstance(found, (int, float) if kind is float else kind)
        if not fits or (kind in {int, float} and isinstance(found, bool)):
            self.problem(key, f"expected {_TYPES[kind]}, found {_shown(found)}")
            return None
        return found

    def _is_within(self, key: str, found: float, least: float, most: float) -> bool:
        if math.isfinite(found) and least <= found <= most:
            return True
        self.problem(key, f"expected {least:g} to {most:g}, found {found}")
        return False


def _name_of(item: dict[str, Any], number: int) -> str:
    return str(item.get("name") or item.get("code") or number)


def _shown(found: object) -> str:
    return "a section" if isinstance(found, dict) else repr(found)
