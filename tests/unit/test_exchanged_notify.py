from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.notify import ALIVE, READY, sd_notify, status_line, watchdog_interval_seconds


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(20)
        yield receiver


def test_a_path_socket(manager: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    manager.bind("notify")
    # The real address is absolute; a short one keeps within the 107 bytes of a socket's name.
    assert sd_notify(READY, {"NOTIFY_SOCKET": "notify"}) is False
    link = Path("/proc/self/cwd/notify")
    assert sd_notify(READY, {"NOTIFY_SOCKET": str(link)}) is True
    assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket(manager: socket.socket) -> None:
    manager.bind("")  # the kernel gives a free abstract name
    name = manager.getsockname()[1:].decode()
    assert sd_notify(f"{ALIVE}\n{status_line('all' + chr(10) + 'well')}", {"NOTIFY_SOCKET": f"@{name}"})
    assert manager.recv(100) == b"WATCHDOG=1\nSTATUS=all well"


def test_nothing_without_a_manager(tmp_path: Path) -> None:
    assert sd_notify(READY, {}) is False
    assert sd_notify(READY, {"NOTIFY_SOCKET": str(tmp_path / "gone")}) is False


def test_the_environment_is_asked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "3000000")
    assert watchdog_interval_seconds() == 1.5
    assert sd_notify(READY) is False


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_interval(environment: dict[str, str], expected: float | None) -> None:
    assert watchdog_interval_seconds(environment, 42) == expected
