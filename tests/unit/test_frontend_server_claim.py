"""F34: of two daemons that are configured with one set of agency folders, the second leaves them alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend_server.claim import FolderClaim
from frontend_server.folders import OUTBOX, STAGING, AgencyFolders, MarkerState
from frontend_server.notice_place import FolderWatch
from frontend_server.patience import Patience
from tests.support.documents import POLICE
from tests.support.outbox import SendingFrontend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


def test_the_second_waits_until_the_first_lets_go(folder: Path) -> None:
    first, second = FolderClaim(folder), FolderClaim(folder)
    assert first.is_ours()
    assert first.is_ours()
    assert not second.is_ours()
    first.release()
    assert second.is_ours()
    second.release()


def test_a_claim_moves_to_what_lies_there_now(folder: Path) -> None:
    first, second = FolderClaim(folder), FolderClaim(folder)
    assert first.is_ours()
    folder.rename(folder.with_name("before"))
    folder.mkdir()
    assert first.is_ours()
    assert not second.is_ours()
    before = FolderClaim(folder.with_name("before"))
    assert before.is_ours()
    for claim in (first, second, before):
        claim.release()


def test_a_folder_that_is_not_there_is_nobodys(folder: Path) -> None:
    assert FolderClaim(folder / "nothing").is_ours()


def test_f34_a_second_daemon_takes_nothing_and_says_why(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path)
    root = frontend.folders.root
    (root / STAGING).mkdir(exist_ok=True)
    other, own = FolderClaim(root / STAGING), FolderClaim(root / STAGING)
    assert other.is_ours()
    folders = AgencyFolders(root, frontend.foreign, node=POLICE, claim=own)
    frontend.folders = frontend.intake._folders = folders
    frontend.drop_xml()
    frontend.intake.step()
    assert frontend.rows() == []
    assert frontend.events("folder-marker")[-1] == {"folder": OUTBOX, "state": MarkerState.IN_USE.value}
    watch = FolderWatch(frontend.folders, frontend.ledger, Patience())
    assert ("folder-in-use", OUTBOX) in [matter.key for matter in watch.matters(frontend.clock.now())]
    other.release()
    frontend.run()
    assert len(frontend.packets()) == 1
    own.release()
    frontend.close()
