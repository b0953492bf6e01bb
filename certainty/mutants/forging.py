"""The part of a hostile relay: a receipt that nobody issued goes out in a batch that is signed properly.

It writes into the ledger of a bridge whose daemon is stopped, with this program's own code: an attacker who
has that machine can do no less, and no more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from certainty.books.driver import Dropped
from cli.lab.lab import Lab
from exchanged.clock import SystemClock
from exchanged.config import load_config
from exchanged.keys import load_key
from exchanged.ledger import Ledger, Transaction, batches, statements
from exchanged.places import LEDGER_FILE
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.receipt import decode_receipt, sign_receipt
from packet_spec.signing import split_signed
from packet_spec.told import Status


def forge_delivered(lab: Lab, bridge: str, status: Status, dropped: Dropped, receiver: str) -> None:
    """Let ``bridge`` tell the sender that ``receiver`` has the packet, signed with the bridge's own key."""
    config = load_config(lab.node_config(bridge))
    data = config.node.data_dir
    key = load_key(data / "keys" / "link.key")
    ledger = Ledger(data / LEDGER_FILE, SystemClock(), on_wake=lambda _names: None, threaded=False)
    try:
        packet_key = PacketKey(dropped.agency, status.packet_id or "")
        accepted = next(
            decode_receipt(split_signed(row.document)[0])
            for row in statements.receipts_of(ledger.read(), packet_key)
            if row.kind == ReceiptKind.ACCEPTED.value
        )
        forged = replace(
            accepted,
            kind=ReceiptKind.DELIVERED,
            recipient=receiver,
            issued_by=receiver,
            issued_at=datetime.now(UTC),
            number=accepted.number + 1_000,
        )
        document = sign_receipt(forged, key)
        links = [link.name for link in config.links if link.peer == dropped.agency]

        def put(transaction: Transaction) -> None:
            number = statements.record_receipt(transaction, forged, document, own=False)
            assert number is not None
            batches.enqueue(transaction, links[0], ItemKind.RECEIPT, number, 0)

        ledger.write(put)
    finally:
        ledger.close()
