"""Who may say what: the one table of custody C21, for state machine, verifier and proof alike.

Guarantees: a statement counts only if its key is the speaking node's own, has the use, was valid at the
stated time, and the speaker is one that the table allows. ``moment`` is the time at which this node
**first saw** the statement: what is dated more than a day later is held (C18), unless its key can never count
for it, and a seal, note, receipt, hop note or head of a log that turns up only after its key was revoked is
held too, because whoever stole a key can date backwards.

Leaves to others: verifying the signature, what a held statement waits for, and which receipts and hop notes
are new to a node: what was seen in time stays good, so ``check_new_receipt`` and ``check_new_hop`` alone ask
who is disabled or revoked by now. Known limit: ``disabled`` has no date, so what is honest and was on its way
is held too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from packet_spec.directory import find_key, find_key_owner, key_valid_at
from packet_spec.errors import (
    AuthorityError,
    DatedAheadError,
    IssuerDisabledError,
    RevokedSinceError,
    UnknownKeyError,
)
from packet_spec.log_head import LogHead
from packet_spec.model import (
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    HopNote,
    KeyUse,
    Receipt,
    ReceiptKind,
    Seal,
)
from packet_spec.note import Note
from packet_spec.note_rules import may_send_note

# Clocks of isolated networks drift by minutes and are set to a wrong zone by hours.
DATED_AHEAD_TOLERANCE: Final = timedelta(days=1)


class Speaker(StrEnum):
    """The parts that somebody can play towards a packet."""

    ADMITTING_NODE = "admitting-node"
    SENDER_NODE = "sender-node"
    RECIPIENT = "recipient"


_ADMITTING, _SENDER, _RECIPIENT = Speaker.ADMITTING_NODE, Speaker.SENDER_NODE, Speaker.RECIPIENT

# C21. A recipient speaks through the node that serves it.
_MAY_ISSUE: Final[Mapping[ReceiptKind, frozenset[Speaker]]] = MappingProxyType(
    {
        ReceiptKind.ACCEPTED: frozenset({_ADMITTING}),
        ReceiptKind.REFUSED: frozenset({_ADMITTING, _RECIPIENT}),
        ReceiptKind.UNDELIVERABLE: frozenset({_ADMITTING, _RECIPIENT}),
        ReceiptKind.EXPIRED: frozenset({_ADMITTING, _SENDER, _RECIPIENT}),
        ReceiptKind.DELIVERED: frozenset({_RECIPIENT}),
        ReceiptKind.COLLECTED: frozenset({_RECIPIENT}),
        ReceiptKind.SIGNED: frozenset({_RECIPIENT}),
    }
)


def may_issue(kind: ReceiptKind, speaker: Speaker) -> bool:
    """Whether a receipt of ``kind`` may come from somebody in that part (C21)."""
    return speaker in _MAY_ISSUE[kind]


def check_receipt_authority(directory: Directory, receipt: Receipt, key_id: str, moment: datetime) -> None:
    """Whether the holder of ``key_id`` may issue ``receipt``, first seen at ``moment``.

    Raises AuthorityError (a security event) when not, UnknownKeyError and its leaves when this directory
    cannot tell (hold, C24).
    """
    key = _key_of(directory, speaking_node(directory, receipt), key_id, KeyUse.RECEIPT)
    _require_valid(key, KeyUse.RECEIPT, receipt.issued_at)
    _require_not_ahead(receipt.issued_at, moment)


def check_new_receipt(directory: Directory, receipt: Receipt, key_id: str, moment: datetime) -> None:
    """Whether a receipt that its issuer may issue still counts where it is first seen at ``moment``.

    Raises IssuerDisabledError or RevokedSinceError (hold): its key may be a thief's by now.
    """
    party = _speaking_party(directory, receipt)
    node, agency = _node(directory, party.node), directory.agency(party.agency)
    if node.disabled or (agency is not None and agency.disabled):
        raise IssuerDisabledError("the issuer is disabled in the directory", found=receipt.issued_by)
    key = _key_of(directory, node, key_id, KeyUse.RECEIPT)
    if key.revoked_at is not None and key.revoked_at <= moment:
        raise RevokedSinceError("the key was revoked before this receipt was seen", found=key_id)


def speaking_node(directory: Directory, receipt: Receipt) -> DirectoryNode:
    """The node through which the issuer speaks. Raises AuthorityError, or UnknownKeyError to hold."""
    return _node(directory, _speaking_party(directory, receipt).node)


def check_seal_authority(directory: Directory, seal: Seal, key_id: str, moment: datetime) -> None:
    """Whether the holder of ``key_id`` may seal for the seal's sender; first seen at ``moment``.

    Raises AuthorityError when not, or when agency or node are disabled; UnknownKeyError and its leaves
    when this directory cannot tell (hold).
    """
    agency = _agency(directory, seal.key.sender)
    node = _node(directory, agency.node)
    if agency.disabled or node.disabled:
        raise AuthorityError("the sender is disabled in the directory", where=f"agency {agency.code}")
    key = _key_of(directory, node, key_id, KeyUse.SEAL)
    _require_valid(key, KeyUse.SEAL, seal.sealed_at)
    _require_not_ahead(seal.sealed_at, moment)
    if key.revoked_at is not None and key.revoked_at <= moment:
        raise RevokedSinceError("the sealing key was revoked before this packet was seen", found=key_id)


def check_link_authority(directory: Directory, node_code: str, key_id: str, moment: datetime) -> None:
    """Whether ``key_id`` may sign waybills for ``node_code`` at ``moment``.

    Raises AuthorityError when not, or when the node is disabled; UnknownKeyError to hold.
    """
    node = _node(directory, node_code)
    if node.disabled:
        raise AuthorityError("the node is disabled in the directory", where=f"node {node_code}")
    _require_valid(_key_of(directory, node, key_id, KeyUse.LINK), KeyUse.LINK, moment)


def check_hop_authority(directory: Directory, note: HopNote, key_id: str, moment: datetime) -> None:
    """Whether ``key_id`` may sign this note: the link key of its own node, valid when the packet left.

    Raises AuthorityError when not; UnknownKeyError and its leaves to hold.
    """
    key = _key_of(directory, _node(directory, note.node), key_id, KeyUse.LINK)
    _require_valid(key, KeyUse.LINK, note.left_at)
    _require_not_ahead(note.left_at, moment)


def check_new_hop(directory: Directory, note: HopNote, key_id: str, moment: datetime) -> None:
    """Whether a note that its node may sign still counts where it is first seen at ``moment``.

    Raises IssuerDisabledError or RevokedSinceError (hold), as of a receipt.
    """
    node = _node(directory, note.node)
    if node.disabled:
        raise IssuerDisabledError("the node is disabled in the directory", found=note.node)
    key = _key_of(directory, node, key_id, KeyUse.LINK)
    if key.revoked_at is not None and key.revoked_at <= moment:
        raise RevokedSinceError("the key was revoked before this hop note was seen", found=key_id)


def check_log_authority(directory: Directory, head: LogHead, key_id: str, moment: datetime) -> None:
    """Whether ``key_id`` may sign this head, first seen at ``moment``: its own node's key of use ``log``.

    Raises AuthorityError when not; UnknownKeyError and its leaves to hold.
    """
    key = _key_of(directory, _node(directory, head.node), key_id, KeyUse.LOG)
    _require_valid(key, KeyUse.LOG, head.at)
    _require_not_ahead(head.at, moment)
    if key.revoked_at is not None and key.revoked_at <= moment:
        raise RevokedSinceError("the key was revoked before this head was seen", found=key_id)


def check_note_authority(directory: Directory, note: Note, key_id: str, moment: datetime) -> None:
    """Whether ``key_id`` may sign this note, first seen at ``moment``: the link key of the node it is from.

    And whether that node has anything of this kind to say to the one it is for (``note_rules``); of a kind
    without a rule this says nothing. Raises AuthorityError when not, or when the node is disabled;
    UnknownKeyError and its leaves to hold.
    """
    node = _node(directory, note.from_node)
    if node.disabled:
        raise AuthorityError("the node is disabled in the directory", where=f"node {node.code}")
    key = _key_of(directory, node, key_id, KeyUse.LINK)
    _require_valid(key, KeyUse.LINK, note.at)
    _require_not_ahead(note.at, moment)
    if key.revoked_at is not None and key.revoked_at <= moment:
        raise RevokedSinceError("the key was revoked before this note was seen", found=key_id)
    if may_send_note(directory, note.kind, node.code, _node(directory, note.to_node).code) is False:
        raise AuthorityError(
            f"{note.from_node} may not send a note of kind {note.kind} to {note.to_node}",
            where=f"note {note.key}",
        )


@dataclass(frozen=True, slots=True)
class _Party:
    """Somebody who may speak: under these names, through this node, for this agency if for one."""

    names: frozenset[str]
    node: str
    agency: str = ""


def _parties(directory: Directory, receipt: Receipt) -> dict[Speaker, _Party]:
    sender = _agency(directory, receipt.key.sender)
    # Point to point the directory names the neighbour's front-end as admitting node (C21).
    parties = {
        Speaker.ADMITTING_NODE: _Party(frozenset({sender.admitting_node}), sender.admitting_node),
        Speaker.SENDER_NODE: _Party(frozenset({sender.node, sender.code}), sender.node, sender.code),
    }
    if receipt.recipient:
        recipient = _agency(directory, receipt.recipient)
        names = frozenset({recipient.code, recipient.node})
        parties[Speaker.RECIPIENT] = _Party(names, recipient.node, recipient.code)
    return parties


def _speaking_party(directory: Directory, receipt: Receipt) -> _Party:
    for speaker, party in _parties(directory, receipt).items():
        if may_issue(receipt.kind, speaker) and receipt.issued_by in party.names:
            return party
    raise AuthorityError(
        f"{receipt.issued_by} may not issue a receipt of kind {receipt.kind}",
        where=f"packet {receipt.key}",
        expected=" or ".join(sorted(_MAY_ISSUE[receipt.kind])),
    )


def _agency(directory: Directory, code: str) -> DirectoryAgency:
    agency = directory.agency(code)
    if agency is None:
        raise UnknownKeyError("the agency is not in the directory in force", found=code)
    return agency


def _node(directory: Directory, code: str) -> DirectoryNode:
    node = directory.node(code)
    if node is None:
        raise UnknownKeyError("the node is not in the directory in force", found=code)
    return node


def _key_of(directory: Directory, node: DirectoryNode, key_id: str, use: KeyUse) -> DirectoryKey:
    key = find_key(directory, node.code, key_id)
    if key is None:
        owner = find_key_owner(directory, key_id)
        if owner is None:
            raise UnknownKeyError("the signing key is not in the directory in force", found=key_id)
        raise AuthorityError("the key belongs to another node", expected=node.code, found=owner[0].code)
    if use not in key.uses:
        raise AuthorityError("the key may not be used for this", expected=use.value, where=f"key {key_id}")
    return key


def _require_valid(key: DirectoryKey, use: KeyUse, stated_at: datetime) -> None:
    if not key_valid_at(key, use, stated_at):
        raise AuthorityError("the key was not valid at the stated time", where=f"key {key.key_id}")


def _require_not_ahead(stated_at: datetime, moment: datetime) -> None:
    """Asked behind the validity of the key: what is dated after that counts at no time, and is not held."""
    ahead = stated_at - moment - DATED_AHEAD_TOLERANCE
    if ahead > timedelta():
        summary = "the statement is dated more than a day ahead of this node's clock"
        raise DatedAheadError(summary, counts_in_seconds=ahead.total_seconds())
