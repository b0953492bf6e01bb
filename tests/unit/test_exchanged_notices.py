"""Notices at a node: one for each matter, raised once, kept up to date, over when it is settled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exchanged.config import NoticesConfig
from exchanged.disk_floor import DiskFloor
from exchanged.durable import DurableFiles, Volume
from exchanged.ledger import batches, notices
from exchanged.ledger.times import stamp
from exchanged.notice_sources import Watch
from exchanged.notice_words import ENDS, FAULTS, WORDS
from exchanged.notices import LOOK_SECONDS, NodePlace, Notices
from exchanged.states import DestinationState, Event
from exchanged.trust import Trust
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import KeyUse
from packet_spec.notice import Notice, NoticeLevel, decode_notice
from tests.support.books import LINK, Books
from tests.support.crash import SimulatedCrash
from tests.support.documents import COURT, KEYS, POLICE, PROCURATORATE, ROOTS, make_directory

CONFIG = NoticesConfig(
    accepted_minutes=60, delivered_hours=24, collected_days=7, signed_days=30, warn_share=0.5,
    link_down_minutes=15, held_hours=4, log_hours=6, expiry_days=14,
)  # fmt: skip
DAY = 86_400.0


class Disk:
    free = 1 << 40

    def free_bytes(self) -> int:
        return self.free


class Desk:
    """The station over a ledger written by hand."""

    def __init__(self, root: Path, books: Books) -> None:
        self.books, self.clock, self.folder = books, books.clock, root / "notices"
        self.is_sound = True
        self.proven: datetime | None = None
        self.volume = Disk()
        files = DurableFiles(Volume.OWN)
        self.trust = Trust(root / "trust", files, make_directory().roots, 2)
        self.trust.load()
        watch = Watch(
            books.ledger, self.trust, DiskFloor(self.volume, 1000, 100), CONFIG, agency=POLICE, links=(LINK,),
            node=POLICE, key_ids=lambda _now: (KEYS[POLICE, KeyUse.SEAL].key_id,),
        )  # fmt: skip
        self.watch = watch
        self.station = Notices(
            node=POLICE, ledger=books.ledger, clock=self.clock, clock_is_sound=lambda: self.is_sound,
            sources=(watch.matters,), places=(NodePlace(self.folder, files),),
            proven=lambda: self.proven, keep_days=90,
        )  # fmt: skip

    def after(self, **span: float) -> list[Notice]:
        """Time passes; the station looks; what lies in the folder then, oldest first."""
        self.clock.advance(max(timedelta(**span).total_seconds(), LOOK_SECONDS))
        self.station.step()
        return self.files()

    def files(self) -> list[Notice]:
        found = [decode_notice(path.read_bytes()) for path in self.folder.glob("*.xml")]
        return sorted(found, key=lambda notice: notice.number)

    def link(self, **values: str) -> None:
        for name, value in values.items():
            self.books.write(
                lambda tx, name=name, value=value: batches.remember(tx, LINK, name.replace("_", "-"), value)
            )


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with Books(tmp_path / "node") as books:
        yield Desk(tmp_path, books)


def said(found: list[Notice]) -> list[tuple[str, str, bool]]:
    return [(notice.reference, notice.subject, notice.over_at is not None) for notice in found]


def test_a_missing_receipt_is_told_as_late_then_as_overdue_then_as_over(desk: Desk) -> None:
    keys = [desk.books.packet(number) for number in (1, 2)]
    subject = f"accepted {PROCURATORATE}"
    assert desk.after(minutes=29) == []
    (late,) = desk.after(minutes=2)
    assert (late.reference, late.level, late.count) == ("receipt-late", NoticeLevel.WARNING, 2)
    assert late.packets == tuple(keys)
    # Looked at again and again, it stays one notice.
    assert desk.after(minutes=1) == desk.after(minutes=1) == [late]
    assert said(desk.after(minutes=40)) == [
        ("receipt-late", subject, True), ("receipt-overdue", subject, False)
    ]  # fmt: skip
    for key in keys:
        desk.books.move(key, Event.RECEIPT_ACCEPTED)
    _, overdue = desk.after(minutes=1)
    assert overdue.over_at is not None
    assert overdue.message.zh.startswith("已于")
    text = next(desk.folder.glob("*-receipt-overdue-2.txt")).read_bytes()
    assert text.decode("utf-8-sig").startswith("receipt-overdue (告警 alarm, 已解除 over)\r\n")
    assert len([*desk.folder.iterdir()]) == 4


def test_each_kind_of_receipt_has_its_deadline(desk: Desk) -> None:
    delivered = desk.books.packet(1)
    desk.books.packet(2, COURT, state=DestinationState.ACCEPTED)
    desk.books.packet(3, sender=PROCURATORATE, own=False, state=DestinationState.DELIVERED)
    desk.books.move(delivered, Event.RECEIPT_DELIVERED)
    desk.after(hours=12.1)
    desk.after(days=3.5)
    desk.after(days=4)
    found = desk.after(days=30)
    assert {notice.subject for notice in found if notice.reference == "receipt-overdue"} == {
        f"delivered {COURT}", f"collected {PROCURATORATE}", f"signed {PROCURATORATE}"
    }  # fmt: skip
    assert {notice.subject for notice in found if notice.reference == "receipt-late"} >= {
        f"delivered {COURT}", f"collected {PROCURATORATE}"
    }  # fmt: skip
    # What others owe each other through this node is not this node's matter.
    assert all(notice.count == 1 for notice in found)


def test_zero_switches_a_kind_off(desk: Desk) -> None:
    off = NoticesConfig(0, 0, 0, 0, 0, 0, 0, 0, 0)
    desk.watch._config = off
    desk.books.packet(1)
    desk.books.drop("A", Event.HOLD, reason="poison")
    desk.link(down_since=stamp(desk.clock.now()))
    assert desk.after(days=400) == []


def test_the_numbers_of_an_open_notice_are_renewed_at_most_hourly(desk: Desk) -> None:
    desk.books.packet(1)
    desk.after(minutes=61)
    desk.books.packet(2)
    assert desk.after(minutes=40)[0].count == 1
    desk.after(minutes=21)
    (overdue,) = desk.files()
    assert overdue.count == 2


def test_a_link_that_is_down_is_told_with_whose_fault_it_is_and_a_pause_is_not(desk: Desk) -> None:
    desk.link(down_since=stamp(desk.clock.now()), down_reason="login-refused", down_fault="theirs")
    assert desk.after(minutes=14) == []
    (down,) = desk.after(minutes=2)
    assert (down.reference, down.subject, down.level) == ("link-down", LINK, NoticeLevel.ALARM)
    assert "login-refused" in down.message.en
    assert FAULTS["theirs"].zh in down.message.zh
    # A pause does not make it work: "over" would be untrue.
    desk.link(paused="maintenance")
    assert said(desk.after(minutes=1)) == [("link-down", LINK, False)]
    desk.link(paused="", down_since="")
    assert said(desk.after(minutes=1)) == [("link-down", LINK, True)]
    desk.link(down_since=stamp(desk.clock.now()), paused="maintenance")
    assert said(desk.after(minutes=30)) == [("link-down", LINK, True)]


@pytest.mark.parametrize(
    ("name", "kind", "whose"),
    [
        ("damaged_here", "mailbox-file-refused", "this node"),
        ("damaged_there", "batch-bad-at-neighbour", "the neighbour"),
    ],
)
def test_c5_a_batch_that_was_changed_on_its_way_is_an_alarm_for_a_day(
    desk: Desk, name: str, kind: str, whose: str
) -> None:
    desk.link(damaged_there=stamp(desk.clock.now() - timedelta(hours=1)))
    desk.link(**{name: stamp(desk.clock.now())})
    (damaged,) = desk.after(minutes=1)
    assert (damaged.reference, damaged.subject, damaged.level) == ("batch-damaged", LINK, NoticeLevel.ALARM)
    assert whose in damaged.message.en
    assert ENDS[kind].zh in damaged.message.zh
    assert kind in damaged.advice.zh
    assert said(desk.after(hours=22)) == [("batch-damaged", LINK, False)]
    assert said(desk.after(hours=2)) == [("batch-damaged", LINK, True)]


def test_c18_what_expired_is_told_for_a_day(desk: Desk) -> None:
    key = desk.books.packet(1)
    desk.books.move(key, Event.RECEIPT_EXPIRED)
    (expired,) = desk.after(minutes=1)
    assert (expired.reference, expired.packets) == ("packet-expired", (key,))
    assert said(desk.after(days=1)) == [("packet-expired", PROCURATORATE, True)]


def test_what_is_quarantined_is_told_at_once_and_what_is_held_after_a_while(desk: Desk) -> None:
    key = desk.books.packet(9, state=DestinationState.DELIVERED)
    desk.books.arrival(key, Event.QUARANTINE, reason="signature-wrong")
    desk.books.arrival(key, Event.HOLD, reason="unknown-key")
    desk.books.arrival(key, missing=("a" * 64,))
    desk.books.drop("案件甲.zip", Event.HOLD, reason="poison")
    assert said(desk.after(minutes=1)) == [("quarantined", "signature-wrong", False)]
    assert said(desk.after(hours=4))[1:] == [
        ("held-long", "unknown-key", False),
        ("held-long", "needing", False),
        ("drop-held-long", "poison", False),
    ]
    # Names of drops may be case data.
    assert all("案件甲" not in path.read_text(encoding="utf-8") for path in desk.folder.iterdir())


def test_i10_the_disk_floor_is_told(desk: Desk) -> None:
    desk.volume.free = 999
    assert said(desk.after(minutes=1)) == [("disk-floor", "", False)]
    desk.volume.free = 1 << 40
    assert said(desk.after(minutes=1)) == [("disk-floor", "", True)]


def test_c24_a_directory_and_a_key_that_end_are_told_and_become_an_alarm(desk: Desk) -> None:
    directory = make_directory()
    desk.trust.offer(sign_directory(encode_directory(directory), ROOTS[:2]))
    desk.clock.advance((directory.expires_at - desk.clock.now()).total_seconds() - 15 * DAY)
    assert desk.after(minutes=1) == []
    found = desk.after(days=2)
    assert {notice.reference: notice.level for notice in found}["directory-ends"] is NoticeLevel.WARNING
    found = desk.after(days=14)
    assert {notice.reference: notice.level for notice in found}["directory-ends"] is NoticeLevel.ALARM
    newer = replace(directory, version=99, expires_at=desk.clock.now() + timedelta(days=365))
    desk.trust.offer(sign_directory(encode_directory(newer), ROOTS[:2]))
    ended = {notice.reference: notice.over_at is not None for notice in desk.after(minutes=1)}
    assert ended["directory-ends"]


def test_c18_a_doubtful_clock_raises_and_ends_nothing(desk: Desk) -> None:
    desk.books.packet(1)
    desk.is_sound = False
    assert desk.after(days=400) == []
    desk.is_sound = True
    assert len(desk.after(minutes=1)) == 2


def test_c18_what_is_over_goes_after_its_days_when_neighbours_confirm_them(desk: Desk) -> None:
    desk.volume.free = 0
    desk.after(minutes=1)
    desk.volume.free = 1 << 40
    desk.after(minutes=1)
    desk.volume.free = 0
    assert len(desk.after(days=91)) == 2
    desk.proven = desk.clock.now() - timedelta(days=2)
    assert len(desk.after(minutes=1)) == 2
    desk.proven = desk.clock.now()
    assert said(desk.after(minutes=1)) == [("disk-floor", "", False)]
    assert len([*desk.folder.iterdir()]) == 2
    rows = desk.books.ledger.read().execute("SELECT kept, document FROM notice ORDER BY id").fetchall()
    assert [(row["kept"], bool(row["document"])) for row in rows] == [(0, False), (1, True)]


def test_every_change_is_an_event(desk: Desk) -> None:
    desk.link(down_since=stamp(desk.clock.now()))
    desk.after(minutes=16)
    desk.link(down_since="")
    desk.after(minutes=1)
    kinds = [row["kind"] for row in desk.books.ledger.read().execute("SELECT kind FROM event ORDER BY id")]
    assert kinds == ["notice-raised", "notice-over"]
    assert notices.open_notices(desk.books.ledger.read()) == ()


def test_a_crash_at_any_step_of_writing_leaves_one_whole_notice(desk: Desk) -> None:
    desk.books.packet(1)
    number = 0
    while True:
        number += 1
        files = DurableFiles(Volume.OWN, _CrashAfter(number))
        # The restarted station knows nothing of the one before.
        desk.station._places, desk.station._next = (NodePlace(desk.folder, files),), None
        try:
            desk.after(minutes=61)
        except SimulatedCrash:
            continue
        break
    assert number > 10
    (notice,) = [notice for notice in desk.after(minutes=1) if notice.subject.startswith("accepted")]
    assert notice.count == 1
    assert notices.unwritten(desk.books.ledger.read(), 1, 10) == ()
    assert not [path for path in desk.folder.iterdir() if path.suffix not in (".xml", ".txt")]


class _CrashAfter:
    def __init__(self, number: int) -> None:
        self.left = number

    def point(self, name: str) -> None:
        self.left -= 1
        if self.left <= 0:
            raise SimulatedCrash(name)


def test_no_question_walks_what_ever_passed(desk: Desk) -> None:
    desk.books.packet(1)
    connection = desk.books.ledger.read()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    desk.watch.matters(desk.clock.now())
    desk.watch.matters(desk.clock.now() + timedelta(days=2))
    connection.set_trace_callback(None)
    assert len(statements) > 10
    for statement in statements:
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}"):
            plan = row["detail"]
            assert not plan.startswith("SCAN") or "INDEX" in plan, (plan, statement)


def test_what_stayed_delivered_or_expired_long_ago_is_not_walked(desk: Desk) -> None:
    """Most receivers never collect or sign by a receipt: their packets stay in that state for ever."""
    desk.books.move(desk.books.packet(1), Event.RECEIPT_DELIVERED)
    desk.books.move(desk.books.packet(2), Event.RECEIPT_EXPIRED)
    connection = desk.books.ledger.read()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    desk.watch.matters(desk.clock.now())
    found = desk.watch.matters(desk.clock.now() + timedelta(days=7, hours=1))
    connection.set_trace_callback(None)
    assert found
    plans = {
        statement: [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
        for statement in statements
        if "destination.since" in statement
    }
    # By recipient, and the packets of one, for each of: not collected, not signed, expired.
    assert len(plans) >= 6
    for statement, plan in plans.items():
        index = "destination_expired" if "'expired'" in statement else "destination_unsigned"
        first = plan[0].replace("COVERING ", "")
        assert first.startswith(f"SEARCH destination USING INDEX {index} (since>?"), (plan, statement)


@pytest.mark.parametrize("reference", WORDS)
def test_both_languages_say_the_same_things(reference: str) -> None:
    words = WORDS[reference]
    for pair in (words.message, words.advice):
        assert pair.zh
        assert pair.en
        names = [{part.split("}")[0] for part in text.split("{")[1:]} for text in (pair.zh, pair.en)]
        assert {name.removesuffix("_zh") for name in names[0]} == names[1]
