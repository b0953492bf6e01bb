"""config, key, directory and lab through exchangectl: what an operator types and sees."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.checks import CheckState, check_node
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.main import main
from exchanged.clock import SystemClock
from exchanged.config import load_config
from exchanged.lock import NodeLock

Run = Callable[..., tuple[int, Any]]

PLAN = """
[directory]
version = {version}
roots = ["root.key.pub"]

[[node]]
code = "620000-00-00"
role = "provincial"
[[node.key]]
public = "node.key.pub"
uses = ["link", "receipt"]

[[agency]]
code = "620000-00-00"
kind = "hub"
level = "province"
node = "620000-00-00"
admitting_node = "620000-00-00"
name_zh = "虚构省级交换节点"
name_en = "Fictional Provincial Node"
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json; gives the exit code and what it said."""

    def call(*words: object, config: Path | None = None) -> tuple[int, Any]:
        before = ["--config", str(config)] if config else []
        code = main([*before, *(str(word) for word in words), "--json"])
        printed = capsys.readouterr().out
        return code, json.loads(printed) if printed else None

    return call


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab", default_plan(1), "folder")


def found(checks: dict[str, Any], state: str) -> dict[str, str]:
    return {each["name"]: each["detail"] for each in checks["checks"] if each["state"] == state}


def test_a_sound_node_passes_every_check(run: Run, lab: Lab) -> None:
    for code in lab.nodes:
        exit_code, checks = run("config", "check", config=lab.node_config(code))
        assert (exit_code, found(checks, "problem"), found(checks, "warning")) == (0, {}, {})


def test_a_key_that_counts_for_nothing_any_more_is_told(run: Run, lab: Lab) -> None:
    (code,) = lab.agencies
    config = lab.node_config(code)
    config.write_text(config.read_text(encoding="utf-8").replace("[node]", '[node]\nlocale = "en"'))
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 1
    assert found(checks, "warning") == {"configuration": "[node] locale: counts for nothing any more"}


def test_a_look_without_randomness_writes_nothing_and_finds_what_is_missing(lab: Lab) -> None:
    (code,) = lab.agencies
    config = load_config(lab.node_config(code))
    folder = lab.agency_root(code) / "outbox"
    before = folder.stat().st_mtime_ns
    checks = check_node(config, SystemClock().now())
    assert {check.state for check in checks} == {CheckState.GOOD}
    assert folder.stat().st_mtime_ns == before
    (folder / ".exchanged-marker").unlink()
    (lab.layout.mailbox(code) / "down").rmdir()
    checks = check_node(config, SystemClock().now())
    wrong = {check.name for check in checks if check.state is not CheckState.GOOD}
    assert wrong == {"marker of outbox", "link province"}


def test_the_scanners_program_must_be_there_and_start(run: Run, lab: Lab, tmp_path: Path) -> None:
    (code,) = lab.agencies
    config, program = lab.node_config(code), tmp_path / "scanner"
    config.write_text(config.read_text("utf-8") + f'\n[scanner]\ncommand = ["{program}"]\n', "utf-8")
    exit_code, checks = run("config", "check", config=config)
    assert (exit_code, set(found(checks, "problem"))) == (2, {"scanner"})
    program.write_text("#!/bin/sh\n")
    assert run("config", "check", config=config)[0] == 2
    program.chmod(0o755)
    exit_code, checks = run("config", "check", config=config)
    assert (exit_code, found(checks, "good")["scanner"]) == (0, str(program))


def test_every_fault_of_a_node_is_found_in_one_go(run: Run, lab: Lab) -> None:
    (code,) = lab.agencies
    root, data = lab.agency_root(code), lab.layout.data(code)
    (root / "inbox" / ".exchanged-marker").unlink()
    (root / "status").rmdir()
    (data / "keys/seal.key").chmod(0o644)
    (data / "keys/link.key").unlink()
    (data / "keys/receipt.key").write_bytes((lab.layout.data(lab.province) / "keys/link.key").read_bytes())
    (lab.layout.mailbox(code) / "down").rmdir()
    data.chmod(0o755)
    exit_code, checks = run("config", "check", config=lab.node_config(code))
    assert exit_code == 2
    assert set(found(checks, "problem")) == {
        "key seal",
        "key link",
        "key receipt",
        "link province",
        "folder status",
        "marker of inbox",
    }
    assert "chmod 600" in found(checks, "problem")["key seal"]
    assert "have it enrolled" in found(checks, "problem")["key receipt"]
    assert set(found(checks, "warning")) == {"data_dir"}


def test_a_key_that_a_unit_has_as_a_credential_is_no_problem_beside_the_running_daemon(
    run: Run, lab: Lab
) -> None:
    (code,) = lab.agencies
    config, keys = lab.node_config(code), lab.layout.data(code) / "keys"
    passphrase = lab.layout.data(code).parent / "passphrase"
    passphrase.write_text("a fictional passphrase\n")
    passphrase.chmod(0o600)
    assert run("key", "protect", "--passphrase-file", passphrase, config=config)[0] == 0
    (keys / "receipt.key").rename(keys / "away")
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 2
    assert {"key seal", "key receipt"} <= set(found(checks, "problem"))
    lock = NodeLock(lab.layout.data(code) / "lock")
    try:
        exit_code, checks = run("config", "check", config=config)
    finally:
        lock.release()
    assert (exit_code, set(found(checks, "problem"))) == (1, set())
    # What lies there locked was opened by the daemon; what is missing may have gone away since.
    assert {"key seal", "key link"} <= set(found(checks, "note"))
    assert "key receipt" in found(checks, "warning")


def test_what_only_a_start_would_find_out_is_found_before(run: Run, lab: Lab) -> None:
    (code,) = lab.agencies
    config, keys = lab.node_config(code), lab.layout.data(code) / "keys"
    (keys / "seal-0123456789abcdef.key").write_text("no key\n")
    (keys / "seal-0123456789abcdef.key").chmod(0o600)
    keys.chmod(0o755)
    (lab.layout.data(code) / "control.sock").write_text("no socket\n")
    text = config.read_text("utf-8") + '\n[control]\ngroup = "no-such-group"\n'
    config.write_text(text, "utf-8")
    exit_code, checks = run("config", "check", config=config)
    assert (exit_code, set(found(checks, "problem"))) == (2, {
        "key file seal-0123456789abcdef.key", "key folder", "control socket", "control group",
    })  # fmt: skip


def test_a_node_without_a_directory_is_warned_and_with_a_false_one_stopped(run: Run, lab: Lab) -> None:
    config = lab.node_config(lab.province)
    installed = lab.layout.data(lab.province) / "directory/directory-1.xml"
    good = installed.read_bytes()
    installed.unlink()
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 1
    assert set(found(checks, "warning")) == {"directory"}
    (installed.parent / "directory-2.xml").write_bytes(good.replace(b'version="1"', b'version="2"'))
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 2
    assert "directory-2.xml" in found(checks, "problem")["directory"]
    installed.write_bytes(good)
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 1
    assert "directory-2.xml" in found(checks, "warning")["directory"]


def test_a_key_is_made_once_and_shown_again(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "seal.key"
    exit_code, (made,) = run("key", "generate", path)
    assert exit_code == 0
    assert re.fullmatch(r"ed25519-sha256:[0-9a-f]{64}", made["public"])
    assert (tmp_path / "seal.key.pub").read_text() == made["public"] + "\n"
    exit_code, (shown,) = run("key", "show", path)
    assert (shown["key_id"], shown["public"]) == (made["key_id"], made["public"])
    exit_code, refused = run("key", "generate", path)
    assert (exit_code, refused["error"]["reference"]) == (2, "key-file-unusable")


def test_a_login_key_gives_its_line_for_the_server(run: Run, tmp_path: Path) -> None:
    _code, (made,) = run("key", "generate", "--ssh", "--comment", "620199-03-00", tmp_path / "login")
    assert re.fullmatch(r"ssh-ed25519 \S+ 620199-03-00", made["public"])


def test_key_show_without_files_shows_the_configured_ones(run: Run, lab: Lab) -> None:
    assert len(run("key", "show", config=lab.node_config(lab.agencies[0]))[1]) == 4
    assert len(run("key", "show", config=lab.node_config(lab.province))[1]) == 3


def test_a_directory_from_plan_to_node(run: Run, lab: Lab, tmp_path: Path) -> None:
    root = lab.layout.root_key
    _code, (root_key,) = run("key", "show", root)
    (tmp_path / "root.key.pub").write_text(root_key["public"] + "\n")
    run("key", "generate", tmp_path / "node.key")
    plan, made = tmp_path / "plan.toml", tmp_path / "directory.xml"
    config = lab.node_config(lab.province)
    incoming = lab.layout.data(lab.province) / "directory/incoming"

    plan.write_text(PLAN.format(version=2), encoding="utf-8")
    assert run("directory", "build", plan, "--output", made)[0] == 2
    base = ("--base", incoming.parent / "directory-1.xml")
    assert run("directory", "build", plan, *base, "--output", made)[1]["version"] == 2
    assert run("directory", "verify", made, config=config)[0] == 5
    assert run("directory", "install", made, config=config)[0] == 5
    assert not incoming.exists()
    assert run("directory", "sign", made, "--key", root)[0] == 0
    assert run("directory", "sign", made, "--key", root)[0] == 5
    assert run("directory", "verify", made, config=config)[0] == 0
    assert run("directory", "verify", made, "--root", root_key["public"])[0] == 0
    assert run("directory", "verify", made, "--root", "ed25519-sha256:" + "ab" * 32)[0] == 5
    assert run("directory", "show", made)[1]["signed_by"] == [root_key["key_id"]]
    assert run("directory", "install", made, config=config)[0] == 0
    assert (incoming / "directory-2.xml").read_bytes() == made.read_bytes()

    plan.write_text(PLAN.format(version=1), encoding="utf-8")
    run("directory", "build", plan, "--output", made)
    run("directory", "sign", made, "--key", root)
    exit_code, said = run("directory", "install", made, config=config)
    assert (exit_code, said) == (1, {"installed": "1", "offered": "1", "taken": False})


def test_a_directory_plan_tells_all_its_problems(run: Run, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[directory]\nroots = ["none.pub"]\n'
        '[[node]]\ncode = "x"\nrole = "king"\n[[node.key]]\nuses = ["cook"]\n'
        '[[agency]]\ncode = "620199-01-00"\nkind = "bakery"\n[extra]\n'
    )
    exit_code, said = run("directory", "build", plan, "--output", tmp_path / "d.xml")
    assert exit_code == 2
    starts = [problem.split(":")[0] for problem in said["error"]["problems"]]
    assert {
        "[directory] roots",
        "[directory] version",
        "[node x] code",
        "[node x] role",
        "[node x key 1] public",
        "[node x key 1] uses",
        "[agency 620199-01-00] kind",
        "[agency 620199-01-00] node",
        "[extra]",
    } <= set(starts)
    assert not (tmp_path / "d.xml").exists()


def test_lab_commands_make_and_report(run: Run, tmp_path: Path) -> None:
    place = tmp_path / "lab"
    exit_code, made = run("lab", "create", place, "--agencies", 2, "--link", "folder")
    assert (exit_code, made["agencies"]) == (0, ["620199-01-00", "620199-02-00"])
    exit_code, states = run("lab", "status", place)
    assert (exit_code, {state["state"] for state in states}) == (0, {"stopped"})
    assert run("lab", "stop", place)[0] == 0
    assert run("lab", "create", place)[0] == 2
    assert run("lab", "status", tmp_path / "none")[0] == 4
    assert run("lab", "create", tmp_path / "b", "--agencies", 0)[0] == 2


@pytest.mark.parametrize(
    "words", [("--jail", "--link", "folder"), ("--agencies", "1", "--plan", "p.toml"), ("--link", "pigeon")]
)
def test_a_lab_that_this_version_cannot_make_is_a_usage_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert main(["lab", "create", str(tmp_path / "lab"), *words]) == 2
    assert not (tmp_path / "lab").exists()


def test_a_plan_that_cannot_be_read_is_told_as_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_bytes(b"\xff")
    assert main(["directory", "build", str(plan), "--output", str(tmp_path / "directory.xml")]) == 2
    assert main(["lab", "create", str(tmp_path / "lab"), "--plan", str(plan)]) == 2
    told = capsys.readouterr().err
    assert told.count("the plan cannot be used") == told.count("not UTF-8 at byte 0") == 2


@pytest.mark.parametrize(
    "words",
    [
        ("key", "generate", "/"),
        ("key", "generate", ""),
        ("directory", "verify", "directory.xml", "--root", "x"),
        ("receipt", "verify", "accepted.xml", "--directory", "directory.xml", "--root", "x"),
        ("receipt", "show", "a" * 5000),
        ("packet", "new", "--type", "case.report", "--out", ".", "--created-at", "0001-01-01"),
    ],
)
def test_senseless_arguments_are_usage_errors(
    words: tuple[str, ...], lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("directory.xml", "accepted.xml"):
        (tmp_path / name).write_bytes(b"junk")
    config = lab.node_config(lab.agencies[0])
    assert main(["--config", str(config), "folder", "init"]) == 0
    assert main(["--config", str(config), *words]) == 2


def test_a_case_file_of_another_kind_is_a_usage_error(tmp_path: Path) -> None:
    case = tmp_path / "case.json"
    case.write_text("[]")
    words = ["packet", "new", "--type", "case.report", "--case", str(case), "--out", str(tmp_path)]
    assert main(words) == 2


def test_a_bridge_is_checked_like_any_node(run: Run, lab: Lab) -> None:
    config = lab.node_config(lab.province)
    text = config.read_text(encoding="utf-8")
    text = text.replace('code = "620000-00-00"', 'code = "bridge-east"').replace('"provincial"', '"bridge"')
    config.write_text(text, encoding="utf-8")
    exit_code, checks = run("config", "check", config=config)
    assert exit_code == 2
    assert set(found(checks, "problem")) == {"node bridge-east"}


def test_folder_init_makes_the_markers_once(run: Run, lab: Lab) -> None:
    config, root = lab.node_config(lab.agencies[0]), lab.layout.agency(lab.agencies[0])
    for name in ("outbox", "inbox"):
        (root / name / ".exchanged-marker").unlink()
    assert run("config", "check", config=config)[0] == 2
    (root / "sent").chmod(0o755)
    good = {"outbox": "good", "inbox": "good"}
    exit_code, first = run("folder", "init", config=config)
    assert (exit_code, first["folders"]) == (0, good)
    rights = {each["name"]: (each["mode"], each["mended"], each["good"]) for each in first["rights"]}
    assert rights["sent"] == ("2770", True, True)
    assert rights["inbox"] == ("2770", False, True)
    assert rights[".exchanged"] == ("2700", False, True)
    made = (root / "inbox/.exchanged-marker").read_bytes()
    assert run("folder", "init", config=config)[1]["folders"] == good
    assert (root / "inbox/.exchanged-marker").read_bytes() == made
    assert run("config", "check", config=config)[0] == 0


def test_folder_init_never_marks_a_lost_mount_unasked(run: Run, lab: Lab) -> None:
    config, root = lab.node_config(lab.agencies[0]), lab.layout.agency(lab.agencies[0])
    assert run("folder", "init", config=config)[0] == 0
    marker = root / "inbox/.exchanged-marker"
    marker.unlink()
    exit_code, states = run("folder", "init", config=config)
    assert (exit_code, states["folders"]) == (1, {"outbox": "good", "inbox": "missing"})
    assert not marker.exists()
    assert run("folder", "init", "--accept", config=config)[0] == 0
    marker.write_text("node 620199-09-00\ntoken " + "0" * 32 + "\n")
    assert run("folder", "init", "--accept", config=config)[1]["folders"]["inbox"] == "foreign"


def test_folder_init_is_for_front_ends_and_not_beside_a_daemon(run: Run, lab: Lab) -> None:
    assert run("folder", "init", config=lab.node_config(lab.province))[0] == 2
    config = lab.node_config(lab.agencies[0])
    lock = NodeLock(lab.layout.data(lab.agencies[0]) / "lock")
    try:
        assert run("folder", "init", config=config)[0] == 7
    finally:
        lock.release()


def test_text_output_is_for_people(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    main(["lab", "status", str(lab.layout.root)])
    main(["--config", str(lab.node_config(lab.province)), "config", "check"])
    main(["directory", "show", str(lab.layout.data(lab.province) / "directory/directory-1.xml")])
    printed = capsys.readouterr().out
    assert "620000-00-00  provincial  -    stopped" in printed
    assert "data_dir" in printed
    assert "虚构县公安局" in printed
