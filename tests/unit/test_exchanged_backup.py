"""Backups beside a daemon that takes packets in and lets go of them meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from exchanged import backup
from exchanged.durable import DurableFiles, Kernel, Volume
from exchanged.errors import BackupUnusableError
from exchanged.held_files import HeldFiles, Outcome
from exchanged.ledger import Transaction, spool
from tests.support.network import POLICE, PROCURATORATE, Network, SimulatedNode, small_plan
from tests.support.traffic import drop_packet

LEFT = "held-for-backup-*"
CONTENT = b"fictional " * 100


class Traffic:
    """Spool files of a node that come and go by its ledger, as those of packets do."""

    def __init__(self, node: SimulatedNode) -> None:
        self.node = node
        self.count = 0
        self._here: list[tuple[int, str]] = []

    def path(self, name: str) -> Path:
        return self.node.config.node.data_dir / "spool" / name

    def comes(self, content: bytes = CONTENT) -> str:
        """One more, adopted by the ledger; its name."""
        self.count += 1
        name = f"{self.count:024x}.batch"
        self.path(name).write_bytes(content)

        def adopt(transaction: Transaction) -> int:
            return spool.adopt(transaction, name, len(content), 1)

        self._here.append((self.node.opened.ledger.write(adopt), name))
        return name

    def all_go(self) -> None:
        """The daemon lets go of all that came."""
        for number, name in self._here:

            def let_go(transaction: Transaction, number: int = number) -> None:
                spool.release(transaction, number)
                spool.forget(transaction, number)

            self.node.opened.ledger.write(let_go)
            self.path(name).unlink()
        self._here.clear()


@pytest.fixture
def police(tmp_path: Path) -> Iterator[SimulatedNode]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        drop_packet(network, seed=1)
        network.run()
        yield network.nodes[POLICE]


@pytest.fixture
def traffic(police: SimulatedNode) -> Traffic:
    return Traffic(police)


def create(node: SimulatedNode, target: Path) -> backup.Manifest:
    configuration = node.config.node.data_dir.parent / "exchanged.toml"
    return backup.create(node.config, configuration, target, node.clock.now())


def left(node: SimulatedNode) -> list[Path]:
    return list(node.config.node.data_dir.glob(LEFT))


def around_copying(
    monkeypatch: pytest.MonkeyPatch,
    before: Callable[[], object] = lambda: None,
    after: Callable[[], object] = lambda: None,
) -> None:
    """What happens before and after each time that the ledger is copied."""
    copy = backup.copy_ledger

    def copied(*arguments: Any) -> Any:
        before()
        answer = copy(*arguments)
        after()
        return answer

    monkeypatch.setattr(backup, "copy_ledger", copied)


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_kernel: Kernel, _source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(target))

    monkeypatch.setattr(Kernel, "link", refuse)


def test_packets_that_stay_shorter_than_the_ledger_takes_do_not_keep_a_backup_from_being_made(
    police: SimulatedNode, traffic: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that the ledger is copied, all that it names is gone when it is done."""
    traffic.comes()

    def moves_on() -> None:
        traffic.all_go()
        traffic.comes()

    around_copying(monkeypatch, before=traffic.comes, after=moves_on)
    made = create(police, tmp_path / "saved")
    assert backup.verify(tmp_path / "saved").is_whole
    assert sum(file.path.endswith(".batch") for file in made.files) >= 2
    assert not left(police)


def test_what_comes_and_goes_within_one_moment_asks_for_another_one(
    police: SimulatedNode, traffic: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger names it, and it is gone before it can be held."""
    named = backup._named

    def gone_after_naming(connection: Any) -> dict[str, int]:
        found = named(connection)
        traffic.all_go()
        return found

    monkeypatch.setattr(backup, "_named", gone_after_naming)
    around_copying(monkeypatch, before=lambda: traffic.comes() if traffic.count < 3 else None)
    create(police, tmp_path / "saved")
    assert traffic.count == 3
    assert backup.verify(tmp_path / "saved").is_whole


def test_without_hard_links_files_are_copied_at_once_and_again_when_they_grew(
    police: SimulatedNode, traffic: Traffic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_links(monkeypatch)
    kept = traffic.comes()
    growing = traffic.path(f"{1:024x}.group")
    growing.write_bytes(CONTENT[:7])

    def grows() -> None:
        growing.write_bytes(CONTENT)
        police.opened.ledger.write(lambda tx: spool.adopt(tx, growing.name, len(CONTENT), 1))

    around_copying(monkeypatch, before=grows, after=traffic.all_go)
    create(police, tmp_path / "saved")
    assert backup.verify(tmp_path / "saved").is_whole
    assert (tmp_path / "saved" / "data" / "spool" / growing.name).read_bytes() == CONTENT
    assert (tmp_path / "saved" / "data" / "spool" / kept).exists()
    assert not left(police)


def test_a_backup_that_fails_leaves_no_second_names(
    police: SimulatedNode, traffic: Traffic, tmp_path: Path
) -> None:
    traffic.path(traffic.comes()).unlink()
    with pytest.raises(BackupUnusableError, match="vanish"):
        create(police, tmp_path / "saved")
    assert not left(police)


def test_second_names_that_a_kill_left_are_removed_by_the_next_backup_and_the_next_start(
    police: SimulatedNode, traffic: Traffic, tmp_path: Path
) -> None:
    data_dir = police.config.node.data_dir

    def killed() -> Path:
        folder = data_dir / "held-for-backup-1"
        (folder / "spool").mkdir(parents=True)
        (folder / "spool" / "name").hardlink_to(traffic.path(name))
        return folder

    name = traffic.comes()
    folder = killed()
    create(police, tmp_path / "saved")
    assert not folder.exists()
    killed()
    police.close()
    police.open()
    assert not folder.exists()
    assert traffic.path(name).read_bytes() == CONTENT


def test_a_start_leaves_the_second_names_of_a_running_backup(police: SimulatedNode, traffic: Traffic) -> None:
    files = DurableFiles(Volume.OWN)
    name = traffic.comes()
    with HeldFiles(police.config.node.data_dir, files) as held:
        assert held.hold(f"spool/{name}") is Outcome.HELD
        police.close()
        police.open()
        traffic.all_go()
        assert (held.folder / "spool" / name).read_bytes() == CONTENT
        with HeldFiles(police.config.node.data_dir, files) as another:
            assert another.hold(f"spool/{name}") is Outcome.NOT_POSSIBLE
        assert (held.folder / "spool" / name).exists()
        assert held.hold("spool/none") is Outcome.GONE
    assert not left(police)
