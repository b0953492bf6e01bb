"""Keys that nodes offered for the next directory: of each node what it offered last.

When that was is kept also of a node that offers nothing any more: what it withdrew does not come back.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.times import moment, stamp
from exchanged.ledger.transaction import Transaction
from packet_spec.key_offer import KeyOffer, OfferedKey
from packet_spec.model import KeyUse


@dataclass(frozen=True, slots=True)
class OfferRow:
    """One offered key; ``at`` is when its node said so."""

    node: str
    key: OfferedKey
    at: datetime


def replace(transaction: Transaction, offer: KeyOffer, at: datetime) -> bool:
    """Keep ``offer`` instead of what its node offered before. False: a later one is here already."""
    name = f"keys-offered-by {offer.node}"
    last = transaction.recall(name)
    if last is not None and last > stamp(at):
        return False
    transaction.remember(name, stamp(at))
    transaction.execute("DELETE FROM key_offer WHERE node = ?", offer.node)
    for key in offer.keys:
        transaction.execute(
            "INSERT INTO key_offer VALUES (?, ?, ?, ?, ?, ?, ?)",
            offer.node, key.use.value, key.key_id, key.suite, key.public, key.proof, stamp(at),
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
        )
        for row in rows
    )
