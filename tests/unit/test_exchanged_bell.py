from __future__ import annotations

import errno
import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from exchanged.bell import Bell, ring_again_in


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What is wrong with bells, as often as it was told."""
    return [record.fields["found"] for record in caplog.records if record.message == "bell-unusable"]


def test_the_first_ring_makes_a_fifo_whatever_the_umask(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell", makes=True)
    before = os.umask(0o077)
    try:
        assert bell.ring() is False
        assert bell.ring() is False
    finally:
        os.umask(before)
    mode = bell.path.stat().st_mode
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o640


def test_a_ring_leaves_the_mode_of_an_existing_bell(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bell", 0o600)
    Bell(tmp_path / "bell", makes=True).ring()
    assert stat.S_IMODE((tmp_path / "bell").stat().st_mode) == 0o600


def test_a_bell_of_somebody_else_is_not_made(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert Bell(tmp_path / "bell").ring() is False
    assert list(tmp_path.iterdir()) == []
    assert told(caplog) == ["No such file or directory"]


def test_a_bell_that_cannot_be_used_is_told_once_until_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bell = Bell(tmp_path / "share" / "bell", makes=True)
    for _ in range(3):
        assert bell.ring() is False
    assert told(caplog) == ["No such file or directory"]
    bell.path.parent.mkdir()
    assert bell.ring() is False
    assert bell.path.is_fifo()
    bell.path.unlink()
    bell.path.touch()
    for _ in range(3):
        assert bell.ring() is False
    assert told(caplog)[1:] == ["something that is no FIFO"]


def test_a_share_that_takes_no_fifo_has_no_bell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(path: Path, mode: int) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "mkfifo", refuse)
    bell = Bell(tmp_path / "bell", makes=True)
    assert [bell.ring(), bell.ring()] == [False, False]
    assert told(caplog) == ["Operation not permitted"]


def test_a_ring_wakes_a_waiter(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell", makes=True)
    bell.ring()
    woken = threading.Event()

    def wait() -> None:
        os.close(os.open(bell.path, os.O_RDONLY))
        woken.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    rung = False
    while not rung:  # until the waiter stands in its open
        rung = bell.ring()
    assert woken.wait(10)
    waiter.join(10)


def test_a_ring_writes_into_nothing_and_follows_no_link(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "folder").mkdir()
    assert Bell(tmp_path / "fifo").ring() is True
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        for name in ("file", "link", "folder", "socket"):
            assert Bell(tmp_path / name, makes=True).ring() is False
    assert (tmp_path / "file").read_text() == "kept"
    assert len(told(caplog)) == 4
    os.close(reader)


def test_repeats_double_from_20_ms_to_a_minute() -> None:
    assert [ring_again_in(attempt) for attempt in range(4)] == [0.02, 0.04, 0.08, 0.16]
    assert ring_again_in(11) == pytest.approx(40.96)
    assert ring_again_in(12) == 60.0
    assert ring_again_in(10**9) == 60.0
