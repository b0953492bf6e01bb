"""What ``exchanged.transport`` promises, proved against every transport; SFTP against a real OpenSSH."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.bell import Bell
from exchanged.durable import NO_CRASH, Block, DurableFiles, Kernel, Volume
from exchanged.errors import (
    NoSpaceError,
    RemoteRefusedError,
    TransportError,
    TransportFileError,
)
from exchanged.folder_transport import FolderTransport
from exchanged.mailbox import Direction, partial_name
from exchanged.sftp_connection import SftpConnection
from tests.support.mailbox_sides import (
    BATCH,
    BLOB,
    BLOB_CONTENT,
    CONTENT,
    LIMIT,
    SPOOL,
    DiskSide,
    FolderSide,
    MemorySide,
    SftpSide,
    Side,
)
from tests.support.sftp_server import SftpServer, make_mailbox
from tests.support.transports import BytesSource, digest_of

WAIT_SECONDS = 20


class TransportContract:
    """The contract. Subclasses give ``side``."""

    def test_an_empty_mailbox_lists_nothing(self, side: Side) -> None:
        for listing in (side.transport.list_names(), side.transport.list_own()):
            assert listing.files == ()
            assert (listing.strangers, listing.truncated) == (0, False)

    def test_put_makes_a_whole_file_visible_and_leaves_nothing_else(self, side: Side) -> None:
        side.transport.put(BATCH, BytesSource(CONTENT))
        assert side.sees() == {BATCH: CONTENT}

    def test_put_of_nothing_and_of_odd_sizes(self, side: Side) -> None:
        for size in (0, 1, 255 * 1024, 255 * 1024 + 1):
            side.transport.put(BATCH, BytesSource(b"x" * size, block_bytes=100_001))
            assert side.sees() == {BATCH: b"x" * size}

    def test_put_replaces_an_older_file(self, side: Side) -> None:
        side.transport.put("ack.batch", BytesSource(b"the older and longer one"))
        side.transport.put("ack.batch", BytesSource(b"newer"))
        assert side.sees() == {"ack.batch": b"newer"}

    @pytest.mark.parametrize(("name", "content"), [(BATCH, CONTENT), (BLOB, BLOB_CONTENT)])
    def test_put_may_be_repeated(self, side: Side, name: str, content: bytes) -> None:
        for _ in range(2):
            side.transport.put(name, BytesSource(content))
        assert side.sees() == {name: content}

    def test_an_interrupted_put_leaves_no_final_name(self, side: Side) -> None:
        for name, content in ((BATCH, CONTENT), (BLOB, BLOB_CONTENT)):
            with pytest.raises(TransportError):
                side.transport.put(name, BytesSource(content, fail_after=200_000))
            assert name not in side.sees()
            side.transport.put(name, BytesSource(content))
            assert side.sees()[name] == content
        assert set(side.sees()) == {BATCH, BLOB}

    def test_an_interrupted_put_leaves_the_older_file(self, side: Side) -> None:
        side.transport.put("ack.batch", BytesSource(b"older"))
        with pytest.raises(TransportError):
            side.transport.put("ack.batch", BytesSource(CONTENT, fail_after=100_000))
        assert side.sees()["ack.batch"] == b"older"

    def test_a_blob_resumes_where_the_last_attempt_ended(self, side: Side) -> None:
        source = BytesSource(BLOB_CONTENT)
        side.left_behind(partial_name(BLOB), BLOB_CONTENT[:300_000])
        side.transport.put(BLOB, source)
        assert source.offsets_asked == [300_000]
        assert side.sees() == {BLOB: BLOB_CONTENT}

    def test_a_blob_whose_bytes_are_all_there_is_only_renamed(self, side: Side) -> None:
        source = BytesSource(BLOB_CONTENT)
        side.left_behind(partial_name(BLOB), BLOB_CONTENT)
        side.transport.put(BLOB, source)
        assert source.offsets_asked == [len(BLOB_CONTENT)]
        assert side.sees() == {BLOB: BLOB_CONTENT}

    def test_a_partial_longer_than_the_blob_is_begun_anew(self, side: Side) -> None:
        side.left_behind(partial_name(BLOB), b"#" * (len(BLOB_CONTENT) + 1))
        side.transport.put(BLOB, BytesSource(BLOB_CONTENT))
        assert side.sees() == {BLOB: BLOB_CONTENT}

    def test_a_discarded_partial_is_begun_anew(self, side: Side) -> None:
        side.left_behind(partial_name(BLOB), b"#" * 1000)
        for _ in range(2):
            side.transport.discard_partial(BLOB)
        assert side.sees() == {}
        side.transport.put(BLOB, BytesSource(BLOB_CONTENT))
        assert side.sees() == {BLOB: BLOB_CONTENT}

    def test_what_is_no_blob_never_resumes(self, side: Side) -> None:
        source = BytesSource(CONTENT)
        side.left_behind(partial_name(BATCH), b"#" * 1000)
        side.transport.put(BATCH, source)
        assert source.offsets_asked == [0]
        assert side.sees() == {BATCH: CONTENT}

    def test_a_source_that_lies_about_its_size_is_not_put(self, side: Side) -> None:
        class Liar(BytesSource):
            @property
            def size(self) -> int:
                return len(self.content) + 1

        with pytest.raises(TransportError):
            side.transport.put(BATCH, Liar(CONTENT))
        assert side.sees() == {}

    def test_list_tells_names_and_sizes_in_reading_order(self, side: Side) -> None:
        for name in (BATCH, BLOB, "ack.batch", "directory-3.xml"):
            side.leaves(name, b"x" * len(name))
        listing = side.transport.list_names()
        assert [(file.name, file.size) for file in listing.files] == [
            (name, len(name)) for name in ("directory-3.xml", "ack.batch", BLOB, BATCH)
        ]
        assert listing.strangers == 0

    def test_strangers_and_temporary_names_are_counted_and_left_out(self, side: Side) -> None:
        side.leaves(BATCH, b"x")
        for name in ("readme.txt", partial_name(BATCH), "00000001-0123456789abcdef.batch~", "bell"):
            side.leaves(name, b"x")
        listing = side.transport.list_names()
        assert [file.name for file in listing.files] == [BATCH]
        assert listing.strangers == 4

    def test_a_scan_is_capped(self, side: Side) -> None:
        for number in range(1, 7):
            side.leaves(f"0000000{number}-0123456789abcdef.batch", b"x")
        capped = side.with_scan_of(5).list_names()
        assert (len(capped.files), capped.truncated) == (5, True)
        whole = side.with_scan_of(6).list_names()
        assert (len(whole.files), whole.truncated) == (6, False)

    def test_list_own_shows_what_this_side_put(self, side: Side) -> None:
        side.transport.put(BATCH, BytesSource(CONTENT))
        side.leaves("ack.batch", b"x")
        assert [(file.name, file.size) for file in side.transport.list_own().files] == [(BATCH, len(CONTENT))]
        for name in (partial_name(BLOB), ".readme.part"):
            side.left_behind(name, b"#")
        assert side.transport.list_own().growing == (BLOB,)

    def test_fetch_copies_and_hashes(self, side: Side, tmp_path: Path) -> None:
        side.leaves(BATCH, CONTENT)
        (tmp_path / "target").write_bytes(b"of an earlier attempt" * 100_000)
        fetched = side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT)
        assert (fetched.size, fetched.digest) == (len(CONTENT), digest_of(CONTENT))
        assert (tmp_path / "target").read_bytes() == CONTENT

    def test_fetch_of_nothing(self, side: Side, tmp_path: Path) -> None:
        side.leaves(BATCH, b"")
        fetched = side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT)
        assert (fetched.size, fetched.digest) == (0, digest_of(b""))

    def test_fetch_resumes_blobs_only(self, side: Side, tmp_path: Path) -> None:
        marked = b"#" * 1000
        for name, content, expected in (
            (BLOB, BLOB_CONTENT, marked + BLOB_CONTENT[1000:]),
            (BATCH, CONTENT, CONTENT),
        ):
            side.leaves(name, content)
            (tmp_path / name).write_bytes(marked)
            fetched = side.transport.fetch(name, tmp_path / name, limit_bytes=LIMIT)
            assert (tmp_path / name).read_bytes() == expected
            assert (fetched.size, fetched.digest) == (len(content), digest_of(expected))

    def test_fetch_begins_anew_over_a_partial_that_is_too_long(self, side: Side, tmp_path: Path) -> None:
        side.leaves(BLOB, BLOB_CONTENT)
        (tmp_path / "target").write_bytes(b"#" * (len(BLOB_CONTENT) + 1))
        fetched = side.transport.fetch(BLOB, tmp_path / "target", limit_bytes=LIMIT)
        assert fetched.digest == digest_of(BLOB_CONTENT)

    def test_fetch_refuses_what_is_too_large(self, side: Side, tmp_path: Path) -> None:
        side.leaves(BATCH, CONTENT)
        with pytest.raises(TransportFileError, match="larger"):
            side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=len(CONTENT) - 1)
        assert not (tmp_path / "target").exists()
        side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=len(CONTENT))

    def test_fetch_of_a_missing_file(self, side: Side, tmp_path: Path) -> None:
        with pytest.raises(TransportFileError):
            side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT)

    def test_remove_own_removes_and_a_missing_file_is_fine(self, side: Side) -> None:
        side.transport.put(BATCH, BytesSource(CONTENT))
        for _ in range(2):
            side.transport.remove_own(BATCH)
        assert side.sees() == {}

    @pytest.mark.parametrize("name", ["../escape", "bell", ".hidden", "", "x.batch", f"up/{BATCH}"])
    def test_no_other_name_becomes_a_path(self, side: Side, tmp_path: Path, name: str) -> None:
        for act in (
            lambda: side.transport.put(name, BytesSource(b"x")),
            lambda: side.transport.fetch(name, tmp_path / "target", limit_bytes=LIMIT),
            lambda: side.transport.remove_own(name),
            lambda: side.transport.discard_partial(name),
        ):
            with pytest.raises(TransportFileError, match="no mailbox name"):
                act()

    def test_a_vanished_mailbox_is_an_error_and_never_empty(self, side: Side, tmp_path: Path) -> None:
        side.vanish()
        for act in (
            side.transport.list_names,
            side.transport.list_own,
            lambda: side.transport.put(BATCH, BytesSource(CONTENT)),
            lambda: side.transport.put(BLOB, BytesSource(BLOB_CONTENT)),
            lambda: side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT),
            lambda: side.transport.remove_own(BATCH),
            lambda: side.transport.discard_partial(BLOB),
        ):
            with pytest.raises(TransportError):
                act()

    def test_a_large_file_both_ways(self, side: Side, tmp_path: Path) -> None:
        content = os.urandom(1024 * 1024) * 32 + b"the odd end"
        side.transport.put(BATCH, BytesSource(content, block_bytes=1024 * 1024))
        assert side.sees() == {BATCH: content}
        side.leaves(BATCH, content)
        fetched = side.transport.fetch(BATCH, tmp_path / "target", limit_bytes=LIMIT)
        assert (fetched.size, fetched.digest) == (len(content), digest_of(content))

    def test_it_works_again_after_close(self, side: Side) -> None:
        side.transport.close()
        side.transport.close()
        side.transport.put(BATCH, BytesSource(CONTENT))
        side.transport.close()
        assert [file.name for file in side.transport.list_own().files] == [BATCH]


class TestMemory(TransportContract):
    @pytest.fixture
    def side(self) -> Side:
        return MemorySide()


class FolderContract(TransportContract):
    """What holds for local folders beyond the contract."""

    def test_fetch_refuses_links_and_what_is_no_plain_file(self, side: DiskSide, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        os.mkfifo(tmp_path / "fifo")
        names = [f"0000000{number}-0123456789abcdef.batch" for number in range(1, 5)]
        (side.incoming / names[0]).symlink_to(tmp_path / "secret")
        (side.incoming / names[1]).hardlink_to(tmp_path / "secret")
        os.mkfifo(side.incoming / names[2])
        (side.incoming / names[3]).mkdir()
        for name, found in zip(names, ("symbolic link", "2 hard links", "FIFO", "folder"), strict=True):
            with pytest.raises(TransportFileError, match=found):
                side.transport.fetch(name, tmp_path / "target", limit_bytes=LIMIT)
        assert not (tmp_path / "target").exists()
        listing = side.transport.list_names()
        assert (listing.files, listing.strangers) == ((), 4)

    def test_fetch_checks_the_owner(self, side: DiskSide, tmp_path: Path) -> None:
        side.leaves(BATCH, CONTENT)
        outgoing = Direction(side.outgoing.name)
        for uid, accepted in ((os.getuid(), True), (os.getuid() + 1, False)):
            transport = FolderTransport(side.mailbox, outgoing=outgoing, durable=SPOOL, peer_uid=uid)
            if accepted:
                assert transport.fetch(BATCH, tmp_path / "a", limit_bytes=LIMIT).size == len(CONTENT)
            else:
                with pytest.raises(TransportFileError, match="owner"):
                    transport.fetch(BATCH, tmp_path / "b", limit_bytes=LIMIT)

    def test_a_link_in_place_of_a_direction_is_no_mailbox(self, side: DiskSide, tmp_path: Path) -> None:
        shutil.rmtree(side.incoming)
        side.incoming.symlink_to(tmp_path)
        with pytest.raises(TransportError, match="not a folder"):
            side.transport.list_names()

    def test_a_partial_that_is_a_link_is_not_written_through(self, side: DiskSide, tmp_path: Path) -> None:
        (tmp_path / "precious").write_bytes(BLOB_CONTENT[:10])
        (side.outgoing / partial_name(BLOB)).symlink_to(tmp_path / "precious")
        side.transport.put(BLOB, BytesSource(BLOB_CONTENT))
        assert (tmp_path / "precious").read_bytes() == BLOB_CONTENT[:10]
        assert not (side.outgoing / BLOB).is_symlink()

    @pytest.mark.parametrize("name", [BATCH, BLOB])
    def test_a_full_disk_leaves_nothing(self, side: DiskSide, name: str) -> None:
        transport = FolderTransport(
            side.mailbox,
            outgoing=Direction(side.outgoing.name),
            durable=DurableFiles(Volume.OWN, NO_CRASH, FullAfter(1)),
        )
        with pytest.raises(NoSpaceError):
            transport.put(name, BytesSource(CONTENT))
        assert side.sees() == {}

    def test_a_failing_mailbox_volume_is_no_damage_of_ours(self, side: DiskSide) -> None:
        transport = FolderTransport(
            side.mailbox,
            outgoing=Direction(side.outgoing.name),
            durable=DurableFiles(Volume.OWN, NO_CRASH, FullAfter(1, errno.EIO)),
        )
        with pytest.raises(TransportError):
            transport.put(BLOB, BytesSource(CONTENT))
        assert side.sees() == {}

    def test_the_bell(self, side: DiskSide) -> None:
        bell = Bell(side.mailbox / "bell", makes=True)
        outgoing = Direction(side.outgoing.name)
        transport = FolderTransport(side.mailbox, outgoing=outgoing, durable=SPOOL, bell=bell)
        assert transport.ring() is False
        waiter = os.open(bell.path, os.O_RDONLY | os.O_NONBLOCK)
        assert transport.ring() is True
        assert side.transport.ring() is False
        os.close(waiter)


class FullAfter(Kernel):
    """A volume that takes so many writes and then no more."""

    def __init__(self, writes: int, number: int = errno.ENOSPC) -> None:
        self.writes = writes
        self.number = number

    def write(self, descriptor: int, block: Block) -> int:
        if self.writes == 0:
            raise OSError(self.number, os.strerror(self.number))
        self.writes -= 1
        return super().write(descriptor, block)


class TestServingFolder(FolderContract):
    @pytest.fixture
    def side(self, tmp_path: Path) -> Side:
        make_mailbox(tmp_path / "mailbox")
        return FolderSide(tmp_path / "mailbox", Direction.DOWN)


class TestDiallingFolder(FolderContract):
    @pytest.fixture
    def side(self, tmp_path: Path) -> Side:
        make_mailbox(tmp_path / "mailbox")
        return FolderSide(tmp_path / "mailbox", Direction.UP)


@pytest.mark.process
class TestSftp(TransportContract):
    @pytest.fixture
    def side(self, server: SftpServer, connection: SftpConnection) -> Iterator[Side]:
        side = SftpSide(server, connection)
        yield side
        side.transport.close()

    def test_files_are_readable_by_the_group_and_nobody_else(self, side: DiskSide) -> None:
        side.transport.put(BATCH, BytesSource(CONTENT))
        assert (side.outgoing / BATCH).stat().st_mode & 0o777 == 0o640

    def test_fetch_refuses_what_is_no_plain_file_without_opening_it(
        self, side: DiskSide, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        (side.incoming / BATCH).symlink_to(tmp_path / "secret")
        os.mkfifo(side.incoming / BLOB)
        (side.incoming / "directory-1.xml").mkdir()
        for name in (BATCH, BLOB, "directory-1.xml"):
            with pytest.raises(TransportFileError, match="plain"):
                side.transport.fetch(name, tmp_path / "target", limit_bytes=LIMIT)
        listing = side.transport.list_names()
        assert (listing.files, listing.strangers) == ((), 3)

    def test_hostile_names_are_strangers(self, side: DiskSide) -> None:
        names = (b"\xff\xfe", b"a\nb", b"\x1b[2J", "卷宗.batch".encode(), b"..batch", b"x" * 255)
        for name in names:
            (side.incoming / os.fsdecode(name)).touch()
        listing = side.transport.list_names()
        assert (listing.files, listing.strangers) == ((), len(names))

    def test_a_refused_write_is_told_and_leaves_nothing(self, side: DiskSide) -> None:
        (side.outgoing / partial_name(BATCH)).mkdir()
        (side.outgoing / partial_name(BATCH) / "in the way").touch()
        with pytest.raises(RemoteRefusedError):
            side.transport.put(BATCH, BytesSource(CONTENT))
        assert not (side.outgoing / BATCH).exists()
        side.transport.put(BLOB, BytesSource(BLOB_CONTENT))

    def test_the_bell_is_not_this_sides(self, side: DiskSide) -> None:
        assert side.transport.ring() is False

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small volume")
    def test_a_full_disk_is_named_and_leaves_nothing(self, side: DiskSide) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", side.outgoing], check=True)
        try:
            for name in (BATCH, BLOB):
                with pytest.raises(NoSpaceError):
                    side.transport.put(name, BytesSource(BLOB_CONTENT))
                assert side.sees() == {}
            side.transport.put(BATCH, BytesSource(b"x" * 100_000))
            assert list(side.sees()) == [BATCH]
        finally:
            subprocess.run(["umount", "-l", side.outgoing], check=True)
