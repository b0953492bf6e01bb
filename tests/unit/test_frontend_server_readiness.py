from __future__ import annotations

import os
from pathlib import Path

import pytest

from exchanged.config import DropProfile
from frontend_server.outbox import Observation, observe
from frontend_server.readiness import MarkerStatement, Readiness, StandingStill, decide, read_marker
from tests.support.clock import FakeClock

SETTLE = 5.0
RENAME, MARKER, SETTLED = DropProfile.RENAME, DropProfile.MARKER, DropProfile.SETTLED


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "packet.xml").write_bytes(b"<packet/>")
    (tmp_path / "B.xml").write_bytes(b"<packet/>")
    (tmp_path / "C.zip").write_bytes(b"PK")
    return tmp_path


def look(root: Path, name: bytes = b"A", marker: bytes | None = None) -> Observation:
    outbox = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        observation = observe(outbox, name, marker)
    finally:
        os.close(outbox)
    assert observation is not None
    return observation


@pytest.mark.parametrize("name", [b"A", b"B.xml", b"C.zip"])
def test_a_visible_name_is_ready_where_software_renames(root: Path, name: bytes) -> None:
    assert decide(look(root, name), RENAME, 0.0, SETTLE).readiness is Readiness.READY


def test_without_its_marker_a_drop_is_incomplete(root: Path) -> None:
    decision = decide(look(root), MARKER, 100.0, SETTLE)
    assert (decision.readiness, decision.missing) == (Readiness.INCOMPLETE, ("A.ok",))
    (root / "A.end").touch()
    assert decide(look(root, marker=b"A.end"), MARKER, 0.0, SETTLE).readiness is Readiness.READY


def test_standing_still_takes_its_time(root: Path) -> None:
    decision = decide(look(root), SETTLED, 2.0, SETTLE)
    assert (decision.readiness, decision.again_in_seconds) == (Readiness.WAIT, 3.0)
    assert decide(look(root), SETTLED, SETTLE, SETTLE).readiness is Readiness.READY


def test_a_folder_without_packet_xml_is_incomplete(root: Path) -> None:
    (root / "A" / "packet.xml").unlink()
    decision = decide(look(root), RENAME, 100.0, SETTLE)
    assert (decision.readiness, decision.missing) == (Readiness.INCOMPLETE, ("packet.xml",))
    assert decision.again_in_seconds is None


@pytest.mark.parametrize(
    ("path", "code", "missing"),
    [
        ("A/packet.xml", "packet-xml-empty", "packet.xml"),
        ("B.xml", "packet-xml-empty", "B.xml"),
        ("C.zip", "zip-damaged", "C.zip"),
    ],
)
def test_an_empty_file_is_incomplete_then_refused(root: Path, path: str, code: str, missing: str) -> None:
    (root / path).write_bytes(b"")
    observation = look(root, path.partition("/")[0].encode())
    early = decide(observation, RENAME, 1.0, SETTLE)
    assert (early.readiness, early.missing, early.again_in_seconds) == (Readiness.INCOMPLETE, (missing,), 4.0)
    late = decide(observation, RENAME, SETTLE, SETTLE)
    assert late.readiness is Readiness.REFUSE
    assert [finding.code for finding in late.findings] == [code]


def test_what_is_no_drop_is_reported_after_a_while(root: Path) -> None:
    (root / "note.txt").touch()
    observation = look(root, b"note.txt")
    assert decide(observation, RENAME, 0.0, SETTLE).readiness is Readiness.WAIT
    decision = decide(observation, RENAME, SETTLE, SETTLE)
    assert decision.readiness is Readiness.KEEP
    assert [finding.code for finding in decision.findings] == ["drop-kind-unknown"]


def test_stillness_is_counted_from_the_last_change(root: Path) -> None:
    clock = FakeClock()
    still = StandingStill(clock)
    assert still.seconds(look(root)) == 0.0
    clock.advance(3.0)
    assert still.seconds(look(root)) == 3.0
    clock.jump(3600.0)
    assert still.seconds(look(root)) == 3.0
    (root / "A" / "x.pdf").touch()
    assert still.seconds(look(root)) == 0.0
    clock.advance(1.0)
    (root / "A.ok").touch()
    assert still.seconds(look(root, marker=b"A.ok")) == 0.0
    clock.advance(1.0)
    still.keep_only([])
    assert still.seconds(look(root, marker=b"A.ok")) == 0.0


@pytest.mark.parametrize(
    ("content", "statement"),
    [
        (b"", MarkerStatement()),
        (b"done", MarkerStatement()),
        (b"1234", MarkerStatement(1234)),
        (b"size=1234\nsha256=" + b"AB" * 32 + b"\n", MarkerStatement(1234, "ab" * 32)),
        (b"ab" * 32, MarkerStatement(None, "ab" * 32)),
        (b"\xef\xbb\xbf17\r\n", MarkerStatement(17)),
        (b"\xff\xfe1\x007\x00", MarkerStatement()),
        (b"done\r\n  17 \r\n", MarkerStatement(17)),
        (b"Size: 17, written 2026-07-15", MarkerStatement(17)),
        (b"2026-07-15 09:30:00 A620199-0007.zip 17", MarkerStatement()),
        (b"ab" * 32 + b"  A620199-0007.zip\n", MarkerStatement(None, "ab" * 32)),
        (b"ab" * 32 + b" *0007\n17\n", MarkerStatement(17, "ab" * 32)),
        (b"resize=17 size=17.zip maxsize: 17", MarkerStatement()),
        (b"1" * 5000, MarkerStatement()),
    ],
)
def test_what_a_marker_states(root: Path, content: bytes, statement: MarkerStatement) -> None:
    (root / "A.ok").write_bytes(content)
    marker = look(root, marker=b"A.ok").marker
    assert marker is not None
    outbox = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    assert read_marker(outbox, marker) == statement
    os.close(outbox)


def test_a_marker_speaks_of_size_and_digest() -> None:
    assert not MarkerStatement().differs_from(1, "a")
    assert MarkerStatement(2).differs_from(1, "a")
    assert MarkerStatement(1, "b").differs_from(1, "a")
    assert not MarkerStatement(1, "a").differs_from(1, "a")
