"""Zip drops: the strict structure (zip_format) and what is taken out of it (zip_drop)."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from frontend_server.drops import DropChangedError, DropRefusedError
from frontend_server.outbox import observe
from frontend_server.zip_drop import ZipSource
from packet_spec.identity import sha256_hex
from packet_spec.limits import PACKET_XML_BYTES

DOCUMENT = b"<packet></packet>"
OPINION = "起诉意见书.pdf"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "A.zip"


def open_zip(outbox: int) -> ZipSource:
    observation = observe(outbox, b"A.zip")
    assert observation is not None
    return ZipSource(outbox, observation)


def contents(outbox: int) -> dict[bytes, bytes]:
    source = open_zip(outbox)
    try:
        assert source.packet_xml() == DOCUMENT
        return {member.name: b"".join(source.blocks(index)) for index, member in enumerate(source.members)}
    finally:
        source.close()


def refusal(outbox: int) -> tuple[str, bool]:
    with pytest.raises(DropRefusedError) as caught:
        contents(outbox)
    (finding,) = caught.value.findings
    return finding.code, caught.value.cut


def write(
    path: Path, *entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED
) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)


class RawName(zipfile.ZipInfo):
    """An entry whose name is written as these bytes, as old tools do, without the UTF-8 flag."""

    def __init__(self, raw: bytes) -> None:
        super().__init__(raw.hex())
        self.raw = raw
        self.compress_type = zipfile.ZIP_DEFLATED

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's hook
        return self.raw, self.flag_bits


# --- what is read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("top", ["", "案件/", "top/"])
def test_a_plain_zip(outbox: int, path: Path, method: int, top: str) -> None:
    big = os.urandom(700_000)
    files = {"packet.xml": DOCUMENT, OPINION: b"hello", "big.bin": big, "e": b""}
    write(path, *((top + name, data) for name, data in files.items()), method=method)
    assert contents(outbox) == {OPINION.encode(): b"hello", b"big.bin": big, b"e": b""}


def test_folder_entries_litter_and_resource_forks_are_passed_over(outbox: int, path: Path) -> None:
    write(
        path,
        ("top/", b""),
        ("top/packet.xml", DOCUMENT),
        ("top/Thumbs.db", b"x"),
        ("top/.DS_Store", b"x"),
        ("__MACOSX/top/._a.pdf", b"x"),
        ("top/a.pdf", b"1"),
    )
    assert contents(outbox) == {b"a.pdf": b"1"}


@pytest.mark.parametrize("separator", ["\\", "/"])
def test_gbk_names_and_back_slashes_of_old_tools(outbox: int, path: Path, separator: str) -> None:
    # 誠 ends in the byte of a back-slash in GBK.
    for name in (OPINION, "誠.pdf"):
        raw = f"卷宗{separator}{name}".encode("gb18030")
        write(path, (RawName(f"卷宗{separator}packet.xml".encode("gb18030")), DOCUMENT), (RawName(raw), b"1"))
        assert contents(outbox) == {name.encode("gb18030"): b"1"}


def test_one_archive_has_one_encoding_for_names_that_state_none(outbox: int, path: Path) -> None:
    """The bytes of 图片 in GBK are valid UTF-8, those of 证据 are not: both were written by one old tool."""
    for top in ("图片", "案卷"):
        files = {"packet.xml": DOCUMENT, "证据.pdf": b"1"}
        write(path, *[(RawName(f"{top}/{name}".encode("gb18030")), data) for name, data in files.items()])
        assert contents(outbox) == {"证据.pdf".encode("gb18030"): b"1"}


def test_utf8_names_without_the_flag(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT), (RawName(OPINION.encode()), b"1"))
    assert contents(outbox) == {OPINION.encode(): b"1"}


def test_a_streamed_zip_with_data_descriptors(outbox: int, path: Path) -> None:
    class Pipe:
        def __init__(self, target: Path) -> None:
            self.file = target.open("wb")

        def write(self, data: bytes) -> int:
            return self.file.write(data)

        def flush(self) -> None:
            self.file.flush()

    pipe = Pipe(path)
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[call-overload]
        archive.writestr("packet.xml", DOCUMENT)
        archive.writestr("a.pdf", b"1" * 100_000)
    pipe.file.close()
    assert contents(outbox) == {b"a.pdf": b"1" * 100_000}


def test_sixty_four_bit_entries(outbox: int, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in (("packet.xml", DOCUMENT), ("a.pdf", b"1" * 1000)):
            with archive.open(name, "w", force_zip64=True) as entry:
                entry.write(data)
    assert contents(outbox) == {b"a.pdf": b"1" * 1000}


def test_a_sixty_four_bit_directory(outbox: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    write(path, ("packet.xml", DOCUMENT), ("a.pdf", b"1"))
    assert b"PK\x06\x06" in path.read_bytes()
    assert contents(outbox) == {b"a.pdf": b"1"}


def test_the_digest_is_that_of_the_zip_itself(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT))
    source = open_zip(outbox)
    data = path.read_bytes()
    assert (source.size, source.digest()) == (len(data), sha256_hex(data))
    source.close()


# --- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../evil.pdf",
        "..\\evil.pdf",
        "a/../../evil.pdf",
        "/etc/passwd",
        "\\\\server\\share",
        "C:\\evil.pdf",
        "C:evil.pdf",
        "a.pdf:stream",
        "sub/deeper/a.pdf",
        "CON",
        "nul.pdf",
        "LPT1.txt",
        "a.pdf.",
        "a.pdf ",
        "a\x01.pdf",
        "\u202efdp.exe",
        "..",
        "sub/../packet.xml",
    ],
)
def test_names_that_lead_elsewhere_are_refused(outbox: int, path: Path, name: str) -> None:
    write(path, ("packet.xml", DOCUMENT), (RawName(name.encode()), b"1"))
    assert refusal(outbox) == ("zip-entry-refused", False)


def test_undecodable_names_are_refused(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT), (RawName(b"\xff\xff\xff.pdf"), b"1"))
    assert refusal(outbox) == ("zip-entry-refused", False)


def test_two_top_folders_are_refused(outbox: int, path: Path) -> None:
    write(path, ("a/packet.xml", DOCUMENT), ("b/x.pdf", b"1"))
    assert refusal(outbox) == ("zip-entry-refused", False)
    write(path, ("packet.xml", DOCUMENT), ("b/x.pdf", b"1"))
    assert refusal(outbox) == ("zip-entry-refused", False)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_only_plain_files_are_taken(outbox: int, path: Path, kind: int) -> None:
    info = zipfile.ZipInfo("a.pdf")
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    write(path, ("packet.xml", DOCUMENT), (info, b"/etc/passwd"))
    assert refusal(outbox) == ("zip-entry-refused", False)


def test_a_windows_link_is_refused(outbox: int, path: Path) -> None:
    info = zipfile.ZipInfo("a.pdf")
    info.create_system = 0
    info.external_attr = 0x0400
    write(path, ("packet.xml", DOCUMENT), (info, b"x"))
    assert refusal(outbox) == ("zip-entry-refused", False)


@pytest.mark.parametrize("twin", ["A.PDF", "a.pdf", "Packet.XML"])
def test_two_names_that_meet_are_refused(outbox: int, path: Path, twin: str) -> None:
    write(path, ("packet.xml", DOCUMENT), ("a.pdf", b"1"), (RawName(twin.encode()), b"2"))
    assert refusal(outbox) == ("attachment-file-twice", False)


def test_a_zip_without_packet_xml_is_refused(outbox: int, path: Path) -> None:
    write(path, ("a.pdf", b"1"))
    assert refusal(outbox) == ("packet-xml-missing", False)
    write(path)
    assert refusal(outbox) == ("packet-xml-missing", False)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(outbox: int, path: Path, method: int) -> None:
    write(path, ("packet.xml", DOCUMENT), method=method)
    assert refusal(outbox) == ("zip-protected", False)


def test_an_encrypted_entry_is_refused(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT))
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    assert refusal(outbox) == ("zip-protected", False)


def test_a_bomb_is_refused_before_it_is_unpacked(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT), ("a.bin", bytes(64 * 1024 * 1024)))
    with pytest.raises(DropRefusedError) as caught:
        open_zip(outbox)
    assert caught.value.findings[0].code == "zip-too-large"


def test_a_packet_xml_over_its_cap_is_refused(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", os.urandom(PACKET_XML_BYTES + 1)), method=zipfile.ZIP_STORED)
    assert refusal(outbox) == ("too-large", False)


def test_too_many_entries_are_refused(outbox: int, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend_server.zip_drop.ZIP_ENTRIES", 2)
    write(path, ("packet.xml", DOCUMENT), ("a", b""), ("b", b""))
    assert refusal(outbox) == ("zip-damaged", True)


# --- what is damaged, or not whole yet -----------------------------------------------------------------


def test_every_beginning_of_a_zip_may_still_grow(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT), ("a.pdf", b"1" * 50))
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        assert refusal(outbox) == ("zip-damaged", True), length


def test_every_wrong_byte_is_noticed_or_harmless(outbox: int, path: Path) -> None:
    """No damaged byte of a zip ever leads to other content than was written."""
    write(path, ("packet.xml", DOCUMENT), ("a.pdf", b"123456789" * 5))
    data = path.read_bytes()
    for position in range(len(data)):
        path.write_bytes(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])
        try:
            found = contents(outbox)
        except DropRefusedError:
            continue
        assert found == {b"a.pdf": b"123456789" * 5}, position


def test_data_around_the_archive_is_refused(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT))
    data = path.read_bytes()
    for changed in (b"MZ" + data, data + b"x"):
        path.write_bytes(changed)
        assert refusal(outbox) == ("zip-damaged", True)


def raw_zip(*entries: tuple[bytes, int, int, bytes, int], gap: bytes = b"") -> bytes:
    """A stored or deflated zip by hand: (name, method, stated size, packed bytes, offset in the directory).

    An offset of -1 is the true one; ``gap`` lies between the entries and the directory.
    """
    body, directory = b"", b""
    for name, method, size, packed, offset in entries:
        crc = zlib.crc32(zlib.decompress(packed, -15) if method else packed)
        true_offset = len(body) if offset < 0 else offset
        body += struct.pack(
            "<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 0, crc, len(packed), size, len(name), 0
        )
        body += name + packed
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, method, 0, 0, crc, len(packed), size, len(name),
            0, 0, 0, 0, 0, true_offset,
        )  # fmt: skip
        directory += name
    body += gap
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries), len(entries), len(directory), len(body), 0
    )
    return body + directory + end


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PLAIN = (b"packet.xml", 0, len(DOCUMENT), DOCUMENT, -1)


def test_the_hand_made_zip_is_read(outbox: int, path: Path) -> None:
    path.write_bytes(raw_zip(PLAIN, (b"a", 8, 5, deflated(b"hello"), -1)))
    assert contents(outbox) == {b"a": b"hello"}


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(raw_zip(PLAIN, (b"a", 0, 1, b"1", 0)), id="two entries in one place"),
        pytest.param(raw_zip(PLAIN, gap=b"hidden"), id="a gap"),
        pytest.param(raw_zip(PLAIN, (b"a", 0, 2, b"1", -1)), id="stored with two sizes"),
        pytest.param(raw_zip(PLAIN, (b"a", 8, 4, deflated(b"hello"), -1)), id="more than stated"),
        pytest.param(raw_zip(PLAIN, (b"a", 8, 6, deflated(b"hello"), -1)), id="less than stated"),
        pytest.param(raw_zip(PLAIN, (b"a", 8, 5, deflated(b"hello") + b"x", -1)), id="a byte behind"),
        pytest.param(
            raw_zip(PLAIN, (b"a", 8, 5, deflated(b"hello") + b"x" * 600_000, -1)), id="much behind the data"
        ),
    ],
)
def test_contradictions_are_refused(outbox: int, path: Path, damaged: bytes) -> None:
    path.write_bytes(damaged)
    assert refusal(outbox) == ("zip-damaged", True)


def test_a_directory_that_differs_from_the_entries_is_refused(outbox: int, path: Path) -> None:
    data = raw_zip(PLAIN, (b"a.pdf", 0, 1, b"1", -1))
    position = data.rindex(b"a.pdf")
    path.write_bytes(data[:position] + b"b.pdf" + data[position + 5 :])
    assert refusal(outbox) == ("zip-damaged", True)


def test_an_archive_in_several_parts_is_refused(outbox: int, path: Path) -> None:
    data = bytearray(raw_zip(PLAIN))
    data[data.rindex(b"PK\x05\x06") + 4] = 1
    path.write_bytes(data)
    assert refusal(outbox) == ("zip-damaged", True)


def test_a_zip_that_is_written_while_it_is_read_is_not_taken(outbox: int, path: Path) -> None:
    write(path, ("packet.xml", DOCUMENT), ("a.pdf", b"1"))
    source = open_zip(outbox)
    path.open("ab").close()
    os.utime(path, ns=(1, 1))
    with pytest.raises(DropChangedError):
        source.packet_xml()
    source.close()
