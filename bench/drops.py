"""The drops of the bench: fictional packets of about 20 KB, as single files or as folders of three files.

No two packets belong to one case, unless all of them do. A single file holds 18,000 bytes of text for its
reason, as a report of a case does; a folder holds a packet.xml and two documents of its own.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cli.fiction.case_file import CaseFile, new_case
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop

PROCURATORATE, POLICE, COURT = "620199-03-00", "620199-01-00", "620199-04-00"
_LONE_TYPE: Final = "case.report.feedback"
_FOLDER_TYPE: Final = "case.report"
_SENTENCE: Final = "经审查，犯罪嫌疑人的行为符合立案条件，现将有关情况反馈如下。"
_LONE_BYTES: Final = 18_000


@dataclass(frozen=True, slots=True)
class Drops:
    """Drops that lie in ``folder``, under their names, whole. ``files``: relative path -> size in bytes.

    ``digests`` are the SHA-256 of their packet.xml, by which they are known again in an inbox.
    """

    folder: Path
    sender: str
    receiver: str
    names: tuple[str, ...]
    files: Mapping[str, int]
    digests: frozenset[str]

    def copy_to(self, folder: Path) -> None:
        """Copies of all, so that whoever moves them may do with them what he likes."""
        folder.mkdir(parents=True)
        for name in self.names:
            source = self.folder / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copyfile(source, folder / name)


def case_of(number: int, now: datetime) -> CaseFile:
    """A case that shares no number with another one."""
    numbers = {"police": f"A620199000000{now:%Y%m}{number % 10_000:04d}"}
    if number >= 10_000:
        numbers["procuratorate"] = f"620199{now.year}{number % 100_000:05d}00"
    return new_case(number, now.date()).with_numbers(numbers)


def lone_files(folder: Path, count: int, *, one_case: bool = False, first: int = 1) -> Drops:
    """``count`` single XML files of about 20 KB, numbered from ``first``: procuratorate to police."""
    text = {"reason_text": _SENTENCE * (_LONE_BYTES // len(_SENTENCE.encode()))}
    return _write(folder, count, PROCURATORATE, POLICE, _LONE_TYPE, text, one_case=one_case, first=first)


def folders_of_three(folder: Path, count: int, *, first: int = 1) -> Drops:
    """``count`` folders of packet.xml and two documents from the police to the procuratorate."""
    return _write(folder, count, POLICE, PROCURATORATE, _FOLDER_TYPE, {}, one_case=False, first=first)


def _write(
    folder: Path,
    count: int,
    sender: str,
    receiver: str,
    business_type: str,
    fields: Mapping[str, str],
    *,
    one_case: bool,
    first: int = 1,
) -> Drops:
    folder.mkdir(parents=True)
    now = datetime.now(UTC)
    request = DropRequest(business_type, sender, receiver, now, set_fields=fields)
    form = DropFormat.XML if business_type == _LONE_TYPE else DropFormat.FOLDER
    names: list[str] = []
    files: dict[str, int] = {}
    digests: set[str] = set()
    for number in range(first, first + count):
        name, case = f"packet-{number:05d}", case_of(1 if one_case else number, now)
        reference = f"BENCH-{number:05d}"
        drop = make_drop(replace(request, case=case, seed=number, name=name, sender_ref=reference))
        path = write_drop(drop, folder, drop_format=form)
        names.append(path.name)
        members = sorted(path.iterdir()) if path.is_dir() else [path]
        files |= {str(each.relative_to(folder)): each.stat().st_size for each in members}
        packet = path / "packet.xml" if path.is_dir() else path
        digests.add(hashlib.sha256(packet.read_bytes()).hexdigest())
    return Drops(folder, sender, receiver, tuple(names), files, frozenset(digests))
