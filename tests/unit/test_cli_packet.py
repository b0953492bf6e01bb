"""``exchangectl packet``: list, show, trace and check, as an operator and a vendor use them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cli.commands.packet import packet as packet_group
from cli.drop_reader import DropRefused, read_drop
from cli.main import main
from cli.node_view import read_moment
from cli.packet_check import Rules, _Comparison, check_path
from exchanged.clock import SystemClock
from exchanged.states import Event
from frontend_server.completeness import compare
from frontend_server.drops import DropRefusedError, FolderSource
from frontend_server.outbox import observe
from frontend_server.zip_drop import ZipSource
from packet_spec.findings import Outcome
from packet_spec.identity import PacketKey
from packet_spec.model import Attachment, KeyUse, ReceiptKind
from tests.support.asking import Operator, directory_file, make_node, operator
from tests.support.books import Books, packet_id
from tests.support.documents import (
    BRIDGE,
    COURT,
    KEYS,
    NOW,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    ROOTS,
    make_directory,
    make_packet,
    make_seal,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Operator:
    """A node that knows three packets of its own and one that is only landed."""
    config = make_node(tmp_path)
    with Books(tmp_path / "data") as books:
        first = books.packet(1, PROCURATORATE, COURT)
        books.move(first, Event.OFFER, Event.ACKNOWLEDGE)
        books.hop(first, BRIDGE, PROVINCE)
        books.receipt(first, ReceiptKind.ACCEPTED)
        books.packet(2, COURT, business_type="custody.change.receipt")
        books.packet(3, sender=COURT, own=False)
        books.arrival(PacketKey(COURT, packet_id(0x99)), Event.HOLD, reason="unknown-key")
    return operator(config, capsys)


# --- list, show, trace ------------------------------------------------------------------------


def test_the_list_fits_a_narrow_terminal_and_is_newest_first(desk: Operator) -> None:
    lines = desk.table("packet", "list").splitlines()
    assert lines[0].split() == ["packet", "type", "from", "to", "state", "age"]
    assert [line.split()[0] for line in lines[2:] if line.startswith("0190")] == [
        packet_id(number)[:13] for number in (3, 2, 1)
    ]
    assert f"{PROCURATORATE} +1" in lines[-1] or f"{PROCURATORATE} +1" in lines[-2]


def test_a_wide_terminal_shows_whole_ids(desk: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert packet_id(2) in desk.text("packet", "list")


def test_the_list_as_json_is_complete(desk: Operator) -> None:
    said = desk.json("packet", "list")["packets"]
    assert [line["known"]["packet"]["key"]["packet_id"] for line in said] == [packet_id(n) for n in (3, 2, 1)]
    assert [row["state"] for row in said[2]["known"]["destinations"]] == ["handed-over", "queued"]
    assert said[2]["state"] == "queued"


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["--from", COURT], [3]),
        (["--to", COURT], [2, 1]),
        (["--type", "custody.change.receipt"], [2]),
        (["--state", "handed-over"], [1]),
        (["--limit", "1"], [3]),
        (["--until", (NOW + timedelta(seconds=1)).isoformat()], [1]),
        (["--since", "2027-01-01"], []),
    ],
)
def test_the_list_is_narrowed(desk: Operator, words: list[str], numbers: list[int]) -> None:
    said = desk.json("packet", "list", *words)["packets"]
    assert [line["known"]["packet"]["key"]["packet_id"] for line in said] == [packet_id(n) for n in numbers]


def test_an_empty_list_says_so(desk: Operator) -> None:
    assert desk.text("packet", "list", "--from", "620199-09-09") == "no packets\n"


@pytest.mark.parametrize(
    "words", [["--state", "lost"], ["--since", "yesterday"], ["--limit", "0"], ["--to", "court"]]
)
def test_wrong_filters_are_usage_errors(desk: Operator, words: list[str]) -> None:
    desk.text("packet", "list", *words, code=2)


def test_times_are_read_as_they_are_shown_or_as_an_age() -> None:
    assert read_moment("2026-07-15T09:30:00+08:00") == NOW
    assert read_moment("2026-07-15T01:30").utcoffset() is not None
    before = SystemClock().now() - timedelta(hours=12)
    assert before <= read_moment("12h") <= SystemClock().now() - timedelta(hours=12)


def test_show_tells_all_facts_and_fits_a_narrow_terminal(desk: Operator) -> None:
    text = desk.table("packet", "show", packet_id(1)[:8])
    for title in ("destinations", "receipts", "hops", "events"):
        assert f"\n{title}\n" in text
    assert "accepted  620000-00-00" in text
    assert "not judged" not in text
    said = desk.json("packet", "show", packet_id(1))
    assert [event["kind"] for event in said["events"]] == ["offer", "acknowledge", "receipt-recorded"]
    assert said["packet"]["attempt"] == 1


def test_show_tells_of_a_packet_that_only_landed(desk: Operator) -> None:
    text = desk.table("packet", "show", f"{COURT}/{packet_id(0x99)}")
    assert "not judged here" in text
    assert "unknown-key" in text


def test_trace_says_who_holds_it_now_how_that_is_known_and_what_is_not(desk: Operator) -> None:
    text = desk.table("packet", "trace", f"{POLICE}/{packet_id(1)[:8]}")
    handed_over, queued = text.split(f"to {COURT}: queued")
    assert f"to {PROCURATORATE}: handed-over" in handed_over
    assert f"held now by {PROVINCE} since" in handed_over
    assert f"unknown beyond {PROVINCE}" in handed_over
    assert f"held now by {POLICE} (this node) since" in queued
    assert "unknown beyond" not in queued
    said = desk.json("packet", "trace", packet_id(1))
    assert said["asked"] == POLICE
    assert said["ways"][0]["holder"]["because"] == "hop-note"
    assert [step["kind"] for step in said["ways"][0]["steps"]] == [
        "sealed", "offered", "handed-over", "landed", "handed-over", "accepted",
    ]  # fmt: skip


@pytest.mark.parametrize("command", ["show", "trace"])
def test_an_id_must_name_one_packet(desk: Operator, command: str) -> None:
    desk.text("packet", command, packet_id(1)[:6], code=2)
    assert f"{POLICE}/{packet_id(1)}" in desk.errors
    assert f"{COURT}/{packet_id(3)}" in desk.errors
    assert desk.json("packet", command, "ffffffff", code=4)["error"]["reference"] == "not-found"
    for wrong in (packet_id(1)[:5], "nonsense", "x/" + packet_id(1), packet_id(1) + "0", ""):
        desk.text("packet", command, wrong, code=2)


def test_an_id_is_read_in_upper_case_too(desk: Operator) -> None:
    assert desk.json("packet", "show", packet_id(2).upper())["key"]["packet_id"] == packet_id(2)


def test_every_packet_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"check", "list", "new", "show", "trace"} <= set(packet_group.list_commands(None))  # type: ignore[arg-type]
    for noun, commands in {
        "packet": ("check", "list", "new", "show", "trace"),
        "queue": ("list", "summary"),
        "receipt": ("show", "verify"),
        "ledger": ("verify",),
    }.items():
        for command in commands:
            assert main([noun, command, "--help"]) == 0
            printed = capsys.readouterr().out
            assert f"exchangectl {noun} {command}" in printed.partition("Example:")[2]
            assert "--json" in printed


# --- check ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good folder drop, a good zip in GBK and a good lone XML."""
    folder = tmp_path_factory.mktemp("drops")
    for name, kind, words in (
        ("a", "case.report", ["--format", "folder"]),
        ("b", "case.report", ["--format", "zip", "--encoding", "gbk"]),
        ("c", "common.accept", ["--format", "xml"]),
    ):
        made = ["packet", "new", "--type", kind, "--name", name, "--out", str(folder), *words]
        assert main([*made, "--created-at", "2026-07-15T09:30:00+08:00"]) == 0
    return folder


@pytest.fixture
def drops(good: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(good, tmp_path / "drops"))


@pytest.fixture
def vendor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Operator:
    """A desk without any node."""
    monkeypatch.setattr("cli.packet_check.DEFAULT_CONFIG", Path("/etc/exchanged/exchanged.toml"))
    return operator(None, capsys)


def document(folder: Path) -> Path:
    return sorted(path for path in folder.iterdir() if path.name != "packet.xml")[0]


def checked(desk: Operator, *paths: Path, code: int = 0) -> list[dict]:
    found = desk.json("packet", "check", *paths, code=code)["checked"]
    assert isinstance(found, list)
    return found


def codes(desk: Operator, path: Path, code: int = 1) -> list[str]:
    (only,) = checked(desk, path, code=code)
    return [finding["code"] for finding in only["findings"]]


def test_good_drops_of_every_form_are_valid(vendor: Operator, good: Path) -> None:
    found = checked(vendor, good / "a", good / "b.zip", good / "c.xml", good / "a" / "packet.xml", code=3)
    assert [each["outcome"] for each in found] == ["valid", "valid", "valid", "held"]
    assert (found[1]["encoding"], found[0]["business_type"]) == ("gb18030", "case.report")
    assert len(found[3]["missing"]) == 2


def test_the_text_for_people_names_place_expected_and_found(vendor: Operator, drops: Path) -> None:
    attachment = document(drops / "a")
    attachment.write_bytes(attachment.read_bytes() + b"x")
    text = vendor.text("packet", "check", drops / "a", code=1)
    assert ": refused" in text.splitlines()[0]
    assert "attachment-size-differs @ " in text
    assert "  expected: " in text
    assert "  found: " in text
    assert "no directory" in text


def test_findings_are_told_in_the_operators_language(
    vendor: Operator, drops: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document(drops / "a").write_bytes(b"x")
    monkeypatch.setenv("EXCHANGED_LOCALE", "zh_CN")
    assert "请核对文件是否完整" in vendor.text("packet", "check", drops / "a", code=1)


def test_a_changed_byte_a_stranger_and_a_missing_file_are_found(vendor: Operator, drops: Path) -> None:
    attachment = document(drops / "a")
    data = attachment.read_bytes()
    attachment.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    assert codes(vendor, drops / "a") == ["attachment-digest-differs"]
    attachment.write_bytes(data)
    (drops / "a" / "stranger.pdf").write_bytes(b"x")
    (drops / "a" / "Thumbs.db").write_bytes(b"x")
    (drops / "a" / "half.tmp").write_bytes(b"x")
    assert codes(vendor, drops / "a") == ["attachment-unlisted"]
    (drops / "a" / "stranger.pdf").unlink()
    attachment.unlink()
    (found,) = checked(vendor, drops / "a", code=3)
    assert (found["outcome"], found["held_because"]) == ("held", "incomplete")
    assert found["missing"] == [attachment.name]


def test_of_several_the_worst_counts_and_all_are_told(vendor: Operator, drops: Path) -> None:
    document(drops / "a").unlink()
    (drops / "d.txt").write_bytes(b"x")
    found = checked(vendor, drops / "c.xml", drops / "a", drops / "d.txt", code=1)
    assert [each["outcome"] for each in found] == ["valid", "held", "refused"]


def test_a_missing_digest_is_refused_unless_the_front_end_does_not_ask(vendor: Operator, drops: Path) -> None:
    packet_xml = drops / "a" / "packet.xml"
    text = packet_xml.read_text(encoding="utf-8")
    start = text.index(' sha256="')
    packet_xml.write_text(text[:start] + text[text.index('"', start + 9) + 1 :], encoding="utf-8")
    assert codes(vendor, drops / "a") == ["attachment-digest-missing"]
    (found,) = vendor.json("packet", "check", "--optional-sha256", drops / "a")["checked"]
    assert found["outcome"] == "valid"


def test_empty_and_broken_packet_xml_are_refused_and_no_packet_xml_is_incomplete(
    vendor: Operator, drops: Path
) -> None:
    packet_xml = drops / "a" / "packet.xml"
    packet_xml.write_bytes(b"")
    assert codes(vendor, drops / "a") == ["packet-xml-empty"]
    packet_xml.write_bytes(b"<packet")
    assert codes(vendor, drops / "a") == ["xml-not-wellformed"]
    packet_xml.unlink()
    (found,) = checked(vendor, drops / "a", code=3)
    assert found["missing"] == ["packet.xml"]


def test_a_disposition_is_checked_as_one(vendor: Operator, tmp_path: Path) -> None:
    path = tmp_path / "answer.xml"
    said = f'packetId="{packet_id(1)}" sender="{POLICE}" by="x" at="2026-07-15T09:30:00+08:00"'
    path.write_text(f'<disposition xmlns="urn:exchanged:disposition:1" kind="signed" {said}/>')
    assert checked(vendor, path)[0]["note"] == "a disposition"
    path.write_text(path.read_text().replace('"signed"', '"refused"'))
    assert codes(vendor, path) == ["reason-missing"]


def test_what_is_not_there_is_a_usage_error(vendor: Operator, tmp_path: Path) -> None:
    said = vendor.json("packet", "check", tmp_path / "none", code=2)
    assert said["error"]["reference"] == "input-file-unreadable"


def test_a_directory_brings_levels_and_allow_lists(vendor: Operator, drops: Path, tmp_path: Path) -> None:
    path = tmp_path / "directory.xml"
    path.write_bytes(directory_file())
    said = vendor.json("packet", "check", "--directory", path, drops / "a", code=1)
    assert said["directory"] == "not-proved"
    assert "type-not-allowed" in {finding["code"] for finding in said["checked"][0]["findings"]}


# --- sealed packets ---------------------------------------------------------------------------


def test_a_sealed_packet_is_held_where_no_directory_proves_the_seal(vendor: Operator, tmp_path: Path) -> None:
    path = tmp_path / "one.packet"
    path.write_bytes(make_packet())
    (found,) = checked(vendor, path, code=3)
    assert (found["outcome"], found["held_because"]) == ("held", "unknown-key")
    directory = tmp_path / "directory.xml"
    directory.write_bytes(directory_file())
    assert vendor.json("packet", "check", "--directory", directory, path, code=3)["directory"] == "not-proved"


def test_a_nodes_own_directory_proves_seals(desk: Operator, tmp_path: Path) -> None:
    path = tmp_path / "one.packet"
    path.write_bytes(make_packet())
    said = desk.json("packet", "check", path, code=1)
    (found,) = said["checked"]
    assert (said["directory"], found["outcome"]) == ("proved", "refused")
    assert "signature, authority and every digest verified; 1 large parts" in found["note"]
    assert found["key"]["sender"] == POLICE


@pytest.mark.parametrize(
    ("data", "outcome", "reference"),
    [
        (make_packet()[:-1], Outcome.REFUSED, "layout-wrong"),
        (make_packet().replace(b"A620199-0007", b"A620199-0008", 1), Outcome.REFUSED, "signature-error"),
        (make_packet(key=KEYS[COURT, KeyUse.SEAL]), Outcome.REFUSED, "signature-error"),
        (
            make_packet(make_seal(key_id=KEYS[COURT, KeyUse.SEAL].key_id), KEYS[COURT, KeyUse.SEAL]),
            Outcome.REFUSED,
            "no-authority",
        ),
        (make_packet(make_seal(key_id=ROOTS[0].key_id), ROOTS[0]), Outcome.HELD, "unknown-key"),
        (b"not a packet", Outcome.REFUSED, "layout-wrong"),
    ],
)
def test_sealed_packets_that_are_not_what_they_claim(
    tmp_path: Path, data: bytes, outcome: Outcome, reference: str
) -> None:
    path = tmp_path / "one.packet"
    path.write_bytes(data)
    found = check_path(path, Rules(make_directory(), "proved", optional_sha256=False, now=NOW))
    assert found.outcome is outcome
    assert found.note.startswith(reference)


# --- the same verdicts as a front-end ---------------------------------------------------------


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


# --- on any system ----------------------------------------------------------------------------

_ELSEWHERE = """
import os, sys
for name in ("fcntl", "grp", "pwd", "resource", "termios", "pty", "syslog"):
    sys.modules[name] = None
for name in ("O_NOFOLLOW", "O_DIRECTORY", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "pread", "mkfifo", "fchmod"):
    if hasattr(os, name):
        delattr(os, name)
from cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_a_check_needs_nothing_that_only_posix_systems_have(good: Path) -> None:
    words = ["packet", "check", "--json", str(good / "a"), str(good / "b.zip"), str(good / "c.xml")]
    answer = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    assert [each["outcome"] for each in json.loads(answer.stdout)["checked"]] == ["valid"] * 3
