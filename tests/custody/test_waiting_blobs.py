"""What waits for its blobs holds up nothing else, and none is put twice for nothing (C5, C6, C8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.errors import TransportError
from exchanged.folder_transport import FolderTransport
from exchanged.mailbox import blob_name, partial_name
from exchanged.transport import Fetched, Source
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, answer, link_to, node, rows, video_packet


@pytest.fixture
def narrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Province]:
    """A province that has one batch under way on a link at a time; every part of the police is a blob."""
    monkeypatch.setattr("tests.support.peer.INLINE_PART_BYTES", 0)
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    network.only(PROVINCE)
    hub = network.nodes[PROVINCE]
    hub.config = replace(hub.config, limits=replace(hub.config.limits, open_batches=1))
    with network:
        yield Province(network, Peer(network, POLICE), Peer(network, PROCURATORATE))


def dossier(province: Province, seed: int) -> Sealed:
    packet = province.police.seal(province.request("prosecution.transfer", seed=seed))
    assert packet.blobs
    return packet


def small(province: Province, monkeypatch: pytest.MonkeyPatch, seed: int) -> Sealed:
    """A packet that names no blobs."""
    with monkeypatch.context() as patch:
        patch.setattr("tests.support.peer.INLINE_PART_BYTES", 2**20)
        return province.police.seal(province.request(seed=seed))


def need_every_blob(province: Province) -> None:
    """The procuratorate has landed all that lies there, and lacks whatever blobs it names."""
    receiver = province.procuratorate
    named = {
        waybill.number: sorted({blob.digest for item in waybill.items for blob in item.blobs})
        for waybill in receiver.waybills()
        if waybill.number is not None
    }
    lacked = [BatchException(n, ExceptionKind.NEED, "", tuple(blobs)) for n, blobs in named.items() if blobs]
    receiver.put(receiver.batch([], bare=True, acknowledgement=answer(receiver, *lacked)), name="ack.batch")
    province.run()


def needing(province: Province) -> int:
    return len(rows(province, "SELECT 1 FROM batch_out WHERE state = 'needing'"))


def test_c6_however_many_batches_wait_for_their_blobs_what_names_none_goes_out(
    narrow: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    dossiers = [dossier(narrow, seed) for seed in range(1, 8)]
    for packet in dossiers:
        narrow.police.send(packet)
        narrow.run()
        need_every_blob(narrow)
    waits = needing(narrow)
    free = small(narrow, monkeypatch, seed=20)
    narrow.police.send(free)
    narrow.run()
    assert free.data in narrow.procuratorate.items(ItemKind.PACKET)
    # And they are not without number: each look of the neighbour goes through what it lacks.
    assert 2 <= waits <= 3
    for _ in range(8):
        narrow.procuratorate.acknowledge()
        narrow.run()
    assert rows(narrow, "SELECT count(*) FROM destination WHERE state = 'handed-over'") == [(8,)]
    assert node(narrow).errors == []


# --- a line that breaks while a blob is on its way -------------------------------------------------------


LOST = TransportError("the connection was lost")


def test_c5_what_landed_is_acknowledged_though_the_line_breaks_at_a_blob(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else every batch of that link, and all that goes out there, would wait for the blob."""
    fetch = FolderTransport.fetch

    def breaking(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        if name.endswith(".blob"):
            raise LOST
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", breaking)
    video, free = video_packet(province, seed=1), province.police.seal(province.request(seed=2))
    province.police.send(video)
    province.police.send(free)
    for _ in range(4):
        province.network.round()
    told = province.police.acknowledgement()
    assert told is not None
    assert (told.through, [each.kind for each in told.exceptions]) == (2, [ExceptionKind.NEED])
    assert [receipt.key for receipt in province.receipts(province.police)] == [free.key]
    # The link says what is wrong with it all the same.
    assert node(province).errors[-1] is LOST
    assert link_to(province, POLICE).is_down  # type: ignore[attr-defined]
    monkeypatch.undo()
    province.run()
    assert {receipt.key for receipt in province.receipts(province.police)} == {free.key, video.key}


def test_c8_what_is_small_goes_out_though_the_line_breaks_at_a_blob(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the batch that names it: the neighbour says that it needs the blob (C6)."""
    put = FolderTransport.put

    def lying() -> list[bytes]:
        return province.procuratorate.items(ItemKind.PACKET)

    def breaking(self: FolderTransport, name: str, source: Source) -> bool:
        if name.endswith(".blob"):
            raise LOST
        return put(self, name, source)

    rung: list[tuple[Path, int]] = []

    def ring(self: FolderTransport) -> bool:
        rung.append((self._mailbox, len(lying())))
        return True

    monkeypatch.setattr(FolderTransport, "put", breaking)
    monkeypatch.setattr(FolderTransport, "ring", ring)
    video, free = video_packet(province, seed=1), province.police.seal(province.request(seed=2))
    for packet in (video, free):
        province.police.send(packet)
        for _ in range(3):
            province.network.round()
    assert lying() == [video.data, free.data]
    # It is told that something lies there, though the round fails (C7).
    assert (province.procuratorate.mailbox, 2) in rung
    assert node(province).errors[-1] is LOST
    monkeypatch.undo()
    province.run()
    assert len(list((province.procuratorate.mailbox / "down").glob("*.blob"))) == 1


# --- a batch that the neighbour could not read -----------------------------------------------------------


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "half put"])
def test_c5_the_blobs_of_a_bad_batch_stay_where_they_are(
    province: Province, monkeypatch: pytest.MonkeyPatch, *, is_whole: bool
) -> None:
    """Its items go out again under a new number: a dossier that took hours is not put twice."""
    put, removed, receiver = FolderTransport.put, [], province.procuratorate

    def half(self: FolderTransport, name: str, source: Source) -> bool:
        if is_whole or not name.endswith(".blob"):
            return put(self, name, source)
        (self._mailbox / "down" / partial_name(name)).write_bytes(b"the first half")
        return False

    for act in ("remove_own", "discard_partial"):
        monkeypatch.setattr(FolderTransport, act, noting(getattr(FolderTransport, act), removed))
    monkeypatch.setattr(FolderTransport, "put", half)
    video = video_packet(province)
    province.police.send(video)
    for _ in range(4):
        province.network.round()
    (blob,) = (blob_name(digest) for digest in video.blobs)
    lies = receiver.mailbox / "down" / (blob if is_whole else partial_name(blob))
    before = lies.stat().st_ino
    (number,) = {waybill.number for waybill in receiver.waybills() if waybill.number}
    bad = answer(receiver, BatchException(number, ExceptionKind.BAD, "signature-wrong", ()))
    receiver.put(receiver.batch([], bare=True, acknowledgement=bad), name="ack.batch")
    for _ in range(4):
        province.network.round()
    assert max(waybill.number or 0 for waybill in receiver.waybills()) > number
    assert receiver.items(ItemKind.PACKET) == [video.data]
    assert blob not in removed
    # What is settled goes, and once: each removal costs a slow line two answers.
    assert [name.partition("-")[0] for name in removed] == [f"{number:08}"]
    assert lies.stat().st_ino == before


def noting(act: Callable[[FolderTransport, str], None], names: list[str]) -> Callable[..., None]:
    def noted(self: FolderTransport, name: str) -> None:
        names.append(name)
        act(self, name)

    return noted
