"""Durable files in groups: what many steps write is flushed together, which costs little more than one flush.

Guarantees: those of ``exchanged.durable`` for everything that ``flush`` did not name as failed; until then a
file of ``write_file`` lies under its temporary name only, and nothing counts. The order is kept that makes
it safe: contents, then names, then folders. Whoever writes says first on whose behalf (``owner``), so that a
failure costs its own owner alone, and those in whose place it wrote: their content is nowhere. A damaged own
volume is raised at once.

Leaves to others: to commit only after ``flush``, and to ``forget`` who failed before it. Known limits: used
by one thread; folders and files must stay where they are until the flush (a path that leads through a
descriptor has to be kept open).
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.durable import DurableFiles, DurableWriter, temporary_path
from exchanged.errors import ForeignVolumeError, VolumeDamagedError
from packet_spec.errors import ExchangeError

# Descriptors that wait for their flush; then those so far are flushed, and keep their temporary names.
_OPEN_FILES: Final = 128


@dataclass(slots=True)
class _File:
    """One file on its way; ``target`` is None where it has its final name already."""

    owner: str
    writer: DurableWriter
    target: Path | None


class GroupedFiles(DurableFiles):
    """One group. After ``flush`` it is empty and may be used for the next one."""

    def __init__(self, files: DurableFiles) -> None:
        """``files``: whose volume it is, with its crash points and system calls."""
        super().__init__(files.volume, files.access.crash, files.access.kernel)
        self.owner = ""
        """On whose behalf the next steps are."""
        # By path: a file asked for twice is written once. Those not flushed yet are in ``_waiting`` too.
        self._files: dict[str, _File] = {}
        self._waiting: list[_File] = []
        self._folders: dict[Path, set[str]] = {}
        self._failed: dict[str, ExchangeError] = {}
        # Owner -> whose files those of this owner took the place of.
        self._replaced: dict[str, set[str]] = {}
        self._unsynced: set[Path] = set()

    def write_file(self, path: Path, blocks: Iterable[bytes], *, mode: int = 0o640) -> tuple[int, str]:
        """As there, but that ``path`` gets its new content in ``flush``; the digest is left empty."""
        earlier = self._files.get(str(path))
        if earlier is not None:
            # The newer content counts, and takes its place in the order.
            self._drop(earlier)
            self._replaced.setdefault(self.owner, set()).add(earlier.owner)
        temporary = temporary_path(path)
        with self._discarding(temporary):
            writer = self._written("write-file", temporary, blocks, mode, instead=True)
        self._add(_File(self.owner, writer, path), path)
        return writer.offset, ""

    def write_in_place(self, path: Path, blocks: Iterable[bytes], *, mode: int = 0o640) -> None:
        """As there; flushed in ``flush``."""
        self._add(_File(self.owner, self._written("stage", path, blocks, mode), None), path)

    def sync_dir(self, path: Path) -> bool:
        """Put off until ``flush``; ``is_synced`` tells afterwards whether the folder took it."""
        self._folders.setdefault(path, set()).add(self.owner)
        return True

    def is_synced(self, path: Path) -> bool:
        """Whether the last flush synced the folder, or the share refuses to sync folders at all (C19)."""
        return path not in self._unsynced

    def forget(self, owner: str) -> None:
        """This owner failed: its files are thrown away, but for those that have their names already.

        In whose place it wrote is told as failed by ``flush``.
        """
        for each in [each for each in self._files.values() if each.owner == owner]:
            self._drop(each)
            self._discard(each)
        error = ForeignVolumeError("what took the place of this file was not written")
        for replaced in self._replaced.pop(owner, set()) - {owner}:
            self._fail(replaced, error)
        for owners in self._folders.values():
            owners.discard(owner)

    def flush(self) -> dict[str, ExchangeError]:
        """Flush contents, give names, flush folders. The first error of each owner that failed.

        Raises VolumeDamagedError when our own volume failed; then nothing of the group counts.
        """
        files, self._files = list(self._files.values()), {}
        folders, self._folders = self._folders, {}
        self._unsynced = set()
        try:
            self._flush_contents()
            for each in files:
                if each.owner in self._failed:
                    self._discard(each)
                elif each.target is not None:
                    self._name(each, each.target, folders)
            for path, owners in folders.items():
                self._flush_folder(path, owners)
        finally:
            failed, self._failed, self._replaced = self._failed, {}, {}
        return failed

    def _fail(self, owner: str, error: ExchangeError) -> None:
        """This owner does not count, nor in whose place it wrote, nor in whose they did."""
        if owner in self._failed:
            return
        self._failed[owner] = error
        for replaced in self._replaced.get(owner, ()):
            self._fail(replaced, error)

    def _add(self, file: _File, path: Path) -> None:
        self._files[str(path)] = file
        self._waiting.append(file)
        if len(self._waiting) >= _OPEN_FILES:
            self._flush_contents()

    def _drop(self, file: _File) -> None:
        """Out of the group; its temporary file stays."""
        self._files = {path: each for path, each in self._files.items() if each is not file}
        self._waiting = [each for each in self._waiting if each is not file]
        file.writer.close()

    def _flush_contents(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.writer.begin_flush()
        for each in waiting:
            try:
                each.writer.sync("write-file" if each.target else "stage")
            except VolumeDamagedError:
                raise
            except ExchangeError as error:
                self._fail(each.owner, error)
            finally:
                each.writer.close()

    def _name(self, file: _File, target: Path, folders: dict[Path, set[str]]) -> None:
        try:
            with self._discarding(file.writer.path):
                self._rename("write-file", file.writer.path, target)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            self._fail(file.owner, error)
        else:
            folders.setdefault(target.parent, set()).add(file.owner)

    @staticmethod
    def _discard(file: _File) -> None:
        """A temporary name that will lead nowhere; what has its own name is its owner's business."""
        if file.target is not None:
            with suppress(OSError):
                file.writer.path.unlink()

    def _flush_folder(self, path: Path, owners: set[str]) -> None:
        try:
            if not super().sync_dir(path):
                self._unsynced.add(path)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            for owner in owners:
                self._fail(owner, error)
