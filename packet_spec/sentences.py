"""What a finding says to a clerk: one plain sentence in Chinese and in English for every code.

Guarantees: a finding is made here and nowhere else, so every code has a severity and both sentences; a
field or document is named as the catalogue names it. Pure.

Leaves to others: the codes of the format itself (``sentences_format``) and of the body (``schema``),
rules (``rules``) and order (``sequence``) that use them. Known limit: fields have no English names in the
catalogue; English sentences use their codes.

A template may use ``{element}``, ``{element_zh}``, ``{element_en}``, ``{document}``, ``{document_zh}``,
``{document_en}``, ``{expected}``, ``{found}``, ``{file}`` and ``{line}``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from packet_spec.catalogue import Catalogue, load_catalogue
from packet_spec.envelope_fields import ENVELOPE_FIELDS
from packet_spec.errors import CatalogueError
from packet_spec.findings import Finding, Severity
from packet_spec.sentences_documents import SENTENCES as DOCUMENT_SENTENCES
from packet_spec.sentences_encryption import SENTENCES as ENCRYPTION_SENTENCES
from packet_spec.sentences_engine import SENTENCES as ENGINE_SENTENCES
from packet_spec.sentences_format import SENTENCES as FORMAT_SENTENCES
from packet_spec.sentences_frontend import SENTENCES as FRONTEND_SENTENCES
from packet_spec.sentences_intake import SENTENCES as INTAKE_SENTENCES
from packet_spec.sentences_pack import SENTENCES as PACK_SENTENCES
from packet_spec.sentences_rules import SENTENCES as RULE_SENTENCES

_TABLES: Final = (
    FORMAT_SENTENCES,
    RULE_SENTENCES,
    FRONTEND_SENTENCES,
    INTAKE_SENTENCES,
    DOCUMENT_SENTENCES,
    ENGINE_SENTENCES,
    ENCRYPTION_SENTENCES,
    PACK_SENTENCES,
)

# A value at fault is shown, but never at such a length that it becomes case data.
_SHOWN_CHARACTERS: Final = 80
_PERSON: Final = re.compile(r"persons/person\[(\d+)\]")
_ENVELOPE_PATHS: Final[Mapping[str, str]] = {field.path: code for code, field in ENVELOPE_FIELDS.items()}


@lru_cache(maxsize=1)
def all_codes() -> Mapping[str, tuple[Severity, str, str]]:
    """Every finding code -> (severity unless a rule says otherwise, Chinese template, English template).

    Raises CatalogueError when a code has two sentences.
    """
    merged: dict[str, tuple[Severity, str, str]] = {}
    for table in _TABLES:
        twice = merged.keys() & table.keys()
        if twice:
            raise CatalogueError("a finding code has two sentences", found=", ".join(sorted(twice)))
        merged.update(table)
    return MappingProxyType(merged)


def make_finding(
    code: str,
    *,
    severity: Severity | None = None,
    file: str = "",
    line: int | None = None,
    element: str = "",
    document: str = "",
    expected: str = "",
    found: str = "",
) -> Finding:
    """The finding of that code, with its sentences filled in.

    ``element`` is a field code or a path (``persons/person[2]/id_no`` below the body's element,
    ``envelope/...`` for the envelope); ``document`` a document type code. ``found`` is cut to 80
    characters. Raises CatalogueError for a code that has no sentence.
    """
    shown = found if len(found) <= _SHOWN_CHARACTERS else found[: _SHOWN_CHARACTERS - 1] + "…"
    try:
        usual = all_codes()[code][0]
    except KeyError:
        raise CatalogueError("a finding code has no sentence", found=code) from None
    bare = Finding(
        code=code,
        severity=usual if severity is None else severity,
        zh="",
        en="",
        file=file,
        line=line,
        element=element,
        document=document,
        expected=expected,
        found=shown,
    )
    return _worded(bare, load_catalogue())


def reworded(findings: Iterable[Finding], catalogue: Catalogue) -> tuple[Finding, ...]:
    """The findings with fields and documents named as ``catalogue`` names them: it may have its own."""
    if catalogue is load_catalogue():
        return tuple(findings)
    return tuple(_worded(finding, catalogue) for finding in findings)


def _worded(finding: Finding, catalogue: Catalogue) -> Finding:
    _, zh, en = all_codes()[finding.code]
    words = _Words(
        catalogue,
        element=finding.element,
        document=finding.document,
        expected=finding.expected,
        found=finding.found,
        file=finding.file,
        line="" if finding.line is None else str(finding.line),
    )
    return replace(finding, zh=zh.format_map(words), en=en.format_map(words))


def document_label_zh(code: str, catalogue: Catalogue) -> str:
    """``认罪认罚具结书（PRO-017）``; the code alone where the catalogue does not know it."""
    row = catalogue.document_types.get(code)
    return code if row is None else f"{row.zh}（{code}）"


def document_label_en(code: str, catalogue: Catalogue) -> str:
    """``PRO-017 (English name)``; the code alone where the catalogue does not know it."""
    row = catalogue.document_types.get(code)
    return code if row is None else f"{code} ({row.en})"


def element_label_zh(element: str, catalogue: Catalogue) -> str:
    """``第2人的证件号码（id_no）``; the path itself where it names no field of the catalogue."""
    code = _field_of(element, catalogue)
    if not code:
        return element
    person = _PERSON.match(element)
    owner = f"第{person.group(1)}人的" if person else ""
    return f"{owner}{catalogue.fields[code].zh}（{code}）"


def element_label_en(element: str, catalogue: Catalogue) -> str:
    """``id_no of person 2``; the path itself where it names no field of the catalogue."""
    code = _field_of(element, catalogue)
    if not code:
        return element
    person = _PERSON.match(element)
    return f"{code} of person {person.group(1)}" if person else code


def _field_of(element: str, catalogue: Catalogue) -> str:
    if element in _ENVELOPE_PATHS:
        return _ENVELOPE_PATHS[element]
    if not element or element.startswith("envelope/"):
        return ""
    names = [re.sub(r"\[\d+\]$", "", name) for name in element.split("/")]
    return next((name for name in reversed(names) if name in catalogue.fields), "")


class _Words(dict[str, str]):
    """The words of a template; names in both languages are looked up only where a template asks."""

    def __init__(self, catalogue: Catalogue, **words: str) -> None:
        super().__init__(words)
        self._catalogue = catalogue

    def __missing__(self, key: str) -> str:
        look_up = {
            "element_zh": (element_label_zh, "element"),
            "element_en": (element_label_en, "element"),
            "document_zh": (document_label_zh, "document"),
            "document_en": (document_label_en, "document"),
        }
        function, source = look_up[key]
        return function(self[source], self._catalogue)
