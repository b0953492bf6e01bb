"""The pulse: whether our own volume answers, without waiting for it."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchanged.durable import NO_CRASH, Block, DurableFiles, Kernel, Volume
from exchanged.errors import VolumeDamagedError
from exchanged.ledger import Ledger
from exchanged.places import PULSE_FILE
from exchanged.pulse import Pulse
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock

PATIENCE = 20.0


class Disk(Kernel):
    """A volume whose fsync hangs while ``free`` is not set, or fails."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.called = threading.Event()
        self.error = 0

    def write(self, descriptor: int, block: Block) -> int:
        return super().write(descriptor, block)

    def fsync(self, descriptor: int) -> None:
        self.called.set()
        assert self.free.wait(PATIENCE)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


class Bench:
    def __init__(self, folder: Path) -> None:
        self.disk = Disk()
        self.fatal: list[ExchangeError] = []
        self.ledger = Ledger(folder / "ledger.sqlite3", FakeClock(), on_wake=lambda _: None)
        files = DurableFiles(Volume.OWN, NO_CRASH, self.disk)
        self.pulse = Pulse(self.ledger, files, self.fatal.append)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.disk.free.set()
    assert made.pulse.stop(PATIENCE)
    made.ledger.close()


def until(what: Callable[[], bool]) -> None:
    """Wait for another thread, without sleeping."""
    pause = threading.Event()
    for _ in range(2000):
        if what():
            return
        pause.wait(0.01)
    pytest.fail("waited in vain")


def test_a_volume_that_answers(bench: Bench, tmp_path: Path) -> None:
    assert not bench.pulse.has_answered()
    bench.pulse.start()
    until(bench.pulse.has_answered)
    assert (tmp_path / PULSE_FILE).read_bytes() == b"alive\n"
    bench.pulse.ask()
    until(bench.pulse.has_answered)
    assert bench.pulse.waiting == 0


def test_a_volume_that_hangs_gives_no_answer_and_one_again_when_it_comes_back(bench: Bench) -> None:
    bench.disk.free.clear()
    bench.pulse.start()
    assert bench.disk.called.wait(PATIENCE)
    assert not bench.pulse.has_answered()
    bench.disk.free.set()
    until(bench.pulse.has_answered)
    assert not bench.fatal


def test_a_ledger_that_hangs_gives_no_answer(bench: Bench) -> None:
    free, busy = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        busy.set()
        assert free.wait(PATIENCE)

    writer = threading.Thread(target=lambda: bench.ledger.write(hang))
    writer.start()
    assert busy.wait(PATIENCE)
    bench.pulse.start()
    assert not bench.disk.called.wait(0.05)
    assert not bench.pulse.has_answered()
    free.set()
    writer.join(PATIENCE)
    until(bench.pulse.has_answered)


def test_a_full_volume_has_answered(bench: Bench) -> None:
    bench.disk.error = errno.ENOSPC
    bench.pulse.start()
    until(bench.pulse.has_answered)
    assert not bench.fatal


def test_a_damaged_volume_is_fatal(bench: Bench) -> None:
    bench.disk.error = errno.EIO
    bench.pulse.start()
    until(lambda: bool(bench.fatal))
    assert isinstance(bench.fatal[0], VolumeDamagedError)
    assert not bench.pulse.has_answered()
