"""C23: where a backup may lie, and what a restore may remove: nothing but its own unfinished copies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged import backup, restore_node
from exchanged.errors import LedgerDamagedError
from exchanged.ledger import restoring
from exchanged.places import LEDGER_FILE, RESTORE_FILE, RESTORE_FOLDER
from tests.support.asking import Operator, operator
from tests.support.crash import PowerCutError, break_off
from tests.support.network import POLICE, PROCURATORATE, Network, SimulatedNode, small_plan
from tests.support.traffic import drop_packet


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        drop_packet(made, seed=1)
        drop_packet(made, seed=2, sender=PROCURATORATE, receiver=POLICE, business_type="info.share")
        made.run()
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    node = network.nodes[POLICE]
    node.die()
    return node


@pytest.fixture
def data(police: SimulatedNode) -> Path:
    return police.config.node.data_dir


@pytest.fixture
def asked(network: Network, police: SimulatedNode, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(network.layout.config(POLICE), capsys)


@pytest.fixture
def saved(asked: Operator, tmp_path: Path) -> Path:
    asked.text("backup", "create", tmp_path / "saved")
    return tmp_path / "saved"


def contents(folder: Path) -> set[tuple[str, bytes]]:
    """All that somebody could miss: files by name and bytes, wherever they lie, but for unfinished copies."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    passing = ("-shm", RESTORE_FILE, "lock")
    return {
        (path.name, path.read_bytes())
        for path in found
        if RESTORE_FOLDER not in path.parts and not path.name.endswith(passing)
    }


def test_no_backup_is_made_in_the_data_directory(asked: Operator, data: Path, tmp_path: Path) -> None:
    """A restore would move it aside, and then find none."""
    before = contents(data)
    (tmp_path / "another way").symlink_to(data)
    for words in (
        (data / "b",),
        (data,),
        (data / "spool" / "b",),
        (tmp_path / "another way" / "b",),
        (tmp_path / "b", "--keys", data / "b"),
    ):
        asked.text("backup", "create", *words, code=2)
        assert "lies in the data directory" in asked.errors
        assert "outside data_dir" in asked.errors
    assert contents(data) == before
    assert not (data / "b").exists()


def test_no_backup_in_the_data_directory_is_restored_from_before_it_lies_elsewhere(
    asked: Operator, data: Path, saved: Path, tmp_path: Path
) -> None:
    shutil.copytree(saved, data / "b")
    (data / "link").symlink_to(saved)
    (tmp_path / "link").symlink_to(data / "b")
    before, names = contents(data), sorted(data.iterdir())
    for place in (data / "b", data / "link", tmp_path / "link", data / "spool" / ".." / "b"):
        asked.text("node", "restore", place, "--yes", code=2)
        assert "lies in the data directory" in asked.errors
        assert "move the backup" in asked.errors
    assert (contents(data), sorted(data.iterdir())) == (before, names)
    (data / "b").rename(tmp_path / "b")
    asked.text("node", "restore", tmp_path / "b", "--yes")
    assert before <= contents(data) | contents(tmp_path / "b")


def test_a_backup_that_was_set_aside_is_restored_from_and_stays(
    network: Network, police: SimulatedNode, asked: Operator, data: Path, saved: Path
) -> None:
    """An earlier version moved it there; a restore that is broken off twice does not touch it either."""
    inside = data / "set-aside-20260715T101010Z" / "b"
    inside.parent.mkdir()
    saved.rename(inside)
    for number in (4, 5):
        made = restore_node.plan(police.config, inside, network.clock.now())
        with pytest.MonkeyPatch.context() as patched:
            break_off(patched, "write_file", number)
            with pytest.raises(PowerCutError):
                restore_node.restore(police.config, inside, made, network.clock)
    asked.text("node", "restore", inside, "--yes")
    assert backup.verify(inside).is_whole
    police.open()


@pytest.mark.parametrize(("number", "is_kept"), [(2, True), (2, False), (5, False)])
def test_what_is_put_there_after_a_restore_was_broken_off_is_moved_aside(
    network: Network, police: SimulatedNode, asked: Operator, data: Path, saved: Path,
    number: int, is_kept: bool,
) -> None:  # fmt: skip
    """Whoever goes back by hand is told to do it again: what he brought back may be the only one."""
    made = restore_node.plan(police.config, saved, network.clock.now())
    with pytest.MonkeyPatch.context() as patched:
        break_off(patched, "write_file", number)
        with pytest.raises(PowerCutError):
            restore_node.restore(police.config, saved, made, network.clock)
    shutil.copytree(made.aside, data, dirs_exist_ok=True)
    if not is_kept:
        shutil.rmtree(made.aside)
    shutil.copytree(saved, data / "b")
    (data / "spool" / "newer.group").write_bytes(b"fictional")
    (data / "directory" / "newer.xml").write_bytes(b"fictional")
    before = contents(data)
    assert LEDGER_FILE in {name for name, _ in before}
    with pytest.raises(LedgerDamagedError, match="broken off"):
        police.open()
    told = " ".join(asked.text("node", "restore", saved).split())
    assert "nothing lies there" not in told
    asked.text("node", "restore", saved, "--yes")
    assert before <= contents(data)
    assert not (data / RESTORE_FOLDER).exists()
    assert not (data / "b").exists()
    police.open()


def test_a_restore_that_was_broken_off_while_copying_finds_nothing_to_move(
    network: Network, police: SimulatedNode, asked: Operator, data: Path, saved: Path
) -> None:
    """Its unfinished copies go before anything is written: on a full volume there would be no room."""
    made = restore_node.plan(police.config, saved, network.clock.now())
    for number, is_left in ((5, True), (5, True), (1, False)):
        with pytest.MonkeyPatch.context() as patched:
            break_off(patched, "write_file", number)
            with pytest.raises(PowerCutError):
                restore_node.restore(police.config, saved, made, network.clock)
        assert (data / RESTORE_FOLDER).exists() is is_left
        made = restore_node.plan(police.config, saved, network.clock.now())
        assert made.moves == ()
    assert "nothing lies there" in " ".join(asked.text("node", "restore", saved, "--yes").split())
    assert len(list(data.glob("set-aside-*"))) == 1


def test_a_node_whose_agency_folders_are_lost_as_well_works_again(
    network: Network, police: SimulatedNode, asked: Operator, saved: Path
) -> None:
    """As docs/operating.md says: the root by hand, the rest by ``folder init --accept``."""
    root = network.agency(POLICE)
    shutil.rmtree(root)
    asked.text("node", "restore", saved, "--yes")
    root.mkdir()
    police.open()
    network.run()
    assert restoring.is_going_on(police.opened.ledger.read()), "it waits for the markers"
    police.close()
    asked.text("folder", "init", "--accept")
    police.open()
    network.run()
    assert not restoring.is_going_on(police.opened.ledger.read())
    # What had been delivered and not taken counts as taken; it lies nowhere any more.
    assert kinds(network, POLICE) == {"accepted", "delivered", "collected"}
    drop_packet(network, seed=3)
    network.run()
    assert len(list(network.agency(PROCURATORATE).glob("inbox/*/*/packet.xml"))) == 2


def kinds(network: Network, receiver: str) -> set[str]:
    """Of the receipts that the procuratorate has from, or about packets for, ``receiver``."""
    found = network.agency(PROCURATORATE).glob("receipts/*/*.xml")
    return {path.name.partition("-")[0] for path in found if receiver in path.name or "accepted" in path.name}
