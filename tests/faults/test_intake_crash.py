"""C13: a front-end that dies at any durable step of taking a drop seals it once, and loses no original."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from exchanged.config import DropProfile
from exchanged.durable import CrashPoints
from exchanged.ledger.drops import Original
from exchanged.states import DropState, Event
from tests.support.crash import crash_loop
from tests.support.outbox import LARGE, LINK, SMALL, NoRenameNew, SendingFrontend, names_in, packet_xml

FILES = {**SMALL, **LARGE}


class World:
    """A fresh copy, for every run, of a front-end with drops in its outbox."""

    def __init__(self, tmp_path: Path, **settings: object) -> None:
        self._template = tmp_path / "template"
        self.root = tmp_path / "root"
        self._settings = settings
        self.open(self._template).close()

    def open(self, root: Path, **settings: object) -> SendingFrontend:
        return SendingFrontend(root, **(self._settings | settings))  # type: ignore[arg-type]

    def drop(self, put: Callable[[SendingFrontend], object]) -> None:
        frontend = self.open(self._template)
        put(frontend)
        frontend.close()

    def build_and_run(self, crash: CrashPoints) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(self._template, self.root)
        opened: list[SendingFrontend] = []
        try:
            opened.append(self.open(self.root, crash=crash))
            opened[0].run()
        finally:
            for frontend in opened:
                frontend.close()

    def restart(self) -> SendingFrontend:
        """Started again, it finishes everything: at once, or after the waits of a careful start."""
        frontend = self.open(self.root)
        for _ in range(2):
            frontend.run(3)
            frontend.clock.advance(60.0)
        return frontend


def everything_balances(frontend: SendingFrontend) -> None:
    """The ledger explains every file, and the other way round."""
    assert frontend.effects_left() == 0
    assert list(frontend.blobs.incoming.iterdir()) == []
    named = {packet.bytes_at.name for packet in frontend.packets() if packet.bytes_at is not None}
    assert set(frontend.spool.names()) == named
    on_books = frontend.ledger.read().execute("SELECT digest, generation FROM blob").fetchall()
    assert set(frontend.blobs.files_on_disk()) == {(row["digest"], row["generation"]) for row in on_books}
    assert list(frontend.folders.root.rglob(".exchanged-original*")) == []


@pytest.mark.slow
def test_a_drop_is_sealed_once_whatever_happens(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.drop(lambda frontend: frontend.drop_folder("案件", FILES))

    def check() -> None:
        somewhere = [path for path in world.root.rglob("packet.xml") if "agency" in path.parts]
        assert len(somewhere) == 1
        frontend = world.restart()
        (row,), (packet,) = frontend.rows(), frontend.packets()
        assert (row.state, row.packet, row.original) == (DropState.TAKEN, packet.id, Original.SENT)
        _, document, parts = frontend.open(packet)
        assert (document, parts) == (packet_xml(FILES), FILES)
        assert names_in(frontend.outbox) == []
        assert names_in(frontend.folders.sent) == ["案件"]
        assert names_in(frontend.folders.sent / "案件") == sorted(["packet.xml", *FILES])
        assert frontend.status("案件")["packetId"] == packet.key.packet_id
        assert names_in(frontend.folders.status / "by-id") == [f"{packet.key.packet_id}.status.xml"]
        queued = frontend.ledger.read().execute("SELECT link, reference FROM outgoing").fetchall()
        assert [tuple(each) for each in queued] == [(LINK, packet.id)]
        assert len(frontend.events("sealed")) == 1
        everything_balances(frontend)
        frontend.close()

    names = crash_loop(world.build_and_run, check)
    for point in ("copy", "append", "flush", "replace", "rename-new", "write-file"):
        assert any(name.endswith(f":{point}") for name in names), point
    assert "ledger:after-commit" in names


@pytest.mark.slow
def test_a_drop_is_refused_once_whatever_happens(tmp_path: Path) -> None:
    world = World(tmp_path, profile=DropProfile.MARKER)

    def put(frontend: SendingFrontend) -> None:
        (frontend.drop_folder("A") / "extra.pdf").write_bytes(b"x")
        (frontend.outbox / "A.ok").touch()

    world.drop(put)

    def check() -> None:
        somewhere = [path for path in world.root.rglob("extra.pdf") if "agency" in path.parts]
        assert len(somewhere) == 1
        frontend = world.restart()
        (row,) = frontend.rows()
        assert (row.state, row.original) == (DropState.REFUSED, Original.REFUSED)
        assert frontend.packets() == []
        assert names_in(frontend.outbox) == []
        refused = ["A", "A.findings.txt", "A.findings.xml", "A.ok"]
        assert names_in(frontend.folders.refused) == refused
        assert frontend.codes() == ["attachment-unlisted"]
        everything_balances(frontend)
        frontend.close()

    crash_loop(world.build_and_run, check)


@pytest.mark.slow
def test_two_drops_of_one_content_are_one_packet_whatever_happens(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.drop(lambda frontend: [frontend.drop_zip(name) for name in ("A.zip", "B.zip")])

    def check() -> None:
        frontend = world.restart()
        (packet,) = frontend.packets()
        assert sorted(row.state for row in frontend.rows()) == [DropState.DUPLICATE, DropState.TAKEN]
        assert frontend.open(packet)[2] == SMALL
        assert names_in(frontend.folders.sent) == ["A.zip", "B.zip"]
        statuses = [frontend.status(name) for name in ("A.zip", "B.zip")]
        assert sorted(str(status["state"]) for status in statuses) == ["duplicate", "queued"]
        everything_balances(frontend)
        frontend.close()

    crash_loop(world.build_and_run, check)


@pytest.mark.slow
def test_a_lone_file_on_a_share_is_sealed_once_whatever_happens(tmp_path: Path) -> None:
    """It goes by a second name, to the next free one; what is cancelled after the crash is not sent again."""
    world = World(tmp_path, kernel=NoRenameNew())

    def put(frontend: SendingFrontend) -> None:
        frontend.intake.step()
        frontend.drop_xml()
        (frontend.folders.sent / "A.xml").mkdir()

    world.drop(put)

    def check() -> None:
        frontend = world.open(world.root)
        frontend.intake.step()
        for packet in frontend.packets():
            frontend.end_packet(packet, Event.CANCEL)
        frontend.close()
        frontend = world.restart()
        (row,), (packet,) = frontend.rows(), frontend.packets()
        assert (row.state, row.original, packet.attempt) == (DropState.TAKEN, Original.SENT, 1)
        assert names_in(frontend.outbox) == []
        assert names_in(frontend.folders.sent) == ["A.xml", "A~2.xml"]
        assert (frontend.folders.sent / "A~2.xml").stat().st_nlink == 1
        assert list(frontend.folders.root.rglob(".exchanged-original*")) == []
        assert frontend.effects_left() == 0
        frontend.close()

    names = crash_loop(world.build_and_run, check)
    assert names.count("durable:after-link:rename-new") == 2
