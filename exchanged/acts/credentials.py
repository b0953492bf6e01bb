"""Who acts: the kernel's word about the process at the other end of the control socket.

Guarantees: the account is that of the process when it connected (SO_PEERCRED, SO_PEERGROUPS), which it
cannot forge. Whoever became root with ``sudo`` is known by the login that the kernel keeps for every
process since the audit system gave it one (``/proc/<pid>/loginuid``).

Known limits: where a process may not look into those of others (``ProtectProc=`` of a unit, a container)
or no login was set, the command's own word is taken for the login, and marked as such: it is believed of
somebody who is root anyway. A process number can be given anew between connecting and looking; the owner
of the process is compared, so that at worst root is taken for another login of root.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exchanged.acts.values import Operator

_SO_PEERGROUPS: Final = 59
_CREDENTIALS: Final = struct.Struct("3i")
# The most that Python asks the kernel for: 256 groups.
_GROUPS_BYTES: Final = 1024
_UNSET: Final = 0xFFFF_FFFF
_PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class Peer:
    """A process as the kernel describes it; ``groups`` with the first one."""

    pid: int
    uid: int
    groups: frozenset[int]


def peer_of(connection: socket.socket) -> Peer:
    """The process at the other end of a Unix socket, when it connected. Raises OSError."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(data)
    try:
        listed = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_BYTES)
        groups = struct.unpack(f"{len(listed) // 4}I", listed)
    except OSError:
        groups = _listed_groups(uid & 0xFFFF_FFFF, gid & 0xFFFF_FFFF)
    return Peer(pid, uid & 0xFFFF_FFFF, frozenset({gid & 0xFFFF_FFFF, *groups}))


def may_act(peer: Peer, own_uid: int, group: int | None) -> bool:
    """Root, the node's own user, and members of the configured group."""
    return peer.uid in {0, own_uid} or (group is not None and group in peer.groups)


def operator_of(peer: Peer, claims: Mapping[str, Any], proc: Path = _PROC) -> Operator:
    """Who the peer is. ``claims`` is what the command says of its own login; it counts for root alone."""
    login = _login_of(proc / str(peer.pid), peer.uid)
    source = "kernel"
    if login is None and peer.uid == 0:
        claimed = claims.get("login_uid")
        login = claimed if isinstance(claimed, int) and 0 <= claimed < _UNSET else None
        source = "client"
    if login is None or login == peer.uid:
        return Operator(account_name(peer.uid), peer.uid)
    return Operator(account_name(peer.uid), peer.uid, account_name(login), login, source)


def own_operator() -> Operator:
    """Who runs this process: for acts without a daemon. Asked before the process changes its user."""
    peer = Peer(os.getpid(), os.getuid(), frozenset())
    return operator_of(peer, own_claims())


def own_claims() -> dict[str, int]:
    """What a command says of its own login: the kernel's word, else that of sudo."""
    login = _login_of(_PROC / "self", os.getuid())
    if login is None:
        with suppress(ValueError):
            login = int(os.environ.get("SUDO_UID", ""))
    return {} if login is None else {"login_uid": login}


def account_name(uid: int) -> str:
    """The name of an account, as people know it; its number where there is no name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return f"uid {uid}"


def _listed_groups(uid: int, gid: int) -> tuple[int, ...]:
    """The groups that an account has by the machine's books, for one that is in more than fit."""
    try:
        return tuple(os.getgrouplist(pwd.getpwuid(uid).pw_name, gid))
    except (KeyError, OverflowError, OSError):
        return ()


def _login_of(process: Path, uid: int) -> int | None:
    """The login of a process; None when it has none, or when it cannot be seen."""
    try:
        if process.stat().st_uid != uid:
            return None
        login = int((process / "loginuid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return None if login == _UNSET else login
