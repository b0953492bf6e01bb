"""Starting, breaking and stopping a lab: real processes, a real sshd, and a stand-in for the daemon.

The stand-in keeps the daemon's manners (READY=1 on the notify socket, an end on SIGTERM, a worker), so
that these tests say what the lab does, whatever the daemon does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest

from cli.lab import processes
from cli.lab.errors import LabError
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from exchanged.config import load_config

pytestmark = pytest.mark.process

STAND_IN = """
import os, signal, socket, subprocess, sys
manners = sys.argv[1]
print("started", sys.argv[-1], flush=True)
if manners == "dies":
    sys.exit("no luck today")
subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
if manners == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"STATUS=up\\nREADY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
while True:
    signal.pause()
"""


def open_lab(folder: Path, manners: str = "polite") -> Lab:
    return Lab.open(folder, daemon=(sys.executable, "-c", STAND_IN, manners))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A lab of three agencies over SFTP, whose processes end with the test whatever happens."""
    place = tmp_path / "a lab"
    create_lab(place, default_plan(3), "sftp")
    yield place
    Lab.open(place).stop()


def living(token_of: Path) -> list[int]:
    """Every process on this machine whose command line names the lab."""
    mark = str(token_of).encode()
    found = []
    for child in Path("/proc").iterdir():
        if child.name.isdigit() and int(child.name) != os.getpid():
            try:
                if mark in (child / "cmdline").read_bytes():
                    found.append(int(child.name))
            except OSError:
                continue
    return found


def states(lab: Lab) -> set[str]:
    return {each.state for each in lab.status()}


def test_start_waits_for_all_and_stop_leaves_nothing(folder: Path) -> None:
    lab = open_lab(folder)
    ready: list[str] = []
    lab.start(ready.append)
    assert ready[:2] == ["sshd", lab.province]
    assert sorted(ready[2:]) == sorted(lab.agencies)
    assert states(lab) == {"running"}
    daemons = [processes.read_record(lab.layout.record(code)) for code in lab.nodes]
    workers = [worker for process in daemons if process for worker in processes.family(process)]
    assert len(workers) == len(lab.nodes)
    lab.stop()
    assert states(lab) == {"stopped"}
    assert living(folder) == []
    assert not any(processes.is_running(worker) for worker in workers)


def test_another_call_finds_the_running_lab_and_leaves_it_alone(folder: Path) -> None:
    open_lab(folder).start()
    lab = open_lab(folder)
    before = {code: lab.pid(code) for code in ("sshd", *lab.nodes)}
    lab.start()
    assert {code: lab.pid(code) for code in before} == before


def test_a_killed_node_is_seen_and_started_again(folder: Path) -> None:
    lab = open_lab(folder)
    lab.start()
    victim = lab.agencies[1]
    first = lab.pid(victim)
    lab.kill_node(victim)
    assert lab.pid(victim) is None
    assert [each.name for each in lab.status() if each.state == "died"] == [victim]
    lab.start_node(victim)
    assert lab.pid(victim) not in {None, first}
    lab.stop_node(victim)
    assert [each.name for each in lab.status() if each.state == "stopped"] == [victim]


def test_a_node_that_ends_at_once_is_told_with_its_last_word(folder: Path) -> None:
    lab = open_lab(folder, "dies")
    with pytest.raises(LabError, match="ended before it was ready") as caught:
        lab.start()
    assert caught.value.found == "no luck today"
    lab.stop()
    assert living(folder) == []


def test_a_node_that_does_not_listen_is_killed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.lab.lab.STOP_SECONDS", 0.2)
    lab = open_lab(folder, "deaf")
    lab.start_node(lab.province)
    lab.stop()
    assert living(folder) == []


def test_a_foreign_process_under_an_old_number_is_never_touched(folder: Path) -> None:
    lab = open_lab(folder)
    lab.start_node(lab.province)
    record = lab.layout.record(lab.province)
    ours = json.loads(record.read_text())
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    try:
        record.write_text(json.dumps(ours | {"pid": stranger.pid}))
        assert lab.pid(lab.province) is None
        lab.kill_node(lab.province)
        lab.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def log_in(lab: Lab, code: str) -> paramiko.SFTPClient:
    link = load_config(lab.node_config(code)).links[0]
    transport = paramiko.Transport((link.host, link.port))
    transport.connect(
        username=link.user, pkey=paramiko.Ed25519Key.from_private_key_file(str(link.key))
    )
    shown = transport.get_remote_server_key()
    assert f"{shown.get_name()} {shown.get_base64()}" == link.host_key
    client = transport.open_sftp_client()
    assert client is not None
    return client


def test_a_front_end_logs_in_and_a_session_asleep_at_a_bell_is_ended_too(folder: Path) -> None:
    lab = open_lab(folder)
    lab.start()
    code = lab.agencies[0]
    mailbox = load_config(lab.node_config(code)).links[0].mailbox
    os.mkfifo(Path(mailbox) / "bell")
    client = log_in(lab, code)
    assert sorted(client.listdir(mailbox)) == ["bell", "down", "up"]
    with client.open(f"{mailbox}/up/x", "w") as file:
        file.write(b"x")
    # Ask for the bell without waiting for the answer, then let the connection die: the session sleeps on.
    client._async_request(type(None), paramiko.sftp.CMD_OPEN, f"{mailbox}/bell", 1, paramiko.SFTPAttributes())
    sshd = processes.read_record(lab.layout.record("sshd"))
    assert sshd is not None
    sessions = processes.descendants(sshd)
    assert sessions
    client.get_channel().get_transport().close()
    lab.stop()
    assert living(folder) == []
    assert not any(processes.is_running(session) for session in sessions)


def test_a_taken_port_is_left_to_its_owner(folder: Path) -> None:
    lab = open_lab(folder)
    port = load_config(lab.node_config(lab.agencies[0])).links[0].port
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", port))
        owner.listen()
        lab.start()
        moved = {load_config(lab.node_config(code)).links[0].port for code in lab.agencies}
        assert len(moved) == 1
        assert moved != {port}
        assert log_in(lab, lab.agencies[2]).listdir(str(folder))
    lab.stop()


def test_a_process_that_ends_between_look_and_signal_counts_as_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = processes.spawn(("/bin/sleep", "60"), {}, tmp_path / "log", "sleep", "a token")
    look = processes.is_running

    def ends_after_the_look(process: processes.Process) -> bool:
        seen = look(process)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)
        return seen

    monkeypatch.setattr(processes, "is_running", ends_after_the_look)
    assert processes.send(child, signal.SIGTERM) is False
