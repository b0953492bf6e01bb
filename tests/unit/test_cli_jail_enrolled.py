"""A node that the directory lists gets its link and its account where it stands, and nowhere else (C2)."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from cli.checks_doors import check_doors
from cli.directory_trusted import find_directory
from cli.jail.enrolled import make_enrolled, plan_enrolled
from cli.jail.errors import JailPlanError
from cli.jail.plan import JailPlan, fragment
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from cli.main import main
from exchanged.clock import SystemClock
from exchanged.config import Config, load_config
from exchanged.errors import NotPermittedError
from packet_spec.model import Directory, DirectoryKey, KeyUse
from packet_spec.signing import key_id_of
from packet_spec.ssh_keys import SSH_SUITE, public_of_line
from tests.support.listing import node_of, with_keys, with_node

AGENCY = "620199-01-00"
# Not the folder of a test: that has no plain name everywhere.
CONFIG = Path("/etc/exchanged/province.toml")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return create_lab(tmp_path / "lab", default_plan(2), "sftp")


def config(lab: Lab, code: str = "") -> Config:
    found = load_config(lab.node_config(code or lab.province))
    # A place that could be a jail's.
    return replace(found, node=replace(found.node, data_dir=Path("/var/lib/exchanged/province")))


def directory(lab: Lab) -> Directory:
    found, _state = find_directory(load_config(lab.node_config(lab.province)))
    assert found is not None
    return found


def without_links(lab: Lab) -> Config:
    return replace(config(lab), links=())


def test_the_link_that_is_missing_is_made_for_the_agency_s_node(lab: Lab) -> None:
    jail = plan_enrolled(without_links(lab), CONFIG, directory(lab), AGENCY, service="exchanged")
    assert (jail.plan.link, jail.plan.peer, jail.plan.account) == (AGENCY, AGENCY, f"ex-{AGENCY}")
    assert jail.plan.jail == Path(f"/srv/exchanged/jails/{AGENCY}")
    assert 'side = "serve"' in jail.section
    assert f'# account = "ex-{AGENCY}"' in jail.script
    assert jail.script.startswith("#!/bin/sh\n")
    assert f"--config {CONFIG} " in fragment(jail.plan)
    assert "keys=''\n" in jail.script, "no key is installed: those of the directory count, now and later"


def test_a_link_that_is_there_is_taken_as_it_is(lab: Lab) -> None:
    links = tuple(replace(link, mailbox="/srv/x/mail", account="ab-1") for link in config(lab).links[:1])
    found = replace(config(lab), links=links)
    jail = plan_enrolled(found, CONFIG, directory(lab), AGENCY, service="exchanged")
    assert (jail.section, jail.plan.jail, jail.plan.account) == ("", Path("/srv/x/mail"), "ab-1")


def test_a_door_that_the_ssh_server_cannot_see_is_put_where_it_can(lab: Lab) -> None:
    """Inside data_dir the key command sees nothing, and every login would be refused."""
    found = without_links(lab)
    hidden = replace(found, node=replace(found.node, door=found.node.data_dir / "door"))
    jail = plan_enrolled(hidden, CONFIG, directory(lab), AGENCY, service="exchanged")
    assert (jail.sets_door, jail.plan.door) == (True, Path("/srv/exchanged/doors/province"))
    assert '# [node] door = "/srv/exchanged/doors/province"\n# [[link]]' in jail.script
    assert "\ndoor=/srv/exchanged/doors/province\n" in jail.script
    shown = replace(found, node=replace(found.node, door=Path("/srv/elsewhere/province")))
    jail = plan_enrolled(shown, CONFIG, directory(lab), AGENCY, service="exchanged")
    assert (jail.sets_door, jail.plan.door) == (False, Path("/srv/elsewhere/province"))


def test_only_who_stands_directly_below_gets_an_account(lab: Lab) -> None:
    listed = directory(lab)
    below = with_node(listed, "620199-02-00", parent=AGENCY)
    with pytest.raises(JailPlanError, match="not put that node directly below"):
        plan_enrolled(without_links(lab), CONFIG, below, "620199-02-00")
    with pytest.raises(JailPlanError, match="lists no such"):
        plan_enrolled(without_links(lab), CONFIG, listed, "620199-99-00")
    with pytest.raises(JailPlanError, match="dials it"):
        plan_enrolled(config(lab, AGENCY), CONFIG, listed, lab.province)


def test_accounts_are_made_by_root(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    jail = plan_enrolled(without_links(lab), CONFIG, directory(lab), AGENCY, service="exchanged")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotPermittedError):
        make_enrolled(jail)


def test_the_command_prints_it_and_refuses_what_does_not_go_together(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(lab.node_config(lab.province)), "link", "jail", AGENCY]
    code = main([*words, "--from-directory", "--service", "exchanged", "--json"])
    said = json.loads(capsys.readouterr().out)
    if code == 0:
        assert said["account"] == f"ex-{AGENCY}"
    for wrong in (["--run"], ["--from-directory", "--remove"]):
        assert main([*words, *wrong]) == 2


# --- what config check says ----------------------------------------------------------------------


def said(lab: Lab, found: Config, listed: Directory, sshd: Path) -> list[str]:
    checks = check_doors(found, listed, SystemClock().now(), sshd)
    return [f"{check.name} {check.state}: {check.detail}" for check in checks]


def accounts(lab: Lab, tmp_path: Path, text: str) -> tuple[Config, Path]:
    """The province's configuration with an account, and its part of sshd's configuration."""
    found = load_config(lab.node_config(lab.province))
    for folder in (found.node.door, *found.node.door.parents):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | 0o001)
    links = (replace(found.links[0], account=f"ex-{AGENCY}"),)
    for folder in ("accounts.d", "keys"):
        (tmp_path / "sshd" / folder).mkdir(parents=True)
    (tmp_path / "sshd" / "accounts.d" / f"ex-{AGENCY}.conf").write_text(text)
    return replace(found, links=links), tmp_path / "sshd"


PLAN = JailPlan(
    link=AGENCY, node="620000-00-00", peer=AGENCY, account=f"ex-{AGENCY}", service="exchanged",
    jail=Path("/srv/j"), data_dir=Path("/var/lib/x"), sshd=Path("/etc/x"), keys=(), quota_gib=0,
    program=("/opt/exchanged/bin/exchanged-keys",),
)  # fmt: skip


def test_a_sound_lab_has_nothing_to_complain_of(lab: Lab, tmp_path: Path) -> None:
    found, sshd = accounts(lab, tmp_path, fragment(PLAN))
    assert said(lab, found, directory(lab), sshd) == []
    assert said(lab, load_config(lab.node_config(AGENCY)), directory(lab), sshd) == []


def test_an_account_whose_server_does_not_ask_the_directory_is_a_problem(lab: Lab, tmp_path: Path) -> None:
    text = "\n".join(line for line in fragment(PLAN).splitlines() if "KeysCommand" not in line)
    found, sshd = accounts(lab, tmp_path, text)
    (complaint,) = said(lab, found, directory(lab), sshd)
    assert complaint.startswith(f"door ex-{AGENCY} problem: its SSH configuration goes by the keys file")


def test_a_keys_file_that_is_left_over_and_an_account_that_nothing_opens_are_named(
    lab: Lab, tmp_path: Path
) -> None:
    found, sshd = accounts(lab, tmp_path, fragment(PLAN))
    (sshd / "keys" / f"ex-{AGENCY}").write_text("restrict ssh-ed25519 AAAA\n")
    (complaint,) = said(lab, found, directory(lab), sshd)
    assert "is left over" in complaint
    (sshd / "keys" / f"ex-{AGENCY}").unlink()
    keys = tuple(key for key in node_of(directory(lab), AGENCY).keys if KeyUse.LOGIN not in key.uses)
    without = with_node(directory(lab), AGENCY, keys=keys)
    (complaint,) = said(lab, found, without, sshd)
    assert "no key opens it now" in complaint


def test_a_neighbour_that_the_directory_does_not_join_with_this_node(lab: Lab, tmp_path: Path) -> None:
    found, sshd = accounts(lab, tmp_path, fragment(PLAN))
    moved = with_node(directory(lab), AGENCY, parent="620199-02-00")
    (complaint,) = said(lab, found, moved, sshd)
    assert "does not join" in complaint
    off = with_node(directory(lab), AGENCY, disabled=True)
    assert [line.split(":")[0] for line in said(lab, found, off, sshd)] == [
        f"link {AGENCY} warning",
        f"door ex-{AGENCY} warning",
    ]


def test_a_door_that_shows_an_older_directory(lab: Lab, tmp_path: Path) -> None:
    found, sshd = accounts(lab, tmp_path, fragment(PLAN))
    newer = replace(directory(lab), version=2)
    (complaint,) = said(lab, found, newer, sshd)
    assert complaint.startswith("door warning: the SSH server does not see the directory in force")


def test_a_door_that_the_key_command_cannot_look_into_is_a_problem(lab: Lab, tmp_path: Path) -> None:
    found, sshd = accounts(lab, tmp_path, fragment(PLAN))
    found.node.data_dir.chmod(0o750)
    (complaint,) = said(lab, found, directory(lab), sshd)
    assert complaint.startswith("door problem: the SSH server's key command cannot look into")


@pytest.mark.parametrize("another", [False, True])
def test_a_configured_host_key_that_the_directory_ended(lab: Lab, tmp_path: Path, another: bool) -> None:
    found, now = load_config(lab.node_config(AGENCY)), SystemClock().now()
    listed = directory(lab)
    keys = tuple(
        replace(key, revoked_at=now) if KeyUse.HOST in key.uses else key
        for key in node_of(listed, lab.province).keys
    )
    changed = with_node(listed, lab.province, keys=keys)
    if another:
        (old,) = (key for key in keys if KeyUse.HOST in key.uses)
        public = bytes(reversed(old.public))
        new = replace(old, key_id=key_id_of(SSH_SUITE, public), public=public, revoked_at=None)
        assert isinstance(new, DirectoryKey)
        changed = with_keys(changed, lab.province, new)
    assert public_of_line(found.links[0].host_key)
    (complaint,) = said(lab, found, changed, tmp_path)
    state = "warning" if another else "problem"
    assert complaint.startswith(f"host key province {state}: the directory has revoked")
