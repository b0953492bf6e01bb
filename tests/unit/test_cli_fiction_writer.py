"""Drops come out whole on the disk, in every form and encoding, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree

from cli.documents.document import DocumentFormat
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.writer import DropFormat, LoneXmlError, write_drop
from exchanged.errors import ForeignVolumeError, NameTakenError
from packet_spec.check import check_packet
from packet_spec.errors import NameRefusedError, SchemaError
from packet_spec.findings import Outcome
from packet_spec.pack import shipped_pack
from tests.support.fiction import DIRECTORY, check, request_for


def test_a_folder_drop_appears_under_its_name_and_leaves_nothing_else(tmp_path: Path):
    path = write_drop(make_drop(request_for("case.report", name="drop")), tmp_path)
    assert path == tmp_path / "drop"
    assert [entry.name for entry in tmp_path.iterdir()] == ["drop"]
    assert sorted(entry.name for entry in path.iterdir()) == [
        "packet.xml",
        "案件报备表.pdf",
        "立案决定书.pdf",
    ]


@pytest.mark.parametrize(("mode", "expected"), [(0o2770, 0o070), (0o770, 0)])
def test_in_an_outbox_that_a_group_shares_the_group_can_move_the_drop(
    tmp_path: Path, mode: int, expected: int
) -> None:
    """root types the first packet of docs/install.md with its usual umask; the daemon has to put it away."""
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    outbox.chmod(mode)
    before = os.umask(0o077)
    try:
        made = write_drop(make_drop(request_for("case.report", name="drop")), outbox)
    finally:
        os.umask(before)
    assert made.stat().st_mode & 0o070 == expected
    assert (made / "packet.xml").stat().st_mode & 0o070 == expected & 0o060


def test_while_it_is_written_a_drop_has_a_temporary_name(tmp_path: Path):
    seen: set[str] = set()

    def look(_moved: int) -> None:
        seen.update(entry.name for entry in tmp_path.iterdir())

    for drop_format in (DropFormat.FOLDER, DropFormat.ZIP):
        drop = make_drop(request_for("case.report", name="drop"))
        write_drop(drop, tmp_path, drop_format=drop_format, progress=look)
    assert seen == {"drop.tmp", "drop", "drop.zip.tmp"}


@pytest.mark.parametrize("encoding", DropEncoding)
def test_a_zip_holds_the_packet_and_its_documents(tmp_path: Path, encoding: DropEncoding):
    drop = make_drop(request_for("case.report", name="drop"))
    path = write_drop(drop, tmp_path, drop_format=DropFormat.ZIP, encoding=encoding)
    folder = write_drop(drop, tmp_path, encoding=encoding)
    with zipfile.ZipFile(path, metadata_encoding="gb18030") as archive:
        assert archive.testzip() is None
        flagged = {bool(entry.flag_bits & 0x800) for entry in archive.infolist() if "pdf" in entry.filename}
        held = {name: archive.read(name) for name in archive.namelist()}

    assert path.name == "drop.zip"
    assert held == {entry.name: entry.read_bytes() for entry in folder.iterdir()}
    # Old tools give no sign that a name is not cp437; new ones flag UTF-8.
    assert flagged == {encoding is DropEncoding.UTF_8}


@pytest.mark.parametrize(
    ("encoding", "declared"),
    [(DropEncoding.UTF_8, "UTF-8"), (DropEncoding.GBK, "GBK"), (DropEncoding.GB18030, "GB18030")],
)
def test_packet_xml_is_in_the_encoding_that_it_declares(tmp_path, encoding, declared):
    # U+36C3 is in GB18030 and UTF-8 only; in GBK it has to be a character reference.
    request = request_for("case.report", set_fields={"person_name": "李㛃"}, name="drop")
    data = (write_drop(make_drop(request), tmp_path, encoding=encoding) / "packet.xml").read_bytes()
    assert data.startswith(f'<?xml version="1.0" encoding="{declared}"?>'.encode())
    assert "李" in data.decode(encoding)
    assert ("&#14019;" in data.decode(encoding)) == (encoding is DropEncoding.GBK)
    name = etree.fromstring(data).findtext(".//{urn:exchanged:body:1}person_name")
    assert name == "李㛃"


def test_a_lone_xml_is_for_packets_without_documents(tmp_path: Path):
    path = write_drop(make_drop(request_for("case.node", name="node")), tmp_path, drop_format=DropFormat.XML)
    result = check_packet(path.read_bytes(), directory=DIRECTORY, pack=shipped_pack())
    assert path == tmp_path / "node.xml"
    assert result.verdict.outcome is Outcome.VALID
    with pytest.raises(LoneXmlError, match="POL-008"):
        write_drop(make_drop(request_for("case.report")), tmp_path, drop_format=DropFormat.XML)


def test_a_drop_that_is_there_stays_as_it_is(tmp_path: Path):
    (tmp_path / "drop").mkdir()
    with pytest.raises(NameTakenError):
        write_drop(make_drop(request_for("case.report", name="drop")), tmp_path)
    assert list((tmp_path / "drop").iterdir()) == []
    with pytest.raises(ForeignVolumeError):
        write_drop(make_drop(request_for("case.report")), tmp_path / "missing")


def test_a_failed_drop_leaves_nothing_and_an_old_rest_is_replaced(tmp_path: Path):
    broken = make_drop(request_for("case.report", name="drop", set_fields={"case_name": "\x0b"}))
    with pytest.raises(SchemaError):
        write_drop(broken, tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "drop.tmp").mkdir()
    (tmp_path / "drop.tmp" / "old").write_bytes(b"")
    path = write_drop(make_drop(request_for("case.report", name="drop")), tmp_path)
    assert not (path / "old").exists()


@pytest.mark.parametrize(
    "name", ["", "../up", "a/b", "a\\b", "a.", " a", "con", "a.tmp", "b.part", "长" * 80]
)
def test_a_drop_has_a_plain_name(tmp_path: Path, name: str):
    drop = replace(make_drop(request_for("case.report")), name=name)
    with pytest.raises(NameRefusedError):
        write_drop(drop, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_documents_come_in_the_format_that_is_asked_for(tmp_path: Path):
    formats = {"POL-008": DocumentFormat.OFD, "POL-002": DocumentFormat.OFD}
    path = write_drop(make_drop(request_for("case.report", formats=formats)), tmp_path)
    assert zipfile.is_zipfile(path / "案件报备表.ofd")


def test_a_video_has_at_least_the_size_asked_for(tmp_path: Path):
    request = request_for("prosecution.transfer", extra_documents=("EVD-024",), video_bytes=700_000)
    path = write_drop(make_drop(request), tmp_path)
    assert (path / "执法记录仪视频.mp4").stat().st_size >= 700_000
    assert check(path).verdict.findings == ()


def test_a_vendor_on_windows_can_import_it():
    """Modules that only POSIX has are hidden; the import must still go through."""
    script = (
        "import sys\n"
        "for name in ('fcntl', 'pwd', 'grp', 'termios', 'resource', 'syslog'):\n"
        "    sys.modules[name] = None\n"
        "import cli.commands.packet_new\n"
        "import cli.demo.drops\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert (done.returncode, done.stderr) == (0, b"")
