"""The way of a packet through the tree of nodes, as a directory lists it (docs/proof-format.md, the way)."""

from __future__ import annotations

from itertools import pairwise

from packet_spec.model import Directory
from packet_spec.proof_values import Fault


def legs_of(directory: Directory, sender: str, recipients: tuple[str, ...]) -> frozenset[tuple[str, str]]:
    """The pairs (node, next node) on the ways from ``sender`` to ``recipients``; the last next node is empty.

    A way goes over the sender's admitting node. Raises Fault where one is no agency of ``directory``.
    """
    start, turn = _nodes_of(directory, sender)
    legs: set[tuple[str, str]] = set(pairwise(_between(directory, start, turn)))
    for recipient in recipients:
        end, _ = _nodes_of(directory, recipient)
        legs |= set(pairwise(_between(directory, turn, end))) | {(end, "")}
    return frozenset(legs)


def _nodes_of(directory: Directory, code: str) -> tuple[str, str]:
    agency = directory.agency(code)
    if agency is None:
        raise Fault("proof-speaker-unknown")
    return agency.node, agency.admitting_node


def _between(directory: Directory, start: str, end: str) -> list[str]:
    """Up to the nearest node that stands above both, and down; empty where there is none."""
    up, down = _above(directory, start), _above(directory, end)
    common = next((node for node in up if node in down), None)
    if common is None:
        return []
    return up[: up.index(common)] + down[: down.index(common) + 1][::-1]


def _above(directory: Directory, code: str) -> list[str]:
    found: list[str] = []
    while code:
        found.append(code)
        node = directory.node(code)
        code = "" if node is None else node.parent
    return found
