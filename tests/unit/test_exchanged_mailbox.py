from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.errors import TransportError, TransportFileError
from exchanged.mailbox import (
    Direction,
    MailboxKind,
    batch_name,
    blob_name,
    classify,
    directory_name,
    open_foreign,
    require_known,
    scan_directory,
)
from packet_spec.model import Edition

BATCH = "00000042-0123456789abcdef.batch"
BLOB = "ab" * 32 + ".blob"


def test_the_four_patterns() -> None:
    batch = classify(BATCH)
    assert batch is not None
    assert (batch.kind, batch.number) == (MailboxKind.BATCH, 42)
    blob = classify(BLOB)
    assert blob is not None
    assert (blob.kind, blob.digest) == (MailboxKind.BLOB, "ab" * 32)
    acknowledgement = classify("ack.batch")
    assert acknowledgement is not None
    assert acknowledgement.kind is MailboxKind.ACKNOWLEDGEMENT
    directory = classify("directory-17.xml")
    assert directory is not None
    assert (directory.kind, directory.edition) == (MailboxKind.DIRECTORY, Edition(1, 17))
    recovered = classify("directory-2-17.xml")
    assert recovered is not None
    assert recovered.edition == Edition(2, 17)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "bell",
        f".{BATCH}.part",
        f"{BATCH}\n",
        f" {BATCH}",
        f"../{BATCH}",
        f"x/{BATCH}",
        BATCH.upper(),
        "0000042-0123456789abcdef.batch",
        "000000042-0123456789abcdef.batch",
        "00000042-0123456789abcde.batch",
        "٠٠٠٠٠٠٤٢-0123456789abcdef.batch",
        "00000000-0123456789abcdef.batch",
        "AB" * 32 + ".blob",
        "ab" * 31 + ".blob",
        "ack.batch~",
        "directory-.xml",
        "directory-01.xml",
        "directory--1.xml",
        "directory-1.xml.xml",
        "directory-1\udcff.xml",
    ],
)
def test_strangers(name: str) -> None:
    assert classify(name) is None
    with pytest.raises(TransportFileError):
        require_known(name)


def test_names_are_made_as_they_are_read() -> None:
    assert batch_name(42, bytes.fromhex("0123456789abcdef")) == BATCH
    assert blob_name("ab" * 32) == BLOB
    assert directory_name(Edition(1, 17)) == "directory-17.xml"
    assert directory_name(Edition(3, 1)) == "directory-3-1.xml"
    impossible: list[Callable[[], str]] = [
        lambda: batch_name(100_000_000, bytes(8)),
        lambda: batch_name(-1, bytes(8)),
        lambda: batch_name(0, bytes(8)),
        lambda: batch_name(1, bytes(7)),
        lambda: blob_name("../x"),
        lambda: directory_name(Edition(1, -1)),
    ]
    for make in impossible:
        with pytest.raises(ValueError, match="no mailbox name"):
            make()


def test_directions() -> None:
    assert Direction.UP.opposite is Direction.DOWN
    assert Direction.DOWN.opposite is Direction.UP


def test_a_scan_orders_known_files_and_counts_strangers(tmp_path: Path) -> None:
    second = "00000043-0123456789abcdef.batch"
    for name in (second, BATCH, BLOB, "ack.batch", "directory-2.xml", "directory-1.xml"):
        (tmp_path / name).write_bytes(b"xyz")
    (tmp_path / f".{BATCH}.part").write_bytes(b"growing")
    (tmp_path / "readme.txt").write_bytes(b"")
    (tmp_path / os.fsdecode(b"\xc4\xe3")).write_bytes(b"")
    listing = scan_directory(tmp_path)
    assert [file.name for file in listing.files] == [
        "directory-1.xml",
        "directory-2.xml",
        "ack.batch",
        BLOB,
        BATCH,
        second,
    ]
    assert {file.size for file in listing.files} == {3}
    assert listing.strangers == 3
    assert not listing.truncated


def test_a_scan_takes_plain_files_with_one_link_only_and_does_not_recurse(tmp_path: Path) -> None:
    outside, linked = tmp_path / "outside", tmp_path / "linked"
    for path in (outside, linked):
        path.write_bytes(b"secret")
    folder = tmp_path / "up"
    folder.mkdir()
    (folder / "00000001-0123456789abcdef.batch").symlink_to(outside)
    (folder / "00000002-0123456789abcdef.batch").hardlink_to(linked)
    os.mkfifo(folder / "00000003-0123456789abcdef.batch")
    (folder / "00000004-0123456789abcdef.batch").mkdir()
    (folder / "00000004-0123456789abcdef.batch" / BATCH).write_bytes(b"deep")
    listing = scan_directory(folder)
    assert listing.files == ()
    assert listing.strangers == 4


def test_a_scan_reads_a_capped_number_of_names(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"0000000{number}-0123456789abcdef.batch").touch()
    assert len(scan_directory(tmp_path, 4).files) == 4
    assert scan_directory(tmp_path, 4).truncated
    assert not scan_directory(tmp_path, 5).truncated


def test_a_missing_folder_is_an_error_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(TransportError):
        scan_directory(tmp_path / "gone")
    (tmp_path / "file").touch()
    with pytest.raises(TransportError):
        scan_directory(tmp_path / "file")


def test_open_foreign_opens_a_plain_file_by_path_or_descriptor(tmp_path: Path) -> None:
    (tmp_path / BATCH).write_bytes(b"content")
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        for place in (tmp_path, folder):
            descriptor = open_foreign(place, BATCH, expected_uid=os.getuid())
            assert os.read(descriptor, 100) == b"content"
            os.close(descriptor)
        os.fstat(folder)
    finally:
        os.close(folder)


def test_open_foreign_refuses_and_names_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "hard").hardlink_to(tmp_path / "other")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    for name, found in (
        ("link", "symbolic link"),
        ("hard", "2 hard links"),
        ("fifo", "FIFO"),
        ("folder", "folder"),
        ("socket", "socket"),
        ("gone", "No such file"),
    ):
        with pytest.raises(TransportFileError, match=found):
            open_foreign(tmp_path, name)
    with pytest.raises(TransportFileError, match="character device"):
        open_foreign(Path("/dev"), "null")


def test_open_foreign_checks_the_owner(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(TransportFileError, match=f"uid {os.getuid()}"):
        open_foreign(tmp_path, "file", expected_uid=os.getuid() + 1)


def test_a_missing_folder_is_told_as_ours(tmp_path: Path) -> None:
    with pytest.raises(TransportFileError):
        open_foreign(tmp_path / "gone", "file")


def test_a_file_is_told_from_the_one_that_took_its_place_and_from_itself_when_changed(tmp_path: Path) -> None:
    path = tmp_path / "ack.batch"
    path.write_bytes(b"one")

    def identity() -> str:
        (found,) = scan_directory(tmp_path).files
        return found.identity

    first = identity()
    assert first == identity() != ""
    other = tmp_path / ".ack.batch.part"
    other.write_bytes(b"two")
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.rename(path)
    second = identity()
    assert second != first
    with path.open("r+b") as file:
        file.write(b"six")
    os.utime(path, ns=(0, 0))
    assert identity() != second
