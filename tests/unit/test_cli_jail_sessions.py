"""Ending the sessions of an account that was closed ends nobody else's processes."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.jail.sessions import Door, end_closed, end_process
from exchanged.doors import DoorAnswer, Why

NOBODY = pwd.getpwnam("nobody")
SOMEBODY_ELSE = 64_123


@contextmanager
def running(**options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "300"], **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has processes of other users")
def test_a_process_that_took_the_number_of_a_session_lives_on(tmp_path: Path) -> None:
    """Between the list and the end of a session its number may have become another user's."""
    config: Any = SimpleNamespace(node=SimpleNamespace(data_dir=tmp_path))
    with running(user=SOMEBODY_ELSE) as stranger, running(user=NOBODY.pw_uid) as session:
        closed = DoorAnswer(Why.DISABLED, ())
        door = Door(NOBODY.pw_name, "link", "620199-01-00", closed, (stranger.pid, session.pid))
        assert end_closed(config, (door,), tmp_path / "seen" / "node.json") == (door,)
        assert session.wait(30) == -signal.SIGKILL
        assert stranger.poll() is None


def test_only_a_process_of_that_user_is_ended_and_one_that_is_gone_is_no_matter() -> None:
    with running() as process:
        end_process(process.pid, os.getuid() + 1)
        assert process.poll() is None
        end_process(process.pid, os.getuid())
        assert process.wait(30) == -signal.SIGKILL
        end_process(process.pid, os.getuid())
