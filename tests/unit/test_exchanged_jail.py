"""The look at a jail, as far as it goes without real accounts (C2); the rest is tests/system/test_jail_*."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from exchanged.config import parse_config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ConfigurationError, JailError
from exchanged.folder_transport import FolderTransport
from exchanged.jail import Jail, jail_of, links_on_our_volume
from exchanged.mailbox import scan_directory

BATCH = "00000001-0123456789abcdef.batch"
NODE = {
    "node": {"code": "620000-00-00", "role": "provincial", "data_dir": "data"},
    "keys": {"roots": ["ed25519-sha256:" + "0" * 64]},
}


def link(**changes: str) -> dict[str, str]:
    values = {
        "name": "one", "peer": "620199-01-00", "transport": "folder", "side": "serve", "mailbox": "box",
        "account": "ex-620199-01-00",
    }  # fmt: skip
    return values | changes


def config_of(tmp_path: Path, *links: dict[str, str]) -> Any:
    return parse_config({**NODE, "link": list(links)}, tmp_path)


def test_an_account_is_of_a_served_folder_only(tmp_path: Path) -> None:
    config = config_of(tmp_path, link())
    assert config.links[0].account == "ex-620199-01-00"
    with pytest.raises(ConfigurationError, match="account: only a served folder has one"):
        config_of(tmp_path, link(side="dial"))
    with pytest.raises(ConfigurationError, match="the name of an account"):
        config_of(tmp_path, link(account="../x"))
    with pytest.raises(ConfigurationError, match="account: ex-620199-01-00 stands in more than one link"):
        config_of(tmp_path, link(), link(name="two", peer="620199-02-00", mailbox="other"))


def test_without_an_account_nothing_is_looked_at(tmp_path: Path) -> None:
    config = config_of(tmp_path, {name: value for name, value in link().items() if name != "account"})
    assert jail_of(config.links[0], config.node.data_dir) is None
    assert links_on_our_volume(config) == ()


def test_a_missing_account_stops_the_scan_and_names_the_mending(tmp_path: Path) -> None:
    for name in ("up", "down"):
        (tmp_path / name).mkdir()
    jail = Jail("one", tmp_path, "xx-no-such-account", tmp_path)
    transport = FolderTransport(tmp_path, outgoing="down", durable=DurableFiles(Volume.OWN), jail=jail)
    with pytest.raises(JailError) as caught:
        transport.list_names()
    assert caught.value.where == "account xx-no-such-account"
    assert caught.value.advice == "run with this node's --config: exchangectl link jail one | sudo sh"


def test_every_thing_that_is_wrong_is_named(tmp_path: Path) -> None:
    """A folder made by whoever runs the tests is no jail of theirs: owner, way, modes, bell, user."""
    me = pwd.getpwuid(os.geteuid()).pw_name
    for name in ("up", "down"):
        (tmp_path / name).mkdir()
    (tmp_path / "bell").touch()
    faults = {fault.where: fault for fault in Jail("one", tmp_path, me, tmp_path).faults()}
    if os.geteuid() == 0:
        assert faults[str(tmp_path)].expected == "owned by the user who runs the daemon"
        return
    assert faults[f"account {me}"]
    assert faults[str(tmp_path / "bell")].found.startswith("a plain file")
    assert faults[str(tmp_path / "up")].expected.endswith("2770")


def test_the_volume_of_ledger_and_spool_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "box" / "up").mkdir(parents=True)
    assert links_on_our_volume(config_of(tmp_path, link())) == ("one",)
    other = config_of(tmp_path, link(mailbox="/proc"))
    assert links_on_our_volume(other) == ()


def test_files_of_another_owner_are_strangers(tmp_path: Path) -> None:
    (tmp_path / BATCH).touch()
    mine, other = os.geteuid(), os.geteuid() + 1
    assert [file.name for file in scan_directory(tmp_path, expected_uid=mine).files] == [BATCH]
    listing = scan_directory(tmp_path, expected_uid=other)
    assert (listing.files, listing.strangers, listing.foreign) == ((), 1, 1)


def test_strangers_are_told_once_until_they_are_gone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("up", "down"):
        (tmp_path / name).mkdir()
    planted = tmp_path / "up" / BATCH
    planted.touch()
    transport = FolderTransport(
        tmp_path, outgoing="down", durable=DurableFiles(Volume.OWN), peer_uid=os.geteuid() + 1
    )
    with caplog.at_level("WARNING", logger="exchanged"):
        for _ in range(3):
            transport.list_names()
        assert [record.message for record in caplog.records] == ["mailbox-strangers"]
        planted.unlink()
        transport.list_names()
        planted.touch()
        transport.list_names()
    assert len(caplog.records) == 2


def test_the_example_names_the_key() -> None:
    text = (Path(__file__).resolve().parents[2] / "examples" / "exchanged.toml").read_text()
    assert '# account = ""' in text
