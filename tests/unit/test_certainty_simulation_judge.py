"""The judges of the simulation can fail: each is shown a wrong state, made by hand, and says so."""

from __future__ import annotations

import json
import queue
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certainty.shard import Run
from certainty.simulation import crowd, shards
from certainty.simulation.books import Books, _holds, _is_whole
from certainty.simulation.drops import End, Sample
from certainty.simulation.ends import Ending, wrong_end
from certainty.simulation.people import Dropped
from certainty.simulation.shards import PLANNED, Tally
from certainty.simulation.watch import Appearance, InboxWatch
from packet_spec.identity import PacketKey
from packet_spec.model import ReceiptKind

SENDER, RECEIVER, PROVINCE = "620199-01-00", "620199-03-00", "620000-00-00"
PACKET = "01900000-0000-7000-8000-000000000001"
FOLDER = f"common.accept/{SENDER}_{PACKET}"
XML = b"<packet><senderRef>R-1</senderRef></packet>"


def sample_of(end: End = End.DELIVERED, files: dict[str, bytes] | None = None) -> Sample:
    return Sample(1, "folder", SENDER, (RECEIVER,), files or {"packet.xml": XML}, end)


# --- how drops end -------------------------------------------------------------------------------------


def end_of(end: End, state: str, **more: Any) -> str:
    shown = more.pop("shown", 0)
    found = wrong_end(Ending("D01", SENDER, RECEIVER, end, state, more.pop("told", ""), shown, **more))
    return "" if found is None else found[0]


def test_a_good_drop_is_refused_or_cancelled_only_where_somebody_did_that() -> None:
    assert end_of(End.DELIVERED, "signed", shown=1) == ""
    assert end_of(End.DELIVERED, "delivered") == "I7"
    assert end_of(End.DELIVERED, "refused", shown=1) == "I1"
    assert end_of(End.DELIVERED, "refused", shown=1, reader_refused=True) == ""
    assert end_of(End.DELIVERED, "refused", operator_cancelled=True) == "I1"
    assert end_of(End.DELIVERED, "cancelled") == "I1"
    assert end_of(End.DELIVERED, "cancelled", operator_cancelled=True) == ""
    assert end_of(End.DELIVERED, "cancelled", operator_cancelled=True, shown=1) == "I1"
    assert end_of(End.DELIVERED, "", told="refused") == "I1"
    for state in ("queued", "expired", "undeliverable", ""):
        assert end_of(End.DELIVERED, state, reader_refused=True, operator_cancelled=True) == "I1"


def test_a_faulty_drop_ends_refused_and_not_just_anyhow() -> None:
    assert end_of(End.REFUSED, "refused") == ""
    assert end_of(End.REFUSED, "cancelled", operator_cancelled=True) == ""
    assert end_of(End.REFUSED, "cancelled") == "I13"
    assert end_of(End.REFUSED, "") == "I13"
    assert end_of(End.REFUSED, "refused", shown=1) == "I13"
    assert end_of(End.REFUSED_AT_HOME, "", told="refused") == ""
    assert end_of(End.REFUSED_AT_HOME, "", told="duplicate") == "I13"
    assert end_of(End.REFUSED_AT_HOME, "refused") == "I13"


# --- what lies in an inbox -------------------------------------------------------------------------------


@pytest.fixture
def watch(tmp_path: Path) -> InboxWatch:
    """An inbox with one packet in it, looked at once."""
    folder = tmp_path / "inbox" / FOLDER
    folder.mkdir(parents=True)
    for name in ("packet.xml", "seal.xml", "seal.sig", "accepted.xml", "delivery.xml"):
        (folder / name).write_bytes(XML)
    made = sample_of()
    found: list[tuple[str, str]] = []
    disk: Any = SimpleNamespace(is_durable=lambda _path: True)
    inbox = InboxWatch(
        RECEIVER, tmp_path, disk, {made.mark: made}, lambda invariant, what: found.append((invariant, what)),
        lambda: inbox_time[0], kept_seconds=36.0,
    )  # fmt: skip
    inbox_time[0] = 0.0
    inbox.look()
    assert (found, [*inbox.present]) == ([], [FOLDER])
    return inbox


inbox_time = [0.0]


def said_by(watch: InboxWatch) -> list[str]:
    """The invariants that it finds broken from now on."""
    said: list[str] = []
    watch.broken = lambda invariant, _what: said.append(invariant)
    return said


def remove(watch: InboxWatch) -> None:
    for path in (watch.inbox / FOLDER).iterdir():
        path.unlink()
    (watch.inbox / FOLDER).rmdir()


def test_a_packet_that_the_product_removes_unasked_is_seen(watch: InboxWatch) -> None:
    said = said_by(watch)
    remove(watch)
    watch.look()
    assert said == ["I1"]
    assert not watch.every[0].was_taken


@pytest.mark.parametrize(
    ("after", "wrong_clock", "expected"), [(10.0, False, ["I1"]), (10.0, True, []), (40.0, False, [])]
)
def test_a_marked_packet_goes_when_its_time_is_over(
    watch: InboxWatch, after: float, wrong_clock: bool, expected: list[str]
) -> None:
    said = said_by(watch)
    watch.marked(FOLDER)
    watch.clock_was_wrong = wrong_clock
    inbox_time[0] = after
    remove(watch)
    watch.look()
    assert said == expected
    assert watch.every[0].was_taken


def test_what_a_power_cut_took_from_the_papers_in_an_inbox_is_seen(watch: InboxWatch) -> None:
    said = said_by(watch)
    watch.judge_again()
    assert said == []
    (watch.inbox / FOLDER / "accepted.xml").write_bytes(XML[:9])
    watch.judge_again()
    assert said == ["I4"]


def test_what_a_cut_took_away_was_not_taken_by_its_reader() -> None:
    assert not Appearance(FOLDER, None, PACKET, 0.0, gone="cut").was_taken
    assert Appearance(FOLDER, None, PACKET, 0.0, gone="reader").was_taken


# --- receipts --------------------------------------------------------------------------------------------


class Known:
    """What a receipt in the sender's folder says, and a world that has nothing else to tell."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.said: list[str] = []
        self.receipt = SimpleNamespace(
            kind=ReceiptKind.ACCEPTED, key=PacketKey(SENDER, PACKET), issued_by=PROVINCE, recipient="",
            findings=(),
        )  # fmt: skip
        self.inbox = SimpleNamespace(every=[], refused=set())
        world: Any = SimpleNamespace(
            layout=SimpleNamespace(agency=lambda code: root / code),
            inboxes={SENDER: SimpleNamespace(), RECEIVER: self.inbox},
            broken=lambda invariant, _what: self.said.append(invariant),
        )
        people: Any = SimpleNamespace(dropped=[Dropped(sample_of(), "D01", 0.0)], answered={})
        rows = SimpleNamespace(execute=lambda *_: SimpleNamespace(fetchone=lambda: {"sender_ref": "R-1"}))
        opened = SimpleNamespace(trust=SimpleNamespace(key=None), ledger=SimpleNamespace(read=lambda: rows))
        self.node: Any = SimpleNamespace(code=SENDER, is_up=True, opened=opened)
        self.books = Books(world, people)
        self.path = root / SENDER / "receipts" / PACKET / "accepted.xml"
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"<receipt/>")
        monkeypatch.setattr("certainty.simulation.books.open_receipt", lambda *_: (self.receipt, ""))

    def look(self) -> list[str]:
        self.books.after_step(self.node, "effects")
        said = [*self.said]
        self.said.clear()
        return said


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Known:
    return Known(tmp_path, monkeypatch)


def test_a_refusal_of_a_good_drop_needs_a_reader_who_refused(known: Known) -> None:
    known.receipt.kind = ReceiptKind.REFUSED
    assert known.look() == ["I7"]
    known.books._seen.clear()
    known.inbox.refused.add(PACKET)
    assert known.look() == ["I7"]
    known.books._seen.clear()
    known.receipt.recipient = known.receipt.issued_by = RECEIVER
    assert known.look() == []


def test_nothing_expires_and_nothing_is_said_by_another(known: Known) -> None:
    known.receipt.kind = ReceiptKind.EXPIRED
    assert known.look() == ["I7"]
    known.books._seen.clear()
    known.inbox.every.append(Appearance(FOLDER, None, PACKET, 0.0))
    known.receipt.kind, known.receipt.recipient = ReceiptKind.DELIVERED, RECEIVER
    assert known.look() == ["I7"]
    known.books._seen.clear()
    known.receipt.issued_by = RECEIVER
    assert known.look() == []
    known.books._seen.clear()
    known.receipt.kind = ReceiptKind.COLLECTED
    assert known.look() == ["I7"]


@pytest.mark.parametrize("left", [b"", b"<rec", bytes(10), b"<receipt/ >"])
def test_receipts_that_a_power_cut_tore_are_seen(known: Known, left: bytes) -> None:
    assert known.look() == []
    known.path.write_bytes(left)
    assert known.look() == []
    known.books.after_cut(known.node)
    assert known.said == ["I3"]


def test_papers_that_nobody_had_looked_at_before_the_cut_are_seen_too(known: Known) -> None:
    status = known.path.parents[2] / "status" / "D01.status.xml"
    status.parent.mkdir()
    status.write_bytes(b"")
    known.books.after_cut(known.node)
    assert known.said == ["I3"]


def test_after_a_power_cut_each_receipt_has_to_prove_itself_again(known: Known) -> None:
    assert known.look() == []
    known.receipt.kind = ReceiptKind.REFUSED
    assert known.look() == []
    known.books.after_cut(known.node)
    assert known.look() == ["I7"]


def test_at_rest_every_receipt_lies_there_with_the_bytes_of_its_issuer(known: Known) -> None:
    row = {
        "sender": SENDER, "packet_id": PACKET, "kind": "accepted", "recipient": "", "issued_by": PROVINCE,
        "attempt": 1, "document": b"<receipt/>",
    }  # fmt: skip
    read = SimpleNamespace(execute=lambda *_: [row])
    opened = SimpleNamespace(ledger=SimpleNamespace(read=lambda: read))
    nodes = {PROVINCE: SimpleNamespace(opened=opened)}
    vars(known.books.world)["nodes"] = nodes
    path = known.path.with_name(f"accepted-{PROVINCE}-1.xml")
    known.books._receipts()
    path.write_bytes(b"")
    known.books._receipts()
    assert known.said == ["I16", "I16"]
    path.write_bytes(b"<receipt/>")
    known.books._receipts()
    assert known.said == ["I16", "I16"]


def test_bytes_are_compared_and_not_only_names(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"<a/>")
    assert _holds(tmp_path / "a", b"<a/>")
    assert not _holds(tmp_path / "a", b"<b/>")
    assert not _holds(tmp_path / "b", b"<a/>")
    assert _is_whole(b"<a/>")
    assert not _is_whole(b"<a/>\0\0")


def test_a_drop_of_which_only_the_packet_is_left_is_lost(known: Known) -> None:
    made = sample_of(files={"packet.xml": XML, "a.pdf": b"%PDF"})
    dropped, root = Dropped(made, "D01", 0.0), known.path.parents[2]
    for name in ("outbox", "sent", "refused"):
        (root / name).mkdir()
    (root / "sent" / "D01").mkdir()
    (root / "sent" / "D01" / "packet.xml").write_bytes(XML)
    assert not known.books._lies_somewhere(dropped)
    (root / "sent" / "D01" / "a.pdf").write_bytes(b"%PDF")
    assert known.books._lies_somewhere(dropped)


# --- seeds that showed nothing ------------------------------------------------------------------------------


def result(seed: int, *violations: dict[str, str], kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    numbers: dict[str, Any] = dict.fromkeys(("steps", "starts", "packets", "shown"), 1)
    return numbers | {
        "seed": seed, "mode": "safety", "violations": violations, "kinds": kinds, "drained": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "code", "is_known"),
    [
        ([result(1)], 0, True),
        ([result(1, {"invariant": "I1", "what": "lost"})], 1, True),
        ([result(1)], 1, False),
        ([], 1, False),
        ([result(1, {"invariant": "I1", "what": "lost"})], 0, False),
        ([result(1)], -9, False),
        ([result(1)], -15, False),
    ],
)
def test_an_exit_code_without_its_reason_means_that_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[dict[str, Any]], code: int, is_known: bool
) -> None:
    program = tmp_path / "program"
    told = "".join(f"print({json.dumps(json.dumps(each))})\n" for each in lines)
    end = f"sys.exit({code})" if code >= 0 else f"os.kill(os.getpid(), {-code})"
    program.write_text(f"#!{sys.executable}\nimport os, sys\n{told}sys.stdout.flush()\n{end}\n", "utf-8")
    program.chmod(0o755)
    monkeypatch.setattr(shards, "sys", SimpleNamespace(executable=str(program)))
    seeds = shards._seeds(1, 2, "safety", 1.0, tmp_path)
    if is_known:
        assert len([*seeds]) == 1
    else:
        with pytest.raises(RuntimeError):
            list(seeds)


@pytest.mark.parametrize("told", [[], [7, 7], [8]])
def test_a_seed_that_once_failed_must_be_played_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: list[int]
) -> None:
    def seeds(*_: object) -> Iterator[dict[str, Any]]:
        return iter([result(seed) for seed in told])

    monkeypatch.setattr(shards, "_seeds", seeds)
    monkeypatch.setattr(shards, "seeds_of", lambda _mode: (7,))
    with pytest.raises(RuntimeError, match="seed 7"):
        shards.play(Run(quick=True, seed=1, folder=tmp_path), "safety")


@pytest.mark.parametrize("exitcode", [0, 1, -9])
def test_a_worker_that_ends_without_a_word_is_seen(exitcode: int) -> None:
    told: Any = queue.SimpleQueue()
    told.put({"seed": 1})
    told.put(None)
    workers: Any = [SimpleNamespace(exitcode=0), SimpleNamespace(exitcode=exitcode)]
    with pytest.raises(RuntimeError, match="died"):
        list(crowd._told(told, workers))
    told.put(None)
    told.put(None)
    assert [*crowd._told(told, workers)] == []


def test_only_worlds_with_faults_are_cases_and_too_few_of_them_are_told(tmp_path: Path) -> None:
    tally = Tally()
    tally.add(result(1, kinds=("deaths", "clocks")))
    tally.add(result(2, {"invariant": "I1", "what": "lost"}, kinds=("relay", "late files")))
    tally.add(result(3))
    found = {each.row: each for each in shards.outcomes(Run(False, 1, tmp_path), "S1", tally, "3 seeds")}
    assert (found["S1"].cases, found["S1"].planned) == (2, PLANNED)
    assert found["S1"].shortfalls == (f"2 of {PLANNED} planned cases",)
    assert {row: each.cases for row, each in found.items()} == {
        "S1": 2, "F70": 1, "F80": 1, "F89": 1, "F92": 1, "F93": 1
    }  # fmt: skip
    assert [row for row, each in found.items() if each.violations] == ["S1", "F70", "F80", "F93"]
    quick = [*shards.outcomes(Run(True, 1, tmp_path), "S1", Tally(), "")]
    assert quick[0].planned == 0
    assert all(each.not_run for each in quick[1:])
