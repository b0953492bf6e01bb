r"""A catalogue pattern in Python syntax as a pattern of XML Schema, matching the same texts.

XSD 1.0 anchors every pattern by itself, knows no named or non-capturing groups, no ``\u`` escapes and
no lazy quantifiers, and its ``\d`` takes the digits of every script. What has no translation raises;
nothing is translated roughly.
"""

from __future__ import annotations

import re
from typing import Final

from packet_spec.errors import CatalogueError

_TOKEN: Final = re.compile(
    r"""(?P<named>\(\?P<\w+>) | (?P<plain>\(\?:) | (?P<other>\(\?) | (?P<unicode>\\u[0-9a-fA-F]{4})
      | (?P<digit>\\d) | (?P<escape>\\[\\.()\[\]{}*+?|^$-]) | (?P<unknown>\\.) | (?P<lazy>[*+?}][?+])
      | (?P<open>\[\^?) | (?P<close>\]) | (?P<anchor>[\^$]) | (?P<dot>\.) | (?P<char>.)""",
    re.VERBOSE | re.DOTALL,
)


def xsd_pattern(python: str) -> str:
    """The XSD pattern for the anchored Python pattern ``python`` (``^...$``, ASCII digits).

    Raises CatalogueError for a pattern that is not anchored at both ends, or that uses a construct XSD
    cannot say or says otherwise (look-around, back-references, lazy quantifiers, the dot, other classes).
    """
    if not (python.startswith("^") and python.endswith("$") and not python.endswith("\\$")):
        raise CatalogueError("a pattern must be anchored at both ends", found=python)
    inside_class = False
    written: list[str] = []
    for token in _TOKEN.finditer(python[1:-1]):
        kind, text = token.lastgroup, token.group()
        misplaced = {"open"} if inside_class else {"anchor", "dot", "close"}
        if kind in misplaced or kind in {"other", "unknown", "lazy"}:
            raise CatalogueError("a pattern uses a construct that XSD cannot say", found=text)
        if kind in {"named", "plain"}:
            written.append("(")
        elif kind == "unicode":
            written.append(_literal(chr(int(text[2:], 16)), inside_class=inside_class))
        elif kind == "digit":
            written.append("0-9" if inside_class else "[0-9]")
        else:
            if kind in {"open", "close"}:
                inside_class = kind == "open"
            written.append(text)
    return "".join(written)


def _literal(character: str, *, inside_class: bool) -> str:
    special = "\\[]^-" if inside_class else "\\.()[]{}*+?|^$"
    return "\\" + character if character in special else character
