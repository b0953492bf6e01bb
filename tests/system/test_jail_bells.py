"""Connections lost while they wait at the bell leave no process behind (C7).

The bounds, measured here with shorter times: a client whose end is told is gone at once; one that is cut off
without a word after ClientAliveInterval x ClientAliveCountMax (15 s x 3, at most 60 s); what still waits at
the bell then ends with the next ring, which a serving node gives in every scan, at most 30 s later.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from exchanged.bell import Bell
from tests.support.jails import Ground, as_account, ground, processes_of, run

ROOT = Path(__file__).resolve().parents[2]
SPACE, NEAR, FAR = "xt-space", "10.213.77.1", "10.213.77.2"
EACH = 100
# Connects, waits at the bell on every connection, says so, and stays until it is killed.
WAITER = """
import signal, sys
from pathlib import Path
from exchanged.sftp_connection import SftpConnection, SftpSettings
host, port, user, key, host_key, count = sys.argv[1:]
held, refused = [], 0
for _ in range(int(count)):
    settings = SftpSettings(host, int(port), user, Path(key), host_key, "/")
    connection = SftpConnection(settings)
    held.append(connection)
    try:
        window = connection.open_window()
        window.start_open_to_read("/bell")
        held.append(window)
    except Exception:
        refused += 1
print("waiting", refused, flush=True)
signal.pause()
"""


@pytest.fixture
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


@pytest.fixture
def far_away() -> Iterator[list[str]]:
    """A network of its own, joined by one wire that can be pulled out: then no word arrives any more."""
    forget_network()
    run("ip", "netns", "add", SPACE)
    run("ip", "link", "add", "xt0", "type", "veth", "peer", "name", "xt1", "netns", SPACE)
    run("ip", "address", "add", f"{NEAR}/30", "dev", "xt0")
    run("ip", "link", "set", "xt0", "up")
    run("ip", "-n", SPACE, "address", "add", f"{FAR}/30", "dev", "xt1")
    run("ip", "-n", SPACE, "link", "set", "xt1", "up")
    yield ["ip", "netns", "exec", SPACE]
    forget_network()


def forget_network() -> None:
    for command in (("ip", "link", "del", "xt0"), ("ip", "netns", "del", SPACE)):
        subprocess.run(command, capture_output=True, check=False)


def restart(place: Ground, processes: int, **values: int) -> None:
    """The same fragment with other numbers, so that a test need not wait a minute."""
    path = place.sshd / "accounts.d" / f"{place.account('a')}.conf"
    text = path.read_text()
    for name, value in values.items():
        text, found = re.subn(rf"{name} \d+", f"{name} {value}", text)
        assert found == 1
    path.write_text(text)
    place.stop()
    place.start(processes)


def waiters(place: Ground, count: int, host: str, before: list[str]) -> subprocess.Popen[str]:
    host_key = " ".join((place.sshd / "host_key.pub").read_text().split()[:2])
    words = [host, str(place.port), place.account("a"), str(place.key("a")), host_key, str(count)]
    return subprocess.Popen(
        [*before, sys.executable, "-c", WAITER, *words], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def refused(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().split()[1])


def seconds_until(condition: Callable[[], bool], limit: float) -> float:
    begin = time.monotonic()
    while not condition():
        assert time.monotonic() - begin < limit
        time.sleep(0.1)
    return time.monotonic() - begin


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        process.communicate()


def test_two_hundred_lost_connections_leave_no_process(
    place: Ground, far_away: list[str], record_property: Callable[[str, object], None]
) -> None:
    restart(place, 4000, ClientAliveInterval=2, ClientAliveCountMax=2)
    account = place.account("a")
    near = waiters(place, EACH, "127.0.0.1", [])
    far = waiters(place, EACH, NEAR, far_away)
    try:
        assert (refused(near), refused(far)) == (0, 0)
        # For each connection one process for the login and one that waits at the bell.
        assert len(processes_of(account)) == 4 * EACH
        near.send_signal(signal.SIGKILL)
        run("ip", "link", "del", "xt0")
        # Killed: told at once. Cut: silence for 2 x 2 seconds, checked every 2.
        lost = seconds_until(lambda: len(processes_of(account)) <= 2 * EACH, 30)
        time.sleep(1)
        left = len(processes_of(account))
        assert left == 2 * EACH, "the bell alone still holds them: this is why rings never cease"
        assert Bell(place.jail("a") / "bell").ring()
        rung = seconds_until(lambda: not processes_of(account), 10)
        record_property("seconds", f"logins ended after {lost:.1f}, waiters {rung:.1f} after one ring")
        assert not Bell(place.jail("a") / "bell").ring(), "nobody waits any more"
    finally:
        end(near, far)
    assert place.sftp("a", "ls up\n").returncode == 0


def test_one_account_cannot_take_the_processes_of_all(place: Ground) -> None:
    restart(place, 32, UnusedConnectionTimeout=3)
    account = place.account("a")
    greedy = waiters(place, 40, "127.0.0.1", [])
    try:
        assert refused(greedy) > 10
        assert place.sftp("b", "ls up\n").returncode == 0, "another agency's login is untouched"
        # Sessions end at the limit; connections that got none are ended because they ask for nothing.
        seconds_until(lambda: len(processes_of(account)) <= 32, 30)
        assert place.sftp("b", "ls down\n").returncode == 0
        # A local program of the account is bound as well, and the bell is not its own to ring.
        assert as_account(account, "sh", "-c", f"echo >{place.jail('a')}/bell").returncode != 0
    finally:
        end(greedy)
    # What a restarting dialler left does not keep it out: one ring, and there is room.
    seconds_until(lambda: Bell(place.jail("a") / "bell").ring() or not processes_of(account), 30)
    seconds_until(lambda: not processes_of(account), 30)
    assert place.sftp("a", "ls up\n").returncode == 0
