"""The language of what operators read: English in the source, other languages in ``<name>/LC_MESSAGES``.

The catalogues are ordinary gettext files (``exchanged.po``) and are read as they are written: no compiled
form has to be built, shipped and kept in step, and reading one takes a few milliseconds, once, and only for
a reader who wants it. ``./run texts`` finds what lacks a translation (docs/translating.md).

Guarantees: a missing language, catalogue or sentence falls back to the English source. The language is that
of the environment: EXCHANGED_LOCALE, else LC_ALL, LC_MESSAGES, LANG, with LANGUAGE before these as gettext
has it. A terminal that cannot show Chinese at all gets English instead of a page of escapes.
Leaves to others: findings and notices, which always carry both languages; log lines and JSON, which
programs read and which are English everywhere.
"""

from __future__ import annotations

import gettext
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from cli.locale.templates import PLACE, Sentence, Templates, fill

DOMAIN: Final = "exchanged"
FOLDER: Final = Path(__file__).parent
CHINESE: Final = "zh_CN"
ENGLISH: Final = "en"

_LANGUAGES: Final = {"zh": CHINESE}
_CHINESE_SAMPLE: Final = "中文"
# One line of an entry: a keyword with its text, or more text of the keyword before it.
_LINE: Final = re.compile(r'(?:(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?)\s+)?"(.*)"\s*')
_ESCAPED: Final = re.compile(r"\\(.)")
_ESCAPES: Final = {"n": "\n", "t": "\t", "b": "\b", "r": "\r"}
# What stands between the parts of an error that is told in one line.
_JOINT: Final = "; "
_EXPECTED: Final = re.compile(r"expected: (.*?), found: (.*)", re.DOTALL)
_LONGEST: Final = 1000
_NAME: Final = re.compile(r"[\w.+-]+")


class _Reader:
    """Who reads what is said now. One command is one reader, so threads of a command share it."""

    is_program = False


class Catalogue(gettext.NullTranslations):
    """The sentences of one language, read from the text of a .po file."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sentences: dict[Sentence, str] = dict(_entries(text))

    def gettext(self, message: str) -> str:
        """The sentence in this language, or itself."""
        return self.sentences.get(Sentence("", message)) or message

    def pgettext(self, context: str, message: str) -> str:
        """The sentence in this language and context, or itself."""
        return self.sentences.get(Sentence(context, message)) or message

    def told(self, text: str, context: str) -> str:
        """A text that was made at run time, by the sentence or template that it was made of.

        An overlong one is from outside, and stays as it is: it could fit in very many ways.
        """
        if len(text) > _LONGEST:
            return text
        if context != "error":
            return self._sentence(text, context) or self.pgettext("system", text)
        place = PLACE.match(text)
        before = "" if place is None else place[0]
        text = text[len(before) :]
        name, colon, rest = text.partition(": ")
        if said := self._line_or_sentence(text):
            return before + said
        # Behind the reference of an error or the name of a file: "digest-mismatch: a part is not ..."
        if colon and _NAME.fullmatch(name) and (said := self._line_or_sentence(rest)):
            return f"{before}{name}: {said}"
        return before + text

    def _line_or_sentence(self, text: str) -> str:
        # A template that ends with a hole would take the rest of a line for its value, so lines go first.
        line = self._one_line(text) if _JOINT in text else ""
        return line or self._sentence(text, "error")

    def _sentence(self, text: str, context: str) -> str:
        """The translation of a sentence or of what a template made; empty for any other text."""
        known = self.sentences.get(Sentence(context, text), "")
        templates = self._templates.get(context)
        found = templates.find(text) if templates is not None and not known else None
        return known if found is None else fill(found[0].target, found[1], self._held)

    def _one_line(self, text: str) -> str:
        """An error in its short form: ``summary; where: X; expected: Y, found: Z; hint``.

        Empty when it begins with no sentence of ours, or is one whole.
        """
        if Sentence("error", text) in self.sentences:
            return ""
        pieces = text.split(_JOINT)
        for number in range(1, len(pieces)):
            said = self._sentence(_JOINT.join(pieces[:number]), "error")
            if said:
                return "；".join([said, *self._details(pieces[number:])])
        return ""

    def _details(self, pieces: list[str]) -> Iterator[str]:
        hint: list[str] = []
        for piece in pieces:
            found = _EXPECTED.fullmatch(piece)
            if piece.startswith("where: "):
                yield f"{self.gettext('where')}：{self.told(piece.removeprefix('where: '), 'value')}"
            elif found is not None:
                expected, value = (self.told(part, "value") for part in found.groups())
                yield f"{self.gettext('expected')}：{expected}，{self.gettext('found')}：{value}"
            else:
                hint.append(piece)
        if hint:
            yield self.told(_JOINT.join(hint), "error")

    @cached_property
    def _templates(self) -> dict[str, Templates]:
        pairs: dict[str, list[tuple[str, str]]] = {}
        for sentence, target in self.sentences.items():
            if sentence.context and target:
                pairs.setdefault(sentence.context, []).append((sentence.text, target))
        return {context: Templates(found) for context, found in pairs.items()}

    def _held(self, hole: str, value: str) -> str:
        """What stands in a hole: words of ours, of the system, another error, or data."""
        kind = hole.partition("_")[0]
        if kind in {"word", "error"}:
            return self.told(value, kind)
        return self.pgettext("system", value) if kind == "system" else value


def _(message: str) -> str:
    """``message`` in the operator's language; English where there is no translation."""
    wanted = language()
    return message if wanted == ENGLISH or not message else _catalogue(wanted).gettext(message)


def translated(context: str, message: str) -> str:
    """``message`` in the operator's language, where equal texts are told apart by ``context``."""
    wanted = language()
    return message if wanted == ENGLISH or not message else _catalogue(wanted).pgettext(context, message)


def told(text: str, context: str = "error") -> str:
    """A run-time text of an error (or of a value, a word) in the operator's language.

    ``text`` was made from an English sentence, perhaps with values in it; the values stay. A text that was
    made of no sentence of ours stays as it is.
    """
    wanted = language()
    return text if wanted == ENGLISH or not text else _catalogue(wanted).told(text, context)


@contextmanager
def in_english() -> Iterator[None]:
    """What is said in the block is for programs: English, whatever the operator's language."""
    before, _Reader.is_program = _Reader.is_program, True
    try:
        yield
    finally:
        _Reader.is_program = before


def language() -> str:
    """The language in use: ``zh_CN`` or ``en``."""
    if _Reader.is_program:
        return ENGLISH
    own = os.environ.get("EXCHANGED_LOCALE", "")
    locale = next(filter(None, (os.environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    wished = os.environ.get("LANGUAGE", "")
    # As gettext has it: LANGUAGE is a list of wishes, and counts unless the locale is plain C.
    if wished and re.split(r"[.@]", locale)[0] not in {"C", "POSIX"}:
        locale = next((one for one in wished.split(":") if _named(one) in {*_LANGUAGES, ENGLISH}), locale)
    wanted = _LANGUAGES.get(_named(own or locale), ENGLISH)
    return wanted if wanted == ENGLISH or _shows_chinese() else ENGLISH


def _named(locale: str) -> str:
    return re.split(r"[_.@-]", locale)[0].lower()


def _shows_chinese() -> bool:
    """The terminal's encoding has the characters; without a stream the question does not arise."""
    return _encodes(getattr(sys.stdout, "encoding", None) or "utf-8")


@cache
def _encodes(encoding: str) -> bool:
    try:
        _CHINESE_SAMPLE.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


@cache
def _catalogue(name: str) -> Catalogue:
    path = FOLDER / name / "LC_MESSAGES" / f"{DOMAIN}.po"
    return Catalogue(path.read_text(encoding="utf-8") if path.is_file() else "")


def _entries(text: str) -> Iterator[tuple[Sentence, str]]:
    """Each entry of a .po file; of plural forms the first, which is the only one in Chinese."""
    entry: dict[str, str] = {}
    keyword = ""
    for line in text.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        if found[1]:
            keyword = found[1]
            if keyword == "msgctxt" or (keyword == "msgid" and "msgstr" in entry):
                yield from _entry(entry)
                entry = {}
            keyword = "msgstr" if keyword == "msgstr[0]" else keyword
            entry[keyword] = ""
        quoted = found[2]
        entry[keyword] += _ESCAPED.sub(_unescaped, quoted) if "\\" in quoted else quoted
    yield from _entry(entry)


def _unescaped(escape: re.Match[str]) -> str:
    return _ESCAPES.get(escape[1], escape[1])


def _entry(entry: dict[str, str]) -> Iterator[tuple[Sentence, str]]:
    if entry.get("msgid"):
        yield Sentence(entry.get("msgctxt", ""), entry["msgid"]), entry.get("msgstr", "")
