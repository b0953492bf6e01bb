"""A marker marks the drop that it was written for, and no later one of that name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from exchanged.config import DropProfile
from exchanged.ledger.drops import Original
from exchanged.states import DropState
from exchanged.volume import Kernel
from tests.support.crash import SimulatedCrash
from tests.support.outbox import SMALL, NoRenameNew, SendingFrontend, acceptance_xml, names_in
from tests.support.sending import REFUSED, Open, states


@pytest.fixture
def frontend(start: Open) -> SendingFrontend:
    return start(profile=DropProfile.MARKER)


def mark(frontend: SendingFrontend, name: str = "A.ok") -> None:
    """What case software does last, as a file of its own."""
    hidden = frontend.root / "marker"
    hidden.touch()
    hidden.rename(frontend.outbox / name)


def require_unmarked(frontend: SendingFrontend, name: str = "A.xml") -> None:
    """The next drop of that name waits for a marker of its own, and is taken with it."""
    frontend.drop_xml(name, acceptance_xml(senderRef="R-2"))
    frontend.run(2)
    assert frontend.rows()[-1].state is DropState.INCOMPLETE
    mark(frontend)
    frontend.run(2)
    assert frontend.rows()[-1].state is DropState.TAKEN
    assert names_in(frontend.outbox) == []


@pytest.mark.parametrize("document", [acceptance_xml(), REFUSED], ids=["taken", "refused"])
def test_the_marker_of_an_original_that_somebody_took_goes_all_the_same(
    frontend: SendingFrontend, document: bytes
) -> None:
    frontend.drop_xml(document=document)
    mark(frontend)
    frontend.intake.step()
    (frontend.outbox / "A.xml").unlink()
    frontend.effects.step()
    assert frontend.rows()[0].original is Original.GONE
    home = frontend.folders.refused if document == REFUSED else frontend.folders.sent
    assert names_in(home) == ["A.ok"]
    require_unmarked(frontend)


def test_the_marker_of_an_original_that_is_another_by_now_does_not_mark_that_one(
    frontend: SendingFrontend,
) -> None:
    frontend.drop_xml()
    mark(frontend)
    frontend.intake.step()
    # Still being written.
    frontend.drop_xml(document=acceptance_xml(senderRef="R-2")[:-20])
    frontend.run(2)
    assert frontend.rows()[0].original is Original.REPLACED
    assert frontend.rows()[1].state is DropState.INCOMPLETE
    assert frontend.status("A.xml~2")["missing"] == ["A.xml.ok"]


def test_a_marker_that_was_written_anew_marks_the_next_drop(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    mark(frontend)
    frontend.intake.step()
    frontend.drop_xml(document=acceptance_xml(senderRef="R-2"))
    mark(frontend)
    frontend.run(2)
    assert [packet.sender_ref for packet in frontend.packets()] == ["A620199-0007", "R-2"]
    frontend.effects.step()
    assert names_in(frontend.outbox) == []


def test_a_marker_that_is_written_anew_while_it_is_moved_goes_back(start: Open) -> None:
    class Writing(Kernel):
        def __init__(self) -> None:
            self.acts: list[Callable[[], None]] = []

        def rename_new(self, source: Path, target: Path) -> None:
            if self.acts:
                self.acts.pop()()
            super().rename_new(source, target)

    kernel = Writing()
    frontend = start(profile=DropProfile.MARKER, kernel=kernel)
    frontend.drop_xml()
    mark(frontend)
    kernel.acts.append(partial(mark, frontend))
    frontend.run()
    assert names_in(frontend.outbox) == ["A.ok"]
    frontend.drop_xml(document=acceptance_xml(senderRef="R-2"))
    frontend.run()
    assert len(frontend.packets()) == 2


def test_a_marker_goes_although_another_drop_could_have_been_meant_by_now(frontend: SendingFrontend) -> None:
    frontend.drop_zip()
    mark(frontend)
    frontend.intake.step()
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))
    frontend.run(2)
    assert names_in(frontend.folders.sent) == ["A.ok", "A.zip"]
    assert states(frontend) == [DropState.TAKEN, DropState.INCOMPLETE]


def test_a_marker_that_cannot_be_moved_yet_marks_nothing_else(start: Open) -> None:
    class Refusing(Kernel):
        refuses = True

        def rename_new(self, source: Path, target: Path) -> None:
            if self.refuses:
                raise PermissionError(13, "Permission denied")
            super().rename_new(source, target)

    kernel = Refusing()
    frontend = start(profile=DropProfile.MARKER, kernel=kernel)
    frontend.drop_zip()
    mark(frontend)
    frontend.run()
    (frontend.outbox / "A.zip").unlink()
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="R-2"))
    frontend.run(2)
    assert frontend.rows()[1].state is DropState.INCOMPLETE
    kernel.refuses = False
    frontend.clock.advance(60)
    frontend.run()
    assert names_in(frontend.outbox) == ["A.xml"]
    mark(frontend)
    frontend.run()
    assert frontend.rows()[1].state is DropState.TAKEN


class _CrashAtLink:
    """The process dies between the two calls by which the first file is moved on such a share."""

    def point(self, name: str) -> None:
        if name == "durable:after-link:rename-new":
            raise SimulatedCrash(name)


def test_a_marker_with_two_names_after_a_crash_goes_with_its_drop(start: Open) -> None:
    frontend = start(profile=DropProfile.MARKER, kernel=NoRenameNew(), crash=_CrashAtLink())
    frontend.drop_xml()
    mark(frontend)
    with pytest.raises(SimulatedCrash):
        frontend.run()
    assert (frontend.outbox / "A.ok").stat().st_nlink == 2
    frontend = start(profile=DropProfile.MARKER, kernel=NoRenameNew())
    frontend.run(2)
    assert (names_in(frontend.outbox), names_in(frontend.folders.sent)) == ([], ["A.ok", "A.xml"])
    assert (frontend.folders.sent / "A.ok").stat().st_nlink == 1
    require_unmarked(frontend)


def test_a_drop_that_was_taken_back_leaves_no_marker_for_the_next(frontend: SendingFrontend) -> None:
    path = frontend.drop_folder(leave_out=tuple(SMALL))
    mark(frontend)
    frontend.run()
    path.rename(frontend.root / "taken-back")
    frontend.run()
    assert states(frontend) == [DropState.WITHDRAWN]
    assert frontend.status("A")["state"] == "withdrawn"
    assert (names_in(frontend.outbox), names_in(frontend.folders.refused)) == ([], ["A.ok"])
    require_unmarked(frontend)


@pytest.mark.parametrize("name", ["A.OK", "A.zip.Ok", "A.END"])
def test_the_ending_of_a_marker_counts_in_any_case(frontend: SendingFrontend, name: str) -> None:
    frontend.drop_zip()
    mark(frontend, name)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]
    assert names_in(frontend.folders.sent) == sorted(["A.zip", name])


def test_the_marker_of_an_answer_goes_with_it(frontend: SendingFrontend) -> None:
    answer = (
        '<disposition xmlns="urn:exchanged:disposition:1" sender="620199-03-00"'
        ' packetId="0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b" kind="signed" by="虚构"'
        ' at="2026-07-16T10:00:00+08:00"/>'
    )
    frontend.drop_xml(document=answer.encode())
    mark(frontend)
    frontend.intake.step()
    (frontend.outbox / "A.xml").unlink()
    frontend.effects.step()
    assert states(frontend) == [DropState.DISPOSED]
    assert names_in(frontend.folders.sent) == ["A.ok"]
