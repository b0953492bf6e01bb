"""Directories with other nodes and keys than a lab's, as values."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from packet_spec.model import Directory, DirectoryKey, DirectoryNode, KeyUse


def with_node(directory: Directory, code: str, **changes: Any) -> Directory:
    """The directory with that node changed."""
    nodes = tuple(replace(node, **changes) if node.code == code else node for node in directory.nodes)
    return replace(directory, nodes=nodes)


def node_of(directory: Directory, code: str) -> DirectoryNode:
    """The listed node."""
    found = directory.node(code)
    assert found is not None
    return found


def with_keys(directory: Directory, code: str, *keys: DirectoryKey) -> Directory:
    """The directory with more keys at a node."""
    return with_node(directory, code, keys=(*node_of(directory, code).keys, *keys))


def with_revoked(directory: Directory, code: str, use: KeyUse, moment: datetime | None) -> Directory:
    """The directory in which the node's keys of one use are revoked at ``moment``, or not any more."""
    keys = tuple(
        replace(key, revoked_at=moment) if use in key.uses else key for key in node_of(directory, code).keys
    )
    return with_node(directory, code, keys=keys)


def next_version(directory: Directory) -> Directory:
    """As it is, one version on."""
    return replace(directory, version=directory.version + 1)
