"""After a damaged volume: what is kept is sound, or nothing was ever kept, or the node stays down."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from exchanged.errors import LedgerDamagedError
from exchanged.ledger import Ledger
from exchanged.places import BLOB_FOLDER, DAMAGE_FILE, INCOMING_FOLDER, LEDGER_FILE, SPOOL_FOLDER
from exchanged.recovering import recover
from tests.support.clock import FakeClock


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    (tmp_path / DAMAGE_FILE).touch()
    return tmp_path


def open_once(data_dir: Path) -> None:
    with closing(
        Ledger(data_dir / LEDGER_FILE, FakeClock(), on_wake=lambda _: None, threaded=False)
    ) as ledger:
        ledger.write(lambda transaction: transaction.event("started"))
    (data_dir / SPOOL_FOLDER).mkdir()
    (data_dir / BLOB_FOLDER / INCOMING_FOLDER).mkdir(parents=True)


def half_begun(data_dir: Path) -> None:
    """The volume failed before the first form of the ledger was made."""
    with closing(sqlite3.connect(data_dir / LEDGER_FILE)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


@pytest.mark.parametrize("came_so_far", [lambda _: None, half_begun, open_once])
def test_a_sound_node_and_one_that_never_kept_anything_may_start_again(
    damaged: Path, came_so_far: object
) -> None:
    came_so_far(damaged)  # type: ignore[operator]
    recover(damaged)
    assert not (damaged / DAMAGE_FILE).exists()


def lose(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def empty(path: Path) -> None:
    lose(path)
    path.touch()


def scramble(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * (path.stat().st_size - 100))


@pytest.mark.parametrize("what_happened", [lose, empty, scramble])
def test_a_ledger_that_is_gone_or_damaged_keeps_the_node_down(damaged: Path, what_happened: object) -> None:
    """A new one in its place would have forgotten every packet, and deliver it a second time."""
    open_once(damaged)
    what_happened(damaged / LEDGER_FILE)  # type: ignore[operator]
    with pytest.raises(LedgerDamagedError):
        recover(damaged)
    assert (damaged / DAMAGE_FILE).exists()
