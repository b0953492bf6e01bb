"""What is said of old programs, line by line: encodings (domain catalogue 2.4), zips, paths, shares (2.5).

Each line is one test of its own name: through the real intake of a front-end, and where the drop itself is
wrong, through ``packet check`` at a desk as well. A line that is proved elsewhere names that test, which must
be there.
"""

from __future__ import annotations

import ast
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cli.drop_reader import DropRefused, read_drop
from exchanged.config import DropProfile
from exchanged.states import DropState
from frontend_server.folders import OUTBOX, MarkerState
from frontend_server.notice_place import FolderWatch
from frontend_server.patience import Patience
from packet_spec.identity import sha256_hex
from packet_spec.limits import MIB, ZIP_ENTRIES
from tests.support.outbox import SETTLE, SMALL, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.sending import states

ROOT = Path(__file__).resolve().parents[2]
FILE, DATA = next(iter(SMALL.items()))
DOCUMENT = packet_xml()
Frontend = Callable[..., SendingFrontend]


@pytest.fixture
def start(tmp_path: Path):
    opened: list[SendingFrontend] = []

    def open_frontend(**settings: object) -> SendingFrontend:
        opened.append(SendingFrontend(tmp_path / "front-end", **settings))  # type: ignore[arg-type]
        return opened[-1]

    yield open_frontend
    for frontend in opened:
        frontend.close()


# --- 2.4: declared against real encoding -------------------------------------------------------------------

MARK = b"\xef\xbb\xbf"
# declared, bytes really in, a name that must come out; codes of warnings. None: the drop is refused.
ENCODINGS: dict[str, tuple[str, str, bytes, str, list[str] | None]] = {
    "gb2312, really gb2312": ("gb2312", "gb2312", b"", "张伟", []),
    "GBK, really GBK": ("GBK", "gbk", b"", "张伟", []),
    "GB18030, really GB18030": ("GB18030", "gb18030", b"", "张\u36c3", []),
    "gb2312, really GBK with 镕": ("gb2312", "gbk", b"", "张镕", []),
    "GBK, really GB18030 with four bytes": ("GBK", "gb18030", b"", "张\u36c3", []),
    "GBK, really UTF-8": ("GBK", "utf-8", b"", "张伟", ["encoding-misdeclared"]),
    "GB18030, really UTF-8": ("GB18030", "utf-8", b"", "张伟", ["encoding-misdeclared"]),
    "UTF-8, really GBK": ("UTF-8", "gbk", b"", "张伟", None),
    "gb2312, really UTF-8 with a mark": ("gb2312", "utf-8", MARK, "张伟", ["encoding-misdeclared"]),
    "UTF-8 with a mark": ("UTF-8", "utf-8", MARK, "张伟", []),
    "cp936, really GBK": ("cp936", "gbk", b"", "张伟", []),
}


@pytest.mark.parametrize("row", ENCODINGS)
def test_declared_and_real_encoding(start: Frontend, row: str) -> None:
    declared, real, mark, name, warnings = ENCODINGS[row]
    text = acceptance_xml().decode().replace('encoding="utf-8"', f'encoding="{declared}"')
    text = text.replace("虚构甲", name)
    document = mark + text.encode(real)
    frontend = start()
    frontend.drop_xml(document=document)
    frontend.run()
    if warnings is None:
        assert frontend.codes("A.xml") == ["encoding-undecodable"]
        return
    assert frontend.codes("A.xml") == warnings
    seal, sealed, _ = frontend.open(frontend.packets()[0])
    # The original bytes are what is hashed, signed and kept; the reading can be made from them everywhere.
    assert sealed == document
    assert name in sealed.decode(seal.encoding).removeprefix("\ufeff")


def test_a_short_text_that_reads_both_ways_is_flagged_for_a_person(start: Frontend) -> None:
    text = acceptance_xml().decode().replace('encoding="utf-8"', 'encoding="GBK"')
    for word, plain in (("虚构甲涉嫌盗窃案", "张伟"), ("虚构大队", "x"), ("虚构乙", "y")):
        text = text.replace(word, plain)
    frontend = start()
    frontend.drop_xml(document=text.encode())
    frontend.run()
    assert frontend.codes("A.xml") == ["encoding-misdeclared", "encoding-ambiguous"]
    assert states(frontend) == [DropState.TAKEN]


# --- 2.5: zips ----------------------------------------------------------------------------------------------


class RawName(zipfile.ZipInfo):
    """An entry whose name is written as these bytes; ``flag_bits`` say whether it claims to be UTF-8."""

    def __init__(self, raw: bytes, *, utf8: bool = False) -> None:
        super().__init__(raw.hex())
        self.raw, self.utf8 = raw, utf8

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - the library's hook
        return self.raw, 0x800 if self.utf8 else 0


def plain(name: str) -> RawName:
    return RawName(name.encode(), utf8=True)


def old(name: str) -> RawName:
    return RawName(name.encode("gb18030"))


def drop_zip(
    frontend: SendingFrontend, *entries: tuple[zipfile.ZipInfo, bytes], deflated: bool = False
) -> Path:
    hidden = frontend.root / "case-software.zip"
    method = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
    with zipfile.ZipFile(hidden, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data, compress_type=method)
    return hidden.rename(frontend.outbox / "A.zip")


GOOD_ZIPS: dict[str, list[tuple[zipfile.ZipInfo, bytes]]] = {
    "GBK names without the flag": [(old("packet.xml"), DOCUMENT), (old(FILE), DATA)],
    "back-slashes": [(old("案件\\packet.xml"), DOCUMENT), (old(f"案件\\{FILE}"), DATA)],
    "UTF-8 names without the flag": [(RawName(b"packet.xml"), DOCUMENT), (RawName(FILE.encode()), DATA)],
    "forward slashes and UTF-8": [(plain("A/packet.xml"), DOCUMENT), (plain(f"A/{FILE}"), DATA)],
}


@pytest.mark.parametrize("row", GOOD_ZIPS)
def test_zips_of_old_tools_are_read(start: Frontend, row: str) -> None:
    frontend = start()
    path = drop_zip(frontend, *GOOD_ZIPS[row])
    assert read_drop(path).packet_xml == DOCUMENT
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]
    parts = frontend.open(frontend.packets()[0])[2]
    assert list(parts.values()) == [DATA]


def test_names_that_the_library_shows_as_rubbish_are_read_as_they_were_meant(start: Frontend) -> None:
    """Python shows such a name as cp437; taken back and read as GB18030 it is the listed one."""
    frontend = start()
    path = drop_zip(frontend, (old("packet.xml"), DOCUMENT), (old(FILE), DATA))
    with zipfile.ZipFile(path) as archive:
        rubbish = archive.namelist()[1]
    assert rubbish != FILE
    assert rubbish.encode("cp437").decode("gb18030") == FILE
    assert read_drop(path).files[0].names[0] == FILE


def linked() -> zipfile.ZipInfo:
    entry = plain(FILE)
    entry.create_system, entry.external_attr = 3, 0o120777 << 16
    return entry


REFUSED_NAMES: dict[str, str] = {
    "absolute path": f"/{FILE}",
    "absolute path with a back-slash": f"\\{FILE}",
    "network share": f"\\\\server\\share\\{FILE}",
    "drive letter": f"C:\\{FILE}",
    "drive letter without a folder": f"C:{FILE}",
    "parent folder": f"../{FILE}",
    "parent folder with a back-slash": f"..\\{FILE}",
    "parent folder inside": f"A/../{FILE}",
    "alternate stream": f"{FILE}:hidden",
    **{f"device {name}": name for name in ("CON", "PRN", "AUX", "NUL", "COM1", "COM9", "LPT1", "LPT9")},
    "device with extension": "con.pdf",
    "device with two extensions": "nul.tar.gz",
    "trailing dot": "补充材料.",
    "trailing space": f"{FILE} ",
}


@pytest.mark.parametrize("row", REFUSED_NAMES)
def test_names_that_are_refused(start: Frontend, row: str) -> None:
    frontend = start()
    refuse(frontend, "zip-entry-refused", (plain("packet.xml"), DOCUMENT), (plain(REFUSED_NAMES[row]), DATA))


def test_symbolic_links_are_refused(start: Frontend) -> None:
    refuse(start(), "zip-entry-refused", (plain("packet.xml"), DOCUMENT), (linked(), b"/etc/hostname"))


@pytest.mark.parametrize(
    "twins", [("A.pdf", "a.PDF"), ("Jos\u00e9.pdf", "Jose\u0301.pdf"), ("ß.pdf", "SS.pdf")], ids=repr
)
def test_two_names_that_are_equal_when_folded_or_normalised_are_refused(
    start: Frontend, twins: tuple[str, str]
) -> None:
    files = [(plain(name), DATA) for name in twins]
    refuse(start(), "attachment-file-twice", (plain("packet.xml"), DOCUMENT), *files)


def test_too_many_entries_are_refused(start: Frontend) -> None:
    many = [(plain(f"{number}.pdf"), b"") for number in range(ZIP_ENTRIES)]
    refuse(start(), "zip-damaged", (plain("packet.xml"), DOCUMENT), *many)


def test_a_ratio_over_the_limit_is_refused(start: Frontend) -> None:
    bomb = (plain("a.pdf"), bytes(17 * MIB))
    refuse(start(), "zip-too-large", (plain("packet.xml"), DOCUMENT), bomb, deflated=True)


def test_a_nested_archive_is_not_opened(start: Frontend, tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("packet.xml", DOCUMENT)
        archive.writestr(FILE, DATA)
    refuse(start(), "packet-xml-missing", (plain("案件.zip"), inner.read_bytes()))


def test_a_nested_archive_beside_packet_xml_is_refused_unless_it_is_listed(start: Frontend) -> None:
    files = ((plain(FILE), DATA), (plain("more.zip"), b"PK\x05\x06" + bytes(18)))
    refuse(start(), "attachment-unlisted", (plain("packet.xml"), DOCUMENT), *files, at_a_desk=False)


def refuse(
    frontend: SendingFrontend,
    code: str,
    *entries: tuple[zipfile.ZipInfo, bytes],
    deflated: bool = False,
    at_a_desk: bool = True,
) -> None:
    """Both readers refuse the zip with this finding, and the front-end writes nothing of it anywhere."""
    path = drop_zip(frontend, *entries, deflated=deflated)
    if at_a_desk:
        with pytest.raises(DropRefused) as caught:
            read_drop(path)
        assert [finding.code for finding in caught.value.findings] == [code]
    frontend.run()
    frontend.settle()  # what looks damaged may still be growing
    assert states(frontend) == [DropState.REFUSED]
    assert frontend.codes("A.zip") == [code]
    assert frontend.packets() == []
    assert names_in(frontend.outbox) == []


# --- half-written files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [".ok", ".end"])
@pytest.mark.parametrize("states_what", ["nothing", "size", "sha256", "size and sha256"])
def test_a_marker_file_comes_last(start: Frontend, mark: str, states_what: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    path = frontend.drop_zip("A.zip")
    whole = path.read_bytes()
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE]
    said = {"size": str(len(whole)), "sha256": sha256_hex(whole)}
    text = " ".join(value for name, value in said.items() if name in states_what)
    (frontend.outbox / f"A{mark}").write_text(text)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("wrong", ["17", "0" * 64])
def test_a_marker_that_speaks_of_other_bytes_takes_nothing(start: Frontend, wrong: str) -> None:
    frontend = start(profile=DropProfile.MARKER)
    frontend.drop_zip("A.zip")
    (frontend.outbox / "A.ok").write_text(wrong)
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE]
    frontend.settle()
    assert frontend.codes("A.zip") == ["marker-differs"]


@pytest.mark.parametrize("ending", [".tmp", ".part", ".TMP"])
def test_written_under_another_name_and_renamed(start: Frontend, ending: str) -> None:
    frontend = start()
    path = frontend.drop_zip(f"A.zip{ending}")
    frontend.run()
    frontend.settle()
    assert frontend.rows() == []
    path.rename(frontend.outbox / "A.zip")
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("kind", ["zip", "xml"])
def test_unchanged_for_some_time_and_complete(start: Frontend, kind: str) -> None:
    """(c): size and time stand still **and** the zip directory or the end tag is there."""
    frontend = start(profile=DropProfile.SETTLED)
    path = frontend.drop_zip("A.zip") if kind == "zip" else frontend.drop_xml("A.xml")
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    for _ in range(5):
        frontend.settle()
    assert states(frontend) == [DropState.INCOMPLETE]
    path.write_bytes(whole)
    frontend.run()
    assert DropState.TAKEN not in states(frontend)
    frontend.clock.advance(SETTLE)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


LITTER = ["~$A.docx", "Thumbs.db", "THUMBS.DB", "desktop.ini", ".DS_Store", "A.xml.tmp", "A.xml.part"]


@pytest.mark.parametrize("name", LITTER)
def test_litter_is_ignored_beside_and_inside_drops(start: Frontend, name: str) -> None:
    frontend = start()
    (frontend.outbox / name).write_bytes(b"x")
    path = frontend.drop_folder()
    (path / name).write_bytes(b"x")
    frontend.run()
    for _ in range(3):
        frontend.settle()
    assert states(frontend) == [DropState.TAKEN]
    assert (frontend.outbox / name).exists()


def test_an_empty_file_is_taken_for_nothing(start: Frontend) -> None:
    """Inside a drop it is passed over; by itself it never becomes a packet, and packet.xml may still grow."""
    frontend = start()
    path = frontend.drop_folder()
    (path / "placeholder").touch()
    (frontend.outbox / "B.xml").touch()
    frontend.run()
    assert sorted(states(frontend)) == sorted([DropState.TAKEN, DropState.INCOMPLETE])
    (frontend.outbox / "B.xml").write_bytes(acceptance_xml())
    frontend.run()
    assert states(frontend) == [DropState.TAKEN, DropState.TAKEN]


# --- claims, names, disks -----------------------------------------------------------------------------------


def test_the_same_name_again_next_year_is_another_packet(start: Frontend) -> None:
    frontend = start()
    for number in (1, 2):
        frontend.drop_xml("A.xml", acceptance_xml(senderRef=f"R-{number}"))
        frontend.run()
        frontend.clock.advance(366 * 24 * 3600)
        frontend.trust.is_current = lambda _: True  # type: ignore[method-assign]
    first, second = frontend.packets()
    assert (first.sender_ref, second.sender_ref) == ("R-1", "R-2")
    assert names_in(frontend.folders.sent) == ["A.xml", "A~2.xml"]


def test_identity_is_sender_number_and_content_not_the_name(start: Frontend) -> None:
    frontend = start()
    for name in ("A.xml", "B.xml"):
        frontend.drop_xml(name)
        frontend.run()
    assert len(frontend.packets()) == 1
    assert frontend.status("B.xml")["state"] == "duplicate"


@pytest.mark.parametrize("state", ["missing", "foreign", "read-only"])
def test_a_lost_foreign_or_read_only_share_stops_the_intake_with_an_alarm(
    start: Frontend, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    frontend = start()
    frontend.run()
    marker = frontend.outbox / ".exchanged-marker"
    whole = marker.read_bytes()
    if state == "missing":
        marker.unlink()
    elif state == "foreign":
        marker.write_bytes(whole.replace(b"ab", b"cd"))
    else:
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    frontend.drop_xml()
    frontend.run()
    assert frontend.rows() == []
    assert frontend.events("folder-marker")[-1] == {"folder": OUTBOX, "state": state}
    (alarm, *_) = FolderWatch(frontend.folders, frontend.ledger, Patience()).matters(frontend.clock.now())
    assert (alarm.reference, alarm.level.value) == ("folder-marker-bad", "alarm")
    assert alarm.values["state"] == state
    monkeypatch.undo()
    marker.write_bytes(whole)
    assert frontend.folders.check_marker(frontend.ledger, OUTBOX) is MarkerState.GOOD
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_full_disk_stops_the_intake_and_says_so(start: Frontend) -> None:
    frontend = start(free_space_bytes=1 << 60)
    frontend.drop_folder()
    frontend.run()
    assert frontend.packets() == []
    assert (frontend.status()["state"], frontend.rows()[0].reason) == ("held", "no-space")
    assert len(names_in(frontend.outbox)) == 2  # the drop, and the sign that intake is paused


# --- lines that other tests prove -------------------------------------------------------------------------

ELSEWHERE: dict[str, str] = {
    "total size over a limit":
        "unit/test_frontend_server_zip_drop.py::test_a_bomb_is_refused_before_it_is_unpacked",
    "a text string with a declaration":
        "unit/test_packet_spec_encoding.py::test_the_declaration_is_rewritten_and_lines_are_kept",
    "change notification says nothing of another machine: poll":
        "system/test_share.py::test_a_drop_without_an_event_is_seen_within_one_scan",
    "a share without some features":
        "system/test_share.py::test_delivery_on_a_share_that_lacks_something_is_whole_and_says_so",
    "a share that vanishes":
        "system/test_share.py::test_a_share_that_vanishes_takes_nothing_for_withdrawn_or_collected",
    "time stamps of two seconds":
        "unit/frontend_server_sending/test_profiles.py::test_without_digests_two_equal_readings_are_needed",
    "a file that is open elsewhere may be listed already":
        "unit/test_frontend_server_drops.py::test_a_file_that_is_written_while_it_is_read_is_not_taken",
    "what changes while it is judged":
        "unit/frontend_server_sending/test_meanwhile.py::test_what_changes_while_it_is_judged_is_not_sealed",
    "claimed by a rename, which may fail":
        "unit/frontend_server_sending/test_originals.py::test_an_original_without_permission_waits",
    "claimed by a rename of what was read and of nothing else":
        "unit/frontend_server_sending/test_originals.py::test_a_stranger_that_slips_in_goes_back",
    "every drop has one and the same name":
        "unit/frontend_server_sending/test_meanwhile.py::test_case_software_that_gives_every_drop_one_name",
    "an empty folder where a mount should be":
        "unit/frontend_server_sending/test_meanwhile.py::test_without_its_marker_an_empty_outbox_means_nothing",
    "a full disk while a packet is written":
        "unit/frontend_server_sending/test_held.py::test_a_fault_of_the_volume_is_no_crash_of_the_drop",
    "the disk floor is told": "unit/test_exchanged_notices.py::test_i10_the_disk_floor_is_told",
    "our own file names are safe everywhere":
        "unit/test_packet_spec_names.py::test_delivered_names_keep_the_listed_name_where_they_can",
}


@pytest.mark.parametrize("line", ELSEWHERE)
def test_the_test_that_proves_a_line_is_there(line: str) -> None:
    file, _, name = ELSEWHERE[line].partition("::")
    tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert name in names
