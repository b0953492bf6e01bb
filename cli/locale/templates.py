"""Sentences with holes, found again in the texts that were made of them.

Guarantees: of several templates that fit a text, the one with the most literal text is taken; a text that
nothing fits is left as it is. Values are copied, never looked up, unless the name of their hole says that
it holds words (``cli.locale.sources``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

# Where a problem of a configuration or plan lies: "[link north] host: ", "[folders]: ", "--agencies: ".
PLACE: Final = re.compile(r"^(?:\[{1,2}[^\]]*\]{1,2}[^:]{0,80}|--[a-z-]+): ")
_NUMBER: Final = r"[-+]?[0-9][0-9.e+-]*"
_HOLE: Final = re.compile(r"\{(\w+)\}")


class Sentence(NamedTuple):
    """One thing to translate: the context that tells equal texts apart, and the English text."""

    context: str
    text: str


@dataclass(frozen=True)
class Template:
    """An English sentence with holes, and its translation with the same holes."""

    source: str
    target: str

    @cached_property
    def literal(self) -> str:
        """What stands between the holes."""
        return _HOLE.sub("", self.source)

    @cached_property
    def beginning(self) -> str:
        """The literal text before the first hole."""
        return _HOLE.split(self.source, maxsplit=1)[0]

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What a text made of this template looks like."""
        parts = _HOLE.split(self.source)
        made = [
            f"(?P<{part}>{_NUMBER if part.startswith('number') else '.*?'})" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        ]
        return re.compile("".join(made), re.DOTALL)

    def match(self, text: str) -> Mapping[str, str] | None:
        """The values in the holes, or None when ``text`` was not made of this template."""
        if not text.startswith(self.beginning):
            return None
        found = self.pattern.fullmatch(text)
        return None if found is None else found.groupdict()


class Templates:
    """The templates of one context, those with the most literal text first."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        made = (Template(source, target) for source, target in pairs if holes(source))
        self._templates = sorted(made, key=lambda template: (-len(template.literal), template.source))

    def find(self, text: str) -> tuple[Template, Mapping[str, str]] | None:
        """The first template that fits, with the values in its holes."""
        for template in self._templates:
            values = template.match(text)
            if values is not None:
                return template, values
        return None

    def fitting(self, text: str) -> list[Template]:
        """Every template that fits with as much literal text as the first."""
        fits = [template for template in self._templates if template.match(text) is not None]
        return [template for template in fits if len(template.literal) == len(fits[0].literal)]


def holes(text: str) -> tuple[str, ...]:
    """The names in braces, in their order."""
    return tuple(_HOLE.findall(text))


def fill(target: str, values: Mapping[str, str], translate: Callable[[str, str], str]) -> str:
    """``target`` with its holes filled; ``translate`` is given each hole's name and value."""
    return _HOLE.sub(lambda hole: translate(hole[1], values[hole[1]]), target)
