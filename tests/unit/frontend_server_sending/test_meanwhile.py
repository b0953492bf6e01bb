"""Drops and mounts that change, go away or come again while they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from exchanged.ledger.drops import Original
from exchanged.pool import InlinePool
from exchanged.states import DropState
from frontend_server.folders import MARKER_NAME
from frontend_server.judging import judge_drop
from frontend_server.outbox import OutboxListing, list_names
from tests.support.outbox import LARGE, SMALL, SendingFrontend, acceptance_xml, names_in, packet_xml
from tests.support.sending import MeddlingPool, Open, states


def test_a_drop_that_was_taken_back_is_withdrawn(start: Open) -> None:
    frontend = start()
    path = frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    path.rename(frontend.root / "taken-back")
    frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.original) == (DropState.WITHDRAWN, Original.GONE)
    assert (frontend.status()["state"], frontend.status()["final"]) == ("withdrawn", True)
    (frontend.root / "taken-back").rename(path)
    frontend.run()
    assert states(frontend) == [DropState.WITHDRAWN, DropState.INCOMPLETE]


@pytest.mark.parametrize("act", ["away", "content", "packet.xml", "new file", "swapped"])
def test_what_changes_while_it_is_judged_is_not_sealed(start: Open, act: str) -> None:
    """C3: what is validated is what is signed and sent."""
    files = {**SMALL, **LARGE}
    changed = packet_xml(files, senderRef="R-2")

    def meddle() -> None:
        path = frontend.outbox / "A"
        if act == "away":
            path.rename(frontend.root / "taken-back")
        elif act == "content":
            (path / "补充材料.pdf").write_bytes(SMALL["补充材料.pdf"])
        elif act == "packet.xml":
            (path / "packet.xml").write_bytes(changed)
        elif act == "new file":
            (path / "more.pdf").write_bytes(b"x")
        else:
            path.rename(frontend.root / "taken-back")
            frontend.drop_folder("A", files, document=changed)

    frontend = start(pool=MeddlingPool(meddle))
    frontend.drop_folder("A", files)
    frontend.intake.step()
    assert frontend.packets() == []
    assert list(frontend.blobs.incoming.iterdir()) == []
    frontend.run(2)
    if act == "away":
        assert states(frontend) == [DropState.WITHDRAWN]
    elif act == "new file":
        assert frontend.codes() == ["attachment-unlisted"]
    else:
        (packet,) = frontend.packets()
        _, document, parts = frontend.open(packet)
        assert parts == files
        assert document == (changed if act in ("packet.xml", "swapped") else packet_xml(files))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_what_is_taken_back_after_it_was_looked_into_leaves_nothing_behind(start: Open, kind: str) -> None:
    class WithdrawingPool(InlinePool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            answers = super().run(function, works)
            if function is not judge_drop and path.exists():
                path.rename(frontend.root / "taken-back")
            return answers

    frontend = start(pool=WithdrawingPool())
    path = frontend.drop_folder("A", LARGE) if kind == "folder" else frontend.drop_zip("A.zip", LARGE)
    frontend.run(2)
    assert states(frontend) == [DropState.WITHDRAWN]
    assert frontend.blobs.files_on_disk() == {}
    assert list(frontend.blobs.incoming.iterdir()) == []
    assert list(frontend.spool.folder.glob("*")) == []


def test_a_racer_never_gets_other_bytes_sealed_than_were_judged(start: Open) -> None:
    """The source is rewritten at every judgement; whatever is sealed was judged as a whole."""
    documents = [acceptance_xml(senderRef=f"R-{number}") for number in range(6)]
    judged: list[bytes] = []

    class Racer(InlinePool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            judged.extend(work.packet_xml for work in works)
            if len(judged) < len(documents):
                (frontend.outbox / "A.xml").write_bytes(documents[len(judged)])
            return super().run(function, works)

    frontend = start(pool=Racer())
    (frontend.outbox / "A.xml").write_bytes(documents[0])
    for _ in range(10):
        frontend.run()
    (packet,) = frontend.packets()
    assert frontend.open(packet)[1] == judged[-1]


def test_without_its_marker_an_empty_outbox_means_nothing(frontend: SendingFrontend) -> None:
    """Fault matrix: a lost mount looks like an empty folder."""
    frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    mounted = frontend.root / "mounted"
    frontend.outbox.rename(mounted)
    frontend.outbox.mkdir()
    for _ in range(3):
        assert frontend.intake.step() == 10.0
    assert states(frontend) == [DropState.INCOMPLETE]
    assert frontend.events("folder-marker") == [{"folder": "outbox", "state": "missing"}]
    frontend.drop_xml("B.xml")
    frontend.run()
    assert len(frontend.rows()) == 1
    (frontend.outbox / "B.xml").unlink()
    frontend.outbox.rmdir()
    mounted.rename(frontend.outbox)
    (frontend.outbox / "A" / "补充材料.pdf").write_bytes(SMALL["补充材料.pdf"])
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_mount_that_goes_while_it_is_listed_means_nothing(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    def gone(descriptor: int, cap: int, _uncounted: object) -> OutboxListing:
        (frontend.outbox / MARKER_NAME).rename(frontend.root / "marker")
        return OutboxListing(frozenset(), truncated=False)

    monkeypatch.setattr("frontend_server.intake.list_names", gone)
    assert frontend.intake.step() == 10.0
    assert states(frontend) == [DropState.INCOMPLETE]


@pytest.mark.parametrize("left_out", [{b"A"}, {b"A", MARKER_NAME.encode()}], ids=["drop", "drop and marker"])
def test_one_listing_that_leaves_out_what_lies_there_withdraws_nothing(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch, left_out: set[bytes]
) -> None:
    """A share may list a folder badly while it is written to; withdrawn would be final."""
    path = frontend.drop_folder(leave_out=tuple(SMALL))
    frontend.run()
    if len(left_out) > 1:
        # Not even asking for it by itself shows anything.
        path.rename(frontend.root / "hidden")
    real = list_names

    def list_badly(*args: Any) -> OutboxListing:
        listing = real(*args)
        return replace(listing, names=listing.names - left_out)

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.intake.list_names", list_badly)
        frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE]


def test_a_listing_that_was_cut_withdraws_nothing(start: Open) -> None:
    frontend = start()
    for name in "ABC":
        frontend.drop_folder(name, leave_out=tuple(SMALL))
    frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE] * 3
    frontend = start(scan_names=2)
    for _ in range(3):
        frontend.run()
    assert states(frontend) == [DropState.INCOMPLETE] * 3


def test_case_software_that_gives_every_drop_one_name(frontend: SendingFrontend) -> None:
    for number in range(14):
        frontend.drop_xml("packet.xml", acceptance_xml(senderRef=f"R-{number}"))
        frontend.run()
    assert len(frontend.packets()) == 14
    assert len(names_in(frontend.folders.sent)) == 14
    names = {row.status_name for row in frontend.rows()}
    assert len(names) == 14
    for row in frontend.rows():
        assert frontend.status(row.status_name)["senderRef"] == row.sender_ref


def test_a_status_name_is_given_again_once_its_drop_is_settled(frontend: SendingFrontend) -> None:
    frontend.drop_xml("A.xml", b"<packet></packet>")
    frontend.run()
    frontend.drop_xml("A.xml")
    frontend.run()
    assert [row.status_name for row in frontend.rows()] == ["A.xml", "A.xml"]
    assert frontend.status("A.xml")["state"] == "queued"


def test_blobs_are_stored_once(frontend: SendingFrontend) -> None:
    for number in range(3):
        frontend.drop_folder(str(number), LARGE, document=packet_xml(LARGE, senderRef=f"R-{number}"))
    frontend.run()
    frontend.drop_folder("3", LARGE, document=packet_xml(LARGE, senderRef="R-3"))
    frontend.run()
    assert len(frontend.packets()) == 4
    assert len(frontend.blobs.files_on_disk()) == 1
    for packet in frontend.packets():
        assert frontend.open(packet)[2] == LARGE


def test_what_was_taken_and_still_lies_there_hides_nothing_new(start: Open) -> None:
    """More is dropped than one scan looks at, and putting away takes longer than taking."""
    frontend = start(scan_names=3)
    for number in range(8):
        frontend.drop_xml(f"{number}.xml", acceptance_xml(senderRef=f"R-{number}"))
    for _ in range(8):
        frontend.intake.step()
    assert len(frontend.packets()) == 8
    frontend.run(2)
    assert len(names_in(frontend.folders.sent)) == 8
