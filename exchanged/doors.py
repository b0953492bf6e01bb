"""Who may log in at this node: OpenSSH asks, the directory answers (custody C2, C24).

``DirectoryCopy`` lays the directory in force where the SSH server's key command can read it, for that command
runs as a user who sees nothing else of the node. ``who_may_enter`` proves that copy by the root keys of the
configuration, whoever wrote it, and says which login keys open one account now.

Guarantees: once the directory lists any login key of a node, no other key opens its account, from whatever
file; a key that the directory revoked opens none; a disabled node's account is closed; without a directory
that proves itself every account is closed. An expired directory still opens: behind that door lies the newer
one (C24), and its keys have ends of their own.

Leaves to others: what sshd lets in do (the jail), and ending sessions (``cli.jail.sessions``). Known limit:
an older copy that proves itself as well is believed; only the daemon's user can put one there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from exchanged.config import Config, LinkConfig, LinkSide
from exchanged.directory_folder import (
    STEPS,
    DirectoryFolder,
    directory_files,
    read_directory_file,
    read_folder,
)
from exchanged.durable import DurableFiles
from exchanged.errors import VolumeDamagedError
from exchanged.log import event_line
from exchanged.trust import Trust
from packet_spec.directory_trust import RootsInForce
from packet_spec.errors import ExchangeError, FormatError, SignatureError, VersionError
from packet_spec.model import NO_EDITION, Directory, DirectoryNode, KeyUse
from packet_spec.ssh_keys import SshKeys, ssh_keys

# What such a key may do beside the jail: nothing.
OPTIONS: Final = "restrict"
_LOOKS: Final = 3


class Why(StrEnum):
    """Why an account is open or closed."""

    LISTED = "listed-in-the-directory"
    KEYS_FILE = "keys-file"
    """The directory lists no login key of the node yet: what was installed by hand counts."""
    NO_DIRECTORY = "no-directory"
    UNKNOWN_ACCOUNT = "unknown-account"
    UNKNOWN_NODE = "node-not-listed"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class DoorAnswer:
    """``lines`` of authorized_keys that open the account; ``until``: when that may change by itself."""

    why: Why
    lines: tuple[str, ...] = ()
    until: datetime | None = None


class DirectoryCopy:
    """The directory in force, laid into ``folder`` for the SSH server. Used by one thread.

    ``files`` judge the volume of ``folder``, which need not be the node's own.
    """

    def __init__(self, folder: Path, files: DurableFiles, trust: Trust) -> None:
        self._folder = folder
        self._files = files
        self._trust = trust
        self._edition = NO_EDITION
        self._failed = False

    def bring_back(self) -> bool:
        """Take the copy where it is the newer one: who was set back from a backup forgot the newest (C24).

        Else a key that was revoked since would open its account again. True when it is in force now. Raises
        what ``Trust.offer`` raises when our own volume cannot take it.
        """
        before = self._trust.edition
        for folder in (self._folder / STEPS, self._folder):
            with suppress(OSError):
                for _edition, path in sorted(directory_files(folder).items()):
                    with suppress(FormatError, SignatureError, VersionError):
                        self._trust.offer(read_directory_file(path))
        return self._trust.edition != before

    def renew(self) -> None:
        """Lay it there if it is not. A folder that cannot be written is told once, and stops nothing else."""
        if self._edition == self._trust.edition:
            return
        edition = self._trust.edition
        try:
            self._lay()
        except VolumeDamagedError:
            raise
        except (ExchangeError, OSError) as error:
            if not self._failed:
                event_line("door-not-renewed", level=logging.ERROR, folder=str(self._folder), what=str(error))
            self._failed = True
            return
        self._failed = False
        self._edition = edition

    def _lay(self) -> None:
        """The root changes first: at no moment the newest lies there without the way to it."""
        current = self._trust.path()
        for folder in (self._folder, self._folder / STEPS):
            if not folder.is_dir():
                self._files.make_dir(folder, mode=0o755)
        for step in self._trust.steps:
            self._copy(step.path, self._folder / STEPS / step.path.name)
        self._copy(current, self._folder / current.name)
        for path in directory_files(self._folder).values():
            if path.name != current.name:
                self._files.unlink(path)

    def _copy(self, source: Path, target: Path) -> None:
        data = source.read_bytes()
        with suppress(FileNotFoundError):
            if target.read_bytes() == data:
                return
        self._files.write_file(target, (data,), mode=0o644)


def read_copy(folder: Path, anchor: RootsInForce) -> Directory | None:
    """The newest copy that the roots of the configuration prove; None when there is none.

    The daemon may lay a newer one at this very moment, and take away what was listed: then it is looked at
    again, because for want of a directory every account would be closed, and its sessions ended.
    """
    found = DirectoryFolder(anchor)
    for _ in range(_LOOKS):
        try:
            found = read_folder(folder, anchor)
        except OSError:
            return None
        if found.current is not None and not found.passed_over:
            break
    return None if found.current is None else found.current.directory


def who_may_enter(
    config: Config, directory: Directory | None, account: str, installed: Iterable[str], moment: datetime
) -> DoorAnswer:
    """Which keys open ``account`` at ``moment``; ``installed`` are the lines of its keys file.

    ``directory`` is one that proved itself, or None.
    """
    link = next((link for link in served(config) if link.account and link.account == account), None)
    if link is None:
        return DoorAnswer(Why.UNKNOWN_ACCOUNT)
    return answer_for(directory, link.peer, installed, moment)


def answer_for(
    directory: Directory | None, node_code: str, installed: Iterable[str], moment: datetime
) -> DoorAnswer:
    """Which keys let the node ``node_code`` in at ``moment``."""
    if directory is None:
        return DoorAnswer(Why.NO_DIRECTORY)
    node = directory.node(node_code)
    if node is None:
        return DoorAnswer(Why.UNKNOWN_NODE)
    if node.disabled:
        return DoorAnswer(Why.DISABLED)
    keys = ssh_keys(directory, node_code, KeyUse.LOGIN, moment)
    until = _next_change(directory, node, moment)
    if keys.is_listed:
        return DoorAnswer(Why.LISTED, tuple(f"{OPTIONS} {line} {node_code}" for line in keys.valid), until)
    return DoorAnswer(Why.KEYS_FILE, _not_ended(installed, keys), until)


def served(config: Config) -> tuple[LinkConfig, ...]:
    """The links whose mailboxes this node serves."""
    return tuple(link for link in config.links if link.side is LinkSide.SERVE)


def _not_ended(installed: Iterable[str], keys: SshKeys) -> tuple[str, ...]:
    lines = (line.strip() for line in installed)
    return tuple(
        line
        for line in lines
        if line and not line.startswith("#") and not any(ended in line for ended in keys.ended)
    )


def _next_change(directory: Directory, node: DirectoryNode, moment: datetime) -> datetime | None:
    """When time alone may give another answer: a key begins or ends, or is revoked, at whatever node."""
    moments = [when for key in node.keys for when in (key.not_before, key.not_after)]
    moments += [key.revoked_at for other in directory.nodes for key in other.keys if key.revoked_at]
    return min((when for when in moments if when > moment), default=None)
