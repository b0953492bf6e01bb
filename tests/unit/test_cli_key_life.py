"""``exchangectl key``: asking for keys, taking offers, ending keys, looking ahead, passphrases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.directory_desk import DeskError
from cli.directory_rotation import Schedule, end_key, revoke_key, take_offers
from cli.key_rehearsal import rehearse, rehearse_neighbours
from cli.main import main
from exchanged.config import load_config
from exchanged.errors import KeyFileError
from packet_spec.directory import decode_directory, encode_directory
from packet_spec.key_offer import OfferedKey
from packet_spec.model import Directory, Edition, KeyUse
from packet_spec.signing import split_signed
from tests.support.listing import node_of, with_node, with_revoked
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


class Desk:
    """The keepers of the directory at the provincial node."""

    def __init__(self, network: Network, capsys: pytest.CaptureFixture[str]) -> None:
        self.network = network
        self.capsys = capsys
        self.root = network.layout.root
        self.first = network.layout.data(PROVINCE) / "directory" / "directory-1.xml"

    def call(self, *words: object, code: int = 0) -> Any:
        config = str(self.network.layout.config(PROVINCE))
        assert main(["--config", config, *map(str, words), "--json"]) == code
        return json.loads(self.capsys.readouterr().out)

    def read(self, name: str) -> Directory:
        return decode_directory(split_signed((self.root / name).read_bytes())[0])

    def install(self, name: str) -> None:
        self.call("directory", "sign", self.root / name, "--key", self.network.layout.root_key)
        incoming = self.network.nodes[PROVINCE].opened.trust.incoming
        (incoming / name).write_bytes((self.root / name).read_bytes())
        self.network.run()


@pytest.fixture
def desk(network: Network, capsys: pytest.CaptureFixture[str]) -> Desk:
    return Desk(network, capsys)


def test_keys_are_asked_for_offered_and_taken_with_overlap(desk: Desk) -> None:
    root = desk.root
    desk.call("key", "rotate", "--node", POLICE, "--directory", desk.first, "--output", root / "2.xml")
    assert [node.code for node in desk.read("2.xml").nodes if node.renew_keys] == [POLICE]
    desk.install("2.xml")
    offered = desk.call("key", "offers", "--output", root / "offers.json")
    assert {row["use"] for row in offered} == {"seal", "link", "receipt", "encrypt"}
    begin = "2031-01-01T00:00:00+08:00"
    desk.call(
        "directory", "next", root / "2.xml", "--offers", root / "offers.json", "--keys-from", begin,
        "--overlap-days", 30, "--output", root / "3.xml",
    )  # fmt: skip
    for use in ("seal", "link", "receipt", "encrypt"):
        old, new = (key for key in node_of(desk.read("3.xml"), POLICE).keys if KeyUse(use) in key.uses)
        assert new.not_before.isoformat() == "2030-12-31T16:00:00+00:00"
        assert old.not_after == new.not_before + timedelta(days=30)
    desk.install("3.xml")
    assert desk.call("key", "offers") == []
    desk.call(
        "directory", "next", root / "3.xml", "--offers", root / "offers.json", "--output", root / "4.xml",
        code=5,
    )  # fmt: skip


def test_an_offer_that_was_changed_on_its_way_is_not_taken(desk: Desk) -> None:
    root = desk.root
    desk.call("key", "rotate", "--all", "--directory", desk.first, "--output", root / "2.xml")
    desk.install("2.xml")
    desk.call("key", "offers", "--output", root / "offers.json")
    content = json.loads((root / "offers.json").read_text("utf-8"))
    for key in content["keys"]:
        key["node"] = POLICE if key["node"] == PROCURATORATE else key["node"]
    (root / "offers.json").write_text(json.dumps(content), "utf-8")
    desk.call(
        "directory", "next", root / "2.xml", "--offers", root / "offers.json", "--output", root / "3.xml",
        code=5,
    )  # fmt: skip
    assert not (root / "3.xml").exists()


def test_what_was_offered_before_a_key_of_the_node_was_revoked_is_not_taken(desk: Desk) -> None:
    """Whoever stole that key may have offered others; they stand in the file that was written before."""
    root = desk.root
    desk.call("key", "rotate", "--node", POLICE, "--directory", desk.first, "--output", root / "2.xml")
    desk.install("2.xml")
    old = desk.call("key", "offers", "--output", root / "old.json")
    stolen = next(key for key in node_of(desk.read("2.xml"), POLICE).keys if KeyUse.SEAL in key.uses)
    common = ("--directory", root / "2.xml", "--output", root / "3.xml")
    desk.call("key", "retire", stolen.key_id, "--revoke", *common)
    take = ("directory", "next", root / "3.xml", "--output", root / "4.xml", "--offers")
    desk.call(*take, root / "old.json", code=5)
    assert not (root / "4.xml").exists()
    desk.install("3.xml")
    new = desk.call("key", "offers", "--output", root / "new.json")
    assert {row["use"] for row in new} == {"seal", "link", "receipt", "encrypt"}
    assert not {row["key_id"] for row in new} & {row["key_id"] for row in old}
    desk.call(*take, root / "new.json")


def test_of_a_disabled_node_nothing_is_taken(desk: Desk) -> None:
    directory = desk.network.nodes[PROVINCE].opened.trust.directory
    key = OfferedKey(KeyUse.ENCRYPT, "x25519", bytes([7] * 32))
    schedule = Schedule(desk.network.clock.now(), timedelta(days=1))
    with pytest.raises(DeskError, match="disabled"):
        take_offers(with_node(directory, POLICE, disabled=True), [(POLICE, key)], schedule)


def test_a_key_ends_in_good_order_or_is_revoked(desk: Desk) -> None:
    root = desk.root
    key = node_of(desk.network.nodes[PROVINCE].opened.trust.directory, POLICE).keys[0]
    at = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    common = ("--directory", desk.first, "--output", root / "2.xml", "--at", at.isoformat())
    desk.call("key", "retire", key.key_id, *common)
    ended = node_of(desk.read("2.xml"), POLICE).keys[0]
    assert (ended.not_after, ended.revoked_at) == (at, None)
    desk.call("key", "retire", key.key_id, "--revoke", *common)
    ended = node_of(desk.read("2.xml"), POLICE).keys[0]
    assert ended.not_after == key.not_after
    assert ended.revoked_at is not None
    desk.call("key", "retire", "0" * 32, *common, code=5)


def test_what_ends_in_good_order_ends_ahead_and_what_is_stolen_at_once(desk: Desk) -> None:
    """A directory rules from its draft on: what was accepted on its way could not be proved."""
    root, now = desk.root, datetime.now(UTC)
    key = node_of(desk.network.nodes[PROVINCE].opened.trust.directory, POLICE).keys[0].key_id
    common = ("--directory", desk.first, "--output", root / "2.xml")
    past = ("--at", (now - timedelta(minutes=1)).isoformat())
    desk.call("key", "retire", key, *common, *past, code=2)
    desk.call("agency", "retire", POLICE, *common, *past, code=2)
    desk.call("key", "retire", key, *common)
    assert node_of(desk.read("2.xml"), POLICE).keys[0].not_after > now + timedelta(hours=23)
    desk.call("agency", "retire", POLICE, *common)
    retired = desk.read("2.xml").agency(POLICE)
    assert retired is not None
    assert retired.retired_at is not None
    assert retired.retired_at > now + timedelta(hours=23)
    desk.call("key", "retire", key, "--revoke", *common, *past)
    revoked = node_of(desk.read("2.xml"), POLICE).keys[0].revoked_at
    assert revoked is not None
    assert revoked < now


def test_a_key_that_has_not_begun_is_not_ended_but_revoked(desk: Desk) -> None:
    directory = desk.network.nodes[PROVINCE].opened.trust.directory
    key = node_of(directory, POLICE).keys[0]
    with pytest.raises(DeskError, match="not begun") as caught:
        end_key(directory, key.key_id, key.not_before)
    assert "--revoke" in caught.value.advice
    revoked = revoke_key(directory, key.key_id, key.not_before)
    assert node_of(decode_directory(encode_directory(revoked)), POLICE).keys[0].revoked_at == key.not_before


def test_a_key_that_two_nodes_offer_is_taken_from_neither(desk: Desk) -> None:
    """Nobody can prove a key for encryption; the directory could not list it twice."""
    directory = desk.network.nodes[PROVINCE].opened.trust.directory
    key = OfferedKey(KeyUse.ENCRYPT, "x25519", bytes([7] * 32))
    schedule = Schedule(desk.network.clock.now(), timedelta(days=1))
    with pytest.raises(DeskError, match="twice") as caught:
        take_offers(directory, [(POLICE, key), (PROCURATORATE, key)], schedule)
    assert f"nodes {POLICE} and {PROCURATORATE}" in caught.value.where


def test_who_breaks_on_a_date(network: Network) -> None:
    directory, now = network.nodes[PROVINCE].opened.trust.directory, network.clock.now()
    assert rehearse(directory, now, now + timedelta(days=365)) == ()
    after = directory.expires_at + timedelta(days=1)
    rows = rehearse(directory, now, after)
    assert {row.what for row in rows} == {"directory-ends", "no-key"}
    assert {row.node for row in rows} == {"*", POLICE, PROCURATORATE, PROVINCE}
    revoked = with_revoked(directory, POLICE, KeyUse.SEAL, now + timedelta(days=2))
    (row,) = rehearse(revoked, now, now + timedelta(days=3))
    assert (row.node, row.use, row.breaks, row.at) == (POLICE, "seal", True, now + timedelta(days=2))
    assert rehearse(revoked, now, now + timedelta(days=1)) == ()
    (behind,) = rehearse_neighbours(
        directory, {POLICE: Edition(1, 0), PROCURATORATE: directory.edition}, now, now + timedelta(days=1)
    )
    assert (behind.node, behind.breaks) == (POLICE, False)


def test_rehearsing_here_says_by_its_exit_code_whether_something_breaks(desk: Desk) -> None:
    desk.network.run()
    assert desk.call("key", "rehearse", "--at", "2027-06-01T00:00:00Z")["rows"] == []
    rows = desk.call("key", "rehearse", "--at", "2099-01-01T00:00:00Z", code=1)["rows"]
    assert rows
    (desk.network.layout.data(PROVINCE) / "keys" / "log.key").rename(desk.root / "elsewhere.key")
    (row,) = desk.call("key", "rehearse", "--at", "2027-06-01T00:00:00Z", code=1)["rows"]
    assert (row["what"], row["use"]) == ("key-not-here", "log")


def test_a_node_starts_with_the_passphrase_of_its_keys_and_not_without(desk: Desk) -> None:
    network, node = desk.network, desk.network.nodes[PROVINCE]
    link = network.layout.data(PROVINCE) / "keys" / "link.key"
    secret = desk.root / "passphrase"
    secret.write_bytes("口令 correct horse\n".encode())
    secret.chmod(0o600)
    before = node.opened.keyring.key_ids(network.clock.now())
    node.close()
    desk.call("key", "protect", link, "--passphrase-file", secret)
    assert b"seed" not in link.read_bytes()
    assert link.stat().st_mode & 0o777 == 0o600
    with pytest.raises(KeyFileError, match="passphrase"):
        node.open()
    config = network.layout.config(PROVINCE)
    text = config.read_text("utf-8")
    config.write_text(text.replace("[keys]\n", f'[keys]\npassphrase_file = "{secret}"\n', 1), "utf-8")
    node.config = load_config(config)
    node.open()
    assert node.opened.keyring.key_ids(network.clock.now()) == before
    node.close()
    secret.write_bytes(b"another\n")
    with pytest.raises(KeyFileError, match="passphrase"):
        node.open()
    secret.chmod(0o640)
    with pytest.raises(KeyFileError, match="others may read"):
        node.open()


def test_protecting_keys_that_was_broken_off_is_finished_by_the_same_command(desk: Desk) -> None:
    """By Ctrl-C, or by the power, between two keys; also where one passphrase takes the place of another."""
    desk.network.nodes[PROVINCE].close()
    folder = desk.network.layout.data(PROVINCE) / "keys"
    secret, newer = desk.root / "passphrase", desk.root / "newer"
    for path, text in ((secret, b"correct horse\n"), (newer, b"battery staple\n")):
        path.write_bytes(text)
        path.chmod(0o600)
    desk.call("key", "protect", folder / "link.key", "--passphrase-file", secret)
    first = (folder / "link.key").read_bytes()
    protect = ("key", "protect", "--passphrase-file", secret)
    done: Any = desk.call(*protect)
    assert {entry["file"] for entry in done} >= {str(folder / "link.key"), str(folder / "receipt.key")}
    assert all(b"exchanged-private-key-2" in Path(entry["file"]).read_bytes() for entry in done)
    assert (folder / "link.key").read_bytes() == first
    assert desk.call(*protect) == done
    change = ("--passphrase-file", newer, "--old-passphrase-file", secret)
    desk.call("key", "protect", folder / "link.key", *change)
    assert desk.call("key", "protect", *change) == done
    # Under another passphrase, which was not given.
    desk.call(*protect, code=2)


def test_a_credential_of_the_unit_counts_before_files(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the service manager hands them over: in a folder that the environment names."""
    network, node = desk.network, desk.network.nodes[PROVINCE]
    keys = network.layout.data(PROVINCE) / "keys"
    before = node.opened.keyring.key_ids(network.clock.now())
    node.close()
    credentials = desk.root / "credentials"
    credentials.mkdir(mode=0o700)
    secret = credentials / "passphrase"
    secret.write_bytes(b"correct horse\n")
    secret.chmod(0o440)
    desk.call("key", "protect", keys / "link.key", "--passphrase-file", _private_copy(secret, desk.root))
    (keys / "receipt.key").rename(credentials / "receipt.key")
    with pytest.raises(KeyFileError):
        node.open()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    node.open()
    assert node.opened.keyring.key_ids(network.clock.now()) == before
    # What others can read is no credential of the service manager's.
    node.close()
    secret.chmod(0o444)
    with pytest.raises(KeyFileError, match="others may read"):
        node.open()


def _private_copy(path: Path, folder: Path) -> Path:
    copy = folder / "private"
    copy.write_bytes(path.read_bytes())
    copy.chmod(0o600)
    return copy


def test_a_root_key_under_a_passphrase_signs_with_it_and_not_without(desk: Desk) -> None:
    root, secret = desk.network.layout.root_key, desk.root / "passphrase"
    secret.write_bytes("根口令\n".encode())
    secret.chmod(0o600)
    desk.call("key", "protect", root, "--passphrase-file", secret)
    draft = ("--directory", desk.first, "--output", desk.root / "2.xml")
    desk.call("agency", "disable", POLICE, *draft)
    sign = ("directory", "sign", desk.root / "2.xml", "--key", root)
    desk.call(*sign, code=2)
    assert b"exchanged-signature" not in (desk.root / "2.xml").read_bytes()
    desk.call(*sign, "--passphrase-file", secret)
    assert desk.read("2.xml").version == 2


def test_a_node_with_keys_that_others_can_reach_does_not_start(network: Network) -> None:
    node = network.nodes[POLICE]
    node.close()
    folder = network.layout.data(POLICE) / "keys"
    folder.chmod(0o750)
    with pytest.raises(KeyFileError):
        node.open()
    folder.chmod(0o700)
    (folder / "receipt.key").chmod(0o640)
    with pytest.raises(KeyFileError):
        node.open()
    (folder / "receipt.key").chmod(0o600)
    node.open()
