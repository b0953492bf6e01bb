"""What the shards of the network judge with can fail: half files, hasty tries, changed bytes, cut lines."""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from certainty.network.cuts import CutOnce
from certainty.network.killed_server import Onlooker
from certainty.network.line import Line, Trouble
from certainty.network.reader import _problem
from certainty.network.refusing_server import FAILED, hasty_tries
from certainty.network.relay import Relay
from certainty.network.stage import wait_until

WAIT = 20.0
CONTENT = bytes(range(256)) * 400


class Echo:
    """A server that gives back what it gets."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = ("127.0.0.1", int(self._listener.getsockname()[1]))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(near,), daemon=True).start()

    @staticmethod
    def _answer(near: socket.socket) -> None:
        # A line that is cut resets its ends.
        with near, suppress(ConnectionError):
            while data := near.recv(65_536):
                near.sendall(data)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def through(line: Line, data: bytes) -> bytes:
    """What comes back over the line until it ends."""
    with socket.create_connection(("127.0.0.1", line.port), timeout=WAIT) as near:
        sender = threading.Thread(target=_send, args=(near, data), daemon=True)
        sender.start()
        got = b""
        try:
            while len(got) < len(data) and (piece := near.recv(65_536)):
                got += piece
        except ConnectionError:
            pass
        sender.join(WAIT)
    return got


def _send(near: socket.socket, data: bytes) -> None:
    try:
        near.sendall(data)
    except OSError:
        return


def test_a_line_without_trouble_changes_nothing_and_counts(echo: Echo) -> None:
    with Line(echo.place) as line:
        assert through(line, CONTENT) == CONTENT
        assert (line.up_bytes, line.happened) == (len(CONTENT), 0)


def test_a_line_changes_the_one_byte_that_it_should(echo: Echo) -> None:
    with Line(echo.place, lambda _: Trouble(flip_up=70_000, mask=8)) as line:
        got = through(line, CONTENT)
        changed = [n for n, (one, other) in enumerate(zip(got, CONTENT, strict=True)) if one != other]
        assert changed == [70_000]
        assert line.happened == 1


def test_a_line_is_cut_after_so_many_bytes(echo: Echo) -> None:
    with Line(echo.place, lambda number: Trouble(cut_up=1_000) if number == 0 else Trouble()) as line:
        assert len(through(line, CONTENT)) <= 1_000
        assert line.happened == 1
        assert through(line, CONTENT) == CONTENT


def test_a_connection_that_ends_before_the_cut_leaves_it_to_the_next(echo: Echo) -> None:
    with Line(echo.place) as line:
        line.choose = cut = CutOnce(line, 1_000)
        seen = []
        for content in (CONTENT[:10], CONTENT, CONTENT):
            got = through(line, content)
            seen.append((got == content, cut.happened))
        assert seen == [(True, False), (False, True), (True, True)]
        assert line.happened == 1
        # The next large upload is another case.
        assert not CutOnce(line, 1_000).happened


def test_a_line_with_delay_keeps_the_order(echo: Echo) -> None:
    with Line(echo.place, lambda _: Trouble(delay=0.001, jitter=0.002)) as line:
        assert through(line, CONTENT) == CONTENT


def test_the_onlooker_sees_half_a_blob_and_a_file_that_changes(tmp_path: Path) -> None:
    good = tmp_path / f"{hashlib.sha256(b'whole').hexdigest()}.blob"
    good.write_bytes(b"whole")
    (tmp_path / ".x.blob.part").write_bytes(b"half")
    onlooker = Onlooker(tmp_path)
    assert wait_until(lambda: onlooker.looks > 2, WAIT)
    assert onlooker.partial == []
    half = tmp_path / f"{hashlib.sha256(b'another').hexdigest()}.blob"
    half.write_bytes(b"ano")
    assert wait_until(lambda: half.name in onlooker.partial, WAIT)
    onlooker.stop()
    onlooker.partial.clear()
    batch = tmp_path / "00000001-0123456789abcdef.batch"
    half.unlink()
    for content in (b"first", b"second"):
        batch.write_bytes(content)
        onlooker.look()
    assert onlooker.partial == [batch.name]


def failed(second: float, pause: float, failures: int) -> re.Match[str]:
    line = (
        f"2026-01-01T00:00:{second:06.3f}Z warning event=station-failed station=link:province error=no-space"
        f' what="x" failures={failures} again_in_seconds={pause}'
    )
    found = FAILED.match(line)
    assert found is not None
    return found


def test_a_try_before_its_pause_is_over_is_seen() -> None:
    assert not hasty_tries([failed(1, 0.5, 1), failed(1.6, 1.0, 2), failed(3, 2.0, 3), failed(6, 2.0, 4)])
    (said,) = hasty_tries([failed(1, 2.0, 1), failed(2.5, 1.0, 2), failed(7, 4.0, 3)])
    assert "had said" in said


def test_pauses_that_do_not_grow_are_seen_whatever_the_node_says_of_them() -> None:
    constant = [failed(1 + 0.3 * number, 0.3, number + 1) for number in range(5)]
    assert len(hasty_tries(constant)) == 3
    assert len(hasty_tries([failed(1 + 0.001 * number, 0.0, number + 1) for number in range(5)])) == 4
    anew = [failed(1, 0.5, 1), failed(2, 0.5, 1), failed(4, 0.5, 1)]
    assert len(hasty_tries(anew)) == 2


def test_a_delivered_folder_that_is_not_whole_is_seen(tmp_path: Path) -> None:
    assert _problem(tmp_path)


def test_a_relay_carries_both_ways_and_takes_away_what_its_writer_removed(tmp_path: Path) -> None:
    near, far = tmp_path / "near", tmp_path / "far"
    for side in (near, far):
        for code in ("620199-01-00", "620199-03-00", "620199-04-00"):
            for direction in ("up", "down"):
                (side / code / direction).mkdir(parents=True)
    relay = Relay(near, far, 1)
    (near / "620199-01-00" / "up" / "a").write_bytes(b"1")
    (far / "620199-03-00" / "down" / "b").write_bytes(b"2")
    relay.trip()
    assert (far / "620199-01-00" / "up" / "a").read_bytes() == b"1"
    assert (near / "620199-03-00" / "down" / "b").read_bytes() == b"2"
    (near / "620199-01-00" / "up" / "a").unlink()
    relay.trip()
    assert not (far / "620199-01-00" / "up" / "a").exists()
