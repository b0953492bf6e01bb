"""What ``exchanged.transport`` promises of the turns of blobs, proved against every real transport (C8)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.errors import TransportError
from exchanged.mailbox import Direction, partial_name
from exchanged.sftp_connection import SftpConnection
from exchanged.transport import TURN_SECONDS
from tests.support.mailbox_sides import (
    BATCH,
    BLOB,
    BLOB_CONTENT,
    CONTENT,
    LIMIT,
    DiskSide,
    FolderSide,
    SftpSide,
)
from tests.support.sftp_server import SftpServer, make_mailbox
from tests.support.transports import BytesSource, digest_of


class BlobClock:
    """By which a turn takes two blocks."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        self._now += TURN_SECONDS / 2
        return self._now


class TurnsContract:
    """The contract. Subclasses give ``side``."""

    def test_c8_a_blob_is_put_in_turns_and_what_is_small_passes_it(self, side: DiskSide) -> None:
        transport = side.with_clock(BlobClock().monotonic)
        source = BytesSource(BLOB_CONTENT)
        assert transport.put(BLOB, source) is False
        lies = [len(side.sees()[partial_name(BLOB)])]
        assert side.sees() == {partial_name(BLOB): BLOB_CONTENT[: lies[0]]}
        assert transport.list_own().growing == (BLOB,)
        assert transport.put(BATCH, BytesSource(CONTENT)) is True
        while not transport.put(BLOB, source):
            lies.append(len(side.sees()[partial_name(BLOB)]))
        assert side.sees() == {BATCH: CONTENT, BLOB: BLOB_CONTENT}
        # Each turn went on where the last one stopped, and came further.
        assert source.offsets_asked == [0, *lies]
        assert lies == sorted(set(lies))
        assert len(lies) > 1

    def test_a_blob_whose_last_block_ends_its_turn_is_whole(self, side: DiskSide) -> None:
        transport = side.with_clock(BlobClock().monotonic)
        assert transport.put(BLOB, BytesSource(BLOB_CONTENT, block_bytes=len(BLOB_CONTENT) // 2)) is True
        assert side.sees() == {BLOB: BLOB_CONTENT}

    def test_what_is_no_blob_has_no_turns(self, side: DiskSide, tmp_path: Path) -> None:
        transport = side.with_clock(BlobClock().monotonic)
        assert transport.put(BATCH, BytesSource(BLOB_CONTENT)) is True
        side.leaves(BATCH, BLOB_CONTENT)
        assert transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT).whole

    def test_a_blob_in_turns_that_is_another_than_its_source_says_is_not_put(self, side: DiskSide) -> None:
        class Liar(BytesSource):
            @property
            def size(self) -> int:
                return len(self.content) + 1

        transport, source = side.with_clock(BlobClock().monotonic), Liar(BLOB_CONTENT)

        def put_whole() -> None:
            while not transport.put(BLOB, source):
                pass

        with pytest.raises(TransportError, match="stated size"):
            put_whole()
        assert side.sees() == {}

    def test_c8_a_blob_is_fetched_in_turns(self, side: DiskSide, tmp_path: Path) -> None:
        transport, target = side.with_clock(BlobClock().monotonic), tmp_path / "target"
        content = bytes(range(256)) * 64 * 1024
        name = f"{digest_of(content)}.blob"
        side.leaves(name, content)
        sizes: list[int] = []
        while not (fetched := transport.fetch(name, target, limit_bytes=LIMIT)).whole:
            assert target.read_bytes() == content[: fetched.size]
            sizes.append(fetched.size)
        assert (fetched.size, fetched.digest) == (len(content), digest_of(content))
        assert sizes == sorted(set(sizes))
        assert len(sizes) > 1


class TestServingFolder(TurnsContract):
    @pytest.fixture
    def side(self, tmp_path: Path) -> DiskSide:
        make_mailbox(tmp_path / "mailbox")
        return FolderSide(tmp_path / "mailbox", Direction.DOWN)


class TestDiallingFolder(TurnsContract):
    @pytest.fixture
    def side(self, tmp_path: Path) -> DiskSide:
        make_mailbox(tmp_path / "mailbox")
        return FolderSide(tmp_path / "mailbox", Direction.UP)


@pytest.mark.process
class TestSftp(TurnsContract):
    @pytest.fixture
    def side(self, server: SftpServer, connection: SftpConnection) -> Iterator[DiskSide]:
        side = SftpSide(server, connection)
        yield side
        side.transport.close()
