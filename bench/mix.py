"""Packets of many agencies in the mix that Guizhou published: 170,593 in two years, by business type.

One drop is rendered for each type and pair of agencies; the others are copies of it with a reference and case
numbers of their own, so that no two belong to one case. The published mix names ten flows; what is left of
the total travels as shared information. All of it is fictional.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli.fiction.agencies import LabAgency
from cli.fiction.case_file import new_case
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop

TOTAL: Final = 170_593
# Business type: how many in two years, kind of the sender, kind of the receiver, level of the receiver.
PUBLISHED: Final[Mapping[str, tuple[int, str, str, str]]] = {
    "arrest.request": (17_119, "police", "procuratorate", "county"),
    "prosecution.transfer": (20_813, "police", "procuratorate", "county"),
    "trial.indict": (38_329, "procuratorate", "court", "county"),
    "appeal.transfer": (1_326, "court", "court", "city"),
    "custody.change": (47_222, "procuratorate", "detention", "county"),
    "commute.request": (16_752, "detention", "court", "city"),
    "assess.commission": (1_465, "court", "correction", "county"),
    "opinion.solicit": (19_694, "detention", "procuratorate", "county"),
    "execution.deliver": (6_906, "court", "detention", "county"),
    "release.notice": (66, "detention", "justice", "county"),
    "info.share": (901, "police", "procuratorate", "county"),
}
_REFERENCE: Final = "BENCH-TEMPLATE"
_POLICE, _PROCURATORATE = "A6201990000002020010001", "62019920200000001"
_COURT: Final = "（2020）甘0199刑初900001号"
_COURT_TEXT: Final = re.compile(rb"\d{4}(.{0,16}\xe5\x88\x91\xe5\x88\x9d)900001")
_SEED: Final = 20_260_715


@dataclass(frozen=True, slots=True)
class Letter:
    """A drop that lies in ``path`` and is known by its ``reference``, which is its name as well."""

    reference: str
    business_type: str
    sender: str
    receiver: str
    path: Path


class Mix:
    """Draws packets among ``agencies``, always the same ones; ``folder`` takes the templates.

    Those that a call which was broken off left there are removed: no drop is written in the place of another.
    """

    def __init__(self, folder: Path, agencies: Sequence[LabAgency]) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self._folder = folder
        self._pairs = {name: _pairs(agencies, *row[1:]) for name, row in PUBLISHED.items()}
        possible = [name for name in PUBLISHED if self._pairs[name]]
        if not possible:
            raise ValueError("no two of these agencies write to each other")
        self._names = possible
        self._weights = [PUBLISHED[name][0] for name in possible]
        self._templates: dict[tuple[str, str, str], Path] = {}
        self._draw = random.Random(_SEED)  # noqa: S311 - a mix, no secret

    def write(self, number: int, folder: Path) -> Letter:
        """The next drop, of that number, in ``folder``; numbers are used once, up to a million."""
        letter = self.draw(number, folder)
        self.render(number, letter)
        return letter

    def draw(self, number: int, folder: Path) -> Letter:
        """What the next drop will be; nothing is written yet."""
        business_type = self._draw.choices(self._names, self._weights)[0]
        sender, receiver = self._draw.choice(self._pairs[business_type])
        reference = f"bench-{number:07d}"
        return Letter(reference, business_type, sender, receiver, folder / reference)

    def render(self, number: int, letter: Letter) -> None:
        """Write the drop to its path, in the place of what may lie there."""
        template = self._template(letter.business_type, letter.sender, letter.receiver)
        shutil.rmtree(letter.path, ignore_errors=True)
        shutil.copytree(template, letter.path, copy_function=shutil.copyfile)
        packet = letter.path / "packet.xml"
        packet.write_bytes(_numbered(packet.read_bytes(), number, letter.reference))

    def _template(self, business_type: str, sender: str, receiver: str) -> Path:
        key = business_type, sender, receiver
        if key not in self._templates:
            now = datetime.now(UTC)
            numbers = {"police": _POLICE, "procuratorate": _PROCURATORATE, "court": _COURT}
            case = new_case(len(self._templates) + 1, now.date()).with_numbers(numbers)
            request = DropRequest(
                business_type, sender, receiver, now, case=case, sender_ref=_REFERENCE, name="-".join(key)
            )
            self._folder.mkdir(parents=True, exist_ok=True)
            self._templates[key] = write_drop(make_drop(request), self._folder)
        return self._templates[key]


def _numbered(data: bytes, number: int, reference: str) -> bytes:
    """The packet with numbers that no other has: police numbers hold 10,000 a month."""
    months, rest = divmod(number, 10_000)
    year, month = 2010 + months // 12, months % 12 + 1
    data = data.replace(_REFERENCE.encode(), reference.encode())
    data = data.replace(_POLICE.encode(), f"A620199000000{year}{month:02d}{rest:04d}".encode())
    data = data.replace(_PROCURATORATE.encode(), f"6201992020{number:07d}".encode())
    return _COURT_TEXT.sub(b"2020\\g<1>%d" % (number + 1), data)


def _pairs(agencies: Sequence[LabAgency], sender: str, receiver: str, level: str) -> list[tuple[str, str]]:
    """Who writes to whom: within a county, or to the one organ above."""
    senders = [each for each in agencies if each.kind == sender and each.level == "county"]
    receivers = [each for each in agencies if each.kind == receiver and each.level == level]
    return [
        (one.code, other.code)
        for one in senders
        for other in receivers
        if level != "county" or one.division == other.division
    ]
