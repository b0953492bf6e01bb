"""Whether the libraries that this program needs are here, and new enough, before anything uses them.

Guarantees: what is asked for is what the installed package says itself, floor and ceiling; each library
that is missing or outside is named with both versions. Nothing is imported to find out. A program that runs
from a checkout without metadata is not judged. Leaves to others: installing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from exchanged.errors import DependencyError

_DISTRIBUTION: Final = "exchanged"
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_BOUND: Final = re.compile(r"(>=|<)\s*(\d+(?:\.\d+)*)")


def require_libraries() -> None:
    """Raises DependencyError naming every library that is missing, too old or too new."""
    try:
        wanted = requires(_DISTRIBUTION) or []
    except PackageNotFoundError:
        return
    if found := tuple(unfit(wanted, version)):
        names, asked, there = zip(*found, strict=True)
        raise DependencyError(
            "a library that this program needs is missing or of the wrong version",
            where=", ".join(names),
            expected=", ".join(asked),
            found=", ".join(there),
        )


def unfit(wanted: Iterable[str], version_of: Callable[[str], str]) -> Iterator[tuple[str, str, str]]:
    """Name, what is asked for, and the version that is there, of each library that does not fit.

    ``wanted`` are requirements as in metadata; those of extras are passed over. ``version_of`` raises
    PackageNotFoundError.
    """
    for line in wanted:
        requirement, _, condition = line.partition(";")
        name = _NAME.match(requirement.strip())
        if name is None or "extra" in condition:
            continue
        asked = requirement.strip()[name.end() :].strip(" ()")
        try:
            there = version_of(name[0])
        except PackageNotFoundError:
            yield name[0], asked, "none"
            continue
        if not all(_holds(there, sign, bound) for sign, bound in _BOUND.findall(asked)):
            yield name[0], asked, there


def _holds(there: str, sign: str, bound: str) -> bool:
    found, limit = _numbers(there), _numbers(bound)
    length = max(len(found), len(limit))
    found, limit = (each + (0,) * (length - len(each)) for each in (found, limit))
    return found >= limit if sign == ">=" else found < limit


def _numbers(text: str) -> tuple[int, ...]:
    """The release of a version: ``5.0.7rc1`` counts as 5.0.7."""
    numbers = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
