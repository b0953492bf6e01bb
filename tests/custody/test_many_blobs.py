"""How many blobs lie in a mailbox at a time (C2, C5, C6)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from exchanged.ledger import batches, blobs
from exchanged.mailbox import DIRECTIONS
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, BlobReference, ExceptionKind
from tests.custody.test_front_ends import inbox
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, link_to, node, rows

SCAN = 20


class InOrder(list[Any]):
    """What ``os.scandir`` gives, as a list."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""


@pytest.fixture
def small_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province and a receiver whose looks read few names, and a sender whose every part is a blob."""
    monkeypatch.setattr("tests.support.peer.INLINE_PART_BYTES", 0)
    scandir = os.scandir

    def in_order(path: Any = ".") -> Any:
        if isinstance(path, Path) and path.name in DIRECTIONS:
            return InOrder(sorted(scandir(path), key=lambda entry: entry.name))
        return scandir(path)

    # As on ext4: names keep their order, also when a file is put once more.
    monkeypatch.setattr(os, "scandir", in_order)
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    network.only(PROVINCE, PROCURATORATE)
    for each in network.nodes.values():
        each.config = replace(each.config, limits=replace(each.config.limits, scan_names=SCAN))
    with network:
        yield Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))


def dossier(province: Province, seed: int) -> Sealed:
    """A packet of some twelve parts."""
    documents = tuple(f"EVD-00{number}" for number in range(1, 9))
    request = province.request("prosecution.transfer", seed=seed, extra_documents=documents)
    return province.police.seal(request)


def send(province: Province, *packets: Sealed) -> None:
    """Each on its own, and its files are removed when they have landed."""
    for packet in packets:
        province.police.send(packet)
        province.run()
        for path in (province.police.mailbox / "up").iterdir():
            path.unlink()
        province.police.acknowledge()
        province.run()


def test_c2_no_more_blobs_lie_there_than_their_reader_sees(
    small_scan: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look reads a capped number of names: what lies behind them is never taken, and all waits for it."""
    network = small_scan.network
    network.nodes[PROCURATORATE].close()
    packets = [dossier(small_scan, seed) for seed in range(1, 4)]
    assert all(SCAN / 2 < len(packet.blobs) < 0.7 * SCAN for packet in packets)
    # Due together, so that their blobs are put in the order of their sizes.
    with monkeypatch.context() as patch:
        patch.setattr(link_to(small_scan, PROCURATORATE), "step", lambda: None)
        send(small_scan, *packets)
    small_scan.run()
    lying = list((small_scan.procuratorate.mailbox / "down").iterdir())
    network.nodes[PROCURATORATE].open()
    network.run()
    assert len(inbox(network, PROCURATORATE)) == 3
    assert len(lying) <= SCAN


def test_c15_what_names_no_blobs_goes_past_what_finds_no_room_for_its_own(
    small_scan: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But nothing of the same case, and none with blobs: the first without room is the next that has it."""
    small_scan.network.nodes[PROCURATORATE].close()
    first, second, third = (dossier(small_scan, seed) for seed in range(1, 4))
    send(small_scan, first, second, third)
    with monkeypatch.context() as patch:
        patch.setattr("tests.support.peer.INLINE_PART_BYTES", 2**20)
        of_its_case = small_scan.police.seal(small_scan.request(seed=2))
        of_another = small_scan.police.seal(small_scan.request(seed=9))
    assert not of_its_case.blobs
    assert not of_another.blobs
    cases = "SELECT count(DISTINCT case_key) FROM packet"
    send(small_scan, of_its_case, of_another)
    assert rows(small_scan, cases) == [(4,)]
    receiver = small_scan.procuratorate
    assert receiver.items(ItemKind.PACKET) == [first.data, of_another.data]
    for expected in ([second.data, of_its_case.data], [third.data]):
        receiver.acknowledge()
        small_scan.run()
        assert receiver.items(ItemKind.PACKET) == expected


@pytest.mark.slow
def test_c6_what_a_neighbour_lacks_of_all_open_batches_can_be_told(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement has room for so many needed blobs; a batch that lacks more is never answered."""
    packets = [province.police.seal(province.request(seed=seed)) for seed in range(1, 6)]
    link = link_to(province, PROCURATORATE)
    monkeypatch.setattr(link, "step", lambda: None)
    province.police.send(*packets)
    province.run()

    def refer(transaction: Any) -> None:
        for packet in packets:
            of_it = (f"{packet.key.packet_id} {n}".encode() for n in range(2_700))
            blobs.refer(transaction, packet.key, [BlobReference(sha256_hex(each), 1) for each in of_it])

    node(province).opened.ledger.write(refer)
    monkeypatch.undo()
    seen: list[bytes] = []
    while len(seen) < len(packets):
        province.run()
        seen += province.procuratorate.items(ItemKind.PACKET)
        connection = node(province).opened.ledger.read()
        needs = [
            BatchException(row.number, ExceptionKind.NEED, "", batches.batch_blobs(connection, row.id))
            for row in batches.open_batches(connection, link._link.name)  # type: ignore[attr-defined]
        ]
        assert sum(map(batches.exception_bytes, needs)) <= batches._EXCEPTION_BYTES
        province.procuratorate.acknowledge()
    assert seen == [packet.data for packet in packets]
