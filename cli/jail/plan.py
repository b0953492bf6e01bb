"""What one jail is to be: names, places, keys, limits; and the sshd fragment that closes it.

Guarantees: every value that goes into a script or into sshd's configuration was checked here by an exact
form, so that none of them can say anything else there. Leaves to others: writing and running the script.
"""

from __future__ import annotations

import os
import pwd
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cli
from cli.frame import DEFAULT_CONFIG, read_input
from cli.jail.errors import JailPlanError
from exchanged.config import Config, LinkConfig, LinkSide, LinkTransport
from exchanged.errors import NotFoundError

SSHD_FOLDER: Final = Path("/etc/exchanged/sshd")
SERVICE: Final = "exchanged"
ACCOUNTS_FOLDER: Final = "accounts.d"
KEYS_FOLDER: Final = "keys"
# As whom sshd asks which keys open an account: a user who can read nothing of the node but its door.
KEYS_USER: Final = "exchanged-keys"
KEYS_CACHE: Final = Path("/var/cache/exchanged-keys")
_KEYS_SCRIPT: Final = "exchanged-keys"
# C2: without the requests that a mailbox never needs. -u 0007: what arrives is readable for the service's
# group and for nobody else.
SFTP: Final = "internal-sftp -u 0007 -P symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
# A dialler has two sessions on one connection, files and bell; two more while it makes a broken one anew.
MAX_SESSIONS: Final = 4
# Silence for 45 to 60 seconds ends a connection whose other end is gone without a word.
ALIVE_SECONDS: Final = 15
ALIVE_TIMES: Final = 3
# Far more than a dialler needs (3 processes, 3 more for each connection that is not yet known to be lost).
# exchanged-sshd.service sets it.
PROCESSES: Final = 48
QUOTA_GIB: Final = 20
# A little more than one scan reads (scan_names), so that a flood of small files ends there.
QUOTA_FILES: Final = 25_000

_KEY_BYTES: Final = 64 * 1024
_KEY_LINE: Final = re.compile(
    r"(?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)|sk-ssh-ed25519@openssh\.com)"
    r" [A-Za-z0-9+/]{40,}={0,2}(?: [A-Za-z0-9@._+:-]{1,100})?"
)
# sshd expands % and splits at blanks; in a script only quotes and line ends would matter.
_PLAIN_PATH: Final = re.compile(r"/[A-Za-z0-9._/-]*")
_WORD: Final = re.compile(r"[A-Za-z0-9._/=:-]+")
_NAME: Final = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class JailPlan:
    """One jail. ``keys`` are whole public key lines; empty leaves the account's keys as they are.

    ``quota_gib`` 0 means that no quota is wanted. ``config_path`` is the node's configuration, ``keys_user``
    who runs the key command of sshd, ``program`` that command's first words, and ``door`` the folder that
    it must be able to look into (None: not asked).
    """

    link: str
    node: str
    peer: str
    account: str
    service: str
    jail: Path
    data_dir: Path
    sshd: Path
    keys: tuple[str, ...]
    quota_gib: int
    config_path: Path = DEFAULT_CONFIG
    keys_user: str = KEYS_USER
    program: tuple[str, ...] = ()
    door: Path | None = None

    @property
    def fragment_path(self) -> Path:
        """Where the account's part of sshd's configuration stands."""
        return self.sshd / ACCOUNTS_FOLDER / f"{self.account}.conf"

    @property
    def keys_path(self) -> Path:
        """Where the account's authorized keys stand."""
        return self.sshd / KEYS_FOLDER / self.account

    @property
    def keys_command(self) -> tuple[str, ...]:
        """What sshd runs to learn which keys open an account; the account itself comes last."""
        cache = ("--cache", str(KEYS_CACHE)) if self.sshd == SSHD_FOLDER else ()
        keys = ("--keys", f"{self.sshd / KEYS_FOLDER}/%u")
        return (*self.program, "--config", str(self.config_path), *keys, *cache)


def plan_jail(
    config: Config,
    name: str,
    *,
    config_path: Path,
    keys: tuple[Path, ...] = (),
    sshd: Path = SSHD_FOLDER,
    service: str = "",
    quota_gib: int = QUOTA_GIB,
    keys_user: str = KEYS_USER,
) -> JailPlan:
    """The jail of the served link ``name``.

    The account is the configured one, else ``ex-<peer>``; the service user is ``service``, else the owner
    of the data directory, else ``exchanged``. Raises NotFoundError for an unknown link, JailPlanError, and
    InputFileError for a key file that cannot be read.
    """
    link = _served_link(config, name)
    return checked(
        JailPlan(
            link=link.name,
            node=config.node.code,
            peer=link.peer,
            account=link.account or f"ex-{link.peer}",
            service=service or _owner(config.node.data_dir) or SERVICE,
            jail=Path(link.mailbox),
            data_dir=config.node.data_dir,
            sshd=sshd,
            keys=tuple(line for path in keys for line in _key_lines(path)),
            quota_gib=quota_gib,
            config_path=config_path.absolute(),
            keys_user=keys_user,
            program=keys_program(),
            door=config.node.door,
        )
    )


def checked(plan: JailPlan) -> JailPlan:
    """``plan`` itself, when none of its values can say anything in a script but itself.

    Raises JailPlanError for the first that could.
    """
    names = {"account": plan.account, "service user": plan.service, "user of the key command": plan.keys_user}
    for what, name in names.items():
        if not _NAME.fullmatch(name):
            raise JailPlanError(
                f"the {what} has no usable name", expected="1 to 32 of a-z, 0-9, _ and -", found=repr(name)
            )
    if plan.service in {plan.account, "root"}:
        raise JailPlanError(
            "the daemon needs a user of its own, apart from root and the account",
            found=plan.service,
            hint="give the data directory to the service user, or name that user with --service",
        )
    for path in (plan.jail, plan.sshd, plan.data_dir, plan.config_path, *([plan.door] if plan.door else [])):
        text = os.path.normpath(path)
        if not _PLAIN_PATH.fullmatch(text) or text != str(path) or text.count("/") < 2:
            raise JailPlanError(
                "a path cannot stand in a jail's configuration",
                where=repr(str(path)),
                expected="an absolute path, two folders deep or more, of letters, digits and . _ - /",
            )
    for word in plan.program:
        if not _WORD.fullmatch(word):
            raise JailPlanError(
                "the path of this installation cannot stand in the configuration of sshd",
                where=repr(word),
                expected="letters, digits and . _ - / : =",
            )
    for line in plan.keys:
        if not _KEY_LINE.fullmatch(line):
            raise _key_error(repr(line[:80]))
    return plan


def fragment(plan: JailPlan) -> str:
    """What sshd reads for this account, ending with a line end."""
    return f"""\
# The account {plan.account} of node {plan.peer}. Written by: exchangectl link jail {plan.link}
Match User {plan.account}
    ChrootDirectory {plan.jail}
    ForceCommand {SFTP}
    AuthorizedKeysFile none
    AuthorizedKeysCommand {" ".join(plan.keys_command)} %u
    AuthorizedKeysCommandUser {plan.keys_user}
    AuthenticationMethods publickey
    PasswordAuthentication no
    KbdInteractiveAuthentication no
    DisableForwarding yes
    AllowTcpForwarding no
    AllowStreamLocalForwarding no
    AllowAgentForwarding no
    X11Forwarding no
    PermitTunnel no
    PermitOpen none
    PermitListen none
    PermitTTY no
    PermitUserRC no
    MaxSessions {MAX_SESSIONS}
    ClientAliveInterval {ALIVE_SECONDS}
    ClientAliveCountMax {ALIVE_TIMES}
    UnusedConnectionTimeout 60
"""


def keys_program() -> tuple[str, ...]:
    """The first words of the key command: the installed program, or this checkout's module."""
    home, prefix = Path(cli.__file__).resolve().parents[1], Path(sys.prefix).resolve()
    script = Path(sys.prefix) / "bin" / _KEYS_SCRIPT
    if prefix in home.parents and script.is_file():
        return (str(script),)
    # sshd gives the command nothing of an environment.
    return ("/usr/bin/env", f"PYTHONPATH={home}", sys.executable, "-P", "-m", "cli.keys_command")


def _served_link(config: Config, name: str) -> LinkConfig:
    for link in config.links:
        if link.name == name:
            if link.side is not LinkSide.SERVE or link.transport is not LinkTransport.FOLDER:
                raise JailPlanError(
                    "the link is not served here",
                    where=name,
                    expected='side = "serve", transport = "folder"',
                    found=f"side = {link.side.value}, transport = {link.transport.value}",
                    hint="a jail is made on the machine that serves the mailbox",
                )
            return link
    raise NotFoundError(
        "no such link",
        where=name,
        expected=", ".join(link.name for link in config.links) or "none is configured",
    )


def _owner(path: Path) -> str:
    """Who runs the daemon, if its data directory is there already; root only made it."""
    try:
        name = pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
    return "" if name == "root" else name


def _key_lines(path: Path) -> tuple[str, ...]:
    text = read_input(path, _KEY_BYTES).decode("utf-8", errors="replace")
    lines = tuple(" ".join(line.split()) for line in text.splitlines() if line.strip() and line[0] != "#")
    if not lines or not all(_KEY_LINE.fullmatch(line) for line in lines):
        raise _key_error(str(path))
    return lines


def _key_error(where: str) -> JailPlanError:
    return JailPlanError(
        "no public login key",
        where=where,
        expected='lines "<type> <base64> [comment]" without options, as in login.pub',
        hint="the neighbour has it in a file beside its login key, whose name ends in .pub",
    )
