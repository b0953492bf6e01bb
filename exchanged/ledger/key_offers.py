"""Keys that nodes offered for the next directory: of each node what it offered last.

When that was is kept also of a node that offers nothing any more: what it withdrew does not come back. An
offer counts from its landing at the latest, whatever date stands on it, and until its node is disabled or one
more of its keys is revoked: whoever stole that may have offered others in its name.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.key_offer import KeyOffer, OfferedKey
from packet_spec.model import Directory, KeyUse


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One offered key; ``at`` is when its node said so, ``revoked`` how many of its keys were by then."""

    node: str
    key: OfferedKey
    at: datetime
    revoked: int

    def is_good(self, directory: Directory) -> bool:
        """It may be taken into the directory that follows this one."""
        node = directory.node(self.node)
        return node is not None and not node.disabled and count_revoked(directory, self.node) == self.revoked


def count_revoked(directory: Directory, code: str) -> int:
    """How many keys of that node the directory revokes, at whatever time."""
    node = directory.node(code)
    return 0 if node is None else sum(key.revoked_at is not None for key in node.keys)


def replace(transaction: Transaction, offer: KeyOffer, at: datetime, revoked: int) -> bool:
    """Keep ``offer`` instead of what its node offered before. False: a later one is here already.

    ``revoked``: how many keys of its node the directory in force revokes. What came before one of them was
    revoked, or bears a time that has not come, keeps nothing out.
    """
    name, at = f"keys-offered-by {offer.node}", min(at, transaction.now)
    last_at, _, last_revoked = (transaction.recall(name) or "").partition(" ")
    if int(last_revoked or "0") == revoked and stamp(at) < last_at <= transaction.stamp:
        return False
    transaction.remember(name, f"{stamp(at)} {revoked}")
    transaction.execute("DELETE FROM key_offer WHERE node = ?", offer.node)
    for key in offer.keys:
        transaction.execute(
            "INSERT INTO key_offer VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            offer.node, key.use.value, key.key_id, key.suite, key.public, key.proof, stamp(at), revoked,
        )  # fmt: skip
    return True


def every(connection: sqlite3.Connection) -> tuple[OfferRow, ...]:
    """All offers, by node and use."""
    rows = connection.execute("SELECT * FROM key_offer ORDER BY node, use, key_id")
    return tuple(
        OfferRow(
            row["node"],
            OfferedKey(KeyUse(row["use"]), row["suite"], bytes(row["public"]), row["proof"]),
            moment(row["at"]),
            row["revoked"],
        )
        for row in rows
    )


def drop_bad(transaction: Transaction, directory: Directory) -> None:
    """Forget the offers that ``directory`` lets nobody take any more."""
    for node in sorted({row.node for row in every(transaction.connection) if not row.is_good(directory)}):
        transaction.execute("DELETE FROM key_offer WHERE node = ?", node)
        transaction.event("keys-offer-dropped", detail={"node": node})
