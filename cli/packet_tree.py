"""Find every drop below a folder and check one after the other; no verdict is kept.

Guarantees: every folder with a packet.xml, every .zip, every .packet and every lone .xml whose root element
is ``packet`` or ``disposition`` gets exactly one verdict, in the order of their names; what is inside a drop
is no drop of its own. Hidden, temporary and litter names are passed over as at intake, symbolic links are
never followed, and nothing but plain files is opened. What cannot be read is held and does not stop the
others. Portable: the standard library alone.

Leaves to others: the verdict on one drop (``packet_check``), and what is printed. Known limit: an inbox
holds what the daemon wrote beside the attachments, which a sender's drop may not have.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cli.drop_reader import PACKET_XML, is_findings_name, is_litter, is_temporary_name
from cli.frame import InputFileError
from cli.locale import _
from cli.packet_check import INCOMPLETE, Checked, Rules, check_path
from cli.render import table
from packet_spec.findings import Outcome

_ALWAYS: Final = (".zip", ".packet")
_XML: Final = ".xml"
_REPARSE_POINT: Final = 0x0400
# Enough for a declaration, comments and the name of the root element.
_HEAD_BYTES: Final = 64 * 1024
# No trail byte of GBK or GB18030 is one of these signs, so the bytes can be read as they are.
_BEFORE_ROOT: Final = ((b"<?", b"?>"), (b"<!--", b"-->"))
_ROOT: Final = re.compile(rb"<(?:[^\s<>/:!?]+:)?([^\s<>/:!?]+)")
_MARKS: Final = (b"\xef\xbb\xbf", b"\x84\x31\x95\x33")
_DROP_ROOTS: Final = frozenset({b"packet", b"disposition"})
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(slots=True)
class Tally:
    """What came out, and what was passed over: XML files of other kinds, links, and what is no plain file."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    other_xml: int = 0
    not_followed: int = 0
    has_tree: bool = False

    @property
    def total(self) -> int:
        """How many verdicts there are."""
        return self.outcomes.total()


def check_all(paths: Iterable[Path], rules: Rules, tally: Tally) -> Iterator[Checked]:
    """The verdicts on ``paths`` and on every drop below those that are trees, counted in ``tally``.

    A tree without anything to check is held as ``incomplete``, as a drop whose packet.xml is missing is.
    Raises InputFileError for a path that was named and cannot be read at all.
    """
    for path in paths:
        checked = _check_tree(path, rules, tally) if is_tree(path) else iter((check_path(path, rules),))
        for each in checked:
            tally.outcomes[each.outcome] += 1
            yield each


def summary(tally: Tally) -> dict[str, int]:
    """The numbers for programs."""
    outcomes = {outcome.value: tally.outcomes[outcome] for outcome in Outcome}
    passed_over = {"other_xml": tally.other_xml, "not_followed": tally.not_followed}
    return {"checked": tally.total, **outcomes, **passed_over}


def summary_text(tally: Tally) -> str:
    """The numbers for people: one table, and what was passed over."""
    rows = [(outcome, tally.outcomes[outcome]) for outcome in Outcome]
    lines = [table((_("verdict"), _("packets")), [*rows, (_("all"), tally.total)])]
    if tally.other_xml:
        lines.append(_("passed over: {count} XML files that are no packets").format(count=tally.other_xml))
    if tally.not_followed:
        lines.append(_("passed over: {count} links and special files").format(count=tally.not_followed))
    return "\n".join(lines)


def count_drops(paths: Iterable[Path]) -> int:
    """How many verdicts ``check_all`` will give, for a progress bar."""
    return sum(max(1, sum(1 for _ in find_drops(path, Tally()))) if is_tree(path) else 1 for path in paths)


def is_tree(path: Path) -> bool:
    """Whether ``path`` is a folder that is no drop itself."""
    return path.is_dir() and not os.path.lexists(path / PACKET_XML)


def find_drops(top: Path, tally: Tally) -> Iterator[Path]:
    """The drops below the folder ``top``, lazily; a folder that cannot be listed is given as it is."""
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            yield folder
            continue
        below: list[Path] = []
        for entry in entries:
            if any(passes(entry.name) for passes in (is_litter, is_temporary_name, is_findings_name)):
                continue
            path = folder / entry.name
            if _is_link(entry):
                tally.not_followed += 1
            elif entry.is_dir(follow_symlinks=False):
                if is_tree(path):
                    below.append(path)
                else:
                    yield path
            elif _is_drop_file(entry, path, tally):
                yield path
        waiting += reversed(below)


def _check_tree(top: Path, rules: Rules, tally: Tally) -> Iterator[Checked]:
    tally.has_tree = True
    found = False
    for path in find_drops(top, tally):
        found = True
        try:
            yield check_path(path, rules)
        except InputFileError as error:
            note = "it cannot be read, so nothing is known of it"
            yield Checked(path, Outcome.HELD, error.reference, note=note)
    if not found:
        note = "nothing to check lies here: no packet.xml, .zip, .packet, or .xml with a packet"
        yield Checked(top, Outcome.HELD, INCOMPLETE, missing=(PACKET_XML,), note=note)


def _is_link(entry: os.DirEntry[str]) -> bool:
    """A symbolic link, or what Windows has in its place (junctions and other reparse points)."""
    try:
        attributes = getattr(entry.stat(follow_symlinks=False), "st_file_attributes", 0)
    except OSError:
        return False
    return entry.is_symlink() or bool(attributes & _REPARSE_POINT)


def _is_drop_file(entry: os.DirEntry[str], path: Path, tally: Tally) -> bool:
    suffix = path.suffix.lower()
    if suffix not in {*_ALWAYS, _XML}:
        return False
    if not entry.is_file(follow_symlinks=False):
        tally.not_followed += 1
        return False
    if suffix in _ALWAYS or _may_be_drop(path):
        return True
    tally.other_xml += 1
    return False


def _may_be_drop(path: Path) -> bool:
    """Unless the root element is certainly another one: what cannot be told is checked, not passed over."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True
    if head.startswith(_UTF_16):
        head = head[: len(head) // 2 * 2].decode("utf-16", "replace").encode()
    root = _ROOT.match(_from_root_on(head))
    return root is None or root[1] in _DROP_ROOTS


def _from_root_on(head: bytes) -> bytes:
    """``head`` without byte order mark, declaration, comments, instructions and blanks before the root."""
    for mark in _MARKS:
        head = head.removeprefix(mark)
    position = 0
    while True:
        while head[position : position + 1].isspace():
            position += 1
        for begin, end in _BEFORE_ROOT:
            if head.startswith(begin, position):
                found = head.find(end, position)
                if found < 0:
                    return b""
                position = found + len(end)
                break
        else:
            return head[position:]
