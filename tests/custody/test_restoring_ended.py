"""C13, C23: drops that a restored ledger waits with and that ended since, and originals that lie between."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from exchanged.durable import DurableFiles, Volume
from exchanged.errors import ForeignVolumeError
from frontend_server.removal import Remover
from tests.support.asking import Operator, operator
from tests.support.network import COURT, POLICE, PROVINCE
from tests.support.outbox import SendingFrontend
from tests.support.restored_folders import (
    delivered,
    events,
    folder,
    lying,
    police,
    restore,
    save,
    seal,
    send,
    status,
)
from tests.support.restoring import World
from tests.support.traffic import drop_packet


def refused(world: World) -> list[str]:
    return [name for name in lying(world, "refused") if ".findings." not in name]


def incomplete(world: World) -> Path:
    """A drop that lacks a document that it lists; the ledger waits for it."""
    path = send(world)
    document = next(each for each in sorted(path.iterdir()) if each.name != "packet.xml")
    document.rename(path.parent.parent / "kept")
    police(world).step()
    police(world).step()
    assert status(world)["state"] == "incomplete"
    return path


def test_c23_the_status_of_a_drop_that_was_refused_after_the_backup_stays(
    world: World, tmp_path: Path
) -> None:
    path = incomplete(world)
    saved = save(world, tmp_path, POLICE)
    (path / "packet.xml").write_bytes(b"<packet/>")
    world.drain()
    assert status(world)["state"] == "refused"
    told = (folder(world, "status") / "DATA.status.xml").read_bytes()
    restore(world, saved)
    assert (folder(world, "status") / "DATA.status.xml").read_bytes() == told
    assert (lying(world, "outbox"), refused(world)) == ([], ["DATA"])
    # Another one of that name is a drop of its own, with a status of its own.
    send(world, "R-2")
    world.drain()
    assert list(delivered(world)) == ["R-2"]


def test_c23_a_drop_that_was_taken_back_after_the_backup_is_told_so(world: World, tmp_path: Path) -> None:
    path = incomplete(world)
    saved = save(world, tmp_path, POLICE)
    shutil.move(path, tmp_path / "taken back")
    restore(world, saved)
    assert status(world)["state"] == "withdrawn"


def test_c23_a_drop_that_still_lies_there_is_read_again_whatever_its_status_says(
    world: World, tmp_path: Path
) -> None:
    path = incomplete(world)
    saved = save(world, tmp_path, POLICE)
    (path.parent.parent / "kept").rename(path / "起诉意见书.pdf")
    restore(world, saved)
    assert path.exists() == (status(world)["state"] == "incomplete")


def between(world: World, home: str, number: int) -> Path:
    """What the power left of a move: the original lies under the name of its way."""
    path = folder(world, home) / f".exchanged-original-{number}"
    (folder(world, home) / "DATA").rename(path)
    return path


def test_c13_an_original_on_its_way_to_sent_is_met_as_any_other(world: World, tmp_path: Path) -> None:
    saved = save(world, tmp_path, POLICE)
    seal(world)
    between(world, "sent", 1)
    for path in (world.network.mailbox(POLICE) / "up").iterdir():
        path.unlink()
    restore(world, saved)
    assert list(delivered(world)) == ["R-1"]
    assert events(world, "sent-again")
    # The drop whose row has that number now keeps its own original.
    send(world, "R-2", "OTHER")
    world.drain()
    assert sorted(delivered(world)) == ["R-1", "R-2"]
    assert "OTHER" in lying(world, "sent")
    assert [path.name for path in folder(world, "sent").glob(".exchanged-original-*")] == []


def test_c13_an_original_on_its_way_to_refused_comes_under_no_other_name_into_the_outbox(
    world: World, tmp_path: Path
) -> None:
    saved = save(world, tmp_path, POLICE)
    path = send(world)
    (path / "packet.xml").write_bytes(b"<packet/>")
    world.drain()
    between(world, "refused", 1)
    restore(world, saved)
    path = send(world, "R-2", "OTHER")
    (path / "packet.xml").write_bytes(b"<packet></packet>")
    world.drain()
    assert refused(world) == ["OTHER", "original-1"]
    assert lying(world, "outbox") == []


def test_c23_whoever_only_received_a_copy_hears_nothing_of_the_other_recipients(
    world: World, tmp_path: Path
) -> None:
    saved = save(world, tmp_path, POLICE)
    drop_packet(
        world.network, seed=1, business_type="trial.judgment", sender=COURT, copy_to=(POLICE,),
        extra_documents=(),
    )  # fmt: skip
    world.network.run()
    issuers = "SELECT DISTINCT issued_by FROM receipt ORDER BY issued_by"
    heard = police(world).opened.ledger.read().execute(issuers).fetchall()
    assert [row[0] for row in heard] == sorted((POLICE, PROVINCE))
    restore(world, saved)
    heard = police(world).opened.ledger.read().execute(issuers).fetchall()
    assert [row[0] for row in heard] == sorted((POLICE, PROVINCE))
    # It is delivered once, and collected by the word of its own receipt.
    inbox = world.network.agency(POLICE) / "inbox"
    assert len(list(inbox.glob("*/*/delivery.xml"))) == 1


def test_a_receipts_folder_that_somebody_removed_stops_no_cleaning(tmp_path: Path) -> None:
    frontend = SendingFrontend(tmp_path)
    home = frontend.folders.receipts / "01"
    home.mkdir()
    (home / "a.xml").write_bytes(b"ours")
    (home / "theirs").write_bytes(b"x")
    remover = Remover(frontend.folders, DurableFiles(Volume.FOREIGN))
    remover.remove_file(("receipts", "01"), "a.xml", {b"ours"})
    shutil.rmtree(home)
    remover.settle()
    # Also when it is asked again, and a file in its place is no folder of ours.
    home.mkdir()
    (home / "a.xml").write_bytes(b"ours")
    remover.remove_file(("receipts", "01"), "a.xml", {b"ours"})
    shutil.rmtree(home)
    home.write_bytes(b"")
    with pytest.raises(ForeignVolumeError):
        remover.settle()


def test_a_restore_refuses_a_volume_within_data_dir_before_it_changes_anything(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Operator = operator(world.network.layout.config(POLICE), capsys)
    data = world.network.layout.data(POLICE)
    police(world).opened.close(clean=True)
    asked.text("backup", "create", tmp_path / "saved")
    is_mount = os.path.ismount
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == data / "spool" or is_mount(path))
    before = sorted(data.iterdir())
    asked.text("node", "restore", tmp_path / "saved", "--yes", code=2)
    assert "a volume of its own" in asked.errors
    assert "unmount it" in asked.errors
    assert sorted(data.iterdir()) == before
