"""The slow lane without processes: turns, what is remembered, and that the books are bounded."""

from __future__ import annotations

import errno

import pytest

from exchanged.errors import CheckTakesLongError, WorkerDiedError
from exchanged.slow_lane import Done, Piece, SlowLane
from tests.contract.hostile_work import Task, work


class Desk:
    """Begins pieces by hand; ``done`` are the answers still owed, in the order in which they were begun."""

    def __init__(self) -> None:
        self.begun: list[Task] = []
        self.owed: list[Done] = []
        self.is_open = True
        # What could be asked for at each call; under the guard of the lane this would wait for ever.
        self.called: list[list[bool]] = []
        self.lane = SlowLane(self.start, lambda: self.called.append([*self.lane.pieces().values()]))

    def start(self, piece: Piece, done: Done, may_wait: bool) -> bool:
        if not self.is_open:
            if may_wait:
                raise WorkerDiedError("the workers cannot be started")
            return False
        assert isinstance(piece.work, Task)
        self.begun.append(piece.work)
        self.owed.append(done)
        return True

    def take(self, *tasks: Task) -> None:
        for task in tasks:
            assert isinstance(self.lane.take(Piece(work, task)), CheckTakesLongError)

    def look(self, task: Task) -> object:
        return self.lane.look(Piece(work, task))

    def finish(self, answer: object = "answer") -> None:
        self.owed.pop(0)(answer)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def tasks(origin: str, count: int) -> list[Task]:
    return [Task("double", number, origin) for number in range(count)]


def test_one_is_at_work_and_origins_take_turns(desk: Desk) -> None:
    ours, theirs = tasks("a", 3), tasks("b", 2)
    desk.take(*ours, *theirs)
    assert desk.begun == [ours[0]]
    for _ in range(4):
        desk.finish()
    assert desk.begun == [ours[0], ours[1], theirs[0], ours[2], theirs[1]]


def test_an_answer_is_told_once_and_the_piece_stays_known_as_slow(desk: Desk) -> None:
    (task,) = tasks("", 1)
    assert desk.look(task) is None
    desk.take(task)
    assert isinstance(desk.look(task), CheckTakesLongError)
    desk.finish(42)
    assert desk.look(task) == 42
    assert isinstance(desk.look(task), CheckTakesLongError)
    assert desk.begun == [task, task]


def test_who_asked_is_called_when_there_is_an_answer_and_not_when_a_piece_is_lost(desk: Desk) -> None:
    first, second = tasks("a", 2)
    desk.take(first, second)
    desk.finish(None)
    assert desk.called == []
    desk.finish("answer")
    assert desk.called == [[True]]
    assert desk.lane.pieces() == {Piece(work, second).number: True}
    assert desk.look(second) == "answer"
    assert desk.lane.pieces() == {}


def test_others_of_an_origin_wait_behind_what_is_open_and_no_longer(desk: Desk) -> None:
    slow, other, last = tasks("a", 3)
    desk.take(slow)
    assert isinstance(desk.look(other), CheckTakesLongError)
    assert desk.look(Task("double", 1, "b")) is None
    desk.finish()
    desk.finish()
    assert desk.begun == [slow, other]
    assert desk.look(last) is None


def test_an_origin_has_room_for_a_few_pieces_and_the_rest_asks_again(desk: Desk) -> None:
    many = tasks("a", 40)
    desk.take(*many)
    other = Task("double", 0, "b")
    desk.take(other)
    for _ in range(17):
        desk.finish()
    assert len(desk.begun) == 17
    assert other in desk.begun[:3]
    assert isinstance(desk.look(many[0]), str)
    desk.take(many[39])
    assert desk.begun[-1] == many[39]


def test_answers_that_nobody_asks_for_are_forgotten_when_there_is_no_room(desk: Desk) -> None:
    many = [Task("double", number, f"origin-{number}") for number in range(300)]
    for task in many:
        desk.take(task)
        desk.finish()
    assert [task.number for task in many if desk.look(task) == "answer"] == list(range(44, 300))


def test_large_works_are_remembered_up_to_a_sum_of_bytes(desk: Desk) -> None:
    large = [Task("double", number, gate="x" * (20 << 20)) for number in range(5)]
    for task in large:
        desk.take(task)
        desk.finish()
    assert [desk.look(task) == "answer" for task in large] == [False, False, True, True, True]


def test_what_is_lost_is_forgotten_and_the_next_goes_on(desk: Desk) -> None:
    first, second, third = tasks("a", 3)
    desk.take(first, second, third)
    desk.finish(None)
    assert desk.begun == [first, second]
    desk.lane.lost()
    assert desk.begun == [first, second, third]
    # An answer that comes after all belongs to nobody.
    desk.finish("late")
    desk.finish("third")
    assert (desk.look(third), desk.look(second), desk.look(first)) == ("third", None, None)


def test_where_no_process_can_be_started_pieces_wait_for_one(desk: Desk) -> None:
    desk.is_open = False
    first, second = tasks("a", 2)
    desk.take(first, second)
    assert desk.begun == []
    desk.is_open = True
    assert isinstance(desk.look(second), CheckTakesLongError)
    assert desk.begun == [first]
    desk.is_open = False
    desk.finish()
    desk.is_open = True
    desk.look(second)
    assert desk.begun == [first, second]


def test_a_start_that_fails_in_any_way_keeps_the_piece_for_the_next_look() -> None:
    begun: list[Piece] = []

    def start(piece: Piece, done: Done, may_wait: bool) -> bool:
        begun.append(piece)
        if len(begun) == 1:
            raise OSError(errno.EMFILE, "Too many open files")
        done("answer")
        return True

    lane = SlowLane(start)
    first, other = (Piece(work, task) for task in tasks("a", 2))
    with pytest.raises(OSError, match="Too many"):
        lane.take(first)
    assert isinstance(lane.look(other), CheckTakesLongError)
    assert begun == [first, first, other]
    assert (lane.look(first), lane.look(other)) == ("answer", "answer")


def test_a_start_that_fails_after_its_piece_was_lost_puts_nothing_back() -> None:
    begun: list[Piece] = []

    def start(piece: Piece, done: Done, may_wait: bool) -> bool:
        begun.append(piece)
        lane.lost()
        return False

    lane = SlowLane(start)
    (piece,) = (Piece(work, task) for task in tasks("a", 1))
    lane.take(piece)
    assert lane.look(piece) is None
    assert begun == [piece]


def test_a_work_that_cannot_be_recognised_again_is_a_mistake_of_ours(desk: Desk) -> None:
    with pytest.raises(TypeError):
        desk.lane.look(Piece(work, ["a", "list"]))  # type: ignore[arg-type]
