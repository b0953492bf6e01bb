"""The long rows of the bench: broken off anywhere, they go on where they stood, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.growth import Book, Measured, _result, await_rest
from bench.keeping import Kept
from bench.ledgers import fill_slice
from bench.mix import Letter, Mix
from bench.post import Post
from bench.result import BROKEN, MET, Check, Result, Row, Run
from bench.runner import run_all
from bench.volume import Books, Sitting, Supply
from certainty.operation.growth import count_rows
from cli.fiction.agencies import LabAgency
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan, parse_plan
from exchanged.ledger import open_read_only, packets
from exchanged.ledger.verify import examine_ledger

GOOD = Result((Check("packets", 150.0, 100.0, "/s"),))


@pytest.fixture(autouse=True)
def _folders_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "work"))
    (tmp_path / "work").mkdir()
    monkeypatch.setattr("bench.runner.busy_cores", lambda: 0.1)


class Long:
    """A row of three steps, each a file; ``fault`` is raised before the step of that number, once."""

    def __init__(self) -> None:
        self.faults: dict[int, BaseException] = {}
        self.done: list[int] = []

    def __call__(self, run: Run) -> Result:
        for number in range(3):
            if (run.folder / str(number)).exists():
                continue
            if number in self.faults:
                raise self.faults.pop(number)
            (run.folder / str(number)).touch()
            self.done.append(number)
        return GOOD

    def run(self, kept: Kept, *, again: bool = False) -> Result:
        row = Row("long", "l", "l", self, room=0, resumes=True)
        return run_all([row], kept, full=False, again=again)["long"]


def test_a_row_that_was_broken_off_goes_on_in_the_folder_that_it_left(tmp_path: Path) -> None:
    long, kept = Long(), Kept(tmp_path / "kept", "state", "full")
    long.faults[2] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        long.run(kept)
    assert long.done == [0, 1]
    assert long.run(kept).verdict == MET
    assert long.done == [0, 1, 2]
    assert list((tmp_path / "work").iterdir()) == []


def test_what_broke_goes_on_too_and_says_where_until_it_is_begun_anew(tmp_path: Path) -> None:
    long, kept = Long(), Kept(tmp_path / "kept", "state", "full")
    long.faults[1] = RuntimeError("no line")
    broken = long.run(kept)
    assert broken.verdict == BROKEN
    [folder] = (tmp_path / "work").iterdir()
    told = f"the same call goes on in {folder}, with --again it begins anew"
    assert broken.broken == f"RuntimeError: no line; {told}"
    long.faults[2] = RuntimeError("no line")
    assert long.run(kept).verdict == BROKEN
    assert long.done == [0, 1]
    assert long.run(kept, again=True).verdict == MET
    assert long.done == [0, 1, 0, 1, 2]
    assert list((tmp_path / "work").iterdir()) == []


def test_nothing_of_another_state_of_the_source_is_used_and_it_is_removed(tmp_path: Path) -> None:
    long = Long()
    long.faults[2] = RuntimeError("no line")
    assert long.run(Kept(tmp_path / "kept", "state", "full")).verdict == BROKEN
    assert long.run(Kept(tmp_path / "kept", "another", "full")).verdict == MET
    assert long.done == [0, 1, 0, 1, 2]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_folder_that_is_gone_is_no_reason_to_fail(tmp_path: Path) -> None:
    long, kept = Long(), Kept(tmp_path / "kept", "state", "full")
    long.faults[2] = RuntimeError("no line")
    long.run(kept)
    [folder] = (tmp_path / "work").iterdir()
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    assert long.run(kept).verdict == MET
    assert long.done == [0, 1, 0, 1, 2]


AGENCIES: tuple[LabAgency, ...] = default_plan(14).agencies


def supply(folder: Path, sitting: int, wanted: int = 12) -> Supply:
    books = Books.open(folder / "books.json")
    return Supply(Mix(folder / f"templates-{sitting}", AGENCIES), folder / "staged", books, wanted)


def appear(folder: Path, letters: list[Letter]) -> None:
    (folder / "outbox").mkdir(exist_ok=True)
    for letter in letters:
        letter.path.rename(folder / "outbox" / letter.reference)


def test_each_drop_appears_once_however_often_it_is_broken_off(tmp_path: Path) -> None:
    first = supply(tmp_path, 1)
    assert first.gone == ()
    appear(tmp_path, first.take(4))
    # Broken off between two renames.
    appear(tmp_path, first.take(4)[:1])
    second = supply(tmp_path, 2)
    assert [each.reference for each in second.gone] == [f"bench-{number:07d}" for number in range(5)]
    left = second.take(2)
    assert [each.reference for each in left] == ["bench-0000005", "bench-0000006"]
    appear(tmp_path, left)
    third = supply(tmp_path, 3)
    assert third.take(0) == []
    while letters := third.take(3):
        appear(tmp_path, letters)
    references = sorted(each.name for each in (tmp_path / "outbox").iterdir())
    assert references == [f"bench-{number:07d}" for number in range(12)]
    assert len(supply(tmp_path, 4).gone) == 12


def test_a_drop_that_was_only_begun_is_written_anew(tmp_path: Path) -> None:
    whole = supply(tmp_path, 1)
    [letter] = whole.take(1)
    wanted = {each.name: each.stat().st_size for each in letter.path.iterdir()}
    # Broken off while it was written: its number was not noted yet.
    (tmp_path / "books.json").unlink()
    (letter.path / "packet.xml").write_bytes(b"<half")
    (letter.path / "stray").touch()
    [again] = supply(tmp_path, 2).take(1)
    assert again.path == letter.path
    assert {each.name: each.stat().st_size for each in again.path.iterdir()} == wanted


def test_what_waits_to_appear_is_written_anew_after_a_hard_stop(tmp_path: Path) -> None:
    [letter] = supply(tmp_path, 1).take(1)
    wanted = (letter.path / "packet.xml").stat().st_size
    (letter.path / "packet.xml").write_bytes(b"")
    [again] = supply(tmp_path, 2).take(1)
    assert again.path == letter.path
    assert (again.path / "packet.xml").stat().st_size == wanted


def test_sittings_are_added_up(tmp_path: Path) -> None:
    books = Books.open(tmp_path / "books.json")
    books.sittings += [Sitting(10, 2.0, 0.5), Sitting(0, 0.0, 0.0), Sitting(5, 1.0, 0.25)]
    books.save()
    assert Books.open(tmp_path / "books.json").total() == Sitting(15, 3.0, 0.75)


def arrive(lab: Lab, letter: Letter, code: str, name: str) -> None:
    place = lab.agency_root(code) / "inbox" / letter.business_type / name
    place.mkdir(parents=True)
    (place / "packet.xml").write_text(f"<p><senderRef>{letter.reference}</senderRef></p>")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    agencies = [{"code": AGENCIES[0].code}, {"code": AGENCIES[1].code}]
    return create_lab(tmp_path / "lab", parse_plan({"agency": agencies}))


def letters_of(lab: Lab, folder: Path) -> list[Letter]:
    one, other = lab.agencies
    return [
        Letter(f"bench-{number}", "info.share", one, other, folder / f"bench-{number}") for number in range(3)
    ]


def posted(lab: Lab, folder: Path) -> tuple[Callable[[], Post], list[Letter]]:
    letters = letters_of(lab, folder)
    for letter in letters:
        letter.path.mkdir(parents=True)
    return (lambda: Post(lab, folder / "taken")), letters


def test_what_arrived_before_a_break_is_known_and_what_did_not_is_awaited(lab: Lab, tmp_path: Path) -> None:
    open_post, letters = posted(lab, tmp_path / "post")
    before = open_post()
    before.drop(letters)
    arrive(lab, letters[0], letters[0].receiver, "a")
    before.look()
    after = open_post()
    for letter in letters:
        after.went(letter)
    assert (after.arrived, sorted(after.open)) == (1, ["bench-1", "bench-2"])
    arrive(lab, letters[1], letters[1].receiver, "b")
    after.look()
    assert (after.arrived, sorted(after.open)) == (2, ["bench-2"])


def test_a_second_appearance_and_a_wrong_inbox_are_told_after_a_break_too(lab: Lab, tmp_path: Path) -> None:
    open_post, letters = posted(lab, tmp_path / "post")
    post = open_post()
    post.drop(letters)
    arrive(lab, letters[0], letters[0].receiver, "a")
    post.look()
    arrive(lab, letters[0], letters[0].receiver, "a-again")
    arrive(lab, letters[1], letters[1].sender, "b")
    post.look()
    for each in (post, open_post()):
        told = each.problems(0)
        assert any(text.startswith(f"bench-0 in the inbox of {letters[0].receiver}") for text in told)
        assert any(text.startswith(f"bench-1 in the inbox of {letters[1].sender}") for text in told)


@pytest.mark.parametrize("which", ["province", "agency"])
def test_a_ledger_that_was_half_filled_is_filled_up(
    lab: Lab, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("bench.ledgers.GROUP", "certainty.operation.growth.GROUP"):
        monkeypatch.setattr(place, 10)
    monkeypatch.setattr("bench.ledgers._SLICE", 20)
    code = lab.province if which == "province" else lab.agencies[0]
    reached = [fill_slice(lab.layout.root, code, 45) for _ in range(4)]
    assert reached == [20, 40, 45, 45]
    data = lab.layout.data(code)
    with closing(open_read_only(data / "ledger.sqlite3")) as connection:
        assert examine_ledger(connection, data).problems == ()
        rows = count_rows(connection)
        assert packets.get(connection, 45).id == 45
    other = create_lab(lab.layout.root.with_name("other"), parse_plan({"agency": [
        {"code": each} for each in lab.agencies
    ]}))  # fmt: skip
    monkeypatch.setattr("bench.ledgers._SLICE", 1_000)
    assert fill_slice(other.layout.root, code, 45) == 45
    with closing(open_read_only(other.layout.data(code) / "ledger.sqlite3")) as connection:
        assert count_rows(connection) == rows


def test_bursts_that_were_measured_are_kept_and_those_begun_are_counted(tmp_path: Path) -> None:
    book = Book.open(tmp_path / "measured.json")
    book.tries += 1
    book.save()
    book = Book.open(tmp_path / "measured.json")
    assert (book.tries, book.measured) == (1, [])
    book.measured.append(Measured(1_000, 40.5, {"queue summary": 200.0}))
    book.save()
    assert Book.open(tmp_path / "measured.json").measured == book.measured


def test_a_round_that_was_begun_is_measured_anew(tmp_path: Path) -> None:
    for begun, kept in ((0, 0), (2, 0), (3, 3), (5, 3)):
        measured = [Measured(number, 40.0, {}) for number in range(begun)]
        book = Book(tmp_path / "measured.json", begun, measured)
        book.drop_begun_round(3)
        assert (len(book.measured), book.tries) == (kept, begun)


def test_sizes_are_compared_within_a_round_whatever_the_machine_did_between() -> None:
    # Half the speed in the second round, a third in the last one.
    costs = [(40.0, 44.0), (80.0, 88.0), (120.0, 180.0)]
    sizes = (1_000, 100_000)
    measured = [
        Measured(size, cost, {"queue summary": 200.0}, restless=1)
        for one in costs
        for size, cost in zip(sizes, one, strict=True)
    ]
    result = _result(measured, 9_000.0)
    assert round(result.checks[0].found, 6) == 1.1
    assert result.figures["CPU ms per packet at 1,000"] == 80.0
    assert "it did not come to rest 6 times, and was measured so" in result.notes


@pytest.mark.parametrize(
    ("nodes", "spent", "comes"),
    [
        (0, [0.1, 0.1, 0.1], True),
        # One quiet look, or two, are a pause.
        (0, [0.1, 0.1, 5.0] * 50, False),
        (0, [0.3] * 200, False),
        # Two seconds of 500 nodes that take a thousandth of a core each, and of all others.
        (500, [1.1, 1.1, 1.1], True),
        (500, [1.3] * 200, False),
    ],
)
def test_rest_is_three_quiet_looks_running(
    nodes: int, spent: list[float], comes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept, steps, total = list[float](), iter(spent), [0.0]

    def cpu() -> float:
        total[0] += next(steps, 5.0) if slept else 0.0
        return total[0]

    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr("bench.growth.time", clock)
    monkeypatch.setattr("bench.growth.cpu_of_descendants", cpu)
    assert await_rest(nodes) is comes
