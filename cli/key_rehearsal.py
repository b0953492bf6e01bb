"""Who would break on a date, by what a directory says: keys that end, gaps between them, its own end.

Guarantees: everything that the directory itself decides until that date is looked at, for every node that
is not disabled. Values in, rows out. Leaves to others: what it costs to mend it. Known limit: of a
neighbour with an older directory nobody here knows what stands in that one; it is named, not judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from exchanged.key_uses import KEY_KINDS
from packet_spec.model import Directory, DirectoryKey, DirectoryNode, Edition, KeyUse

_ALL: Final = "*"


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """A row. ``what`` is a kebab-case word; ``at`` when it begins; ``breaks``: something stands still."""

    breaks: bool
    node: str
    what: str
    use: str
    at: datetime
    detail: str = ""


def rehearse(directory: Directory, now: datetime, at: datetime) -> tuple[Rehearsed, ...]:
    """What goes wrong between ``now`` and ``at`` when nothing is done, the earliest first."""
    return tuple(sorted(_found(directory, now, at), key=lambda row: (row.at, row.node, row.use)))


def rehearse_here(
    directory: Directory, code: str, here: Mapping[KeyUse, Collection[str]], at: datetime
) -> tuple[Rehearsed, ...]:
    """Uses for which the directory lists a key of this node at ``at``, and none of those lies here.

    ``here``: ids of the key files by use.
    """
    node = directory.node(code)
    rows = []
    for use, ids in here.items():
        listed = [key for key in _of_use(node, use) if _counts(key, at)]
        if listed and not any(key.key_id in ids for key in listed):
            named = ", ".join(key.key_id for key in listed)
            rows.append(Rehearsed(use is not KeyUse.LOGIN, code, "key-not-here", use.value, at, named))
    return tuple(rows)


def rehearse_neighbours(
    directory: Directory, neighbours: Mapping[str, Edition], now: datetime, at: datetime
) -> tuple[Rehearsed, ...]:
    """Neighbours, by node code, that have an older directory, while keys begin to count until ``at``."""
    begins = sorted(
        key.not_before for node in directory.nodes for key in node.keys if now < key.not_before <= at
    )
    return tuple(
        Rehearsed(bool(begins), code, "older-directory", "", begins[0] if begins else now, str(edition))
        for code, edition in sorted(neighbours.items())
        if edition < directory.edition
    )


def _found(directory: Directory, now: datetime, at: datetime) -> Iterator[Rehearsed]:
    if directory.expires_at <= at:
        yield Rehearsed(True, _ALL, "directory-ends", "", directory.expires_at)
    for node in directory.nodes:
        if node.disabled:
            continue
        for use in KeyUse:
            gap = _gap(_of_use(node, use), now, at)
            if gap is None:
                continue
            kind = KEY_KINDS.get(use)
            is_needed = kind is not None and kind.is_required and node.role in kind.roles
            if is_needed or _of_use(node, use):
                yield Rehearsed(is_needed or gap > now, node.code, "no-key", use.value, gap)


def _gap(keys: tuple[DirectoryKey, ...], now: datetime, at: datetime) -> datetime | None:
    """The first moment from ``now`` to ``at`` at which none of ``keys`` counts."""
    moment = now
    while moment <= at:
        ends = [_end(key) for key in keys if _counts(key, moment)]
        if not ends:
            return moment
        moment = max(ends)
    return None


def _counts(key: DirectoryKey, moment: datetime) -> bool:
    return key.not_before <= moment < _end(key)


def _end(key: DirectoryKey) -> datetime:
    return key.not_after if key.revoked_at is None else min(key.not_after, key.revoked_at)


def _of_use(node: DirectoryNode | None, use: KeyUse) -> tuple[DirectoryKey, ...]:
    return tuple(key for key in (() if node is None else node.keys) if use in key.uses)
