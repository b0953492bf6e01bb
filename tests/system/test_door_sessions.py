"""Root ends the sessions of an account that was closed, and nobody else's processes."""

from __future__ import annotations

import pwd
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cli.jail.sessions import Door, end_closed
from exchanged.doors import DoorAnswer, Why
from tests.unit.test_cli_jail_sessions import running

NOBODY = pwd.getpwnam("nobody")
SOMEBODY_ELSE = 64_123


def test_a_process_that_took_the_number_of_a_session_lives_on(tmp_path: Path) -> None:
    """Between the list and the end of a session its number may have become another user's."""
    config: Any = SimpleNamespace(node=SimpleNamespace(data_dir=tmp_path))
    with running(user=SOMEBODY_ELSE) as stranger, running(user=NOBODY.pw_uid) as session:
        closed = DoorAnswer(Why.DISABLED, ())
        door = Door(NOBODY.pw_name, "link", "620199-01-00", closed, (stranger.pid, session.pid))
        assert end_closed(config, (door,), tmp_path / "seen" / "node.json") == (door,)
        assert session.wait(30) == -signal.SIGKILL
        assert stranger.poll() is None
