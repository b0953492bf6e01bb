"""The lab's own sshd: configuration, start on a free loopback port, and its sessions.

It serves SFTP alone, with one key per agency, and asks the directory which keys count (``cli.keys_command``).
Known limit: without jails it isolates nothing, because
every agency logs in as the one user who runs the lab and sees all of that user's files; only keys keep
strangers out. With jails the server knows nobody but the lab's accounts, each closed in by a file of its own.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import socket
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cli.jail.plan import ACCOUNTS_FOLDER, PROCESSES, SFTP, keys_program
from cli.lab.errors import LabError
from cli.lab.layout import SSHD, Layout
from cli.lab.processes import Process, is_running, spawn
from cli.lab.starting import last_word
from exchanged.clock import Clock

HOST: Final = "127.0.0.1"
_SYSTEM_PATH: Final = "/usr/sbin:/usr/local/sbin:/sbin"
# Where sshd run as root insists on an empty folder of its own.
_PRIVILEGE_FOLDER: Final = Path("/run/sshd")
_SHADOW: Final = Path("/etc/shadow")
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_PATIENCE_SECONDS: Final = 20.0
_RETRY_MILLISECONDS: Final = 20
# sshd becomes the keeper of its orphans (PR_SET_CHILD_SUBREAPER, 36), so that a session that waits at a
# bell after its connection died can still be found below it and ended.
_LAUNCHER: Final = (
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
# What LimitNPROC does in exchanged-sshd.service: a limit on the processes of each account.
_LIMIT: Final = (
    f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, ({PROCESSES}, {PROCESSES})); "
)

_COMMON: Final = (
    "PidFile none",
    "AuthenticationMethods publickey",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UseDNS no",
    "PrintMotd no",
    "PermitTTY no",
    "PermitUserRC no",
    "DisableForwarding yes",
    # A province dials in all at once after a start: each front-end with two sessions.
    "MaxStartups 1000",
    "MaxSessions 64",
    "LoginGraceTime 60",
    "ClientAliveInterval 30",
    "LogLevel INFO",
    f"Subsystem sftp {SFTP}",
    f"ForceCommand {SFTP}",
)


def user_name() -> str:
    """The user who runs the lab, and as whom its front-ends log in."""
    return pwd.getpwuid(os.geteuid()).pw_name


def find_sshd() -> str:
    """The sshd program. Raises LabError, saying what to install."""
    path = shutil.which(SSHD, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_PATH}")
    if path is None:
        raise LabError(
            "the SSH server program (sshd) is missing",
            hint="install openssh-server (its system service is not needed), or use --link folder",
        )
    return path


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int) -> bool:
    """Whether sshd could listen on ``port`` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def write_files(layout: Layout, servers: Iterable[str], public_lines: Iterable[str], port: int) -> None:
    """Write the configuration of a server without jails; the host key is made by the caller.

    It asks the directories of the nodes ``servers``. Where sshd would refuse the program that it asks with,
    ``public_lines`` are the keys that may log in for good.
    """
    if _may_ask():
        configs = [word for code in servers for word in ("--config", str(layout.config(code)))]
        command = (*keys_program(), "--every", *configs)
        keys: tuple[str, ...] = (
            "AuthorizedKeysFile none",
            # The first word must begin with a slash, and so cannot stand in quotes.
            f"AuthorizedKeysCommand {command[0]} {' '.join(map(_quoted, command[1:]))} %u",
            f"AuthorizedKeysCommandUser {user_name()}",
        )
    else:
        authorized = layout.sshd / "authorized_keys"
        authorized.write_text("".join(f"restrict {line}\n" for line in public_lines), encoding="utf-8")
        keys = (f"AuthorizedKeysFile {_quoted(str(authorized))}",)
    _write_config(layout, port, (*keys, *_not_jailed()))


def write_jailed(layout: Layout, accounts: str, port: int) -> None:
    """Write the configuration of a server with jails; ``accounts`` is the pattern of those in them."""
    _write_config(layout, port, _jailed(layout, accounts))


def move_to(layout: Layout, port: int) -> None:
    """Let the server listen at another port from its next start on."""
    path = layout.sshd / "sshd_config"
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    path.write_text("\n".join([_listen(port), *lines]) + "\n", encoding="utf-8")


def _write_config(layout: Layout, port: int, more: Iterable[str]) -> None:
    lines = (_listen(port), f'HostKey "{layout.sshd / "host_key"}"', *more)
    (layout.sshd / "sshd_config").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _listen(port: int) -> str:
    return f"ListenAddress {HOST}:{port}"


def _quoted(word: str) -> str:
    """A word of a line in which sshd expands % signs."""
    return '"{}"'.format(word.replace("%", "%%"))


def _may_ask() -> bool:
    """Whether sshd takes the program by which it would ask: root's, and writable for nobody else."""
    try:
        found = Path(keys_program()[0]).resolve(strict=True)
        seen = [path.stat() for path in (found, *found.parents)]
    except OSError:
        return False
    if " " in keys_program()[0]:
        return False
    return all(status.st_uid == 0 and not status.st_mode & _OTHERS_WRITE for status in seen)


def _jailed(layout: Layout, accounts: str) -> tuple[str, ...]:
    """Who has no file in accounts.d has no key, and cannot log in at all."""
    return (
        "AuthorizedKeysFile none",
        f"AllowUsers {accounts}",
        "PermitRootLogin no",
        "UsePAM no",
        "StrictModes yes",
        *_COMMON,
        f"Include {layout.sshd / ACCOUNTS_FOLDER}/*.conf",
    )


def _not_jailed() -> tuple[str, ...]:
    return (
        f"AllowUsers {user_name()}",
        "PermitRootLogin prohibit-password",
        f"UsePAM {'yes' if _needs_pam() else 'no'}",
        # The lab may lie below a folder like /tmp that others can write to.
        "StrictModes no",
        *_COMMON,
    )


def start_sshd(layout: Layout, port: int, token: str, clock: Clock, *, jailed: bool = False) -> Process:
    """Start sshd and wait until it accepts connections; ``jailed`` limits the processes of each account.

    Raises LabError with its last word.
    """
    program = find_sshd()
    if os.geteuid() == 0:
        _PRIVILEGE_FOLDER.mkdir(mode=0o755, exist_ok=True)
    log = layout.log(SSHD)
    config = layout.sshd / "sshd_config"
    launcher = (_LIMIT if jailed else "") + _LAUNCHER
    command = (sys.executable, "-c", launcher, program, "-D", "-e", "-f", str(config))
    process = spawn(command, _environment(), log, str(config), token)
    deadline = clock.monotonic() + _PATIENCE_SECONDS
    pidfd = os.pidfd_open(process.pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        while not _accepts(port):
            # Waiting for its end with a short limit is the pause between two looks at the port.
            if poll.poll(_RETRY_MILLISECONDS) or clock.monotonic() > deadline:
                raise LabError("the lab's sshd did not start", where=str(log), found=last_word(log))
    finally:
        os.close(pidfd)
    if not is_running(process):
        raise LabError("another program answers on the lab's port", where=f"{HOST}:{port}")
    return process


def _accepts(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A connection attempt to a free port can meet itself; that is no server.
        return probe.connect_ex((HOST, port)) == 0 and probe.getsockname() != probe.getpeername()


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}


def _needs_pam() -> bool:
    """Whether sshd would take root's account for locked: without PAM a ``!`` in shadow keeps it out."""
    if os.geteuid() != 0:
        return False
    try:
        lines = _SHADOW.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{user_name()}:!") for line in lines)
