"""The jail of a dialling neighbour's account, looked at again and again (C2).

Guarantees: a served mailbox with a configured account counts only while account, owners, groups, modes
and kinds of everything that makes the jail are exactly those that ``exchangectl link jail`` makes; each
thing that differs is named with what it should be, what it is, and the command that mends it. Looks only,
changes nothing.

Leaves to others: making the jail, and what sshd allows inside it. Known limits: access control lists and
mount options are not looked at; who has root on this machine is trusted.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.config import Config, LinkConfig, LinkSide
from exchanged.errors import JailError
from exchanged.mailbox import BELL_NAME, Direction, special_kind

JAIL_MODE: Final = 0o755
UP_MODE: Final = 0o2770
DOWN_MODE: Final = 0o2750
BELL_MODE: Final = 0o640
_ROOT: Final = 0
# Who may write into a folder on the way may put another jail in its place; sshd refuses such a way too.
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class JailFault:
    """One thing that is not as it must be: which, how it should be, how it is."""

    where: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class Owners:
    """Numbers of the neighbour's account and of the user who runs the daemon."""

    account_uid: int
    account_gid: int
    service_uid: int
    service_gid: int


class Jail:
    """The jail of one link. ``data_dir`` tells who runs the daemon: it belongs to that user."""

    def __init__(self, link: str, mailbox: Path, account: str, data_dir: Path) -> None:
        self.link = link
        self.mailbox = mailbox
        self.account = account
        self._data_dir = data_dir

    def require(self) -> int:
        """The account's user number, whose files in ``up/`` are the neighbour's. Raises JailError."""
        owners, faults = self._look()
        if owners is None or faults:
            first, more = faults[0], len(faults) - 1
            raise JailError(
                "the jail of the account is not sound; nothing goes over this link"
                + (f" (and {more} more things are wrong)" if more else ""),
                where=first.where,
                expected=first.expected,
                found=first.found,
                hint=self.remedy,
            )
        return owners.account_uid

    @property
    def remedy(self) -> str:
        """The command that mends every fault."""
        return f"run with this node's --config: exchangectl link jail {self.link} | sudo sh"

    def faults(self) -> tuple[JailFault, ...]:
        """Everything that is wrong, the account first. Empty: the jail is sound."""
        return self._look()[1]

    def _look(self) -> tuple[Owners | None, tuple[JailFault, ...]]:
        """Whose the jail is, and what is wrong with it. Without owners there is at least one fault."""
        data_dir = str(self._data_dir)
        try:
            account = pwd.getpwnam(self.account)
        except KeyError:
            return None, (JailFault(f"account {self.account}", "an account of this machine", "none"),)
        try:
            service = pwd.getpwuid(self._data_dir.stat().st_uid)
        except OSError as error:
            return None, (JailFault(data_dir, "the data directory", error.strerror or ""),)
        except KeyError:
            return None, (JailFault(data_dir, "owned by the user who runs the daemon", "nobody known"),)
        if service.pw_uid == _ROOT:
            return None, (JailFault(data_dir, "owned by the user who runs the daemon", "root"),)
        owners = Owners(account.pw_uid, account.pw_gid, service.pw_uid, service.pw_gid)
        return owners, (
            *self._account_faults(owners),
            *self._way_faults(),
            *self._folder_faults(owners),
        )

    def _account_faults(self, owners: Owners) -> Iterator[JailFault]:
        where = f"account {self.account}"
        if owners.account_uid in {_ROOT, owners.service_uid}:
            yield JailFault(where, "an account of its own", f"uid {owners.account_uid}")
        # One more group would open other folders; a shared one would open down/ to its other members.
        groups = {_group(gid) for gid in os.getgrouplist(self.account, owners.account_gid)}
        if groups != {self.account}:
            yield JailFault(where, f"the group {self.account} alone", ", ".join(sorted(groups)))

    def _way_faults(self) -> Iterator[JailFault]:
        for folder in self.mailbox.parents:
            try:
                found = folder.stat()
            except OSError:
                # What is missing here is missing below as well, and told there.
                continue
            if found.st_uid != _ROOT or found.st_mode & _WRITABLE:
                yield JailFault(
                    str(folder),
                    "owner root, writable by nobody else, as sshd demands above a jail",
                    _seen(found),
                )

    def _folder_faults(self, owners: Owners) -> Iterator[JailFault]:
        down = (owners.service_uid, owners.account_gid)
        yield from _fault(self.mailbox, "a folder", _ROOT, _ROOT, JAIL_MODE)
        up = self.mailbox / Direction.UP.value
        yield from _fault(up, "a folder", owners.account_uid, owners.service_gid, UP_MODE)
        yield from _fault(self.mailbox / Direction.DOWN.value, "a folder", *down, DOWN_MODE)
        yield from _fault(self.mailbox / BELL_NAME, "a FIFO", *down, BELL_MODE)


def jail_of(link: LinkConfig, data_dir: Path) -> Jail | None:
    """The jail of a configured link; None where no account is configured."""
    if not link.account:
        return None
    return Jail(link.name, Path(link.mailbox), link.account, data_dir)


def links_on_our_volume(config: Config) -> tuple[str, ...]:
    """Names of served links with an account whose ``up/`` shares the volume of ledger and spool (C2).

    A neighbour that fills such an ``up/`` takes the room of everybody's packets: a warning in production.
    """
    try:
        ours = config.node.data_dir.stat().st_dev
    except OSError:
        return ()
    return tuple(
        link.name
        for link in config.links
        if link.side is LinkSide.SERVE
        and link.account
        and _device(Path(link.mailbox) / Direction.UP.value) == ours
    )


def _fault(path: Path, kind: str, uid: int, gid: int, mode: int) -> Iterator[JailFault]:
    expected = f"{kind} {_user(uid)}:{_group(gid)} {mode:04o}"
    try:
        found = path.lstat()
    except OSError as error:
        yield JailFault(str(path), expected, error.strerror or "")
        return
    same = (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (uid, gid, mode)
    if special_kind(found.st_mode) != kind or not same:
        yield JailFault(str(path), expected, _seen(found))


def _seen(found: os.stat_result) -> str:
    kind = special_kind(found.st_mode) or "a plain file"
    return f"{kind} {_user(found.st_uid)}:{_group(found.st_gid)} {stat.S_IMODE(found.st_mode):04o}"


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return f"gid {gid}"
