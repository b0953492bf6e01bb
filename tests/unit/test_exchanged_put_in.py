"""What cannot be read among what people put in is told once and passed over."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.put_in import PutIn

EVENT = "thing-unreadable"


def told(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (record.fields["file"], record.fields["what"]) for record in caplog.records if record.message == EVENT
    ]


def test_a_file_is_read_as_far_as_it_may_be_large(tmp_path: Path) -> None:
    path = tmp_path / "x.xml"
    path.write_bytes(b"12345")
    assert PutIn(EVENT).read(path, 5) == b"12345"
    assert PutIn(EVENT).read(path, 3) == b"1234"


def test_what_is_no_file_makes_nobody_wait_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, fifo, put_in = tmp_path / "folder", tmp_path / "fifo", PutIn(EVENT)
    folder.mkdir()
    os.mkfifo(fifo)
    for _ in range(3):
        assert put_in.read(folder, 10) is None
        assert put_in.read(fifo, 10) is None
    assert told(caplog) == [("folder", "it is a folder"), ("fifo", "it is a FIFO")]


def test_another_file_under_the_name_is_told_again_and_one_that_is_gone_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, put_in = tmp_path / "x.xml", PutIn(EVENT)
    path.mkdir()
    put_in.read(path, 10)
    path.rmdir()
    assert put_in.read(path, 10) is None
    path.write_bytes(b"good")
    assert put_in.read(path, 10) == b"good"
    path.unlink()
    path.mkdir()
    put_in.read(path, 10)
    assert len(told(caplog)) == 2


def test_what_this_user_may_not_read_is_read_once_he_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path, put_in = tmp_path / "x.xml", PutIn(EVENT)
    path.write_bytes(b"good")

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        assert [put_in.read(path, 10), put_in.read(path, 10)] == [None, None]
    assert told(caplog) == [("x.xml", "Permission denied")]
    assert put_in.read(path, 10) == b"good"
