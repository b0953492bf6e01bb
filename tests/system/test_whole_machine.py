"""One machine as docs/install.md leaves it, with real units, accounts and jails: attacked, filled up."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.jail.plan import PROCESSES
from tests.system.machines import Machine
from tests.system.solo import (
    AGENCIES,
    POLICE,
    PROCURATORATE,
    ROOT,
    arrives,
    ctl,
    drop,
    set_up,
    status,
    wait_for,
)
from tests.system.test_jail_walls import ACTS, MAIL, OWN

JAIL, OTHER = f"/srv/exchanged/jails/{POLICE}", f"/srv/exchanged/jails/{PROCURATORATE}"
LOGIN = "/var/lib/exchanged/police/keys/login"
POLICE_CONFIG = "/etc/exchanged/police.toml"
ACCOUNT = f"ex-{POLICE}"
OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes "
    f"-i {LOGIN}"
)
# What the account could reach for outside its own up/: owner, group, mode, number, and content.
# Acknowledgements of others come and go by themselves.
SEEN = f"""
find /srv/exchanged/jails /etc/exchanged /etc/passwd /etc/shadow \\
    -path {JAIL}/up -prune -o -path '*/down/*' -prune -o -path '*/up/ack.batch' -prune -o \\
    -printf '%p %U %G %m %i\\n' | sort
cat /etc/passwd /etc/shadow /etc/exchanged/sshd/keys/* /etc/exchanged/sshd/accounts.d/* | sha256sum
"""
# What OpenSSH's client would not send; run with the library of the node.
RAW = f"""
LOGIN = "{LOGIN}"
from pathlib import Path
import paramiko
from paramiko.sftp import CMD_OPEN
transport = paramiko.Transport(("127.0.0.1", 2222))
transport.start_client(timeout=20)
transport.auth_publickey("ex-{POLICE}", paramiko.Ed25519Key(filename=LOGIN))
client = paramiko.SFTPClient.from_transport(transport)
WRITE_CREATE = 0x02 | 0x08
def made(name, mode):
    attributes = paramiko.SFTPAttributes()
    attributes.st_mode = mode
    try:
        client._request(CMD_OPEN, name, WRITE_CREATE, attributes)
    except OSError:
        return False
    return True
"""


@pytest.fixture(scope="module")
def solo(installed: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine("solo", tmp_path_factory.mktemp("solo"))
    try:
        made.boot(installed)
        set_up(made)
        drop(made, "first")
        arrives(made, "first")
        yield made
    finally:
        made.power_off()


def inside(machine: Machine, path: str) -> Path:
    return machine.root / path.lstrip("/")


def sftp(batch: str) -> str:
    """A command that plays ``batch`` as the account of the police."""
    return f"printf %s {shlex.quote(batch)} | sftp -b - {OPTIONS} -P 2222 {ACCOUNT}@127.0.0.1"


def python(machine: Machine, text: str) -> str:
    return machine.run("/opt/exchanged/bin/python -", stdin=RAW + text)


def journal(machine: Machine, node: str) -> str:
    return machine.run(f"journalctl --no-pager --output=cat --unit=exchanged@{node}")


def case_software(machine: Machine, command: str) -> str:
    words = "setpriv --reuid=clerk --regid=clerk --init-groups sh -euc"
    return machine.run(f"{words} {shlex.quote(command)}")


# the account of an agency against the server of the exchange


def test_c1_c2_the_real_server_closes_the_account_in(solo: Machine) -> None:
    # Batches of others go when they are acknowledged.
    lying = "find /srv/exchanged/jails -path '*/up/0*.batch'"
    wait_for(lambda: solo.run(lying) == "", "what the others sent to be taken")
    before = solo.run(SEEN)
    solo.run("echo of the agency > mine; mkdir -p out")
    names = {"tmp": "out", "mail": MAIL, "own": OWN, "b": OTHER, "data": "/var/lib/exchanged/province"}
    acts = [act.format(**names) for act in ACTS]
    batch = "".join(f"-{act}\n!echo done: {number}\n" for number, act in enumerate(acts))
    done = solo.try_run(sftp(f"put mine up/{OWN}\n{batch}rm up/{OWN}\n"))
    assert done.returncode == 0, done.stderr
    assert f"done: {len(acts) - 1}" in done.stdout
    assert len([line for line in done.stderr.splitlines() if line.strip()]) >= len(acts), done.stderr
    assert solo.run("ls out") == ""
    assert solo.run(SEEN) == before
    for before, after in (
        ("", "id"),
        ("", "-s netconf"),
        ("-N -o ExitOnForwardFailure=yes -R 0:127.0.0.1:22", ""),
        ("-W 127.0.0.1:2222", ""),
    ):
        options = f"{OPTIONS} -p 2222 {before}"
        said = solo.try_run(f"timeout 20 ssh {options} {ACCOUNT}@127.0.0.1 {after} </dev/null")
        assert (said.returncode != 0, "uid=" in said.stdout) == (True, False), (before, after, said)


def test_c2_what_an_account_puts_into_its_own_mailbox_harms_nobody(solo: Machine) -> None:
    """A file of 10 TB that takes no room, one that the daemon may not read, one that would run as another."""
    sparse, closed, suid = (f"0000099{number}-0123456789abcdef.batch" for number in (7, 8, 9))
    said = python(
        solo,
        f"""
file = client.open("up/{sparse}", "w")
file.seek(10 * 2**40)
file.write(b"x")
file.close()
assert made("up/{closed}", 0)
print(made("up/{suid}", 0o6777))
""",
    )
    modes = solo.run(f"stat -c %a {JAIL}/up/{suid} 2>/dev/null || echo none").strip()
    assert modes == "none" or not int(modes, 8) & 0o6007, said
    wait_for(lambda: closed in journal(solo, "province"), "the file that cannot be read to be told of")
    wait_for(lambda: sparse in journal(solo, "province"), "the file that is too large to be told of")
    # A lack of room on our side is not what is wrong.
    assert "no-space" not in journal(solo, "province")
    drop(solo, "past-junk")
    arrives(solo, "past-junk")
    links = ctl(solo, "province", "link list")["links"]
    assert {link["name"]: link["state"] for link in links}[PROCURATORATE] == "up"
    solo.run(f"rm -f {JAIL}/up/0000099*")


def test_c7_one_account_cannot_take_the_processes_of_all(solo: Machine) -> None:
    """Sixty logins that ask for sessions: by the limit of the unit most get none, and nobody else notices."""
    said = python(
        solo,
        """
held, sessions = [], 0
for _ in range(60):
    more = paramiko.Transport(("127.0.0.1", 2222))
    held.append(more)
    try:
        more.start_client(timeout=20)
        more.auth_publickey(transport.get_username(), paramiko.Ed25519Key(filename=LOGIN))
        held.append(paramiko.SFTPClient.from_transport(more))
        sessions += 1
    except Exception:
        pass
print(sessions)
""",
    )
    assert int(said) < PROCESSES / 2
    drop(solo, "past-crowd")
    arrives(solo, "past-crowd")


def test_c2_an_account_is_removed_and_made_again(solo: Machine) -> None:
    solo.run(f"exchangectl --config /etc/exchanged/province.toml link jail {POLICE} --remove | sh")
    assert solo.try_run(sftp("ls up\n")).returncode != 0
    assert solo.try_run(f"getent passwd ex-{POLICE}").returncode != 0
    wait_for(lambda: "error=jail-unsound" in journal(solo, "province"), "the missing account to be noticed")
    drop(solo, "waits-for-account")
    wait_for(lambda: status(solo, "waits-for-account"), "the packet to wait at its sender")
    assert status(solo, "waits-for-account") != "delivered"
    make = f"exchangectl --config /etc/exchanged/province.toml link jail {POLICE}"
    solo.run(f"{make} --key {LOGIN}.pub | sh")
    # It would dial by itself within retry_max_seconds.
    solo.run("systemctl restart exchanged@police")
    arrives(solo, "waits-for-account")


# operators and root


def test_operators_act_without_root_and_strangers_do_not(solo: Machine) -> None:
    def act(user: str, words: str) -> int:
        call = f"setpriv --reuid={user} --regid={user} --init-groups exchangectl --config {POLICE_CONFIG}"
        return solo.try_run(f"{call} {words} --reason 'a fictional reason'").returncode

    assert act("olivia", "link pause 620000-00-00") == 0
    assert act("clerk", "link resume 620000-00-00") == 5
    assert act("olivia", "link resume 620000-00-00") == 0
    told = solo.run("exchangectl --config /etc/exchanged/police.toml event list --operator olivia")
    assert "operator olivia: link pause" in " ".join(told.split())


def test_answers_to_root_are_those_of_the_daemon(solo: Machine) -> None:
    shown = solo.try_run("exchangectl --config /etc/exchanged/police.toml node status")
    assert shown.returncode == 0, shown.stdout
    assert "chown" not in shown.stdout


def test_a_daemon_that_root_calls_by_hand_leaves_nothing_of_root(solo: Machine) -> None:
    solo.run("systemctl stop exchanged@police")
    by_hand = solo.try_run("echo y | timeout 8 exchanged --config /etc/exchanged/police.toml --recover")
    assert "event=ready" in by_hand.stdout + by_hand.stderr
    assert solo.run("find /var/lib/exchanged/police /run/exchanged/police -user root") == ""
    solo.run("systemctl start exchanged@police")


# the unit


def test_a_bad_configuration_is_refused_and_a_good_one_applied(solo: Machine) -> None:
    solo.run("cp -p /etc/exchanged/police.toml good.toml; echo 'nonsense = 1' >> /etc/exchanged/police.toml")
    solo.run("systemctl reload exchanged@police")
    shown = "systemctl show -p StatusText exchanged@police"
    wait_for(lambda: "reload refused" in solo.run(shown), "the refusal")
    solo.run("sed 's/^# level = .*/level = \"debug\"/' good.toml > /etc/exchanged/police.toml")
    solo.run("systemctl reload exchanged@police")
    wait_for(lambda: "event=reloaded" in journal(solo, "police"), "the good file to be applied")
    assert "refused" not in solo.run(shown)
    solo.run("cat good.toml > /etc/exchanged/police.toml; systemctl reload exchanged@police")
    assert solo.run("systemctl show -p NRestarts --value exchanged@police").strip() == "0"


def test_a_node_that_hangs_is_ended_by_the_watchdog_and_leaves_no_core(solo: Machine) -> None:
    solo.run(
        "mkdir -p /etc/systemd/system/exchanged@police.service.d\n"
        "printf '[Service]\\nWatchdogSec=3\\n' > /etc/systemd/system/exchanged@police.service.d/short.conf\n"
        "systemctl daemon-reload; systemctl restart exchanged@police"
    )
    pid = solo.run("systemctl show -p MainPID --value exchanged@police").strip()
    assert solo.run(f"grep 'core file' /proc/{pid}/limits").split()[4:6] == ["0", "0"]
    solo.run(f"kill -STOP {pid}")
    wait_for(
        lambda: (
            solo.run("systemctl show -p NRestarts --value exchanged@police").strip() == "1"
            and solo.try_run("systemctl is-active exchanged@police").returncode == 0
        ),
        "the node to be started again",
    )
    assert solo.run("find /var /srv /root /tmp -name core -o -name 'core.[0-9]*'") == ""
    solo.run("rm -r /etc/systemd/system/exchanged@police.service.d; systemctl daemon-reload")
    solo.run("systemctl restart exchanged@police")


def test_a_node_whose_daemon_of_before_cannot_be_ended_yet_starts_when_it_has(solo: Machine) -> None:
    """As one that hangs in a system call of a disk: it outlives SIGKILL, and keeps the lock so long."""
    lock = "/var/lib/exchanged/police/lock"
    hangs = shlex.quote("flock 9; echo $$ >&9; exec sleep 5")
    solo.run(
        f"systemctl stop exchanged@police; : > {lock}\n"
        f"setsid sh -c {hangs} 9<>{lock} </dev/null >/dev/null 2>&1 &\n"
        f"until [ -s {lock} ]; do sleep 0.1; done\n"
        "systemctl start --no-block exchanged@police"
    )
    wait_for(lambda: "error=already-running" in journal(solo, "police"), "the lock to be found taken")
    wait_for(
        lambda: solo.try_run("systemctl is-active exchanged@police").returncode == 0, "the node to be started"
    )
    drop(solo, "past-hanging")
    arrives(solo, "past-hanging")


def test_i10_a_disk_that_fills_pauses_intake_and_room_resumes_it(solo: Machine) -> None:
    data = "/var/lib/exchanged/police"
    solo.run(
        f"systemctl stop exchanged@police; cp -a {data} small; mount -t tmpfs -o size=96m tmpfs {data}\n"
        f"cp -a small/. {data}/; rm -r small\n"
        "cp -p /etc/exchanged/police.toml good.toml\n"
        "sed -i 's/^# free_space_bytes = .*/free_space_bytes = 33554432/; "
        "s/^# free_space_margin_bytes = .*/free_space_margin_bytes = 8388608/' /etc/exchanged/police.toml\n"
        "systemctl start exchanged@police"
    )
    drop(solo, "with-room")
    arrives(solo, "with-room")
    solo.run(f"fallocate -l 70M {data}/ballast")
    drop(solo, "without-room")
    outbox = inside(solo, f"{AGENCIES}/{POLICE}/outbox")
    wait_for(lambda: len(list(outbox.glob("*"))) > 2, "the outbox to say so")
    assert status(solo, "without-room") in {"", "waiting", "held", "seen", "complete"}
    assert solo.try_run("exchangectl --config /etc/exchanged/police.toml node status").returncode != 0
    solo.run(f"rm {data}/ballast")
    arrives(solo, "without-room")
    solo.run(
        f"systemctl stop exchanged@police; mkdir -p /root/kept; cp -a {data}/. /root/kept/; umount {data}\n"
        f"find {data} -mindepth 1 -delete; cp -a /root/kept/. {data}/; rm -r /root/kept\n"
        "cat good.toml > /etc/exchanged/police.toml; systemctl start exchanged@police"
    )


def test_a_share_that_is_mounted_after_the_start_is_seen(solo: Machine) -> None:
    """The daemon has a view of the mounts of its own; a share that comes late must reach it (C19)."""
    root = f"{AGENCIES}/{PROCURATORATE}"
    solo.run(
        f"systemctl stop exchanged@procuratorate; mkdir server; cp -a {root}/. server/\n"
        "chmod --reference={0} server; chown --reference={0} server\n"
        "find {0} -mindepth 1 -delete; systemctl start exchanged@procuratorate".format(root)
    )
    drop(solo, "to-a-share")
    wait_for(lambda: status(solo, "to-a-share") == "accepted", "the packet to be on its way")
    solo.run(f"mount --bind server {root}")
    arrives(solo, "to-a-share")
    assert solo.run(f"ls {root}/inbox/case.report")


def test_c13_an_original_that_case_software_closed_is_told_of(solo: Machine) -> None:
    """With the usual umask 022 a drop's folder cannot be moved by the daemon: only its owner may."""
    solo.run(
        f"exchangectl packet new --type case.report --from {POLICE} --to {PROCURATORATE} --name closed "
        "--out /root\n"
        f"chown -R clerk:clerk closed; chmod -R u=rwX,go=rX closed; mv closed {AGENCIES}/{POLICE}/outbox/"
    )
    arrives(solo, "closed")
    wait_for(lambda: "original:" in journal(solo, "police"), "the daemon to say that it cannot move it")
    case_software(
        solo, f"cd {AGENCIES}/{POLICE}/outbox; chgrp -R exchanged-case closed; chmod -R g+rwX closed"
    )
    # It would be tried again by itself within retry_max_seconds.
    solo.run("systemctl restart exchanged@police")
    sent = inside(solo, f"{AGENCIES}/{POLICE}/sent/closed")
    wait_for(sent.exists, "the original to be put away")


def test_a_node_whose_data_is_lost_begins_anew_as_operating_md_says(solo: Machine) -> None:
    """The page's commands as they stand; what was sent before is not sent again."""
    page = (ROOT / "docs" / "operating.md").read_text("utf-8")
    (block,) = (text for text in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) if "police.lost" in text)
    count = f"ls -d {AGENCIES}/{PROCURATORATE}/inbox/*/*/packet.xml | wc -l"
    before = int(solo.run(count))
    solo.run("mkdir -p /media/keys; cp -a /var/lib/exchanged/police/keys/. /media/keys/")
    solo.run("export EXCHANGED_CONFIG=/etc/exchanged/police.toml\n" + block)
    drop(solo, "after-loss", "--seed 4711")
    arrives(solo, "after-loss")
    assert int(solo.run(count)) == before + 1
    solo.run("rm -r /var/lib/exchanged/police.lost")
