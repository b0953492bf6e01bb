"""One entry has one name: the names that an extra field states, where documents and drops are read."""

from __future__ import annotations

import hashlib
import io
import os
import struct
from pathlib import Path

import pytest

from cli.drop_reader import DropRefused, read_drop
from frontend_server.drops import DropRefusedError
from frontend_server.outbox import observe
from frontend_server.zip_drop import ZipSource
from packet_spec.catalogue import load_catalogue
from packet_spec.documents.check import check_document
from packet_spec.findings import Finding
from packet_spec.model import Attachment
from tests.support.zips import UNICODE_COMMENT, UNICODE_NAME, UTF8_FLAG, HandMade, extra, unicode_name, zip_of

DOCUMENT = b"<packet></packet>"
TEXT = "起诉书.txt"
UTF_8, GBK = TEXT.encode(), TEXT.encode("gbk")
# 图片 in GBK is valid UTF-8 by chance.
PICTURE = "图片.txt".encode("gbk")
TIMES = extra(0x5455, b"\1" + bytes(4))

HONEST = [
    pytest.param(UTF_8, unicode_name(UTF_8, TEXT), 0, id="UTF-8"),
    pytest.param(UTF_8, unicode_name(UTF_8, TEXT), UTF8_FLAG, id="UTF-8 that is stated"),
    pytest.param(GBK, unicode_name(GBK, TEXT), 0, id="GBK"),
    pytest.param(GBK, TIMES + unicode_name(GBK, TEXT) + extra(0x7875, b"\1\4"), 0, id="among others"),
    pytest.param(b"a.txt", unicode_name(b"a.txt", "a.txt"), 0, id="ASCII"),
    pytest.param(b"a.txt", extra(UNICODE_COMMENT, b"\1" + bytes(4) + b"b.js"), 0, id="a comment"),
    pytest.param(b"a.txt", TIMES + b"\0\0\0", 0, id="padding"),
]
OTHER = unicode_name(b"001.txt", "起诉书.js")
TWO_NAMES = [
    pytest.param(b"001.txt", OTHER, 0, id="another"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", "001.TXT"), 0, id="another in case"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", "v/001.txt"), 0, id="in a folder"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", ""), 0, id="none"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", "001.txt", version=2), 0, id="another version"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", "起诉书.js", version=2), 0, id="of another version"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", "001.txt", crc=1), 0, id="another checksum"),
    pytest.param(b"001.txt", unicode_name(b"001.txt", b"001.txt\xff"), 0, id="no UTF-8"),
    pytest.param(b"001.txt", extra(UNICODE_NAME, b"\1abc"), 0, id="a field too short"),
    pytest.param(b"001.txt", extra(UNICODE_NAME, b""), 0, id="an empty field"),
    pytest.param(b"???.txt", unicode_name(b"???.txt", TEXT), 0, id="a raw name without the characters"),
    pytest.param("é.txt".encode("cp437"), unicode_name("é.txt".encode("cp437"), "é.txt"), 0, id="cp437"),
    pytest.param(GBK, unicode_name(GBK, TEXT), UTF8_FLAG, id="GBK that is said to be UTF-8"),
    pytest.param(PICTURE, unicode_name(PICTURE, "图片.txt"), UTF8_FLAG, id="GBK that could be UTF-8"),
]
DAMAGED = [
    pytest.param(OTHER + unicode_name(b"001.txt", "001.txt"), id="two, the other first"),
    pytest.param(unicode_name(b"001.txt", "001.txt") + OTHER, id="two, the other last"),
    pytest.param(unicode_name(b"001.txt", "001.txt") * 2, id="two alike"),
    pytest.param(unicode_name(b"001.txt", "001.txt")[:-1], id="a field that is cut"),
    pytest.param(struct.pack("<2H", 0x5455, 100) + OTHER, id="a field longer than the rest"),
]
PLACES = pytest.mark.parametrize(
    "places", [("central", "local"), ("central",), ("local",)], ids=["both", "directory", "local header"]
)


def document(data: bytes) -> tuple[Finding, ...]:
    digest = hashlib.sha256(data).hexdigest()
    attachment = Attachment("卷宗.zip", "COM-001", len(data), digest)
    return check_document(io.BytesIO(data), len(data), attachment, load_catalogue(), io.BytesIO).findings


def dropped(folder: Path, data: bytes) -> tuple[list[bytes], Finding | None]:
    """The names that the front-end takes out of a drop, or its refusal."""
    (folder / "A.zip").write_bytes(data)
    outbox = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        observation = observe(outbox, b"A.zip")
        assert observation is not None
        source = ZipSource(outbox, observation)
        names = [member.name for member in source.members]
        source.close()
    except DropRefusedError as refused:
        return [], refused.findings[0]
    finally:
        os.close(outbox)
    return names, None


def at_the_desk(folder: Path, data: bytes) -> tuple[list[bytes], Finding | None]:
    (folder / "A.zip").write_bytes(data)
    try:
        return [file.raw_name for file in read_drop(folder / "A.zip").files], None
    except DropRefused as refused:
        return [], refused.findings[0]


def made(raw: bytes, field: bytes, flags: int, places: tuple[str, ...]) -> tuple[HandMade, HandMade]:
    """packet.xml, and an entry whose header or headers hold ``field``."""
    extras = dict.fromkeys(places, field)
    return HandMade(b"packet.xml", DOCUMENT), HandMade(raw, b"text", flags=flags, **extras)


@PLACES
@pytest.mark.parametrize(("raw", "field", "flags"), HONEST)
def test_a_name_that_is_said_twice_is_taken(
    tmp_path: Path, raw: bytes, field: bytes, flags: int, places: tuple[str, ...]
) -> None:
    entries = made(raw, field, flags, places)
    assert document(zip_of(entries[1])) == ()
    data = zip_of(*entries)
    assert dropped(tmp_path, data) == at_the_desk(tmp_path, data) == ([raw], None)


@PLACES
@pytest.mark.parametrize(("raw", "field", "flags"), TWO_NAMES)
def test_an_entry_that_unpackers_may_show_under_another_name_is_refused(
    tmp_path: Path, raw: bytes, field: bytes, flags: int, places: tuple[str, ...]
) -> None:
    entries = made(raw, field, flags, places)
    assert [finding.code for finding in document(zip_of(entries[1]))] == ["document-entry-refused"]
    data = zip_of(*entries)
    (_, refusal), (_, said) = dropped(tmp_path, data), at_the_desk(tmp_path, data)
    assert refusal == said
    assert refusal is not None
    assert refusal.code == "zip-entry-refused"


def test_the_refusal_shows_both_names(tmp_path: Path) -> None:
    entries = made(b"001.txt", OTHER, 0, ("central", "local"))
    (finding,) = document(zip_of(entries[1]))
    _, refusal = dropped(tmp_path, zip_of(*entries))
    assert refusal is not None
    assert finding.found == refusal.found == "001.txt / 起诉书.js"


@PLACES
@pytest.mark.parametrize("field", DAMAGED)
def test_extra_fields_that_can_be_read_in_two_ways_are_refused(
    tmp_path: Path, field: bytes, places: tuple[str, ...]
) -> None:
    entries = made(b"001.txt", field, 0, places)
    assert [finding.code for finding in document(zip_of(entries[1]))] == ["document-unreadable"]
    data = zip_of(*entries)
    (_, refusal), (_, said) = dropped(tmp_path, data), at_the_desk(tmp_path, data)
    assert refusal == said
    assert refusal is not None
    assert refusal.code == "zip-damaged"


def test_two_headers_that_state_two_readings_are_refused() -> None:
    """Each is a reading of the raw name; which one is shown depends on the unpacker."""
    as_utf_8 = unicode_name(PICTURE, PICTURE.decode())
    as_gbk = unicode_name(PICTURE, "图片.txt")
    for field in (as_utf_8, as_gbk):
        assert document(zip_of(HandMade(PICTURE, b"text", central=field, local=field))) == ()
    (finding,) = document(zip_of(HandMade(PICTURE, b"text", central=as_utf_8, local=as_gbk)))
    assert finding.code == "document-entry-refused"


def test_names_meet_as_they_are_stated() -> None:
    """Two raw names of which one is GBK: as stated they are one."""
    raw = "图片.txt".encode()
    entries = (HandMade(raw, b"1"), HandMade(PICTURE, b"2", central=unicode_name(PICTURE, "图片.txt")))
    assert [finding.code for finding in document(zip_of(*entries))] == ["document-entry-refused"]


def test_an_entry_with_two_places_is_refused() -> None:
    """Two 64-bit fields: which one counts depends on the unpacker, and each leads to another entry."""
    wide = extra(0x0001, struct.pack("<3Q", 4, 4, 0))
    other = extra(0x0001, struct.pack("<3Q", 4, 4, 10))
    whole, short = HandMade(b"a.txt", b"text", wide, b"", 0, 0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFF
    assert document(zip_of(whole)) == ()
    (finding,) = document(zip_of(HandMade(b"a.txt", b"text", wide + other, b"", 0, short, short)))
    assert finding.code == "document-unreadable"
