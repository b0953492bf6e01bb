"""The language of what operators read: English in the source, other languages in ``<name>/exchangectl.po``.

Guarantees: a missing language, catalogue or sentence falls back to the English source; catalogues are
read as they are written, without a compiled form beside them. The language is that of the environment:
EXCHANGED_LOCALE, else the usual LANGUAGE, LC_ALL, LC_MESSAGES, LANG.
Leaves to others: findings and notices, which always carry both languages.
"""

from __future__ import annotations

import ast
import gettext
import os
import re
from functools import cache
from importlib.resources import files
from typing import Final

_VARIABLES: Final = ("EXCHANGED_LOCALE", "LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
_LANGUAGES: Final = {"zh": "zh_CN"}
# An entry is msgid and msgstr, each one or more quoted strings on lines of their own.
_STRINGS: Final = r'((?:"(?:[^"\\]|\\.)*"\s*)+)'
_ENTRY: Final = re.compile(rf"^msgid\s+{_STRINGS}msgstr\s+{_STRINGS}", re.MULTILINE)


class Catalogue(gettext.NullTranslations):
    """The sentences of one language, read from the text of a .po file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        pairs = ((_joined(entry[1]), _joined(entry[2])) for entry in _ENTRY.finditer(text))
        self._sentences = {source: target for source, target in pairs if source and target}

    def gettext(self, message: str) -> str:
        """The sentence in this language, or itself."""
        return self._sentences.get(message, message)


def _(message: str) -> str:
    """``message`` in the operator's language; English where there is no translation."""
    return _catalogue(language()).gettext(message) if message else message


def language() -> str:
    """The language in use: ``zh_CN`` or ``en``."""
    for variable in _VARIABLES:
        wanted = os.environ.get(variable, "")
        if wanted:
            return _LANGUAGES.get(re.split(r"[_.@:-]", wanted)[0].lower(), "en")
    return "en"


@cache
def _catalogue(name: str) -> gettext.NullTranslations:
    resource = files(__name__) / name / "exchangectl.po"
    if not resource.is_file():
        return gettext.NullTranslations()
    return Catalogue(resource.read_text(encoding="utf-8"))


def _joined(quoted: str) -> str:
    return "".join(ast.literal_eval(part) for part in re.findall(r'"(?:[^"\\]|\\.)*"', quoted))
