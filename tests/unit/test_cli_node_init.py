"""``node init``: from nothing to a node that only lacks what the province knows; again changes nothing."""

from __future__ import annotations

import json
import os
import shlex
import stat
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cli.directory_plan import parse_directory_plan
from cli.main import main
from cli.node_init import placeholders
from cli.node_plan import Wish, make_plan
from cli.node_template import render_config, template
from exchanged.config import load_config, parse_config
from packet_spec.model import KeyUse, NodeRole

POLICE, PROVINCE, COURT = "620199-01-00", "620000-00-00", "620199-05-00"
ROOT_KEY = "ed25519-sha256:" + "ab" * 32
NOW = datetime(2026, 7, 15, tzinfo=UTC)

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """``node init`` with --json, as the user who runs the tests."""

    def call(role: str, code: str, *words: str, name: str = "node") -> tuple[int, dict[str, Any]]:
        owner = ("--owner", "root") if os.geteuid() == 0 else ()
        config = str(tmp_path / f"{name}.toml")
        command = ["--config", config, "node", "init", "--role", role, "--code", code, *owner, *words]
        code_of_exit = main([*command, "--json"])
        printed = capsys.readouterr().out
        return code_of_exit, json.loads(printed) if printed else {}

    return call


def content(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below a folder: mode, time of change and bytes."""
    return {
        path.relative_to(root).as_posix(): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(root.rglob("*"))
    }


def test_a_front_end_lacks_only_what_the_province_knows(run: Run, tmp_path: Path) -> None:
    exit_code, made = run("frontend", POLICE, "--peer", PROVINCE)
    assert (exit_code, made["changed"]) == (0, True)
    assert made["to_fill_in"] == ["[keys] roots", f"[link {PROVINCE}] host", f"[link {PROVINCE}] host_key"]
    config = load_config(tmp_path / "node.toml")
    assert (config.node.code, config.node.role, config.node.agency) == (POLICE, NodeRole.FRONTEND, POLICE)
    (link,) = config.links
    assert (link.peer, link.port, link.user) == (PROVINCE, 2222, f"ex-{POLICE}")
    assert stat.S_IMODE(config.node.data_dir.stat().st_mode) == 0o750
    assert stat.S_IMODE((config.node.data_dir / "keys").stat().st_mode) == 0o700
    for use in ("seal", "link", "receipt", "encrypt"):
        assert stat.S_IMODE((config.node.data_dir / f"keys/{use}.key").stat().st_mode) == 0o600
    assert link.key is not None
    assert stat.S_IMODE(link.key.stat().st_mode) == 0o600
    assert config.folders is not None
    assert config.folders.root.is_dir()


def test_what_is_handed_over_is_a_piece_of_the_plan_and_no_secret(run: Run, tmp_path: Path) -> None:
    _, made = run("frontend", POLICE, "--peer", PROVINCE)
    head = f'[directory]\nversion = 1\nroots = ["{ROOT_KEY}"]\n\n'
    plan = parse_directory_plan(tomllib.loads(head + made["enrolment"]), tmp_path, NOW)
    (node,) = plan.nodes
    assert (node.code, node.role, node.parent) == (POLICE, NodeRole.FRONTEND, PROVINCE)
    uses = {use for key in node.keys for use in key.uses}
    assert uses == {KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.ENCRYPT, KeyUse.LOGIN}
    assert made["logins"][0]["public"] in made["enrolment"]
    for path in (tmp_path / "node/keys").iterdir():
        if path.suffix != ".pub":
            seed = path.read_text().splitlines()[-2]
            assert seed not in made["enrolment"] + json.dumps(made)


def test_a_second_call_changes_nothing_and_says_so(run: Run, tmp_path: Path) -> None:
    run("frontend", POLICE, "--peer", PROVINCE)
    before = content(tmp_path)
    exit_code, made = run("frontend", POLICE, "--peer", PROVINCE)
    assert (exit_code, made["changed"]) == (0, False)
    assert {step["made"] for step in made["steps"]} == {False}
    assert content(tmp_path) == before


def test_what_an_interrupted_call_left_out_is_made_and_no_key_is_made_twice(run: Run, tmp_path: Path) -> None:
    _, first = run("frontend", POLICE, "--peer", PROVINCE)
    (tmp_path / "node/keys/receipt.key").unlink()
    (tmp_path / "node.toml").unlink()
    _, second = run("frontend", POLICE, "--peer", PROVINCE)
    assert {step["name"] for step in second["steps"] if step["made"]} == {
        "key receipt", "enrolment", "configuration",
    }  # fmt: skip
    assert [key["public"] for key in second["keys"][:2]] == [key["public"] for key in first["keys"][:2]]


def test_every_problem_is_told_at_once_and_nothing_is_made(run: Run, tmp_path: Path) -> None:
    exit_code, said = run(
        "bridge", POLICE, "--peer", "nobody", "--peer", POLICE, "--agency-root", "/srv/x", "--root", "zzz"
    )
    assert exit_code == 2
    problems = said["error"]["message"] if "message" in said["error"] else json.dumps(said)
    for words in ("the role bridge goes with", "'nobody'", "this node itself", "--agency-root", "--root"):
        assert words in problems
    assert list(tmp_path.iterdir()) == []


def test_options_that_contradict_the_configuration_are_refused(run: Run, tmp_path: Path) -> None:
    run("frontend", POLICE, "--peer", PROVINCE)
    before = content(tmp_path)
    exit_code, said = run("frontend", COURT, "--peer", "620000-01-00", "--data-dir", str(tmp_path / "other"))
    assert exit_code == 2
    text = json.dumps(said, ensure_ascii=False)
    for words in ("--code", "--peer", "--data-dir"):
        assert words in text
    assert content(tmp_path) == before


def test_a_province_serves_and_a_bridge_does_both(run: Run, tmp_path: Path) -> None:
    peers = ("--peer", POLICE, "--peer", COURT)
    _, made = run("provincial", PROVINCE, *peers, "--root", ROOT_KEY, name="province")
    assert (made["to_fill_in"], made["logins"]) == ([], [])
    config = load_config(tmp_path / "province.toml")
    assert [(link.peer, link.side.value, link.transport.value) for link in config.links] == [
        (POLICE, "serve", "folder"),
        (COURT, "serve", "folder"),
    ]
    assert (tmp_path / "jails" / POLICE / "up").is_dir()
    run("bridge", "bridge-north", "--peer", PROVINCE, "--serve", POLICE, name="bridge")
    bridge = load_config(tmp_path / "bridge.toml")
    assert [(link.peer, link.side.value) for link in bridge.links] == [(PROVINCE, "dial"), (POLICE, "serve")]
    assert bridge.folders is None
    unknown = ["[keys] roots", f"[link {PROVINCE}] host", f"[link {PROVINCE}] host_key"]
    assert list(placeholders(bridge)) == unknown


def test_a_bridge_that_dials_two_neighbours_is_made(run: Run, tmp_path: Path) -> None:
    other = "630000-00-00"
    peers = ("--peer", PROVINCE, "--peer", other)
    code, made = run("bridge", "bridge-x", *peers, "--root", ROOT_KEY, name="two")
    assert (code, made["changed"]) == (0, True)
    links = load_config(tmp_path / "two.toml").links
    assert [(link.peer, link.mailbox) for link in links] == [(PROVINCE, "/"), (other, "/")]
    assert len({link.key for link in links}) == 2
    unknown = [f"[link {link}] {key}" for link in (PROVINCE, other) for key in ("host", "host_key")]
    assert made["to_fill_in"] == unknown


def test_the_machine_layout_is_that_of_the_manual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.node_plan._obstacles", lambda *_: ())
    monkeypatch.setattr("cli.node_plan._owner", lambda _wish: (None, ""))
    wish = Wish(Path("/etc/exchanged/desk-test.toml"), NodeRole.FRONTEND, POLICE, (PROVINCE,), (COURT,))
    config = make_plan(wish).config
    assert config.node.data_dir == Path("/var/lib/exchanged/desk-test")
    assert config.folders is not None
    assert config.folders.root == Path("/srv/exchanged/agencies") / POLICE
    assert config.links[1].mailbox == f"/srv/exchanged/jails/{COURT}"


def test_places_that_the_unit_keeps_read_only_are_told_with_the_lines_that_open_them(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.unit_places.SYSTEM", tmp_path)
    monkeypatch.setattr("cli.unit_places._UNITS", (str(tmp_path / "units"),))
    places = ("--data-dir", str(tmp_path / "my data"), "--agency-root", str(tmp_path / "agency"))
    code, made = run("frontend", POLICE, "--peer", PROVINCE, *places, name="police")
    assert (code, [shut["key"] for shut in made["shut"]]) == (0, ["data_dir", "root"])
    # Temporary folders of the machine are the daemon's own ones under the unit.
    private = ["PrivateTmp=no"] if tmp_path.is_relative_to("/tmp") else []  # noqa: S108
    assert made["drop_in"] == [
        "[Service]",
        *private,
        f'ReadWritePaths="-{tmp_path}/my data"',
        f"ReadWritePaths=-{tmp_path}/agency",
    ]
    assert "systemctl edit exchanged@police" in made["next"]
    check = ("--config", str(tmp_path / "police.toml"), "config", "check")
    main(check)
    assert "\n".join(made["drop_in"]) in capsys.readouterr().out
    drop_in = tmp_path / "units" / "exchanged@police.service.d" / "override.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("\n".join(made["drop_in"]))
    main(check)
    assert "ReadWritePaths" not in capsys.readouterr().out


def test_the_next_step_of_a_province_makes_the_jail_of_each_neighbour_as_it_is_printed(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.unit_places.SYSTEM", tmp_path)
    monkeypatch.setattr("cli.unit_places.SERVED", tmp_path / "served")
    served = ("--serve", POLICE, "--serve", COURT, "--data-dir", str(tmp_path / "data"))
    code, made = run("provincial", PROVINCE, *served, "--root", ROOT_KEY, name="province")
    assert code == 0
    commands = [line for line in made["next"] if " link jail" in line]
    config = tmp_path / "province.toml"
    shell = "sh" if os.geteuid() == 0 else "sudo sh"
    assert commands == [
        f"exchangectl --config {config} link jail {peer} | {shell}" for peer in (POLICE, COURT)
    ]
    for command in commands:
        assert main(shlex.split(command.partition(" | ")[0])[1:]) == 0
        assert capsys.readouterr().out.startswith("#!/bin/sh")


def test_the_template_is_the_documented_example_and_keeps_every_line() -> None:
    example = (Path(__file__).resolve().parents[2] / "examples/exchanged.toml").read_text("utf-8")
    assert template() == example
    text = render_config(
        {"node": {"code": POLICE, "role": "frontend", "data_dir": "/d"}, "keys": {"roots": [ROOT_KEY]},
         "folders": {"root": "/f"}},
        [{"name": "a", "peer": PROVINCE, "transport": "folder", "side": "serve", "mailbox": "/m"}],
    )  # fmt: skip
    parse_config(tomllib.loads(text), Path("/"))
    comments = {line for line in example.splitlines() if line.startswith("# ")}
    assert comments <= set(text.splitlines())


def test_a_value_without_a_line_in_the_template_is_an_error() -> None:
    with pytest.raises(ValueError, match="no key wrong"):
        render_config({"node": {"wrong": "x"}}, [])
    with pytest.raises(ValueError, match="no section wrong"):
        render_config({"wrong": {}}, [])
