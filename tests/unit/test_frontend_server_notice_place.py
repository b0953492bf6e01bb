"""Notices in the agency's folder: there only while the marker is good, and nothing of others is touched."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from exchanged.durable import DurableFiles, Volume
from exchanged.ledger import notices
from exchanged.notices import LOOK_SECONDS, NodePlace, Notices
from frontend_server.folders import INBOX, MARKER_NAME, OUTBOX, write_marker
from frontend_server.notice_place import AgencyPlace, FolderWatch
from frontend_server.patience import Patience
from packet_spec.notice import decode_notice
from tests.support.documents import POLICE
from tests.support.outbox import SendingFrontend, names_in

TOKEN = "ab" * 16


class Desk:
    def __init__(self, root: Path) -> None:
        self.frontend = SendingFrontend(root)
        write_marker(self.frontend.folders.inbox, POLICE, "cd" * 16)
        self.own = root / "node" / "notices"
        self.patience = Patience(0.2)
        self.place = AgencyPlace(
            self.frontend.folders, self.frontend.ledger, self.frontend.foreign, self.patience,
            file_mode=0o660,
        )  # fmt: skip
        self.station = Notices(
            node=POLICE, ledger=self.frontend.ledger, clock=self.frontend.clock,
            clock_is_sound=lambda: True,
            sources=(FolderWatch(self.frontend.folders, self.frontend.ledger, self.patience).matters,),
            places=(NodePlace(self.own, DurableFiles(Volume.OWN)), self.place),
            proven=lambda: None, keep_days=90,
        )  # fmt: skip
        self.look()

    @property
    def agency(self) -> Path:
        return self.frontend.folders.notices

    def look(self) -> None:
        self.frontend.clock.advance(LOOK_SECONDS)
        self.station.step()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_c20_a_bad_inbox_is_told_in_the_agency_folder(desk: Desk) -> None:
    (desk.frontend.folders.inbox / MARKER_NAME).unlink()
    desk.look()
    (path,) = desk.agency.glob("*.xml")
    notice = decode_notice(path.read_bytes())
    assert (notice.reference, notice.subject) == ("folder-marker-bad", INBOX)
    assert path.with_suffix(".txt").stat().st_mode & 0o777 == 0o660
    assert names_in(desk.own) == names_in(desk.agency)


def test_c20_without_the_outbox_marker_only_the_node_has_the_notice_until_it_is_back(desk: Desk) -> None:
    marker = desk.frontend.outbox / MARKER_NAME
    marker.unlink()
    desk.look()
    assert [*desk.agency.iterdir()] == []
    (path,) = desk.own.glob("*.xml")
    assert decode_notice(path.read_bytes()).subject == OUTBOX
    write_marker(desk.frontend.outbox, POLICE, TOKEN)
    desk.look()
    (path,) = desk.agency.glob("*.xml")
    assert decode_notice(path.read_bytes()).over_at is not None
    assert notices.unwritten(desk.frontend.ledger.read(), 2, 10) == ()


def test_c3_a_link_in_place_of_the_folder_is_not_followed(desk: Desk) -> None:
    elsewhere = desk.frontend.root / "elsewhere"
    elsewhere.mkdir()
    desk.agency.rmdir()
    desk.agency.symlink_to(elsewhere)
    (desk.frontend.folders.inbox / MARKER_NAME).unlink()
    desk.look()
    assert [*elsewhere.iterdir()] == []
    desk.agency.unlink()
    desk.look()
    assert len([*desk.agency.iterdir()]) == 2


def test_only_what_was_written_is_removed(desk: Desk) -> None:
    path = desk.agency / "20260715T013000Z-link-down-1.xml"
    path.write_bytes(b"changed")
    desk.place.remove(path.name, b"written")
    assert path.exists()
    desk.place.remove(path.name, b"changed")
    assert not path.exists()


def test_f33_folders_that_hang_are_told_and_hold_up_no_notice(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()
    folders = desk.frontend.folders
    ask = folders.check_marker
    monkeypatch.setattr(folders, "check_marker", lambda *words: (goes_on.wait(), ask(*words))[1])
    desk.look()
    (path,) = desk.own.glob("*.xml")
    notice = decode_notice(path.read_bytes())
    assert (notice.reference, notice.level.value) == ("folder-hangs", "alarm")
    assert str(folders.root) in notice.message.en
    assert [*desk.agency.iterdir()] == []
    goes_on.set()
    assert desk.patience._open is not None
    desk.patience._open.result(10)
    desk.look()
    (told,) = desk.agency.glob("*.xml")
    assert decode_notice(told.read_bytes()).over_at is not None
