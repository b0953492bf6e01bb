"""Power cuts: planned by the seed, spread over all roles, and only while something is in flight."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from cli.demo.case_data import ROWS
from cli.demo.journey import Journey
from cli.demo.killing import (
    KILLS,
    LEAST_OF_A_ROLE,
    VIDEO_ROW,
    Killer,
    PlannedKill,
    Role,
    Stage,
    is_balanced,
    plan_kills,
)
from cli.demo.watch import Original
from exchanged.states import DestinationState
from packet_spec.identity import PacketKey
from packet_spec.model import Envelope, Priority
from packet_spec.told import DestinationStatus, Status
from tests.support.clock import FakeClock

MOMENT = datetime(2026, 7, 15, tzinfo=UTC)
POL, PRO, CRT = "620199-01-00", "620199-03-00", "620199-04-00"
PACKET_ID = "00000000-0000-8000-8000-000000000001"


@dataclass
class Nodes:
    province: str = "620000-00-00"
    acts: list[tuple[str, str]] = field(default_factory=list)

    def kill_node(self, code: str) -> None:
        self.acts.append(("kill", code))

    def start_node(self, code: str) -> None:
        self.acts.append(("start", code))


def envelope(*recipients: str) -> Envelope:
    return Envelope(
        None, "X", "case.report", POL, recipients[0], recipients[1:], None, None, MOMENT, Priority.NORMAL,
        "single", "transfer", None, "none", "dangerous_driving", (), "", "", None,
    )  # fmt: skip


def status(state: DestinationState, *recipients: str) -> Status:
    destinations = tuple(DestinationStatus(each, state, MOMENT) for each in recipients)
    return Status("X", state, False, MOMENT, "", "", PACKET_ID, destinations=destinations)


def journey(*recipients: str, state: DestinationState | None = None) -> Journey:
    made = Journey("07", ROWS[6], "X", Original(envelope(*recipients), (), "", ""), MOMENT, 0.0)
    if state is not None:
        made.key = PacketKey(POL, PACKET_ID)
        made.status = status(state, *recipients)
    return made


def killer(*plan: PlannedKill) -> tuple[Killer, Nodes, FakeClock]:
    nodes, clock = Nodes(), FakeClock()
    return Killer(plan, nodes, clock, clock.monotonic()), nodes, clock


def now(found: Journey) -> Status | None:
    return found.status


@pytest.mark.parametrize("seed", range(40))
def test_a_plan_has_twenty_kills_of_all_roles(seed: int):
    plan = plan_kills(seed, len(ROWS))
    assert plan == plan_kills(seed, len(ROWS))
    assert len(plan) == KILLS
    roles = Counter(kill.role for kill in plan)
    assert all(roles[role] >= LEAST_OF_A_ROLE for role in Role)
    assert Counter(kill.row for kill in plan)[VIDEO_ROW] == len(Role)
    assert {kill.role for kill in plan if kill.row == VIDEO_ROW} == set(Role)
    assert all(kill.row in range(1, len(ROWS) + 1) for kill in plan)
    rows = [kill.row for kill in plan]
    assert rows == sorted(rows, key=lambda row: row or 0)


def test_seeds_make_different_plans():
    assert len({plan_kills(seed, len(ROWS)) for seed in range(20)}) == 20


def test_nobody_dies_before_the_packet_is_taken_and_the_delay_is_over():
    planned = PlannedKill(7, Role.SENDER, Stage.TAKEN, 0.2, 0)
    act, nodes, clock = killer(planned)
    assert act.step({}, now) is None
    waiting = journey(PRO)
    assert act.step({7: waiting}, now) is None
    taken = journey(PRO, state=DestinationState.QUEUED)
    assert act.step({7: taken}, now) is None
    clock.advance(0.1)
    assert act.step({7: taken}, now) is None
    clock.advance(0.15)
    done = act.step({7: taken}, now)
    assert nodes.acts == [("kill", POL), ("start", POL)]
    assert done is not None
    assert (done.number, done.role, done.node, done.state) == (1, Role.SENDER, POL, "queued")
    assert done.in_flight == ("07",)
    assert act.is_done
    assert act.step({7: taken}, now) is None


def test_each_role_names_its_node():
    for role, node in ((Role.PROVINCE, "620000-00-00"), (Role.SENDER, POL), (Role.RECEIVER, CRT)):
        act, nodes, _ = killer(PlannedKill(7, role, Stage.TAKEN, 0.0, 1))
        act.step({7: journey(PRO, CRT, state=DestinationState.QUEUED)}, now)
        assert nodes.acts == [("kill", node), ("start", node)]


def test_a_receiver_that_has_it_already_is_not_the_victim():
    act, nodes, _ = killer(PlannedKill(7, Role.RECEIVER, Stage.TAKEN, 0.0, 0))
    half = journey(PRO, CRT, state=DestinationState.ACCEPTED)
    assert half.status is not None
    first, second = half.status.destinations
    half.status = replace(half.status, destinations=(replace(first, state="delivered"), second))
    act.step({7: half}, now)
    assert nodes.acts[0] == ("kill", CRT)


def test_the_stage_is_waited_for():
    act, nodes, _ = killer(PlannedKill(7, Role.PROVINCE, Stage.ACCEPTED, 0.0, 0))
    act.step({7: journey(PRO, state=DestinationState.HANDED_OVER)}, now)
    assert not nodes.acts
    act.step({7: journey(PRO, state=DestinationState.ACCEPTED)}, now)
    assert nodes.acts


def test_a_packet_that_is_through_hands_its_kill_to_the_next_one():
    act, nodes, _ = killer(PlannedKill(7, Role.PROVINCE, Stage.ACCEPTED, 5.0, 0))
    through = journey(PRO, state=DestinationState.DELIVERED)
    act.step({7: through}, now)
    assert not nodes.acts
    assert not act.is_done
    act.step({7: through, 8: journey(PRO, state=DestinationState.QUEUED)}, now)
    assert nodes.acts == [("kill", "620000-00-00"), ("start", "620000-00-00")]


def test_the_status_is_read_once_more_before_the_kill():
    act, nodes, _ = killer(PlannedKill(7, Role.SENDER, Stage.TAKEN, 0.0, 0))
    stale = journey(PRO, state=DestinationState.QUEUED)
    assert act.step({7: stale}, lambda _: status(DestinationState.DELIVERED, PRO)) is None
    assert not nodes.acts


def test_balance_needs_all_kills_and_every_role():
    act, _, _ = killer(*(PlannedKill(7, role, Stage.TAKEN, 0.0, 0) for role in (*Role, *Role)))
    found = journey(PRO, state=DestinationState.QUEUED)
    while not act.is_done:
        act.step({7: found}, now)
    assert [kill.number for kill in act.kills] == [1, 2, 3, 4, 5, 6]
    assert not is_balanced(tuple(act.kills), 6)
    assert not is_balanced(tuple(act.kills) * 3, 20)
    assert is_balanced(tuple(act.kills) * 3, 18)
