"""Large parts go only to whom a verified seal names, and are what the ledger says of them (C8, C9, C10)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from exchanged.blobs import BlobStore
from exchanged.durable import DurableFiles, Volume
from exchanged.ledger import blobs
from exchanged.transport import Fetched
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import BlobReference
from tests.support.network import COURT, PROCURATORATE
from tests.support.province import Province, node, receipt_item, video_packet

SECRET = b"a video that belongs to somebody else" * 40_000


def other_agency_stores_a_secret(province: Province) -> str:
    """A blob that only the court has put here, and to which the police has no title."""
    store, digest = node(province).opened.blobs, sha256_hex(SECRET)
    partial = store.incoming / "partial"
    DurableFiles(Volume.OWN).write_file(partial, (SECRET,))
    store.adopt(partial, digest, 1)

    def entitle(transaction: Any) -> None:
        blobs.store(transaction, digest, 1, len(SECRET))
        blobs.entitle(transaction, digest, COURT)

    node(province).opened.ledger.write(entitle)
    return digest


def test_c9_a_waybill_line_cannot_make_the_province_send_out_a_foreign_blob(province: Province) -> None:
    """One batch names a foreign digest beside a packet, a second one offers the same packet without it."""
    digest = other_agency_stores_a_secret(province)
    packet = province.police.seal(province.request())
    greedy = replace(packet.item(), blobs=(BlobReference(digest, len(SECRET)),))
    province.police.put(province.police.batch([(greedy, packet.data)]))
    province.run()
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert not (province.procuratorate.mailbox / "down" / f"{digest}.blob").exists()
    assert all(not item.blobs for waybill in province.procuratorate.waybills() for item in waybill.items)


def test_c9_a_delivered_receipt_gives_no_title_to_what_a_waybill_claimed(province: Province) -> None:
    """A recipient claims that another's packet names a foreign blob, then signs for that packet."""
    digest = other_agency_stores_a_secret(province)
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    thief = province.procuratorate
    claim = replace(packet.item(), blobs=(BlobReference(digest, len(SECRET)),))
    thief.put(thief.batch([(claim, packet.data)]))
    province.run()
    thief.put(thief.batch([receipt_item(province, packet, ReceiptKind.DELIVERED, PROCURATORATE, thief)]))
    province.run()
    assert not blobs.is_entitled(node(province).opened.ledger.read(), digest, PROCURATORATE)


def test_c8_a_packet_is_not_accepted_without_a_blob_that_its_seal_names(province: Province) -> None:
    packet = video_packet(province)
    assert packet.blobs
    province.police.put(province.police.batch([(replace(packet.item(), blobs=()), packet.data)]))
    province.run()
    assert province.receipts(province.police) == []
    assert province.arrivals() == [("quarantined", "waybill-names-other-blobs")]


def test_c10_the_ledger_names_no_blob_with_another_size_than_it_has(tmp_path: Path) -> None:
    """The mailbox file is exchanged between listing and fetching: the node would not start any more."""
    files = DurableFiles(Volume.OWN)
    store = BlobStore(tmp_path, files)
    store.prepare()

    def fetch(partial: Path) -> Fetched:
        return Fetched(*files.write_file(partial, (SECRET,)))

    digest = sha256_hex(SECRET)
    assert not store.take_in(digest, 1, len(SECRET) + 1, fetch, "police")
    assert store.files_on_disk() == {}
    assert store.take_in(digest, 1, len(SECRET), fetch, "police")
