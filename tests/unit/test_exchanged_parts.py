"""Opening a node: a volume that fails meanwhile is remembered, what is not ours stops nothing."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from exchanged.errors import FileOperationError, VolumeDamagedError
from exchanged.ledger import Ledger
from exchanged.places import BLOB_FOLDER, DAMAGE_FILE, LEDGER_FILE, SPOOL_FOLDER
from packet_spec.errors import ExchangeError
from tests.support.network import POLICE, Network, small_plan
from tests.support.pages import first_pages, spoil


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


def test_i12_whatever_page_of_the_ledger_cannot_be_read_the_start_says_so_by_name(tmp_path: Path) -> None:
    """Not only the pages that the opening of the ledger looks at: the rest of the start reads others."""
    network = Network(tmp_path / "lab", small_plan(POLICE))
    node = network.nodes[POLICE]
    node.open()
    node.close()
    data = node.config.node.data_dir
    whole = (data / LEDGER_FILE).read_bytes()
    marked = 0
    for page in first_pages(data / LEDGER_FILE):
        for left in data.glob(f"{LEDGER_FILE}-*"):
            left.unlink()
        (data / LEDGER_FILE).write_bytes(whole)
        spoil(data / LEDGER_FILE, page)
        try:
            node.open()
        except VolumeDamagedError:
            assert (data / DAMAGE_FILE).exists(), page
            (data / DAMAGE_FILE).unlink()
            marked += 1
        finally:
            node.die()
    assert marked


def test_i12_a_ledger_whose_index_has_no_room_is_not_taken_for_a_damaged_one(tmp_path: Path) -> None:
    """No file may grow meanwhile, as on a full volume; nothing was written that could be damaged."""
    network = Network(tmp_path / "lab", small_plan(POLICE))
    node = network.nodes[POLICE]
    node.open()
    node.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with pytest.raises(ExchangeError) as caught:
            Ledger(node.config.node.data_dir / LEDGER_FILE, network.clock, on_wake=lambda _: None).close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(caught.value, FileOperationError)
    assert "room" in caught.value.advice
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
