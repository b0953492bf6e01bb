"""``packet new`` as a vendor types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands.packet_new import packet_new
from cli.fiction.writer import LoneXmlError
from packet_spec.errors import CatalogueError
from packet_spec.findings import Outcome
from packet_spec.identity import PacketKey
from tests.support.fiction import check

AT = ("--created-at", "2026-07-15T09:30:00+08:00")
IDENTITY = "00000000-0000-8000-8000-000000000001"


def run(out: Path, *words: str) -> Result:
    return CliRunner().invoke(packet_new, [*words, "--out", str(out)])


def made(out: Path, *words: str) -> Path:
    result = run(out, *words, "--json")
    assert (result.exit_code, result.exception) == (0, None)
    return Path(json.loads(result.output)["path"])


def test_a_type_is_enough_and_the_packet_is_valid(tmp_path: Path):
    path = made(tmp_path, "--type", "arrest.request")
    result = check(path)
    assert path.parent == tmp_path
    assert (result.verdict.outcome, result.verdict.findings) == (Outcome.VALID, ())


def test_what_it_did_is_told_in_lines_and_in_json(tmp_path: Path):
    words = ("--type", "case.report", "--copy-to", "PRO2", *AT)
    lines = run(tmp_path, *words, "--name", "a").output
    said = json.loads(run(tmp_path, *words, "--name", "b", "--json").output)
    assert str(tmp_path / "a") in lines
    assert "POL-008 POL-002" in lines
    assert said == {
        "path": str(tmp_path / "b"),
        "business_type": "case.report",
        "sender": "620199-01-00",
        "receiver": "620199-03-00",
        "copy_to": ["620100-03-00"],
        "sender_ref": said["sender_ref"],
        "packet_id": None,
        "documents": ["POL-008", "POL-002"],
    }


def test_every_option_reaches_the_packet(tmp_path: Path):
    path = made(
        tmp_path,
        *("--type", "common.withdraw", "--from", "PRO", "--to", "620199-04-00", *AT, "--name", "mine"),
        *("--in-reply-to", f"620199-04-00/{IDENTITY}", "--supersedes", IDENTITY, "--packet-id", IDENTITY),
        *("--set", "reason_text=另有=理由", "--set", "priority=urgent", "--with", "PRS-017"),
    )
    packet = check(path).packet
    assert packet is not None
    envelope = packet.envelope
    assert path == tmp_path / "mine"
    assert (envelope.sender, envelope.receiver) == ("620199-03-00", "620199-04-00")
    assert envelope.in_reply_to == PacketKey("620199-04-00", IDENTITY)
    assert envelope.supersedes == envelope.packet_id == IDENTITY
    assert packet.fields["reason_text"] == "另有=理由"
    assert envelope.priority == "urgent"
    assert [one.document_type for one in packet.attachments] == ["COM-007", "PRS-017"]


def test_a_case_file_is_made_and_carries_the_case_on(tmp_path: Path):
    case = tmp_path / "case.json"
    out = tmp_path / "out"
    out.mkdir()
    first = made(out, "--type", "prosecution.transfer", "--case", str(case), *AT)
    second = made(out, "--type", "common.accept", "--from", "PRO", "--to", "POL", "--case", str(case), *AT)
    third = made(out, "--type", "trial.indict", "--case", str(case), "--seed", "5", *AT)
    numbers = json.loads(case.read_text(encoding="utf-8"))["numbers"]
    packets = [check(path).packet for path in (first, second, third)]

    assert set(numbers) == {"police", "procuratorate"}
    for packet in packets:
        assert packet is not None
        assert {one.kind: one.value for one in packet.envelope.case_numbers}.items() <= numbers.items()
    assert packets[0].persons[0]["id_no"] == packets[2].persons[0]["id_no"]


def test_wrong_packets_are_made_on_purpose(tmp_path: Path):
    path = made(tmp_path, "--type", "trial.indict", "--omit", "PRO-017", "--set", "case_name=")
    codes = {finding.code for finding in check(path).verdict.findings}
    assert {"document-missing-conditional", "field-missing"} <= codes


def test_forms_encodings_and_the_size_of_a_video(tmp_path: Path):
    archive = made(tmp_path, "--type", "case.report", "--format", "zip", "--encoding", "gbk")
    lone = made(tmp_path, "--type", "case.node", "--format", "xml", "--encoding", "gb18030")
    folder = made(tmp_path, "--type", "prosecution.transfer", "--with", "EVD-024", "--video-mib", "16.5")
    assert archive.suffix == ".zip"
    assert lone.read_bytes().startswith(b'<?xml version="1.0" encoding="GB18030"?>')
    assert 16.5 <= (folder / "执法记录仪视频.mp4").stat().st_size / 2**20 < 17
    refused = run(tmp_path, "--type", "case.report", "--format", "xml")
    assert isinstance(refused.exception, LoneXmlError)


def test_the_same_options_give_the_same_packet(tmp_path: Path):
    words = ("--type", "case.report", "--seed", "3", *AT)
    one, two = (made(tmp_path, *words, "--name", name) for name in ("one", "two"))
    assert (one / "packet.xml").read_bytes() == (two / "packet.xml").read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ("--type", "case.report", "--set", "case_name"),
        ("--type", "case.report", "--set", "=x"),
        ("--type", "case.report", "--in-reply-to", "620199-01-00"),
        ("--type", "case.report", "--in-reply-to", "POL/x"),
        ("--type", "case.report", "--packet-id", "7"),
        ("--type", "case.report", "--created-at", "yesterday"),
        ("--type", "case.report", "--format", "rar"),
        (),
    ],
)
def test_a_slip_of_the_hand_is_a_usage_error(tmp_path, words):
    result = run(tmp_path, *words)
    assert result.exit_code == 2
    assert "Error" in result.output
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_code_is_one_of_our_errors(tmp_path: Path):
    assert isinstance(run(tmp_path, "--type", "no.such").exception, CatalogueError)
    assert isinstance(run(tmp_path, "--type", "case.report", "--from", "XYZ").exception, CatalogueError)
    assert run(tmp_path / "missing", "--type", "case.report").exit_code == 2
    assert isinstance(error := run(tmp_path, "--type", "no.such.type").exception, CatalogueError)
    assert "exchangectl kit build" in error.advice


def test_a_time_without_offset_is_shanghai_time(tmp_path: Path):
    packet = check(made(tmp_path, "--type", "case.report", "--created-at", "2026-07-15T09:30")).packet
    assert packet is not None
    assert packet.envelope.created_at.isoformat() == "2026-07-15T01:30:00+00:00"
