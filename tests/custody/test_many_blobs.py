"""How many blobs lie in a mailbox at a time, and that none stays there half put (C1, C2, C5, C6)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from exchanged.acts.values import Act
from exchanged.errors import TransportError
from exchanged.folder_transport import FolderTransport
from exchanged.ledger import Transaction, batches, blobs
from exchanged.mailbox import DIRECTIONS
from exchanged.transport import Source
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, BlobReference, ExceptionKind
from tests.custody.test_front_ends import inbox
from tests.support import bridging
from tests.support.acting import act
from tests.support.crash import SimulatedCrash
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, link_to, node, rows
from tests.support.traffic import drop_packet

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


# --- what is half put -------------------------------------------------------------------------------------


@pytest.fixture
def half_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    """The police, whose video lies half in the mailbox: each of its turns is over too soon."""

    class Half:
        def __init__(self, source: Source) -> None:
            self.size = source.size
            self._source = source

        def blocks(self, offset: int = 0) -> Iterator[bytes]:
            yield next(iter(self._source.blocks(offset)))[:1000]
            raise TransportError("the line is cut")

    put = FolderTransport.put

    def put_half(self: FolderTransport, name: str, source: Source) -> bool:
        if not name.endswith(".blob"):
            return put(self, name, source)
        with suppress(TransportError):
            put(self, name, Half(source))
        return False

    monkeypatch.setattr(FolderTransport, "put", put_half)
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        drop_packet(
            network, seed=1, business_type="prosecution.transfer",
            extra_documents=("EVD-024",), video_bytes=2_000_000,
        )  # fmt: skip
        network.run()
        assert len(half(network)) == 1
        yield network


def half(network: Network) -> list[Path]:
    return list((network.mailbox(POLICE) / "up").glob(".*.part"))


def give_up(network: Network) -> None:
    """The province gives up what waits for the video, and says so."""
    ((packet_id, state),) = bridging.rows(network, PROVINCE, "SELECT packet_id, state FROM arrival")
    assert state == "needing"
    act(network.nodes[PROVINCE], Act.DISCARD, packet_id, without_parts=True)


def test_c1_what_is_half_put_of_a_packet_that_was_given_up_goes(half_put: Network) -> None:
    """A large part would keep the room of a mailbox for good."""
    give_up(half_put)
    half_put.run()
    assert bridging.rows(half_put, POLICE, "SELECT 1 FROM batch_out WHERE state <> 'closed'") == []
    assert half(half_put) == []


@pytest.mark.parametrize("when", ["close_batches", "settle"])
def test_c1_what_is_half_put_goes_also_after_a_crash(
    half_put: Network, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """The process that begins knows nothing of what was growing there."""
    give_up(half_put)
    crashed = getattr(batches, when)

    def crash(transaction: Transaction, *given: Any) -> None:
        crashed(transaction, *given)
        raise SimulatedCrash

    monkeypatch.setattr(batches, when, crash)
    half_put.run()
    assert half_put.nodes[POLICE].parts is None
    monkeypatch.setattr(batches, when, crashed)
    half_put.nodes[POLICE].open()
    half_put.run()
    assert half(half_put) == []


def test_c1_what_a_lost_ledger_left_half_put_goes(half_put: Network) -> None:
    """No batch of the ledger that goes on names it."""
    half_put.nodes[POLICE].close()
    unknown = half_put.mailbox(POLICE) / "up" / f".{sha256_hex(b'of a lost ledger')}.blob.part"
    others = half_put.mailbox(POLICE) / "up" / ".notes.part"
    for path in (unknown, others):
        path.write_bytes(b"the first half")
    grown = [path for path in half(half_put) if path not in (unknown, others)]
    half_put.nodes[POLICE].open()
    half_put.run()
    assert (unknown.exists(), others.exists()) == (False, True)
    assert all(path.exists() for path in grown)
