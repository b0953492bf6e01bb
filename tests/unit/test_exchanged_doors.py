"""Who may log in: the directory answers, the keys file only where it says nothing (C2, C24)."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.directory_trusted import anchor_of
from exchanged import directory_folder
from exchanged.config import Config
from exchanged.doors import DirectoryCopy, DoorAnswer, Why, read_copy, who_may_enter
from exchanged.durable import DurableFiles, Kernel, Volume
from exchanged.errors import NoSpaceError, VolumeDamagedError
from exchanged.parts import Ports, open_parts
from exchanged.places import DAMAGE_FILE
from exchanged.pool import InlinePool
from packet_spec.model import Directory, DirectoryKey, KeyUse
from packet_spec.signing import key_id_of
from packet_spec.ssh_keys import SSH_SUITE, ssh_line
from tests.support.clock import FakeRandomness
from tests.support.listing import with_keys, with_node
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.publishing import signed

ACCOUNT = f"ex-{POLICE}"
RAW, OTHER = bytes([1]) * 32, bytes([2]) * 32
FILE = f"restrict {ssh_line(OTHER)} by-hand"
DAY = timedelta(days=1)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def config(network: Network) -> Config:
    found = network.nodes[PROVINCE].config
    links = tuple(replace(link, account=f"ex-{link.peer}") for link in found.links)
    return replace(found, links=links)


def in_force(network: Network) -> Directory:
    return network.nodes[PROVINCE].opened.trust.directory


def key(network: Network, public: bytes = RAW, **changes: Any) -> DirectoryKey:
    now = network.clock.now()
    made = DirectoryKey(
        key_id_of(SSH_SUITE, public), SSH_SUITE, public, (KeyUse.LOGIN,), now - DAY, now + DAY
    )
    return replace(made, **changes)


def ask(network: Network, directory: Directory | None, account: str = ACCOUNT) -> DoorAnswer:
    return who_may_enter(config(network), directory, account, [FILE, "", "# no key"], network.clock.now())


def test_until_the_directory_lists_a_login_key_the_keys_file_counts(network: Network) -> None:
    answer = ask(network, in_force(network))
    assert (answer.why, answer.lines) == (Why.KEYS_FILE, (FILE,))


@pytest.mark.parametrize(
    "changes",
    [{}, {"revoked_at": 0}, {"not_after": 0}, {"not_before": 1}],
    ids=["valid", "revoked", "past", "not yet"],
)
def test_once_it_lists_one_no_other_key_counts_even_if_that_one_does_not(
    network: Network, changes: dict[str, int]
) -> None:
    moments = {name: network.clock.now() + timedelta(seconds=value) for name, value in changes.items()}
    answer = ask(network, with_keys(in_force(network), POLICE, key(network, **moments)))
    assert answer.why is Why.LISTED
    assert answer.lines == (() if changes else (f"restrict {ssh_line(RAW)} {POLICE}",))


def test_in_an_overlap_both_keys_count(network: Network) -> None:
    directory = with_keys(in_force(network), POLICE, key(network), key(network, OTHER))
    assert len(ask(network, directory).lines) == 2


def test_a_key_of_the_file_that_the_directory_revoked_anywhere_opens_nothing(network: Network) -> None:
    revoked = key(network, OTHER, revoked_at=network.clock.now())
    directory = with_keys(in_force(network), PROCURATORATE, revoked)
    answer = ask(network, directory)
    assert (answer.why, answer.lines) == (Why.KEYS_FILE, ())


def test_what_closes_an_account(network: Network) -> None:
    directory = with_keys(in_force(network), POLICE, key(network))
    assert ask(network, None) == DoorAnswer(Why.NO_DIRECTORY)
    assert ask(network, directory, "root") == DoorAnswer(Why.UNKNOWN_ACCOUNT)
    assert ask(network, directory, "") == DoorAnswer(Why.UNKNOWN_ACCOUNT)
    assert ask(network, with_node(directory, POLICE, disabled=True)) == DoorAnswer(Why.DISABLED)
    without = replace(
        directory,
        nodes=tuple(node for node in directory.nodes if node.code != POLICE),
        agencies=tuple(agency for agency in directory.agencies if agency.node != POLICE),
    )
    assert ask(network, without) == DoorAnswer(Why.UNKNOWN_NODE)


def test_c24_an_expired_directory_still_opens_because_a_newer_one_lies_behind_the_door(
    network: Network,
) -> None:
    directory = with_keys(in_force(network), POLICE, key(network))
    expired = replace(directory, expires_at=network.clock.now() - timedelta(seconds=1))
    assert ask(network, expired).lines


def test_an_answer_says_when_time_alone_may_change_it(network: Network) -> None:
    later = network.clock.now() + timedelta(hours=1)
    coming = key(network, OTHER, not_before=later)
    assert ask(network, with_keys(in_force(network), POLICE, key(network), coming)).until == later
    revoked = key(network, OTHER, revoked_at=later)
    assert ask(network, with_keys(in_force(network), PROCURATORATE, revoked)).until == later


def copy_of(network: Network, folder: Path) -> Directory | None:
    return read_copy(folder, anchor_of(network.nodes[PROVINCE].config))


def test_the_copy_follows_the_directory_in_force_and_leaves_no_older_one(network: Network) -> None:
    node = network.nodes[PROVINCE]
    door = node.config.node.door
    newer = replace(with_node(in_force(network), POLICE, disabled=True), version=2)
    assert copy_of(network, door) == in_force(network)
    node.opened.trust.offer(signed(network, newer))
    network.round()
    assert copy_of(network, door) == newer
    assert [path.name for path in door.glob("*.xml")] == ["directory-2.xml"]


def test_a_copy_that_the_roots_do_not_prove_counts_for_nothing(network: Network, tmp_path: Path) -> None:
    door = network.nodes[PROVINCE].config.node.door
    (door / "directory-2.xml").write_bytes((door / "directory-1.xml").read_bytes().replace(b"62", b"63", 1))
    (door / "directory-3.xml").write_bytes(b"rubbish")
    found = copy_of(network, door)
    assert found is not None
    assert found.version == 1
    assert copy_of(network, tmp_path / "nowhere") is None


def test_a_copy_that_is_replaced_while_it_is_read_is_found(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every account were closed at that moment, and the sessions of all neighbours ended."""
    node = network.nodes[PROVINCE]
    newer = replace(in_force(network), version=2)
    read = directory_folder.read_directory_file

    def as_it_is_replaced(path: Path) -> bytes:
        monkeypatch.setattr(directory_folder, "read_directory_file", read)
        node.opened.trust.offer(signed(network, newer))
        node.opened.door.renew()
        return read(path)

    monkeypatch.setattr(directory_folder, "read_directory_file", as_it_is_replaced)
    assert copy_of(network, node.config.node.door) == newer


def test_a_node_that_was_set_back_takes_the_newer_copy_and_opens_no_closed_door(network: Network) -> None:
    """From a backup of its data: what the SSH server sees lies elsewhere and knows who was closed since."""
    node = network.nodes[PROVINCE]
    folder, inside = node.opened.trust.folder, node.config.node.door
    door = network.layout.root / "doors"
    node.close()
    inside.rename(door)
    node.config = replace(node.config, node=replace(node.config.node, door=door))
    node.open()
    newer = replace(with_node(in_force(network), POLICE, disabled=True), version=2)
    node.opened.trust.offer(signed(network, newer))
    network.round()
    node.close()
    (folder / "directory-2.xml").unlink()
    (door / "directory-3.xml").write_bytes(b"rubbish")
    node.open()
    assert in_force(network) == newer
    assert (folder / "directory-2.xml").exists()
    assert copy_of(network, door) == newer
    network.run()


def test_a_folder_that_cannot_be_written_stops_nothing_and_is_tried_again(
    network: Network, tmp_path: Path
) -> None:
    folder = tmp_path / "file" / "door"
    folder.parent.write_text("no folder")
    copy = DirectoryCopy(folder, DurableFiles(Volume.FOREIGN), network.nodes[PROVINCE].opened.trust)
    copy.renew()
    folder.parent.unlink()
    folder.parent.mkdir()
    copy.renew()
    assert copy_of(network, folder) == in_force(network)


class FailingDoor(Kernel):
    """Flushes nothing that lies in one folder, for as long as ``error`` is not 0."""

    def __init__(self, door: Path, error: int) -> None:
        self.door, self.error = door, error

    def fsync(self, descriptor: int) -> None:
        if self.error and Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self.door):
            raise OSError(self.error, os.strerror(self.error))
        super().fsync(descriptor)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO])
def test_a_failing_volume_of_the_door_stops_no_node(network: Network, error: int) -> None:
    """The door may lie on a volume of its own: the node opens, works, and lays the copy when it can."""
    node = network.nodes[PROVINCE]
    node.close()
    door = network.layout.root / "doors"
    kernel = FailingDoor(door, error)
    config = replace(node.config, node=replace(node.config.node, door=door))
    ports = Ports(network.clock, FakeRandomness("door"), InlinePool(), threaded=False, kernel=kernel)
    parts = open_parts(config, ports, lambda names: None)
    try:
        newer = replace(with_node(parts.trust.directory, POLICE, disabled=True), version=2)
        assert copy_of(network, door) is None
        parts.trust.offer(signed(network, newer))
        parts.door.renew()
        assert copy_of(network, door) is None
        assert not (config.node.data_dir / DAMAGE_FILE).exists()
        kernel.error = 0
        parts.door.renew()
        assert copy_of(network, door) == newer
    finally:
        parts.close(clean=True)


def test_a_door_within_the_node_fails_with_the_nodes_own_volume(network: Network) -> None:
    """Where nobody set another place it lies in the folder of the node: its flush is one of that volume."""
    node = network.nodes[PROVINCE]
    node.close()
    own = node.config.node
    shutil.rmtree(own.door)
    kernel = FailingDoor(own.door, errno.EIO)
    ports = Ports(network.clock, FakeRandomness("door"), InlinePool(), threaded=False, kernel=kernel)
    with pytest.raises(VolumeDamagedError):
        open_parts(node.config, ports, lambda names: None)
    assert (own.data_dir / DAMAGE_FILE).exists()
    (own.data_dir / DAMAGE_FILE).unlink()
    node.open()
    assert copy_of(network, own.door) == in_force(network)


def named(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """The files that an event of the log named."""
    return [record.fields["file"] for record in caplog.records if record.message == event]


def test_i9_what_cannot_be_read_among_what_was_put_in_keeps_no_door_open(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was closed is closed at once, and what lies beside it is taken."""
    opened, door = network.nodes[PROVINCE].opened, network.nodes[PROVINCE].config.node.door
    incoming, packs = opened.trust.incoming, opened.packs.incoming
    (incoming / "a.xml").mkdir()
    os.mkfifo(incoming / "b.xml")
    (packs / "a.pack").mkdir()
    newer = replace(with_node(in_force(network), POLICE, disabled=True), version=2)
    opened.trust.offer(signed(network, newer))
    network.round()
    assert copy_of(network, door) == newer
    newest = replace(newer, version=3)
    (incoming / "c.xml").write_bytes(signed(network, newest))
    (packs / "b.pack").write_bytes(b"no pack that the directory names")
    for _ in range(3):
        network.round()
    assert copy_of(network, door) == newest
    assert not (incoming / "c.xml").exists()
    assert named(caplog, "directory-unreadable") == ["a.xml", "b.xml"]
    assert named(caplog, "pack-unreadable") == ["a.pack"]


def test_a_directory_put_in_while_nothing_can_be_written_is_taken_later(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = network.nodes[PROVINCE].opened
    newer = replace(with_node(in_force(network), POLICE, disabled=True), version=2)
    (opened.trust.incoming / "x.xml").write_bytes(signed(network, newer))

    def no_room(*_: object, **__: object) -> None:
        raise NoSpaceError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(DurableFiles, "write_file", no_room)
        network.round()
    assert in_force(network) != newer
    network.round()
    assert in_force(network) == newer
    assert copy_of(network, network.nodes[PROVINCE].config.node.door) == newer


def test_i9_a_folder_that_cannot_be_looked_at_keeps_no_door_open(network: Network) -> None:
    node = network.nodes[PROVINCE]
    incoming = node.opened.trust.incoming
    incoming.rmdir()
    incoming.touch()
    newer = replace(with_node(in_force(network), POLICE, disabled=True), version=2)
    node.opened.trust.offer(signed(network, newer))
    network.round()
    assert copy_of(network, node.config.node.door) == newer
    assert any(error.reference == "file-operation-failed" for error in node.errors)
