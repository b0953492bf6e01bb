"""Full disks, broken lines and lost files stop neither the link nor the next packet (C1, C3, C6, I10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from exchanged.errors import NoSpaceError, TransportError, VolumeDamagedError
from exchanged.folder_transport import FolderTransport
from exchanged.spool import Spool
from exchanged.transport import Fetched, Source
from packet_spec.model import ItemKind
from tests.support.network import POLICE
from tests.support.province import Province, link_to, node, rows, station, video_packet


def test_c1_settled_files_go_though_nothing_more_can_be_put(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a full mailbox would stay full for ever."""
    receiver = province.procuratorate
    province.police.send(province.police.seal(province.request(seed=1)))
    province.run()
    (path,) = (receiver.mailbox / "down").glob("0*.batch")
    receiver.acknowledge()
    province.police.send(province.police.seal(province.request(seed=2)))

    def full(self: FolderTransport, name: str, source: Source) -> None:
        raise NoSpaceError("the volume is full")

    monkeypatch.setattr(FolderTransport, "put", full)
    for _ in range(3):
        province.network.round()
    assert not path.exists()


def test_c6_a_blob_for_which_there_is_no_room_holds_up_its_own_packet_only(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = FolderTransport.put

    def too_large(self: FolderTransport, name: str, source: Source) -> None:
        if name.endswith(".blob"):
            raise NoSpaceError("the volume is full")
        put(self, name, source)

    video, small = video_packet(province, seed=1), province.police.seal(province.request(seed=2))
    monkeypatch.setattr(FolderTransport, "put", too_large)
    province.police.send(video, small)
    province.run()
    assert small.data in province.procuratorate.items(ItemKind.PACKET)


def test_c3_a_line_that_breaks_leaves_nothing_in_the_spool(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came whole before is landed; what came in part goes."""
    for seed in (1, 2, 3):
        province.police.send(province.police.seal(province.request(seed=seed)))
    fetch, broken = FolderTransport.fetch, ["00000002"]

    def breaking(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        found = fetch(self, name, target, limit_bytes=limit_bytes)
        if broken and name.startswith(broken[0]):
            raise TransportError("the connection was lost")
        return found

    monkeypatch.setattr(FolderTransport, "fetch", breaking)
    for _ in range(3):
        province.network.round()
    spool = node(province).opened.spool
    assert set(spool.names()) <= {name for (name,) in rows(province, "SELECT name FROM spool")}
    assert [row[0] for row in rows(province, "SELECT number FROM batch_in")] == [1]
    broken.clear()
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 3


def test_i10_below_the_floor_only_small_things_are_taken_in(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Spool, "free_bytes", lambda self: 0)
    video = video_packet(province, seed=1)
    small = province.police.seal(province.request(seed=2))
    province.police.send(video)
    province.police.send(small)
    province.run()
    assert province.procuratorate.items(ItemKind.PACKET) == [small.data]
    monkeypatch.undo()
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 2


def test_a_spool_that_cannot_be_read_ends_the_process_and_blames_no_packet(province: Province) -> None:
    province.police.send(province.police.seal(province.request()))
    link_to(province, POLICE).step()
    ((name,),) = rows(province, "SELECT name FROM spool")
    node(province).opened.spool.path(name).unlink()
    with pytest.raises(VolumeDamagedError):
        station(province, "judge").step()
    assert province.arrivals() == [("landed", "")]
