"""Examples of the form of a drop, which no business type has for itself: encodings, zips, broken files.

Guarantees: the good forms that case software may choose, and faults that old programs make, each alone.
All are a notice with one attachment, or an acceptance without any, so that nothing else has to be read.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cli.fiction.choose import choose_parties
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat
from cli.packet_check import INCOMPLETE
from packet_spec.catalogue import Catalogue
from packet_spec.findings import Outcome

_NOTICE: Final = "notice.publish"
_ANSWER: Final = "common.accept"
_PACKET_XML: Final = "packet.xml"


@dataclass(frozen=True, slots=True)
class Form:
    """One example: how it is written, what is then done to it, and the verdict.

    ``code`` is the finding, or the reason why it is held; empty where there is none.
    """

    folder: str
    outcome: Outcome
    code: str = ""
    drop_format: DropFormat = DropFormat.FOLDER
    encoding: DropEncoding = DropEncoding.UTF_8
    spoil: Callable[[Path], None] | None = None
    business_type: str = _NOTICE

    def request(self, catalogue: Catalogue, moment: datetime) -> DropRequest:
        """The packet of this example."""
        sender, receiver = choose_parties(catalogue, catalogue.business_type(self.business_type))
        return DropRequest(self.business_type, sender.code, receiver.code, moment, name="drop")


def break_digest(drop: Path) -> None:
    """Let the first attachment of a folder be listed with another SHA-256 than it has."""
    path = drop / _PACKET_XML
    before, mark, after = path.read_bytes().partition(b' sha256="')
    digit = b"1" if after[:1] != b"1" else b"2"
    path.write_bytes(before + mark + digit + after[1:])


def _attachment(drop: Path) -> Path:
    return next(path for path in sorted(drop.iterdir()) if path.name != _PACKET_XML)


def _lose_attachment(drop: Path) -> None:
    _attachment(drop).unlink()


def _other_size(drop: Path) -> None:
    """The list is wrong, not the file: a cut file would be damaged as well."""
    path = drop / _PACKET_XML
    before, mark, after = path.read_bytes().partition(b' size="')
    size, quote, rest = after.partition(b'"')
    path.write_bytes(before + mark + str(int(size) + 1).encode() + quote + rest)


def _add_stranger(drop: Path) -> None:
    (drop / "stranger.txt").write_bytes("虚构数据 FICTIONAL\n".encode())


def _empty_packet(drop: Path) -> None:
    (drop / _PACKET_XML).write_bytes(b"")


def _half_packet(drop: Path) -> None:
    path = drop / _PACKET_XML
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"</packet>")])


def _two_encodings(drop: Path) -> None:
    """UTF-8 bytes in a file that is GBK: what comes of joining texts as bytes."""
    path = drop / _PACKET_XML
    data = path.read_bytes()
    place = data.index(b"</notice_title>")
    path.write_bytes(data[:place] + "单".encode() + data[place:])


def _other_declaration(drop: Path) -> None:
    path = drop / _PACKET_XML
    path.write_bytes(path.read_bytes().replace(b'encoding="UTF-8"', b'encoding="GBK"', 1))


def _cut_zip(drop: Path) -> None:
    drop.write_bytes(drop.read_bytes()[:-30])


def _no_packet_in_zip(drop: Path) -> None:
    with zipfile.ZipFile(drop, "w") as archive:
        archive.writestr(zipfile.ZipInfo("readme.txt", (2026, 7, 15, 9, 30, 0)), "FICTIONAL\n")


def _unknown_type(drop: Path) -> None:
    path = drop / _PACKET_XML
    path.write_bytes(path.read_bytes().replace(_NOTICE.encode(), b"notice.unknown"))


def _no_size(drop: Path) -> None:
    path = drop / _PACKET_XML
    before, _mark, after = path.read_bytes().partition(b' size="')
    path.write_bytes(before + after[after.index(b'"') + 1 :])


def _good(name: str, drop_format: DropFormat, encoding: DropEncoding) -> Form:
    lone = drop_format is DropFormat.XML
    kind = _ANSWER if lone else _NOTICE
    return Form(name, Outcome.VALID, drop_format=drop_format, encoding=encoding, business_type=kind)


def _bad(
    code: str,
    spoil: Callable[[Path], None],
    drop_format: DropFormat = DropFormat.FOLDER,
    encoding: DropEncoding = DropEncoding.UTF_8,
) -> Form:
    return Form(f"bad-{code}", Outcome.REFUSED, code, drop_format, encoding, spoil)


FORMS: Final = (
    _good("good-folder", DropFormat.FOLDER, DropEncoding.UTF_8),
    _good("good-folder-gbk", DropFormat.FOLDER, DropEncoding.GBK),
    _good("good-folder-gb18030", DropFormat.FOLDER, DropEncoding.GB18030),
    _good("good-zip", DropFormat.ZIP, DropEncoding.UTF_8),
    _good("good-zip-gbk", DropFormat.ZIP, DropEncoding.GBK),
    _good("good-xml", DropFormat.XML, DropEncoding.UTF_8),
    Form("good-encoding-misdeclared", Outcome.VALID, "encoding-misdeclared", spoil=_other_declaration),
    Form("held-incomplete", Outcome.HELD, INCOMPLETE, spoil=_lose_attachment),
    _bad("attachment-size-differs", _other_size),
    _bad("attachment-size-missing", _no_size),
    _bad("attachment-unlisted", _add_stranger),
    _bad("packet-xml-empty", _empty_packet),
    _bad("xml-not-wellformed", _half_packet),
    _bad("encoding-undecodable", _two_encodings, encoding=DropEncoding.GBK),
    _bad("type-unknown", _unknown_type),
    _bad("zip-damaged", _cut_zip, DropFormat.ZIP),
    _bad("packet-xml-missing", _no_packet_in_zip, DropFormat.ZIP),
)
