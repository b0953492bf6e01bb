"""``directory build --base``: what was signed, revoked and listed before stays as it was.

All agencies and names are fictional (虚构).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.main import main
from exchanged.clock import SystemRandomness
from exchanged.keys import generate_ssh_key
from packet_spec.model import KeyUse
from packet_spec.pack import shipped_pack
from tests.support.desk import COURT, NAMES, POLICE, PROVINCE, Desk, enrolled, new_desk
from tests.support.network import PROCURATORATE, Network, small_plan

PACK = '[[pack]]\nfile = "standard"\n'


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Desk:
    """The police are enrolled by directory 2; the plan is still that of directory 1."""
    made = new_desk(tmp_path, capsys)
    enrolled(made)
    return made


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def build(desk: Desk, text: str, base: str, output: str = "built.xml", code: int = 0) -> dict[str, Any]:
    plan = desk.path("standard.toml")
    plan.write_text(text, encoding="utf-8")
    words = ("--base", desk.path(base)) if base else ()
    return desk.call("directory", "build", plan, *words, "--output", desk.path(output), code=code)


def test_only_the_first_directory_is_built_from_nothing(desk: Desk) -> None:
    """From the plan alone every key would begin anew, and revoked ones would be back."""
    plan = desk.path("plan.toml").read_text("utf-8")
    said = build(desk, plan.replace("version = 1", "version = 3"), "", code=2)
    (problem,) = said["error"]["problems"]
    assert "--base directory.xml" in problem
    assert not desk.path("built.xml").exists()


def test_a_plan_of_a_pack_changes_nothing_else(desk: Desk) -> None:
    said = build(desk, PACK, "second.xml")
    assert {change["what"] for change in said["changes"]} <= {"version", "issued_at", "expires_at", "packs"}
    before, after = desk.read("second.xml"), desk.read("built.xml")
    assert (after.version, after.nodes, after.agencies, after.roots, after.threshold) == (
        3, before.nodes, before.agencies, before.roots, before.threshold,
    )  # fmt: skip
    (pack,) = after.packs
    assert pack.digest == shipped_pack().digest
    assert pack.valid_from <= min(key.not_before for node in before.nodes for key in node.keys)
    assert said["old_roots_must_sign_too"] is False


def test_what_the_desk_did_since_the_plan_stays(desk: Desk) -> None:
    """Revoked, ended, host keys, a disabled agency, an enrolled one: the old plan knows of none of them."""
    directory = desk.read("second.xml")
    provincial = {use: key.key_id for key in directory.node(PROVINCE).keys for use in key.uses}
    generate_ssh_key(desk.path("other"), SystemRandomness())
    draft = ("--output", desk.path("third.xml"))
    desk.call(
        "directory", "next", desk.path("second.xml"), "--host-key", PROVINCE, desk.path("other.pub"), *draft
    )
    common = ("--directory", desk.path("third.xml"), *draft)
    desk.call("key", "retire", provincial[KeyUse.RECEIPT], "--revoke", *common)
    at = (datetime.now(UTC) + timedelta(days=9)).isoformat(timespec="seconds")
    desk.call("key", "retire", provincial[KeyUse.LINK], "--at", at, *common)
    desk.call("agency", "disable", POLICE, *common)
    desk.sign("third.xml", "one", "two")
    before = desk.read("third.xml")
    plan = desk.path("plan.toml").read_text("utf-8").replace("version = 1\n", "")
    said = build(desk, plan + PACK, "third.xml")
    after = desk.read("built.xml")
    assert (after.nodes, after.agencies) == (before.nodes, before.agencies)
    assert said["version"] == 4
    assert after.node(PROVINCE).keys != directory.node(PROVINCE).keys


def test_a_plan_from_before_a_root_was_removed_does_not_bring_it_back(desk: Desk) -> None:
    """Nor with fewer signatures than the base demands; without both the same plan serves."""
    stolen = desk.read("second.xml").roots[1].key_id
    desk.call(
        "directory", "next", desk.path("second.xml"),
        "--remove-root", stolen, "--output", desk.path("third.xml"),
    )  # fmt: skip
    desk.sign("third.xml", "one", "three")
    plan = desk.path("plan.toml").read_text("utf-8").replace("version = 1\n", "")
    (problem,) = build(desk, plan + PACK, "third.xml", code=2)["error"]["problems"]
    assert problem.startswith("[directory] roots: differs")
    assert not desk.path("built.xml").exists()
    lines = [line for line in plan.splitlines() if not line.startswith("roots = ")]
    alone = "\n".join(line for line in lines if not line.startswith("threshold = "))
    less = alone.replace("[directory]\n", "[directory]\nthreshold = 1\n")
    (problem,) = build(desk, less, "third.xml", code=2)["error"]["problems"]
    assert problem.startswith("[directory] threshold: differs")
    build(desk, alone, "third.xml")
    after = desk.read("built.xml")
    assert (stolen in {root.key_id for root in after.roots}, after.threshold) == (False, 2)


def test_a_version_that_does_not_follow_is_refused(desk: Desk) -> None:
    for text in ("[directory]\nversion = 2\n", "[directory]\nversion = 9\nepoch = 3\n"):
        said = build(desk, text, "second.xml", code=2)
        assert "does not follow" in said["error"]["problems"][0]
    assert build(desk, "[directory]\nversion = 9\n", "second.xml")["version"] == 9


def test_a_pack_in_force_is_not_left_out_and_its_beginning_stays(desk: Desk) -> None:
    other = f'[[pack]]\nname = "local"\nversion = "2"\ndigest = "{"ab" * 32}"\n'
    said = build(desk, other, "second.xml", code=2)
    assert 'file = "standard"' in said["error"]["problems"][0]
    build(desk, PACK, "second.xml", "third.xml")
    desk.sign("third.xml", "one", "two")
    first = desk.read("third.xml").packs
    build(desk, other, "third.xml", "fourth.xml")
    assert desk.read("fourth.xml").packs[:1] == first
    desk.sign("fourth.xml", "one", "two")
    build(desk, f"{PACK}valid_until = 2031-01-01T00:00:00Z\n", "fourth.xml", "fifth.xml")
    later = {pack.name: pack for pack in desk.read("fifth.xml").packs}
    assert set(later) == {"local", first[0].name}
    assert later[first[0].name].valid_from == first[0].valid_from
    assert later[first[0].name].valid_until == datetime(2031, 1, 1, tzinfo=UTC)


def test_routes_and_types_are_those_of_the_plan_where_it_states_any(desk: Desk) -> None:
    route = '[[route]]\nfrom = "police"\nto = "court"\n'
    build(desk, route, "second.xml", "third.xml")
    desk.sign("third.xml", "one", "two")
    build(desk, PACK, "third.xml", "fourth.xml")
    assert desk.read("fourth.xml").routes == desk.read("third.xml").routes
    desk.sign("fourth.xml", "one", "two")
    build(desk, "route = []\n", "fourth.xml", "fifth.xml")
    assert desk.read("fifth.xml").routes == ()


def test_a_half_signed_base_is_not_built_upon(desk: Desk) -> None:
    build(desk, PACK, "second.xml", "half.xml")
    desk.sign("half.xml", "one")
    build(desk, PACK, "half.xml", code=5)


def test_a_draft_keeps_its_version(desk: Desk) -> None:
    desk.make_node("frontend", COURT, PROVINCE, "court")
    common = ("--directory", desk.path("second.xml"), "--output", desk.path("third.xml"))
    desk.call("agency", "enrol", desk.path("court/enrolment.toml"), *NAMES, *common)
    assert build(desk, PACK, "third.xml")["version"] == 3
    assert desk.read("built.xml").node(COURT) is not None


def test_what_is_on_its_way_when_a_pack_is_published_is_delivered(
    network: Network, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sealed before the build, judged after it; and keys of before go on to count."""
    clock, root, trust = network.clock, network.layout.root, network.nodes[PROVINCE].opened.trust
    monkeypatch.setattr("exchanged.clock.SystemClock.now", lambda _self: clock.now())
    request = DropRequest("info.share", POLICE, PROCURATORATE, clock.now())
    drop = write_drop(make_drop(request), network.agency(POLICE) / "outbox")
    for _round in range(3):
        network.nodes[POLICE].step()
        clock.advance(60.0)
    (root / "standard.toml").write_text(PACK, encoding="utf-8")
    words = ("--base", str(trust.path()), "--output", str(root / "2.xml"))
    assert main(["directory", "build", str(root / "standard.toml"), *words, "--json"]) == 0
    assert main(["directory", "sign", str(root / "2.xml"), "--key", str(network.layout.root_key)]) == 0
    capsys.readouterr()
    (trust.incoming / "2.xml").write_bytes((root / "2.xml").read_bytes())
    network.nodes[PROVINCE].step()
    assert trust.version == 2
    network.run()
    status = network.agency(POLICE) / "status" / f"{drop.name}.status.json"
    assert json.loads(status.read_text("utf-8"))["state"] in {"delivered", "collected"}
