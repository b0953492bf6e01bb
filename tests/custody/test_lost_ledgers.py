"""A node whose ledger is gone, or whose restore was broken off, does not begin anew (I1, I2, I8, I12)."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from exchanged import parts as parts_module
from exchanged import restore_node
from exchanged.acts.opening import opened_desk
from exchanged.errors import (
    ExchangeError,
    FileOperationError,
    LedgerDamagedError,
    VolumeDamagedError,
)
from exchanged.ledger import Ledger
from exchanged.places import DAMAGE_FILE, LEDGER_FILE, RESTORE_FILE
from exchanged.pool import InlinePool
from tests.support.asking import Operator, operator
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.crash import PowerCutError, break_off
from tests.support.encrypted_lab import drop, status
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

BOTH = (False, True)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    """It has taken a drop, and its province does not listen."""
    network.nodes[PROVINCE].die()
    drop(network, "A")
    for _ in range(4):
        network.round()
    assert status(network, "A")["state"] == "queued"
    node = network.nodes[POLICE]
    node.die()
    return node


@pytest.fixture
def asked(network: Network, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(network.layout.config(POLICE), capsys)


def kept(node: SimulatedNode) -> list[Path]:
    data = node.config.node.data_dir
    return sorted(path for name in ("spool", "blobs") for path in (data / name).glob("*") if path.is_file())


def lose_ledger(node: SimulatedNode) -> Path:
    lost = node.config.node.data_dir / "lost"
    lost.mkdir()
    for path in node.config.node.data_dir.glob(f"{LEDGER_FILE}*"):
        path.rename(lost / path.name)
    return lost


def bring_back(node: SimulatedNode, lost: Path) -> None:
    for path in node.config.node.data_dir.glob(f"{LEDGER_FILE}*"):
        path.unlink()
    for path in lost.iterdir():
        path.rename(node.config.node.data_dir / path.name)


@pytest.mark.parametrize("left", [None, b""])
def test_nothing_opens_a_node_whose_ledger_is_gone(
    network: Network, police: SimulatedNode, asked: Operator, left: bytes | None
) -> None:
    """An empty one in its place would have removed what was accepted as spare."""
    before = kept(police)
    assert before
    lost = lose_ledger(police)
    if left is not None:
        (police.config.node.data_dir / LEDGER_FILE).write_bytes(left)
    with pytest.raises(LedgerDamagedError, match="gone"):
        police.open()
    desk = opened_desk(police.config, network.clock, FakeRandomness("x"), InlinePool())
    with pytest.raises(LedgerDamagedError, match="gone"), desk:
        pass
    asked.text("folder", "init", "--accept", code=6)
    assert "node restore" in asked.errors
    assert kept(police) == before
    bring_back(police, lost)
    police.open()
    network.nodes[PROVINCE].open()
    network.run()
    assert status(network, "A")["state"] == "delivered"


def test_folder_init_leaves_a_damaged_volume_alone(police: SimulatedNode, asked: Operator) -> None:
    (police.config.node.data_dir / DAMAGE_FILE).touch()
    asked.text("folder", "init", "--accept", code=6)
    assert "--recover" in asked.errors


@pytest.mark.parametrize(
    ("what", "number", "is_new"),
    [
        ("rename_new", 1, False),
        ("rename_new", 3, False),
        ("rename_new", 2, True),
        *(
            (*each, is_new)
            for each in (("write_file", 3), ("write_file", 6), ("unlink", 1))
            for is_new in (False, True)
        ),
    ],
)
def test_c23_a_restore_that_was_broken_off_starts_nothing_and_goes_on(
    network: Network, police: SimulatedNode, asked: Operator, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, what: str, number: int, is_new: bool,
) -> None:  # fmt: skip
    """At whatever point, on the old machine or a new one, whoever touches the node in between."""
    saved, data = tmp_path / "saved", police.config.node.data_dir
    asked.text("backup", "create", saved)
    if is_new:
        for path in data.iterdir():
            if path.name != "keys":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    made = restore_node.plan(police.config, saved, network.clock.now())
    with monkeypatch.context() as patched:
        break_off(patched, what, number)
        with pytest.raises(PowerCutError):
            restore_node.restore(police.config, saved, made, network.clock)
    for _ in range(2):
        with pytest.raises(LedgerDamagedError, match="broken off"):
            police.open()
        # What somebody may try in between makes no ledger in its place.
        asked.text("folder", "init", "--accept", code=6)
    again = restore_node.plan(police.config, saved, network.clock.now())
    restore_node.restore(police.config, saved, again, network.clock)
    assert not (data / RESTORE_FILE).exists()
    # What an attempt had put in place moves aside again: nobody can tell it from what was put there by hand.
    was_placing = what == "unlink" or (what == "rename_new" and is_new)
    assert len(list(data.glob("set-aside-*"))) == (not is_new) + was_placing
    if not is_new:
        assert (made.aside / LEDGER_FILE).exists()
    police.open()
    network.nodes[PROVINCE].open()
    for _ in range(3):
        network.run()
        network.clock.advance(600)
    assert status(network, "A")["state"] == "delivered"
    assert len(list((network.agency(PROCURATORATE) / "inbox").glob("*/*"))) == 1


def test_a_restore_sets_no_other_nodes_ledger_aside(
    network: Network, police: SimulatedNode, asked: Operator, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    asked.text("backup", "create", saved)
    other = network.nodes[PROCURATORATE].config.node.data_dir
    network.nodes[PROCURATORATE].die()
    path = network.layout.config(POLICE)
    text = path.read_text("utf-8")
    path.write_text(text.replace('data_dir = "data"', f'data_dir = "{other}"'), "utf-8")
    asked.text("node", "restore", saved, "--yes", code=2)
    assert PROCURATORATE in asked.errors
    assert (other / LEDGER_FILE).exists()


def test_a_new_ledger_does_not_go_to_work_where_a_node_has_served(
    network: Network, police: SimulatedNode, asked: Operator
) -> None:
    """The volume of the data directory is not mounted: what lies below is empty, and everything forgotten."""
    data = police.config.node.data_dir
    aside = data.with_name("unmounted")
    data.rename(aside)
    data.mkdir()
    shutil.copytree(aside / "keys", data / "keys")
    drop(network, "B", seed=2)
    police.open()
    for _ in range(6):
        network.round()
    assert (network.agency(POLICE) / "outbox" / "B").exists()
    police.die()
    asked.text("folder", "init", "--accept")
    police.open()
    network.nodes[PROVINCE].open()
    network.run()
    assert status(network, "B")["state"] == "delivered"


def test_a_province_that_has_served_does_not_begin_anew_where_its_volume_is_missing(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its keys lie elsewhere: nothing but the mailboxes shows that it is not new."""
    network.run()
    province = network.nodes[PROVINCE]
    data = province.config.node.data_dir
    lying = {path: path.read_bytes() for path in network.mailbox(POLICE).glob("*/*.batch")}
    assert lying
    province.die()
    aside = data.with_name("unmounted")
    data.rename(aside)
    data.mkdir()
    shutil.copytree(aside / "keys", data / "keys")
    for _ in range(2):
        with pytest.raises(LedgerDamagedError, match="has served before") as raised:
            province.open()
        assert "mount" in raised.value.advice
        # Nor does an act without the daemon make it one that has begun.
        operator(network.layout.config(PROVINCE), capsys).text("queue", "summary")
    assert {path: path.read_bytes() for path in network.mailbox(POLICE).glob("*/*.batch")} == lying
    shutil.rmtree(data)
    aside.rename(data)
    province.open()
    drop(network, "B", seed=2)
    network.run()
    assert status(network, "B")["state"] == "delivered"


def test_a_province_without_a_backup_begins_anew_once_its_acknowledgements_are_gone(network: Network) -> None:
    network.run()
    province = network.nodes[PROVINCE]
    data = province.config.node.data_dir
    incarnation = province.opened.incarnation
    province.die()
    data.rename(data.with_name("lost"))
    data.mkdir()
    for name in ("keys", "directory"):
        shutil.copytree(data.with_name("lost") / name, data / name)
    for code in (POLICE, PROCURATORATE):
        (network.mailbox(code) / "down" / "ack.batch").unlink()
    for _ in range(2):
        province.open()
        for _ in range(3):
            network.round()
        province.die()
    province.open()
    assert province.opened.incarnation != incarnation
    drop(network, "B", seed=2)
    network.run()
    assert status(network, "B")["state"] == "delivered"


def test_a_volume_that_fails_in_the_last_commit_of_a_stop_leaves_the_mark(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = network.nodes[POLICE]

    def fail(_transaction: object) -> None:
        raise VolumeDamagedError("the ledger's volume failed: disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(parts_module, "note_clean_stop", fail)
        with pytest.raises(VolumeDamagedError):
            node.opened.close(clean=True)
    node.parts = None
    with pytest.raises(VolumeDamagedError, match="an earlier run"):
        node.open()
    # The lock was let go all the same.
    (node.config.node.data_dir / DAMAGE_FILE).unlink()
    node.open()


def test_a_ledger_of_another_user_is_told_as_that() -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o777)
        path = place / LEDGER_FILE
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA user_version = 0")
        path.touch()
        path.chmod(0o444)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65_534)
        try:
            with pytest.raises(FileOperationError) as raised:
                Ledger(path, FakeClock(), on_wake=lambda _: None, threaded=False)
        finally:
            os.seteuid(user)
        error: ExchangeError = raised.value
        assert ("chown" if user == 0 else "chmod") in error.advice
