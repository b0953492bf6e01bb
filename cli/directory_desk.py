"""The desk of those who keep a directory: from the one in force to the next one, before it is signed.

Guarantees: pure steps from directory to directory; an agency is never taken out, because old receipts need
it. A file without signatures is a draft: several changes gather in it under one version. Leaves to others:
signing, and what the roots make of it. Known limit: this desk believes the file that it is given; it asks
that as many of its own roots signed it as it names, so that no half-signed one is built upon.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from cli.frame import read_input
from exchanged.key_uses import KEY_KINDS, uses_of
from packet_spec.directory import decode_directory, key_valid_at, open_directory
from packet_spec.errors import ExchangeError
from packet_spec.limits import DIRECTORY_BYTES
from packet_spec.model import (
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    KeyUse,
    NodeRole,
    RootKey,
)
from packet_spec.signing import split_signed


class DeskError(ExchangeError):
    """The directory cannot be changed as asked; nothing was written."""

    reference = "directory-change-refused"
    hint = "look at what it says now: exchangectl directory show FILE"


@dataclass(frozen=True, slots=True)
class Base:
    """What the next directory is made from. ``is_draft``: it is not signed yet, and keeps its version."""

    directory: Directory
    is_draft: bool


def load_base(path: Path) -> Base:
    """The directory in a file. Raises as ``open_directory`` for one that is signed, but not by enough."""
    data = read_input(path, DIRECTORY_BYTES)
    document, signatures = split_signed(data)
    directory = decode_directory(document)
    if not signatures:
        return Base(directory, is_draft=True)
    return Base(open_directory(data, directory.roots, directory.threshold), is_draft=False)


def successor(base: Base, now: datetime, valid: timedelta | None = None) -> Directory:
    """The next version of ``base``, issued ``now``, for as long as before unless ``valid`` says otherwise."""
    before = base.directory
    span = valid or before.expires_at - before.issued_at
    version = before.version if base.is_draft else before.version + 1
    return replace(before, version=version, issued_at=now, expires_at=now + span)


def enrol(
    directory: Directory,
    node: DirectoryNode,
    agency: DirectoryAgency | None,
    now: datetime,
    *,
    again: bool,
    parent_node: str = "",
) -> Directory:
    """Add a node, and the agency that it serves. ``parent_node``: above it, whatever its request says.

    ``again``: it is listed, and gets new keys; what is not among them is revoked ``now``, host keys excepted,
    and an agency that was disabled or retired is in force again. Raises DeskError when it is listed and
    ``again`` is false, or when ``again`` would leave it without a key that counts now, or the request names
    another role than the listing, or another parent that is not ``parent_node``.
    """
    listed = directory.node(node.code)
    if (listed is not None) is not again:
        where = f"node {node.code}"
        if again:
            raise DeskError("there is no such node to be enrolled again", where=where)
        raise DeskError("the node is listed already", where=where, hint="to give it new keys: --again")
    if parent_node:
        node = replace(node, parent=parent_node)
    if listed is not None:
        _require_place(listed, node, parent_node)
        keys = _rekeyed(listed.keys, node.keys, now)
        _require_keys(node, keys, now)
        node = replace(node, parent=node.parent or listed.parent, keys=keys, renew_keys=listed.renew_keys)
    nodes = (*(each for each in directory.nodes if each.code != node.code), node)
    agencies = directory.agencies
    if agency is not None:
        agencies = (*(each for each in agencies if each.code != agency.code), agency)
    elif again:
        agencies = tuple(
            replace(each, disabled=False, retired_at=None) if each.node == node.code else each
            for each in agencies
        )
    return replace(directory, nodes=nodes, agencies=agencies)


def _require_place(listed: DirectoryNode, requested: DirectoryNode, parent_node: str) -> None:
    """New keys are asked for, and no other place: whoever writes the request does not say what a node is."""
    if requested.role is not listed.role:
        raise DeskError(
            "the request names another role than the node has",
            where=f"node {listed.code}",
            expected=listed.role.value,
            found=requested.role.value,
            hint="ask those at the node whether they wrote it; a node keeps its role",
        )
    if requested.parent and requested.parent not in (listed.parent, parent_node):
        raise DeskError(
            "the request names another parent than the node has",
            where=f"node {listed.code}",
            expected=listed.parent,
            found=requested.parent,
            hint="ask those at the node whether they wrote it; if it moves: --parent-node CODE",
        )


def disable(directory: Directory, code: str) -> Directory:
    """Stop an agency at once: its seals and, unless its node serves others, its links. Raises DeskError."""
    agency = _agency(directory, code)
    agencies = tuple(
        replace(each, disabled=True) if each.code == code else each for each in directory.agencies
    )
    serves = [each for each in agencies if each.node == agency.node]
    node = directory.node(agency.node)
    is_alone = all(each.disabled for each in serves) and node is not None and node.role is NodeRole.FRONTEND
    nodes = tuple(
        replace(each, disabled=True) if is_alone and each.code == agency.node else each
        for each in directory.nodes
    )
    changed = replace(directory, agencies=agencies, nodes=nodes)
    if changed == directory:
        raise DeskError("the agency is disabled already", where=f"agency {code}")
    return changed


def retire(directory: Directory, code: str, at: datetime) -> Directory:
    """End an agency in good order: from ``at`` on nothing new is sent by or to it. Raises DeskError."""
    agency = _agency(directory, code)
    if agency.retired_at is not None:
        raise DeskError("the agency is retired already", where=f"agency {code}", found=str(agency.retired_at))
    return replace(
        directory,
        agencies=tuple(
            replace(each, retired_at=at) if each.code == code else each for each in directory.agencies
        ),
    )


def change_roots(
    directory: Directory, add: Sequence[RootKey], remove: Sequence[str], threshold: int | None
) -> Directory:
    """Other roots or another threshold. ``remove`` are key ids. Raises DeskError for one not listed."""
    listed = {root.key_id for root in directory.roots}
    if missing := set(remove) - listed:
        raise DeskError("no root has this key id", found=", ".join(sorted(missing)))
    if twice := listed & {root.key_id for root in add}:
        raise DeskError("the key is a root already", found=", ".join(sorted(twice)))
    roots = (*(root for root in directory.roots if root.key_id not in remove), *add)
    return replace(directory, roots=roots, threshold=threshold or directory.threshold)


def new_epoch(base: Base, directory: Directory) -> Directory:
    """The first version of the next epoch: what went before is older, however high its versions were."""
    if base.is_draft:
        raise DeskError("an epoch begins from a directory that is signed, not from a draft")
    return replace(directory, epoch=base.directory.epoch + 1, version=1)


def add_keys(directory: Directory, code: str, keys: Sequence[DirectoryKey]) -> Directory:
    """Further keys of a node. Raises DeskError for a node that is not listed."""
    node = directory.node(code)
    if node is None:
        raise DeskError("the node is not listed", where=f"node {code}")
    known = {key.key_id for key in node.keys}
    more = tuple(key for key in keys if key.key_id not in known)
    nodes = tuple(
        replace(each, keys=(*each.keys, *more)) if each.code == code else each for each in directory.nodes
    )
    return replace(directory, nodes=nodes)


def _rekeyed(
    old: Sequence[DirectoryKey], new: Sequence[DirectoryKey], now: datetime
) -> tuple[DirectoryKey, ...]:
    """Old keys stay listed, because old receipts need them; what is not named again ends now.

    Not the host key of its SSH server, which no request names: everybody who dials it would be cut off.
    """
    named = {key.key_id for key in new}
    kept = tuple(
        key
        if key.key_id in named or key.revoked_at is not None or KeyUse.HOST in key.uses
        else replace(key, revoked_at=now)
        for key in old
    )
    known = {key.key_id for key in old}
    return (*kept, *(key for key in new if key.key_id not in known))


def _require_keys(requested: DirectoryNode, keys: Sequence[DirectoryKey], now: datetime) -> None:
    """The node can go on: a key counts now for each use that it must have or that its request names.

    An old request names keys that ended since, or were revoked, and would have the ones in use revoked.
    """
    required = {use for use in uses_of(requested.role) if KEY_KINDS[use].is_required}
    wanted = required.union(*(key.uses for key in requested.keys))
    missing = sorted(use for use in wanted if not any(key_valid_at(key, use, now) for key in keys))
    if missing:
        raise DeskError(
            "by this request the node would have no key that counts now",
            where=f"node {requested.code}, use {', '.join(missing)}",
            hint="at the node, move the files of keys that were revoked or have ended away, have"
            " exchangectl node init write enrolment.toml anew, and enrol that",
        )


def _agency(directory: Directory, code: str) -> DirectoryAgency:
    agency = directory.agency(code)
    if agency is None:
        raise DeskError("the agency is not listed", where=f"agency {code}")
    return agency
