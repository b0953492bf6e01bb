"""C18, C19, C23: what is final goes after its days, only what is ours, never by a clock that may be wrong."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from exchanged.config import RetentionConfig
from exchanged.ledger import blobs, keeping, packets
from exchanged.ledger.keeping import Kind
from exchanged.states import Event
from exchanged.station import NOW
from frontend_server import retention as module
from frontend_server.folders import MARKER_NAME
from frontend_server.outbox import Observation, observe
from frontend_server.retention import RUN_SECONDS
from packet_spec.model import ReceiptKind
from packet_spec.waybill_model import BlobReference
from tests.support.cleaning import DAY, REFUSED, Keeper
from tests.support.crash import SimulatedCrash
from tests.support.outbox import LARGE, SMALL, NoRenameNew, acceptance_xml, names_in, packet_xml


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.frontend.close()


def test_each_folder_is_cleaned_after_its_days(keeper: Keeper) -> None:
    keeper.sent()
    keeper.frontend.drop_zip("B.zip", document=REFUSED)
    keeper.frontend.run()
    keeper.after()
    everything = {
        "sent": ["A"],
        "refused": ["B.zip", "B.zip.findings.txt", "B.zip.findings.xml"],
        "status": ["A.status.json", "A.status.xml", "B.zip.status.json", "B.zip.status.xml"],
        "by-id": [f"{keeper.frontend.packets()[0].key.packet_id}.status.xml"],
        "receipts": ["delivered"],
    }
    keeper.after(89)
    assert keeper.lies() == everything
    keeper.after(2)
    assert keeper.lies() == everything | {"sent": []}
    keeper.after(90)
    assert keeper.lies() == everything | {"sent": [], "refused": []}
    keeper.after(190)
    nothing = {"sent": [], "refused": [], "status": [], "by-id": []}
    assert keeper.lies() == nothing | {"receipts": ["delivered"]}
    keeper.after(365)
    assert keeper.lies() == nothing | {"receipts": []}
    # Also the packet's own folder, and nothing of it waits in the private one.
    assert names_in(keeper.frontend.folders.receipts) == []
    assert [*keeper.frontend.folders.staging.iterdir()] == []
    counted = {"sent": 1, "refused": 1, "status": 2, "receipts": 1, "sealed-bytes": 1}
    assert keeper.events() == counted
    # The memory of the ledger stays: the same content is still known (C13).
    packet = keeper.frontend.packets()[0]
    known = packets.find_same_content(
        keeper.frontend.ledger.read(), packet.key.sender, packet.sender_ref, packet.business_type,
        packet.content_digest,
    )  # fmt: skip
    assert known == packet
    keeper.after(800)
    assert keeper.events() == counted


def test_i1_nothing_of_a_packet_goes_before_every_destination_is_final(keeper: Keeper) -> None:
    keeper.frontend.drop_folder()
    keeper.frontend.run()
    packet = keeper.frontend.packets()[0]
    keeper.say(packet, ReceiptKind.ACCEPTED)
    before = keeper.lies()
    keeper.after()
    keeper.after(5000)
    assert keeper.lies() == before
    assert keeper.events() == {}
    # Final at last: its days count from now.
    keeper.frontend.end_packet(packet, Event.RECEIPT_DELIVERED)
    keeper.frontend.run()
    keeper.after()
    keeper.after(80)
    assert keeper.lies()["sent"] == ["A"]
    keeper.after(11)
    assert keeper.lies()["sent"] == []


def test_zero_keeps_for_ever(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path, RetentionConfig(0, 0, 0, 0, 0, 0, 0, 0))
    keeper.sent()
    before = keeper.lies()
    keeper.after()
    keeper.after(20_000)
    assert keeper.lies() == before
    assert len(keeper.frontend.spool.names()) == 1
    keeper.frontend.close()


class _CrashAtNew:
    """Dies, once armed, at the first or second passing of a point where no run before died so."""

    def __init__(self, died: set[tuple[str, int]]) -> None:
        self.died, self.is_armed = died, False
        self._passed: dict[str, int] = {}
        self._is_dead = False

    def point(self, name: str) -> None:
        if not self.is_armed:
            return
        self._passed[name] = self._passed.get(name, 0) + 1
        place = name, self._passed[name]
        if self._is_dead or (place[1] <= 2 and place not in self.died):
            if not self._is_dead:
                self.died.add(place)
            self._is_dead = True
            raise SimulatedCrash(name)


Change = Callable[[Keeper], None]


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _changed_original(keeper: Keeper) -> None:
    _append(keeper.frontend.folders.sent / "A" / "packet.xml")


def _added_to_original(keeper: Keeper) -> None:
    (keeper.frontend.folders.sent / "A" / "notes.txt").write_bytes(b"")


def _another_in_its_place(keeper: Keeper) -> None:
    shutil.move(keeper.frontend.folders.sent / "A", keeper.root / "moved")
    shutil.copytree(keeper.root / "moved", keeper.frontend.folders.sent / "A")


def _link_in_its_place(keeper: Keeper) -> None:
    shutil.move(keeper.frontend.folders.sent / "A", keeper.root / "moved")
    (keeper.frontend.folders.sent / "A").symlink_to(keeper.root / "moved")


@pytest.mark.parametrize(
    "change", [_changed_original, _added_to_original, _another_in_its_place, _link_in_its_place]
)
def test_c13_a_changed_original_and_a_stranger_stay(keeper: Keeper, change: Change) -> None:
    keeper.sent()
    (keeper.frontend.folders.sent / "stranger.zip").write_bytes(b"x")
    change(keeper)
    keeper.after()
    keeper.after(100)
    assert keeper.lies()["sent"] == ["A", "stranger.zip"]
    assert (keeper.frontend.folders.sent / "A" / "packet.xml").exists()
    assert [*keeper.frontend.folders.staging.iterdir()] == []


def test_files_that_no_longer_hold_our_bytes_stay(keeper: Keeper) -> None:
    packet = keeper.sent()
    keeper.frontend.drop_zip("B.zip", document=REFUSED)
    keeper.frontend.run()
    folders = keeper.frontend.folders
    (receipt,) = folders.receipts.rglob("*.xml")
    kept = [receipt, folders.status / "A.status.json", folders.refused / "B.zip.findings.txt"]
    for path in kept:
        _append(path)
    beside = folders.receipts / packet.key.packet_id / "notes.txt"
    beside.write_bytes(b"of the clerk")
    keeper.after()
    keeper.after(5000)
    assert all(path.exists() for path in (*kept, beside))
    assert keeper.lies()["status"] == ["A.status.json"]


def test_c13_an_original_is_known_again_when_its_share_was_mounted_anew(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_another_device(*args: object, **names: object) -> Observation | None:
        seen = observe(*args, **names)  # type: ignore[arg-type]
        if seen is None:
            return None
        files = tuple(replace(file, device=file.device + 1) for file in seen.files)
        return replace(seen, device=seen.device + 1, files=files)

    keeper.sent()
    monkeypatch.setattr(module, "observe", on_another_device)
    keeper.after()
    keeper.after(91)
    assert keeper.lies()["sent"] == []


def test_c18_a_clock_that_jumped_ahead_removes_nothing(keeper: Keeper) -> None:
    keeper.sent()
    before = keeper.lies()
    keeper.after()
    keeper.frontend.clock.jump(400 * DAY)
    keeper.is_heard = False
    for _ in range(48):
        keeper.after()
    # Nobody has confirmed the new time, however long that takes.
    assert keeper.guard.doubt() == "clock-not-confirmed"
    assert keeper.lies() == before
    # One neighbour of several with the same fault changes nothing.
    keeper.guard.hear("other", keeper.frontend.clock.now())
    keeper.after()
    assert keeper.lies() == before
    # Started anew with the wrong clock, nobody has confirmed anything yet.
    keeper.frontend.close()
    keeper.open()
    keeper.after()
    assert keeper.lies() == before


def test_c18_what_was_recorded_by_a_clock_far_behind_is_not_old(keeper: Keeper) -> None:
    keeper.after()
    keeper.after(200)
    keeper.frontend.clock.jump(-5000 * DAY)
    keeper.sent()
    before = keeper.lies()
    keeper.frontend.clock.jump(5000 * DAY)
    keeper.after(1)
    keeper.after(60)
    assert keeper.lies() == before
    keeper.after(31)
    assert keeper.lies()["sent"] == []


@pytest.mark.parametrize("token", ["", "ef"])
def test_c20_without_the_outbox_marker_nothing_is_removed_or_concluded(keeper: Keeper, token: str) -> None:
    keeper.sent()
    before = keeper.lies()
    keeper.after()
    marker = keeper.frontend.outbox / MARKER_NAME
    good = marker.read_bytes()
    marker.unlink()
    if token:
        marker.write_bytes(good.replace(b"ab", b"ef"))
    keeper.after(91)
    assert keeper.lies() == before
    marker.unlink(missing_ok=True)
    marker.write_bytes(good)
    keeper.after()
    assert keeper.lies()["sent"] == []


def test_a_receipt_that_comes_late_is_written_again_and_goes_again(keeper: Keeper) -> None:
    packet = keeper.sent()
    keeper.after()
    keeper.after(731)
    assert keeper.lies()["receipts"] == []
    keeper.frontend.end_packet(packet, Event.RECEIPT_SIGNED)
    keeper.say(packet, ReceiptKind.SIGNED)
    assert keeper.lies()["receipts"] == ["signed"]
    keeper.after(700)
    assert keeper.lies()["receipts"] == ["signed"]
    keeper.after(31)
    assert keeper.lies()["receipts"] == []


def test_c3_a_link_in_place_of_a_folder_is_not_followed(keeper: Keeper) -> None:
    keeper.sent()
    sent = keeper.frontend.folders.sent
    elsewhere = keeper.root / "elsewhere"
    sent.rename(elsewhere)
    sent.symlink_to(elsewhere)
    keeper.after()
    keeper.after(91)
    assert names_in(elsewhere) == ["A"]
    sent.unlink()
    elsewhere.rename(sent)
    keeper.after()
    assert keeper.lies()["sent"] == []


def test_f107_a_crash_at_any_step_removes_neither_too_much_nor_too_little(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path)
    for number in range(4):
        keeper.sent(f"A{number}")
    for number in range(3):
        keeper.frontend.drop_zip(f"B{number}.zip", document=REFUSED)
    keeper.frontend.run()
    keeper.after()
    under_way = keeper.frontend.drop_folder("C", SMALL, document=packet_xml(SMALL, senderRef="C"))
    keeper.frontend.run()
    assert not under_way.exists()
    (keeper.frontend.folders.sent / "stranger").mkdir()
    keeper.frontend.clock.advance(1000 * DAY)
    died: set[tuple[str, int]] = set()
    while True:
        keeper.frontend.close()
        crash = _CrashAtNew(died)
        keeper.open(crash)
        crash.is_armed = True
        try:
            keeper.after()
        except SimulatedCrash:
            continue
        break
    assert died >= {
        ("durable:after-rename:rename-new", 2), ("durable:before-remove:remove-tree", 1),
        ("durable:after-remove:remove-tree", 1), ("durable:before-unlink:unlink", 2),
        ("ledger:before-commit", 2), ("ledger:after-commit", 2),
    }  # fmt: skip
    lies = keeper.lies()
    assert lies["sent"] == ["C", "stranger"]
    assert (lies["refused"], lies["receipts"]) == ([], [])
    assert lies["status"] == ["C.status.json", "C.status.xml"]
    assert [*keeper.frontend.folders.staging.iterdir()] == []
    connection = keeper.frontend.ledger.read()
    assert all(keeping.going(connection, kind, 10) == () for kind in Kind)
    keeper.frontend.close()


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_f107_a_file_with_two_names_after_a_crash_is_removed_as_well(tmp_path: Path, number: int) -> None:
    """A share that does not rename without replacing: a file goes by a second name."""

    class CrashBetween:
        left = 0

        def point(self, name: str) -> None:
            if self.left and name == "durable:after-link:rename-new":
                self.left -= 1
                if not self.left:
                    raise SimulatedCrash(name)

    crash = CrashBetween()
    keeper = Keeper(tmp_path, crash=crash, kernel=NoRenameNew())
    for _ in range(2):
        keeper.frontend.drop_zip("B.zip", document=REFUSED)
        keeper.frontend.run()
    keeper.after()
    crash.left = number
    with pytest.raises(SimulatedCrash):
        keeper.after(181)
    keeper.frontend.close()
    keeper.open()
    keeper.after()
    assert keeper.lies()["refused"] == []
    assert [*keeper.frontend.folders.staging.iterdir()] == []
    keeper.frontend.close()


class _Order:
    """Remembers the durable steps in their order, once armed."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.is_armed = False

    def point(self, name: str) -> None:
        if self.is_armed:
            self.names.append(name)


def test_f107_the_ledger_calls_gone_only_what_a_power_cut_cannot_bring_back(tmp_path: Path) -> None:
    order = _Order()
    keeper = Keeper(tmp_path, crash=order)
    keeper.sent("A")
    keeper.frontend.drop_zip("B.zip", document=REFUSED)
    keeper.frontend.run()
    keeper.after()
    keeper.frontend.clock.advance(1000 * DAY)
    keeper.hear()
    keeper.sweep.step()
    order.is_armed = True
    while keeper.retention.step() == NOW:
        pass
    steps = {
        "durable:after-remove:remove-tree": "removed", "durable:after-unlink:unlink": "removed",
        "durable:after-fsync:sync-dir": "flushed", "ledger:before-commit": "commit",
    }  # fmt: skip
    seen = [steps[name] for name in order.names if name in steps]
    before_commits = [earlier for earlier, later in itertools.pairwise(seen) if later == "commit"]
    assert seen.count("removed") > 5
    assert before_commits.count("flushed") == len(Kind)
    assert "removed" not in before_commits
    keeper.frontend.close()


def test_c23_sealed_bytes_stay_for_the_restore_window_and_blobs_for_their_days(keeper: Keeper) -> None:
    frontend = keeper.frontend
    frontend.drop_folder("A", LARGE, document=packet_xml(LARGE))
    frontend.run()
    packet = frontend.packets()[0]
    assert packet.bytes_at is not None
    sealed = frontend.spool.read(packet.bytes_at)
    frontend.end_packet(packet, Event.RECEIPT_DELIVERED)
    keeper.after()
    keeper.after(13)
    assert frontend.packets()[0].bytes_at is None
    where = keeping.kept_bytes(frontend.ledger.read(), packet.id, 1)
    assert where is not None
    assert frontend.spool.read(where) == sealed
    keeper.after(2)
    assert keeping.kept_bytes(frontend.ledger.read(), packet.id, 1) is None
    assert frontend.spool.names() == ()
    assert len(frontend.blobs.files_on_disk()) == 1
    keeper.after(40)
    assert len(frontend.blobs.files_on_disk()) == 1
    keeper.after(6)
    assert frontend.blobs.files_on_disk() == {}


def test_the_writer_looks_at_large_parts_one_by_one(keeper: Keeper) -> None:
    """Those that are gone stay on the books for ever; what is old among the others is found by readers."""
    frontend = keeper.frontend
    frontend.drop_folder("A", LARGE, document=packet_xml(LARGE))
    frontend.run()
    frontend.end_packet(frontend.packets()[0], Event.RECEIPT_DELIVERED)
    keeper.after()
    asked: dict[str, set[str]] = {"writer": set(), "reader": set()}
    frontend.ledger._connection.set_trace_callback(asked["writer"].add)
    frontend.ledger.read().set_trace_callback(asked["reader"].add)
    keeper.after(61)
    assert frontend.blobs.files_on_disk() == {}
    for connection in (frontend.ledger._connection, frontend.ledger.read()):
        connection.set_trace_callback(None)
    plans = {
        by: [
            row["detail"]
            for text in texts
            if "FROM blob WHERE" in text or "FROM blob INDEXED" in text
            for row in frontend.ledger.read().execute(f"EXPLAIN QUERY PLAN {text}")
            if " blob " in row["detail"]
        ]
        for by, texts in asked.items()
    }
    assert set(plans["writer"]) == {"SEARCH blob USING PRIMARY KEY (digest=?)"}
    assert set(plans["reader"]) == {"SEARCH blob USING INDEX blob_live (since<?)"}


def test_what_was_referred_to_again_meanwhile_is_not_collected(keeper: Keeper) -> None:
    """Between the look outside the writer and the writing: only a look inside decides (C10)."""
    frontend = keeper.frontend
    frontend.drop_folder("A", LARGE, document=packet_xml(LARGE))
    frontend.run()
    frontend.ledger.write(lambda tx: tx.execute("DELETE FROM blob_reference") and None)
    later = frontend.clock.now() + timedelta(days=400)
    spare = blobs.unneeded(frontend.ledger.read(), later, 10)
    assert len(spare) == 1
    key, named = frontend.packets()[0].key, BlobReference(spare[0], 1)
    frontend.ledger.write(lambda tx: blobs.refer(tx, key, (named,)))
    collect = partial(blobs.collect, final_before=later, last_packet=10, of=(), spare=spare)
    assert frontend.ledger.write(collect) == ()
    frontend.ledger.write(lambda tx: tx.execute("DELETE FROM blob_reference") and None)
    assert frontend.ledger.write(collect) == ((spare[0], 1),)
    assert blobs.unneeded(frontend.ledger.read(), later, 10) == ()


def test_c18_what_is_kept_now_is_never_taken_for_what_was_there_before(keeper: Keeper) -> None:
    """The rows of sealed bytes go; their numbers, by which age has its second witness, do not come again."""
    frontend = keeper.frontend
    for name in ("A", "B"):
        frontend.drop_xml(f"{name}.xml", acceptance_xml(senderRef=f"R-{name}"))
        frontend.run()
        frontend.end_packet(frontend.packets()[-1], Event.RECEIPT_DELIVERED)
        keeper.after()
        if name == "A":
            keeper.after(15)
    numbers = frontend.ledger.read().execute("SELECT id FROM kept_bytes").fetchall()
    assert [row["id"] for row in numbers] == [2]


def test_no_question_walks_what_is_kept_for_ever(keeper: Keeper) -> None:
    keeper.sent()
    keeper.after()
    seen: set[str] = set()
    connections = (keeper.frontend.ledger._connection, keeper.frontend.ledger.read())
    for connection in connections:
        connection.set_trace_callback(seen.add)
    keeper.after(1)
    for connection in connections:
        connection.set_trace_callback(None)
    asked = [text for text in seen if text.startswith("SELECT") and not re.search("blob|FROM event", text)]
    assert len(asked) > 8
    for statement in asked:
        for row in connections[1].execute(f"EXPLAIN QUERY PLAN {statement}"):
            # The first row of an index of few, or the last of all: neither grows.
            walks = row["detail"].startswith("SCAN") and "spool_unneeded" not in row["detail"]
            assert not walks or "max(id)" in statement, (row["detail"], statement)


def test_removing_waits_for_a_sound_clock_but_an_hour_at_a_time(keeper: Keeper) -> None:
    keeper.is_heard = False
    keeper.frontend.clock.advance(RUN_SECONDS)
    assert keeper.retention.step() == RUN_SECONDS
    assert keeper.retention.step() == RUN_SECONDS
    assert names_in(keeper.frontend.folders.sent) == []
