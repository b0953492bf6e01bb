from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.watch import FolderWatch

WAIT_SECONDS = 20


class Seen:
    """The folders that were told, waited for without polling."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self._changed = threading.Condition()

    def on_change(self, folder: Path) -> None:
        with self._changed:
            self.folders.append(folder)
            self._changed.notify_all()

    def wait_for(self, folder: Path) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: folder in self.folders, WAIT_SECONDS)

    def forget(self) -> None:
        with self._changed:
            self.folders.clear()


@pytest.fixture
def seen() -> Seen:
    return Seen()


@pytest.fixture
def watch(seen: Seen) -> Iterator[FolderWatch]:
    watch = FolderWatch(seen.on_change)
    watch.start()
    yield watch
    watch.stop()


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_a_written_a_renamed_and_a_removed_file_are_told(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    inbox = folder(tmp_path / "inbox")
    assert watch.add(inbox) is True
    (inbox / "a").write_text("x")
    assert seen.wait_for(inbox)
    seen.forget()
    (inbox / "a").rename(inbox / "b")
    assert seen.wait_for(inbox)
    seen.forget()
    (inbox / "b").unlink()
    assert seen.wait_for(inbox)


def test_a_file_moved_in_from_elsewhere_is_told(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    inbox = folder(tmp_path / "inbox")
    (tmp_path / "elsewhere").write_text("x")
    watch.add(inbox)
    (tmp_path / "elsewhere").rename(inbox / "a")
    assert seen.wait_for(inbox)


def test_a_tree_tells_the_folder_below_also_a_new_one(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    folder(tmp_path / "tree")
    below = folder(tmp_path / "tree" / "below")
    assert watch.add_tree(tmp_path / "tree") is True
    (below / "a").write_text("x")
    assert seen.wait_for(below)
    later = folder(tmp_path / "tree" / "later")
    assert seen.wait_for(tmp_path / "tree")
    # The new folder is watched a moment after it appeared: keep writing, as a peer would.
    assert any((later / f"{n}").write_text("x") and later in seen.folders for n in range(20_000))


def test_folders_added_before_the_start_are_watched(seen: Seen, tmp_path: Path) -> None:
    watch = FolderWatch(seen.on_change)
    assert watch.add(tmp_path) is False
    watch.start()
    (tmp_path / "a").write_text("x")
    assert seen.wait_for(tmp_path)
    watch.stop()


def test_a_missing_folder_is_false_and_watched_once_it_is_there(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    assert watch.add(tmp_path / "inbox") is False
    inbox = folder(tmp_path / "inbox")
    assert watch.add(inbox) is True
    (inbox / "a").write_text("x")
    assert seen.wait_for(inbox)


def test_a_replaced_folder_is_watched_anew(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    inbox = folder(tmp_path / "inbox")
    watch.add(inbox)
    shutil.rmtree(inbox)
    assert seen.wait_for(tmp_path)  # the removal itself
    assert watch.add(inbox) is False
    folder(inbox)
    seen.forget()
    assert watch.add(inbox) is True
    (inbox / "a").write_text("x")
    assert seen.wait_for(inbox)


def test_all_watches_of_one_process_share_one_inotify_instance(
    watch: FolderWatch, tmp_path: Path
) -> None:
    def instances() -> int:
        links = [path.readlink() for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return sum("inotify" in str(link) for link in links)

    before = instances()
    for number in range(10):
        watch.add(folder(tmp_path / str(number)))
    assert instances() == before


def test_a_mistake_of_the_callback_does_not_end_the_watch(tmp_path: Path) -> None:
    calls = threading.Semaphore(0)

    def on_change(_: Path) -> None:
        calls.release()
        raise RuntimeError("a mistake")

    watch = FolderWatch(on_change)
    watch.start()
    watch.add(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).write_text("x")
        assert calls.acquire(timeout=WAIT_SECONDS)
    watch.stop()


def test_the_library_writes_no_path_into_the_log(
    watch: FolderWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of an overflow it warns once for each folder, with its path and in no form of ours."""
    logging.getLogger("watchdog.observers.inotify").warning("Inotify queue overflowed below %r", "/outbox")
    assert not caplog.records


def test_stop_ends_it_and_may_be_repeated(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    watch.add(tmp_path)
    watch.stop()
    watch.stop()
    seen.forget()
    (tmp_path / "a").write_text("x")
    assert watch.add(tmp_path) is False
    assert seen.folders == []
