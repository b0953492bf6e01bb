"""From two machines that know nothing of each other to a node that is enrolled: commands alone (C24).

All agencies and names are fictional (虚构).
"""

from __future__ import annotations

import codecs
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.config_edit import edit_config
from cli.directory_trusted import find_directory
from cli.enrolment_pack import EnrolmentPack, read_enrolment_pack, write_enrolment_pack
from cli.main import main
from exchanged.clock import SystemRandomness
from exchanged.config import load_config
from exchanged.errors import ConfigurationError
from exchanged.keys import generate_key, generate_ssh_key, load_key
from packet_spec.errors import FormatError, LayoutError
from packet_spec.model import Edition, KeyUse
from packet_spec.signing import split_signed
from packet_spec.ssh_keys import ssh_line
from tests.support.desk import COURT, NAMES, POLICE, PROVINCE, Desk, enrolled, new_desk, pack, trust_of


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """A province with two of three keepers, its first directory, and a police node that was just made."""
    return new_desk(tmp_path, capsys)


def take(desk: Desk, *words: object, code: int = 0) -> dict[str, Any]:
    return desk.call("node", "enrol", desk.path("police.enrol"), *words, config="police", code=code)


def state(desk: Desk) -> dict[str, bytes]:
    files = [desk.path("police.toml"), *desk.path("police").rglob("*")]
    return {str(path): path.read_bytes() for path in files if path.is_file()}


def test_a_node_is_enrolled_by_commands_alone(desk: Desk) -> None:
    made = enrolled(desk)
    found = take(desk, code=1)
    assert found["root_fingerprints"] == [made["root_fingerprint"]]
    # Windows Notepad was at it.
    desk.path("police.toml").write_bytes(codecs.BOM_UTF8 + desk.path("police.toml").read_bytes())
    spaced = " ".join(made["root_fingerprint"][at : at + 4].upper() for at in range(0, 64, 4))
    taken = take(desk, "--root-fingerprint", spaced)
    assert taken["taken"] is True
    config = load_config(desk.path("police.toml"))
    (link,) = config.links
    assert (link.host, link.port, link.user, link.mailbox) == ("10.88.1.1", 2222, f"ex-{POLICE}", "/")
    assert link.host_key == " ".join(desk.path("host.pub").read_text().split()[:2])
    assert (config.keys.threshold, len(config.keys.roots)) == (2, 3)
    assert trust_of(desk).edition == Edition(1, 2)


def test_the_request_brings_every_key_that_a_door_needs(desk: Desk) -> None:
    enrolled(desk)
    directory = desk.read("second.xml")
    uses = {use for key in directory.node(POLICE).keys for use in key.uses}
    assert uses >= {KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOGIN}
    (host,) = [key for key in directory.node(PROVINCE).keys if KeyUse.HOST in key.uses]
    assert (host.suite, len(host.public)) == ("ssh-ed25519", 32)
    agency = directory.agency(POLICE)
    assert (agency.node, agency.admitting_node, agency.kind) == (POLICE, PROVINCE, "police")


def test_enrol_prints_what_changes(desk: Desk) -> None:
    said = desk.call(
        "agency", "enrol", desk.path("police/enrolment.toml"), *NAMES,
        "--directory", desk.path("first.xml"), "--output", desk.path("second.xml"),
    )  # fmt: skip
    what = {change["what"]: (change["before"], change["after"]) for change in said["changes"]}
    assert what["version"] == ("1", "2")
    assert what[f"agency {POLICE}"][0] == "-"
    assert sum(name.startswith(f"key {POLICE}") for name in what) >= 4
    assert not any(PROVINCE in name for name in what)
    assert said["old_roots_must_sign_too"] is False


def test_enrol_with_system_prints_one_script_that_also_says_what_changed(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever pipes it into a shell runs the script, and nothing of what is said around it."""
    config = desk.path("province.toml")
    config.write_text(config.read_text().replace(str(desk.path("province")), "/var/lib/exchanged/province"))
    words = [
        "--config", str(config), "agency", "enrol", str(desk.path("police/enrolment.toml")), *NAMES,
        "--directory", str(desk.path("first.xml")), "--output", str(desk.path("second.xml")),
        "--system", "print",
    ]  # fmt: skip
    code = main(words)
    said = capsys.readouterr().out
    if "jail" not in said:
        pytest.fail(f"{code}: {said}")
    head, _begin, rest = said.partition("set -eu\n")
    assert head.startswith("#!/bin/sh\n")
    assert all(line.startswith("#") or not line for line in head.splitlines())
    assert "# Written, unsigned:" in head
    assert f"account=ex-{POLICE}\n" in rest
    assert desk.read("second.xml").agency(POLICE) is not None


def test_a_pack_that_was_taken_lies_ready_for_the_daemon(desk: Desk) -> None:
    made = enrolled(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"])
    _none, check = find_directory(load_config(desk.path("police.toml")))
    assert (check.state.value, "directory-2.xml" in check.detail) == ("note", True)


def test_without_a_fingerprint_or_with_a_wrong_one_nothing_changes(desk: Desk) -> None:
    made = enrolled(desk)
    before = state(desk)
    take(desk, code=1)
    wrong = made["root_fingerprint"][:-1] + ("0" if made["root_fingerprint"][-1] != "0" else "1")
    for text in (wrong, "", made["root_fingerprint"][:60], "zz"):
        take(desk, "--root-fingerprint", text, code=5)
    assert state(desk) == before


@pytest.mark.parametrize("signers", [(), ("one",), ("one", "four")])
def test_a_pack_whose_directory_is_not_signed_changes_nothing(desk: Desk, signers: tuple[str, ...]) -> None:
    """Made by hand as a thief would make it: the desk does not write such a pack."""
    made = enrolled(desk)
    good = read_enrolment_pack(desk.path("police.enrol").read_bytes())
    document = split_signed(good.directories[-1])[0]
    desk.path("half.xml").write_bytes(document)
    half = desk.sign("half.xml", *signers).read_bytes()
    forged = write_enrolment_pack(EnrolmentPack(good.node, good.links, (half,)))
    desk.path("police.enrol").write_bytes(forged)
    before = state(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    assert state(desk) == before
    common = ("--host", "10.88.1.1", "--output", desk.path("other.enrol"))
    desk.call("agency", "pack", POLICE, "--directory", desk.path("half.xml"), *common, code=5)


def test_a_pack_of_other_roots_changes_nothing(desk: Desk) -> None:
    """A thief's directory under his own roots: its fingerprint is not the one that was told."""
    made = enrolled(desk)
    good = read_enrolment_pack(desk.path("police.enrol").read_bytes())
    desk.call(
        "directory", "next", desk.path("second.xml"), "--add-root", desk.path("four.pub"), "--threshold", 1,
        *(word for key in ("one", "two", "three") for word in ("--remove-root", key_id(desk, key))),
        "--output", desk.path("thief.xml"),
    )  # fmt: skip
    thief = desk.sign("thief.xml", "four").read_bytes()
    desk.path("police.enrol").write_bytes(
        write_enrolment_pack(EnrolmentPack(good.node, good.links, (thief,)))
    )
    before = state(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    desk.path("police.enrol").write_bytes(
        write_enrolment_pack(EnrolmentPack(good.node, good.links, (*good.directories, thief)))
    )
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    assert state(desk) == before


def test_a_pack_that_lists_other_keys_for_the_node_changes_nothing(desk: Desk) -> None:
    """Somebody put his own keys into the request on its way to the desk."""
    made = enrolled(desk)
    request = desk.path("police/enrolment.toml")
    with_others = request.read_text().replace("[[node.key]]", "# own keys\n[[node.key]]", 1)
    stranger = generate_key(desk.path("stranger.key"), SystemRandomness()).public_key
    first = next(line for line in with_others.splitlines() if line.startswith("public = "))
    request.write_text(with_others.replace(first, f'public = "ed25519-sha256:{stranger.public.hex()}"'))
    before = state(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    assert state(desk) == before


@pytest.mark.parametrize("use", ["seal", "login", "encrypt"])
def test_a_pack_that_lists_one_key_more_for_the_node_changes_nothing(desk: Desk, use: str) -> None:
    """Somebody added a key of his own to the request: with it he could speak for the agency, or read."""
    request = desk.path("police/enrolment.toml")
    honest = request.read_text()
    suites = {"seal": "ed25519-sha256:", "encrypt": "x25519:"}
    public = f"{suites[use]}{'3b' * 32}" if use in suites else ssh_line(b";" * 32)
    request.write_text(f'{honest}\n[[node.key]]\npublic = "{public}"\nuses = ["{use}"]\n')
    made = enrolled(desk)
    request.write_text(honest)
    before = state(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    assert state(desk) == before


def test_a_pack_for_another_node_changes_nothing(desk: Desk) -> None:
    made = enrolled(desk)
    desk.make_node("frontend", COURT, PROVINCE, "court")
    words = ("node", "enrol", desk.path("police.enrol"), "--root-fingerprint", made["root_fingerprint"])
    desk.call(*words, config="court", code=5)


def test_a_pack_with_an_expired_directory_changes_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = enrolled(desk)
    before = state(desk)
    later = datetime.now(UTC) + timedelta(days=366)
    monkeypatch.setattr("exchanged.clock.SystemClock.now", lambda _self: later)
    take(desk, "--root-fingerprint", made["root_fingerprint"], code=5)
    assert state(desk) == before


def test_no_pack_is_made_without_a_host_key(desk: Desk) -> None:
    """Trust on first use would be all that is left."""
    desk.sign("draft.xml", "one", "two")
    desk.call(
        "agency", "enrol", desk.path("police/enrolment.toml"), *NAMES,
        "--directory", desk.path("draft.xml"), "--output", desk.path("second.xml"),
    )  # fmt: skip
    desk.sign("second.xml", "one", "two")
    common = ("--host", "10.88.1.1", "--output", desk.path("police.enrol"))
    said = desk.call("agency", "pack", POLICE, "--directory", desk.path("second.xml"), *common, code=5)
    assert said["error"]["reference"] == "enrolment-refused"
    assert not desk.path("police.enrol").exists()


def key_id(desk: Desk, name: str) -> str:
    return load_key(desk.path(f"{name}.key")).key_id


def change_roots(desk: Desk) -> None:
    """Keeper four comes for keeper one, in directory 3."""
    desk.call(
        "directory", "next", desk.path("second.xml"), "--add-root", desk.path("four.pub"),
        "--remove-root", key_id(desk, "one"), "--output", desk.path("third.xml"),
    )  # fmt: skip
    desk.sign("third.xml", "two", "three")


def test_a_root_ceremony_by_commands_reaches_a_node_that_runs(desk: Desk) -> None:
    made = enrolled(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"])
    trust = trust_of(desk)
    change_roots(desk)
    desk.call("directory", "install", desk.path("third.xml"), config="police")
    assert trust_of(desk).edition == Edition(1, 3)
    desk.call("directory", "next", desk.path("third.xml"), "--output", desk.path("fourth.xml"))
    desk.sign("fourth.xml", "three", "four")
    desk.call("directory", "install", desk.path("fourth.xml"), config="police")
    assert trust_of(desk).edition == Edition(1, 4)
    said = desk.call("directory", "install", desk.path("third.xml"), config="police", code=1)
    assert said == {"installed": "4", "offered": "3", "taken": False}
    desk.call("directory", "verify", desk.path("fourth.xml"), config="police")
    assert trust.edition == Edition(1, 2)


def test_a_fingerprint_that_was_told_before_a_root_change_still_serves(desk: Desk) -> None:
    """The pack carries the change: the old roots prove the new ones, and the anchor is what was told."""
    made = enrolled(desk)
    change_roots(desk)
    again = pack(desk, "third.xml", "--step", desk.path("second.xml"))
    assert again["root_fingerprint"] != made["root_fingerprint"]
    take(desk, "--root-fingerprint", made["root_fingerprint"])
    trust = trust_of(desk)
    assert trust.edition == Edition(1, 3)
    assert [each.edition for each in trust.steps] == [Edition(1, 3)]


def test_a_new_epoch_by_commands(desk: Desk) -> None:
    """A version went too far by a slip of the finger; the next epoch begins at 1."""
    made = enrolled(desk)
    take(desk, "--root-fingerprint", made["root_fingerprint"])
    said = desk.call(
        "directory", "next", desk.path("second.xml"), "--new-epoch", "--output", desk.path("recovery.xml")
    )
    assert (said["epoch"], said["version"], said["old_roots_must_sign_too"]) == (2, 1, True)
    desk.sign("recovery.xml", "one", "three")
    desk.call("directory", "install", desk.path("recovery.xml"), config="police")
    assert trust_of(desk).edition == Edition(2, 1)


def test_several_changes_gather_in_one_draft(desk: Desk) -> None:
    enrolled(desk)
    common = ("--directory", desk.path("second.xml"), "--output", desk.path("third.xml"))
    desk.call("agency", "retire", POLICE, *common)
    draft = ("--directory", desk.path("third.xml"), "--output", desk.path("third.xml"))
    said = desk.call("agency", "disable", POLICE, *draft)
    assert said["version"] == 3
    directory = desk.read("third.xml")
    assert directory.agency(POLICE).disabled
    assert directory.agency(POLICE).retired_at is not None
    assert directory.node(POLICE).disabled


def test_a_half_signed_directory_is_not_built_upon(desk: Desk) -> None:
    desk.call("directory", "next", desk.path("first.xml"), "--output", desk.path("half.xml"))
    desk.sign("half.xml", "one")
    common = ("--directory", desk.path("half.xml"), "--output", desk.path("second.xml"))
    desk.call("agency", "enrol", desk.path("police/enrolment.toml"), *NAMES, *common, code=5)


def test_retire_keeps_keys_and_node_and_disable_ends_both(desk: Desk) -> None:
    enrolled(desk)
    at = "2031-01-01T00:00:00+08:00"
    common = ("--directory", desk.path("second.xml"), "--output", desk.path("third.xml"))
    desk.call("agency", "retire", POLICE, "--at", at, *common)
    before, after = desk.read("second.xml"), desk.read("third.xml")
    assert after.agency(POLICE).retired_at == datetime(2030, 12, 31, 16, tzinfo=UTC)
    assert after.node(POLICE) == before.node(POLICE)
    desk.call("agency", "retire", POLICE, "--at", "tomorrow", *common, code=2)
    desk.call("agency", "disable", COURT, *common, code=5)


def test_enrolling_again_revokes_the_old_keys_and_lets_it_work(desk: Desk) -> None:
    """The machine was stolen: disabled at once, then a new one with new keys."""
    enrolled(desk)
    common = ("--directory", desk.path("second.xml"), "--output", desk.path("third.xml"))
    desk.call("agency", "disable", POLICE, *common)
    desk.sign("third.xml", "one", "two")
    old = {key.key_id for key in desk.read("third.xml").node(POLICE).keys}
    desk.path("police").rename(desk.path("stolen"))
    desk.path("police.toml").unlink()
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    common = ("--directory", desk.path("third.xml"), "--output", desk.path("fourth.xml"))
    desk.call("agency", "enrol", desk.path("police/enrolment.toml"), *NAMES, *common, code=5)
    desk.call("agency", "enrol", desk.path("police/enrolment.toml"), "--again", *common)
    directory = desk.read("fourth.xml")
    keys = directory.node(POLICE).keys
    assert {key.key_id for key in keys if key.revoked_at is not None} == old
    assert len(keys) == 2 * len(old)
    assert not directory.node(POLICE).disabled
    assert not directory.agency(POLICE).disabled


def test_every_bit_of_the_packs_frame_counts(desk: Desk) -> None:
    """Headers, order and end are exact; what is inside is proved by signatures."""
    enrolled(desk)
    data = desk.path("police.enrol").read_bytes()
    for at in (0, 100, 124, 257, len(data) - 1, len(data) - 600):
        spoiled = bytearray(data)
        spoiled[at] ^= 1
        with pytest.raises(FormatError):
            read_enrolment_pack(bytes(spoiled))
    with pytest.raises(LayoutError):
        read_enrolment_pack(data[:-512])


CONFIG = """\
# a comment
[node]
code = "620199-01-00"   # kept

[keys]
roots = ["a"]
# threshold = 1

[[link]]
name = "x"
peer = "620000-00-00"
port = 22
[[link]]
name = "y"
peer = "620100-00-00"
"""


def test_a_configuration_is_edited_line_by_line() -> None:
    edited = edit_config(
        CONFIG, {"keys": {"roots": ["b", "c"], "threshold": 2}}, {"620100-00-00": {"port": 2222}}
    )
    assert (
        edited.replace('roots = ["b", "c"]\nthreshold = 2', 'roots = ["a"]\n# threshold = 1').replace(
            "port = 2222\n", ""
        )
        == CONFIG
    )
    assert edited.index("port = 2222") > edited.index("port = 22\n")


@pytest.mark.parametrize(
    "text",
    [
        CONFIG.replace('roots = ["a"]', 'roots = [\n"a"\n]'),
        CONFIG.replace("[keys]", "keys.threshold = 1\n[other]"),
        CONFIG.replace("[keys]", "[other]"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_to_a_person(text: str) -> None:
    with pytest.raises(ConfigurationError):
        edit_config(text, {"keys": {"roots": ["b"]}}, {})


def test_new_keys_leave_the_host_key_of_the_server_in_force(desk: Desk) -> None:
    """No request names it: whoever dials the node would be cut off."""
    enrolled(desk)
    generate_ssh_key(desk.path("police-host"), SystemRandomness())
    desk.call(
        "directory", "next", desk.path("second.xml"), "--host-key", POLICE, desk.path("police-host.pub"),
        "--output", desk.path("hosts.xml"),
    )  # fmt: skip
    draft = ("--directory", desk.path("hosts.xml"), "--output", desk.path("third.xml"))
    old = {key.key_id for key in desk.read("hosts.xml").node(POLICE).keys if KeyUse.HOST not in key.uses}
    for name in ("seal.key", "link.key", "receipt.key", "encrypt.key", "login", "login.pub"):
        for path in desk.path("police/keys").glob(name):
            path.unlink()
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    desk.call("agency", "enrol", desk.path("police/enrolment.toml"), "--again", *draft)
    keys = desk.read("third.xml").node(POLICE).keys
    assert {key.key_id for key in keys if key.revoked_at is not None} == old
    assert [key.revoked_at for key in keys if KeyUse.HOST in key.uses] == [None]
