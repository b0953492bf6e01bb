"""Open batches whose link key ended or was revoked, or that nobody answers: signed anew (C4).

Guarantees: everything that the waybill says stays, but for the key that it names. Whoever has landed the old
one knows the batch by that, and takes it for no second node of this name (``forks``). The name of the file
changes, because a neighbour that refused the old one does not look at it again.

Leaves to others: removing the old file (``offering``). Known limit: what the directory has not listed is
left as it is; others hold it until they know the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from exchanged.ledger import Transaction, batches
from exchanged.ledger.rows import BatchRow
from exchanged.link_context import LinkContext
from exchanged.mailbox import batch_name
from packet_spec.directory import find_key, key_valid_at
from packet_spec.model import KeyUse
from packet_spec.signing import decode_signature
from packet_spec.waybill import decode_waybill, encode_waybill, sign_waybill


def sign_anew(link: LinkContext, rows: Sequence[BatchRow]) -> None:
    """Sign those of ``rows`` again that need it. Raises NoKeyInForceError when no key of ours counts."""
    now = link.clock.now()
    ended = [row for row in rows if _has_ended(link, row, now)]

    def sign(transaction: Transaction) -> None:
        for row in ended:
            _replace(transaction, link, row)
            transaction.event("batch-signed-anew", detail={"link": link.name, "number": row.number})

    if ended:
        link.ledger.write(sign)


def name_anew(link: LinkContext, row: BatchRow) -> None:
    """Let it be put once more, as another file. Raises NoKeyInForceError when no key of ours counts."""

    def name(transaction: Transaction) -> None:
        _replace(transaction, link, row)
        transaction.event("batch-put-again", detail={"link": link.name, "number": row.number})

    link.ledger.write(name)


def _has_ended(link: LinkContext, row: BatchRow, now: datetime) -> bool:
    key = find_key(link.trust.directory, link.node, decode_signature(row.signature).key_id)
    return key is not None and key.not_before <= now and not key_valid_at(key, KeyUse.LINK, now)


def _replace(transaction: Transaction, link: LinkContext, row: BatchRow) -> None:
    key = link.link_key(link.clock.now())
    data = encode_waybill(replace(decode_waybill(row.waybill), key_id=key.key_id))
    name = batch_name(row.number, link.randomness.token(8))
    batches.sign_anew(transaction, row.id, name, data, sign_waybill(data, key))
