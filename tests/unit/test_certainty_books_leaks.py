"""The checker finds payload where it is no business of anybody, and leaves alone where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from certainty.books import Driver, World
from certainty.books.canary import PERSON, word_of, words_in
from certainty.books.driver import Dropped
from certainty.books.leaks import judge_leaks, sightings
from cli.fiction.packet_xml import DropEncoding
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan

SENDER, RECEIVER, STRANGER = "620199-01-00", "620199-03-00", "620199-04-00"
BRIDGE, PROVINCE = "bridge-x", "620000-00-00"
PLAN = {
    "agency": [{"code": SENDER, "via": BRIDGE}, {"code": RECEIVER}, {"code": STRANGER}],
    "bridge": [{"name": BRIDGE, "between": ["province"]}],
}


class Made:
    """A lab that nobody runs, and one packet of the police for the procuratorate."""

    def __init__(self, folder: Path) -> None:
        self.lab: Lab = create_lab(folder / "lab", parse_plan(PLAN), "folder")
        self.world = World.of_lab(self.lab, folder / "books")
        driver = Driver(self.world, 1)
        request = driver.request(
            SENDER, receiver=RECEIVER, business_type="interrogation.cancel", extra_documents=()
        )
        self.drop: Dropped = driver.drop(request)
        self.packet = (self.world.agencies[SENDER] / "outbox" / self.drop.name / "packet.xml").read_bytes()
        self.files: list[Path] = []

    def put(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files.append(path)

    def judge(self) -> set[str]:
        digests = {digest for _, digest in self.drop.files.values()}
        return {each.invariant for each in judge_leaks([self.drop], sightings(self.world, digests))}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("leaks"))


@pytest.fixture
def made(built: Made) -> Made:
    for path in built.files:
        path.unlink()
    built.files.clear()
    return built


def _mailbox(made: Made, code: str, name: str) -> Path:
    return made.lab.layout.mailbox(code) / "down" / name


def _blob_name(made: Made) -> str:
    return f"{made.drop.files['packet.xml'][1]}.blob"


def test_what_was_dropped_bears_a_word_of_its_own_in_every_encoding(made: Made) -> None:
    word = word_of(SENDER, made.drop.sender_ref)
    assert words_in([made.packet]) == {word, PERSON}
    # Also where a block ends in the middle of it.
    middle = made.packet.index(word.encode()) + 9
    assert word in words_in([made.packet[:middle], made.packet[middle:]])
    for escaped in (PERSON.encode("gb18030"), repr(PERSON.encode()).encode(), ascii(PERSON).encode()):
        assert words_in([b"event=x found=" + escaped]) == {PERSON}
    assert words_in([b"event=packet-accepted packet=620199-01-00/1"]) == frozenset()


def test_old_case_software_writes_the_same_words(tmp_path: Path) -> None:
    agencies = {code: tmp_path / code for code in (SENDER, RECEIVER)}
    (agencies[SENDER] / "outbox").mkdir(parents=True)
    driver = Driver(World(tmp_path, agencies, {}), 1)
    dropped = driver.drop(driver.request(SENDER, receiver=RECEIVER), encoding=DropEncoding.GB18030)
    packet = (agencies[SENDER] / "outbox" / dropped.name / "packet.xml").read_bytes()
    assert words_in([packet]) == {word_of(SENDER, dropped.sender_ref), PERSON}


BELONGS: tuple[Callable[[Made], Path], ...] = (
    lambda made: made.world.agencies[SENDER] / "sent" / "a" / "packet.xml",
    lambda made: made.world.agencies[RECEIVER] / "inbox" / "interrogation.cancel" / "a" / "packet.xml",
    lambda made: made.world.agencies[RECEIVER] / ".exchanged" / "a" / "packet.xml",
    lambda made: made.lab.layout.data(PROVINCE) / "spool" / "a.batch",
    lambda made: made.lab.layout.data(BRIDGE) / "spool" / "a.batch",
    lambda made: made.lab.layout.data(RECEIVER) / "spool" / "a.group",
    lambda made: _mailbox(made, RECEIVER, "00000001-0123456789abcdef.batch"),
    lambda made: _mailbox(made, BRIDGE, "00000001-0123456789abcdef.batch"),
    lambda made: _mailbox(made, RECEIVER, _blob_name(made)),
)


def test_a_packet_may_lie_with_its_sender_with_its_receiver_and_on_its_way(made: Made) -> None:
    for place in BELONGS:
        made.put(place(made), b"0001.packet" + made.packet)
    assert made.judge() == set()


NO_BUSINESS: tuple[tuple[Callable[[Made], Path], str], ...] = (
    (lambda made: _mailbox(made, STRANGER, "00000001-0123456789abcdef.batch"), "I6"),
    (lambda made: _mailbox(made, STRANGER, "00000001-0123456789abcdef.batch.part"), "I6"),
    (lambda made: made.lab.layout.mailbox(STRANGER) / "up" / "a", "I6"),
    (lambda made: made.lab.layout.data(STRANGER) / "spool" / "incoming" / "a", "I6"),
    (lambda made: made.world.agencies[STRANGER] / ".exchanged" / "a" / "packet.xml", "I6"),
    (lambda made: made.lab.layout.log(PROVINCE), "I11"),
    (lambda made: made.lab.layout.log(SENDER), "I11"),
    (lambda made: made.world.agencies[SENDER] / "status" / "a.status.xml", "I11"),
    (lambda made: made.world.agencies[SENDER] / "receipts" / "a" / "accepted-1.xml", "I11"),
    (lambda made: made.world.agencies[RECEIVER] / "notices" / "a.xml", "I11"),
    (lambda made: made.world.folder / "temporary" / "tmp1", "I11"),
    (lambda made: made.world.ledgers / "x.jsonl", "I11"),
)


@pytest.mark.parametrize(("place", "invariant"), NO_BUSINESS)
def test_a_packet_anywhere_else_is_found(made: Made, place: Callable[[Made], Path], invariant: str) -> None:
    made.put(place(made), b"some bytes before " + made.packet)
    assert invariant in made.judge()


def test_a_part_beside_its_packet_is_known_by_its_digest(made: Made) -> None:
    made.put(_mailbox(made, STRANGER, _blob_name(made)), b"a part that bears no word")
    assert made.judge() == {"I6"}


def test_a_name_in_a_log_is_found_however_it_is_escaped(made: Made) -> None:
    made.put(made.lab.layout.log(PROVINCE), b'event=refused found="' + ascii(PERSON).encode() + b'"\n')
    assert made.judge() == {"I11"}


def test_a_packet_that_nobody_dropped_is_found(made: Made) -> None:
    made.put(_mailbox(made, RECEIVER, "a"), word_of(SENDER, "another reference").encode())
    assert made.judge() == {"I5"}
