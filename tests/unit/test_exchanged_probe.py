"""Probing a folder: the daemon's own operations, nothing left behind, and every lack is noticed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from exchanged import probe as probing
from exchanged.clock import SystemRandomness
from exchanged.mounts import mount_of
from exchanged.probe import FolderProbe, NameKind
from exchanged.volume import Kernel


@pytest.fixture
def probe() -> FolderProbe:
    return FolderProbe(SystemRandomness())


def test_a_sound_folder_lacks_nothing_and_is_left_as_it_was(probe: FolderProbe, tmp_path: Path) -> None:
    tmp_path.chmod(0o2770)
    (tmp_path / "case.xml").write_bytes(b"theirs")
    facts = probe.look(tmp_path, mode=0o2770, events=True)
    assert facts.failure == ""
    assert (facts.syncs_folder, facts.renames_new, facts.keeps_taken, facts.knows_case) == (True,) * 4
    assert (facts.mode, facts.keeps_group, facts.keeps_inode, facts.sees_events) == (0o2770, True, True, True)
    assert facts.lost_names == ()
    assert 0 < facts.time_step_ns < 10**9
    assert [path.name for path in tmp_path.iterdir()] == ["case.xml"]
    assert (tmp_path / "case.xml").read_bytes() == b"theirs"


def test_a_flat_probe_makes_no_folder(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the daemon removes strange names as files, a folder would keep it from starting."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a folder was made")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert probe.look(tmp_path, flat=True).failure == ""


def test_names_begin_with_a_dot_so_that_nobody_takes_them_for_a_drop(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    fsync = Kernel.fsync

    def noting(self: Kernel, descriptor: int) -> None:
        seen.update(path.name for path in tmp_path.iterdir())
        fsync(self, descriptor)

    monkeypatch.setattr(Kernel, "fsync", noting)
    probe.look(tmp_path)
    assert seen
    assert all(name.startswith(".") for name in seen)


def test_leftovers_of_a_killed_probe_go_but_nothing_else(probe: FolderProbe, tmp_path: Path) -> None:
    old, fresh = tmp_path / f".exchanged-probe-{'a' * 16}", tmp_path / f".exchanged-probe-{'b' * 16}"
    part = tmp_path / f"..exchanged-probe-{'c' * 16}.part"
    alike = tmp_path / ".exchanged-probe-notes"
    old.mkdir()
    (old / "file").touch()
    for path in (fresh, part, alike):
        path.touch()
    hour_ago = fresh.stat().st_mtime_ns - 3600 * 10**9
    for path in (old, part, alike):
        os.utime(path, ns=(hour_ago, hour_ago))
    probe.look(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([fresh.name, alike.name])


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS])
def test_what_the_kernel_does_not_know_there_is_noted(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Kernel, "rename_new", unknown)
    facts = probe.look(tmp_path)
    assert (facts.failure, facts.renames_new, facts.links, facts.keeps_taken) == ("", False, True, True)
    monkeypatch.setattr(Kernel, "link", unknown)
    facts = probe.look(tmp_path)
    assert (facts.failure, facts.renames_new, facts.links, facts.keeps_taken) == ("", False, False, True)


def test_a_file_system_that_replaces_what_it_should_not_is_found(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replacing(_self: Kernel, source: Path, target: Path) -> None:
        source.rename(target)

    monkeypatch.setattr(Kernel, "rename_new", replacing)
    facts = probe.look(tmp_path)
    assert (facts.failure, facts.keeps_taken) == ("", False)


def test_a_folder_that_is_not_flushed_is_told(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = Kernel.fsync

    def files_only(self: Kernel, descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no")
        fsync(self, descriptor)

    monkeypatch.setattr(Kernel, "fsync", files_only)
    facts = probe.look(tmp_path)
    assert (facts.failure, facts.syncs_folder) == ("", False)


@pytest.mark.parametrize(("number", "told"), [(errno.EROFS, "read-only"), (errno.EIO, "Input/output error")])
def test_a_step_that_fails_is_told_and_cleaned_up(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: str
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Kernel, "fsync", broken)
    assert probe.look(tmp_path).failure == told
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_kept_are_told_by_kind(
    probe: FolderProbe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(probing._NAMES, NameKind.LONG, b"n" * 256)
    assert probe.look(tmp_path).lost_names == (NameKind.LONG,)


def test_moving_between_folders_is_tried(probe: FolderProbe, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert probe.moves(tmp_path / "a", tmp_path / "b") == ""
    assert probe.moves(tmp_path / "a", tmp_path / "missing") == "No such file or directory"
    shared = Path("/dev/shm")  # noqa: S108 - another file system than that of the test folder
    if shared.stat().st_dev != tmp_path.stat().st_dev:
        assert "cross-device" in probe.moves(tmp_path / "a", shared)
    assert [path for path in tmp_path.rglob("*") if "probe" in path.name] == []


def test_the_mount_is_the_nearest_and_the_last_of_its_point(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    place = tmp_path / "with space"
    place.mkdir()
    escaped = str(place).replace(" ", "\\040")
    table.write_text(
        "1 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"2 1 0:50 / {escaped} rw,nosuid - tmpfs none rw\n"
        f"3 1 0:51 / {escaped} rw,nosuid shared:7 - cifs //server/x rw,vers=3.0,soft,serverino,cache=strict\n"
        "nonsense\n"
    )
    mount = mount_of(place / "outbox", table)
    assert mount is not None
    assert (mount.point, mount.kind, mount.source) == (place, "cifs", "//server/x")
    assert (mount.option("vers"), mount.option("soft"), mount.option("hard")) == ("3.0", "", None)
    assert mount.is_shared
    assert mount.fixes_modes
    root = mount_of(Path("/usr"), table)
    assert root is not None
    assert (root.kind, root.is_shared) == ("ext4", False)
    assert mount_of(Path("/usr"), tmp_path / "none") is None
