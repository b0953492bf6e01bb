"""C19, C20: a front-end that dies at any durable step delivers once, whole, with one receipt of each kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.durable import CrashPoints
from exchanged.ledger import blobs, effects, spool, statements
from exchanged.states import DestinationState, PacketState
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.crash import CrashAt, SimulatedCrash, crash_loop
from tests.support.documents import PACKET_XML, look_up
from tests.support.inbox import BLOBS, INLINE, PROVINCE, Arrival, ReceivingFrontend, contents

KEY = Arrival().key
FOLDER = f"prosecution.transfer/{KEY.sender}_{KEY.packet_id}"
FILES = {"packet.xml", *INLINE, *BLOBS, "delivery.xml", "seal.xml", "seal.sig", "accepted.xml"}
RENAMED = "durable:after-rename:rename-new"


def deliver(frontend: ReceivingFrontend) -> None:
    frontend.delivery.step()


def collect(frontend: ReceivingFrontend) -> None:
    """A marked folder is found, kept for a day, and removed."""
    frontend.delivery.step()
    frontend.collected.step()
    frontend.clock.advance(24 * 3600)
    frontend.collected.step()


class World:
    """A fresh copy, for every run, of a front-end at which one packet has arrived."""

    def __init__(self, tmp_path: Path) -> None:
        self._template = tmp_path / "template"
        self.root = tmp_path / "root"
        self.run = deliver
        frontend = ReceivingFrontend(self._template)
        frontend.arrive()
        frontend.close()

    def go_on_with(self, run: Callable[[ReceivingFrontend], None]) -> Path:
        """Deliver the packet; every run from now on begins there. Returns its folder."""
        frontend = ReceivingFrontend(self._template)
        frontend.delivery.step()
        frontend.close()
        self.run = run
        return frontend.inbox / FOLDER

    def build_and_run(self, crash: CrashPoints) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._template, self.root)
        self.run_again(crash)

    def run_again(self, crash: CrashPoints) -> None:
        frontend = ReceivingFrontend(self.root, crash=crash)
        try:
            self.run(frontend)
        finally:
            frontend.close()

    def restart(self) -> ReceivingFrontend:
        frontend = ReceivingFrontend(self.root)
        self.run(frontend)
        return frontend


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def require_delivered_once(frontend: ReceivingFrontend, key: PacketKey) -> None:
    """Everything that must hold once the front-end has come to rest, wherever it died before."""
    connection = frontend.ledger.read()
    packet, destination = frontend.rows(key)
    assert destination.state is DestinationState.DELIVERED
    assert (destination.folder, destination.staging) == (FOLDER, "")
    assert packet.state is PacketState.DONE
    assert packet.bytes_at is None
    assert len(spool.unneeded(connection)) == 1
    assert frontend.staged() == []
    (receipt,) = frontend.receipts(key, ReceiptKind.DELIVERED)
    value, _ = open_receipt(receipt.document, look_up)
    assert (value.recipient, value.seal_digest) == (destination.recipient, packet.seal_digest)
    assert len(statements.hops_of(connection, key)) == 1
    assert [effect.kind for effect in effects.waiting(connection)] == ["counts"]
    assert all(blobs.is_entitled(connection, sha256_hex(data), PROVINCE) for data in BLOBS.values())
    assert len(frontend.events("place")) == 1


def require_whole(folder: Path) -> None:
    found = contents(folder)
    assert set(found) == FILES
    assert found["packet.xml"] == PACKET_XML.encode()
    assert {name: found[str(name)] for name in (*INLINE, *BLOBS)} == {**INLINE, **BLOBS}


def restarting(world: World, check: Callable[[ReceivingFrontend], None]) -> Callable[[], None]:
    """Start again after a crash, let it finish, and check."""

    def restart_and_check() -> None:
        frontend = world.restart()
        try:
            check(frontend)
        finally:
            frontend.close()

    return restart_and_check


def test_a_crash_at_any_point_delivers_exactly_once_and_whole(world):
    def check(frontend: ReceivingFrontend) -> None:
        require_delivered_once(frontend, KEY)
        assert frontend.visible() == [FOLDER]
        require_whole(frontend.inbox / FOLDER)

    points = crash_loop(world.build_and_run, restarting(world, check))
    assert RENAMED in points
    assert points.count("ledger:before-commit") >= 2
    assert len(points) > 50


@pytest.mark.slow
def test_what_shows_up_is_whole_at_once_and_never_shows_up_again(world):
    """The case software takes the folder as soon as it sees it, before the node has started again."""
    seen = 0

    def take_then_check() -> None:
        nonlocal seen
        inbox = world.root / "agency" / "inbox"
        taken = sorted(inbox.glob("*/*"))
        for folder in taken:
            require_whole(folder)
            shutil.rmtree(folder)
            seen += 1

        def check(frontend: ReceivingFrontend) -> None:
            require_delivered_once(frontend, KEY)
            assert len(taken) + len(frontend.visible()) == 1

        restarting(world, check)()

    points = crash_loop(world.build_and_run, take_then_check)
    # Shown to the case software from the rename on, and not before.
    assert seen == len(points) - points.index(RENAMED) + 1


def test_a_crash_at_any_point_of_the_recovery_changes_nothing(world):
    """Died right after the rename, and again anywhere in the next run."""
    crash_points: list[str] = []
    world.build_and_run(_Recording(crash_points))
    renamed = crash_points.index(RENAMED) + 1

    def die_then_recover(crash: CrashPoints) -> None:
        with pytest.raises(SimulatedCrash):
            world.build_and_run(CrashAt(renamed))
        world.run_again(crash)

    def check(frontend: ReceivingFrontend) -> None:
        require_delivered_once(frontend, KEY)
        assert frontend.visible() == [FOLDER]
        require_whole(frontend.inbox / FOLDER)

    points = crash_loop(die_then_recover, restarting(world, check))
    assert RENAMED not in points


def test_a_crash_at_any_point_of_collecting_tells_it_once_and_leaves_nothing(world):
    (world.go_on_with(collect) / "collected").touch()

    def check(frontend: ReceivingFrontend) -> None:
        frontend.scan_twice()
        assert frontend.state(KEY) is DestinationState.COLLECTED
        (receipt,) = frontend.receipts(KEY, ReceiptKind.COLLECTED)
        assert open_receipt(receipt.document, look_up)[0].how == "marker"
        assert frontend.rows(KEY)[1].folder == ""
        assert frontend.visible() == frontend.staged() == []

    points = crash_loop(world.build_and_run, restarting(world, check))
    assert RENAMED in points


class _Recording:
    def __init__(self, names: list[str]) -> None:
        self._names = names

    def point(self, name: str) -> None:
        self._names.append(name)
