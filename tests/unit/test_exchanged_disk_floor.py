from __future__ import annotations

import pytest

from exchanged.disk_floor import DiskFloor
from exchanged.errors import NoSpaceError


class Volume:
    def __init__(self, free: int) -> None:
        self.free = free

    def free_bytes(self) -> int:
        return self.free


def test_i10_intake_stops_below_the_floor_and_goes_on_only_above_the_margin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    volume = Volume(1000)
    floor = DiskFloor(volume, 1000, 200)
    seen = []
    caplog.set_level("INFO", logger="exchanged")
    for free in (1000, 999, 1000, 1199, 998, 1200, 1000):
        volume.free = free
        seen.append(floor.is_low())
    assert seen == [False, True, True, True, True, False, False]
    assert [record.message for record in caplog.records] == ["disk-floor", "disk-floor"]


def test_i10_what_would_go_below_the_floor_is_not_taken(caplog: pytest.LogCaptureFixture) -> None:
    floor = DiskFloor(Volume(1000), 900, 50)
    floor.require(100)
    with pytest.raises(NoSpaceError):
        floor.require(101)
    assert not floor.is_low()


def test_without_a_floor_the_volume_is_not_even_looked_at() -> None:
    class Broken:
        def free_bytes(self) -> int:
            raise AssertionError

    floor = DiskFloor(Broken(), 0, 100)
    floor.require(1 << 60)
    assert not floor.is_low()
