"""PDF documents: whole, damaged, disguised and hostile. All content is fictional."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable

import pytest
from pypdf import PdfReader, PdfWriter
from pypdf.errors import DependencyError

from packet_spec.catalogue import load_catalogue
from packet_spec.documents.check import DocumentReport, check_document
from packet_spec.errors import ValidatorError
from packet_spec.model import Attachment
from tests.support.papers import package, pdf


def check(data: bytes, pages: int | None = None, name: str = "起诉意见书.pdf") -> DocumentReport:
    listed = Attachment(name, "POL-020", len(data), None, pages=pages)
    return check_document(io.BytesIO(data), len(data), listed, load_catalogue(), io.BytesIO)


def codes(data: bytes, pages: int | None = None) -> list[str]:
    return [finding.code for finding in check(data, pages).findings]


def written(**encrypted: str) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    if encrypted:
        writer.encrypt(**encrypted, algorithm="AES-256")
    target = io.BytesIO()
    writer.write(target)
    return target.getvalue()


def loop_of_kids() -> bytes:
    """A page tree whose only kid is the tree itself."""
    return pdf().replace(b"/Kids[4 0 R]", b"/Kids[2 0 R]")


def endless_xref() -> bytes:
    """A cross-reference whose predecessor is itself."""
    data = pdf()
    start = data.index(b"xref\n")
    return data.replace(b"/Root", b"/Prev %d/Root" % start)


def deep_arrays() -> bytes:
    return rebuilt(b"[" * 100_000 + b"]" * 100_000)


def bomb_of_objects() -> bytes:
    """An object stream of a few KiB that unpacks to 400 MB; the page tree hides in it."""
    packed = zlib.compress(zlib.compress(bytes(1)) and b"0" * 400_000_000, 9)
    head = b"<</Type/ObjStm/N 1/First 4/Filter/FlateDecode/Length %d>>stream\n" % len(packed)
    return rebuilt(head + packed + b"\nendstream", pages_in_stream=True)


def rebuilt(second: bytes, *, pages_in_stream: bool = False) -> bytes:
    """A file whose object 2 (the page tree) is ``second``, or lies in object 3, which is."""
    out = bytearray(b"%PDF-1.5\n")
    first = len(out)
    out += b"1 0 obj\n<</Type/Catalog/Pages 2 0 R>>\nendobj\n"
    place = len(out)
    out += b"%d 0 obj\n%s\nendobj\n" % (3 if pages_in_stream else 2, second)
    start = len(out)
    rows = [(0, 0, 255), (1, first, 0), (2, 3, 0) if pages_in_stream else (1, place, 0), (1, place, 0)]
    table = b"".join(struct.pack(">BIB", *row) for row in rows)
    out += (
        b"4 0 obj\n<</Type/XRef/Size 4/W[1 4 1]/Root 1 0 R/Length %d>>stream\n%s\nendstream\nendobj\n"
        b"startxref\n%d\n%%%%EOF\n" % (len(table), table, start)
    )
    return bytes(out)


@pytest.mark.parametrize("data", [pdf(), pdf(pages=3), pdf(size=100_000), written(), pdf() + b"\r\n\0\0"])
def test_a_whole_file_passes(data: bytes) -> None:
    assert check(data) == DocumentReport()


def test_pages_are_counted_where_they_are_given() -> None:
    assert codes(pdf(pages=12), 12) == []
    (finding,) = check(pdf(pages=11), 12).findings
    assert (finding.code, finding.expected, finding.found) == ("document-pages-differ", "12", "11")
    assert (finding.file, finding.document) == ("起诉意见书.pdf", "POL-020")


def test_a_false_count_is_not_believed() -> None:
    assert codes(pdf(pages=2).replace(b"/Count 2", b"/Count 9"), 2) == []


def test_a_password_is_refused_and_a_mere_restriction_is_not() -> None:
    assert codes(written(user_password="secret", owner_password="other")) == ["document-encrypted"]
    assert codes(written(user_password="", owner_password="other")) == []


def test_f9_a_file_without_its_last_kilobyte_is_refused() -> None:
    (finding,) = check(pdf(pages=5, size=50_000)[:-1024]).findings
    assert finding.code == "document-unreadable"
    assert "重新导出" in finding.zh


@pytest.mark.parametrize("left", [0, 1, 5, 8, 100, -1000, -20, -10, -6])
def test_every_cut_is_refused(left: int) -> None:
    data = pdf(pages=5, size=5_000)
    expected = "document-empty" if left == 0 else "document-unreadable"
    if left == 1:
        expected = "document-format-differs"
    assert codes(data[:left]) == [expected]


def test_a_cut_that_ends_at_an_earlier_revision_is_that_revision() -> None:
    """An update that is cut off whole leaves a whole file: only its pages or its digest tell."""
    first = pdf(pages=1)
    start = first.index(b"xref\n")
    update = b"9 0 obj\n<<>>\nendobj\n"
    offset = len(first)
    trailer = (
        b"xref\n9 1\n%010d 00000 n \ntrailer\n<</Size 10/Root 1 0 R/Prev %d>>\nstartxref\n%d\n%%%%EOF\n"
        % (offset, start, offset + len(update))
    )
    whole = first + update + trailer
    assert codes(whole, 1) == []
    for cut in range(1, len(update) + len(trailer)):
        if whole[:-cut].endswith(b"%%EOF"):
            continue
        assert codes(whole[:-cut]) != [], cut


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"MZ\x90\0" + bytes(60) + pdf(), "document-executable"),
        (b"\x7fELF" + pdf(), "document-executable"),
        (b"#!/bin/sh\n" + pdf(), "document-executable"),
        (b"L\0\0\0\x01\x14\x02\0" + pdf(), "document-executable"),
        (b"junk" + pdf(), "document-format-differs"),
        (package(), "document-format-differs"),
        (b"plain text", "document-format-differs"),
        (pdf() + b"MZ" + bytes(64), "document-disguised"),
        (pdf() + package(), "document-disguised"),
        # A zip whose comment is the end of the PDF: each reader sees a file of its own.
        (pdf() + package()[:-2] + struct.pack("<H", len(pdf())) + pdf(), "document-disguised"),
        (b"%PDF-9.9\n" + pdf()[9:], "document-unreadable"),
        (pdf().replace(b"startxref", b"startxrex"), "document-unreadable"),
        (pdf().replace(b"startxref\n", b"startxref\n9"), "document-unreadable"),
        (pdf().replace(b"/Type/Pages", b"/Type/Other").replace(b"/Kids", b"/Nope"), "document-unreadable"),
        (pdf().replace(b"/Kids[4 0 R]", b"/Kids[     ]"), "document-unreadable"),
    ],
)
def test_what_is_no_plain_pdf_is_refused(data: bytes, code: str) -> None:
    assert codes(data) == [code]


def test_a_zip_end_by_chance_is_no_archive() -> None:
    assert codes(pdf("PK\x05\x06 by chance" + "." * 100)) == []


@pytest.mark.parametrize(
    "make", [loop_of_kids, endless_xref, deep_arrays, pytest.param(bomb_of_objects, marks=pytest.mark.slow)]
)
def test_hostile_structures_end_within_bounds(make: Callable[[], bytes]) -> None:
    """Refused, held or, where the loop hurts nobody, read; never an exception of the library."""
    try:
        found = codes(make())
    except ValidatorError:
        return
    assert found in ([], ["document-unreadable"])
    if make is not endless_xref:
        assert found == ["document-unreadable"]


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_a_lack_of_memory_blames_nobody(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(PdfReader, "read", fail)
    with pytest.raises(ValidatorError):
        check(pdf())


def test_a_missing_library_blames_nobody_and_an_unknown_protection_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raised: list[Exception] = [DependencyError(), NotImplementedError()]

    def fail(*_: object) -> None:
        raise raised.pop(0)

    monkeypatch.setattr(PdfReader, "read", fail)
    with pytest.raises(ValidatorError):
        check(pdf())
    assert codes(pdf()) == ["document-encrypted"]


@pytest.mark.parametrize("error", [ValueError, KeyError, ZeroDivisionError, RuntimeError])
def test_whatever_the_library_raises_refuses(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(PdfReader, "read", fail)
    assert codes(pdf()) == ["document-unreadable"]


class _FailingDisk(io.BytesIO):
    """A disk that fails once the library reads."""

    reads = 0

    def read(self, size: int | None = -1) -> bytes:
        self.reads += 1
        if self.reads > 4:
            raise OSError(5, "Input/output error")
        return super().read(size)


def test_a_failing_disk_blames_nobody_even_if_the_library_swallows_it() -> None:
    data = pdf(size=4_000_000)
    listed = Attachment("a.pdf", "POL-020", len(data), None)
    with pytest.raises(ValidatorError):
        check_document(_FailingDisk(data), len(data), listed, load_catalogue(), io.BytesIO)
    with pytest.raises(ValidatorError):
        check_document(io.BytesIO(data[:-1]), len(data), listed, load_catalogue(), io.BytesIO)


def test_damage_of_a_byte_never_escapes() -> None:
    """Every byte of a small file set to something else, one at a time: findings or nothing."""
    data = pdf(pages=2)
    for place in range(len(data)):
        spoilt = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        for code in codes(spoilt):
            assert code.startswith("document-")
