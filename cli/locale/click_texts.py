"""The command-line library's own texts in the operator's language: usage errors, prompts, headings.

The library asks gettext for its sentences, which would want a compiled catalogue of the whole system; here
it is made to ask ours. Guarantees: in English nothing is touched.
"""

from __future__ import annotations

from types import ModuleType
from typing import Final

from click import core, decorators, exceptions, formatting, parser, termui, types, utils

from cli.locale import ENGLISH, language, translated

CONTEXT: Final = "click"
MODULES: Final[tuple[ModuleType, ...]] = (
    core, decorators, exceptions, formatting, parser, termui, types, utils,
)


def translate_click() -> None:
    """Let the library's sentences come from our catalogue; may be called again."""
    if language() != ENGLISH:
        for module in MODULES:
            for name, function in (("_", _one), ("ngettext", _some)):
                if hasattr(module, name):
                    setattr(module, name, function)


def _one(message: str) -> str:
    return translated(CONTEXT, message)


def _some(one: str, several: str, count: int) -> str:
    """Chinese has one form for all numbers; the catalogue knows it by the English singular."""
    said = translated(CONTEXT, one)
    return said if said != one else (one if count == 1 else several)
