"""A real daemon and what its service manager hears. Reload under load: ``test_main_job``."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from cli.lab.lab import create_lab
from cli.lab.plan import default_plan

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


def wait_for(what: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_SECONDS} seconds in vain for {why}")
        time.sleep(0.05)


def test_the_service_manager_hears_all_of_it(tmp_path: Path) -> None:
    """READY, WATCHDOG, RELOADING with its time, a refusal in STATUS, STOPPING; and one pid throughout."""
    lab = create_lab(tmp_path / "lab", default_plan(3), "folder")
    config = lab.node_config(lab.province)
    good = config.read_text(encoding="utf-8")
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind("")
        ear.setblocking(False)
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LC_ALL": "C.UTF-8",
            "NOTIFY_SOCKET": "@" + ear.getsockname()[1:].decode(),
            "WATCHDOG_USEC": "1000000",
        }

        def hears(what: str, times: int = 1) -> bool:
            with suppress(BlockingIOError):
                while True:
                    heard.append(ear.recv(4096).decode())
            return sum(what in state for state in heard) >= times

        log = tmp_path / "log"
        command = [sys.executable, "-m", "cli.daemon", "--config", str(config)]
        with log.open("wb") as output:
            daemon = subprocess.Popen(command, env=environment, stderr=output)
        try:
            wait_for(lambda: hears("READY=1"), "READY")
            wait_for(lambda: hears("WATCHDOG=1", 2), "the watchdog to be fed twice")
            wait_for(lambda: hears("STATUS=3 of 3 links up; waiting: 0"), "the status")
            config.write_text(good.replace("workers = 2", "workers = 0\nwrokers = 2"), encoding="utf-8")
            daemon.send_signal(signal.SIGHUP)
            wait_for(lambda: hears("READY=1", 2), "READY after a bad file")
            wait_for(lambda: hears("reload refused at"), "the refusal in the status")
            config.write_text(good, encoding="utf-8")
            daemon.send_signal(signal.SIGHUP)
            wait_for(lambda: hears("READY=1", 3), "READY after a good file")
            # The second reload and the end at once: the end wins, and it is a clean one.
            daemon.send_signal(signal.SIGHUP)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(PATIENCE_SECONDS) == 0
            assert hears("STOPPING=1")
        finally:
            daemon.kill()
            daemon.wait()
    begun = [state for state in heard if state.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert len(begun) in {2, 3}
    assert abs(int(begun[-1].rpartition("=")[2]) / 1e6 - time.monotonic()) < PATIENCE_SECONDS
    text = log.read_text(encoding="utf-8")
    assert text.count("event=reload-refused") == 2
    assert text.count("event=stopped clean=true") == text.count("event=opened")


def test_a_reload_while_the_agency_share_is_away_leaves_the_node_at_work(tmp_path: Path) -> None:
    """The file is unchanged: neither it nor the one before could be opened now."""
    lab = create_lab(tmp_path / "lab", default_plan(3), "folder")
    (code, *_) = (agency.code for agency in default_plan(3).agencies)
    root, log = lab.layout.agency(code), tmp_path / "log"
    command = [sys.executable, "-m", "cli.daemon", "--config", str(lab.node_config(code))]

    def says(what: str, times: int = 1) -> bool:
        return log.read_text(encoding="utf-8").count(what) >= times

    with log.open("wb") as output:
        daemon = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=output)
    try:
        wait_for(lambda: says("event=ready"), "the node")
        root.rename(root.with_name("not-mounted"))
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: says("event=reload-refused"), "the refusal")
        root.with_name("not-mounted").rename(root)
        assert says("error=folder-unusable")
        assert not says("event=stopped")
        daemon.send_signal(signal.SIGHUP)
        wait_for(lambda: says("event=reloaded"), "a reload once the share is back")
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(PATIENCE_SECONDS) == 0
    finally:
        daemon.kill()
        daemon.wait()
