"""What waits for its blobs holds up nothing else, and none is put twice for nothing (C5, C6, C8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.ledger import batches
from packet_spec.model import ItemKind
from packet_spec.waybill_model import BatchException, ExceptionKind
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, answer, node, rows


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
    return len(rows(province, f"SELECT 1 FROM batch_out WHERE state = '{batches.NEEDING}'"))


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
