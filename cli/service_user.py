"""Acting as the user that the daemon runs as, which is the owner of ``data_dir``.

Root may do what the daemon may not, and what root makes the daemon cannot write. So a command that looks at
or makes the daemon's files calls itself anew as that user, or makes things under that user's ids.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packet_spec.errors import ExchangeError

SERVICE_USER: Final = "exchanged"


class ServiceUserError(ExchangeError):
    """A command of root could not be called anew as the daemon's user."""

    reference = "service-user-cannot-run"
    hint = (
        "let every user read the program: chmod -R go+rX /opt/exchanged;"
        " from a home folder install it there instead"
    )


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine with all groups; ``name`` is the number where the user has no name."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    def __str__(self) -> str:
        """For people: ``exchanged (uid 990; groups exchanged, exchanged-case)``."""
        groups = ", ".join(dict.fromkeys(group_name(gid) for gid in (self.gid, *self.groups)))
        return f"{self.name} (uid {self.uid}; groups {groups})"


def account_of(uid: int) -> Account:
    """The account with that number, whether the machine knows a name for it or not."""
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return Account(str(uid), uid, uid, (uid,))
    groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
    return Account(entry.pw_name, uid, entry.pw_gid, groups)


def named_account(name: str) -> Account | None:
    """The account of that name, or None when the machine has none."""
    try:
        return account_of(pwd.getpwnam(name).pw_uid)
    except KeyError:
        return None


def group_name(gid: int) -> str:
    """The name of a group, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_name(uid: int) -> str:
    """The name of a user, or its number."""
    return account_of(uid).name


def has_group(name: str) -> bool:
    """This machine has a group of that name."""
    try:
        grp.getgrnam(name)
    except KeyError:
        return False
    return True


def current_account() -> Account:
    """Who this process acts as."""
    uid, gid = os.geteuid(), os.getegid()
    return Account(user_name(uid), uid, gid, tuple(os.getgroups()))


def owner_of(path: Path) -> Account:
    """Whose the folder is, as which its things are made; this process's own account when it is not there."""
    try:
        return account_of(path.stat().st_uid)
    except OSError:
        return current_account()


def call_as_owner(data_dir: Path, config_path: Path, words: Sequence[str]) -> int | None:
    """As root, call ``exchangectl WORDS`` as the owner of ``data_dir``; its exit code.

    None when this process is to do the work itself: it is not root, or the owner is root or unknown. Raises
    ServiceUserError when that user cannot run this program.
    """
    if os.geteuid() != 0:
        return None
    try:
        owner = data_dir.stat().st_uid
    except OSError:
        return None
    if owner == 0:
        return None
    account = account_of(owner)
    # -P: root may stand in a folder that others can write modules into.
    command = [sys.executable, "-P", "-m", "cli", "--config", str(config_path.absolute()), *words]
    sys.stdout.flush()
    uid, gid, groups = account.uid, account.gid, account.groups
    try:
        done = subprocess.run(
            command, user=uid, group=gid, extra_groups=groups, umask=0o007, check=False
        )
    except OSError as error:
        raise ServiceUserError(
            "the command cannot be called as the daemon's user",
            where=sys.executable,
            found=f"{account.name}: {error.strerror}",
        ) from error
    return done.returncode if done.returncode >= 0 else 128 - done.returncode


@contextmanager
def acting_as(account: Account) -> Iterator[None]:
    """Make files as ``account`` while the block runs, if this process is root; else change nothing."""
    if os.geteuid() != 0 or account.uid == 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups(account.groups)
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
