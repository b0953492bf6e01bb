"""Ending the sessions of an account that was closed ends nobody else's processes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cli.jail.sessions import end_process


@contextmanager
def running(**options: Any) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "300"], **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_only_a_process_of_that_user_is_ended_and_one_that_is_gone_is_no_matter() -> None:
    with running() as process:
        end_process(process.pid, os.getuid() + 1)
        assert process.poll() is None
        end_process(process.pid, os.getuid())
        assert process.wait(30) == -signal.SIGKILL
        end_process(process.pid, os.getuid())
