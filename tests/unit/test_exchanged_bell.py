from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from exchanged.bell import Bell, ring_again_in
from exchanged.errors import TransportError


def test_ensure_makes_a_fifo_whatever_the_umask_and_may_be_repeated(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell")
    before = os.umask(0o077)
    try:
        bell.ensure()
        bell.ensure()
    finally:
        os.umask(before)
    mode = bell.path.stat().st_mode
    assert stat.S_ISFIFO(mode)
    assert stat.S_IMODE(mode) == 0o640


def test_ensure_leaves_the_mode_of_an_existing_bell(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "bell", 0o600)
    Bell(tmp_path / "bell").ensure()
    assert stat.S_IMODE((tmp_path / "bell").stat().st_mode) == 0o600


def test_ensure_refuses_what_is_no_fifo(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    for name in ("file", "link", "gone/bell"):
        with pytest.raises(TransportError):
            Bell(tmp_path / name).ensure()


def test_a_ring_without_a_waiter_is_false_and_does_not_block(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell")
    bell.ensure()
    assert bell.ring() is False


def test_a_ring_wakes_a_waiter(tmp_path: Path) -> None:
    bell = Bell(tmp_path / "bell")
    bell.ensure()
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
    assert Bell(tmp_path / "fifo").ring() is True
    for name in ("file", "link", "gone"):
        assert Bell(tmp_path / name).ring() is False
    assert (tmp_path / "file").read_text() == "kept"
    assert caplog.text.count("event=bell-unusable") == 3
    os.close(reader)


def test_repeats_double_from_20_ms_to_a_minute() -> None:
    assert [ring_again_in(attempt) for attempt in range(4)] == [0.02, 0.04, 0.08, 0.16]
    assert ring_again_in(11) == pytest.approx(40.96)
    assert ring_again_in(12) == 60.0
    assert ring_again_in(10**9) == 60.0
