"""The bell over a real OpenSSH server (C7): a ring wakes the dialler, and none is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from exchanged.bell import Bell, ring_again_in
from exchanged.durable import DurableFiles, Volume
from exchanged.folder_transport import FolderTransport
from exchanged.sftp_bell import BellListener
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_transport import SftpTransport
from tests.support.sftp_server import SftpServer
from tests.support.transports import BytesSource

pytestmark = pytest.mark.process

SPOOL = DurableFiles(Volume.OWN)
WAIT_SECONDS = 20


class Ears:
    """What a listener heard."""

    def __init__(self) -> None:
        self.rings = 0
        self.states: list[bool] = []
        self._changed = threading.Condition()

    def on_ring(self) -> None:
        with self._changed:
            self.rings += 1
            self._changed.notify_all()

    def on_state(self, armed: bool) -> None:
        with self._changed:
            self.states.append(armed)
            self._changed.notify_all()

    def wait_for_rings(self, count: int, seconds: float = WAIT_SECONDS) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.rings >= count, seconds)

    def wait_for_states(self, *states: bool) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.states == list(states), WAIT_SECONDS)


def ring_until_heard(bell: Bell) -> bool:
    """Repeat a ring that found nobody, as C7 asks; the pauses are those of the product."""
    pause = threading.Event()
    return any(bell.ring() or pause.wait(ring_again_in(attempt)) for attempt in range(10))


@pytest.fixture
def bell(server: SftpServer) -> Iterator[Bell]:
    bell = Bell(server.mailbox / "bell", makes=True)
    bell.ring()
    yield bell
    bell.ring()  # frees a waiter that a broken session left


@pytest.fixture
def ears() -> Ears:
    return Ears()


def test_each_ring_wakes_the_listener(
    server: SftpServer, connection: SftpConnection, bell: Bell, ears: Ears
) -> None:
    listener = BellListener(connection, ears.on_ring, ears.on_state, lambda _: 0.01)
    listener.start()
    assert ears.wait_for_states(True)
    for count in range(1, 6):
        assert ring_until_heard(bell)
        assert ears.wait_for_rings(count)
    listener.stop()
    assert ears.states == [True]


def test_a_file_put_before_a_ring_is_seen_by_a_listing_after_it(
    server: SftpServer, connection: SftpConnection, bell: Bell
) -> None:
    transport = SftpTransport(connection, SPOOL)
    serving = FolderTransport(server.mailbox, outgoing="down", durable=SPOOL, bell=bell)
    wake = threading.Semaphore(0)
    listener = BellListener(connection, wake.release, lambda _: None, lambda _: 0.01)
    listener.start()
    for number in range(1, 21):
        serving.put(f"{number:08d}-0123456789abcdef.batch", BytesSource(b"x"))
        assert ring_until_heard(bell)
        seen = 0
        while seen < number:
            assert wake.acquire(timeout=WAIT_SECONDS), "a ring was heard but woke nobody"
            seen = len(transport.list_names().files)
    listener.stop()
    transport.close()


def test_stop_comes_at_once_while_waiting(server: SftpServer, bell: Bell, ears: Ears) -> None:
    listener = BellListener(server.settings(), ears.on_ring, ears.on_state, lambda _: 60.0)
    listener.start()
    assert ears.wait_for_states(True)
    listener.stop()
    assert not listener._thread.is_alive()
    bell.ring()
    assert ears.rings == 0


def test_a_lost_connection_is_told_and_the_bell_armed_again(
    server: SftpServer, bell: Bell, ears: Ears
) -> None:
    attempts: list[int] = []

    def delays(attempt: int) -> float:
        attempts.append(attempt)
        return 0.01

    listener = BellListener(server.settings(), ears.on_ring, ears.on_state, delays)
    listener.start()
    assert ears.wait_for_states(True)
    server.kill_sessions()
    assert ears.wait_for_states(True, False, True)
    assert ring_until_heard(bell)
    # The first may be for the waiter that the broken session left: the listener's known limit.
    assert ears.wait_for_rings(1, 3.0) or (ring_until_heard(bell) and ears.wait_for_rings(1))
    assert attempts[0] == 0
    listener.stop()


def test_without_a_bell_it_keeps_trying_and_stops(server: SftpServer, ears: Ears) -> None:
    attempts: list[int] = []
    enough = threading.Event()

    def delays(attempt: int) -> float:
        attempts.append(attempt)
        if attempt == 3:
            enough.set()
        return 0.0

    (server.mailbox / "bell").write_text("no FIFO: opening it would return at once")
    listener = BellListener(server.settings(), ears.on_ring, ears.on_state, delays)
    listener.start()
    assert enough.wait(WAIT_SECONDS)
    listener.stop()
    assert attempts[:4] == [0, 1, 2, 3]
    assert (ears.rings, ears.states) == (0, [])


def test_a_mistake_of_the_callback_does_not_end_the_bell(
    server: SftpServer, connection: SftpConnection, bell: Bell, ears: Ears
) -> None:
    def on_ring() -> None:
        ears.on_ring()
        raise RuntimeError("a mistake")

    listener = BellListener(connection, on_ring, ears.on_state, lambda _: 0.01)
    listener.start()
    assert ears.wait_for_states(True)
    for count in (1, 2):
        assert ring_until_heard(bell)
        assert ears.wait_for_rings(count)
    listener.stop()


def test_a_ring_without_a_waiter_is_false(bell: Bell) -> None:
    assert bell.ring() is False
