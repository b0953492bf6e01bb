"""A large packet keeps its place in its case, at its sender and where it is admitted (C15)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.case_file import CaseFile
from exchanged.errors import CheckTakesLongError
from exchanged.examine import ExamineWork
from exchanged.ledger import Ledger, Transaction
from exchanged.pool import InlinePool
from packet_spec.model import ItemKind, ReceiptKind
from tests.custody.test_turns import LARGE, SMALL, SlowLine, delivered, drop, rounds
from tests.support.bridging import rows as rows_of
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.province import Province, node, station, video_packet

ORDER_WAIT_SECONDS = 300.0


class SlowLane(InlinePool):
    """Whatever has large parts takes long while ``is_busy``; nobody goes behind it."""

    is_busy = True

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        return [
            CheckTakesLongError("a check takes long")
            if self.is_busy and isinstance(work, ExamineWork) and work.blobs
            else super(SlowLane, self).run(function, [work])[0]
            for work in works
        ]


@pytest.fixture
def lane() -> SlowLane:
    return SlowLane()


@pytest.fixture
def world(tmp_path: Path, lane: SlowLane) -> Iterator[Network]:
    network = Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE))
    network.nodes[PROVINCE].pool = lane
    sender = network.nodes[POLICE]
    limits = replace(sender.config.limits, order_wait_seconds=ORDER_WAIT_SECONDS)
    sender.config = replace(sender.config, limits=limits)
    with network:
        yield network


def admitted(world: Network) -> list[int]:
    """What the province admitted, in that order, each as its number at its sender."""
    history = rows_of(world, PROVINCE, "SELECT packet_id FROM event WHERE kind = 'admit' ORDER BY id")
    numbers = dict(rows_of(world, POLICE, "SELECT packet_id, id FROM packet"))
    return [numbers[packet_id] for (packet_id,) in history]


def drop_case(world: Network, *, together: bool) -> CaseFile:
    """A packet with a large part, and then a small one of its case and one of another."""
    case = drop(world, "1-large", LARGE)
    rounds(world, 0 if together else 6)
    drop(world, "2-later", LARGE, case=case, seed=2, video=False)
    drop(world, "3-other", SMALL, seed=3)
    return case


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "one after the other"])
def test_c15_what_comes_behind_a_large_packet_of_its_case_waits_until_that_is_decided(
    world: Network, lane: SlowLane, *, together: bool
) -> None:
    """Where it is admitted its check may take long, and would be passed there."""
    drop_case(world, together=together)
    rounds(world, 14)
    assert delivered(world) == [SMALL]
    lane.is_busy = False
    rounds(world, 16)
    assert delivered(world) == sorted([LARGE, LARGE, SMALL])
    large, later = of_the_case(world)
    order = admitted(world)
    assert order.index(large) < order.index(later)


def of_the_case(world: Network) -> list[int]:
    """The packets of the one case that has several, at their sender."""
    found = rows_of(
        world,
        POLICE,
        "SELECT id FROM packet WHERE case_key IN"
        " (SELECT case_key FROM packet GROUP BY case_key HAVING count(*) > 1) ORDER BY id",
    )
    return [number for (number,) in found]


def test_c15_when_it_is_decided_the_link_is_woken_for_who_waits_behind_it(
    world: Network, lane: SlowLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else that would wait for the next bell or the slow scan."""
    drop_case(world, together=False)
    rounds(world, 10)
    sender, large = world.nodes[POLICE], of_the_case(world)[0]
    judge = next(one for one in sender.stations if one.name == "judge")
    step, wake = judge.step, Transaction.wake
    woken: dict[str, set[str]] = {}

    def noted() -> float | None:
        """What the judge woke while the packet came to this state."""
        names: set[str] = set()
        with monkeypatch.context() as patch:
            patch.setattr(Transaction, "wake", lambda self, name: names.add(name) or wake(self, name))
            delay = step()
        states = dict(rows_of(world, POLICE, "SELECT packet, state FROM destination"))
        woken.setdefault(states[large], names)
        return delay

    monkeypatch.setattr(judge, "step", noted)
    lane.is_busy = False
    rounds(world, 10)
    (link,) = [one.name for one in sender.stations if one.name.startswith("link:")]
    assert link not in woken["handed-over"]
    assert link in woken["accepted"]


def test_c15_however_many_wait_behind_a_large_packet_others_go_past_them(world: Network) -> None:
    """More of its case than a batch holds, at the head of the queue."""
    sender = world.nodes[POLICE]
    sender.close()
    sender.config = replace(sender.config, limits=replace(sender.config.limits, batch_items=2))
    sender.open()
    case = drop(world, "1-large", LARGE)
    rounds(world, 4)
    for number in range(3):
        drop(world, f"2-later-{number}", LARGE, case=case, seed=2 + number, video=False)
        rounds(world, 2)
    drop(world, "3-other", SMALL, seed=20)
    rounds(world, 8)
    assert delivered(world) == [SMALL]


def test_c15_behind_a_large_packet_nobody_waits_for_longer_than_the_limit(world: Network) -> None:
    """Counted from when it was handed over: how long it took to get there says nothing of its check."""
    drop_case(world, together=True)
    rounds(world, 10)
    large, _later = of_the_case(world)
    states = dict(rows_of(world, POLICE, "SELECT packet, state FROM destination"))
    assert states[large] == "handed-over"
    world.clock.advance(ORDER_WAIT_SECONDS - 20)
    rounds(world, 6)
    assert delivered(world) == [SMALL]
    world.clock.advance(20)
    rounds(world, 10)
    assert delivered(world) == sorted([LARGE, SMALL])


def test_c15_a_large_packet_that_takes_hours_to_get_there_keeps_its_place(
    world: Network, lane: SlowLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = SlowLine(monkeypatch)
    drop_case(world, together=True)
    rounds(world, 8)
    world.clock.advance(ORDER_WAIT_SECONDS + 1)
    rounds(world, 8)
    line.is_slow = False
    for _ in range(3):
        # Before the province has looked at what lies there now.
        world.nodes[POLICE].step()
    rounds(world, 10)
    assert delivered(world) == [SMALL]
    lane.is_busy = False
    rounds(world, 16)
    large, later = of_the_case(world)
    assert [number for number in admitted(world) if number in (large, later)] == [large, later]


def test_c15_what_was_late_is_decided_before_what_landed_behind_it(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The large part comes in the same look as the next batch, and the judge may be at work at any moment."""
    first = video_packet(province, seed=1)
    second = province.police.seal(
        province.request("common.correct", seed=1, supersedes=first.key.packet_id)
    )
    province.police.send(first, blobs=False)
    province.run()
    assert [state for state, _ in province.arrivals()] == ["needing"]
    write, judge, is_busy = Ledger.write, station(province, "judge"), []

    def watched(self: Ledger, act: Callable[..., Any]) -> Any:
        """As the judge's own thread may do between any two writes."""
        answer = write(self, act)
        if not is_busy:
            is_busy.append(True)
            judge.step()
            judge.step()
            is_busy.clear()
        return answer

    monkeypatch.setattr(Ledger, "write", watched)
    for content in first.blobs.values():
        province.police.put_blob(content)
    province.police.send(second)
    province.run()
    monkeypatch.undo()
    assert {receipt.kind for receipt in province.receipts(province.police)} == {ReceiptKind.ACCEPTED}
    assert province.procuratorate.items(ItemKind.PACKET) == [first.data, second.data]
    assert node(province).errors == []
