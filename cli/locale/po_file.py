"""Writing the .po file of a language: in one order, with what is not translated yet left empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cli.locale.templates import Sentence, holes

_HEADER: Final = """\
# Texts of exchanged and exchangectl. How to change them: docs/translating.md
msgid ""
msgstr ""
"Project-Id-Version: exchanged\\n"
"PO-Revision-Date: 2026-11-28 00:00+0800\\n"
"Last-Translator: the exchanged project\\n"
"Language-Team: the exchanged project\\n"
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: nplurals=1; plural=0;\\n"
"""
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t"})


def po_text(language: str, said: Mapping[Sentence, str], plurals: Mapping[str, str]) -> str:
    """The file for ``said``: sentence -> translation, empty where there is none.

    ``plurals`` gives the English plural of the library's counting sentences; Chinese has one form.
    """
    ordered = sorted(said, key=lambda sentence: (sentence.context, sentence.text.lower(), sentence.text))
    return "\n".join(
        [_HEADER.format(language=language), *(_entry(one, said[one], plurals) for one in ordered)]
    )


def _entry(sentence: Sentence, target: str, plurals: Mapping[str, str]) -> str:
    lines = []
    if holes(sentence.text):
        lines.append("#, python-brace-format")
    if sentence.context:
        lines.append(f"msgctxt {_quoted(sentence.context)}")
    lines.append(f"msgid {_quoted(sentence.text)}")
    if sentence.context == "click" and sentence.text in plurals:
        lines.append(f"msgid_plural {_quoted(plurals[sentence.text])}")
        lines.append(f"msgstr[0] {_quoted(target)}")
    else:
        lines.append(f"msgstr {_quoted(target)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A quoted string; a text of several lines has one string for each, after an empty one."""
    lines = text.translate(_ESCAPES).replace("\n", "\\n\n").splitlines()
    return f'"{"".join(lines)}"' if len(lines) < 2 else '""\n' + "\n".join(f'"{line}"' for line in lines)
