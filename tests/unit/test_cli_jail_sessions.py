"""Ending the sessions of an account that was closed ends nobody else's processes."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli.jail import sessions
from cli.jail.sessions import doors_of, end_process
from exchanged.config import LinkSide, load_config
from tests.support.asking import make_node
from tests.support.clock import FakeClock

ACCOUNTS, EACH = 500, 4
FIRST_UID = 70_000


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


def test_each_process_is_read_once_however_many_accounts_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A province's 500 neighbours: the look has to be over within the minute of its unit."""
    config = load_config(make_node(tmp_path))
    links = tuple(
        replace(config.links[0], name=f"link-{number}", side=LinkSide.SERVE, account=f"ex-{number}")
        for number in range(ACCOUNTS)
    )
    monkeypatch.setattr(pwd, "getpwnam", lambda name: SimpleNamespace(pw_uid=FIRST_UID + int(name[3:])))
    proc = tmp_path / "proc"
    for number in range(ACCOUNTS * EACH):
        uid = FIRST_UID + number % ACCOUNTS
        folder = proc / str(1000 + number)
        folder.mkdir(parents=True)
        (folder / "status").write_text(f"Name:\tsshd\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\n")
    (proc / "self").mkdir()
    monkeypatch.setattr(sessions, "_PROC", proc)
    reads: Counter[Path] = Counter()
    read_text = Path.read_text

    def counted(path: Path, *arguments: Any, **options: Any) -> str:
        reads[path] += path.is_relative_to(proc)
        return read_text(path, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    doors = doors_of(replace(config, links=links), tmp_path, FakeClock())
    assert [door.processes for door in doors[:2]] == [(1000, 1500, 2000, 2500), (1001, 1501, 2001, 2501)]
    assert len(doors) == ACCOUNTS
    assert (reads.total(), max(reads.values())) == (ACCOUNTS * EACH, 1)
