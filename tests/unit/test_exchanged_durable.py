from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exchanged.durable import NO_CRASH, Block, DurableFiles, Kernel, Volume, temporary_path
from exchanged.errors import (
    FileOperationError,
    ForeignVolumeError,
    NameTakenError,
    NoSpaceError,
    TransportFileError,
    VolumeDamagedError,
)

OWN = DurableFiles(Volume.OWN)
FOREIGN = DurableFiles(Volume.FOREIGN)


class CrashError(BaseException):
    """The power is gone."""


class CrashAt:
    """Counts crash points and crashes at the n-th; never by default."""

    def __init__(self, number: int = -1) -> None:
        self.names: list[str] = []
        self.number = number

    def point(self, name: str) -> None:
        if len(self.names) == self.number:
            raise CrashError
        self.names.append(name)


class FailingKernel(Kernel):
    """Fails the named call with an errno, after letting ``after`` calls of it through."""

    def __init__(self, call: str, number: int, after: int = 0) -> None:
        self.call = call
        self.number = number
        self.after = after

    def _fail(self, call: str) -> None:
        if call != self.call:
            return
        if self.after == 0:
            raise OSError(self.number, os.strerror(self.number))
        self.after -= 1

    def write(self, descriptor: int, block: Block) -> int:
        self._fail("write")
        return super().write(descriptor, block)

    def fsync(self, descriptor: int) -> None:
        self._fail("fsync")
        super().fsync(descriptor)

    def rename_new(self, source: Path, target: Path) -> None:
        self._fail("rename_new")
        super().rename_new(source, target)


class ShortWrites(Kernel):
    """Takes three bytes at a time, as write(2) may."""

    def write(self, descriptor: int, block: Block) -> int:
        return super().write(descriptor, memoryview(block)[:3])


def failing(volume: Volume, call: str, number: int, after: int = 0) -> DurableFiles:
    return DurableFiles(volume, NO_CRASH, FailingKernel(call, number, after))


def without_renameat2(crash: CrashAt | None = None) -> DurableFiles:
    return DurableFiles(Volume.OWN, crash or NO_CRASH, FailingKernel("rename_new", errno.EINVAL, 0))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_file_returns_size_and_digest_and_sets_the_mode_despite_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        size, digest = OWN.write_file(tmp_path / "a", [b"one", b"two"], mode=0o660)
    finally:
        os.umask(before)
    assert (size, digest) == (6, hashlib.sha256(b"onetwo").hexdigest())
    assert (tmp_path / "a").read_bytes() == b"onetwo"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o660
    assert names_in(tmp_path) == ["a"]


def test_write_file_replaces_the_older_file_and_a_stale_temporary(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    temporary_path(tmp_path / "a").write_bytes(b"left by a crash")
    OWN.write_file(tmp_path / "a", [b"new"])
    assert (tmp_path / "a").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a"]


def test_a_stale_temporary_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"untouched")
    temporary_path(tmp_path / "a").symlink_to(tmp_path / "secret")
    OWN.write_file(tmp_path / "a", [b"new"])
    assert (tmp_path / "secret").read_bytes() == b"untouched"
    assert not (tmp_path / "a").is_symlink()


def test_an_error_of_the_source_passes_and_leaves_the_older_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def blocks() -> Iterator[bytes]:
        yield b"half"
        raise KeyError("the source")

    with pytest.raises(KeyError):
        OWN.write_file(tmp_path / "a", blocks())
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names_in(tmp_path) == ["a"]


def test_short_writes_are_completed(tmp_path: Path) -> None:
    files = DurableFiles(Volume.OWN, NO_CRASH, ShortWrites())
    assert files.write_file(tmp_path / "a", [b"0123456789"])[0] == 10
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_write_new_never_replaces(tmp_path: Path) -> None:
    OWN.write_new(tmp_path / "a", [b"first"])
    with pytest.raises(NameTakenError):
        OWN.write_new(tmp_path / "a", [b"second"])
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names_in(tmp_path) == ["a"]


@pytest.mark.parametrize("operation", ["write_file", "write_new"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_crash_anywhere_leaves_the_old_or_the_whole_new_file(
    tmp_path: Path, operation: str, existing: bool
) -> None:
    def write(folder: Path, crash: CrashAt) -> None:
        getattr(DurableFiles(Volume.OWN, crash), operation)(folder / "a", [b"ne", b"w"])

    count = CrashAt()
    whole = tmp_path / "count"
    whole.mkdir()
    write(whole, count)
    assert len(count.names) > 8
    outcomes = set()
    for number in range(len(count.names)):
        folder = tmp_path / str(number)
        folder.mkdir()
        if existing and operation == "write_file":
            (folder / "a").write_bytes(b"old")
        with pytest.raises(CrashError):
            write(folder, CrashAt(number))
        content = (folder / "a").read_bytes() if (folder / "a").exists() else None
        outcomes.add(content)
        assert content in {b"new", b"old" if existing and operation == "write_file" else None}
        # The next attempt meets whatever the crash left.
        OWN.write_file(folder / "a", [b"again"])
        assert names_in(folder) == ["a"]
    assert len(outcomes) == 2


def test_a_crash_leaves_the_temporary_file_as_a_power_cut_would(tmp_path: Path) -> None:
    count = CrashAt()
    DurableFiles(Volume.OWN, count).write_file(tmp_path / "count", [b"x"])
    crash = CrashAt(count.names.index("durable:before-rename:write-file"))
    with pytest.raises(CrashError):
        DurableFiles(Volume.OWN, crash).write_file(tmp_path / "a", [b"x"])
    assert temporary_path(tmp_path / "a").read_bytes() == b"x"


def test_crash_points_carry_no_names_of_files(tmp_path: Path) -> None:
    count = CrashAt()
    DurableFiles(Volume.OWN, count).write_file(tmp_path / "secret-name", [b"x"])
    assert not [name for name in count.names if "secret" in name]
    assert "durable:before-fsync:write-file" in count.names
    assert "durable:after-fsync:sync-dir" in count.names


@pytest.mark.parametrize("number", [errno.EIO, errno.ETIMEDOUT])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_on_our_own_volume_a_failing_write_or_fsync_is_damage(tmp_path: Path, call: str, number: int) -> None:
    with pytest.raises(VolumeDamagedError):
        failing(Volume.OWN, call, number).write_file(tmp_path / "a", [b"x"])
    assert not (tmp_path / "a").exists()


def test_on_our_own_volume_a_failing_folder_fsync_is_damage(tmp_path: Path) -> None:
    with pytest.raises(VolumeDamagedError):
        failing(Volume.OWN, "fsync", errno.EIO, after=1).write_file(tmp_path / "a", [b"x"])


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_on_a_foreign_volume_the_same_failure_is_only_that_folder(tmp_path: Path, call: str) -> None:
    with pytest.raises(ForeignVolumeError):
        failing(Volume.FOREIGN, call, errno.EIO).write_file(tmp_path / "a", [b"x"])
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS])
@pytest.mark.parametrize(("call", "after"), [("write", 0), ("fsync", 0), ("fsync", 1)])
def test_a_failure_of_an_output_says_what_to_do_there(
    tmp_path: Path, call: str, after: int, number: int
) -> None:
    with pytest.raises(FileOperationError) as caught:
        failing(Volume.OUTPUT, call, number, after).write_file(tmp_path / "a", [b"x"])
    assert "another place" in caught.value.advice
    assert caught.value.where.startswith(str(tmp_path))
    assert not names_in(tmp_path) or after


@pytest.mark.parametrize("volume", list(Volume))
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_full_volume_is_no_damage(tmp_path: Path, volume: Volume, number: int, call: str) -> None:
    with pytest.raises(NoSpaceError):
        failing(volume, call, number).write_file(tmp_path / "a", [b"x"])
    assert names_in(tmp_path) == []


def test_a_missing_folder_is_no_damage(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError):
        OWN.write_file(tmp_path / "gone" / "a", [b"x"])
    with pytest.raises(FileOperationError):
        OWN.sync_dir(tmp_path / "gone")
    with pytest.raises(FileOperationError):
        OWN.replace(tmp_path / "gone", tmp_path / "a")
    with pytest.raises(ForeignVolumeError):
        FOREIGN.write_file(tmp_path / "gone" / "a", [b"x"])


def test_errors_on_a_foreign_volume_do_not_tell_the_file_name(tmp_path: Path) -> None:
    with pytest.raises(ForeignVolumeError) as caught:
        FOREIGN.replace(tmp_path / "name-of-a-person", tmp_path / "name-of-a-person.2")
    assert "person" not in str(caught.value)


def test_a_share_that_refuses_folder_sync_is_reported_as_false(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    refusing = failing(Volume.FOREIGN, "fsync", errno.EINVAL)
    assert refusing.sync_dir(tmp_path) is False
    assert refusing.rename_new(tmp_path / "a", tmp_path / "b") is False
    assert FOREIGN.sync_dir(tmp_path) is True
    assert FOREIGN.rename_new(tmp_path / "b", tmp_path / "c") is True


def test_our_own_volume_must_sync_folders(tmp_path: Path) -> None:
    with pytest.raises(FileOperationError, match="does not sync"):
        failing(Volume.OWN, "fsync", errno.EINVAL).sync_dir(tmp_path)


@pytest.mark.parametrize("make", [lambda: OWN, without_renameat2])
def test_rename_new_moves_files_and_folders(tmp_path: Path, make: Callable[[], DurableFiles]) -> None:
    files = make()
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inner").write_bytes(b"y")
    (tmp_path / "to").mkdir()
    assert files.rename_new(tmp_path / "file", tmp_path / "to" / "file") is True
    assert files.rename_new(tmp_path / "folder", tmp_path / "to" / "folder") is True
    assert (tmp_path / "to" / "folder" / "inner").read_bytes() == b"y"
    assert (tmp_path / "to" / "file").stat().st_nlink == 1
    assert names_in(tmp_path) == ["to"]


@pytest.mark.parametrize("make", [lambda: OWN, without_renameat2])
def test_rename_new_refuses_a_taken_name(tmp_path: Path, make: Callable[[], DurableFiles]) -> None:
    files = make()
    for name in ("file", "taken"):
        (tmp_path / name).write_text(name)
    for name in ("folder", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "folder" / "inner").write_bytes(b"y")
    with pytest.raises(NameTakenError):
        files.rename_new(tmp_path / "file", tmp_path / "taken")
    with pytest.raises(NameTakenError):
        files.rename_new(tmp_path / "folder", tmp_path / "empty")
    assert (tmp_path / "taken").read_text() == "taken"
    assert names_in(tmp_path) == ["empty", "file", "folder", "taken"]


def test_a_crash_between_link_and_unlink_is_finished_by_the_next_attempt(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    count = CrashAt()
    (tmp_path / "count").write_bytes(b"x")
    without_renameat2(count).rename_new(tmp_path / "count", tmp_path / "counted")
    crash = CrashAt(count.names.index("durable:after-link:rename-new"))
    with pytest.raises(CrashError):
        without_renameat2(crash).rename_new(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").stat().st_nlink == 2
    assert OWN.rename_new(tmp_path / "a", tmp_path / "b") is True
    assert names_in(tmp_path) == ["b", "counted"]


def test_replace_replaces(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("new")
    (tmp_path / "b").write_text("old")
    assert OWN.replace(tmp_path / "a", tmp_path / "b") is True
    assert (tmp_path / "b").read_text() == "new"


def test_unlink_and_remove_tree_may_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("kept")
    (tmp_path / "tree" / "link").symlink_to(tmp_path / "kept")
    for _ in range(2):
        OWN.unlink(tmp_path / "a")
        OWN.remove_tree(tmp_path / "tree")
    assert names_in(tmp_path) == ["kept"]
    assert names_in(tmp_path / "kept") == ["file"]


def test_make_dir_sets_the_exact_mode_and_may_be_repeated(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        OWN.make_dir(tmp_path / "d", mode=0o2770)
    finally:
        os.umask(before)
    OWN.make_dir(tmp_path / "d", mode=0o700)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o2770
    (tmp_path / "file").write_text("x")
    with pytest.raises(FileOperationError):
        OWN.make_dir(tmp_path / "file")


def test_a_writer_tells_offsets_and_flushes(tmp_path: Path) -> None:
    count = CrashAt()
    with DurableFiles(Volume.OWN, count).create(tmp_path / "group") as writer:
        assert writer.append(b"abc") == 0
        assert writer.append(b"defg") == 3
        writer.flush()
        writer.append(b"h")
        writer.flush()
        assert writer.offset == 8
    assert (tmp_path / "group").read_bytes() == b"abcdefgh"
    # The folder is synced once: afterwards only the content changes.
    assert count.names.count("durable:after-fsync:sync-dir") == 1
    assert count.names.count("durable:after-fsync:flush") == 2
    with pytest.raises(NameTakenError):
        OWN.create(tmp_path / "group")


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_a_writer_is_not_used_again_after_a_failure(tmp_path: Path, call: str) -> None:
    files = failing(Volume.OWN, call, errno.EIO)
    with files.create(tmp_path / "group") as writer:
        with pytest.raises(VolumeDamagedError):
            writer.flush() if call == "fsync" else writer.append(b"abc")
        files._access.kernel.call = "none"  # type: ignore[attr-defined]
        with pytest.raises(FileOperationError):
            writer.flush()
        with pytest.raises(FileOperationError):
            writer.append(b"more")


def test_a_closed_writer_refuses(tmp_path: Path) -> None:
    writer = OWN.create(tmp_path / "group")
    writer.close()
    writer.close()
    with pytest.raises(FileOperationError):
        writer.append(b"x")


@pytest.fixture
def source(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    content = os.urandom(3 * 1024 * 1024 + 17)
    (tmp_path / "source").write_bytes(content)
    descriptor = os.open(tmp_path / "source", os.O_RDONLY)
    yield descriptor, content
    os.close(descriptor)


def test_copy_descriptor_copies_and_hashes(tmp_path: Path, source: tuple[int, bytes]) -> None:
    descriptor, content = source
    (tmp_path / "target").write_bytes(b"stale" * 10**6)
    fetched = OWN.copy_descriptor(descriptor, tmp_path / "target", limit_bytes=len(content))
    assert (fetched.size, fetched.digest) == (len(content), hashlib.sha256(content).hexdigest())
    assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("offset", [1, 1024 * 1024, 3 * 1024 * 1024 + 17])
def test_copy_descriptor_resumes(tmp_path: Path, source: tuple[int, bytes], offset: int) -> None:
    descriptor, content = source
    # A marked prefix shows that it is kept, a tail that it is cut off.
    prefix = b"#" * offset
    (tmp_path / "target").write_bytes(prefix + b"tail" * 10**6)
    fetched = OWN.copy_descriptor(descriptor, tmp_path / "target", limit_bytes=len(content), offset=offset)
    expected = prefix + content[offset:]
    assert (tmp_path / "target").read_bytes() == expected
    assert (fetched.size, fetched.digest) == (len(content), hashlib.sha256(expected).hexdigest())


def test_extend_goes_on_behind_what_is_there_and_never_fills_a_gap(tmp_path: Path) -> None:
    target = tmp_path / "target"
    assert OWN.extend(target, [b"abc", b"def"], limit_bytes=10) == 6
    assert OWN.extend(target, [b"XY"], limit_bytes=10, offset=4) == 6
    assert target.read_bytes() == b"abcdXY"
    with pytest.raises(FileOperationError, match="shorter"):
        OWN.extend(target, [b"Z"], limit_bytes=10, offset=7)
    assert target.read_bytes() == b"abcdXY"
    with pytest.raises(TransportFileError, match="larger"):
        OWN.extend(target, [b"12345"], limit_bytes=10, offset=6)
    assert not target.exists()


def test_copy_descriptor_refuses_what_is_too_large(tmp_path: Path, source: tuple[int, bytes]) -> None:
    descriptor, content = source
    with pytest.raises(TransportFileError, match="larger"):
        OWN.copy_descriptor(descriptor, tmp_path / "target", limit_bytes=len(content) - 1)
    assert not (tmp_path / "target").exists()


def test_a_shrunken_partial_is_named(tmp_path: Path, source: tuple[int, bytes]) -> None:
    (tmp_path / "target").write_bytes(b"short")
    with pytest.raises(FileOperationError, match="shorter"):
        OWN.copy_descriptor(source[0], tmp_path / "target", limit_bytes=10**9, offset=6)


def test_an_unreadable_source_is_no_damage(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(TransportFileError):
            OWN.copy_descriptor(descriptor, tmp_path / "target", limit_bytes=10)
    finally:
        os.close(descriptor)


def test_no_descriptor_stays_open_after_failures(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for call in ("write", "fsync"):
        with pytest.raises(VolumeDamagedError):
            failing(Volume.OWN, call, errno.EIO).write_file(tmp_path / "a", [b"x"])
        with pytest.raises(VolumeDamagedError):
            failing(Volume.OWN, call, errno.EIO).copy_blocks(tmp_path / "b", [b"x"], limit_bytes=9)
    assert set(Path("/proc/self/fd").iterdir()) == before
