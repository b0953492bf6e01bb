"""What one directory says otherwise than another, so that whoever signs sees what he signs.

Guarantees: every field of every part is compared, so nothing is left out. Values in, rows out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final

from packet_spec.directory_trust import roots_fingerprint
from packet_spec.model import Directory, DirectoryAgency, DirectoryKey, DirectoryNode, RootKey

NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class Change:
    """``what`` was ``before`` and becomes ``after``; ``-`` where it is not there."""

    what: str
    before: str
    after: str


def changes(old: Directory, new: Directory) -> tuple[Change, ...]:
    """Everything in which ``new`` differs from ``old``."""
    return tuple(_all(old, new))


def _all(old: Directory, new: Directory) -> Iterator[Change]:
    for name in ("epoch", "version", "issued_at", "expires_at", "threshold"):
        yield from _differs(name, getattr(old, name), getattr(new, name))
    prints = [roots_fingerprint(each.roots, each.threshold) for each in (old, new)]
    yield from _differs("root fingerprint", *prints)
    yield from _members("root", _roots(old), _roots(new))
    yield from _members("node", _nodes(old), _nodes(new))
    yield from _members("key", _keys(old), _keys(new))
    yield from _members("agency", _agencies(old), _agencies(new))
    for name in ("packs", "routes", "enabled_types"):
        before, after = (set(map(str, getattr(each, name))) for each in (old, new))
        for value in sorted(before - after):
            yield Change(name, value, NOTHING)
        for value in sorted(after - before):
            yield Change(name, NOTHING, value)


def _members(
    kind: str, old: Mapping[str, Mapping[str, object]], new: Mapping[str, Mapping[str, object]]
) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        what = f"{kind} {name}"
        if name not in new:
            yield Change(what, _summary(old[name]), NOTHING)
        elif name not in old:
            yield Change(what, NOTHING, _summary(new[name]))
        else:
            for field in new[name]:
                yield from _differs(f"{what}: {field}", old[name][field], new[name][field])


def _differs(what: str, before: object, after: object) -> Iterator[Change]:
    if before != after:
        yield Change(what, _shown(before), _shown(after))


def _summary(values: Mapping[str, object]) -> str:
    return ", ".join(_shown(value) for value in values.values() if value not in ("", (), None, False))


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return " ".join(map(_shown, value)) or NOTHING
    return NOTHING if value is None or value == "" else str(value)


def _values(
    thing: RootKey | DirectoryNode | DirectoryAgency | DirectoryKey, leave_out: Sequence[str]
) -> dict[str, object]:
    return {each.name: getattr(thing, each.name) for each in fields(thing) if each.name not in leave_out}


def _roots(directory: Directory) -> dict[str, dict[str, object]]:
    return {root.key_id: _values(root, ["key_id"]) for root in directory.roots}


def _nodes(directory: Directory) -> dict[str, dict[str, object]]:
    return {node.code: _values(node, ["code", "keys"]) for node in directory.nodes}


def _keys(directory: Directory) -> dict[str, dict[str, object]]:
    return {
        f"{node.code} {key.key_id}": _values(key, ["key_id"]) for node in directory.nodes for key in node.keys
    }


def _agencies(directory: Directory) -> dict[str, dict[str, object]]:
    return {agency.code: _values(agency, ["code"]) for agency in directory.agencies}
