"""Write the examples of a kit, and ask the check about each: the verdict must be the one it was made for.

Guarantees: every example is a real drop with an ``expected.json`` beside it that says what ``packet check``
answers, and it is what the maker of the example meant: else KitVerdictError, and there is no kit. The same
catalogue gives the same bytes.

Known limits: what only a directory or the order of packets decides has no example; photographs and zips
follow the version of zlib.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from typing import Any, Final

from cli.fiction.choose import choose_parties
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import Drop, DropRequest
from cli.fiction.values import SHANGHAI
from cli.fiction.writer import DropFormat, write_drop
from cli.kit.errors import KitVerdictError
from cli.kit.faults import Good, faulty_drops
from cli.kit.forms import FORMS, Form, break_digest
from cli.packet_check import Checked, Rules, check_path
from cli.render import to_json
from packet_spec.catalogue import BusinessType
from packet_spec.findings import Outcome
from packet_spec.pack import Pack

EXPECTED: Final = "expected.json"
FORM_FOLDER: Final = "_forms"
_DIGEST: Final = "attachment-digest-differs"
_DISABLED: Final = "type-disabled"
# A video that shows that it is one: the smallest that a player plays.
_VIDEO_BYTES: Final = 0


@dataclass(frozen=True, slots=True)
class Example:
    """One written example: its folder, relative to the examples, and what the check said."""

    folder: str
    outcome: Outcome
    codes: tuple[str, ...]


class ExampleWriter:
    """Writes examples below ``top``, checked by ``pack`` and dated by its catalogue."""

    def __init__(self, top: Path, pack: Pack) -> None:
        self._top = top
        self._catalogue = pack.catalogue
        day = datetime.fromisoformat(pack.catalogue.date).date()
        self._moment = datetime.combine(day, time(9, 30), SHANGHAI)
        self._rules = Rules(None, "none", optional_sha256=False, now=self._moment, pack=pack)

    def of_type(self, row: BusinessType) -> Iterator[Example]:
        """The good example of a type and its bad ones; of a reserved type only that it is refused.

        Raises KitVerdictError when the check disagrees.
        """
        sender, receiver = choose_parties(self._catalogue, row)
        request = DropRequest(
            row.code, sender.code, receiver.code, self._moment, video_bytes=_VIDEO_BYTES, name="drop"
        )
        good = Good(self._catalogue, row, request, make_drop(request, self._catalogue))
        if not row.enabled_by_default:
            yield self._write(f"{row.code}/bad-{_DISABLED}", good.drop, Outcome.REFUSED, _DISABLED)
            return
        yield self._write(f"{row.code}/good", good.drop, Outcome.VALID)
        for code, drop in faulty_drops(good):
            yield self._write(f"{row.code}/bad-{code}", drop, Outcome.REFUSED, code)
        if good.drop.documents:
            form = Form("", Outcome.REFUSED, _DIGEST, spoil=break_digest)
            yield self._write(f"{row.code}/bad-{_DIGEST}", good.drop, form.outcome, form.code, form)

    def of_forms(self) -> Iterator[Example]:
        """The examples of the form of a drop. Raises KitVerdictError when the check disagrees."""
        for form in FORMS:
            drop = make_drop(form.request(self._catalogue, self._moment), self._catalogue)
            yield self._write(f"{FORM_FOLDER}/{form.folder}", drop, form.outcome, form.code, form)

    def _write(
        self, name: str, drop: Drop, outcome: Outcome, code: str = "", form: Form | None = None
    ) -> Example:
        folder = self._top / name
        folder.mkdir(parents=True)
        drop_format = form.drop_format if form else DropFormat.FOLDER
        encoding = form.encoding if form else DropEncoding.UTF_8
        path = write_drop(drop, folder, drop_format=drop_format, encoding=encoding)
        if form is not None and form.spoil is not None:
            form.spoil(path)
        checked = check_path(path, self._rules)
        codes = tuple(sorted({finding.code for finding in checked.findings}))
        reasons = {checked.held_because} if outcome is Outcome.HELD else set(codes)
        if checked.outcome is not outcome or reasons != ({code} if code else set()):
            raise KitVerdictError(
                "an example got another verdict than it was made for",
                where=folder.relative_to(self._top).as_posix(),
                expected=f"{outcome} {code}".strip(),
                found=f"{checked.outcome} {' '.join((*codes, checked.held_because))}".strip(),
            )
        (folder / EXPECTED).write_bytes((to_json(_expected(path.name, checked)) + "\n").encode())
        return Example(name, outcome, codes)


def _expected(name: str, checked: Checked) -> dict[str, Any]:
    """What the check says of the drop beside it; paths are those of this folder."""
    said: dict[str, Any] = json.loads(to_json(checked))
    return {**said, "path": name}
