"""The real accounts of a lab made with ``--jail``: one for each agency, one for the province's daemon.

Guarantees: names bear a random word of the lab, so that no account of the machine's own is met or touched;
the list is written before the first account is made, so that ``remove`` finds all of them whatever happened
in between. The jails are made by the very scripts that ``exchangectl link jail`` prints.

Left to others: everything inside the jails. Known limits: needs root and shadow's useradd; front-ends keep
running as root, because each of them stands for a machine of its own.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import cli
from cli.jail.plan import JailPlan, checked, plan_jail
from cli.jail.script import making_script, removing_script
from cli.lab.errors import LabError, LabFolderError
from cli.lab.layout import Layout
from exchanged.clock import Randomness
from exchanged.config import load_config
from exchanged.durable import DurableFiles, Volume

_TOOLS: Final = ("useradd", "userdel", "setpriv", "sh")
_SYSTEM_PATH: Final = "/usr/sbin:/usr/bin:/sbin:/bin"
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH
_SERVICE_MARK: Final = "exchanged lab"


@dataclass(frozen=True, slots=True)
class LabAccounts:
    """``service`` runs the node ``province``; ``agencies`` gives each agency's account by its code."""

    province: str
    service: str
    agencies: dict[str, str]

    @property
    def pattern(self) -> str:
        """What sshd may let in: the agencies' accounts, not the service user."""
        return f"{self.service}-*"


def plan_accounts(province: str, codes: Iterable[str], randomness: Randomness) -> LabAccounts:
    """Names that no other lab has."""
    prefix = f"lab-{randomness.token(3).hex()}"
    return LabAccounts(province, prefix, {code: f"{prefix}-{code}" for code in codes})


def require_possible(layout: Layout) -> None:
    """Whether a jailed lab can stand here. Raises LabError, naming what is missing."""
    if os.geteuid() != 0:
        raise LabError("a lab with real accounts needs root", hint="call it with sudo, or without --jail")
    for tool in _TOOLS:
        if shutil.which(tool, path=_SYSTEM_PATH) is None:
            raise LabError(
                f"the program {tool} is missing", hint="install the packages passwd and util-linux"
            )
    for folder in layout.root.parents:
        if folder.exists():
            found = folder.stat()
            if found.st_uid != 0 or found.st_mode & _OTHERS_WRITE:
                raise LabFolderError(
                    "sshd refuses a jail below this folder",
                    where=str(folder),
                    expected="owner root, writable by nobody else",
                    hint="name a folder below /srv or /var/lib, not below /tmp or a home",
                )


def write_accounts(layout: Layout, accounts: LabAccounts) -> None:
    """Keep the list, before the first account is made."""
    DurableFiles(Volume.OWN).write_file(layout.accounts, (json.dumps(asdict(accounts)).encode(),))


def read_accounts(layout: Layout) -> LabAccounts | None:
    """The accounts of a jailed lab; None where there are none. Raises LabError for a file of no use."""
    try:
        return LabAccounts(**json.loads(layout.accounts.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise LabError(
            "the list of the lab's accounts cannot be read", where=str(layout.accounts), found=str(error)
        ) from error


def make_accounts(layout: Layout, accounts: LabAccounts) -> None:
    """Make every account and jail of a lab whose files are there. Raises LabError."""
    _run(
        "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/",
        "--shell", "/usr/sbin/nologin", "--comment", _SERVICE_MARK, accounts.service,
    )  # fmt: skip
    _require_programs(accounts.service)
    _run("chown", "-R", "-h", f"{accounts.service}:{accounts.service}", str(layout.node(accounts.province)))
    config = load_config(layout.config(accounts.province))
    for link in config.links:
        if link.account:
            key = layout.login_key(link.peer)
            plan = plan_jail(
                config,
                link.name,
                config_path=layout.config(accounts.province),
                keys_user=accounts.service,
                keys=(key.with_name(key.name + ".pub"),),
                sshd=layout.sshd,
                service=accounts.service,
                quota_gib=0,
            )
            _run_script(making_script(plan))


def remove_accounts(layout: Layout, accounts: LabAccounts) -> None:
    """Remove every account that was made; missing ones are fine. Nothing of the lab may run any more."""
    for code, account in accounts.agencies.items():
        plan = JailPlan(
            link=code,
            node=accounts.province,
            peer=code,
            account=account,
            service=accounts.service,
            jail=layout.mailbox(code),
            data_dir=layout.data(accounts.province),
            sshd=layout.sshd,
            keys=(),
            quota_gib=0,
        )
        _run_script(removing_script(checked(plan)))
    try:
        found = pwd.getpwnam(accounts.service)
    except KeyError:
        return
    if found.pw_gecos == _SERVICE_MARK:
        _run("userdel", accounts.service)


def as_user(user: str, command: tuple[str, ...]) -> tuple[str, ...]:
    """``command`` run by root as ``user``, who gets nothing of root's."""
    setpriv = shutil.which("setpriv", path=_SYSTEM_PATH) or "setpriv"
    # setpriv still has root's rights when it looks for the program; the shell after it has not, so that a
    # program which the user cannot reach fails here and not in the daemon's workers.
    drop = (setpriv, f"--reuid={user}", f"--regid={user}", "--init-groups", "--no-new-privs")
    return (*drop, "/bin/sh", "-c", 'exec "$@"', "sh", *command)


def _require_programs(user: str) -> None:
    home = Path(cli.__file__).resolve().parents[1]
    command = as_user(user, (sys.executable, "-P", "-c", "import cli.daemon"))
    environment = {"PATH": _SYSTEM_PATH, "PYTHONPATH": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    tried = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        words = tried.stderr.strip().splitlines()
        raise LabError(
            "the service user cannot run the programs of this installation",
            where=f"{sys.executable}, {home}",
            found=words[-1] if words else "",
            hint="put the installation and its Python where every user can read them, such as /opt/exchanged",
        )


def _run_script(script: str) -> None:
    _finish(subprocess.run(["sh"], input=script, cwd="/", capture_output=True, text=True, check=False), "sh")


def _run(*command: str) -> None:
    found = shutil.which(command[0], path=_SYSTEM_PATH) or command[0]
    _finish(
        subprocess.run([found, *command[1:]], cwd="/", capture_output=True, text=True, check=False),
        command[0],
    )


def _finish(done: subprocess.CompletedProcess[str], name: str) -> None:
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise LabError(
            "an account of the lab cannot be made or removed", where=name, found=words[-1] if words else ""
        )
