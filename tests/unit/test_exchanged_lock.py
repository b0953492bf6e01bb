"""The node's lock on a volume that does not take it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.errors import NoSpaceError, VolumeDamagedError
from exchanged.lock import NodeLock
from packet_spec.errors import ExchangeError


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, NoSpaceError), (errno.EROFS, VolumeDamagedError)]
)
@pytest.mark.parametrize("call", ["open", "pwrite"])
def test_i12_a_volume_that_does_not_take_the_lock_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[ExchangeError]
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(error):
            NodeLock(tmp_path / "lock")
    # What was held for a moment is let go.
    NodeLock(tmp_path / "lock").release()


def test_a_folder_that_is_not_there_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        NodeLock(tmp_path / "none" / "lock")
