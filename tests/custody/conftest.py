"""A simulated province with hand-driven neighbours."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.fiction.request import DropRequest
from packet_spec.model import ItemKind, Receipt
from packet_spec.receipt import open_receipt
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer


@dataclass
class Province:
    """The province alone, and the keys of two agencies in the hands of the test."""

    network: Network
    police: Peer
    procuratorate: Peer

    def run(self) -> None:
        """Until the province rests."""
        self.network.run()

    def request(self, business_type: str = "case.report", **changes: object) -> DropRequest:
        """A packet from the police to the procuratorate."""
        return DropRequest(
            business_type,
            POLICE,
            PROCURATORATE,
            self.network.clock.now(),
            **changes,  # type: ignore[arg-type]
        )

    def receipts(self, peer: Peer) -> list[Receipt]:
        """Every receipt that lies in a neighbour's mailbox, verified."""
        trust = self.network.nodes[PROVINCE].opened.trust
        return [open_receipt(data, trust.key)[0] for data in peer.items(ItemKind.RECEIPT)]

    def events(self, kind: str) -> list[dict[str, object]]:
        """Events of a kind in the province's ledger."""
        rows = (
            self.network.nodes[PROVINCE]
            .opened.ledger.read()
            .execute("SELECT * FROM event WHERE kind = ? ORDER BY id", (kind,))
        )
        return [dict(row) for row in rows]

    def arrivals(self) -> list[tuple[str, str]]:
        """State and reason of what is not judged."""
        rows = self.network.nodes[PROVINCE].opened.ledger.read().execute("SELECT state, reason FROM arrival")
        return [(row["state"], row["reason"]) for row in rows]


@pytest.fixture
def province(tmp_path: Path) -> Iterator[Province]:
    """A province whose agencies are driven by hand."""
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT))
    network.only(PROVINCE)
    with network:
        yield Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))
