"""``exchangectl packet check`` comes to the same verdicts as a front-end, without its readers."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.drop_reader import DropRefused, read_drop
from cli.packet_check import _Comparison
from frontend_server.completeness import compare
from frontend_server.drops import DropRefusedError, FolderSource
from frontend_server.outbox import observe
from frontend_server.zip_drop import ZipSource
from packet_spec.model import Attachment


def zip_of(*entries: tuple[str | zipfile.ZipInfo, bytes], **options: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "drop.zip"
        with zipfile.ZipFile(path, "w", **options) as archive:  # type: ignore[call-overload]
            for name, data in entries:
                archive.writestr(name, data)
        return path

    return make


def info(name: str, **attributes: int) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2026, 7, 15, 9, 30, 0))
    for attribute, value in attributes.items():
        setattr(made, attribute, value)
    return made


def folder_of(**files: bytes | None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / "drop"
        path.mkdir()
        for name, data in files.items():
            target = path / name.replace("_", ".")
            if data is None:
                target.mkdir()
            else:
                target.write_bytes(data)
        return path

    return make


def cut(make: Callable[[Path], Path], count: int) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[:-count])
        return path

    return spoil


def flipped(make: Callable[[Path], Path], wanted: bytes) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        path = make(folder)
        data = path.read_bytes()
        assert data.count(wanted) == 1
        path.write_bytes(data.replace(wanted, bytes(byte ^ 1 for byte in wanted)))
        return path

    return spoil


def renamed(make: Callable[[Path], Path], old: bytes, new: bytes) -> Callable[[Path], Path]:
    def spoil(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes().replace(old, new))
        return path

    return spoil


def linked(folder: Path) -> Path:
    path = folder_of(packet_xml=b"<x/>")(folder)
    (path / "link.pdf").symlink_to("/etc/hostname")
    return path


XML = ("packet.xml", b"<x/>")
LISTED = (Attachment("起诉意见书.pdf", "POL-020", 5, None), Attachment("b.pdf", "POL-020", 3, None))
DROPS: dict[str, Callable[[Path], Path]] = {
    "plain zip": zip_of(XML, ("起诉意见书.pdf", b"hello"), ("b.pdf", b"abc")),
    "one top folder": zip_of(("top/packet.xml", b"<x/>"), ("top/b.pdf", b"abc")),
    "GBK names": zip_of(XML, (info("起诉意见书.pdf".encode("gb18030").decode("cp437")), b"hello")),
    "GBK where the flag says UTF-8": renamed(zip_of(XML, ("起.pdf", b"hello")), "起".encode(), b"\xc6\xf0_"),
    "back-slashes": zip_of((info("top\\packet.xml"), b"<x/>"), (info("top\\b.pdf"), b"abc")),
    "litter": zip_of(XML, ("__MACOSX/x", b"x"), (".DS_Store", b"x"), ("b.pdf", b"abc"), ("a.tmp", b"x")),
    "deflated": zip_of(XML, ("b.pdf", b"a" * 5000), compression=zipfile.ZIP_DEFLATED),
    "two folders": zip_of(("a/packet.xml", b"<x/>"), ("b/b.pdf", b"abc")),
    "folder and root": zip_of(XML, ("a/b.pdf", b"abc")),
    "deep": zip_of(("a/b/packet.xml", b"<x/>")),
    "parent": zip_of(XML, ("../b.pdf", b"abc")),
    "device": zip_of(XML, ("con.pdf", b"abc")),
    "colon": zip_of(XML, ("a:b.pdf", b"abc")),
    "symbolic link": zip_of(XML, (info("b.pdf", create_system=3, external_attr=0o120777 << 16), b"/etc")),
    "reparse point": zip_of(XML, (info("b.pdf", create_system=0, external_attr=0x0400), b"abc")),
    "twins": zip_of(XML, ("B.pdf", b"abc"), ("b.PDF", b"abc")),
    "no packet.xml": zip_of(("b.pdf", b"abc")),
    "bomb": zip_of(XML, ("b.pdf", bytes(40_000_000)), compression=zipfile.ZIP_DEFLATED),
    "odd method": zip_of(XML, ("b.pdf", b"abc" * 100), compression=zipfile.ZIP_LZMA),
    "cut zip": cut(zip_of(XML, ("b.pdf", b"abc")), 10),
    "damaged content": flipped(zip_of(XML, ("b.pdf", b"fictional text")), b"fictional text"),
    "plain folder": folder_of(packet_xml=b"<x/>", b_pdf=b"abc"),
    "strangers in a folder": folder_of(packet_xml=b"<x/>", B_PDF=b"abcd", x_pdf=b"x"),
    "folder in a folder": folder_of(packet_xml=b"<x/>", more=None),
    "link in a folder": linked,
}


def at_a_front_end(path: Path) -> list[str]:
    """Finding codes of the front-end's readers and its comparison with the list."""
    outbox = os.open(path.parent, os.O_RDONLY)
    try:
        seen = observe(outbox, os.fsencode(path.name))
        assert seen is not None
        if seen.oddity is not None:
            return [seen.oddity.code]
        source = ZipSource(outbox, seen) if path.suffix == ".zip" else FolderSource(outbox, seen)
        try:
            assert source.packet_xml() == b"<x/>"
            for index in range(len(source.members)):
                for _block in source.blocks(index):
                    pass
            compared = compare(LISTED, source.members)
        finally:
            source.close()
    except DropRefusedError as refused:
        return [finding.code for finding in refused.findings]
    finally:
        os.close(outbox)
    found = [finding.code for finding in (*compared.findings, *compared.short_findings)]
    return sorted(found) + sorted(f"missing {name}" for name in compared.missing)


def at_the_desk(path: Path) -> list[str]:
    """The same of the portable reader."""
    try:
        drop = read_drop(path)
        assert drop.packet_xml == b"<x/>"
        for file in drop.files:
            for _block in file.blocks():
                pass
        compared = _Comparison(LISTED, drop.files)
        found = sorted(finding.code for finding in compared.findings())
    except DropRefused as refused:
        return [finding.code for finding in refused.findings]
    return found + sorted(f"missing {name}" for name in compared.missing)


@pytest.mark.parametrize("what", DROPS)
def test_the_desk_reads_and_refuses_what_a_front_end_does(tmp_path: Path, what: str) -> None:
    path = DROPS[what](tmp_path)
    assert at_the_desk(path) == at_a_front_end(path)
