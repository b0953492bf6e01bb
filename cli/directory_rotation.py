"""Keys change by the directory: ask nodes for new ones, take what they offer, end and revoke old ones.

Guarantees: pure steps from directory to directory. A new key counts from a moment that lies ahead, and the
old one counts on for an overlap: whoever has the directory already and whoever has the old one both take
what is signed. A key is never taken out, because old receipts need it. Leaves to others: signing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cli.directory_desk import DeskError
from packet_spec.key_offer import OfferedKey, check_offered
from packet_spec.model import Directory, DirectoryKey, DirectoryNode

_TERM: Final = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Schedule:
    """New keys count from ``at`` for ``term``; those before them until ``overlap`` after it."""

    at: datetime
    overlap: timedelta
    term: timedelta = _TERM


def ask_for_keys(directory: Directory, codes: Sequence[str], at: datetime) -> Directory:
    """Ask the nodes ``codes``, or all, for other keys than those that begin before ``at``.

    Raises DeskError for a node that is not listed.
    """
    _require_listed(directory, codes)
    return _with_nodes(
        directory,
        lambda node: (
            replace(node, renew_keys=at) if not node.disabled and (not codes or node.code in codes) else node
        ),
    )


def take_offers(
    directory: Directory, offers: Iterable[tuple[str, OfferedKey]], schedule: Schedule
) -> Directory:
    """List offered keys that are not listed yet, and let those of the same use end after the overlap.

    Raises DeskError when nothing is left to take, a node is not listed or is disabled, or a key is offered
    twice; SignatureError for an offer without proof.
    """
    listed = {key.key_id for node in directory.nodes for key in node.keys}
    by_node: dict[str, list[OfferedKey]] = {}
    owners: dict[str, str] = {}
    for code, key in offers:
        if key.key_id not in listed:
            check_offered(code, (key,))
            if key.key_id in owners:
                # A key for encryption proves nothing: one of them may have taken it from the other.
                raise DeskError(
                    "the same key is offered twice",
                    where=f"nodes {owners[key.key_id]} and {code}, key {key.key_id}",
                    hint="ask both whose it is, and take the other's out of the file",
                )
            owners[key.key_id] = code
            by_node.setdefault(code, []).append(key)
    if not by_node:
        raise DeskError("there is no offered key that is not listed yet", hint="see: exchangectl key offers")
    _require_listed(directory, tuple(by_node))
    for code in by_node:
        if (node := directory.node(code)) is not None and node.disabled:
            raise DeskError(
                "a disabled node offers keys",
                where=f"node {code}",
                hint="take them out of the file; to let the node back in: exchangectl agency enrol --again",
            )
    return _with_nodes(directory, lambda node: _taken(node, by_node.get(node.code, ()), schedule))


def end_key(directory: Directory, key_id: str, at: datetime) -> Directory:
    """The key counts until ``at``: in good order, what it signed before stays good.

    Raises DeskError, also where it had not begun by then.
    """

    def ended(key: DirectoryKey) -> DirectoryKey:
        if at <= key.not_before:
            raise DeskError(
                "the key has not begun to count by then",
                where=f"key {key_id}",
                expected=f"after {key.not_before.isoformat()}",
                found=at.isoformat(),
                hint="give a later --at, or --revoke it: then it never counts",
            )
        return replace(key, not_after=min(key.not_after, at))

    return _with_key(directory, key_id, ended)


def revoke_key(directory: Directory, key_id: str, at: datetime) -> Directory:
    """The key counts no more from ``at`` on, whatever date stands on it. Raises DeskError."""
    return _with_key(
        directory,
        key_id,
        lambda key: replace(key, revoked_at=at if key.revoked_at is None else min(key.revoked_at, at)),
    )


def _taken(node: DirectoryNode, offered: Sequence[OfferedKey], schedule: Schedule) -> DirectoryNode:
    uses = {key.use for key in offered}
    old = tuple(_ended(key, schedule) if uses.issuperset(key.uses) else key for key in node.keys)
    new = tuple(
        DirectoryKey(key.key_id, key.suite, key.public, (key.use,), schedule.at, schedule.at + schedule.term)
        for key in offered
    )
    return replace(node, keys=(*old, *new))


def _ended(key: DirectoryKey, schedule: Schedule) -> DirectoryKey:
    # Not before it began: a key that was scheduled and never used ends where it begins to count.
    end = max(min(key.not_after, schedule.at + schedule.overlap), key.not_before + timedelta(seconds=1))
    return replace(key, not_after=end)


def _with_key(directory: Directory, key_id: str, change: Callable[[DirectoryKey], DirectoryKey]) -> Directory:
    changed = _with_nodes(
        directory,
        lambda node: replace(
            node, keys=tuple(change(key) if key.key_id == key_id else key for key in node.keys)
        ),
    )
    if changed == directory:
        is_listed = any(key.key_id == key_id for node in directory.nodes for key in node.keys)
        summary = "the key has ended already" if is_listed else "no node has this key"
        raise DeskError(summary, found=key_id)
    return changed


def _require_listed(directory: Directory, codes: Sequence[str]) -> None:
    for code in codes:
        if directory.node(code) is None:
            raise DeskError("the node is not listed", where=f"node {code}")


def _with_nodes(directory: Directory, change: Callable[[DirectoryNode], DirectoryNode]) -> Directory:
    return replace(directory, nodes=tuple(change(node) for node in directory.nodes))
