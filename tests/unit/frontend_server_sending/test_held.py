"""What holds a drop, for how long, and that it holds up no other."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from exchanged.config import DropProfile
from exchanged.errors import LedgerDamagedError, NoSpaceError, StaleStateError, WorkerDiedError
from exchanged.pool import InlinePool
from exchanged.routing import Route, RouteKind
from exchanged.states import DropState
from frontend_server import taking
from frontend_server.zip_drop import ZipSource
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.identity import sha256_hex
from tests.support.clock import FakeClock
from tests.support.documents import ROOTS, make_directory
from tests.support.outbox import LARGE, SendingFrontend, acceptance_xml, packet_xml
from tests.support.sending import Open, states


class DyingPool(InlinePool):
    """Every worker dies on packets with this senderRef."""

    def __init__(self, sender_ref: bytes) -> None:
        self.sender_ref = sender_ref

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        return [
            WorkerDiedError("a worker process died on a check")
            if self.sender_ref in work.packet_xml
            else super(DyingPool, self).run(function, [work])[0]
            for work in works
        ]


def test_an_expired_directory_holds_everything_and_a_new_one_releases_it(start: Open) -> None:
    frontend = start(clock=FakeClock(make_directory().expires_at))
    frontend.drop_xml()
    frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.reason) == (DropState.HELD, "directory-not-current")
    assert frontend.status("A.xml")["state"] == "held"
    for _ in range(3):
        frontend.clock.advance(600)
        frontend.run()
    assert frontend.rows() == [row]
    directory = make_directory()
    newer = replace(
        directory,
        version=4,
        expires_at=frontend.clock.now().replace(year=2030),
        agencies=tuple(replace(agency, business_types=(), case_kinds=()) for agency in directory.agencies),
    )
    frontend.trust.offer(sign_directory(encode_directory(newer), ROOTS[:2]))
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


class _OnceTemporary(InlinePool):
    def __init__(self) -> None:
        self.failures = 3

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if works and self.failures:
            self.failures -= 1
            return [StaleStateError("not now") for _ in works]
        return super().run(function, works)


def test_what_could_not_be_told_is_tried_again_with_growing_delays(start: Open) -> None:
    frontend = start(pool=_OnceTemporary())
    frontend.drop_xml()
    delays = []
    for _ in range(3):
        frontend.run()
        (row,) = frontend.rows()
        assert (row.state, row.reason) == (DropState.HELD, "stale-state")
        assert row.retry_at is not None
        delays.append((row.retry_at - frontend.clock.now()).total_seconds())
        assert frontend.intake.step() == delays[-1]
        frontend.clock.advance(delays[-1])
    assert delays == [1.0, 2.0, 4.0]
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_zip_is_read_once_for_the_digest_of_its_marker(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tried again and again while something else holds it, 10 GB would be read each time."""
    read: list[str] = []
    digest = ZipSource.digest

    def count(source: ZipSource) -> str:
        read.append(digest(source))
        return read[-1]

    monkeypatch.setattr(ZipSource, "digest", count)
    pool = _OnceTemporary()
    frontend = start(pool=pool, profile=DropProfile.MARKER)
    path = frontend.drop_zip()
    marker = frontend.outbox / "A.ok"
    marker.write_text(sha256_hex(path.read_bytes()))
    for _ in range(2):
        frontend.run()
        frontend.clock.advance(60)
    assert (states(frontend), len(read)) == ([DropState.HELD], 1)
    # Other bytes, or another marker, are compared.
    frontend.drop_zip(document=packet_xml(senderRef="R-2"))
    frontend.run()
    assert (states(frontend), len(read)) == ([DropState.INCOMPLETE], 2)
    marker.write_text(sha256_hex(path.read_bytes()))
    frontend.run()
    frontend.clock.advance(60)
    frontend.run()
    assert (states(frontend), len(read)) == ([DropState.TAKEN], 3)


def test_poison_is_left_alone_after_three_deaths_and_others_go_on(start: Open) -> None:
    frontend = start(pool=DyingPool(b"POISON"))
    frontend.drop_xml("A.xml", acceptance_xml(senderRef="POISON"))
    frontend.drop_xml("B.xml")
    frontend.run()
    assert states(frontend) == [DropState.HELD, DropState.TAKEN]
    for _ in range(6):
        frontend.clock.advance(60)
        frontend.run()
    row = frontend.rows()[0]
    assert (row.state, row.reason, row.crashes, row.tries) == (DropState.HELD, "poison", 3, 3)
    assert "poison" in str(frontend.status("A.xml")["message"])
    # Something else under that name starts afresh.
    (frontend.outbox / "A.xml").write_bytes(acceptance_xml(senderRef="R-9"))
    frontend.run()
    assert frontend.rows()[0].state is DropState.TAKEN


def test_work_that_ends_the_process_is_done_alone_and_is_poison_at_the_third_time(start: Open) -> None:
    class Killed(BaseException):
        pass

    class KillingPool(DyingPool):
        groups: list[int] = []  # noqa: RUF012 - shared by the restarts of one test

        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            self.groups.append(len(works))
            if any(self.sender_ref in work.packet_xml for work in works):
                raise Killed
            return InlinePool.run(self, function, works)

    clock = FakeClock()
    frontend = start(pool=KillingPool(b"POISON"), clock=clock)
    for name in "ABC":
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef="POISON" if name == "A" else name))
        os.utime(frontend.outbox / f"{name}.xml", ns=(0, ord(name)))
    for _ in range(2):
        with pytest.raises(Killed):
            frontend.run()
        frontend = start(pool=KillingPool(b"POISON"), clock=clock)
    # Together, alone; now it is held for a while, and the others go on.
    frontend.run()
    assert (KillingPool.groups, states(frontend)[1:]) == ([3, 1, 2], [DropState.TAKEN] * 2)
    for _ in range(2):
        clock.advance(60)
        with pytest.raises(Killed):
            frontend.run()
        frontend = start(pool=KillingPool(b"POISON"), clock=clock)
        frontend.run()
    assert KillingPool.groups == [3, 1, 2, 1, 1]
    clock.advance(3600)
    frontend.run()
    row = frontend.rows()[0]
    assert (row.state, row.reason, row.crashes) == (DropState.HELD, "poison", 3)


def test_a_bug_that_one_drop_meets_stops_that_drop_only(start: Open) -> None:
    class BuggyPool(DyingPool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            if any(self.sender_ref in work.packet_xml for work in works):
                raise ZeroDivisionError
            return InlinePool.run(self, function, works)

    frontend = start(pool=BuggyPool(b"POISON"))
    for name in "ABC":
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef="POISON" if name == "A" else name))
        os.utime(frontend.outbox / f"{name}.xml", ns=(0, ord(name)))
    raised = 0
    for _ in range(10):
        try:
            frontend.intake.step()
        except ZeroDivisionError:
            raised += 1
        frontend.clock.advance(60)
    assert raised == 4
    assert states(frontend) == [DropState.HELD, DropState.TAKEN, DropState.TAKEN]
    assert frontend.rows()[0].reason == "poison"


def test_a_drop_that_the_ledger_refuses_does_not_undo_the_others(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_all_but_one(tx: Any, candidate: Any, *others: Any) -> None:
        taking.take(tx, candidate, *others)
        if candidate.packet.envelope.sender_ref == "BAD":
            raise LedgerDamagedError("the ledger refused a row")

    monkeypatch.setattr("frontend_server.acceptance.take", take_all_but_one)
    frontend.drop_xml("0.xml")
    frontend.run()
    for name, sender_ref in (("A", "R-1"), ("B", "BAD"), ("C", "R-3"), ("D", "A620199-0007")):
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef=sender_ref))
    frontend.run()
    found = {row.name: (row.state, row.reason) for row in frontend.rows()}
    assert found[b"A.xml"] == found[b"C.xml"] == (DropState.TAKEN, "")
    assert found[b"B.xml"] == (DropState.HELD, "ledger-damaged")
    assert found[b"D.xml"] == (DropState.DUPLICATE, "")
    assert [row.in_work for row in frontend.rows()] == [0] * 5
    for packet in frontend.packets():
        assert frontend.open(packet)[0].key == packet.key


def test_a_drop_that_the_ledger_refuses_does_not_stop_the_large_ones_beside_it(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first try, of all together, has given their blobs their names already."""

    def take_all_but_one(tx: Any, candidate: Any, *others: Any) -> None:
        taking.take(tx, candidate, *others)
        if candidate.packet.envelope.sender_ref == "BAD":
            raise LedgerDamagedError("the ledger refused a row")

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.acceptance.take", take_all_but_one)
        frontend.drop_folder("A", LARGE, document=packet_xml(LARGE, senderRef="R-1"))
        frontend.drop_folder("B", LARGE, document=packet_xml(LARGE, senderRef="BAD"))
        frontend.run()
    found = {row.name: (row.state, row.reason) for row in frontend.rows()}
    assert found == {b"A": (DropState.TAKEN, ""), b"B": (DropState.HELD, "ledger-damaged")}
    (packet,) = frontend.packets()
    assert frontend.open(packet)[2] == LARGE
    frontend.clock.advance(60)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN] * 2
    assert len(frontend.blobs.files_on_disk()) == 1


def test_a_fault_of_the_volume_is_no_crash_of_the_drop(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise NoSpaceError("no room")

    frontend.drop_xml()
    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.acceptance.Acceptance.accept", full)
        for _ in range(5):
            with pytest.raises(NoSpaceError):
                frontend.intake.step()
    assert (frontend.rows()[0].crashes, frontend.rows()[0].in_work) == (0, 0)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_too_little_room_holds(start: Open) -> None:
    frontend = start(free_space_bytes=1 << 60)
    frontend.drop_folder()
    frontend.run()
    assert (frontend.rows()[0].reason, frontend.status()["state"]) == ("no-space", "held")
    frontend = start()
    frontend.clock.advance(60)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_drop_that_may_not_be_read_is_held(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.drop_folder()
    real = os.open

    def open_anything_but_a(path: Any, *args: Any, **settings: Any) -> int:
        if path == b"A":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.outbox.os.open", open_anything_but_a)
        frontend.run(2)
    (row,) = frontend.rows()
    assert (row.state, row.reason, row.tries) == (DropState.HELD, "drop-unreadable", 1)
    frontend.clock.advance(10)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize("code", [errno.EIO, errno.EBUSY, errno.EMFILE, errno.EACCES])
@pytest.mark.parametrize("name", ["A", "packet.xml", "补充材料.pdf"])
def test_what_lies_there_and_cannot_be_opened_is_held_and_not_told_as_missing(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    """A lock or a fault of the share says nothing about the drop; it has its delays, and its alarm."""
    frontend.drop_folder()
    real = os.open
    # The drop's folder opens when it is looked at, and not when it is to be read.
    left = {"A": 1}

    def open_all_others(path: Any, *args: Any, **settings: Any) -> int:
        if "dir_fd" in settings and os.fsdecode(path) == name:
            left[name] = left.get(name, 0) - 1
            if left[name] < 0:
                left[name] += 1
                raise OSError(code, os.strerror(code))
        return real(path, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.drops.os.open", open_all_others)
        frontend.run()
    (row,) = frontend.rows()
    assert (row.state, row.reason, row.tries, row.missing) == (DropState.HELD, "folder-unusable", 1, ())
    frontend.clock.advance(10)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.EIO, "folder-unusable"), (errno.EPERM, "drop-unreadable")]
)
def test_only_what_is_forbidden_is_told_as_forbidden(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    frontend.drop_folder()
    real = os.open

    def open_anything_but_a(path: Any, *args: Any, **settings: Any) -> int:
        if path == b"A":
            raise OSError(code, os.strerror(code))
        return real(path, *args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr("frontend_server.outbox.os.open", open_anything_but_a)
        frontend.run()
    assert frontend.rows()[0].reason == reason
    assert ("permission" in str(frontend.status()["message"])) is (reason == "drop-unreadable")


def test_a_clock_that_ran_years_ahead_holds_nothing_for_years(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    frontend.clock.jump(9000 * 86400.0)
    frontend.drop_xml()
    with monkeypatch.context() as patch:
        patch.setattr("exchanged.receipts.Links.name_of", lambda *_: "")
        patch.setattr("exchanged.trust.Trust.is_current", lambda *_: True)
        frontend.run()
    assert states(frontend) == [DropState.HELD]
    frontend.clock.jump(-9000 * 86400.0)
    frontend.settle()
    assert states(frontend) == [DropState.TAKEN]


def test_c18_nothing_is_sealed_by_a_clock_that_cannot_be_trusted(frontend: SendingFrontend) -> None:
    """A seal dated years ahead would be held by everybody else for as long."""
    frontend.clock_doubt = "clock-jumped"
    frontend.drop_xml()
    frontend.run()
    assert (frontend.rows()[0].state, frontend.rows()[0].reason) == (DropState.HELD, "clock-jumped")
    frontend.clock_doubt = ""
    frontend.clock.advance(61)
    frontend.run()
    assert states(frontend) == [DropState.TAKEN]


def test_a_way_without_a_link_holds(frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exchanged.receipts.Links.name_of", lambda *_: "")
    frontend.drop_xml()
    frontend.run()
    assert (frontend.rows()[0].state, frontend.rows()[0].reason) == (DropState.HELD, "no-link")


def test_a_recipient_without_a_route_is_refused(
    frontend: SendingFrontend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend_server.addressing.next_hop", lambda *_, **__: Route(RouteKind.UNKNOWN))
    frontend.drop_xml()
    frontend.run()
    assert frontend.codes("A.xml") == ["receiver-unreachable"]
