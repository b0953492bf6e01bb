"""Pictures, videos and texts: whole, cut off, disguised and hostile. All content is fictional."""

from __future__ import annotations

import io
import struct
from datetime import date

import pytest
from PIL import Image, ImageFile

from cli.documents.context import DocumentContext
from cli.documents.jpg import render_jpg
from cli.documents.mp4 import write_mp4
from packet_spec.catalogue import load_catalogue
from packet_spec.documents import image, video
from packet_spec.documents.check import DocumentReport, check_document
from packet_spec.errors import ValidatorError
from packet_spec.limits import MIB
from packet_spec.model import Attachment
from tests.support.papers import jpg, mp4, package, pdf, tif

CONTEXT = DocumentContext("X", "虚构", "", "", "", "", (), (), date(2026, 7, 15), ())


def check(data: bytes, document_format: str, pages: int | None = None) -> DocumentReport:
    types = load_catalogue().document_types.values()
    code = next((row.code for row in types if document_format in row.formats), "unknown")
    listed = Attachment(f"材料.{document_format}", code, len(data), None, pages=pages)
    return check_document(io.BytesIO(data), len(data), listed, load_catalogue(), io.BytesIO)


def codes(data: bytes, document_format: str, pages: int | None = None) -> list[str]:
    return [finding.code for finding in check(data, document_format, pages).findings]


# --- pictures -----------------------------------------------------------------------------------


def noisy(**options: object) -> bytes:
    """A picture of noise, so that a cut is a cut of its data."""
    target = io.BytesIO()
    Image.effect_noise((200, 200), 80).save(target, "JPEG", **options)
    return target.getvalue()


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header claims another size."""
    data = jpg()
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


@pytest.mark.parametrize("data", [jpg(), noisy(), noisy(progressive=True), render_jpg(CONTEXT)])
def test_a_picture_passes_and_is_one_page(data: bytes) -> None:
    assert codes(data, "jpg") == []
    assert codes(data, "jpg", 1) == []
    assert codes(data, "jpg", 2) == ["document-pages-differ"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "document-empty"),
        (noisy()[:-1024], "document-unreadable"),
        (noisy()[: len(noisy()) // 2], "document-unreadable"),
        (noisy(progressive=True)[:-1024], "document-unreadable"),
        (jpg()[:20], "document-unreadable"),
        (b"MZ\0\0" + jpg(), "document-executable"),
        (pdf(), "document-format-differs"),
        (tif(), "document-format-differs"),
        (jpg() + package(), "document-disguised"),
        (claiming(60_000, 60_000), "document-too-large"),
        (claiming(12_000, 12_000), "document-too-large"),
    ],
)
def test_what_is_no_whole_picture_is_refused(data: bytes, code: str) -> None:
    assert codes(data, "jpg") == [code]


def test_every_picture_of_a_tif_is_a_page() -> None:
    assert codes(tif(3), "tif", 3) == []
    assert codes(tif(3, compression="group4"), "tif", 3) == []
    assert codes(tif(3), "tif", 4) == ["document-pages-differ"]


def test_a_tif_is_decoded_to_its_last_page() -> None:
    whole = tif(3, (400, 400))
    assert codes(whole[:-1024], "tif") == ["document-unreadable"]
    assert codes(b"II*\0" + bytes(100), "tif") == ["document-unreadable"]
    # The last directory points back to the first: pages without end.
    looped = bytearray(tif(2))
    first = int.from_bytes(looped[4:8], "little")
    second_at = first + 2 + 12 * int.from_bytes(looped[first : first + 2], "little")
    second = int.from_bytes(looped[second_at : second_at + 4], "little")
    end = second + 2 + 12 * int.from_bytes(looped[second : second + 2], "little")
    looped[end : end + 4] = first.to_bytes(4, "little")
    assert len(check(bytes(looped), "tif").findings) <= 1


def test_huge_pictures_are_refused_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "IMAGE_TOTAL_PIXELS", 1000)
    assert codes(tif(3, (20, 20)), "tif") == ["document-too-large"]
    monkeypatch.setattr(image, "IMAGE_TOTAL_PIXELS", 10_000_000)
    monkeypatch.setattr(image, "IMAGE_PAGES", 2)
    assert codes(tif(3, (20, 20)), "tif") == ["document-too-large"]
    monkeypatch.setattr(image, "IMAGE_BYTES", 100)
    assert codes(jpg(), "jpg") == ["document-too-large"]


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_lack_of_memory_blames_no_picture(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(ValidatorError):
        check(jpg(), "jpg")


# --- videos -------------------------------------------------------------------------------------


def box(kind: bytes, content: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I", len(content) + 8 if size is None else size) + kind + content


FTYP, MOOV = box(b"ftyp", b"isom"), box(b"moov", box(b"mvhd") + box(b"trak"))
LONG = struct.pack(">I4sQ", 1, b"mdat", 20) + b"data"


def film() -> bytes:
    target = io.BytesIO()
    write_mp4(target, CONTEXT, 300_000)
    return target.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        mp4(),
        mp4(5 * MIB),
        film(),
        FTYP + MOOV + LONG,
        FTYP + box(b"mdat", b"x" * 100) + MOOV,
        FTYP + MOOV + box(b"mdat", b"to the end of the file", 0),
        FTYP + box(b"free", b"x") + MOOV + box(b"moof") + box(b"mdat") + box(b"moof") + box(b"mdat", b"x"),
    ],
)
def test_a_video_passes(data: bytes) -> None:
    assert codes(data, "mp4") == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "document-empty"),
        (mp4(5000)[:-1], "document-unreadable"),
        (mp4(5000)[:-1024], "document-unreadable"),
        (mp4(5000) + b"x", "document-unreadable"),
        (mp4(5000) + package(), "document-disguised"),
        (MOOV + FTYP + box(b"mdat"), "document-format-differs"),
        (b"MZ\0\0" + mp4(), "document-executable"),
        (FTYP + box(b"mdat"), "document-unreadable"),
        (FTYP + MOOV, "document-unreadable"),
        (FTYP + box(b"moov") + box(b"mdat"), "document-unreadable"),
        (FTYP + box(b"moov", box(b"mvhd") + box(b"trak", size=9999)) + box(b"mdat"), "document-unreadable"),
        (FTYP + MOOV + box(b"mdat", b"xx", 3), "document-unreadable"),
        (FTYP + MOOV + box(b"\0\0\0\0") + box(b"mdat"), "document-unreadable"),
        (FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 1 << 62), "document-unreadable"),
        (FTYP + MOOV + struct.pack(">I4sQ", 1, b"mdat", 5), "document-unreadable"),
        (FTYP + MOOV + box(b"free") * 200_001 + box(b"mdat"), "document-too-large"),
        (pdf(), "document-format-differs"),
    ],
)
def test_what_is_no_whole_video_is_refused(data: bytes, code: str) -> None:
    assert codes(data, "mp4") == [code]


class _Counting(io.BytesIO):
    asked = 0

    def read(self, size: int | None = -1) -> bytes:
        self.asked += size or 0
        return super().read(size)


def test_pictures_of_a_video_are_never_read() -> None:
    data = mp4(20 * MIB)
    file = _Counting(data)
    listed = Attachment("a.mp4", "EVD-024", len(data), None)
    assert check_document(file, len(data), listed, load_catalogue(), io.BytesIO).findings == ()
    assert file.asked < MIB


def element(kind: int, content: bytes = b"", size: bytes | None = None) -> bytes:
    head = kind.to_bytes((kind.bit_length() + 7) // 8, "big")
    return head + ((len(content) | 1 << 56).to_bytes(8, "big") if size is None else size) + content


EBML = element(0x1A45DFA3, element(0x4282, b"matroska"))
CLUSTER = element(0x1F43B675, b"pictures")
UNKNOWN = b"\x01" + b"\xff" * 7


@pytest.mark.parametrize(
    "data",
    [
        EBML + element(0x18538067, element(0xEC, b"x") + CLUSTER * 3),
        EBML + element(0x18538067, CLUSTER) + element(0xEC, b"void"),
        EBML + element(0x18538067, CLUSTER, UNKNOWN),
        element(0x1A45DFA3, element(0x4282, b"webm\0\0")) + element(0x18538067, CLUSTER),
    ],
)
def test_a_matroska_file_passes(data: bytes) -> None:
    assert codes(data, "mkv") == []


@pytest.mark.parametrize(
    "data",
    [
        (EBML + element(0x18538067, CLUSTER))[:-1],
        EBML + element(0x18538067, CLUSTER) + b"x",
        EBML + element(0x18538067, element(0xEC)),
        EBML + element(0x18538067, CLUSTER[:-1], UNKNOWN),
        EBML + element(0x18538067, element(0x1F43B675, b"live", UNKNOWN)),
        EBML,
        EBML + CLUSTER,
        element(0x1A45DFA3, element(0x4282, b"other")) + element(0x18538067, CLUSTER),
        element(0x1A45DFA3, b"") + element(0x18538067, CLUSTER),
        element(0x1A45DFA3, bytes(5000)) + element(0x18538067, CLUSTER),
        EBML[:4] + b"\0" * 40,
    ],
)
def test_what_is_no_whole_matroska_file_is_refused(data: bytes) -> None:
    assert codes(data, "mkv") == ["document-unreadable"]


def test_elements_are_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "VIDEO_BOXES", 10)
    assert codes(EBML + element(0x18538067, CLUSTER * 11), "mkv") == ["document-too-large"]


# --- texts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("<a>虚构</a>".encode(), []),
        ('<?xml version="1.0" encoding="GBK"?><a>虚构</a>'.encode("gb18030"), []),
        (b"\xef\xbb\xbf<a/>", []),
        (b"<a", ["document-unreadable"]),
        (b'<?xml version="1.0" encoding="big5"?><a/>', ["document-unreadable"]),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', ["document-unreadable"]),
        ('<!DOCTYPE a SYSTEM "x"><a/>'.encode("utf-16"), ["document-unreadable"]),
        (b"<a>" * 200 + b"</a>" * 200, ["document-unreadable"]),
        (b"<a " + b" ".join(b'b%d=""' % number for number in range(300)) + b"/>", ["document-unreadable"]),
        (pdf(), ["document-unreadable"]),
        (b"", ["document-empty"]),
        (b"#!/bin/sh", ["document-executable"]),
        (b"<a>" + b" " * 9 * MIB + b"</a>", ["document-too-large"]),
    ],
)
def test_xml_is_well_formed_without_doctype(data: bytes, expected: list[str]) -> None:
    assert codes(data, "xml") == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("姓名,性别\r\n虚构甲,男\r\n".encode(), []),
        ("姓名,性别\r\n虚构甲,男\r\n".encode("gb18030"), []),
        (b"MZ,looks like a program and is none\r\n", []),
        ("姓名".encode() + "性别".encode("gb18030"), []),
        (b"a,\xff\xff\r\n", ["document-unreadable"]),
        ("姓名,性别".encode()[:-1], ["document-unreadable"]),
        (b"a,b\0c", ["document-unreadable"]),
        ("a,b".encode("utf-16"), ["document-unreadable"]),
        (b"", ["document-empty"]),
        (b"MZ\x90\0\3\0", ["document-executable"]),
    ],
)
def test_csv_is_text(data: bytes, expected: list[str]) -> None:
    assert codes(data, "csv") == expected


def test_a_format_that_only_a_newer_catalogue_knows_blames_nobody() -> None:
    listed = Attachment("a.png", "unknown", 1, None)
    with pytest.raises(ValidatorError):
        check_document(io.BytesIO(b"x"), 1, listed, load_catalogue(), io.BytesIO)
