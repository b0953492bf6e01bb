"""Reload under load with real daemons: nothing in flight is lost or doubled, and the process stays the same."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.main import exchangectl

pytestmark = pytest.mark.process

POLICE, PROCURATORATE, PROVINCE = "620199-01-00", "620199-03-00", "620000-00-00"
NODES = (PROVINCE, POLICE, PROCURATORATE)
PACKETS = 9
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The province and two agencies, running."""
    made = create_lab(tmp_path_factory.mktemp("reload") / "lab", default_plan(3), "folder")
    try:
        for code in NODES:
            made.start_node(code)
        yield made
    finally:
        made.stop()


def wait_for(what: Callable[[], bool], why: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {PATIENCE_SECONDS} seconds in vain for {why}")
        time.sleep(0.05)


def events(lab: Lab, code: str, event: str) -> int:
    return lab.log(code).read_text(encoding="utf-8").count(f" event={event} ")


def delivered(lab: Lab) -> list[str]:
    """The packet of every delivered drop of the police, as its status says."""
    found = []
    for path in (lab.agency_root(POLICE) / "status").glob("*.status.json"):
        status = json.loads(path.read_text(encoding="utf-8"))
        if status["state"] == "delivered":
            found.append(status["packetId"])
    return found


def test_packets_in_flight_survive_reloads_of_every_node(lab: Lab, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    ready.mkdir()
    for number in range(PACKETS):
        words = ["packet", "new", "--type", "prosecution.transfer", "--name", f"p{number}", "--video-mib", "0"]
        made = CliRunner().invoke(exchangectl, [*words, "--seed", str(number), "--out", str(ready)])
        assert made.exit_code == 0, made.output
    pids = {code: lab.pid(code) for code in NODES}
    outbox = lab.agency_root(POLICE) / "outbox"
    for number in range(PACKETS):
        (ready / f"p{number}").rename(outbox / f"p{number}")
        code = NODES[number % len(NODES)]
        pid = pids[code]
        assert pid is not None
        os.kill(pid, signal.SIGHUP)
        if number % 4 == 0:
            # Two at once: the second waits for the first, or is one with it.
            os.kill(pid, signal.SIGHUP)
        wait_for(lambda: events(lab, code, "reloaded") > number // len(NODES), f"a reload of {code}")  # noqa: B023
    wait_for(lambda: len(delivered(lab)) == PACKETS, "every packet to be delivered")
    assert {code: lab.pid(code) for code in NODES} == pids
    inbox = lab.agency_root(PROCURATORATE) / "inbox" / "prosecution.transfer"
    found = sorted(path.name for path in inbox.iterdir())
    assert found == sorted(f"{POLICE}_{packet}" for packet in delivered(lab))
    for packet in delivered(lab):
        receipts = sorted(path.name for path in (lab.agency_root(POLICE) / "receipts" / packet).iterdir())
        assert [name.split("-")[0] for name in receipts] == ["accepted", "delivered"]


def test_a_bad_file_changes_nothing_and_sigterm_right_after_sighup_stops(lab: Lab) -> None:
    config = lab.node_config(PROVINCE)
    good = config.read_text(encoding="utf-8")
    pid = lab.pid(PROVINCE)
    assert pid is not None
    config.write_text(good.replace("workers = 2", "workers = 0\nwrokers = 2"), encoding="utf-8")
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: events(lab, PROVINCE, "reload-refused") == 2, "both problems in the log")
    config.write_text(good, encoding="utf-8")
    os.kill(pid, signal.SIGHUP)
    os.kill(pid, signal.SIGTERM)
    wait_for(lambda: lab.pid(PROVINCE) is None, "the node to stop")
    assert events(lab, PROVINCE, "ended") == 0
    lab.start_node(PROVINCE)
    # The last stop was a clean one: whatever the signals cut off was finished.
    assert " clean=true" in lab.log(PROVINCE).read_text(encoding="utf-8").rpartition("event=opened")[2]
