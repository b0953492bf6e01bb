from __future__ import annotations

import errno
import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.durable import DurableFiles, Kernel, Volume
from exchanged.durable_group import GroupedFiles
from exchanged.errors import ForeignVolumeError, NameTakenError
from exchanged.ledger import Ledger
from frontend_server.folders import (
    FOLDERS,
    INBOX,
    MARKER_NAME,
    OUTBOX,
    AgencyFolders,
    MarkedFolders,
    MarkerState,
    write_marker,
)
from tests.support.clock import FakeClock

NODE, OTHER = "620199-01-00", "620199-03-00"
TOKEN, SECOND = "ab" * 16, "cd" * 16


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.db", FakeClock(), on_wake=lambda _: None, threaded=False)
    yield ledger
    ledger.close()


@pytest.fixture
def folders(tmp_path: Path) -> AgencyFolders:
    root = tmp_path / "agency"
    root.mkdir()
    folders = AgencyFolders(root, DurableFiles(Volume.FOREIGN), node=NODE)
    folders.ensure()
    return folders


def events(ledger: Ledger) -> list[tuple[str, str]]:
    rows = ledger.read().execute("SELECT kind, detail FROM event ORDER BY id")
    return [(row["kind"], row["detail"]) for row in rows]


def test_missing_folders_are_made_with_their_modes(folders: AgencyFolders) -> None:
    for name in FOLDERS:
        assert stat.S_IMODE((folders.root / name).stat().st_mode) == 0o2770
    assert stat.S_IMODE(folders.staging.stat().st_mode) == 0o2700
    assert (folders.status / "by-id").is_dir()
    assert {folders.outbox, folders.sent, folders.refused, folders.inbox} <= set(folders.root.iterdir())
    assert {folders.receipts, folders.notices, folders.status} <= set(folders.root.iterdir())


class FailingFlush(Kernel):
    """Writes down which folders are flushed; the flush of ``failing`` fails."""

    def __init__(self) -> None:
        self.failing: Path | None = None
        self.flushed: list[Path] = []

    def fsync(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.flushed.append(path)
        super().fsync(descriptor)


@pytest.mark.parametrize("name", ["receipts/id-of-a-packet", "sent"])
def test_a_folder_whose_name_was_not_flushed_is_flushed_at_the_next_attempt(
    tmp_path: Path, name: str
) -> None:
    """Power lost later would take it, with everything that was flushed in it and counts as written."""
    kernel = FailingFlush()
    files = DurableFiles(Volume.FOREIGN, kernel=kernel)
    folders = AgencyFolders(tmp_path, files, node=NODE)
    folders.ensure()
    write_marker(folders.outbox, NODE, TOKEN)
    path = tmp_path / name
    if path.exists():
        path.rmdir()
    group = GroupedFiles(files)
    group.owner = "1"
    kernel.failing = path.parent
    folders.make_folder(path, group)
    assert group.flush().keys() == {"1"}
    assert path.is_dir()
    kernel.failing = None
    kernel.flushed.clear()
    folders.make_folder(path, group)
    assert group.flush() == {}
    assert path.parent in kernel.flushed


def test_a_start_flushes_the_names_of_folders_that_an_earlier_one_made(tmp_path: Path) -> None:
    kernel = FailingFlush()
    files = DurableFiles(Volume.FOREIGN, kernel=kernel)
    kernel.failing = tmp_path
    with pytest.raises(ForeignVolumeError):
        AgencyFolders(tmp_path, files, node=NODE).ensure()
    kernel.failing = None
    AgencyFolders(tmp_path, files, node=NODE).ensure()
    kernel.flushed.clear()
    AgencyFolders(tmp_path, files, node=NODE).ensure()
    assert {tmp_path, tmp_path / "status"} <= set(kernel.flushed)


def test_what_is_there_is_left_as_it_is(folders: AgencyFolders) -> None:
    folders.inbox.chmod(0o700)
    (folders.outbox / "A.xml").write_bytes(b"x")
    folders.ensure()
    assert stat.S_IMODE(folders.inbox.stat().st_mode) == 0o700
    assert (folders.outbox / "A.xml").read_bytes() == b"x"


def test_folders_get_the_group(tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgid()).gr_name
    folders = AgencyFolders(tmp_path, DurableFiles(Volume.FOREIGN), node=NODE, mode=0o2750, group=group)
    folders.ensure()
    assert folders.outbox.stat().st_gid == os.getgid()
    assert stat.S_IMODE(folders.outbox.stat().st_mode) == 0o2750
    stranger = AgencyFolders(tmp_path / "outbox", DurableFiles(Volume.FOREIGN), node=NODE, group="no-such")
    with pytest.raises(ForeignVolumeError, match="group"):
        stranger.ensure()


def test_a_folder_that_an_earlier_start_could_not_give_to_its_group_gets_it_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that was not there yet, or a power cut between making a folder and giving it away."""
    own = os.getgid()
    other = next(each for each in grp.getgrall() if each.gr_gid != own)
    files = DurableFiles(Volume.FOREIGN)
    AgencyFolders(tmp_path, files, node=NODE).ensure()
    (tmp_path / "outbox" / "A.xml").write_bytes(b"x")
    given: list[tuple[Path, int]] = []
    monkeypatch.setattr(
        "frontend_server.folders.os.chown", lambda path, _, group, **__: given.append((path, group))
    )
    AgencyFolders(tmp_path, files, node=NODE, group=other.gr_name).ensure()
    below = {*FOLDERS, ".exchanged", "status/by-id"}
    assert {(str(path.relative_to(tmp_path)), group) for path, group in given} == {
        (name, other.gr_gid) for name in below
    }
    given.clear()
    AgencyFolders(tmp_path, files, node=NODE, group=grp.getgrgid(own).gr_name).ensure()
    assert given == []


def test_what_cannot_be_looked_at_is_the_volume_and_no_bug(folders: AgencyFolders) -> None:
    with pytest.raises(ForeignVolumeError):
        folders.make_folder(folders.receipts / ("x" * 300))


def test_a_root_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    folders = AgencyFolders(tmp_path / "share", DurableFiles(Volume.FOREIGN), node=NODE)
    with pytest.raises(ForeignVolumeError, match="root is not there"):
        folders.ensure()
    assert not (tmp_path / "share").exists()


def test_a_link_is_no_folder(folders: AgencyFolders, tmp_path: Path) -> None:
    folders.sent.rmdir()
    folders.sent.symlink_to(tmp_path)
    with pytest.raises(ForeignVolumeError):
        folders.ensure()


def test_folders_on_two_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = AgencyFolders(tmp_path, DurableFiles(Volume.FOREIGN), node=NODE)
    folders.ensure()
    lstat = Path.lstat

    def elsewhere(path: Path) -> os.stat_result:
        found = list(lstat(path))
        if path == folders.inbox:
            found[stat.ST_DEV] += 1
        return os.stat_result(found)

    monkeypatch.setattr(Path, "lstat", elsewhere)
    with pytest.raises(ForeignVolumeError, match="several file systems"):
        folders.ensure()


def test_the_first_marker_is_remembered_for_ever(folders: AgencyFolders, ledger: Ledger) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.GOOD
    (folders.outbox / MARKER_NAME).unlink()
    write_marker(folders.outbox, NODE, SECOND)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.FOREIGN
    restarted = AgencyFolders(folders.root, DurableFiles(Volume.FOREIGN), node=NODE)
    assert restarted.check_marker(ledger, OUTBOX) is MarkerState.FOREIGN
    (folders.outbox / MARKER_NAME).unlink()
    write_marker(folders.outbox, NODE, TOKEN)
    assert restarted.check_marker(ledger, OUTBOX) is MarkerState.GOOD


def test_each_folder_has_a_marker_of_its_own(folders: AgencyFolders, ledger: Ledger) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.GOOD
    assert folders.check_marker(ledger, INBOX) is MarkerState.MISSING
    write_marker(folders.inbox, NODE, SECOND)
    assert folders.check_marker(ledger, INBOX) is MarkerState.GOOD


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"node 620199-01-00\n",
        f"{NODE} {TOKEN}\n".encode(),
        f"node {OTHER}\ntoken {TOKEN}\n".encode(),
        f"node {NODE}\ntoken {TOKEN}\nmore\n".encode(),
        b"\xff" * 4096,
    ],
)
def test_a_marker_of_somebody_else_is_foreign(folders: AgencyFolders, ledger: Ledger, content: bytes) -> None:
    (folders.outbox / MARKER_NAME).write_bytes(content)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.FOREIGN
    assert [kind for kind, _ in events(ledger)] == ["folder-marker"]


def test_a_marker_is_read_as_a_plain_file_only(
    folders: AgencyFolders, ledger: Ledger, tmp_path: Path
) -> None:
    write_marker(tmp_path, NODE, TOKEN)
    marker = folders.outbox / MARKER_NAME
    marker.symlink_to(tmp_path / MARKER_NAME)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.MISSING
    marker.unlink()
    os.mkfifo(marker)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.MISSING


def test_a_folder_that_went_away_has_no_marker(folders: AgencyFolders, ledger: Ledger) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.GOOD
    folders.outbox.rename(folders.root / "away")
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.MISSING


def test_an_alarm_is_told_once_and_its_end_too(folders: AgencyFolders, ledger: Ledger) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    marker, away = folders.outbox / MARKER_NAME, folders.root / "marker"
    folders.check_marker(ledger, OUTBOX)
    marker.rename(away)
    for _ in range(3):
        folders.check_marker(ledger, OUTBOX)
    away.rename(marker)
    for _ in range(3):
        folders.check_marker(ledger, OUTBOX)
    assert events(ledger) == [
        ("marker-met", '{"folder": "outbox"}'),
        ("folder-marker", '{"folder": "outbox", "state": "missing"}'),
        ("folder-marker", '{"folder": "outbox", "state": "good"}'),
    ]


def test_a_person_may_accept_a_new_marker(folders: AgencyFolders, ledger: Ledger) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    folders.check_marker(ledger, OUTBOX)
    (folders.outbox / MARKER_NAME).unlink()
    write_marker(folders.outbox, NODE, SECOND)
    assert folders.check_marker(ledger, OUTBOX) is MarkerState.FOREIGN
    assert folders.accept_marker(ledger, OUTBOX) is MarkerState.GOOD
    restarted = AgencyFolders(folders.root, DurableFiles(Volume.FOREIGN), node=NODE)
    assert restarted.check_marker(ledger, OUTBOX) is MarkerState.GOOD
    (folders.outbox / MARKER_NAME).unlink()
    assert folders.accept_marker(ledger, OUTBOX) is MarkerState.MISSING


def test_a_marker_is_made_once(folders: AgencyFolders) -> None:
    path = write_marker(folders.outbox, NODE, TOKEN)
    assert path.read_bytes() == f"node {NODE}\ntoken {TOKEN}\n".encode()
    with pytest.raises(NameTakenError):
        write_marker(folders.outbox, NODE, SECOND)
    for node, token in (("x", TOKEN), (NODE, "short"), (NODE, TOKEN.upper()), (NODE, f"{TOKEN}\n")):
        with pytest.raises(ValueError, match="marker"):
            write_marker(folders.inbox, node, token)


def test_marked_folders_answer_yes_or_no(folders: AgencyFolders, ledger: Ledger) -> None:
    places = MarkedFolders(folders, ledger)
    assert (places.inbox, places.staging) == (folders.inbox, folders.staging)
    assert not places.marker_is_good(INBOX)
    write_marker(folders.inbox, NODE, TOKEN)
    assert places.marker_is_good(INBOX)


def test_a_folder_is_opened_without_following(folders: AgencyFolders, tmp_path: Path) -> None:
    with folders.opened(OUTBOX) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), folders.outbox.stat())
    folders.outbox.rmdir()
    with pytest.raises(ForeignVolumeError), folders.opened(OUTBOX):
        pass
    folders.outbox.symlink_to(tmp_path)
    with pytest.raises(ForeignVolumeError), folders.opened(OUTBOX):
        pass


def test_f32_nothing_is_made_on_an_empty_mount_point(folders: AgencyFolders) -> None:
    write_marker(folders.outbox, NODE, TOKEN)
    folders.status.joinpath("by-id").rmdir()
    folders.status.rmdir()
    folders.make_folder(folders.status)
    assert folders.status.is_dir()
    # The share goes: what is left is the folder that it was mounted on.
    folders.root.rename(folders.root.with_name("share"))
    folders.root.mkdir()
    with pytest.raises(ForeignVolumeError):
        folders.make_folder(folders.status)
    assert [*folders.root.iterdir()] == []


def test_folders_of_packets_are_not_remembered_for_as_long_as_the_daemon_runs(folders: AgencyFolders) -> None:
    before = len(folders._made)
    for number in range(10):
        folders.make_folder(folders.receipts / f"2026-{number}")
    assert len(folders._made) == before
