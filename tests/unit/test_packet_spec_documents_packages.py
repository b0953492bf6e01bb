"""Dossier packages and OFD: containers that are whole, damaged, disguised and hostile. Fictional content."""

from __future__ import annotations

import hashlib
import io
import stat
import struct
import zipfile
import zlib
from datetime import date

import pytest

from cli.documents.context import DocumentContext
from cli.documents.dossier import dossier_index, render_dossier, render_index
from cli.documents.ofd import render_ofd
from packet_spec.catalogue import load_catalogue
from packet_spec.documents.agreement import agreement_findings
from packet_spec.documents.check import DocumentReport, check_document, estimate_seconds, longest_seconds
from packet_spec.documents.values import BLOCK_BYTES
from packet_spec.errors import ValidatorError
from packet_spec.findings import Outcome, Severity, verdict_of
from packet_spec.limits import MIB
from packet_spec.model import Attachment
from tests.support.papers import index, jpg, package, pdf, tif

DAY = date(2026, 7, 15)
CONTEXT = DocumentContext(
    "COM-001", "电子卷宗", "虚卷1号", "虚构公安局", "虚构检察院", "虚构案", (), (), DAY, ("虚构。",)
)
DOSSIER = DocumentContext(
    **{name: getattr(CONTEXT, name) for name in CONTEXT.__dataclass_fields__}
    | {"members": (("procedure", CONTEXT), ("evidence", CONTEXT))}
)


def check(
    data: bytes, document_type: str = "COM-001", name: str = "卷宗.zip", **listed: int
) -> DocumentReport:
    digest = hashlib.sha256(data).hexdigest()
    attachment = Attachment(name, document_type, len(data), digest, **listed)  # type: ignore[arg-type]
    return check_document(io.BytesIO(data), len(data), attachment, load_catalogue(), io.BytesIO)


def codes(data: bytes, document_type: str = "COM-001", name: str = "卷宗.zip", **listed: int) -> list[str]:
    return [finding.code for finding in check(data, document_type, name, **listed).findings]


def zipped(
    *files: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED, comment: bytes = b""
) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
        archive.comment = comment
    return target.getvalue()


def entry(name: str, data: bytes, **other: object) -> dict[str, object]:
    return {"file": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} | other


def listed_package(*entries: dict[str, object], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    listing = ("index.xml", index(*entries))
    return zipped(listing, ("v/a.pdf", pdf("a", pages=2)), ("v/b.jpg", jpg()), method=method)


A = entry("v/a.pdf", pdf("a", pages=2), pages=2)
B = entry("v/b.jpg", jpg())


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_whole_package_passes_and_tells_its_members(method: int) -> None:
    report = check(listed_package(A, B, method=method))
    assert report.findings == ()
    assert report.members is not None
    assert [(member.name, member.pages) for member in report.members] == [("v/a.pdf", 2), ("v/b.jpg", 1)]
    assert report.members[0].sha256 == A["sha256"]


def test_a_package_of_the_generator_passes() -> None:
    assert check(render_dossier(DOSSIER)).findings == ()


@pytest.mark.parametrize(
    ("entries", "code", "shown"),
    [
        ((A,), "index-file-unlisted", ""),
        ((A, B, entry("v/c.pdf", b"c")), "index-entry-missing", "虚构材料"),
        ((A | {"size": 1}, B), "index-entry-differs", f"size {A['size']}"),
        ((A | {"sha256": "0" * 64}, B), "index-entry-differs", f"sha256 {A['sha256']}"),
        ((A | {"pages": 3}, B), "index-entry-differs", "pages 2"),
        ((A, A, B), "index-entry-differs", "2"),
    ],
)
def test_an_index_that_lies_is_refused_naming_the_file(
    entries: tuple[dict[str, object], ...], code: str, shown: str
) -> None:
    (finding,) = check(listed_package(*entries)).findings
    assert (finding.code, finding.found) == (code, shown)
    assert finding.file.startswith("卷宗.zip/v/")
    assert finding.severity is Severity.REFUSE


def test_an_entry_without_pages_is_compared_by_size_and_digest() -> None:
    assert codes(listed_package(A | {"pages": None}, B | {"pages": None})) == []


def test_an_index_that_does_not_fit_its_format_is_refused_and_a_foreign_one_is_named() -> None:
    assert codes(listed_package(A | {"size": "many"}, B)) == ["index-not-valid"]
    assert codes(zipped(("index.xml", b"<index"), ("a.pdf", pdf()))) == ["document-unreadable"]
    foreign = check(zipped(("index.xml", b"<other/>"), ("a.pdf", pdf())))
    assert [(each.code, each.severity) for each in foreign.findings] == [("index-not-checked", Severity.WARN)]


def info(name: str, **attributes: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2026, 7, 15, 9, 30, 0))
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


LINK = (stat.S_IFLNK | 0o777) << 16
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9)


def encrypted() -> bytes:
    data = bytearray(package())
    central = data.index(b"PK\x01\x02")
    data[6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def bomb(inner: int) -> bytes:
    return zipped(("a.txt", bytes(inner)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "document-empty"),
        (zipped(), "document-empty"),
        (package()[:-1], "document-unreadable"),
        (package(size=5000)[:-1024], "document-unreadable"),
        (package()[10:], "document-format-differs"),
        (b"MZ\0\0" + bytes(60) + package(), "document-executable"),
        (b"#!/bin/sh\n" + package(), "document-executable"),
        (package() + b"trailing", "document-unreadable"),
        (package().replace(b"fictional evidence", b"fictional Evidence"), "document-unreadable"),
        (encrypted(), "document-encrypted"),
        (zipped(("../a.pdf", pdf())), "document-entry-refused"),
        (zipped(("/a.pdf", pdf())), "document-entry-refused"),
        (zipped(("C:/a.pdf", pdf())), "document-entry-refused"),
        (zipped(("a/../b.pdf", pdf())), "document-entry-refused"),
        (zipped(("a\\..\\b.pdf", pdf())), "document-entry-refused"),
        (zipped(("NUL.pdf", pdf())), "document-entry-refused"),
        (zipped(("v/" * 300 + "a.pdf", pdf())), "document-entry-refused"),
        (zipped(("a.pdf", pdf("1")), ("A.PDF", pdf("2"))), "document-entry-refused"),
        (zipped((info("a.pdf", external_attr=LINK), b"/x")), "document-entry-refused"),
        (zipped(("setup.exe", b"x")), "document-executable"),
        (zipped(("setup.exe. ", b"x")), "document-entry-refused"),
        (zipped(("a.pdf.scr", pdf())), "document-executable"),
        (zipped(("a.txt", b"MZ\x90\0" + bytes(100))), "document-executable"),
        (zipped(("a", b"\x7fELF" + bytes(100))), "document-executable"),
        (zipped(("a.txt", b"#!/bin/sh\nrm")), "document-executable"),
        (zipped(("a.docm", package())), "document-executable"),
        (zipped(("a.doc", OLE + "_VBA_PROJECT".encode("utf-16-le"))), "document-executable"),
        (zipped(("inner.zip", package())), "document-archive-nested"),
        (zipped(("a.docx", package())), "document-archive-nested"),
        (zipped(("a.dat", package())), "document-archive-nested"),
        (zipped(("a.bin", b"Rar!\x1a\x07\0")), "document-archive-nested"),
        (zipped(("a.bin", bytes(257) + b"ustar")), "document-archive-nested"),
        (zipped(("a.pdf", pdf(pages=3, size=5000)[:-1024])), "document-unreadable"),
        (zipped(("a.pdf", b"")), "document-empty"),
        (zipped(("a.jpg", pdf())), "document-format-differs"),
    ],
)  # fmt: skip
def test_what_is_no_plain_package_is_refused(data: bytes, code: str) -> None:
    assert codes(data) == [code]


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    (finding,) = check(bomb(100 * MIB)).findings
    assert (finding.code, finding.expected, finding.found) == (
        "document-unpacks-too-large", "64 MiB", "100 MiB"
    )  # fmt: skip


def test_a_size_that_lies_is_no_way_around_the_caps() -> None:
    """The directory says 1 byte, the data unpacks to 100 MiB: unpacking stops at the first byte too many."""
    data = bytearray(bomb(100 * MIB))
    central = data.index(b"PK\x01\x02")
    data[22:26] = data[central + 24 : central + 28] = (1).to_bytes(4, "little")
    assert codes(bytes(data)) == ["document-unreadable"]


def test_repetitive_text_of_ordinary_size_is_no_bomb() -> None:
    assert codes(bomb(10 * MIB)) == []


def test_names_of_old_tools_are_read_and_folders_pass() -> None:
    class Raw(zipfile.ZipInfo):
        def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile asks for it under this name
            return self.filename.encode("gb18030"), 0

    stamp = (2026, 7, 15, 9, 30, 0)
    data = zipped((Raw("卷一\\", stamp), b""), (Raw("卷一\\起诉意见书.pdf", stamp), pdf()))
    report = check(data)
    assert report.findings == ()
    assert report.members is not None
    assert [member.name for member in report.members] == ["卷一/起诉意见书.pdf"]


def test_a_member_with_many_faults_is_told_with_its_name() -> None:
    found = check(zipped(("a.exe", b"x"), ("b/c.pdf", b"no"))).findings
    assert [(each.code, each.file) for each in found] == [
        ("document-executable", "卷宗.zip/a.exe"),
        ("document-format-differs", "卷宗.zip/b/c.pdf"),
    ]


# --- OFD ----------------------------------------------------------------------------------------


def ofd_files() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(render_ofd(CONTEXT)[0])) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def ofd(**changes: bytes | None) -> bytes:
    changed = {name.replace("__", "/").replace("_xml", ".xml"): data for name, data in changes.items()}
    files = ofd_files() | changed
    return zipped(*((name, data) for name, data in files.items() if data is not None))


def ofd_codes(data: bytes, **listed: int) -> list[str]:
    return codes(data, "POL-020", "起诉意见书.ofd", **listed)


def test_an_ofd_passes_and_its_pages_are_counted() -> None:
    data, pages = render_ofd(CONTEXT)
    assert ofd_codes(data, pages=pages) == []
    assert ofd_codes(ofd(), pages=pages) == []
    assert ofd_codes(data, pages=pages + 1) == ["document-pages-differ"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (render_ofd(CONTEXT)[0][:-1024], "document-unreadable"),
        (package(), "document-unreadable"),
        (pdf(), "document-format-differs"),
        (ofd(OFD_xml=b"<ofd:OFD"), "document-unreadable"),
        (ofd(OFD_xml=b'<!DOCTYPE x [<!ENTITY a "b">]><OFD><DocBody/></OFD>'), "document-unreadable"),
        (ofd(OFD_xml=b"<OFD/>"), "document-unreadable"),
        (ofd(OFD_xml=b"<OFD><DocBody><DocRoot>../../x</DocRoot></DocBody></OFD>"), "document-unreadable"),
        (ofd(Doc_0__Document_xml=b"<Document><Pages/></Document>"), "document-unreadable"),
        (ofd(Doc_0__Document_xml=b"<Document><Pages><Page BaseLoc='no.xml'/></Pages></Document>"),
         "document-unreadable"),
        (ofd(Doc_0__Document_xml=None), "document-unreadable"),
        (ofd(**{"Doc_0__evil.exe": b"x"}), "document-executable"),
        (ofd(**{"Doc_0__picture.jpg": b"MZ\0\0"}), "document-executable"),
    ],
)  # fmt: skip
def test_what_is_no_ofd_is_refused(data: bytes, code: str) -> None:
    assert ofd_codes(data) == [code]


# --- an index against packages -------------------------------------------------------------------


def pair(name: str, document_type: str, data: bytes) -> tuple[Attachment, DocumentReport]:
    listed = Attachment(name, document_type, len(data), hashlib.sha256(data).hexdigest())
    return listed, check(data, document_type, name)


def agreement(*pairs: tuple[Attachment, DocumentReport]) -> list[tuple[str, str]]:
    return [(finding.code, finding.file) for finding in agreement_findings(pairs)]


PACKAGE = zipped(("v/a.pdf", pdf("a", pages=2)), ("v/b.jpg", jpg()))


def test_com_002_agrees_with_the_package_of_its_packet() -> None:
    assert agreement(pair("卷宗.zip", "COM-001", PACKAGE), pair("目录.xml", "COM-002", index(A, B))) == []
    assert agreement(
        pair("卷宗.zip", "COM-001", PACKAGE), pair("目录.xml", "COM-002", index(A | {"pages": 9}))
    ) == [("index-entry-differs", "卷宗.zip/v/a.pdf"), ("index-file-unlisted", "卷宗.zip/v/b.jpg")]
    assert agreement(
        pair("目录.xml", "COM-002", index(A, B, entry("v/c.pdf", b"c"))), pair("卷宗.zip", "COM-001", PACKAGE)
    ) == [("index-entry-missing", "v/c.pdf")]


def test_of_several_packages_an_entry_names_the_one_it_means() -> None:
    one, two = zipped(("v/a.pdf", pdf("a", pages=2))), zipped(("v/a.pdf", pdf("other")), ("v/b.jpg", jpg()))
    packages = pair("一.zip", "COM-001", one), pair("二.zip", "COM-001", two)
    other = entry("v/a.pdf", pdf("other"))
    good = index(A | {"package": "一.zip"}, other | {"package": "二.zip"}, B)
    assert agreement(*packages, pair("目录.xml", "COM-002", good)) == []
    doubtful = agreement(*packages, pair("目录.xml", "COM-002", index(A, B)))
    assert ("index-entry-missing", "v/a.pdf") in doubtful


@pytest.mark.parametrize(("name", "data"), [("卷宗.pdf", pdf()), ("卷宗.zip", PACKAGE[:-9])])
def test_nothing_is_compared_with_what_is_no_whole_package(name: str, data: bytes) -> None:
    assert agreement(pair(name, "COM-001", data), pair("目录.xml", "COM-002", index(A))) == []
    assert agreement(pair("目录.xml", "COM-002", index(A))) == []


def test_an_index_of_the_generator_agrees_with_its_dossier() -> None:
    listing = render_index(CONTEXT, dossier_index(DOSSIER))
    dossier = pair("卷宗.zip", "COM-001", render_dossier(DOSSIER))
    assert agreement(dossier, pair("目录.xml", "COM-002", listing)) == []


# --- what the name says ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "document_type", "data", "expected"),
    [
        ("a.PDF", "POL-020", pdf(), []),
        ("a.JPEG", "EVD-012", jpg(), []),
        ("a.TIFF", "EVD-016", tif(), ["document-format-not-allowed"]),
        ("a", "POL-020", pdf(), ["document-format-not-allowed"]),
        (".pdf", "POL-020", pdf(), ["document-format-not-allowed"]),
        ("a.docx", "POL-020", package(), ["document-format-not-allowed"]),
        ("a.pdf.exe", "POL-020", pdf(), ["document-executable"]),
        ("a.pdf ", "POL-020", pdf(), ["document-format-not-allowed"]),
    ],
)
def test_the_declared_format_is_one_of_the_type(
    name: str, document_type: str, data: bytes, expected: list[str]
) -> None:
    assert codes(data, document_type, name) == expected


def test_a_format_that_is_not_allowed_names_those_that_are() -> None:
    (finding,) = check(tif(), "POL-020", "a.tif").findings
    assert (finding.expected, finding.found) == ("pdf, ofd", "tif")
    assert "pdf, ofd" in finding.zh


def test_time_is_allowed_in_proportion_to_size() -> None:
    small, large = estimate_seconds("a.zip", MIB), estimate_seconds("a.zip", 4096 * MIB)
    assert large == pytest.approx(4096 * small)
    assert estimate_seconds("a.mp4", 4096 * MIB) < large < longest_seconds(4096 * MIB)


def test_findings_of_a_hostile_package_are_few() -> None:
    report = check(zipped(*((f"{number}.exe", b"x") for number in range(500))))
    assert len(report.findings) <= 20
    assert verdict_of(report.findings).outcome is Outcome.REFUSED


# --- entries made by hand ---------------------------------------------------------------------------


def raw_zip(name: bytes, packed: bytes, size: int, *, method: int = 8, flags: int = 0) -> bytes:
    """A zip of one entry whose packed bytes, size and name are given as they are."""
    said = (20, flags, method, 0, 33, 0, len(packed), size, len(name), 0)
    local = struct.pack("<4s5H3L2H", b"PK\3\4", *said)
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, *said, 0, 0, 0, 0, 0)
    body = local + name + packed
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(central) + len(name), len(body), 0)
    return body + central + name + end


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (raw_zip(b"a.txt", b"\xff\xff\xff", 10), "document-unreadable"),
        (raw_zip(b"a.txt", deflated(b"text") + b"behind", 4), "document-unreadable"),
        (raw_zip(b"a.txt", deflated(b"text" * 100)[:-3], 400), "document-unreadable"),
        (raw_zip(b"a.txt", deflated(b"text"), 400), "document-unreadable"),
        (raw_zip(b"a.txt", b"text", 5, method=0), "document-unreadable"),
        (raw_zip(b"a.txt", b"text", 4, method=12), "document-encrypted"),
        (raw_zip(b"\xff\xff.txt", b"", 0, method=0), "document-entry-refused"),
        (raw_zip(b"\xb0\xa1.txt", b"", 0, method=0, flags=0x800), "document-entry-refused"),
        (raw_zip(b"folder/", b"text", 4, method=0), "document-entry-refused"),
        (raw_zip(b"", b"", 0, method=0), "document-entry-refused"),
    ],
)
def test_entries_that_contradict_themselves_are_refused(data: bytes, code: str) -> None:
    assert codes(data) == [code]


@pytest.mark.parametrize("size", [3 * MIB, BLOCK_BYTES, BLOCK_BYTES + 100])
def test_an_entry_is_unpacked_to_its_end_wherever_the_blocks_fall(size: int) -> None:
    """At the last size all packed bytes are in while unpacked ones are still to come."""
    assert codes(bomb(size)) == []


def test_an_ofd_with_a_huge_document_file_is_refused() -> None:
    assert ofd_codes(ofd(Doc_0__Document_xml=b" " * 9 * MIB)) == ["document-too-large"]


class _Failing(io.BytesIO):
    """A scratch file on a full disk, or in a process without memory."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def write(self, _: object) -> int:
        raise self.error


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), RecursionError()])
def test_a_lack_of_this_machine_blames_no_package(error: BaseException) -> None:
    data = zipped(("a.pdf", pdf()))
    listed = Attachment("卷宗.zip", "COM-001", len(data), None)
    with pytest.raises(ValidatorError):
        check_document(io.BytesIO(data), len(data), listed, load_catalogue(), lambda: _Failing(error))
