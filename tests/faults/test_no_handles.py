"""F14: a moment without file handles is no damage and nobody's fault; what waits is done afterwards."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchanged.errors import FileOperationError, VolumeDamagedError
from exchanged.ranges import RangeReader
from tests.support.encrypted_lab import drop, status
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan


@contextmanager
def no_handles() -> Iterator[None]:
    """What is open stays open; not one more can be had."""
    # A file gets the lowest number that is free.
    lowest = os.dup(0)
    os.close(lowest)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_spool_file_that_cannot_be_opened_for_want_of_a_handle_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.batch"
    path.write_bytes(b"abc")
    with no_handles(), pytest.raises(FileOperationError):
        RangeReader(path, 0, 3)
    with RangeReader(path, 0, 3) as reader:
        assert reader.read(3) == b"abc"
    path.unlink()
    with pytest.raises(VolumeDamagedError):
        RangeReader(path, 0, 3)


def test_a_packet_goes_its_way_while_handles_come_and_go(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        drop(network, "A")
        for _ in range(12):
            with no_handles():
                network.round()
            network.round()
        network.run()
        errors = [error for node in network.nodes.values() for error in node.errors]
        assert any(isinstance(error, FileOperationError) for error in errors)
        assert [error for error in errors if not error.temporary] == []
        assert status(network, "A")["state"] == "delivered"
        assert len(list((network.agency(PROCURATORATE) / "inbox").glob("*/*"))) == 1
