"""The printed scripts of a jail, without running them as root: values, order, form, command (C2)."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cli.jail.errors import JailPlanError
from cli.jail.plan import JailPlan, checked, fragment
from cli.jail.script import making_script, removing_script
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.main import main

KEY = "ssh-ed25519 " + "A" * 68 + " 620199-01-00"
PLAN = JailPlan(
    link="620199-01-00",
    node="620000-00-00",
    peer="620199-01-00",
    account="ex-620199-01-00",
    service="exchanged",
    jail=Path("/srv/exchanged/jails/620199-01-00"),
    data_dir=Path("/var/lib/exchanged/province"),
    sshd=Path("/etc/exchanged/sshd"),
    keys=(KEY,),
    quota_gib=20,
    config_path=Path("/etc/exchanged/province.toml"),
    program=("/opt/exchanged/bin/exchanged-keys",),
)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab", default_plan(1), "folder")


@pytest.mark.parametrize("script", [making_script(PLAN), removing_script(PLAN)])
def test_the_script_is_plain_sh(script: str) -> None:
    assert script.startswith("#!/bin/sh\n")
    assert "\nset -eu\n" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    bashisms = (
        r"\[\[ (?!link|\$)", r"\blocal\b", r"(?m)^\s*function\b", r"<<<", r"\$'", r"\bsource\b", r"&>",
    )  # fmt: skip
    for bashism in bashisms:
        assert not re.search(bashism, re.sub(r"\[\[link\]\]", "", script)), bashism


def test_the_fragment_closes_everything_and_denies_the_requests_of_c2() -> None:
    text = fragment(PLAN)
    assert "Match User ex-620199-01-00\n" in text
    assert "ChrootDirectory /srv/exchanged/jails/620199-01-00\n" in text
    config, keys = "/etc/exchanged/province.toml", "/etc/exchanged/sshd/keys/%u"
    command, cache = "/opt/exchanged/bin/exchanged-keys", "/var/cache/exchanged-keys"
    denied = "symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
    assert f"ForceCommand internal-sftp -u 0007 -P {denied}\n" in text
    for line in (
        "AuthorizedKeysFile none",
        f"AuthorizedKeysCommand {command} --config {config} --keys {keys} --cache {cache} %u",
        "AuthorizedKeysCommandUser exchanged-keys",
        "AuthenticationMethods publickey", "PasswordAuthentication no", "DisableForwarding yes",
        "PermitTunnel no", "PermitTTY no", "MaxSessions 4", "ClientAliveInterval 15", "ClientAliveCountMax 3",
    ):  # fmt: skip
        assert f"    {line}\n" in text


def test_values_are_told_once_at_the_head_and_keys_are_restricted() -> None:
    script = making_script(PLAN)
    assert script.count("jail=/srv/exchanged/jails/620199-01-00\n") == 1
    assert f"keys='restrict {KEY}'\n" in script
    assert "manages_unit=yes\n" in script
    assert "manages_unit=no\n" in making_script(replace(PLAN, sshd=Path("/srv/lab/sshd")))


def test_the_key_comes_after_the_jail_and_goes_before_it() -> None:
    """Nobody may be able to log in at any moment at which nothing closes the account in."""
    making, removing = making_script(PLAN), removing_script(PLAN)
    in_force, key = making.index("would not close the jail"), making.index('put "$keys_file"')
    assert making.index('put "$fragment_file"') < in_force < key
    assert removing.index('rm -f "$keys_file"') < removing.index("usermod --lock")
    assert removing.index("userdel") < removing.index('rm -f "$fragment_file"')
    assert '"$jail/up"' not in removing.replace('find "$jail/$direction"', ""), "the mailbox is not touched"


@pytest.mark.parametrize(
    "change",
    [
        {"account": "x; rm -rf /"},
        {"account": "a" * 33},
        {"account": "*"},
        {"account": "exchanged"},
        {"service": "root"},
        {"service": "$(id)"},
        {"jail": Path("/srv/a b")},
        {"jail": Path("/srv/%u/x")},
        {"jail": Path("/srv/x/../../etc")},
        {"jail": Path("/")},
        {"jail": Path("/srv")},
        {"jail": Path("relative/path")},
        {"sshd": Path("/etc/x\nMatch all")},
        {"config_path": Path("/etc/x y.toml")},
        {"keys_user": "root; id"},
        {"program": ("/opt/$(id)/exchanged-keys",)},
        {"keys": ('command="sh" ' + KEY,)},
        {"keys": (KEY + "\nssh-ed25519 " + "B" * 68,)},
        {"keys": (KEY + "'; id; '",)},
    ],
)
def test_a_value_that_could_say_more_than_itself_gets_no_script(change: dict[str, object]) -> None:
    plan = replace(PLAN, **change)  # type: ignore[arg-type]
    for make in (checked, making_script, removing_script):
        with pytest.raises(JailPlanError):
            make(plan)


def test_the_command_prints_the_script_of_a_served_link(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "login.pub"
    key.write_text(f"# a comment\n{KEY}\n")
    config = ["--config", str(lab.node_config(lab.province))]
    words = [*config, "link", "jail", lab.agencies[0]]
    options = ["--key", str(key), "--service", "exchanged", "--json"]
    code = main([*words, *options])
    said = capsys.readouterr()
    if code == 2:
        # A temporary folder of no plain name: refused, as it must be.
        assert "jail-plan-unusable" in said.out
        return
    found = json.loads(said.out)
    assert code == 0
    assert found["account"] == f"ex-{lab.agencies[0]}"
    assert KEY in found["script"]
    assert found["keys_file"] == f"/etc/exchanged/sshd/keys/ex-{lab.agencies[0]}"
    assert main([*words, "--service", "exchanged"]) == 0
    assert capsys.readouterr().out.startswith("#!/bin/sh\n")
    assert main([*words, "--remove", "--service", "exchanged"]) == 0
    assert "userdel" in capsys.readouterr().out
    assert main([*words, "--remove", "--key", str(key)]) == 2
    key.write_text("no key\n")
    assert main([*words, *options]) == 2
    assert main([*config, "link", "jail", "no-such-link"]) == 4
    dialling = ["--config", str(lab.node_config(lab.agencies[0]))]
    assert main([*dialling, "link", "jail", "province"]) == 2


def test_a_lab_can_be_removed_with_all_it_holds(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lab", "remove", str(lab.layout.root), "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] is True
    assert not lab.layout.root.exists()
    (tmp_path / "other").mkdir()
    assert main(["lab", "remove", str(tmp_path / "other"), "--yes"]) == 4
    assert (tmp_path / "other").exists()
