"""Opening a node: a volume that fails meanwhile is remembered, what is not ours stops nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.errors import VolumeDamagedError
from exchanged.places import BLOB_FOLDER, DAMAGE_FILE, SPOOL_FOLDER
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


def test_i9_folders_of_somebody_else_beside_the_spool_keep_no_node_from_starting(tmp_path: Path) -> None:
    """A volume of its own has a lost+found. A spare file of ours still goes."""
    network = Network(tmp_path / "lab", small_plan(POLICE))
    node = network.nodes[POLICE]
    node.open()
    node.close()
    kept = [node.config.node.data_dir / name / "lost+found" for name in (SPOOL_FOLDER, BLOB_FOLDER)]
    for folder in kept:
        folder.mkdir(mode=0o700)
    spare = node.config.node.data_dir / SPOOL_FOLDER / "spare.group"
    spare.touch()
    node.open()
    assert node.opened.reconciled.spare_files == 1
    node.die()
    assert not spare.exists()
    assert all(folder.is_dir() for folder in kept)
