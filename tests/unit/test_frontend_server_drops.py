"""Looking at drops and reading them: outbox, drops, reading."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.errors import ForeignVolumeError
from frontend_server.drops import (
    DropChangedError,
    DropRefusedError,
    FolderSource,
    LoneXmlSource,
    OpenFile,
)
from frontend_server.markers import find_marker, marker_name
from frontend_server.outbox import (
    DropKind,
    Observation,
    SeenFile,
    drop_names,
    list_names,
    observe,
)
from packet_spec.limits import PACKET_XML_BYTES, PARTS


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def seen(outbox: int, name: bytes = b"A") -> Observation:
    observation = observe(outbox, name)
    assert observation is not None
    return observation


def folder(root: Path, name: str = "A", **files: bytes) -> Path:
    path = root / name
    path.mkdir()
    (path / "packet.xml").write_bytes(b"<packet/>")
    for file, data in files.items():
        (path / file).write_bytes(data)
    return path


# --- names -------------------------------------------------------------------------------------------


def test_names_that_are_no_drops_are_passed_over() -> None:
    litter = [b"~$A.xml", b"Thumbs.db", b"DESKTOP.INI", b".DS_Store", b".exchanged-marker", b".A.xml.part"]
    unfinished = [b"A.xml.tmp", b"A.PART"]
    ours = [b"A.findings.xml", b"A.zip.Findings.TXT"]
    drops = [b"A", b"A.zip", b"B.XML", "案件".encode(), "案件".encode("gb18030"), b"x.pdf"]
    assert drop_names([*litter, *unfinished, *ours, *drops], with_markers=False) == sorted(drops)


def test_markers_are_drops_only_where_nobody_uses_them() -> None:
    assert drop_names([b"A.ok", b"A.END", b"A"], with_markers=True) == [b"A"]
    assert drop_names([b"A.ok", b"A.END", b"A"], with_markers=False) == [b"A", b"A.END", b"A.ok"]


@pytest.mark.parametrize(
    ("name", "names", "marker"),
    [
        (b"A", {b"A", b"A.ok"}, b"A.ok"),
        (b"A", {b"A", b"A.end"}, b"A.end"),
        (b"A.zip", {b"A.zip", b"A.ok"}, b"A.ok"),
        (b"A.zip", {b"A.zip", b"A.zip.ok", b"A.ok"}, b"A.zip.ok"),
        (b"A.zip", {b"A.zip", b"B.ok"}, None),
        # A.ok could be of either, so it is of neither.
        (b"A.zip", {b"A.zip", b"A.xml", b"A.ok"}, None),
        (b"A.xml", {b"A.zip", b"A.xml", b"A.ok", b"A.xml.end"}, b"A.xml.end"),
        (b"A.xml", {b"A.ZIP", b"A.xml", b"A.ok"}, None),
        (b"A.ZIP", {b"A.ZIP", b"A.ok"}, b"A.ok"),
        (b"A.zip", {b"A.zip", b"A.OK"}, b"A.OK"),
        (b"A", {b"A", b"A.End"}, b"A.End"),
        (b"A", {b"A", b"a.ok"}, None),
    ],
)
def test_the_marker_of_a_drop(
    outbox: int, tmp_path: Path, name: bytes, names: set[bytes], marker: bytes | None
) -> None:
    assert marker_name(name, names) == marker
    for each in names:
        (tmp_path / os.fsdecode(each)).touch()
    assert find_marker(outbox, name) == marker


def test_a_listing_stops_at_its_cap(outbox: int, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / str(number)).touch()
    assert not list_names(outbox, 5).truncated
    capped = list_names(outbox, 4)
    assert (len(capped.names), capped.truncated) == (4, True)


# --- looking -----------------------------------------------------------------------------------------


def test_a_folder_is_seen_with_its_files(outbox: int, tmp_path: Path) -> None:
    path = folder(tmp_path, **{"b.pdf": b"12", "Thumbs.db": b"litter", "a.pdf": b"1"})
    observation = seen(outbox)
    assert observation.kind is DropKind.FOLDER
    assert [(file.name, file.size) for file in observation.files] == [
        (b"a.pdf", 1),
        (b"b.pdf", 2),
        (b"packet.xml", 9),
    ]
    assert observation.inode == path.stat().st_ino
    assert (observation.oddity, observation.problem) == (None, "")
    assert observation.identity.size == 12


def test_kinds_go_by_what_lies_there(outbox: int, tmp_path: Path) -> None:
    for name in ("A.zip", "B.XML", "C.pdf", "D"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "E.zip").mkdir()
    kinds = {name: seen(outbox, name).kind for name in (b"A.zip", b"B.XML", b"C.pdf", b"D", b"E.zip")}
    assert list(kinds.values()) == [
        DropKind.ZIP,
        DropKind.XML,
        DropKind.STRANGE,
        DropKind.STRANGE,
        DropKind.FOLDER,
    ]
    oddity = seen(outbox, b"C.pdf").oddity
    assert oddity is not None
    assert oddity.code == "drop-kind-unknown"


def test_nothing_there_is_nothing_seen(outbox: int) -> None:
    assert observe(outbox, b"A") is None


def make_strange(kind: str, path: Path) -> None:
    if kind == "symlink":
        path.symlink_to("/etc/passwd")
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            # The path is too long for a socket address where tests run deep in a temporary folder.
            here = os.open(path.parent, os.O_RDONLY)
            server.bind(f"/proc/self/fd/{here}/{path.name}")
            os.close(here)
    elif kind == "hard link":
        path.with_name("other").write_bytes(b"x")
        os.link(path.with_name("other"), path)
    elif kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            path.symlink_to("/dev/null")


STRANGE = ["symlink", "dangling", "fifo", "socket", "hard link", "device"]


@pytest.mark.parametrize("kind", STRANGE)
def test_what_is_no_plain_file_is_described_and_not_opened(outbox: int, tmp_path: Path, kind: str) -> None:
    make_strange(kind, tmp_path / "A.xml")
    observation = seen(outbox, b"A.xml")
    assert observation.kind is DropKind.STRANGE
    assert observation.oddity is not None
    assert observation.oddity.code == "drop-not-plain"
    assert observation.oddity.file == "A.xml"


@pytest.mark.parametrize("kind", STRANGE)
def test_a_folder_with_something_strange_inside_is_strange(outbox: int, tmp_path: Path, kind: str) -> None:
    make_strange(kind, folder(tmp_path) / "x.pdf")
    observation = seen(outbox)
    assert observation.kind is DropKind.STRANGE
    assert observation.oddity is not None
    assert (observation.oddity.code, observation.oddity.file) in {
        ("drop-not-plain", "A/x.pdf"),
        ("drop-not-plain", "A/other"),
    }


def test_drops_are_flat(outbox: int, tmp_path: Path) -> None:
    (folder(tmp_path) / "sub").mkdir()
    oddity = seen(outbox).oddity
    assert oddity is not None
    assert (oddity.code, oddity.found) == ("drop-not-plain", "a folder")


def test_a_folder_without_end_is_not_listed_to_its_end(outbox: int, tmp_path: Path) -> None:
    path = folder(tmp_path)
    for number in range(PARTS + 20):
        (path / str(number)).touch()
    observation = seen(outbox)
    assert observation.oddity is not None
    assert observation.oddity.code == "drop-too-many-files"
    assert len(observation.files) == PARTS + 17


@pytest.mark.parametrize("change", ["content", "new file", "gone", "other inode", "touched"])
def test_every_change_shows_in_the_fingerprint(outbox: int, tmp_path: Path, change: str) -> None:
    path = folder(tmp_path, **{"a.pdf": b"1"})
    before = seen(outbox).identity
    assert seen(outbox).identity == before
    file = path / "a.pdf"
    if change == "content":
        file.write_bytes(b"22")
    elif change == "new file":
        (path / "b.pdf").touch()
    elif change == "gone":
        file.unlink()
    elif change == "other inode":
        times = file.stat()
        file.rename(tmp_path / "away")
        file.write_bytes(b"1")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    else:
        os.utime(file, ns=(0, 1))
    assert seen(outbox).identity.fingerprint != before.fingerprint


def test_litter_and_the_marker_are_no_part_of_the_identity(outbox: int, tmp_path: Path) -> None:
    path = folder(tmp_path)
    before = seen(outbox)
    (path / "Thumbs.db").write_bytes(b"litter")
    (tmp_path / "A.ok").touch()
    marked = observe(outbox, b"A", b"A.ok")
    assert marked is not None
    assert marked.identity == before.identity
    assert marked.look != before.look


def test_a_drop_keeps_its_identity_when_it_is_moved(outbox: int, tmp_path: Path) -> None:
    folder(tmp_path)
    before = seen(outbox)
    (tmp_path / "A").rename(tmp_path / ".moved")
    moved = observe(outbox, b"A", lies_as=b".moved")
    assert moved is not None
    assert moved.identity == before.identity


@pytest.mark.parametrize("name", ["案件".encode("gb18030") + b".xml", b"\xff\xfe.xml", b"x" * 251 + b".xml"])
def test_names_are_bytes(outbox: int, tmp_path: Path, name: bytes) -> None:
    with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:  # noqa: PTH123 - a name that is no text
        file.write(b"<packet></packet>")
    assert drop_names(list_names(outbox, 10).names, with_markers=False) == [name]
    observation = seen(outbox, name)
    assert observation.identity.name == name
    assert LoneXmlSource(outbox, observation).packet_xml() == b"<packet></packet>"


def test_a_folder_that_may_not_be_read_is_a_problem(
    outbox: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path)

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("frontend_server.outbox.os.open", refused)
    observation = seen(outbox)
    assert observation.problem == "Permission denied"


# --- reading -----------------------------------------------------------------------------------------


def test_a_folder_is_read_file_by_file(outbox: int, tmp_path: Path) -> None:
    folder(tmp_path, **{"a.pdf": b"1" * 3_000_000, "b.pdf": b""})
    source = FolderSource(outbox, seen(outbox))
    assert source.packet_xml() == b"<packet/>"
    assert [(member.name, member.size) for member in source.members] == [(b"a.pdf", 3_000_000), (b"b.pdf", 0)]
    assert b"".join(source.blocks(0)) == b"1" * 3_000_000
    assert b"".join(source.blocks(1)) == b""
    source.close()
    source.close()


def test_a_packet_xml_that_is_too_large_is_not_read(outbox: int, tmp_path: Path) -> None:
    with (tmp_path / "A.xml").open("wb") as file:
        file.truncate(PACKET_XML_BYTES + 1)
    with pytest.raises(DropRefusedError) as caught:
        LoneXmlSource(outbox, seen(outbox, b"A.xml")).packet_xml()
    assert [finding.code for finding in caught.value.findings] == ["too-large"]
    assert not caught.value.cut


@pytest.mark.parametrize("kind", [*STRANGE, "another file", "gone"])
def test_what_was_swapped_after_it_was_seen_is_not_read(outbox: int, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "A.xml"
    path.write_bytes(b"<packet></packet>")
    observation = seen(outbox, b"A.xml")
    path.rename(tmp_path / "kept")
    if kind == "another file":
        path.write_bytes(b"<packet></packet>")
    elif kind != "gone":
        make_strange(kind, path)
    with pytest.raises(DropChangedError):
        LoneXmlSource(outbox, observation).packet_xml()


def test_a_folder_that_was_swapped_is_not_read(outbox: int, tmp_path: Path) -> None:
    folder(tmp_path)
    observation = seen(outbox)
    (tmp_path / "A").rename(tmp_path / "kept")
    with pytest.raises(DropChangedError):
        FolderSource(outbox, observation)
    folder(tmp_path)
    with pytest.raises(DropChangedError):
        FolderSource(outbox, observation)
    (tmp_path / "A" / "packet.xml").unlink()
    (tmp_path / "A").rmdir()
    (tmp_path / "A").symlink_to(tmp_path / "kept")
    with pytest.raises(DropChangedError):
        FolderSource(outbox, observation)


@pytest.mark.parametrize("change", ["rewritten", "longer", "shorter", "same size and mtime"])
def test_a_file_that_is_written_while_it_is_read_is_not_taken(
    outbox: int, tmp_path: Path, change: str
) -> None:
    path = folder(tmp_path, **{"a.pdf": b"1" * 3_000_000}) / "a.pdf"
    source = FolderSource(outbox, seen(outbox))
    blocks = source.blocks(0)
    next(blocks)
    times = path.stat()
    with path.open("r+b") as file:
        if change == "shorter":
            file.truncate(1_500_000)
        elif change == "longer":
            file.seek(0, os.SEEK_END)
            file.write(b"2")
        else:
            file.write(b"2")
    if change == "same size and mtime":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DropChangedError):
        list(blocks)


def test_a_file_without_permission_is_not_the_fault_of_the_drop(
    outbox: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "A.xml").write_bytes(b"x")
    file = seen(outbox, b"A.xml").files[0]

    def refused(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("exchanged.mailbox.os.open", refused)
    with pytest.raises(ForeignVolumeError):
        OpenFile(outbox, file)


def test_a_failing_read_is_the_volume_and_not_the_drop(
    outbox: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "A.xml").write_bytes(b"x")
    file = OpenFile(outbox, seen(outbox, b"A.xml").files[0])

    def fails(*_: object) -> bytes:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("frontend_server.drops.os.pread", fails)
    with pytest.raises(ForeignVolumeError, match="Input/output error"):
        list(file.blocks())
    file.close()


@pytest.mark.parametrize("when", ["opening", "reading"])
def test_a_share_that_goes_away_is_the_volume_and_not_the_drop(
    outbox: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    folder(tmp_path, **{"a.pdf": b"x"})

    def fails(_: int) -> os.stat_result:
        raise OSError(107, "Transport endpoint is not connected")

    observation = seen(outbox)
    source = FolderSource(outbox, observation)
    blocks = source.blocks(0)
    next(blocks)
    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.drops.os.fstat", fails)
        with pytest.raises(ForeignVolumeError, match="not connected"):
            list(blocks) if when == "reading" else FolderSource(outbox, observation)
    source.close()


def test_only_the_very_file_is_opened(outbox: int, tmp_path: Path) -> None:
    (tmp_path / "A.xml").write_bytes(b"x")
    file = seen(outbox, b"A.xml").files[0]
    for other in (
        SeenFile(file.name, file.device, file.inode + 1, file.size, file.mtime),
        SeenFile(file.name, file.device, file.inode, file.size + 1, file.mtime),
        SeenFile(file.name, file.device, file.inode, file.size, file.mtime + 1),
    ):
        with pytest.raises(DropChangedError):
            OpenFile(outbox, other)


def test_a_lone_xml_has_no_members(outbox: int, tmp_path: Path) -> None:
    (tmp_path / "A.xml").write_bytes(b"x")
    source = LoneXmlSource(outbox, seen(outbox, b"A.xml"))
    assert source.members == ()
    with pytest.raises(IndexError):
        source.blocks(0)
    source.close()
