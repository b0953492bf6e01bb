"""An agency's account reaches its own mailbox and nothing else (C1, C2): real clients and raw requests."""

from __future__ import annotations

import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

import paramiko
import pytest
from paramiko.sftp import CMD_EXTENDED, CMD_EXTENDED_REPLY, CMD_MKDIR, CMD_SETSTAT, CMD_SYMLINK

from tests.support.jails import SERVICE, Ground, as_account, ground, snapshot

OWN = "00000001-0123456789abcdef.batch"
MAIL = "00000002-0123456789abcdef.batch"
SETUID = stat.S_ISUID | stat.S_ISGID

ACTS = (
    "get /etc/passwd {tmp}/x",
    "get ../../../../etc/passwd {tmp}/x",
    "get {b}/down/{mail} {tmp}/x",
    "get ../620199-02-00/down/{mail} {tmp}/x",
    "get {data}/ledger {tmp}/x",
    "ls /etc",
    "ls {b}",
    "cd ../620199-02-00",
    "put mine /mine",
    "put mine down/mine",
    "put mine down/{mail}",
    "put mine bell",
    "put mine ../mine",
    "rm down/{mail}",
    "rm bell",
    "rmdir up",
    "rmdir down",
    "mkdir up/folder",
    "mkdir folder",
    "rename up away",
    "rename down up/down",
    "rename bell up/bell",
    "rename down/{mail} up/{mail}",
    "rename up/{own} down/{own}",
    "rename up/{own} {own}",
    "rename up/{own} bell",
    "rename up/{own} down/{mail}",
    "ln -s /etc/passwd up/link",
    "ln -s ../../620199-02-00/down up/link",
    "ln up/{own} up/second",
    "ln down/{mail} up/second",
    "ln bell up/second",
    "cp down/{mail} up/copy",
    "chmod 777 /",
    "chmod 777 up",
    "chmod 777 up/{own}",
    "chmod 777 down",
    "chmod 666 down/{mail}",
    "chmod 666 bell",
    "chown 0 up/{own}",
    "chgrp 0 up/{own}",
)


@pytest.fixture(scope="module")
def walls() -> Iterator[Ground]:
    with ground() as made:
        for name in ("a", "b"):
            mail = made.jail(name) / "down" / MAIL
            mail.write_text(f"mail for {name}")
            mail.chmod(0o640)
            made.transport(name)
        (made.root / "mine").write_text("of the agency")
        yield made


@pytest.fixture
def untouched(walls: Ground) -> Iterator[Ground]:
    """Whatever the test tries as ``a``: outside of a's own up/ not an inode, owner, mode or byte changes."""
    before = snapshot(walls.root / "jails", walls.data, Path("/etc/ssh"), without=walls.jail("a") / "up")
    accounts = [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group", "/etc/shadow")]
    yield walls
    after = snapshot(walls.root / "jails", walls.data, Path("/etc/ssh"), without=walls.jail("a") / "up")
    assert after == before
    assert [Path(name).read_bytes() for name in ("/etc/passwd", "/etc/group", "/etc/shadow")] == accounts
    for left in (walls.jail("a") / "up").iterdir():
        left.unlink()


def test_the_account_can_do_what_a_link_needs(untouched: Ground, tmp_path: Path) -> None:
    part = f"up/.{OWN}.part"
    done = untouched.sftp("a", f"put mine {part}\nrename {part} up/{OWN}\nget down/{MAIL} {tmp_path}/mail\n")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mail").read_text() == "mail for a"
    landed = (untouched.jail("a") / "up" / OWN).lstat()
    assert stat.S_IMODE(landed.st_mode) == 0o660 or not landed.st_mode & stat.S_IRWXO
    fetched = untouched.transport("a").fetch(OWN, tmp_path / "fetched", limit_bytes=1000)
    assert fetched.size == len("of the agency")


def test_openssh_s_own_client_gets_nothing_else(untouched: Ground, tmp_path: Path) -> None:
    """Each act on its own line; a dash lets the client go on, and every act must have failed."""
    names = {"tmp": tmp_path, "mail": MAIL, "own": OWN, "b": untouched.jail("b"), "data": untouched.data}
    acts = [act.format(**names) for act in ACTS]
    batch = "".join(f"-{act}\n!echo done: {number}\n" for number, act in enumerate(acts))
    done = untouched.sftp("a", f"put mine up/{OWN}\n{batch}")
    assert done.returncode == 0, done.stderr
    assert f"done: {len(acts) - 1}" in done.stdout
    # The client says one line for each refusal.
    refusals = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(refusals) >= len(acts), refusals
    assert not (tmp_path / "x").exists()
    up = untouched.jail("a") / "up"
    assert [entry.name for entry in up.iterdir()] == [OWN]
    assert (up / OWN).read_text() == "of the agency"
    assert not (up / OWN).lstat().st_mode & (SETUID | stat.S_IRWXO)


def test_raw_requests_that_a_client_would_not_send_are_refused(untouched: Ground) -> None:
    transport = untouched.transport_to("a")
    client = untouched.client_of(transport)
    with client.open(f"up/{OWN}", "w") as file:
        file.write(b"x")
    attributes = paramiko.SFTPAttributes()
    attributes.st_mode = 0o4777
    refused = [
        (CMD_SYMLINK, "/etc/passwd", "up/link"),
        (CMD_MKDIR, "up/folder", attributes),
        (CMD_SETSTAT, f"up/{OWN}", attributes),
        (CMD_EXTENDED, "hardlink@openssh.com", f"up/{OWN}", "up/second"),
        (CMD_EXTENDED, "hardlink@openssh.com", f"down/{MAIL}", "up/second"),
        (CMD_EXTENDED, "lsetstat@openssh.com", f"up/{OWN}", attributes),
        (CMD_EXTENDED, "posix-rename@openssh.com", f"up/{OWN}", f"down/{MAIL}"),
        (CMD_EXTENDED, "posix-rename@openssh.com", f"up/{OWN}", "bell"),
        (CMD_EXTENDED, "posix-rename@openssh.com", "up", "down"),
        (CMD_EXTENDED, "copy-data", f"down/{MAIL}", "up/second"),
        (CMD_EXTENDED, "statvfs@openssh.com", "/etc"),
        (CMD_EXTENDED, "a-request-of-no-kind@example.invalid", "up"),
    ]
    for number, *words in refused:
        with pytest.raises((OSError, paramiko.SFTPError)):
            client._request(number, *words)
    assert {entry.name for entry in (untouched.jail("a") / "up").iterdir()} == {OWN}
    transport.close()


def test_a_file_made_with_a_dangerous_mode_is_open_to_nobody(untouched: Ground) -> None:
    transport = untouched.transport_to("a")
    client = untouched.client_of(transport)
    wanted = paramiko.SFTPAttributes()
    wanted.st_mode = 0o6777
    # The flags of a plain "create and write" in SFTP version 3.
    client._request(3, f"up/{OWN}", 0x02 | 0x08, wanted)
    made = (untouched.jail("a") / "up" / OWN).lstat()
    assert not made.st_mode & stat.S_IRWXO
    # The set-group bit would give the service's group to whoever ran the file; nobody can reach it to run.
    tried = as_account(untouched.account("b"), "test", "-x", str(untouched.jail("a") / "up" / OWN))
    assert tried.returncode != 0
    transport.close()


def test_the_names_of_the_machine_s_accounts_are_not_told(untouched: Ground) -> None:
    transport = untouched.transport_to("a")
    client = untouched.client_of(transport)
    # root and nobody are the same everywhere, and the system's library knows them without any file.
    names = ("daemon", untouched.account("a"), untouched.account("b"), SERVICE)
    numbers = b"".join(pwd.getpwnam(name).pw_uid.to_bytes(4, "big") for name in names)
    try:
        kind, message = client._request(CMD_EXTENDED, "users-groups-by-id@openssh.com", numbers, numbers)
    except OSError:
        return
    assert kind == CMD_EXTENDED_REPLY
    assert not [name for name in names if name.encode() in message.asbytes()]
    transport.close()


def test_no_shell_no_command_no_other_subsystem(untouched: Ground) -> None:
    for words in (("id",), ("cat", "/etc/passwd"), ("sh", "-c", "id"), ("scp", "-f", "/etc/passwd")):
        done = untouched.ssh("a", *words)
        assert "uid=" not in done.stdout
        assert "root:" not in done.stdout
    assert untouched.ssh("a", "netconf", before=("-s",)).returncode != 0
    assert "uid=" not in untouched.ssh("a", "id", before=("-tt",)).stdout
    transport = untouched.transport_to("a")
    channel = transport.open_session()
    with pytest.raises(paramiko.SSHException):
        channel.get_pty()
    transport.close()


def test_no_forwarding_of_any_kind(untouched: Ground) -> None:
    transport = untouched.transport_to("a")
    for kind, target in (
        ("direct-tcpip", ("127.0.0.1", untouched.port)),
        ("direct-tcpip", ("127.0.0.1", 22)),
    ):
        with pytest.raises(paramiko.ChannelException):
            transport.open_channel(kind, target, ("127.0.0.1", 0), timeout=10)
    with pytest.raises(paramiko.SSHException):
        transport.request_port_forward("127.0.0.1", 0)
    assert transport.global_request("streamlocal-forward@openssh.com", ("/run/x",), wait=True) is None
    transport.close()
    socket_path = untouched.root / "socket"
    for before in (
        ("-W", f"127.0.0.1:{untouched.port}"),
        ("-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:127.0.0.1:22"),
        ("-o", "ExitOnForwardFailure=yes", "-N", "-R", f"{socket_path}:127.0.0.1:22"),
        ("-o", "ExitOnForwardFailure=yes", "-N", "-w", "any"),
    ):
        assert untouched.ssh("a", before=before).returncode != 0, before


def test_one_agency_s_key_opens_no_other_account(untouched: Ground) -> None:
    key = paramiko.Ed25519Key(filename=str(untouched.key("a")))
    for user in (untouched.account("b"), "root", "xt-service", "nobody"):
        transport = paramiko.Transport(("127.0.0.1", untouched.port))
        transport.start_client(timeout=20)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_publickey(user, key)
        transport.close()


def test_what_stands_outside_is_closed_also_to_a_local_program_of_the_account(untouched: Ground) -> None:
    """Rights alone hold, also where chroot and SFTP do not stand in between."""
    account, jail = untouched.account("a"), untouched.jail("a")
    for path, mode in (
        (untouched.jail("b") / "up", "-r"),
        (untouched.jail("b") / "up", "-w"),
        (untouched.jail("b") / "down", "-r"),
        (untouched.jail("b") / "bell", "-r"),
        (untouched.data, "-r"),
        (untouched.data / "ledger", "-r"),
        (untouched.sshd / "host_key", "-r"),
        (untouched.sshd / "keys" / untouched.account("b"), "-r"),
        (untouched.sshd / "keys" / account, "-w"),
        (untouched.sshd / "accounts.d" / f"{account}.conf", "-w"),
        (jail, "-w"),
        (jail / "down", "-w"),
        (jail / "down" / MAIL, "-w"),
        (jail / "bell", "-w"),
    ):
        assert as_account(account, "test", mode, str(path)).returncode != 0, (path, mode)


def test_a_planted_link_leads_nowhere(untouched: Ground, tmp_path: Path) -> None:
    """A symbolic link that got into up/ in spite of everything is followed inside the jail only."""
    up = untouched.jail("a") / "up"
    for name, target in (("l1", "/etc/passwd"), ("l2", str(untouched.data / "ledger")), ("l3", "../../..")):
        assert as_account(untouched.account("a"), "ln", "-s", target, str(up / name)).returncode == 0
    for name in ("l1", "l2", "l3/etc/passwd"):
        assert untouched.sftp("a", f"get up/{name} {tmp_path}/x\n").returncode != 0
    assert not (tmp_path / "x").exists()
