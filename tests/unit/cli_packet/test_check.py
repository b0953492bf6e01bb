"""``exchangectl packet check``, as a vendor and an operator use it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.main import main
from cli.packet_check import Rules, check_path
from packet_spec.findings import Outcome
from packet_spec.model import KeyUse
from tests.support.asking import Operator, directory_file, operator
from tests.support.books import packet_id
from tests.support.documents import COURT, KEYS, NOW, POLICE, ROOTS, make_directory, make_packet, make_seal

# --- drops ------------------------------------------------------------------------------------


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
