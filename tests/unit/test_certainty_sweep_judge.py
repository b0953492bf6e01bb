"""The judge of the sweeps, held against states that a broken product would leave: each must be told."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from certainty.sweep import papers
from certainty.sweep.ledgers import has_receipted
from certainty.sweep.outside import view
from certainty.sweep.papers import Dropped
from certainty.sweep.reader import Reader, digests
from certainty.sweep.stage import Stage
from certainty.sweep.world import JOURNEY, RECEIVER, SENDER, Beginning, World, plan
from cli.demo.watch import read_original
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.build import build_lab
from exchanged.config import LinkTransport
from tests.support.clock import FakeClock, FakeRandomness

NAME = f"{SENDER}_019f6365-21c0-77fb-9144-f70390bde43d"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A packet that lies in the inbox below ``tmp_path``."""
    (tmp_path / "outbox").mkdir()
    found = tmp_path / "inbox" / "case.report" / NAME
    found.mkdir(parents=True)
    for name in ("packet.xml", "accepted.xml", "卷宗.pdf"):
        (found / name).write_bytes(name.encode())
    return found


@pytest.mark.parametrize("name", ["packet.xml", "accepted.xml", "卷宗.pdf"])
def test_a_folder_that_the_power_cut_tore_after_it_was_seen_is_told(folder: Path, name: str) -> None:
    reader = Reader(folder.parents[2])
    reader.look(may_take=False)
    assert reader.troubles == []
    (folder / name).write_bytes(b"")
    reader.look(may_take=False, may_undo=lambda _: True)
    assert reader.troubles == [("I3", f"changed after it had appeared: {name} of case.report/{NAME}")]


def test_a_file_that_is_gone_from_a_folder_that_lies_there_is_told(folder: Path) -> None:
    reader = Reader(folder.parents[2])
    reader.look(may_take=False)
    (folder / "accepted.xml").unlink()
    reader.look()
    assert [invariant for invariant, _ in reader.troubles] == ["I3"]


def test_a_packet_that_vanishes_without_being_taken_is_told(folder: Path) -> None:
    reader = Reader(folder.parents[2])
    reader.look(may_take=False)
    shutil.rmtree(folder)
    reader.look()
    assert reader.troubles == [("I1", f"vanished from the inbox, and nobody took it: case.report/{NAME}")]
    assert not reader.undone


def test_c19_what_vanished_by_a_cut_before_its_receipt_is_remembered_as_undone(folder: Path) -> None:
    reader = Reader(folder.parents[2])
    reader.look(may_take=False)
    asked: list[str] = []
    shutil.rmtree(folder)
    reader.look(may_take=False, may_undo=lambda packet: not asked.append(packet))  # type: ignore[func-returns-value]
    assert asked == [NAME]
    assert (reader.troubles, sum(reader.undone.values())) == ([], 1)


def test_what_the_reader_took_has_not_vanished(folder: Path) -> None:
    reader = Reader(folder.parents[2])
    for _ in range(3):
        reader.look()
    assert not folder.exists()
    assert reader.troubles == []


def test_c19_a_receipt_in_the_ledger_says_that_the_packet_may_not_show_again(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE receipt (own, kind, sender, packet_id)")
        assert not has_receipted(tmp_path, NAME)
        sender, _, packet = NAME.partition("_")
        connection.execute("INSERT INTO receipt VALUES (0, 'delivered', ?, ?)", (sender, packet))
        connection.execute("INSERT INTO receipt VALUES (1, 'accepted', ?, ?)", (sender, packet))
        connection.commit()
        assert not has_receipted(tmp_path, NAME)
        connection.execute("INSERT INTO receipt VALUES (1, 'delivered', ?, ?)", (sender, packet))
        connection.commit()
    assert has_receipted(tmp_path, NAME)


# --- a whole run, without faults, and then what a broken product would have left ------------------------


class Plain(World):
    """The world in a plain folder: nothing is mounted, nothing is put back."""

    def build(self, layout: str = "") -> None:
        """As the world does it, without volumes."""
        build_lab(self.layout, plan(), LinkTransport.FOLDER, FakeClock(), FakeRandomness("build"))
        self.drop("A", "prosecution.transfer", video=1_100_000)


@dataclass
class Ran:
    """A run that came to rest."""

    stage: Stage
    sender: Path
    receiver: Path

    def told(self) -> list[tuple[str, str]]:
        """What the judge says of it now."""
        return list(self.stage._outsiders.problems("case 7"))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One drop, delivered, collected and signed for."""
    world = Plain(tmp_path_factory.mktemp("world"))
    world.build()
    stage = Stage(world, Beginning(JOURNEY))
    ending = stage.play()
    assert ending.violations == []
    assert ending.view.statuses == {"A.status.json": "signed True"}
    return Ran(stage, world.layout.agency(SENDER), world.layout.agency(RECEIVER))


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _one_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("pattern", "harm", "invariant"),
    [
        ("sent/A/packet.xml", _cut_short, "I4"),
        ("sent/A/*.pdf", _one_byte, "I4"),
        ("sent/A/*.pdf", Path.unlink, "I4"),
        ("receipts/*/delivered-*.xml", _one_byte, "I7"),
        ("receipts/*/accepted-*.xml", _cut_short, "I7"),
        ("receipts/*/signed-*.xml", lambda path: path.write_bytes(b""), "I7"),
        ("receipts/*/collected-*.xml", lambda path: path.rename(path.with_name("refused-x-1.xml")), "I7"),
        ("status/A.status.xml", _cut_short, "I7"),
        ("status/A.status.json", _cut_short, "I7"),
        ("status/by-id/*.xml", Path.unlink, "I7"),
    ],
)
def test_a_harm_to_what_lies_in_the_senders_folders_is_told(
    finished: Ran, tmp_path: Path, pattern: str, harm: Callable[[Path], object], invariant: str
) -> None:
    aside = tmp_path / "aside"
    shutil.copytree(finished.sender, aside)
    before = view(finished.sender, finished.receiver, Reader(finished.receiver))
    try:
        harm(next(finished.sender.glob(pattern)))
        assert invariant in [found for found, _ in finished.told()]
        after = view(finished.sender, finished.receiver, Reader(finished.receiver))
        assert pattern.startswith("receipts/") or before.files != after.files
    finally:
        shutil.rmtree(finished.sender)
        shutil.copytree(aside, finished.sender)
    assert finished.told() == []


def test_a_receipt_of_a_packet_that_nobody_sent_is_told(finished: Ran) -> None:
    folder = next((finished.sender / "receipts").iterdir())
    strange = folder.with_name(folder.name[:-4] + "0000")
    shutil.copytree(folder, strange)
    try:
        assert {invariant for invariant, _ in finished.told()} == {"I7"}
    finally:
        shutil.rmtree(strange)


def test_the_papers_of_a_delivered_folder_are_judged_with_its_bytes(tmp_path: Path) -> None:
    """A whole folder proves itself; with another seal, receipt, delivery or byte it does not."""
    world = Plain(tmp_path)
    world.build()
    stage = Stage(world, Beginning(JOURNEY))
    stage.reader.takes = False
    assert stage.play().violations == []
    (folder,) = (world.layout.agency(RECEIVER) / "inbox").glob("*/*")
    proofs = papers.proofs_of(world.layout.config(RECEIVER))

    def problems(dropped: Dropped = world.dropped) -> list[str]:
        return papers.folder_problems(proofs, dropped, RECEIVER, stage.clock.now(), folder)

    assert problems() == []
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        _one_byte(path)
        assert problems(), path.name
        path.unlink()
        assert problems(), path.name
        path.write_bytes(whole)
    assert problems() == []
    assert problems(Dropped()) == [f"{folder.name}: nobody dropped that packet.xml"]


def test_originals_are_held_against_what_was_dropped_wherever_they_lie(tmp_path: Path) -> None:
    request = DropRequest("case.report", SENDER, RECEIVER, FakeClock().now(), name="A")
    (tmp_path / "outbox").mkdir()
    path = write_drop(make_drop(request), tmp_path / "outbox")
    assert read_original(path).envelope.sender == SENDER
    dropped = Dropped(files={"A": digests(path)})
    assert list(papers.original_problems(dropped, tmp_path)) == []
    (tmp_path / "refused").mkdir()
    path = path.rename(tmp_path / "refused" / "A")
    _cut_short(path / "packet.xml")
    assert list(papers.original_problems(dropped, tmp_path)) == ["refused/A is not what was dropped"]
