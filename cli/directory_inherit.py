"""What a directory that is built from a plan takes over from the one before it.

Guarantees: nothing that the base lists is lost by a plan that is older than it or leaves it out: nodes,
agencies, packs and keys stay, a key keeps its beginning, its end comes no later, and what was revoked,
disabled or retired remains so. What the plan states otherwise counts, where none of this forbids it. So
what was signed before the build is judged after it as it was before.

Leaves to others: reading the plan (``directory_plan``), showing what becomes different (``desk_output``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from packet_spec.model import Directory, DirectoryAgency, DirectoryKey, DirectoryNode, KeyUse, PackReference
from packet_spec.pack import shipped_pack


def listed_pack(base: Directory | None, digest: str) -> PackReference | None:
    """What ``base`` says of a pack. Where it names none, the standard of the programs counts from the first.

    Nothing was sealed before the first key of the directory began.
    """
    if base is None:
        return None
    if not base.packs and digest == shipped_pack().digest:
        stamp = shipped_pack().stamp
        first = min((key.not_before for node in base.nodes for key in node.keys), default=base.issued_at)
        return PackReference(stamp.name, stamp.version, stamp.digest, first)
    return next((each for each in base.packs if each.digest == digest), None)


def later_pack(
    known: PackReference | None, planned: PackReference, begins: datetime | None, now: datetime
) -> PackReference:
    """``planned`` after ``known``; ``begins`` is what the plan states. What is in force stays in force."""
    if known is None:
        return planned
    valid_from = known.valid_from
    if begins is not None:
        valid_from = begins if now < known.valid_from else min(begins, known.valid_from)
    return replace(planned, valid_from=valid_from)


def all_packs(base: Directory, planned: Sequence[PackReference]) -> tuple[PackReference, ...]:
    """The packs of the plan, and those of ``base`` that it does not name."""
    digests = {each.digest for each in planned}
    return (*(each for each in base.packs if each.digest not in digests), *planned)


def later_key(known: DirectoryKey, uses: Sequence[KeyUse], end: datetime | None) -> DirectoryKey:
    """A listed key that a plan names again, with ``uses`` and the ``end`` that it states."""
    return replace(
        known,
        uses=tuple(dict.fromkeys((*known.uses, *uses))),
        not_after=known.not_after if end is None else min(known.not_after, end),
    )


def earliest(*moments: datetime | None) -> datetime | None:
    """The first of those that are given."""
    return min((each for each in moments if each is not None), default=None)


def all_nodes(base: Directory, planned: Sequence[DirectoryNode]) -> tuple[DirectoryNode, ...]:
    """The nodes of the plan with what ``base`` knows of them, and those that the plan does not name."""
    stated = {node.code: _later_node(base.node(node.code), node) for node in planned}
    return (*(stated.pop(each.code, each) for each in base.nodes), *stated.values())


def all_agencies(base: Directory, planned: Sequence[DirectoryAgency]) -> tuple[DirectoryAgency, ...]:
    """The agencies of the plan with what ``base`` knows of them, and those that the plan does not name."""
    stated = {each.code: _later_agency(base.agency(each.code), each) for each in planned}
    return (*(stated.pop(each.code, each) for each in base.agencies), *stated.values())


def _later_node(known: DirectoryNode | None, planned: DirectoryNode) -> DirectoryNode:
    if known is None:
        return planned
    stated = {key.key_id: key for key in planned.keys}
    kept = tuple(stated.pop(key.key_id, key) for key in known.keys)
    return replace(
        planned,
        parent=planned.parent or known.parent,
        keys=(*kept, *stated.values()),
        disabled=planned.disabled or known.disabled,
        renew_keys=known.renew_keys,
    )


def _later_agency(known: DirectoryAgency | None, planned: DirectoryAgency) -> DirectoryAgency:
    if known is None:
        return planned
    return replace(
        planned,
        parent=planned.parent or known.parent,
        business_types=planned.business_types or known.business_types,
        case_kinds=planned.case_kinds or known.case_kinds,
        aliases=planned.aliases or known.aliases,
        disabled=planned.disabled or known.disabled,
        retired_at=earliest(planned.retired_at, known.retired_at),
    )
