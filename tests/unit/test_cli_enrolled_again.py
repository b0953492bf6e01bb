"""``agency enrol --again`` after keys changed: what a node signs with now goes on to count.

All agencies and names are fictional (虚构).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from cli.key_offer_file import write_offers
from exchanged.clock import SystemRandomness
from exchanged.config import load_config
from exchanged.key_files import key_paths
from exchanged.key_uses import KEY_KINDS, LOGIN_SUITE
from exchanged.keyring import Keyring
from exchanged.keys import generate_beside
from packet_spec.directory import key_valid_at
from packet_spec.key_offer import OfferedKey, prove
from packet_spec.model import DirectoryNode, KeyUse
from packet_spec.signing import PrivateKey
from tests.support.desk import POLICE, PROVINCE, Desk, enrolled, new_desk, trust_of

CHANGED = {KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.ENCRYPT, KeyUse.LOGIN}


@pytest.fixture
def desk(tmp_path, capsys: pytest.CaptureFixture[str]) -> Desk:
    return new_desk(tmp_path, capsys)


def rotated(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Every key of the police was changed by directory 3, which lies there; those before have ended."""
    enrolled(desk)
    config = load_config(desk.path("police.toml"))
    offers = []
    for use, path in key_paths(config).items():
        if use is KeyUse.LOG:
            continue
        secret = generate_beside(path, SystemRandomness(), KEY_KINDS[use].suite)
        if use is KeyUse.ENCRYPT:
            offers.append((POLICE, OfferedKey(use, secret.suite, secret.public)))
        else:
            signing = PrivateKey.from_seed(secret.export_seed()) if use is KeyUse.LOGIN else secret.signing()
            suite = LOGIN_SUITE if use is KeyUse.LOGIN else secret.suite
            offers.append((POLICE, prove(POLICE, use, suite, signing)))
    write_offers(desk.path("offers.json"), [(code, key, 0) for code, key in offers])
    desk.call(
        "directory", "next", desk.path("second.xml"), "--offers", desk.path("offers.json"),
        "--output", desk.path("third.xml"),
    )  # fmt: skip
    desk.sign("third.xml", "one", "two")
    incoming = desk.path("police/directory/incoming")
    incoming.mkdir(parents=True, exist_ok=True)
    for name in ("first.xml", "second.xml", "third.xml"):
        (incoming / name).write_bytes(desk.path(name).read_bytes())
    text = desk.path("police.toml").read_text("utf-8")
    roots = ", ".join(f'"{desk.path(f"{name}.pub").read_text().strip()}"' for name in ("one", "two", "three"))
    zeros = f'roots = ["ed25519-sha256:{"0" * 64}"]'
    assert zeros in text
    desk.path("police.toml").write_text(text.replace(zeros, f"roots = [{roots}]\nthreshold = 2"), "utf-8")
    assert trust_of(desk).version == 3
    later = datetime.now(UTC) + timedelta(days=40)
    monkeypatch.setattr("exchanged.clock.SystemClock.now", lambda _self: later)
    return later


def counting(node: DirectoryNode, moment: datetime) -> dict[KeyUse, set[str]]:
    return {
        use: {key.key_id for key in node.keys if key_valid_at(key, use, moment)} for use in sorted(CHANGED)
    }


def again(desk: Desk, *words: object, code: int = 0) -> dict:
    common = ("--directory", desk.path("third.xml"), "--output", desk.path("fourth.xml"))
    request = desk.path("police/enrolment.toml")
    return desk.call("agency", "enrol", request, "--again", *common, *words, code=code)


def test_a_node_whose_keys_changed_keeps_them_when_it_is_enrolled_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request names what the node signs with now, as the daemon sees it."""
    later = rotated(desk, monkeypatch)
    before = counting(desk.read("third.xml").node(POLICE), later)
    assert all(len(ids) == 1 for ids in before.values())
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    again(desk)
    node = desk.read("fourth.xml").node(POLICE)
    assert counting(node, later) == before
    assert [key for key in node.keys if key.revoked_at is not None] == []
    desk.sign("fourth.xml", "one", "two")
    (desk.path("police/directory/incoming") / "fourth.xml").write_bytes(desk.path("fourth.xml").read_bytes())
    keyring = Keyring(load_config(desk.path("police.toml")), trust_of(desk), SystemRandomness())
    keyring.load()
    for use in (KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.ENCRYPT):
        assert {keyring.in_force(use, later).key_id} == before[use]


def test_a_request_from_before_the_change_is_refused(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names keys that have ended: nothing of the node would count, and no offer of its could be signed."""
    rotated(desk, monkeypatch)
    said = again(desk, code=5)
    assert said["error"]["reference"] == "directory-change-refused"
    assert all(use in said["error"]["where"] for use in ("seal", "link", "receipt", "login", "encrypt"))
    assert not desk.path("fourth.xml").exists()


def test_a_revoked_key_is_not_named_and_cannot_come_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    later = rotated(desk, monkeypatch)
    (seal,) = counting(desk.read("third.xml").node(POLICE), later)[KeyUse.SEAL]
    third = ("--directory", desk.path("third.xml"), "--output", desk.path("revoked.xml"))
    desk.call("key", "retire", seal, "--revoke", *third)
    desk.sign("revoked.xml", "one", "two")
    incoming = desk.path("police/directory/incoming")
    (incoming / "revoked.xml").write_bytes(desk.path("revoked.xml").read_bytes())
    assert trust_of(desk).version == 4
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    text = desk.path("police/enrolment.toml").read_text()
    public = next(key.public for key in desk.read("third.xml").node(POLICE).keys if key.key_id == seal)
    assert public.hex() not in text


def test_what_the_options_do_not_say_stays_as_it_is_listed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated(desk, monkeypatch)
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    again(desk, "--business-type", "prosecution.transfer", "--case-kind", "criminal")
    listed = desk.read("fourth.xml").agency(POLICE)
    assert (listed.business_types, listed.case_kinds) == (("prosecution.transfer",), ("criminal",))
    desk.sign("fourth.xml", "one", "two")
    common = ("--directory", desk.path("fourth.xml"), "--output", desk.path("fifth.xml"))
    request = desk.path("police/enrolment.toml")
    desk.call("agency", "enrol", request, "--again", "--name-en", "Fictional Police Bureau", *common)
    renamed = desk.read("fifth.xml").agency(POLICE)
    assert (renamed.name_en, renamed.name_zh) == ("Fictional Police Bureau", listed.name_zh)
    assert (renamed.business_types, renamed.case_kinds) == (listed.business_types, listed.case_kinds)
    assert renamed.admitting_node == listed.admitting_node


def rewrite(desk: Desk, before: str, after: str) -> None:
    """The request of the police says something else."""
    request = desk.path("police/enrolment.toml")
    text = request.read_text("utf-8")
    assert before in text
    request.write_text(text.replace(before, after), encoding="utf-8")


def test_a_request_for_new_keys_asks_for_no_other_role(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agency's node listed as provincial would name any sender it likes, and have all of it held."""
    rotated(desk, monkeypatch)
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    rewrite(desk, 'role = "frontend"', 'role = "provincial"')
    said = again(desk, code=5)
    assert said["error"]["reference"] == "directory-change-refused"
    assert not desk.path("fourth.xml").exists()


def test_a_node_moves_only_where_the_desk_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rotated(desk, monkeypatch)
    desk.make_node("bridge", "bridge-east", PROVINCE, "east")
    bridge, third = desk.path("east/enrolment.toml"), desk.path("third.xml")
    desk.call("agency", "enrol", bridge, "--directory", third, "--output", desk.path("with.xml"))
    desk.path("with.xml").rename(third)
    desk.make_node("frontend", POLICE, PROVINCE, "police")
    rewrite(desk, f'parent = "{PROVINCE}"', 'parent = "bridge-east"')
    assert again(desk, code=5)["error"]["reference"] == "directory-change-refused"
    assert not desk.path("fourth.xml").exists()
    again(desk, "--parent-node", "bridge-east")
    assert desk.read("fourth.xml").node(POLICE).parent == "bridge-east"
