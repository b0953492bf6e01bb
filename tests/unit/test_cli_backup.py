"""``exchangectl backup``, ``node restore`` and ``link accept`` as an operator calls them."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchanged import forks
from exchanged.backup import read_manifest
from exchanged.durable import Kernel
from exchanged.errors import BackupUnusableError
from exchanged.forks import Conflict
from exchanged.ledger import restoring
from exchanged.restore_node import plan
from tests.support.asking import Operator, operator
from tests.support.books import take_a_step_of_tomorrow
from tests.support.network import POLICE, PROCURATORATE, Network, SimulatedNode, small_plan
from tests.support.traffic import drop_packet

WHY = ("--reason", "a fictional reason")


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        drop_packet(made, seed=1)
        made.run()
        yield made


@pytest.fixture
def police(network: Network) -> SimulatedNode:
    return network.nodes[POLICE]


@pytest.fixture
def asked(network: Network, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(network.layout.config(POLICE), capsys)


def refuses(monkeypatch: pytest.MonkeyPatch, call: str, folder: Path) -> None:
    """That system call, below ``folder``, as on a volume that became read-only."""
    calls = getattr(Kernel, call)

    def refused(kernel: Kernel, descriptor: int, *arguments: object) -> object:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(folder):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return calls(kernel, descriptor, *arguments)

    monkeypatch.setattr(Kernel, call, refused)


def flat(text: str) -> str:
    """As one line, however narrow the terminal is."""
    return " ".join(text.split())


def test_a_backup_is_made_verified_and_put_in_place(
    asked: Operator, police: SimulatedNode, tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    assert "not in it" in asked.text("backup", "create", saved)
    assert asked.text("backup", "verify", saved).startswith("the backup is whole")
    asked.text("backup", "create", saved, code=2)
    assert "not empty" in asked.errors
    asked.text("node", "restore", saved, code=7)
    assert "daemon runs" in asked.errors
    police.die()
    assert "nothing was done" in asked.text("node", "restore", saved)
    assert not list(police.config.node.data_dir.glob("set-aside-*"))
    asked.text("node", "restore", saved, "--yes")
    assert list(police.config.node.data_dir.glob("set-aside-*"))
    assert "sends nothing of its own" in flat(asked.text("node", "status", code=3))
    police.open()
    assert restoring.is_going_on(police.opened.ledger.read())
    assert police.opened.incarnation in flat(asked.text("node", "status", code=3))


@pytest.mark.parametrize("call", ["write", "fsync"])
@pytest.mark.parametrize(
    "command",
    [
        ("backup", "create"),
        ("ledger", "export"),
        ("log", "recovery", "--through", "1", *WHY, "--output"),
        ("key", "generate"),
    ],
)
def test_a_place_for_output_that_takes_nothing_is_no_damage_to_the_node(
    asked: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], call: str
) -> None:
    """A share that went read-only in the night: monitoring hears nothing of a disk of the node."""
    refuses(monkeypatch, call, tmp_path / "share")
    (tmp_path / "share").mkdir()
    asked.text(*command, tmp_path / "share" / "here", code=2 if command[0] == "key" else 3)
    assert "mounted read-only: name another place" in flat(asked.errors)
    assert os.strerror(errno.EROFS) in asked.errors
    assert "--recover" not in asked.errors


def test_a_backup_into_a_volume_that_is_not_mounted_makes_nothing(asked: Operator, tmp_path: Path) -> None:
    """It would fill the system's disk, and look like a backup."""
    saved, keys = tmp_path / "saved", tmp_path / "media" / "police" / "keys"
    for command in (("backup", "create", keys), ("backup", "create", saved, "--keys", keys)):
        asked.text(*command, code=3)
        assert "make that folder with: install -d -m 0700" in flat(asked.errors)
        assert not keys.parents[1].exists()
    keys.parent.mkdir(parents=True)
    asked.text("backup", "create", tmp_path / "second", "--keys", keys)
    assert asked.text("backup", "verify", tmp_path / "second").startswith("the backup is whole")
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (keys, tmp_path / "second")} == {0o700}


def test_a_clock_that_is_behind_the_backup_restores_nothing(
    asked: Operator, police: SimulatedNode, tmp_path: Path
) -> None:
    """By the time of the restore a node tells what it may have delivered before (C23)."""
    saved = tmp_path / "saved"
    asked.text("backup", "create", saved)
    police.die()
    last = read_manifest(saved).last_at
    assert last is not None
    with pytest.raises(BackupUnusableError, match="behind the backup") as caught:
        plan(police.config, saved, last - timedelta(hours=1))
    assert "set the clock right" in caught.value.advice
    assert plan(police.config, saved, last).manifest.last_at == last


def test_what_is_missing_in_a_backup_is_told_in_words(asked: Operator, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    asked.text("backup", "create", saved)
    (saved / "data" / "ledger.sqlite3").unlink()
    assert "ledger.sqlite3" in asked.text("backup", "verify", saved, code=6)
    said = asked.json("backup", "verify", saved, code=6)
    assert (said["whole"], said["verdict"]["problems"][0]["what"]) == (False, "backup-file-missing")


def test_a_backup_of_a_newer_program_is_for_the_newer_program_to_judge(
    asked: Operator, police: SimulatedNode, tmp_path: Path
) -> None:
    """The nodes were updated, and the machine that keeps the backups was not."""
    saved, data_dir = tmp_path / "saved", police.config.node.data_dir
    police.die()
    take_a_step_of_tomorrow(data_dir / "ledger.sqlite3")
    asked.text("backup", "create", saved)
    for command in (("backup", "verify", saved), ("node", "restore", saved, "--yes")):
        error = asked.json(*command, code=2)["error"]
        assert (error["reference"], error["where"]) == ("ledger-ahead", str(saved))
        assert "9999-of-tomorrow" in error["found"]
        assert "version that wrote it, or a newer one" in error["hint"]
        assert asked.text(*command, code=2) == ""
        assert not {"whole", "damaged", "older"} & set(flat(asked.errors).split())
    assert not list(data_dir.glob("set-aside-*"))
    # A changed byte is damage whatever wrote it.
    (saved / "exchanged.toml").write_text("")
    assert "exchanged.toml" in asked.text("backup", "verify", saved, code=6)


def test_a_held_link_is_shown_and_accepted_by_an_operator(asked: Operator, police: SimulatedNode) -> None:
    (link,) = police.opened.links.names()
    police.opened.ledger.write(lambda tx: forks.mark(tx, link, Conflict.HEADS, "b" * 32))
    for command, code in ((("link", "list"), 0), (("node", "status"), 3), (("link", "show", link), 0)):
        text = flat(asked.text(*command, code=code))
        # In a table the sentence stands in a column, and other columns between its lines.
        assert "two nodes" in text
        assert "ledger" in text
        assert "two heads" in text
    assert asked.json("link", "list")["links"][0]["state"] == "held"
    police.die()
    asked.text("link", "accept", link, "--incarnation", "not one", *WHY, code=2)
    done = asked.text("link", "accept", link, "--incarnation", "a" * 32, *WHY)
    assert "works again once it speaks in that incarnation, of which nothing was ever heard here" in done
    asked.text("link", "accept", link, "--incarnation", "a" * 32, *WHY, code=5)
    assert "that incarnation is not closed" in asked.errors
    police.open()
    assert not forks.marks(police.opened.ledger.read(), link)
    acts = police.opened.ledger.read().execute("SELECT detail FROM event WHERE kind = 'operator-act'")
    assert [json.loads(row["detail"])["reason"] for row in acts] == ["a fictional reason"]


def test_only_a_restored_node_skips_a_neighbour(asked: Operator, police: SimulatedNode) -> None:
    (link,) = police.opened.links.names()
    police.die()
    asked.text("link", "skip", link, *WHY, code=5)
    assert "does not wait" in asked.errors
