"""What is special to the folder transport; the contract itself is proved in tests/contract."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.durable import NO_CRASH, DurableFiles, Kernel, Volume
from exchanged.errors import TransportError, VolumeDamagedError
from exchanged.folder_transport import FolderTransport, resume_offset
from exchanged.mailbox import Direction, partial_name
from tests.support.sftp_server import make_mailbox
from tests.support.transports import BytesSource, digest_of

BATCH = "00000001-0123456789abcdef.batch"
CONTENT = b"content" * 1000
BLOB = f"{digest_of(CONTENT)}.blob"
OWN = DurableFiles(Volume.OWN)


class CrashError(BaseException):
    """The power is gone."""


class CrashAt:
    def __init__(self, number: int = -1) -> None:
        self.names: list[str] = []
        self._number = number

    def point(self, name: str) -> None:
        if len(self.names) == self._number:
            raise CrashError
        self.names.append(name)


class Broken(Kernel):
    def fsync(self, descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    make_mailbox(tmp_path / "mailbox")
    return tmp_path / "mailbox"


def test_the_serving_side_writes_down_and_reads_up(mailbox: Path, tmp_path: Path) -> None:
    serving = FolderTransport(mailbox, outgoing="down", durable=OWN)
    dialling = FolderTransport(mailbox, outgoing=Direction.UP, durable=OWN)
    serving.put(BATCH, BytesSource(CONTENT))
    assert (mailbox / "down" / BATCH).read_bytes() == CONTENT
    assert dialling.fetch(BATCH, tmp_path / "target", limit_bytes=10**6).digest == digest_of(CONTENT)
    dialling.put("ack.batch", BytesSource(b"seen"))
    assert [file.name for file in serving.list_names().files] == ["ack.batch"]
    serving.remove_own(BATCH)
    assert dialling.list_names().files == ()
    with pytest.raises(ValueError, match="sideways"):
        FolderTransport(mailbox, outgoing="sideways", durable=OWN)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [BATCH, BLOB])
def test_a_crash_anywhere_in_a_put_shows_the_whole_file_or_none(tmp_path: Path, name: str) -> None:
    def put(mailbox: Path, crash: CrashAt) -> None:
        transport = FolderTransport(mailbox, outgoing="up", durable=DurableFiles(Volume.OWN, crash))
        transport.put(name, BytesSource(CONTENT, block_bytes=3000))

    count = CrashAt()
    make_mailbox(tmp_path / "count")
    put(tmp_path / "count", count)
    seen = set()
    for number in range(len(count.names)):
        mailbox = tmp_path / str(number)
        make_mailbox(mailbox)
        with pytest.raises(CrashError):
            put(mailbox, CrashAt(number))
        final = mailbox / "up" / name
        seen.add(final.exists())
        assert not final.exists() or final.read_bytes() == CONTENT
        put(mailbox, CrashAt())
        assert [path.name for path in (mailbox / "up").iterdir()] == [name]
        assert final.read_bytes() == CONTENT
    assert seen == {True, False}


def test_a_failing_spool_is_damage_a_failing_mailbox_is_not(mailbox: Path, tmp_path: Path) -> None:
    (mailbox / "down" / BATCH).write_bytes(CONTENT)
    transport = FolderTransport(
        mailbox, outgoing="up", durable=DurableFiles(Volume.OWN, NO_CRASH, Broken())
    )
    with pytest.raises(VolumeDamagedError):
        transport.fetch(BATCH, tmp_path / "target", limit_bytes=10**6)
    with pytest.raises(TransportError):
        transport.put(BATCH, BytesSource(CONTENT))
    assert list((mailbox / "up").iterdir()) == []


def test_a_share_that_syncs_no_folders_still_works(mailbox: Path) -> None:
    class NoFolderSync(Kernel):
        def fsync(self, descriptor: int) -> None:
            if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir():
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            super().fsync(descriptor)

    transport = FolderTransport(
        mailbox, outgoing="up", durable=DurableFiles(Volume.OWN, NO_CRASH, NoFolderSync())
    )
    transport.put(BATCH, BytesSource(CONTENT))
    assert (mailbox / "up" / BATCH).read_bytes() == CONTENT


def test_resume_offset(tmp_path: Path) -> None:
    partial = tmp_path / partial_name(BLOB)
    assert resume_offset(partial, 10) == 0
    partial.write_bytes(b"x" * 10)
    assert resume_offset(partial, 10) == 10
    assert resume_offset(partial, 9) == 0
    (tmp_path / "link").symlink_to(partial)
    assert resume_offset(tmp_path / "link", 10) == 0
