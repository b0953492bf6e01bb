from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from exchanged.durable import NO_CRASH, DurableFiles, Kernel, Volume
from exchanged.durable_group import GroupedFiles
from exchanged.errors import ForeignVolumeError, NameTakenError, VolumeDamagedError

_DESCRIPTORS = Path("/proc/self/fd")


class Recorder(Kernel):
    """Every flush in order, by name; those of ``broken`` names fail with ``number``."""

    def __init__(self, broken: frozenset[str] = frozenset(), number: int = errno.EIO) -> None:
        self.flushed: list[str] = []
        self.broken = broken
        self.number = number

    def fsync(self, descriptor: int) -> None:
        name = (_DESCRIPTORS / str(descriptor)).readlink().name
        self.flushed.append(name)
        if name in self.broken:
            raise OSError(self.number, os.strerror(self.number))
        super().fsync(descriptor)


def group(kernel: Kernel | None = None, volume: Volume = Volume.FOREIGN) -> GroupedFiles:
    return GroupedFiles(DurableFiles(volume, NO_CRASH, kernel or Kernel()))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_nothing_has_its_name_before_the_flush_and_everything_after_it(tmp_path: Path) -> None:
    files = group()
    files.write_file(tmp_path / "A", (b"one", b"two"))
    files.write_file(tmp_path / "B", (b"three",), mode=0o600)
    assert names(tmp_path) == [".A.part", ".B.part"]
    assert files.flush() == {}
    assert names(tmp_path) == ["A", "B"]
    assert (tmp_path / "A").read_bytes() == b"onetwo"
    assert (tmp_path / "B").stat().st_mode & 0o777 == 0o600


def test_contents_are_flushed_before_any_name_is_given_and_each_folder_once(tmp_path: Path) -> None:
    kernel = Recorder()
    files = group(kernel)
    for name in ("A", "B", "C"):
        files.write_file(tmp_path / name, (b"content",))
    files.flush()
    assert kernel.flushed == [".A.part", ".B.part", ".C.part", tmp_path.name]


def test_a_failure_costs_its_own_owner_alone(tmp_path: Path) -> None:
    files = group(Recorder(frozenset({".B.part"})))
    (tmp_path / "B").write_bytes(b"older")
    for name in ("A", "B", "C"):
        files.owner = f"owner of {name}"
        files.write_file(tmp_path / name, (b"content",))
    failed = files.flush()
    assert list(failed) == ["owner of B"]
    assert isinstance(failed["owner of B"], ForeignVolumeError)
    assert names(tmp_path) == ["A", "B", "C"]
    assert (tmp_path / "B").read_bytes() == b"older"


def test_an_owner_appears_with_all_its_files_or_with_none(tmp_path: Path) -> None:
    files = group(Recorder(frozenset({".A2.part"})))
    files.owner = "a"
    files.write_file(tmp_path / "A1", (b"content",))
    files.write_file(tmp_path / "A2", (b"content",))
    assert list(files.flush()) == ["a"]
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_flushed_fails_everybody_who_wrote_into_it(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.mkdir()
    bad.mkdir()
    files = group(Recorder(frozenset({"bad"})))
    for owner, path in (("1", good / "A"), ("2", bad / "B"), ("3", bad / "C")):
        files.owner = owner
        files.write_file(path, (b"content",))
    assert set(files.flush()) == {"2", "3"}
    # The next group knows nothing of it.
    files.owner = "4"
    files.write_file(good / "D", (b"content",))
    assert files.flush() == {}


def test_a_share_that_refuses_to_sync_folders_is_told_and_fails_nobody(tmp_path: Path) -> None:
    files = group(Recorder(frozenset({tmp_path.name}), errno.EINVAL))
    files.write_file(tmp_path / "A", (b"content",))
    assert files.flush() == {}
    assert not files.is_synced(tmp_path)


def test_our_own_volume_that_fails_is_raised_at_once(tmp_path: Path) -> None:
    files = group(Recorder(frozenset({".A.part"})), Volume.OWN)
    files.write_file(tmp_path / "A", (b"content",))
    with pytest.raises(VolumeDamagedError):
        files.flush()
    assert names(tmp_path) == [".A.part"]


def test_what_is_written_twice_has_the_newer_content_and_is_flushed_once(tmp_path: Path) -> None:
    kernel = Recorder()
    files = group(kernel)
    files.write_file(tmp_path / "A", (b"first",))
    files.write_file(tmp_path / "A", (b"second",))
    assert files.flush() == {}
    assert (tmp_path / "A").read_bytes() == b"second"
    assert kernel.flushed.count(".A.part") == 1


def test_who_fails_takes_along_in_whose_place_it_wrote(tmp_path: Path) -> None:
    """The content of the first is nowhere: it must not count as written."""
    (tmp_path / "A").write_bytes(b"old")
    files = group()
    for owner in ("first", "second", "third"):
        files.owner = owner
        files.write_file(tmp_path / "A", (owner.encode(),))
    files.owner = "other"
    files.write_file(tmp_path / "B", (b"content",))
    files.forget("third")
    assert set(files.flush()) == {"first", "second"}
    assert (tmp_path / "A").read_bytes() == b"old"
    assert names(tmp_path) == ["A", "B"]
    # The next group knows nothing of it.
    files.owner = "first"
    files.write_file(tmp_path / "A", (b"again",))
    assert files.flush() == {}
    assert (tmp_path / "A").read_bytes() == b"again"


@pytest.mark.parametrize("broken", [".A.part", ".B.part", "{folder}"])
def test_who_fails_in_the_flush_takes_along_in_whose_place_it_wrote(tmp_path: Path, broken: str) -> None:
    files = group(Recorder(frozenset({broken.format(folder=tmp_path.name)})))
    files.owner = "first"
    files.write_file(tmp_path / "A", (b"content",))
    files.owner = "second"
    files.write_file(tmp_path / "A", (b"newer",))
    files.write_file(tmp_path / "B", (b"content",))
    assert set(files.flush()) == {"first", "second"}


def test_who_replaced_its_own_file_and_failed_leaves_others_alone(tmp_path: Path) -> None:
    files = group()
    files.owner = "first"
    files.write_file(tmp_path / "A", (b"content",))
    files.owner = "second"
    for content in (b"one", b"two"):
        files.write_file(tmp_path / "B", (content,))
    files.forget("second")
    assert files.flush() == {}
    assert names(tmp_path) == ["A"]


def test_what_a_crash_left_under_the_temporary_name_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".A.part").write_bytes(b"half of an earlier one")
    files = group()
    files.write_file(tmp_path / "A", (b"whole",))
    assert files.flush() == {}
    assert (tmp_path / "A").read_bytes() == b"whole"


def test_who_failed_before_the_flush_leaves_nothing(tmp_path: Path) -> None:
    files = group()
    files.owner = "1"
    files.write_file(tmp_path / "A", (b"content",))
    files.forget("1")
    files.owner = "2"
    files.write_file(tmp_path / "B", (b"content",))
    assert files.flush() == {}
    assert names(tmp_path) == ["B"]


def test_files_in_place_are_flushed_and_never_replace_anything(tmp_path: Path) -> None:
    kernel = Recorder()
    files = group(kernel)
    files.write_in_place(tmp_path / "A", (b"content",))
    assert (tmp_path / "A").read_bytes() == b"content"
    assert kernel.flushed == []
    assert files.flush() == {}
    assert kernel.flushed == ["A"]
    with pytest.raises(NameTakenError):
        files.write_in_place(tmp_path / "A", (b"other",))


def test_renames_wait_for_the_flush_with_their_folders(tmp_path: Path) -> None:
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    away.mkdir()
    kernel = Recorder()
    files = group(kernel)
    for name in ("A", "B"):
        (home / name).write_bytes(b"content")
        files.rename_new(home / name, away / name)
    assert kernel.flushed == []
    assert files.flush() == {}
    assert sorted(kernel.flushed) == ["away", "home"]
    assert names(away) == ["A", "B"]


def test_hundreds_of_files_need_few_descriptors(tmp_path: Path) -> None:
    files = group()
    before = len(names(_DESCRIPTORS))
    most = 0
    for number in range(500):
        files.write_file(tmp_path / f"{number:03d}", (b"content",))
        most = max(most, len(names(_DESCRIPTORS)) - before)
    assert most < 200
    assert files.flush() == {}
    assert len(names(tmp_path)) == 500
    assert len(names(_DESCRIPTORS)) == before


def test_a_failure_of_those_flushed_early_is_told_at_the_end(tmp_path: Path) -> None:
    files = group(Recorder(frozenset({".000.part"})))
    for number in range(300):
        files.owner = str(number)
        files.write_file(tmp_path / f"{number:03d}", (b"content",))
    assert list(files.flush()) == ["0"]
    assert len(names(tmp_path)) == 299
