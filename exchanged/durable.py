"""Durable files: the only module that writes, syncs, renames, links or removes product files.

Guarantees: a file written here appears under its name whole and flushed, or not at all; what fails
is told as one of our errors, and the kind depends on whose volume it is. On our **own** volume
(ledger, spool) a failed write or fsync is ``VolumeDamagedError``: the process must exit, because a
second fsync may report success for data that are gone. On a **foreign** volume (mailbox, agency
folder, medium) it is ``ForeignVolumeError`` and only that folder goes down. At a place that somebody
named for an **output** it is ``FileOperationError`` with what to do there. A full volume is
``NoSpaceError`` on all and damages nothing.

A crash leaves at most a temporary file ``.<name>.part``, which the next writing of that name
replaces; every durable step calls a crash point before and after itself, and nothing is cleaned up
while such a crash passes through, exactly as in a power cut.

Left to others: what the files mean, and locks. Known limits: one writer per name. Where a file
system knows neither RENAME_NOREPLACE nor, for files, hard links, renaming without replacing looks
first and renames then, so a stranger's file or empty folder appearing in between is replaced.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from exchanged.durable_writer import DurableWriter
from exchanged.errors import FileOperationError, NameTakenError, TransportFileError, VolumeDamagedError
from exchanged.transport import Fetched
from exchanged.volume import (
    KERNEL,
    NO_CRASH,
    UNSUPPORTED,
    Block,
    CrashPoints,
    Kernel,
    Volume,
    VolumeAccess,
)
from packet_spec.errors import ExchangeError

__all__ = [
    "NO_CRASH",
    "Block",
    "CrashPoints",
    "DurableFiles",
    "DurableWriter",
    "Kernel",
    "Volume",
    "temporary_path",
]

# Copies go in blocks of this size: large enough that hashing dominates, small enough to keep memory flat.
BLOCK_BYTES: Final = 1024 * 1024

_NO_LINKS: Final = UNSUPPORTED | {errno.EPERM, errno.EMLINK}
_NO_FOLDER_SYNC: Final = UNSUPPORTED | {errno.EACCES, errno.EPERM}
_NOT_EMPTY: Final = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT, errno.ENOTDIR})
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_RESUME: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def temporary_path(path: Path) -> Path:
    """Where ``path`` grows before it is whole: ``.<name>.part`` beside it."""
    return path.with_name(f".{path.name}.part")


class DurableFiles:
    """Durable operations on one kind of volume. Holds no state; may be shared by threads."""

    def __init__(self, volume: Volume, crash: CrashPoints = NO_CRASH, kernel: Kernel = KERNEL) -> None:
        self._access = VolumeAccess(volume, crash, kernel)

    @property
    def volume(self) -> Volume:
        """Whose volume this is."""
        return self._access.volume

    @property
    def access(self) -> VolumeAccess:
        """Crash points and system calls, for a group of the same volume."""
        return self._access

    def for_volume(self, volume: Volume) -> DurableFiles:
        """The same crash points and system calls, judging failures as on ``volume``."""
        return DurableFiles(volume, self._access.crash, self._access.kernel)

    # --- writing -------------------------------------------------------------------------------

    def write_file(self, path: Path, blocks: Iterable[bytes], *, mode: int = 0o640) -> tuple[int, str]:
        """Write ``path`` whole, replacing an older file: temporary, fsync, rename, folder fsync.

        Returns the size in bytes and the SHA-256 in hex. Raises VolumeDamagedError,
        ForeignVolumeError, NoSpaceError or FileOperationError; an error raised by ``blocks``
        passes through. In all these cases the older file stands untouched.
        """
        temporary = temporary_path(path)
        written = self._write_temporary("write-file", temporary, blocks, mode)
        with self._discarding(temporary):
            self._rename("write-file", temporary, path)
        self.sync_dir(path.parent)
        return written

    def write_new(self, path: Path, blocks: Iterable[bytes], *, mode: int = 0o640) -> tuple[int, str]:
        """Like ``write_file``, but raises NameTakenError when ``path`` exists, leaving it as it is."""
        temporary = temporary_path(path)
        written = self._write_temporary("write-new", temporary, blocks, mode)
        with self._discarding(temporary):
            self._rename_new("write-new", temporary, path)
        self.sync_dir(path.parent)
        return written

    def write_in_place(self, path: Path, blocks: Iterable[bytes], *, mode: int = 0o640) -> None:
        """A new file under its final name, flushed without its folder, as part of what counts as a whole.

        Raises NameTakenError, and as ``write_file``.
        """
        with self._written("stage", path, blocks, mode) as writer:
            writer.sync("stage")

    def create(self, path: Path, *, mode: int = 0o640) -> DurableWriter:
        """A new file that grows under its final name (a spool group). Raises NameTakenError."""
        return DurableWriter(self, self._access, path, self._open_new("create", path, mode))

    def copy_descriptor(
        self, fd: int, target: Path, *, limit_bytes: int, offset: int = 0, flush: bool = True
    ) -> Fetched:
        """Copy an open regular file into ``target`` through this one descriptor (C3).

        Otherwise as ``copy_blocks``; the descriptor stays open, its position is not used. Raises
        TransportFileError also when reading fails.
        """
        blocks = blocks_of(fd, offset)
        return self.copy_blocks(target, blocks, limit_bytes=limit_bytes, offset=offset, flush=flush)

    def copy_blocks(
        self,
        target: Path,
        blocks: Iterable[Block],
        *,
        limit_bytes: int,
        offset: int = 0,
        flush: bool = True,
    ) -> Fetched:
        """Write ``blocks`` into the private file ``target``, hashing them; flushed with its folder.

        Without ``flush`` for what is read at once and thrown away.

        ``offset`` > 0 resumes: the first ``offset`` bytes of ``target`` are kept and hashed, what
        follows them is cut off, and ``blocks`` continues there. Otherwise ``target`` is begun anew.
        Returns size and SHA-256 of the whole. Raises TransportFileError when ``target`` would pass
        ``limit_bytes`` (it is removed then). An error raised by ``blocks`` passes through; that and
        every other failure leave the bytes so far, for a later resume.
        """
        digest = hashlib.sha256()
        if offset:
            self._hash_partial(target, offset, digest.update)
        hashed = _hashing(blocks, digest.update)
        size = self.extend(target, hashed, limit_bytes=limit_bytes, offset=offset, flush=flush)
        return Fetched(size, digest.hexdigest())

    def extend(
        self,
        target: Path,
        blocks: Iterable[Block],
        *,
        limit_bytes: int,
        offset: int = 0,
        flush: bool = True,
    ) -> int:
        """As ``copy_blocks``, for what is verified elsewhere: nothing of it is hashed, or read again.

        Returns the size of the whole.
        """
        if offset:
            descriptor = self._open_partial(target, offset)
        else:
            descriptor = self._open_new("copy", target, 0o640, instead=True)
        with DurableWriter(self, self._access, target, descriptor, offset) as writer:
            for block in self._counted("copy", blocks):
                if writer.offset + len(block) > limit_bytes:
                    self.unlink(target)
                    raise TransportFileError(
                        "a file is larger than it may be", expected=f"at most {limit_bytes} bytes"
                    )
                writer.write(block)
            if flush:
                writer.flush()
            return writer.offset

    # --- naming --------------------------------------------------------------------------------

    def replace(self, source: Path, target: Path) -> bool:
        """Rename onto ``target``, replacing it atomically, and sync the folders.

        Returns False where the target's folder refuses to be synced (see ``sync_dir``).
        """
        self._rename("replace", source, target)
        return self._sync_both(source, target)

    def rename_new(self, source: Path, target: Path) -> bool:
        """Rename a file or folder onto a name that must be free, and sync the folders (C19).

        Returns False where the target's folder refuses to be synced: the ``delivered`` receipt
        then says so. Raises NameTakenError when ``target`` exists; both are then untouched.
        """
        self._rename_new("rename-new", source, target)
        return self._sync_both(source, target)

    def link(self, source: Path, target: Path) -> bool:
        """Give a file a second name, not synced. False: there is no such file.

        Raises as the volume fails, also where it knows no hard links.
        """
        with self._access.step("link", "link", target):
            try:
                self._access.kernel.link(source, target)
            except FileNotFoundError:
                return False
        return True

    def unlink(self, path: Path) -> None:
        """Remove a file; missing is fine. The folder is not synced: a removal may be repeated."""
        with self._access.step("unlink", "unlink", path):
            path.unlink(missing_ok=True)

    def free_bytes(self, path: Path) -> int:
        """What is free for us on the volume of ``path``."""
        with self._access.step("statvfs", "free-bytes", path):
            volume = os.statvfs(path)
        return volume.f_bavail * volume.f_frsize

    def make_dir(self, path: Path, *, mode: int = 0o750) -> None:
        """Make one folder with exactly ``mode``, synced into its parent; an existing folder is fine."""
        with self._access.step("mkdir", "make-dir", path):
            try:
                path.mkdir(mode)
            except FileExistsError:
                if not stat.S_ISDIR(path.lstat().st_mode):
                    raise
            else:
                self._set_mode(path, mode)
        self.sync_dir(path.parent)

    def remove_tree(self, path: Path) -> None:
        """Remove a folder with all that is in it, following no links; missing is fine. Not synced."""
        with self._access.step("remove", "remove-tree", path), suppress(FileNotFoundError):
            shutil.rmtree(path)

    def remove_empty_dir(self, path: Path) -> bool:
        """Remove a folder that holds nothing. False when it holds something, is not there or is no folder."""
        with self._access.step("remove", "remove-empty-dir", path):
            try:
                path.rmdir()
            except OSError as error:
                if error.errno not in _NOT_EMPTY:
                    raise
                return False
        return True

    def sync_dir(self, path: Path) -> bool:
        """Make the names in a folder durable.

        On a foreign volume a share may refuse to sync folders at all: then False (C19). Elsewhere
        that is FileOperationError: the promises of the spool rest on it, and that of a written output.
        """
        try:
            with self._access.step("open", "sync-dir", path):
                descriptor = os.open(path, _FOLDER)
            try:
                with self._access.step("fsync", "sync-dir", path):
                    self._access.kernel.fsync(descriptor)
            finally:
                os.close(descriptor)
        except ExchangeError as error:
            number = error.__cause__.errno if isinstance(error.__cause__, OSError) else None
            if number not in _NO_FOLDER_SYNC:
                raise
            if self.volume is Volume.FOREIGN:
                return False
            if self.volume is Volume.OUTPUT:
                raise
            raise FileOperationError(
                "the volume does not sync this folder; the data directory needs one that does",
                where=str(path),
            ) from error
        return True

    # --- parts ---------------------------------------------------------------------------------

    def _write_temporary(
        self, operation: str, temporary: Path, blocks: Iterable[bytes], mode: int
    ) -> tuple[int, str]:
        digest = hashlib.sha256()
        with (
            self._discarding(temporary),
            self._written(operation, temporary, blocks, mode, digest.update, instead=True) as writer,
        ):
            writer.sync(operation)
            return writer.offset, digest.hexdigest()

    def _written(
        self,
        operation: str,
        path: Path,
        blocks: Iterable[bytes],
        mode: int,
        hash_block: Callable[[Block], object] = lambda _: None,
        *,
        instead: bool = False,
    ) -> DurableWriter:
        """A new file with ``blocks`` in it, open and not flushed yet; ``instead`` as in ``_open_new``."""
        descriptor = self._open_new(operation, path, mode, instead=instead)
        writer = DurableWriter(self, self._access, path, descriptor)
        try:
            for block in self._counted(operation, blocks):
                writer.write(block)
                hash_block(block)
        except BaseException:
            writer.close()
            raise
        return writer

    def _counted(self, operation: str, blocks: Iterable[Block]) -> Iterator[Block]:
        """The blocks, with crash points before the first, after each and after the last."""
        self._access.crash.point(f"durable:before-write:{operation}")
        for block in blocks:
            yield block
            self._access.crash.point(f"durable:during-write:{operation}")
        self._access.crash.point(f"durable:after-write:{operation}")

    def _open_new(self, operation: str, path: Path, mode: int, *, instead: bool = False) -> int:
        """``instead``: of what a crash left under this temporary name."""
        with self._access.step("create", operation, path):
            try:
                descriptor = os.open(path, _CREATE, mode)
            except FileExistsError as error:
                if not instead:
                    raise NameTakenError("the name is taken", where=self._access.place(path)) from error
                self._remove_stale(operation, path)
                descriptor = os.open(path, _CREATE, mode)
            try:
                self._set_mode(descriptor, mode)
            except OSError:
                os.close(descriptor)
                raise
        return descriptor

    def _hash_partial(self, path: Path, size: int, hash_block: Callable[[bytes], None]) -> None:
        descriptor = self._open_partial(path, size)
        try:
            with self._access.step("read", "resume", path):
                position = 0
                while position < size:
                    block = os.pread(descriptor, min(BLOCK_BYTES, size - position), position)
                    if not block:
                        raise self._cut(path)
                    hash_block(block)
                    position += len(block)
        finally:
            os.close(descriptor)

    def _open_partial(self, path: Path, size: int) -> int:
        """Its first ``size`` bytes, at whose end it goes on."""
        with self._access.step("open", "resume", path):
            descriptor = os.open(path, _RESUME)
        try:
            with self._access.step("cut", "resume", path):
                if os.fstat(descriptor).st_size < size:
                    raise self._cut(path)
                os.ftruncate(descriptor, size)
                os.lseek(descriptor, size, os.SEEK_SET)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _cut(self, path: Path) -> FileOperationError:
        return FileOperationError("a partial file is shorter than it was", where=self._access.place(path))

    def _remove_stale(self, operation: str, temporary: Path) -> None:
        with self._access.step("unlink", operation, temporary):
            temporary.unlink(missing_ok=True)

    def _rename(self, operation: str, source: Path, target: Path) -> None:
        with self._access.step("rename", operation, target):
            source.rename(target)

    def _rename_new(self, operation: str, source: Path, target: Path) -> None:
        with self._access.step("rename", operation, target):
            try:
                self._access.kernel.rename_new(source, target)
            except FileExistsError as error:
                # Two names of one file: a crash came between link and unlink below. Finish it.
                if not _is_one_file(source, target):
                    raise NameTakenError("the name is taken", where=self._access.place(target)) from error
                source.unlink()
            except OSError as error:
                if error.errno not in UNSUPPORTED:
                    raise
                try:
                    self._rename_new_otherwise(operation, source, target)
                except FileExistsError:
                    raise NameTakenError("the name is taken", where=self._access.place(target)) from error

    def _rename_new_otherwise(self, operation: str, source: Path, target: Path) -> None:
        """For file systems without renameat2: link and unlink for files, else look, then rename."""
        if not stat.S_ISDIR(source.lstat().st_mode):
            try:
                self._access.kernel.link(source, target)
            except FileExistsError:
                if not _is_one_file(source, target):
                    raise
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                _rename_onto_free_name(source, target)
                return
            self._access.crash.point(f"durable:after-link:{operation}")
            source.unlink()
            return
        _rename_onto_free_name(source, target)

    def _sync_both(self, source: Path, target: Path) -> bool:
        synced = self.sync_dir(target.parent)
        if source.parent != target.parent:
            self.sync_dir(source.parent)
        return synced

    def _set_mode(self, file: int | Path, mode: int) -> None:
        # The umask must not decide who reads; a share without modes may refuse.
        try:
            os.chmod(file, mode)  # noqa: PTH101 - also takes a descriptor
        except OSError:
            if self.volume is not Volume.FOREIGN:
                raise

    @contextmanager
    def _discarding(self, temporary: Path) -> Iterator[None]:
        """Throw a temporary file away after a failure, except after damage and in a crash."""
        try:
            yield
        except VolumeDamagedError:
            raise
        except Exception:
            with suppress(OSError):
                temporary.unlink()
            raise


def blocks_of(fd: int, offset: int) -> Iterator[bytes]:
    """What an open regular file holds from ``offset`` on. Raises TransportFileError when reading fails."""
    position = offset
    while True:
        try:
            block = os.pread(fd, BLOCK_BYTES, position)
        except OSError as error:
            raise TransportFileError("a file cannot be read", found=error.strerror or "") from error
        if not block:
            return
        yield block
        position += len(block)


def _hashing(blocks: Iterable[Block], hash_block: Callable[[Block], None]) -> Iterator[Block]:
    for block in blocks:
        hash_block(block)
        yield block


def _is_one_file(source: Path, target: Path) -> bool:
    left, right = source.lstat(), target.lstat()
    return stat.S_ISREG(left.st_mode) and os.path.samestat(left, right)


def _rename_onto_free_name(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    source.rename(target)
