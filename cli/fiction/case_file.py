"""What case software remembers of a case between two packets: its numbers, its persons, its name.

The file is small JSON in UTF-8, so that a person can read and change it. Guarantees that what is read
has the right shape; whether the facts make a valid packet is the packet check's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from cli.documents.context import MARK
from cli.fiction.people import DIVISION, fictional_person, police_case_number
from cli.frame import InputFileError
from exchanged.errors import ForeignVolumeError

_FORMAT: Final = "exchanged-case-1"
# Kinds of case with the offence that goes into documents: kind -> (article as cause code, name).
_CAUSES: Final[Mapping[str, tuple[str, str]]] = {
    "dangerous_driving": ("133-1", "危险驾驶"),
    "traffic_casualty": ("133", "交通肇事"),
    "intentional_injury": ("234", "故意伤害"),
    "theft": ("264", "盗窃"),
}
DEFAULT_CASE_KIND: Final = "dangerous_driving"


class CaseFileError(InputFileError):
    """The case file is not what ``packet new`` writes: not JSON, or another shape."""

    reference = "case-file-unusable"
    hint = "give another --case file, or remove this one: it is made anew"


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case: ``numbers`` by kind (police, procuratorate, court), ``persons`` and ``facts`` by field code.

    The first person is the accused; ``facts`` are packet-scoped fields that stay the same.
    """

    seed: int
    case_kind: str
    numbers: Mapping[str, str] = field(default_factory=dict)
    persons: tuple[Mapping[str, str], ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The case name (案件名称)."""
        return self.facts.get("case_name", "虚构案件")

    def with_numbers(self, numbers: Mapping[str, str]) -> CaseFile:
        """The case knowing these numbers too; a new number of a kind replaces the old one."""
        return replace(self, numbers={**self.numbers, **numbers})


def new_case(
    seed: int, today: date, *, case_kind: str = DEFAULT_CASE_KIND, division: str = DIVISION
) -> CaseFile:
    """A case of one person that the police have just filed. The same arguments give the same case."""
    person = fictional_person(seed, 1, today)
    cause_code, cause_name = _CAUSES.get(case_kind, ("000", "虚构案由"))
    facts = {
        "case_name": f"{person['person_name']}涉嫌{cause_name}案（虚构）",
        "cause_code": cause_code,
        "cause_name": cause_name,
    }
    numbers = {"police": police_case_number(seed, division, today)}
    return CaseFile(seed, case_kind, numbers, (person,), facts)


def read_case_file(path: Path) -> CaseFile:
    """The case in ``path``. Raises CaseFileError for another shape, ForeignVolumeError if unreadable."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise ForeignVolumeError("the case file cannot be read", where=path.name) from error
    except ValueError as error:
        raise CaseFileError("the case file is not JSON", where=path.name) from error
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise CaseFileError("the case file has another format", where=path.name, expected=_FORMAT)
    persons = data.get("persons")
    seed, kind = data.get("seed"), data.get("caseKind")
    if not (isinstance(persons, list) and persons and isinstance(seed, int) and isinstance(kind, str)):
        raise CaseFileError("the case file lacks its seed, kind or persons", where=path.name)
    return CaseFile(
        seed=seed,
        case_kind=kind,
        numbers=_texts(data.get("numbers"), path),
        persons=tuple(_texts(person, path) for person in persons),
        facts=_texts(data.get("facts"), path),
    )


def write_case_file(path: Path, case: CaseFile) -> None:
    """Put ``case`` into ``path``, whole or not at all. Raises ForeignVolumeError when the disk refuses."""
    data = {
        "format": _FORMAT,
        "note": MARK,
        "seed": case.seed,
        "caseKind": case.case_kind,
        "numbers": dict(case.numbers),
        "persons": [dict(person) for person in case.persons],
        "facts": dict(case.facts),
    }
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_text(json.dumps(data, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ForeignVolumeError("the case file cannot be written", where=path.name) from error


def _texts(value: Any, path: Path) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise CaseFileError(
            "the case file holds something that is not text",
            where=path.name,
            expected="names and texts",
            found=type(value).__name__,
        )
    return value
