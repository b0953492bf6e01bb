"""A volume that fails while a node is opened: it is remembered as if it had failed at work."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.errors import VolumeDamagedError
from exchanged.places import DAMAGE_FILE
from tests.support.network import POLICE, Network, small_plan


def test_i12_who_failed_on_the_way_up_starts_again_by_a_persons_word_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    network = Network(tmp_path / "lab", small_plan(POLICE))
    node = network.nodes[POLICE]
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(VolumeDamagedError):
            node.open()
    with pytest.raises(VolumeDamagedError, match="earlier run"):
        node.open()
    (node.config.node.data_dir / DAMAGE_FILE).unlink()
    node.open()
    node.die()
