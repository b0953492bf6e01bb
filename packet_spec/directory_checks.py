"""What a schema cannot say about a directory: every reference meets its target, nothing is said twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from packet_spec.errors import DirectoryError
from packet_spec.limits import DIRECTORY_VERSION, PACKS
from packet_spec.model import Directory, DirectoryAgency, DirectoryKey, DirectoryNode, NodeRole, RootKey
from packet_spec.signing import key_id_of

# Roles that serve agencies; two front-ends may admit for each other, point to point (C21).
_SERVING = frozenset({NodeRole.FRONTEND, NodeRole.PROVINCIAL})


def require_consistent(directory: Directory) -> None:
    """Raises DirectoryError at the first contradiction, naming the code at fault."""
    if not 1 <= directory.threshold <= len(directory.roots):
        raise DirectoryError("the threshold of roots cannot be met", found=str(directory.threshold))
    if directory.version > DIRECTORY_VERSION or not 1 <= directory.epoch <= DIRECTORY_VERSION:
        raise DirectoryError(
            "a directory's epoch or version is out of range",
            expected=f"at most {DIRECTORY_VERSION}",
            found=str(directory.edition),
        )
    _require_order(directory.issued_at, directory.expires_at, "directory")
    keys = [key for node in directory.nodes for key in node.keys]
    _require_unique([root.key_id for root in directory.roots] + [key.key_id for key in keys], "key")
    _require_unique((node.code for node in directory.nodes), "node")
    _require_unique((agency.code for agency in directory.agencies), "agency")
    _require_unique((f"{pack.name} {pack.version}" for pack in directory.packs), "pack")
    if len(directory.packs) > PACKS:
        raise DirectoryError(
            "a directory names too many packs", expected=f"at most {PACKS}", found=str(len(directory.packs))
        )
    _require_unique(directory.enabled_types, "enabled business type")
    for route in directory.routes:
        _require_unique(route.business_types, "business type of a route")
        _require_unique(route.case_kinds, "case kind of a route")
    for root in directory.roots:
        _require_key_id(root)
    for node in directory.nodes:
        for key in node.keys:
            _require_key(node, key)
    for agency in directory.agencies:
        _require_agency(directory, agency)
    for pack in directory.packs:
        if pack.valid_until is not None:
            _require_order(pack.valid_from, pack.valid_until, f"pack {pack.name}")
    _require_tree({node.code: node.parent for node in directory.nodes}, "node")
    _require_tree({agency.code: agency.parent for agency in directory.agencies}, "agency")


def _require_key(node: DirectoryNode, key: DirectoryKey) -> None:
    _require_key_id(key)
    _require_order(key.not_before, key.not_after, f"key {key.key_id}")
    if not key.uses or len(set(key.uses)) != len(key.uses):
        raise DirectoryError("a key names no use, or one twice", where=f"node {node.code}")


def _require_key_id(key: DirectoryKey | RootKey) -> None:
    if key.key_id != key_id_of(key.suite, key.public):
        raise DirectoryError("a key id is not that of its public key", where=f"key {key.key_id}")


def _require_agency(directory: Directory, agency: DirectoryAgency) -> None:
    for code in (agency.node, agency.admitting_node):
        node = directory.node(code)
        if node is None or node.role not in _SERVING:
            raise DirectoryError(
                "an agency names a node that does not serve agencies",
                where=f"agency {agency.code}",
                expected="a front-end or provincial node of this directory",
                found=code,
            )
    _require_unique(agency.business_types, f"business type of agency {agency.code}")
    _require_unique(agency.case_kinds, f"case kind of agency {agency.code}")
    _require_unique((f"{system} {value}" for system, value in agency.aliases), f"alias of {agency.code}")


def _require_order(first: datetime, last: datetime, what: str) -> None:
    if first >= last:
        raise DirectoryError("a time of validity ends before it begins", where=what)


def _require_unique(values: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise DirectoryError(f"a {what} is listed twice", found=value)
        seen.add(value)


def _require_tree(parents: Mapping[str, str], what: str) -> None:
    """Every parent is listed and nobody is his own ancestor."""
    rooted: set[str] = set()
    for code in parents:
        path: set[str] = set()
        above = code
        while above and above not in rooted:
            if above not in parents:
                raise DirectoryError(f"the parent of a {what} is not listed", where=code, found=above)
            if above in path:
                raise DirectoryError(f"a {what} is its own ancestor", where=code)
            path.add(above)
            above = parents[above]
        rooted.update(path)
