"""On a slow line a large blob has turns and what is small passes it (C8); a case keeps its order (C15)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from cli.fiction.case_file import CaseFile
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.folder_transport import FolderTransport
from exchanged.sources import BlobSource
from exchanged.transport import TURN_SECONDS, Fetched, Source
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan

pytestmark = pytest.mark.slow

LARGE, SMALL = "prosecution.transfer", "info.share"


class SlowLine:
    """Blobs never get through in one turn while ``is_slow``. ``turns`` counts those that ended too early."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_slow = True
        self.turns = 0
        put, fetch = FolderTransport.put, FolderTransport.fetch

        def slow_put(transport: FolderTransport, name: str, source: Source) -> bool:
            if self.is_slow and transport._outgoing == "up" and name.endswith(".blob"):
                self.turns += 1
                return False
            return put(transport, name, source)

        def slow_fetch(transport: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
            fetched = fetch(transport, name, target, limit_bytes=limit_bytes)
            if self.is_slow and transport._outgoing == "up" and name.endswith(".blob"):
                self.turns += 1
                return replace(fetched, size=1, whole=False)
            return fetched

        monkeypatch.setattr(FolderTransport, "put", slow_put)
        monkeypatch.setattr(FolderTransport, "fetch", slow_fetch)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> SlowLine:
    return SlowLine(monkeypatch)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        yield network


def drop(
    world: Network,
    name: str,
    kind: str,
    *,
    case: CaseFile | None = None,
    seed: int = 1,
    video: bool = True,
    video_bytes: int = 1_300_000,
) -> CaseFile:
    request = DropRequest(
        kind,
        POLICE,
        PROCURATORATE,
        world.clock.now() - timedelta(seconds=1),
        case=case,
        seed=seed,
        name=name,
        extra_documents=("EVD-024",) if kind == LARGE and video else (),
        video_bytes=video_bytes,
    )
    made = make_drop(request)
    write_drop(made, world.agency(POLICE) / "outbox")
    return made.case


def delivered(world: Network) -> list[str]:
    inbox = world.agency(PROCURATORATE) / "inbox"
    return sorted(path.parent.name for path in inbox.glob("*/*") if path.is_dir())


def rounds(world: Network, count: int = 20) -> None:
    for _ in range(count):
        world.round()


def test_c8_a_small_packet_passes_a_blob_on_its_way_up(world: Network, line: SlowLine) -> None:
    drop(world, "large", LARGE)
    rounds(world)
    assert line.turns > 1
    drop(world, "small", SMALL, seed=2)
    rounds(world)
    assert delivered(world) == [SMALL]
    line.is_slow = False
    rounds(world, 30)
    assert delivered(world) == sorted([SMALL, LARGE])


def test_c8_a_small_packet_passes_a_blob_on_its_way_down(world: Network, line: SlowLine) -> None:
    line.is_slow = False
    drop(world, "large", LARGE)
    province = world.mailbox(PROCURATORATE) / "down"
    while not list(province.glob("*.blob")):
        world.round()
        line.is_slow = any(province.iterdir())
    line.is_slow = True
    drop(world, "small", SMALL, seed=2)
    rounds(world)
    assert line.turns > 1
    assert delivered(world) == [SMALL]
    line.is_slow = False
    rounds(world, 30)
    assert delivered(world) == sorted([SMALL, LARGE])


def test_c8_a_small_packet_passes_a_blob_that_the_serving_side_is_still_putting(
    world: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The volume is slow: what a turn moves there is a small piece of the blob."""
    whole = BlobSource.blocks

    def slow(source: BlobSource, offset: int = 0) -> Iterator[bytes]:
        for block in whole(source, offset):
            for start in range(0, len(block), 65_536):
                yield block[start : start + 65_536]
                world.clock.advance(TURN_SECONDS / 2)

    monkeypatch.setattr(BlobSource, "blocks", slow)
    drop(world, "large", LARGE, video_bytes=6_000_000)
    growing = world.mailbox(PROCURATORATE) / "down"
    for _ in range(200):
        if list(growing.glob(".*.blob.part")):
            break
        world.round()
    drop(world, "small", SMALL, seed=2)
    rounds(world)
    assert list(growing.glob(".*.blob.part"))
    assert delivered(world) == [SMALL]
    rounds(world, 60)
    assert delivered(world) == sorted([SMALL, LARGE])


def test_c15_a_later_packet_of_the_same_case_waits_for_the_blob_of_the_earlier_one(
    world: Network, line: SlowLine
) -> None:
    case = drop(world, "large", LARGE)
    rounds(world)
    drop(world, "later", LARGE, case=case, seed=2, video=False)
    drop(world, "other", SMALL, seed=3)
    rounds(world, 40)
    assert delivered(world) == [SMALL]
    line.is_slow = False
    rounds(world, 40)
    assert delivered(world) == sorted([SMALL, LARGE, LARGE])


def test_many_packets_that_wait_for_their_blobs_leave_room_for_small_ones(
    world: Network, line: SlowLine
) -> None:
    limit = world.nodes[POLICE].config.limits.open_batches
    for number in range(limit + 1):
        drop(world, f"large-{number}", LARGE, seed=10 + number)
        rounds(world, 6)
    drop(world, "small", SMALL, seed=2)
    rounds(world)
    assert delivered(world) == [SMALL]
    line.is_slow = False
    rounds(world, 60)
    assert len(delivered(world)) == limit + 2


def test_c8_a_blob_that_was_corrupt_begins_at_zero_once_not_with_each_acknowledgement(
    world: Network, line: SlowLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.is_slow = False
    discarded: list[str] = []
    discard = FolderTransport.discard_partial

    def note(transport: FolderTransport, name: str) -> None:
        discarded.append(name)
        discard(transport, name)

    monkeypatch.setattr(FolderTransport, "discard_partial", note)
    drop(world, "large", LARGE)
    up = world.mailbox(POLICE) / "up"
    world.nodes[POLICE].clock.advance(5)
    while not list(up.glob("*.blob")):
        world.nodes[POLICE].step()
        world.clock.advance(1)
    for blob in up.glob("*.blob"):
        blob.write_bytes(bytes(blob.stat().st_size))
    line.is_slow = True
    rounds(world)
    for number in range(3):
        drop(world, f"small-{number}", SMALL, seed=20 + number)
        rounds(world, 10)
    assert len(discarded) == 1
    line.is_slow = False
    rounds(world, 60)
    assert len(delivered(world)) == 4
