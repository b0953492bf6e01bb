"""Watching folders for changes: hints to look, never the truth.

Guarantees: one inotify instance for everything that one ``FolderWatch`` watches, since a system
allows 128 of them per user by default; a folder that cannot be watched is logged and told by
False, never raised. A folder that leaves a watched tree is watched no longer, however it leaves: the
kernel's watches are as many as the folders that are there. That the kernel's queue overflowed is told:
then everything has to be looked at, for events are lost. What other machines do on a share is never told. So
every watcher is backed by a slow scan, which also calls ``add`` again for folders that were missing or
replaced.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch
from watchdog.observers.inotify import InotifyEmitter, InotifyObserver, InotifyWatchGroup
from watchdog.observers.inotify_c import InotifyEvent

_LOG: Final = logging.getLogger(__name__)
_LIBRARY_LOG: Final = "watchdog"
# A file is looked at when it was closed or renamed into place; its growing says nothing. A rename
# from an unwatched folder comes as a creation.
_EVENTS: Final[list[type[FileSystemEvent]]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]


class FolderWatch:
    """Calls ``on_change`` with the folder in which something appeared, went or was renamed.

    Called in the watcher's thread, in quick succession when much happens: it must be short, an
    event set or a name queued, and may not call this object. Folders may be added before and after
    ``start``. Files of which ``is_news(path, is_there)`` says no are left out; ``is_there`` is False for one
    that went, by whatever way. ``on_overflow`` is called in the same way when events were lost, once for each
    folder or tree that was added.
    """

    def __init__(
        self,
        on_change: Callable[[Path], None],
        is_news: Callable[[Path, bool], bool] = lambda *_: True,
        on_overflow: Callable[[], None] = lambda: None,
    ) -> None:
        # Written by the watcher's thread without our lock: it holds the library's lock meanwhile, which
        # others take while they hold ours.
        self._removed: set[Path] = set()
        self._handler = _Handler(on_change, is_news, self._note_removed, on_overflow)
        self._lock = threading.Lock()
        self._wanted: dict[Path, _Wish] = {}
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Begin to watch what was added. A system without free inotify instances is logged only."""
        # It warns of each folder that appears in a watched tree, with the path, which case software chose.
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning, r"watchdog\.")
        # And of each overflow, for every folder again: we ask for a look at everything then.
        logging.getLogger(_LIBRARY_LOG).setLevel(logging.ERROR)
        try:
            observer = _Observer()
            observer.start()
        except OSError as error:
            _LOG.warning("event=watch-unavailable error=%s", error.strerror)
            return
        with self._lock:
            self._observer = observer
            wishes = list(self._wanted.values())
        for wish in wishes:
            self._watch(wish)

    def stop(self) -> None:
        """Stop watching; no call begins after it returns."""
        with self._lock:
            observer, self._observer = self._observer, None
            for wish in self._wanted.values():
                wish.watch = None
        if observer is not None:
            # Its threads complain when they are stopped while they look; nobody need hear of that.
            logging.getLogger("watchdog").setLevel(logging.CRITICAL)
            observer.stop()
            observer.join()

    def add(self, path: Path) -> bool:
        """Watch one folder without those in it. False: it is not watched now, so rely on scans.

        Again is fine and cheap; a folder that was replaced in between is watched anew.
        """
        return self._add(path, recursive=False)

    def add_tree(self, path: Path) -> bool:
        """Watch a folder and all below it, also what is made later. Otherwise as ``add``."""
        return self._add(path, recursive=True)

    def _note_removed(self, path: Path) -> None:
        """Of the folders that go only those that were asked for matter, and there are few of them."""
        if path in self._wanted:
            self._removed.add(path)

    def _add(self, path: Path, *, recursive: bool) -> bool:
        with self._lock:
            wish = self._wanted.get(path)
            if wish is None or wish.recursive != recursive:
                wish = self._wanted[path] = _Wish(path, recursive)
        return self._watch(wish)

    def _watch(self, wish: _Wish) -> bool:
        # Not under the lock, which whoever stops needs too: a share may hang.
        identity = _identity(wish.path)
        with self._lock:
            observer = self._observer
            if observer is None:
                return False
            if wish.watch is not None and wish.identity == identity and wish.path not in self._removed:
                return True
            # An inode number may come again, so a removal that was seen counts as well.
            self._removed.discard(wish.path)
            if wish.watch is not None:
                _unschedule(observer, wish.watch)
                wish.watch = None
            if identity is None:
                return False
            try:
                wish.watch = observer.schedule(
                    self._handler, str(wish.path), recursive=wish.recursive, event_filter=_EVENTS
                )
            except OSError as error:
                _LOG.warning("event=watch-failed where=%s error=%s", wish.path, error.strerror)
                return False
            wish.identity = identity
            return True


class WatchAgain:
    """The station that watches trees again which were missing, mounted or replaced since.

    The slow alarm runs it. A station, because a share that hangs keeps whoever looks at it.
    """

    name = "watch"

    def __init__(self, watch: FolderWatch, trees: Iterable[Path]) -> None:
        self._watch = watch
        self._trees = tuple(trees)

    def step(self) -> float | None:
        """Cheap where nothing changed."""
        for tree in self._trees:
            self._watch.add_tree(tree)
        return None


class _Wish:
    """A folder to be watched, and the watch on it if there is one."""

    def __init__(self, path: Path, recursive: bool) -> None:
        self.path = path
        self.recursive = recursive
        self.watch: ObservedWatch | None = None
        self.identity: tuple[int, int] | None = None


class _OverflowEvent(DirCreatedEvent):
    """Events were lost; it passes where a folder that appeared does."""


class _Tree(InotifyWatchGroup):
    """The kernel's watches of one tree, without those of folders that were moved away, telling at once.

    The library holds back the first half of a rename, and all that comes after it, for half a second, to see
    whether the second half follows. We only ask where something happened.

    The library keeps them, where a folder leaves by a rename to a place that it does not watch: one for each
    drop that was ever claimed, until the user may have no more. A folder that was only renamed in its tree
    is watched anew by the library, which also tells what lies in it, as soon as it sees where it went.
    """

    def __post_init__(self) -> None:
        """As in the library, without the delay."""
        self._move_event_grouper._queue.delay = 0.0  # noqa: SLF001 - there is no other way to it
        # Who listens sets it.
        self.on_lost: Callable[[], None] = lambda: None
        super().__post_init__()

    def on_queue_overflow(self) -> None:
        """Called in the thread that reads the kernel's events."""
        super().on_queue_overflow()
        self.on_lost()

    def on_event(self, event: InotifyEvent) -> None:
        """Called in the thread that reads the kernel's events, in their order."""
        if event.is_moved_from and event.is_directory:
            with self._lock:
                source = self._build_event_source_path(event)
                if source is not None:
                    self._forget(source)
        super().on_event(event)

    def _forget(self, source: bytes) -> None:
        below = source + b"/"
        gone = {
            number: path
            for number, path in self._active_callbacks_by_watch.items()
            if path == source or path.startswith(below)
        }
        self._inotify_fd.remove_callbacks([(number, self._id) for number in gone])
        for number, path in gone.items():
            del self._active_callbacks_by_watch[number]
            if self._active_callbacks_by_path.get(path) == number:
                del self._active_callbacks_by_path[path]


class _Emitter(InotifyEmitter):
    def on_thread_start(self) -> None:
        """As in the library, but with trees of ours."""
        self._inotify = _Tree(
            self._inotify_fd,
            os.fsencode(self.watch.path),
            is_recursive=self.watch.is_recursive,
            event_mask=self.get_event_mask_from_filter(),
            follow_symlink=self.watch.follow_symlink,
        )
        self._inotify.on_lost = partial(self.queue_event, _OverflowEvent(self.watch.path))


class _Observer(InotifyObserver):
    def __init__(self) -> None:
        super().__init__()
        self._emitter_class = _Emitter


class _Handler(FileSystemEventHandler):
    def __init__(
        self,
        on_change: Callable[[Path], None],
        is_news: Callable[[Path, bool], bool],
        on_removed: Callable[[Path], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._on_change = on_change
        self._is_news = is_news
        self._on_removed = on_removed
        self._on_overflow = on_overflow

    def on_any_event(self, event: FileSystemEvent) -> None:
        if isinstance(event, _OverflowEvent):
            self._call(self._on_overflow)
            return
        source = Path(os.fsdecode(event.src_path))
        if isinstance(event, DirDeletedEvent):
            self._on_removed(source)
        changed = {source: not isinstance(event, FileDeletedEvent | FileMovedEvent)}
        if event.dest_path:
            changed[Path(os.fsdecode(event.dest_path))] = True
        folders = {
            path.parent
            for path, is_there in changed.items()
            if event.is_directory or self._is_news(path, is_there)
        }
        for folder in folders:
            self._call(partial(self._on_change, folder))

    @staticmethod
    def _call(callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:  # noqa: BLE001 - a callback is not ours
            # The watcher must outlive a mistake of its listener; the slow scan works meanwhile.
            _LOG.exception("event=watch-callback-failed")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _unschedule(observer: BaseObserver, watch: ObservedWatch) -> None:
    # The library forgets a watch by itself when its folder goes.
    try:
        observer.unschedule(watch)
    except (KeyError, OSError) as error:
        _LOG.debug("event=watch-already-gone error=%s", error)
