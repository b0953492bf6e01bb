"""A simulated province with hand-driven neighbours: what it is asked, and what is put into its mailboxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.fiction.request import DropRequest
from exchanged.keys import load_key
from exchanged.station import Station
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.identity import sha256_hex
from packet_spec.model import Directory, ItemKind, Receipt, ReceiptKind
from packet_spec.receipt import open_receipt, sign_receipt
from packet_spec.seal import encode_seal
from packet_spec.waybill_model import Acknowledgement, BatchException, WaybillItem
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode
from tests.support.peer import Peer, Sealed


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


def node(province: Province) -> SimulatedNode:
    return province.network.nodes[PROVINCE]


def station(province: Province, name: str) -> Station:
    return next(one for one in node(province).stations if one.name == name)


def link_to(province: Province, agency: str) -> Station:
    links = node(province).opened.links
    return station(province, f"link:{links.name_of(agency)}")


def rows(province: Province, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in node(province).opened.ledger.read().execute(statement)]


def video_packet(province: Province, **changes: Any) -> Sealed:
    return province.police.seal(
        province.request(
            "prosecution.transfer", extra_documents=("EVD-024",), video_bytes=2_000_000, **changes
        )
    )


def receipt_item(
    province: Province, packet: Sealed, kind: ReceiptKind, recipient: str, by: Peer
) -> tuple[WaybillItem, bytes]:
    receipt = Receipt(
        kind, packet.key, packet.seal.attempt, packet.seal.content_digest, seal_digest_of(packet),
        packet.seal.business_type, recipient, by.agency, province.network.clock.now(), 1,
    )  # fmt: skip
    data = sign_receipt(receipt, by.receipt_key)
    return WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet.key), data


def seal_digest_of(packet: Sealed) -> str:
    return sha256_hex(encode_seal(packet.seal))


def answer(peer: Peer, *exceptions: BatchException, through: int = 0) -> Acknowledgement:
    """The peer's acknowledgement of everything that lies there, with these exceptions."""
    waybills = [waybill for waybill in peer.waybills() if waybill.number is not None]
    peer.counter += 1
    last = max((waybill.number or 0 for waybill in waybills), default=0)
    return Acknowledgement(
        PROVINCE, peer.waybills()[-1].incarnation, through or last, peer.counter, exceptions
    )


def publish(province: Province, directory: Directory) -> bytes:
    root = load_key(province.network.layout.root_key)
    return sign_directory(encode_directory(directory), [root])
