"""Power cuts for the demo: twenty daemons die while packets are in flight, and must not lose or double any.

Guarantees: the same seed plans the same kills (whose daemon, at which packet, how long after it was
taken); province, senders and receivers each die at least five times; a kill happens only while the
sender's status file, read at that moment, names a destination that is still open. Which state a packet is
in at that moment is the machine's business, and is told. Leaves to others: whether all ended well.

Known limit: a packet may be through before its moment comes; then the kill meets the next one that is in
flight, whichever that is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from cli.demo.journey import Journey
from cli.fiction.draw import draw, pick
from exchanged.clock import Clock
from packet_spec.told import Status

KILLS: Final = 20
LEAST_OF_A_ROLE: Final = 5
# The packet with the video: long in flight, so it gets a kill of each role, later than the others.
VIDEO_ROW: Final = 2
_VIDEO_MILLISECONDS: Final = 1_500
# A packet without a video is through within a quarter of a second.
_MILLISECONDS: Final = 100


class Role(StrEnum):
    """The part that the killed node plays for the packet in flight."""

    PROVINCE = "province"
    SENDER = "sender"
    RECEIVER = "receiver"


class Stage(StrEnum):
    """From when on a planned kill counts its delay: the packet is taken, or the province has accepted it."""

    TAKEN = "taken"
    ACCEPTED = "accepted"


_VIDEO_KILLS: Final = (
    (Role.SENDER, Stage.TAKEN),
    (Role.PROVINCE, Stage.TAKEN),
    (Role.RECEIVER, Stage.ACCEPTED),
)


@dataclass(frozen=True, slots=True)
class PlannedKill:
    """A kill to come: at which row's packet (None: whichever is in flight), of whom, and when.

    ``choice`` picks among several recipients.
    """

    row: int | None
    role: Role
    stage: Stage
    delay_seconds: float
    choice: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A kill that happened. ``state`` is what the sender's status said, ``in_flight`` the open packets then.

    ``away_seconds`` is how long the node was gone, until it said that it was ready again.
    """

    number: int
    role: Role
    node: str
    label: str
    state: str
    in_flight: tuple[str, ...]
    at: datetime
    seconds: float
    away_seconds: float


class Nodes(Protocol):
    """What is needed of a lab."""

    @property
    def province(self) -> str:
        """The code of the provincial node."""

    def kill_node(self, code: str) -> None:
        """End a node as a power cut would."""

    def start_node(self, code: str) -> None:
        """Start a node and wait until it is ready."""


def plan_kills(seed: int, rows: int, count: int = KILLS) -> tuple[PlannedKill, ...]:
    """The kills for ``seed`` among the packets 1 to ``rows``, in their order."""
    roles = _roles(seed, count)
    others = [row for row in range(1, rows + 1) if row != VIDEO_ROW]
    planned = []
    for role, stage in _VIDEO_KILLS:
        delay = _seconds(seed, f"video {role}", _VIDEO_MILLISECONDS)
        planned.append(PlannedKill(VIDEO_ROW, role, stage, delay, 0))
        roles.remove(role)
    for number, role in enumerate(roles):
        row = others.pop(draw(seed, f"row {number}", len(others)))
        # A receiver's daemon has nothing of the packet before the province has.
        stage = Stage.ACCEPTED if role is Role.RECEIVER else pick(seed, f"stage {number}", tuple(Stage))
        delay = _seconds(seed, f"delay {number}", _MILLISECONDS)
        planned.append(PlannedKill(row, role, stage, delay, draw(seed, f"recipient {number}", 60)))
    return tuple(sorted(planned, key=lambda kill: kill.row or 0))


def is_balanced(kills: tuple[Kill, ...], count: int = KILLS) -> bool:
    """All happened, and every role died often enough."""
    times = Counter(kill.role for kill in kills)
    return len(kills) == count and all(times[role] >= LEAST_OF_A_ROLE for role in Role)


class Killer:
    """Carries out a plan, one kill at a time, and starts again what it killed."""

    def __init__(self, plan: tuple[PlannedKill, ...], nodes: Nodes, clock: Clock, began: float) -> None:
        """``began`` is the monotonic time from which ``Kill.seconds`` counts."""
        self._waiting = list(plan)
        self._nodes = nodes
        self._clock = clock
        self._began = began
        self._since: dict[tuple[int, Stage], float] = {}
        self.kills: list[Kill] = []

    @property
    def is_done(self) -> bool:
        """Nothing is left of the plan."""
        return not self._waiting

    def step(self, journeys: Mapping[int, Journey], status_of: StatusOf) -> Kill | None:
        """Kill and restart one node if its moment has come; ``journeys`` are the packets dropped, by row.

        ``status_of`` reads a sender's status file afresh. Raises LabError when the node does not come back.
        """
        for row, dropped in journeys.items():
            self._note_stages(row, dropped)
        for index, planned in enumerate(self._waiting):
            journey = _prey(planned, journeys)
            if journey is None:
                continue
            if journey.is_taken and not journey.open_destinations:
                # Through already: this kill meets whichever packet is in flight next.
                self._waiting[index] = replace(planned, row=None)
                continue
            if self._is_due(planned):
                journey.status = status_of(journey) or journey.status
                if journey.open_destinations:
                    del self._waiting[index]
                    return self._kill(planned, journey, journeys)
        return None

    def _note_stages(self, row: int, journey: Journey) -> None:
        now = self._clock.monotonic()
        if journey.is_taken:
            self._since.setdefault((row, Stage.TAKEN), now)
        if journey.is_accepted:
            self._since.setdefault((row, Stage.ACCEPTED), now)

    def _is_due(self, planned: PlannedKill) -> bool:
        if planned.row is None:
            return True
        since = self._since.get((planned.row, planned.stage))
        return since is not None and self._clock.monotonic() - since >= planned.delay_seconds

    def _kill(self, planned: PlannedKill, journey: Journey, journeys: Mapping[int, Journey]) -> Kill:
        node = self._victim(planned, journey)
        in_flight = tuple(each.label for each in journeys.values() if each.open_destinations)
        now, at = self._clock.now(), self._clock.monotonic()
        state = "" if journey.status is None else journey.status.state
        self._nodes.kill_node(node)
        self._nodes.start_node(node)
        away = self._clock.monotonic() - at
        number = len(self.kills) + 1
        kill = Kill(
            number, planned.role, node, journey.label, state, in_flight, now, at - self._began, away
        )
        self.kills.append(kill)
        return kill

    def _victim(self, planned: PlannedKill, journey: Journey) -> str:
        match planned.role:
            case Role.PROVINCE:
                return self._nodes.province
            case Role.SENDER:
                return journey.sender
            case Role.RECEIVER:
                waiting = journey.open_destinations
                return waiting[planned.choice % len(waiting)]


class StatusOf(Protocol):
    """Reads the status file of a journey's drop as it is now."""

    def __call__(self, journey: Journey) -> Status | None:
        """The status, or None when there is none."""


def _prey(planned: PlannedKill, journeys: Mapping[int, Journey]) -> Journey | None:
    """The packet that a kill is to meet, if it was dropped; for any packet, the first in flight."""
    if planned.row is not None:
        return journeys.get(planned.row)
    return next((journey for journey in journeys.values() if journey.open_destinations), None)


def _roles(seed: int, count: int) -> list[Role]:
    """Each role the least number of times, then any; in an order of the seed's own."""
    roles = [role for role in Role for _ in range(LEAST_OF_A_ROLE)]
    roles += [pick(seed, f"role {number}", tuple(Role)) for number in range(count - len(roles))]
    return [roles.pop(draw(seed, f"turn {number}", len(roles))) for number in range(count)]


def _seconds(seed: int, label: str, milliseconds: int) -> float:
    return draw(seed, label, milliseconds) / 1000
