"""Operators who do anything to anything at any moment: only what the rules of custody allow ever happens.

Thousands of acts, drawn by a seed, are asked of three nodes at work while packets come and go between them.
The table of allowed moves stands here once more, by hand: which act may move what from which state to which.
After each act everything else must be as it was, and the ledger must say who acted and why. In the end all
books balance: nothing lost, nothing doubled, nothing cancelled that had left (C18, C21, C22).
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchanged.acts.values import Act, Answer
from exchanged.ledger import arrivals
from exchanged.ledger.verify import verify_ledger
from exchanged.states import ArrivalState, Event
from packet_spec.errors import ExchangeError
from packet_spec.model import ItemKind
from tests.custody.test_front_ends import drop, inbox, status
from tests.support.acting import LI, desk, request
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

# And how often each is drawn.
ACTS = {
    Act.CANCEL: 9, Act.HOLD: 6, Act.RELEASE: 4, Act.REQUEUE: 4, Act.DISCARD: 4, Act.SIGN: 4, Act.RESEND: 2,
    Act.PAUSE: 1, Act.RESUME: 4,
}  # fmt: skip
ON_LINKS = (Act.PAUSE, Act.RESUME)
# The state of a packet for its recipient, before and after.
OF_PACKETS = {
    Act.CANCEL: {("queued", "cancelled"), ("on-hold", "cancelled")},
    Act.HOLD: {("queued", "on-hold"), ("arrived", "on-hold")},
    Act.RELEASE: {("on-hold", "queued"), ("on-hold", "arrived")},
    Act.SIGN: {(before, after) for before in ("delivered", "collected") for after in ("signed", "refused")},
}
# The state of what landed and is not judged; what is given up is no arrival any more.
OF_ARRIVALS = {
    Act.HOLD: {("landed", "held"), ("held", "held")},
    Act.RELEASE: {("held", "landed")},
    Act.REQUEUE: {("quarantined", "landed")},
    Act.DISCARD: {("quarantined", "gone"), ("held", "gone")},
}
REASON = "a fictional reason"
Found = dict[tuple[str, str, int], str]


def states(node: SimulatedNode) -> Found:
    """The state of everything at a node: packets by their one destination, and arrivals by their number."""
    read = node.opened.ledger.read()
    packets = read.execute(
        "SELECT packet_id, packet.id AS id, destination.state AS state FROM destination"
        " JOIN packet ON packet.id = destination.packet"
    )
    landed = read.execute("SELECT packet_id, id, state FROM arrival")
    return {
        (what, row["packet_id"], row["id"]): row["state"]
        for what, rows in (("packet", packets), ("arrival", landed))
        for row in rows
    }


def written_acts(node: SimulatedNode, after: int) -> list[tuple[str, dict[str, Any]]]:
    """Packet id and particulars of the acts recorded since event ``after``."""
    rows = node.opened.ledger.read().execute(
        "SELECT packet_id, detail FROM event WHERE kind = 'operator-act' AND id > ? ORDER BY id", (after,)
    )
    return [(row["packet_id"], json.loads(row["detail"])) for row in rows]


@dataclass
class World:
    """Three nodes, what was dropped, and what operators did to it."""

    network: Network
    chance: random.Random
    names: list[str] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    cancelled: set[str] = field(default_factory=set)

    def node(self) -> SimulatedNode:
        return self.network.nodes[self.chance.choice([POLICE, PROVINCE, PROCURATORATE])]

    def packet_ids(self) -> list[str]:
        ledger = self.network.nodes[POLICE].opened.ledger
        rows = ledger.read().execute("SELECT packet_id FROM packet ORDER BY id DESC LIMIT 12")
        return [row["packet_id"] for row in rows]

    def go_on(self) -> None:
        """Something happens that is no act."""
        what = self.chance.random()
        if what < 0.25 and len(self.names) < 400:
            self.names.append(f"drop {len(self.names)}")
            drop(self.network, name=self.names[-1], seed=len(self.names))
            self._step_some(self.network.nodes[POLICE])
        elif what < 0.45:
            self._step_some(self.node())
        elif what < 0.65:
            self._quarantine(self.node())
        elif what < 0.70:
            node = self.node()
            node.die()
            node.open()
        elif what < 0.80:
            for folder in self.chance.sample(inbox(self.network), min(1, len(inbox(self.network)))):
                (folder / "collected").touch()
        else:
            self.network.round()

    def _step_some(self, node: SimulatedNode) -> None:
        """Some of its stations: what is sealed is not offered yet, what is judged is not delivered yet."""
        for station in node.stations:
            if self.chance.random() < 0.5:
                station.step()

    def _quarantine(self, node: SimulatedNode) -> None:
        """Something lands, and the judge gives up some of it."""
        node.acknowledge()
        ledger = node.opened.ledger
        for row in arrivals.in_state(ledger.read(), ArrivalState.LANDED):
            if row.kind is ItemKind.PACKET and self.chance.random() < 0.5:
                ledger.write(
                    lambda tx, row=row: arrivals.keep(tx, row, Event.QUARANTINE, "crashed-three-times")
                )

    def act(self) -> None:
        """One act of any kind on anything at any node, and what came of it."""
        node, (act,) = self.node(), self.chance.choices([*ACTS], [*ACTS.values()])
        before, head = states(node), node.head()
        packet_ids = self.packet_ids()
        if self.chance.random() < 0.5:
            # Half of the time something that is there, each state as often as any other.
            state = self.chance.choice(sorted({*before.values()}) or [""])
            packet_ids = sorted({key[1] for key, found in before.items() if found == state}) or packet_ids
        if act in ON_LINKS:
            what = self.chance.choice([*node.opened.links.names()])
        elif packet_ids:
            what = self.chance.choice(packet_ids)
        else:
            return
        more: dict[str, Any] = {}
        if act is Act.SIGN:
            more = {"by": "收案人员甲", "findings": ("不属本单位管辖",)}
            more["refuses"] = self.chance.random() < 0.5
        if act is Act.DISCARD:
            more = {"without_receipt": self.chance.random() < 0.5}
        try:
            answer: Answer | None = desk(node).handle(request(act, what, **more), LI)
        except ExchangeError:
            answer = None
        self._judge(node, act, what, answer, before, written_acts(node, head))

    def _judge(
        self,
        node: SimulatedNode,
        act: Act,
        what: str,
        answer: Answer | None,
        before: Found,
        written: list[tuple[str, dict[str, Any]]],
    ) -> None:
        after = states(node)
        changed = {
            key: (before.get(key, "new"), after.get(key, "gone"))
            for key in {*before, *after}
            if before.get(key) != after.get(key)
        }
        assert {packet_id for _, packet_id, _ in changed} <= {what}, (act, changed)
        for (kind, _, _), move in changed.items():
            allowed = OF_PACKETS if kind == "packet" else OF_ARRIVALS
            assert move in allowed.get(act, ()), (act, node.code, kind, move)
        if answer is None or not answer.done:
            # Nothing was done: nothing is recorded, and nothing moved.
            assert (written, changed) == ([], {}), act
            return
        self.done[act.value] += 1
        # One event for the request, one under each packet: who, and why.
        assert [packet_id for packet_id, _ in written] == (["", what] if act not in ON_LINKS else [""])
        for _, detail in written:
            assert (detail["act"], detail["reason"]) == (act.value, REASON)
            assert detail | LI.detail() == detail
        if act is Act.SIGN:
            assert node.code == PROCURATORATE
        if act is Act.CANCEL:
            # C18: it provably has not left.
            self.cancelled.add(what)
            assert node.code == POLICE
            for code in (PROVINCE, PROCURATORATE):
                assert not [key for key in states(self.network.nodes[code]) if key[1] == what], code

    def heal(self) -> None:
        """Whatever operators stopped goes on: links, what is on hold, what is in quarantine."""
        for _ in range(4):
            for node in self.network.nodes.values():
                for link in node.opened.links.names():
                    desk(node).handle(request(Act.RESUME, link), LI)
                for (_, packet_id, _), state in states(node).items():
                    if state in {"on-hold", "held", "quarantined"}:
                        act = Act.REQUEUE if state == "quarantined" else Act.RELEASE
                        desk(node).handle(request(act, packet_id), LI)
            self.network.run(rounds=400)
            for _ in range(4):
                self.network.clock.advance(60)
                self.network.run(rounds=400)


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


@pytest.mark.parametrize(
    ("seed", "steps"),
    [(1, 500), *(pytest.param(seed, 1_000, marks=pytest.mark.slow) for seed in range(2, 12))],
)
def test_f94_whatever_operators_do_only_allowed_moves_happen_and_all_books_balance(
    network: Network, seed: int, steps: int, record_property: Any
) -> None:
    world = World(network, random.Random(seed))  # noqa: S311 - a seed, no secret
    for _ in range(steps):
        world.act()
        if world.chance.random() < 0.4:
            world.go_on()
    # Enough of them were possible: else little was tried.
    assert {*world.done} == {act.value for act in ACTS} or steps < 1_000, world.done
    assert sum(world.done.values()) > steps // 20
    world.heal()
    for node in network.nodes.values():
        verify_ledger(node.opened.ledger.read())
    told = {name: status(network, name) for name in world.names}
    ends = Counter(each["state"] for each in told.values())
    assert {*ends} <= {"delivered", "collected", "signed", "refused", "undeliverable", "cancelled"}, ends
    came = Counter(path.name.partition("_")[2][:36] for path in inbox(network))
    assert all(number == 1 for number in came.values())
    for each in told.values():
        has_come = each["packetId"] in came
        assert has_come == (each["state"] in {"delivered", "collected", "signed", "refused"}), each
        assert (each["state"] == "cancelled") == (each["packetId"] in world.cancelled), each
    record_property("steps", steps)
