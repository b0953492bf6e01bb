"""The station ``keys``: offers new keys of this node to the province when the directory needs them.

A key is made when the directory asks for others or the newest nears its end (``keyring``), lies durable on
disk before anybody is told, and is offered in a note of the kind ``keys`` to the provincial node, until a
directory lists it. The provincial node keeps the last offer of each node for those who make the next
directory (``exchangectl key offers``). Nobody at an agency does anything.

Guarantees: an offer is told once, and again every week while no directory took it; offers are kept only with
proof of possession, of a node for itself. A key that lay here when another of this node was revoked is not
offered any more: whoever copied one file may have copied all. Leaves to others: which key counts from when
on, which is the directory's alone; an offer changes nothing. Known limit: without a provincial node above, a
node keeps its offers in its own ledger, and a person carries them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from exchanged.decisions import Suspicious
from exchanged.ledger import Transaction, key_offers
from exchanged.ledger.rows import ArrivalRow
from exchanged.ledger.times import moment, stamp
from exchanged.log import event_line
from exchanged.parts import Parts
from exchanged.trust import Trust
from packet_spec.key_offer import (
    KeyOffer,
    OfferedKey,
    decode_key_offer,
    encode_key_offer,
    prove,
)
from packet_spec.model import Directory, KeyUse, NodeRole
from packet_spec.note import Note
from packet_spec.note_rules import KEYS

_TOLD: Final = "keys-offered"
_COPIED: Final = "keys-not-offered"
_AGAIN: Final = timedelta(days=7)
_LOOK_SECONDS: Final = 3600.0


class KeyDesk:
    """The station ``keys`` of an opened node."""

    name = "keys"

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._node = parts.config.node.code

    def step(self) -> float | None:
        """Read new key files, and offer what is due. Raises KeyFileError for a file that cannot be used."""
        parts = self._parts
        parts.keyring.refresh()
        now = parts.ports.clock.now()
        offered = parts.keyring.offered(now, self._maybe_copied())
        told = parts.ledger.read().execute("SELECT value FROM node WHERE name = ?", (_TOLD,)).fetchone()
        ids, _, at = ("" if told is None else str(told["value"])).partition(" ")
        wanted = ",".join(secret.key_id for _use, secret in offered)
        if wanted == ids and (not offered or now - moment(at) < _AGAIN):
            return _LOOK_SECONDS
        keys = tuple(
            OfferedKey(use, secret.suite, secret.public)
            if use is KeyUse.ENCRYPT
            else prove(self._node, use, secret.suite, secret.signing())
            for use, secret in offered
        )
        parts.ledger.write(lambda transaction: self._offer(transaction, KeyOffer(self._node, keys), wanted))
        return _LOOK_SECONDS

    def _maybe_copied(self) -> frozenset[str]:
        """The ids of keys that no directory listed yet when it revoked one of this node."""
        parts = self._parts
        revoked = key_offers.count_revoked(parts.trust.directory, self._node) if parts.trust.version else 0
        row = parts.ledger.read().execute("SELECT value FROM node WHERE name = ?", (_COPIED,)).fetchone()
        seen, _, listed = ("0" if row is None else str(row["value"])).partition(" ")
        ids = set(listed.split())
        if revoked != int(seen):
            ids |= parts.keyring.unlisted()
            value = " ".join((str(revoked), *sorted(ids)))
            parts.ledger.write(lambda transaction: transaction.remember(_COPIED, value))
        return frozenset(ids)

    def _offer(self, transaction: Transaction, offer: KeyOffer, wanted: str) -> None:
        parts = self._parts
        province = province_above(parts.trust.directory, self._node)
        if province in ("", self._node):
            revoked = key_offers.count_revoked(parts.trust.directory, self._node)
            key_offers.replace(transaction, offer, transaction.now, revoked)
        elif not parts.statements.send_note(transaction, KEYS, province, encode_key_offer(offer)):
            # No road: the directory or the configuration changes before one is there.
            return
        transaction.remember(_TOLD, f"{wanted} {stamp(transaction.now)}")
        transaction.event(
            "keys-offered", detail={"to": province, "uses": [each.use.value for each in offer.keys]}
        )
        event_line("keys-offered", to=province, uses=" ".join(each.use.value for each in offer.keys))


class KeyOffers:
    """The handler of notes of the kind ``keys`` at the provincial node."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> bool:
        """Keep an offer. Raises Suspicious for another node's, SignatureError and FormatError leaves."""
        offer = decode_key_offer(note.payload)
        if offer.node != note.from_node:
            raise Suspicious("keys-of-another-node")
        revoked = key_offers.count_revoked(self._trust.directory, offer.node)
        if key_offers.replace(transaction, offer, note.at, revoked):
            transaction.event(
                "keys-offer-taken",
                detail={
                    "node": offer.node,
                    "uses": [each.use.value for each in offer.keys],
                    "link": row.link,
                },
            )
        return True


def province_above(directory: Directory, code: str) -> str:
    """The nearest provincial node from ``code`` upwards, itself included; empty where there is none."""
    seen: set[str] = set()
    while code and code not in seen:
        seen.add(code)
        node = directory.node(code)
        if node is None:
            return ""
        if node.role is NodeRole.PROVINCIAL:
            return code
        code = node.parent
    return ""
