"""Which nodes of a lab are joined, and which of two stands above the other: a tree below one root.

Joints are given without order, as pairs of nodes; the order follows from the root, which is the province,
or the first agency where there is none. The lower node of a joint dials, the upper one serves.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from exchanged.config import LinkTransport


@dataclass(frozen=True, slots=True)
class Joint:
    """Two nodes with a link between them. ``transport`` None: what the lab's links are by default."""

    upper: str
    lower: str
    transport: LinkTransport | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two joined nodes as a plan names them, in any order."""

    one: str
    other: str
    transport: LinkTransport | None = None


def arrange(root: str, codes: Iterable[str], pairs: Iterable[Pair]) -> tuple[tuple[Joint, ...], list[str]]:
    """The joints below ``root``, in the order in which they are met, and why they are no tree."""
    known = set(codes)
    neighbours: dict[str, list[Pair]] = defaultdict(list)
    problems: list[str] = []
    for pair in pairs:
        strangers = [code for code in (pair.one, pair.other) if code not in known]
        problems += [f"the plan has no node {code}" for code in strangers]
        if pair.one == pair.other:
            problems.append(f"{pair.one} is joined to itself")
        elif not strangers:
            neighbours[pair.one].append(pair)
            neighbours[pair.other].append(pair)
    joints: list[Joint] = []
    met, waiting, used = {root}, deque([root]), set()
    while waiting:
        upper = waiting.popleft()
        for pair in neighbours[upper]:
            if id(pair) in used:
                continue
            used.add(id(pair))
            lower = pair.other if pair.one == upper else pair.one
            if lower in met:
                problems.append(f"{upper} and {lower} are joined by two ways; a packet has one way only")
                continue
            met.add(lower)
            waiting.append(lower)
            joints.append(Joint(upper, lower, pair.transport))
    problems += [f"no link leads from {root} to {code}" for code in sorted(known - met)]
    return tuple(joints), problems
