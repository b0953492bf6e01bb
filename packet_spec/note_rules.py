"""Which node may say what kind of note to which other: the one table of it (C16, C21, C23).

Guarantees: a kind has one rule, a pure question to the directory; every node that a note comes to asks it, so
a note between two that have nothing to say to each other is neither followed nor passed on. Leaves to others:
whose key signed it (``authority``), by which link it came, and what its payload says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from packet_spec.directory import ancestors
from packet_spec.model import Directory, NodeRole

KEYS: Final = "keys"
LOG: Final = "log"
RESTORE: Final = "restore"

Rule = Callable[[Directory, str, str], bool]


def may_send_note(directory: Directory, kind: str, from_node: str, to_node: str) -> bool | None:
    """Whether ``from_node`` may send a note of ``kind`` to ``to_node``; None: no rule knows that kind."""
    rule = _RULES.get(kind)
    return None if rule is None else from_node != to_node and rule(directory, from_node, to_node)


def between(directory: Directory, one: str, other: str) -> tuple[str, ...] | None:
    """The nodes that stand between two, in any order; None where no way of the tree leads from one to other.

    Both are left out.
    """
    ups, downs = ancestors(directory, one), ancestors(directory, other)
    meeting = next((code for code in ups if code in downs), None)
    if meeting is None:
        return None
    way = [*ups[: ups.index(meeting) + 1], *downs[: downs.index(meeting)]]
    return tuple(code for code in way if code not in (one, other))


def has_to_be_asked(directory: Directory, here: str, other: str) -> bool:
    """What ``here`` forgot in a restore may lie with ``other``, and with nobody between the two (C14, C23).

    Bridges remember nothing for long. A provincial node keeps what it admits, but passes on the packets of
    others like a bridge; past one, those keep bytes who admit their senders, and who seal what goes to or
    through ``here`` to be admitted. Whoever is asked may be a bridge or a neighbour as well.
    """
    nodes = between(directory, here, other)
    if nodes is None:
        return False
    roles = {_role(directory, code) for code in nodes}
    if roles <= {NodeRole.BRIDGE}:
        return True
    if not roles <= {NodeRole.BRIDGE, NodeRole.PROVINCIAL}:
        return False
    return any(
        agency.admitting_node == other
        or (agency.node == other and _is_on_the_way(directory, here, other, agency.admitting_node))
        for agency in directory.agencies
    )


def _is_on_the_way(directory: Directory, here: str, one: str, other: str) -> bool:
    return here == other or here in (between(directory, one, other) or ())


def _may_restore(directory: Directory, one: str, other: str) -> bool:
    """One has to ask the other what it forgot, or the other way round."""
    return has_to_be_asked(directory, one, other) or has_to_be_asked(directory, other, one)


def _is_of_a_log(directory: Directory, one: str, other: str) -> bool:
    """One admits agencies, and the other serves some: recipients elsewhere are shown entries too."""
    admits = {agency.admitting_node for agency in directory.agencies}
    serves = {agency.node for agency in directory.agencies}
    serves |= {node.code for node in directory.nodes if node.role is NodeRole.FRONTEND}
    return (one in admits and other in serves) or (other in admits and one in serves)


def _is_with_the_province(directory: Directory, one: str, other: str) -> bool:
    return NodeRole.PROVINCIAL in (_role(directory, one), _role(directory, other))


def _role(directory: Directory, code: str) -> NodeRole | None:
    node = directory.node(code)
    return None if node is None else node.role


_RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {KEYS: _is_with_the_province, LOG: _is_of_a_log, RESTORE: _may_restore}
)
