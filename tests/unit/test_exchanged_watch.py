from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from watchdog.observers.inotify_c import InotifyConstants, InotifyEvent

from exchanged.mailbox import partial_name
from exchanged.node import news_of
from exchanged.watch import FolderWatch, WatchAgain

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


def test_in_a_mailbox_only_what_came_under_its_name_is_told(seen: Seen, tmp_path: Path) -> None:
    """An upload is a dozen events; the link that is woken by each looks a dozen times at nothing new."""
    up, outbox = folder(tmp_path / "up"), folder(tmp_path / "outbox")
    watch = FolderWatch(seen.on_change, news_of([up]))
    watch.start()
    watch.add_tree(tmp_path)

    def told(act: Callable[[], object]) -> int:
        """How often the mailbox was told of it: events come in the order in which things happen."""
        seen.forget()
        act()
        (outbox / "growing").write_text("x")
        assert seen.wait_for(outbox)
        return seen.folders.count(up)

    for name in ("ack.batch", "00000001-0123456789abcdef.batch", "ack.batch"):
        growing = up / partial_name(name)
        assert told(lambda: growing.write_text("x")) == 0  # noqa: B023
        assert told(lambda: growing.rename(up / name)) == 1  # noqa: B023
    assert told((up / "ack.batch").unlink) == 0
    assert told(lambda: (up / "ack.batch").write_text("x")) > 0
    # Elsewhere everything counts: a packet that goes was collected.
    seen.forget()
    (outbox / "growing").unlink()
    assert seen.wait_for(outbox)
    seen.forget()
    (outbox / partial_name("ack.batch")).write_text("x")
    assert seen.wait_for(outbox)
    watch.stop()


def test_a_file_moved_in_from_elsewhere_is_told(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    inbox = folder(tmp_path / "inbox")
    (tmp_path / "elsewhere").write_text("x")
    watch.add(inbox)
    (tmp_path / "elsewhere").rename(inbox / "a")
    assert seen.wait_for(inbox)


def test_a_tree_tells_the_folder_below_also_a_new_one(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    folder(tmp_path / "tree")
    below = folder(tmp_path / "tree" / "below")
    assert watch.add_tree(tmp_path / "tree") is True
    (below / "a").write_text("x")
    assert seen.wait_for(below)
    later = folder(tmp_path / "tree" / "later")
    assert seen.wait_for(tmp_path / "tree")
    # The new folder is watched a moment after it appeared: keep writing, as a peer would.
    assert any((later / f"{n}").write_text("x") and later in seen.folders for n in range(20_000))


class Outbox:
    """A watched tree beside a folder that is not; ``told`` waits until all before it was seen."""

    def __init__(self, root: Path, watch: FolderWatch, seen: Seen) -> None:
        self.path, self.sent = folder(root / "outbox"), folder(root / "sent")
        self._stays, self._seen = folder(self.path / "stays"), seen
        assert watch.add_tree(self.path) is True

    def drop(self, name: str) -> Path:
        """A folder with one below it, written inside once it is here."""
        drop = folder(self.path / name)
        folder(drop / "below")
        self.write(drop / "below")
        return drop

    def write(self, inside: Path) -> None:
        self._seen.forget()
        (inside / "a").write_text("x")
        assert self._seen.wait_for(inside)

    def settle(self) -> None:
        """Events come in the order in which things happened: after this one all earlier are dealt with."""
        self.write(self._stays)


def kernel_watches() -> int:
    """How many folders the kernel watches for this process."""
    count = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            if "inotify" in str(descriptor.readlink()):
                lines = Path("/proc/self/fdinfo", descriptor.name).read_text().splitlines()
                count += sum(line.startswith("inotify wd:") for line in lines)
    return count


def test_folders_that_left_by_a_rename_are_watched_no_longer(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path, watch, seen)
    before = kernel_watches()
    for rounds in range(3):
        drops = [outbox.drop(f"{rounds}-{number}") for number in range(20)]
        assert kernel_watches() == before + 2 * len(drops)
        for drop in drops:
            drop.rename(outbox.sent / drop.name)
        outbox.settle()
        assert kernel_watches() == before
    assert watch._removed == set()


def test_a_folder_that_is_renamed_in_its_tree_stays_watched(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path, watch, seen)
    before = kernel_watches()
    drop = outbox.drop("A.part")
    for name in ("A", "B", "C"):
        drop = drop.rename(outbox.path / name)
        outbox.write(drop)
        outbox.write(drop / "below")
    outbox.settle()
    assert kernel_watches() == before + 2


def test_what_leaves_the_tree_does_not_hold_up_what_comes(
    watch: FolderWatch, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr("watchdog.utils.delayed_queue.time.sleep", rests.append)
    tree, elsewhere = tmp_path / "tree", tmp_path / "elsewhere"
    tree.mkdir()
    elsewhere.mkdir()
    (tree / "old").write_text("x")
    assert watch.add_tree(tree)
    (tree / "old").rename(elsewhere / "old")
    assert seen.wait_for(tree)
    seen.forget()
    (tree / "new").write_text("x")
    assert seen.wait_for(tree)
    assert rests == []


def test_a_folder_that_comes_back_is_watched_again(watch: FolderWatch, seen: Seen, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path, watch, seen)
    drop = outbox.drop("A")
    for _ in range(3):
        away = drop.rename(outbox.sent / "A")
        seen.forget()
        away.rename(drop)
        outbox.write(drop / "below")


def test_the_name_of_a_folder_that_left_may_be_used_at_once(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    outbox = Outbox(tmp_path, watch, seen)
    before = kernel_watches()
    for number in range(5):
        drop = outbox.drop("A")
        drop.rename(outbox.sent / f"{number}")
    outbox.drop("A")
    outbox.settle()
    assert kernel_watches() == before + 2


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


def test_the_station_watches_what_was_missing_or_exchanged_since(
    watch: FolderWatch, seen: Seen, tmp_path: Path
) -> None:
    missing, kept = tmp_path / "missing", folder(tmp_path / "kept")
    station = WatchAgain(watch, (missing, kept))
    assert station.step() is None
    folder(missing)
    kept.rename(tmp_path / "away")
    folder(kept)
    assert station.step() is None
    for tree in (missing, kept):
        seen.forget()
        (tree / "a").write_text("x")
        assert seen.wait_for(tree)


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


def test_all_watches_of_one_process_share_one_inotify_instance(watch: FolderWatch, tmp_path: Path) -> None:
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


def test_lost_events_of_whatever_folder_ask_for_a_look_at_everything(seen: Seen, tmp_path: Path) -> None:
    lost = threading.Event()
    watch = FolderWatch(seen.on_change, on_overflow=lost.set)
    watch.start()
    busy, quiet = folder(tmp_path / "busy"), folder(tmp_path / "quiet")
    for each in (busy, quiet):
        watch.add_tree(each)
    observer: Any = watch._observer
    queue = next(iter(observer.emitters))._inotify_fd
    for index in range(100):
        (busy / f"{index}").touch()
    assert seen.wait_for(busy)
    assert not lost.is_set()
    overflow: Any = InotifyEvent(-1, InotifyConstants.IN_Q_OVERFLOW, 0, b"")  # type: ignore[arg-type]
    queue.handle_event(overflow)
    assert lost.wait(WAIT_SECONDS)
    seen.forget()
    (quiet / "a").write_text("x")
    assert seen.wait_for(quiet)
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
