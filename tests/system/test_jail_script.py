"""The printed script, run for real: twice, on what was spoilt, on what is none of ours, and away (C2)."""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.jail.errors import JailPlanError
from cli.jail.plan import SSHD_FOLDER
from cli.jail.script import making_script, removing_script
from exchanged.errors import JailError
from tests.support.jails import SERVICE, Ground, as_account, ground, processes_of, run, run_script, snapshot

ROOT = Path(__file__).resolve().parents[2]
BATCH = "00000001-0123456789abcdef.batch"


@pytest.fixture(scope="module")
def place() -> Iterator[Ground]:
    with ground() as made:
        yield made


def through_the_command_line(place: Ground, *words: str) -> str:
    command = [sys.executable, "-m", "cli", "--config", str(place.config_path), "link", "jail"]
    return run(*command, "620199-01-00", "--sshd", str(place.sshd), *words, cwd=ROOT).stdout


def run_said(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, cwd="/")


def test_the_second_run_changes_nothing_and_says_so(place: Ground) -> None:
    before = snapshot(place.jails, place.sshd)
    accounts = Path("/etc/passwd").read_bytes(), Path("/etc/shadow").read_bytes()
    said = run_said(through_the_command_line(place, "--key", f"{place.key('a')}.pub"))
    assert said.returncode == 0, said.stderr
    assert "sound:" in said.stdout
    assert not [line for line in said.stdout.splitlines() if line.endswith((": made", ": written"))]
    assert snapshot(place.jails, place.sshd) == before
    assert (Path("/etc/passwd").read_bytes(), Path("/etc/shadow").read_bytes()) == accounts
    assert place.sftp("a", "ls up\n").returncode == 0


def test_before_the_server_is_set_up_the_script_says_what_is_missing(place: Ground) -> None:
    said = run_script(making_script(replace(place.plan("a"), sshd=SSHD_FOLDER)))
    assert "there is no /etc/exchanged/sshd/sshd_config yet" in said
    assert "NO LIMIT of processes for each account: set LimitNPROC=48" in said
    assert "sound:" in said
    assert (SSHD_FOLDER / "keys" / place.account("a")).read_text().startswith("restrict ssh-ed25519 ")
    said = run_script(removing_script(replace(place.plan("a"), sshd=SSHD_FOLDER)))
    assert "exchanged-sshd.service does not run here" in said
    place.make("a")


def test_the_volume_without_quotas_is_told_plainly(place: Ground) -> None:
    said = place.make("a")
    assert "NO QUOTA: user quotas are off on /srv" in said
    assert "WARNING" in said, "up/ lies on the volume of ledger and spool here"


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (("chmod", "777", "{jail}"), "{jail}"),
        (("chown", "{account}", "{jail}"), "{jail}"),
        (("chmod", "2777", "{jail}/up"), "{jail}/up"),
        (("chmod", "g-s", "{jail}/up"), "{jail}/up"),
        (("chmod", "g+s,+t", "{jail}"), "{jail}"),
        (("chown", "root", "{jail}/up"), "{jail}/up"),
        (("chgrp", "{other}", "{jail}/up"), "{jail}/up"),
        (("chmod", "2770", "{jail}/down"), "{jail}/down"),
        (("chown", "{account}", "{jail}/down"), "{jail}/down"),
        (("chmod", "660", "{jail}/bell"), "{jail}/bell"),
        (("rm", "{jail}/bell"), "{jail}/bell"),
        (("usermod", "--groups", SERVICE, "{account}"), "account {account}"),
    ],
)
def test_what_is_wrong_stops_the_link_and_names_its_mending(
    place: Ground, spoil: tuple[str, ...], where: str
) -> None:
    names = {"jail": place.jail("a"), "account": place.account("a"), "other": place.account("b")}
    transport = place.transport("a")
    transport.list_names()
    run(*(word.format(**names) for word in spoil))
    with pytest.raises(JailError) as caught:
        transport.list_names()
    assert caught.value.where == where.format(**names)
    assert caught.value.expected
    assert caught.value.found
    assert caught.value.advice.endswith("exchangectl link jail 620199-01-00 | sudo sh")
    assert not caught.value.temporary
    place.transport("b").list_names()
    # The mending that the error names mends it.
    assert "sound:" in place.make("a")
    transport.list_names()


def test_a_way_that_others_can_write_to_is_refused_by_check_and_script(place: Ground) -> None:
    place.jails.chmod(0o777)
    try:
        with pytest.raises(JailError) as caught:
            place.transport("a").list_names()
        assert caught.value.where == str(place.jails)
        said = run_said(making_script(place.plan("a")))
        assert said.returncode == 1
        assert f"stopped: {place.jails} must be a folder of root" in said.stderr
    finally:
        place.jails.chmod(0o755)


def test_something_else_under_a_name_of_the_jail_stops_the_script(place: Ground) -> None:
    bell = place.jail("a") / "bell"
    bell.unlink()
    bell.symlink_to("/etc/shadow")
    before = Path("/etc/shadow").stat()
    said = run_said(making_script(place.plan("a")))
    assert said.returncode == 1
    assert "is a symbolic link" in said.stderr
    after = Path("/etc/shadow").stat()
    assert (before.st_uid, before.st_gid, before.st_mode) == (after.st_uid, after.st_gid, after.st_mode)
    bell.unlink()
    place.make("a")


def test_an_account_that_is_none_of_ours_is_never_taken_over(place: Ground) -> None:
    run("useradd", "--system", "xt-somebody")
    text = place.config_path.read_text()
    before = Path("/etc/shadow").read_bytes()
    try:
        for name in ("xt-somebody", "daemon"):
            place.config_path.write_text(text.replace(place.account("a"), name))
            for words in (("--key", f"{place.key('a')}.pub"), ("--remove",)):
                said = run_said(through_the_command_line(place, *words))
                assert said.returncode == 1
                assert "none of ours" in said.stderr
        place.config_path.write_text(text.replace(place.account("a"), "root"))
        assert run_said(through_the_command_line(place)).returncode == 1
        assert Path("/etc/shadow").read_bytes() == before
    finally:
        place.config_path.write_text(text)
        run("userdel", "xt-somebody")


def test_a_configuration_that_would_not_close_the_jail_gets_no_key(place: Ground) -> None:
    config = place.sshd / "sshd_config"
    text = config.read_text()
    keys = place.sshd / "keys" / place.account("a")
    try:
        keys.unlink()
        config.write_text(text.replace("Include", "# Include"))
        said = run_said(making_script(place.plan("a")))
        assert said.returncode == 1
        assert "would not close the jail" in said.stderr
        assert not keys.exists()
        config.write_text(text + "NoSuchWord yes\n")
        said = run_said(making_script(place.plan("a")))
        assert "sshd refuses its configuration" in said.stderr
        assert not keys.exists()
    finally:
        config.write_text(text)
        place.make("a")
    assert place.sftp("a", "ls up\n").returncode == 0


def test_removing_ends_login_and_sessions_and_leaves_the_mailbox(place: Ground) -> None:
    batch = place.jail("b") / "up" / BATCH
    (place.root / "mine").write_text("undelivered")
    assert place.sftp("b", f"put mine up/{BATCH}\n").returncode == 0
    mail = place.jail("b") / "down" / "ack.batch"
    mail.write_text("undelivered too")
    session = place.transport_to("b")
    place.client_of(session)
    number = pwd.getpwnam(place.account("b")).pw_uid
    assert processes_of(place.account("b"))
    before = snapshot(place.jail("b"))
    said = json.loads(through_the_command_line(place, "--remove", "--json"))
    assert said["removes"] is True
    output = place.remove("b")
    assert f"{place.jail('b')}/up: untouched, files: 1" in output
    assert snapshot(place.jail("b")) == before
    with pytest.raises(KeyError):
        pwd.getpwnam(place.account("b"))
    assert not [pid for pid in Path("/proc").iterdir() if pid.name.isdigit() and _uid(pid) == number]
    assert place.sftp("b", "ls\n").returncode != 0
    assert not (place.sshd / "accounts.d" / f"{place.account('b')}.conf").exists()
    with pytest.raises(JailError, match="account of this machine"):
        place.transport("b").list_names()
    assert "not there" in place.remove("b"), "a second run is fine"
    # Made again, also under another number, the mailbox is in use again and what lay there is landed.
    run("useradd", "--system", "--uid", str(number), "xt-squatter")
    os.chown(batch, 64000, -1)
    os.chown(batch.parent, 64000, -1)
    place.make("b")
    listing = place.transport("b").list_names()
    assert [file.name for file in listing.files] == [BATCH]
    run("userdel", "xt-squatter")


def test_what_lies_in_up_from_somebody_else_is_left_and_counted(place: Ground) -> None:
    """Files in up/ count only from the account itself, whoever else may write there."""
    planted = place.jail("a") / "up" / BATCH
    assert as_account(SERVICE, "cp", "/etc/hostname", str(planted)).returncode == 0
    try:
        listing = place.transport("a").list_names()
        assert (listing.files, listing.foreign) == ((), 1)
    finally:
        planted.unlink()


def test_the_daemon_s_files_in_down_are_readable_for_the_account_only(place: Ground) -> None:
    """Owner and group follow from the set-group bit of down/: nothing is handed over afterwards."""
    place.make("b")
    text = (
        "from pathlib import Path; from exchanged.durable import DurableFiles, Volume; import sys;"
        "DurableFiles(Volume.FOREIGN).write_file(Path(sys.argv[1]), [b'mail'])"
    )
    mail = place.jail("a") / "down" / BATCH
    # As the service user, in a child that keeps this interpreter's open files.
    child = os.fork()
    if not child:
        found = pwd.getpwnam(SERVICE)
        os.setgroups([])
        os.setgid(found.pw_gid)
        os.setuid(found.pw_uid)
        sys.argv = ["-", str(mail)]
        exec(compile(text, "-", "exec"))  # noqa: S102 - our own two lines
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert run("stat", "-c", "%U:%G %a", str(mail)).stdout.strip() == f"{SERVICE}:{place.account('a')} 640"
    assert as_account(place.account("a"), "cat", str(mail)).stdout == "mail"
    assert as_account(place.account("a"), "sh", "-c", f"echo x >{mail}").returncode != 0
    assert as_account(place.account("b"), "cat", str(mail)).returncode != 0


def test_a_link_that_is_not_served_has_no_jail(place: Ground) -> None:
    text = place.config_path.read_text()
    try:
        place.config_path.write_text(text.replace('side = "serve"', 'side = "dial"').replace("account", "# "))
        with pytest.raises(JailPlanError, match="not served here"):
            place.plan("a")
    finally:
        place.config_path.write_text(text)


def _uid(process: Path) -> int:
    try:
        lines = (process / "status").read_text().splitlines()
    except OSError:
        return -1
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))
