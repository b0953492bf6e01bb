"""Large parts go only to whom a verified seal names, and are what the ledger says of them (C8, C9, C10)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchanged.blobs import BlobStore
from exchanged.durable import DurableFiles, Volume
from exchanged.ledger import blobs
from exchanged.transport import Fetched
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.waybill_model import BlobReference
from tests.support.network import COURT, POLICE, PROCURATORATE
from tests.support.province import Province, node, receipt_item, video_packet

SECRET = b"a video that belongs to somebody else" * 40_000


def stored_for_the_court(province: Province, content: bytes) -> str:
    """A blob that only the court has put here, and to which the police has no title. Its digest."""
    store, digest = node(province).opened.blobs, sha256_hex(content)
    partial = store.incoming / "partial"
    DurableFiles(Volume.OWN).write_file(partial, (content,))
    store.adopt(partial, digest, 1)

    def entitle(transaction: Any) -> None:
        blobs.store(transaction, digest, 1, len(content))
        blobs.entitle(transaction, digest, COURT)

    node(province).opened.ledger.write(entitle)
    return digest


def test_c9_a_waybill_line_cannot_make_the_province_send_out_a_foreign_blob(province: Province) -> None:
    """One batch names a foreign digest beside a packet, a second one offers the same packet without it."""
    digest = stored_for_the_court(province, SECRET)
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
    digest = stored_for_the_court(province, SECRET)
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


def kept(province: Province) -> list[str]:
    """Files of large parts at the province, those on their way in among them."""
    folder = node(province).opened.blobs.folder
    return sorted(path.suffix for path in folder.rglob("*") if path.is_file())


def test_c8_what_is_stored_already_is_read_whole_for_the_title_and_kept_once(province: Province) -> None:
    packet = video_packet(province)
    ((_, content),) = packet.blobs.items()
    digest = stored_for_the_court(province, content)
    province.police.send(packet)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert (province.procuratorate.mailbox / "down" / f"{digest}.blob").read_bytes() == content
    assert kept(province) == [".1"]
    assert blobs.is_entitled(node(province).opened.ledger.read(), digest, POLICE)


def test_c10_what_was_collected_while_it_was_read_for_the_title_is_read_again(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is dead by then: a title to it would let the packet go on without its part."""
    packet = video_packet(province)
    ((_, content),) = packet.blobs.items()
    digest = stored_for_the_court(province, content)
    opened, take_in, times = node(province).opened, BlobStore.take_in, [0]

    def collected(store: BlobStore, *arguments: Any) -> bool | None:
        found = take_in(store, *arguments)
        times[0] += 1
        if times[0] == 1:
            opened.ledger.write(lambda tx: tx.execute("UPDATE blob SET state = 'dead'"))
            store.remove(digest, 1)
            assert not blobs.is_entitled(opened.ledger.read(), digest, POLICE)
        return found

    monkeypatch.setattr(BlobStore, "take_in", collected)
    province.police.send(packet)
    province.run()
    assert times == [2]
    assert kept(province) == [".2"]
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert (province.procuratorate.mailbox / "down" / f"{digest}.blob").read_bytes() == content


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
