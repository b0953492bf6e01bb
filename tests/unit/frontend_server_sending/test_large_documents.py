"""Large documents are looked into apart, a few at a time, and every honest drop gets to its end (ADR 13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from exchanged.errors import CheckTakesLongError, NoSpaceError, WorkerDiedError
from exchanged.inspecting import Inspection, inspect_documents
from exchanged.pool import InlinePool
from exchanged.slow_lane import Piece
from exchanged.states import DropState
from frontend_server.copying import Copier
from packet_spec.errors import ExchangeError, ValidatorError
from packet_spec.limits import MIB
from tests.support.lane import LanePool
from tests.support.outbox import SendingFrontend, packet_xml
from tests.support.papers import pdf
from tests.support.sending import Open, states

KEPT = 8
# A look at a document that fails, for the pool below.
UNREADABLE = "this one cannot be looked into"


class DocumentPool(LanePool):
    """One of the documents may be such that nobody can look into it."""

    def __init__(self, *, is_slow: bool = False) -> None:
        """``is_slow``: every look into documents runs out of patience, large or not."""
        super().__init__(lambda piece: is_slow and piece.function is inspect_documents)

    def answer(self, piece: Piece) -> Any:
        if isinstance(piece.work, Inspection) and UNREADABLE in piece.work.documents[0].listed.file:
            return ValidatorError("this program cannot check documents of this format")
        return super().answer(piece)


@pytest.fixture(autouse=True)
def large_is_two_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds are 640 MiB of pdf: here a fiftieth of a second, and a piece holds one document."""
    monkeypatch.setattr("exchanged.slow_lane.LONGEST_SECONDS", 0.02)
    monkeypatch.setattr("frontend_server.documents._PIECE_DOCUMENTS", 1)


def large(*names: str) -> dict[str, bytes]:
    return {name: pdf(name, size=2 * MIB) for name in names}


def drop_one(frontend: SendingFrontend, number: int, files: Mapping[str, bytes] | None = None) -> None:
    files = files or {"卷宗.pdf": pdf(str(number), size=2 * MIB)}
    document = packet_xml(files, senderRef=f"R-{number}")
    frontend.drop_folder(f"{number:02}", files, document=document)


def look_on(frontend: SendingFrontend, pool: DocumentPool, *, looks: int, pieces: int) -> None:
    """So many retry delays pass, in each of which the slow lane does so many pieces."""
    for _ in range(looks):
        frontend.clock.advance(10)
        frontend.run()
        pool.finish(pieces)


@pytest.mark.parametrize("is_slow", [False, True])
@pytest.mark.parametrize(("documents", "pieces"), [(17, 1000), (40, 1000), (2, 1), (5, 1)])
def test_a_drop_is_taken_however_few_of_its_documents_are_done_between_two_looks(
    start: Open, documents: int, pieces: int, is_slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_slow:
        monkeypatch.setattr("exchanged.slow_lane.LONGEST_SECONDS", 10.0)
    pool = DocumentPool(is_slow=is_slow)
    frontend = start(pool=pool)
    drop_one(frontend, 1, files := large(*(f"{number:02}.pdf" for number in range(documents))))
    look_on(frontend, pool, looks=7, pieces=pieces)
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.open(frontend.packets()[0])[2] == files
    # None was looked into twice, and nothing is left of the copy.
    assert pool.done == documents
    assert list(frontend.blobs.incoming.iterdir()) == []


def test_a_drop_that_lists_no_digests_is_taken_as_well(start: Open) -> None:
    pool = DocumentPool()
    frontend = start(pool=pool, optional_sha256=True)
    files = large("卷宗.pdf")
    listed = {"卷宗.pdf": {"sha256": None}}
    frontend.drop_folder("A", files, document=packet_xml(files, listed=listed))
    look_on(frontend, pool, looks=3, pieces=1)
    assert (states(frontend), pool.done) == ([DropState.TAKEN], 1)


def test_a_drop_without_digests_that_changed_meanwhile_is_copied_anew(start: Open) -> None:
    pool = DocumentPool()
    frontend = start(pool=pool, optional_sha256=True)
    files = large("卷宗.pdf")
    listed = {"卷宗.pdf": {"sha256": None}}
    path = frontend.drop_folder("A", files, document=packet_xml(files, listed=listed))
    frontend.run()
    changed = pdf("another", size=2 * MIB)
    (path / "卷宗.pdf").write_bytes(changed)
    look_on(frontend, pool, looks=4, pieces=1000)
    assert states(frontend) == [DropState.TAKEN]
    assert frontend.open(frontend.packets()[0])[2] == {"卷宗.pdf": changed}


@pytest.mark.parametrize("pieces", [1, 3, 1000])
def test_of_many_large_drops_a_few_are_at_work_and_all_are_taken(start: Open, pieces: int) -> None:
    pool = DocumentPool()
    frontend = start(pool=pool)
    for number in range(24):
        drop_one(frontend, number)
    frontend.run()
    assert len(list(frontend.blobs.incoming.iterdir())) == KEPT
    assert {row.reason for row in frontend.rows()} == {CheckTakesLongError.reference}
    # The small one came last, and waits for none of them.
    drop_one(frontend, 99, {"补充材料.pdf": pdf("small")})
    frontend.run()
    assert states(frontend)[-1] is DropState.TAKEN
    look_on(frontend, pool, looks=40, pieces=pieces)
    assert states(frontend) == [DropState.TAKEN] * 25
    assert pool.done == 24


def test_drops_that_nobody_can_judge_give_their_places_to_others(start: Open) -> None:
    pool = DocumentPool()
    frontend = start(pool=pool)
    for number in range(KEPT):
        drop_one(frontend, number, large(f"{UNREADABLE}.pdf"))
    look_on(frontend, pool, looks=2, pieces=1000)
    assert {row.reason for row in frontend.rows()} == {ValidatorError.reference}
    # It comes while they rest, and they will ask again.
    drop_one(frontend, 50)
    frontend.run()
    look_on(frontend, pool, looks=2, pieces=1000)
    assert states(frontend) == [*[DropState.HELD] * KEPT, DropState.TAKEN]


def test_a_large_drop_that_finds_no_room_takes_none_from_those_at_work(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = DocumentPool()
    frontend = start(pool=pool)
    drop_one(frontend, 1)
    frontend.run()
    copy = Copier.copy

    def too_little(self: Copier, *args: Any) -> Any:
        if any(frontend.blobs.incoming.iterdir()):
            raise NoSpaceError("no room for two")
        return copy(self, *args)

    monkeypatch.setattr(Copier, "copy", too_little)
    drop_one(frontend, 2)
    frontend.run()
    assert [row.reason for row in frontend.rows()] == [CheckTakesLongError.reference, NoSpaceError.reference]
    look_on(frontend, pool, looks=8, pieces=1)
    assert states(frontend) == [DropState.TAKEN] * 2
    assert pool.done == 2


def test_a_piece_that_ends_its_worker_counts_though_others_are_still_at_work(start: Open) -> None:
    class Mixed(InlinePool):
        def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
            if function is not inspect_documents:
                return super().run(function, works)
            answers: list[ExchangeError] = [CheckTakesLongError("it takes long") for _ in works]
            return [*answers[:-1], WorkerDiedError("it died")]

    frontend = start(pool=Mixed())
    drop_one(frontend, 1, large("1.pdf", "2.pdf"))
    frontend.run()
    (row,) = frontend.rows()
    assert (row.reason, row.crashes) == (WorkerDiedError.reference, 1)
    assert list(frontend.blobs.incoming.iterdir()) == []
