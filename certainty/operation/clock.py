"""F89: clocks that go wrong under running daemons, and daemons that start while theirs is wrong.

Each case takes one node (sender, province or receiver), sets its wall clock off by an offset, while it runs
or while it is stopped, and lets packets pass, some of them with a limit of validity far beyond the present
moment. While the clock is wrong nothing may expire and the province may accept nothing it doubts; no
statement may bear a time far from the true one. After the clock is right again everything must be delivered
once, and the times of a node's receipts must never go back.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from certainty.operation.clocked_daemon import DAY, build, turn
from certainty.operation.town import PROVINCE, RECEIVER, SENDER, TooLateError, Town, town, wait_until
from certainty.shard import Outcome, Run, Violation
from cli.demo.journey import Journey
from packet_spec.model import Receipt

# The link of a front-end to its province, in a lab.
_LINK: Final = "province"
# Who starts with a clock two hours ahead may have been off for two hours, and goes by it (docs/operating.md).
_FAR: Final = timedelta(hours=2, minutes=5)
_HOUR: Final = 3_600
# Lines of the log are as old as the case at most.
_NEAR: Final = timedelta(minutes=10)
_STAMP: Final = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)) ", re.MULTILINE)
_PACKETS: Final = 4
# A doubt that a jump raised lasts at least a minute.
_DOUBT_SECONDS: Final = 62.0


@dataclass(frozen=True, slots=True)
class Case:
    """A node, how far its clock is off, whether it is set while the node runs, and for how long."""

    node: str
    seconds: int
    running: bool
    lasts: float

    @property
    def name(self) -> str:
        """Names the case in reports."""
        how = "while running" if self.running else "at the start"
        return f"{self.node} {self.seconds / DAY:+.2f} days {how} for {self.lasts:.0f} s"


def cases(*, quick: bool) -> tuple[Case, ...]:
    """The cases of a run."""
    if quick:
        return (Case(PROVINCE, 730 * DAY, running=False, lasts=3.0),)
    found = []
    for node in (SENDER, PROVINCE, RECEIVER):
        for seconds in (-3652 * DAY, 730 * DAY, 2 * _HOUR):
            found += [Case(node, seconds, running, lasts=4.0) for running in (False, True)]
    # Longer than a doubt lasts by itself, and back without a restart.
    found += [Case(node, 730 * DAY, running=True, lasts=70.0) for node in (SENDER, PROVINCE)]
    return tuple(found)


def judge_receipts(receipts: Iterable[Receipt], began: datetime, ended: datetime) -> Iterator[str]:
    """What is wrong with the times of receipts, in words: far from the true time, or going back."""
    by_issuer: dict[str, list[Receipt]] = defaultdict(list)
    for receipt in receipts:
        by_issuer[receipt.issued_by].append(receipt)
        if not began - _FAR <= receipt.issued_at <= ended + _FAR:
            yield f"{receipt.kind} of {receipt.issued_by} bears {receipt.issued_at:%Y-%m-%d %H:%M}"
    for issuer, issued in by_issuer.items():
        times = [receipt.issued_at for receipt in sorted(issued, key=lambda each: each.number)]
        if times != sorted(times):
            yield f"the times of {issuer} go back"


def try_clock(run: Run) -> Iterator[Outcome]:
    """F89."""
    clocks = run.folder / "clocks"
    clocks.mkdir()
    build(clocks)
    wanted = cases(quick=run.quick)
    violations: list[Violation] = []
    recoveries: list[float] = []
    done, tried, expiries = 0, 0, 0
    began = datetime.now(UTC)
    with _place(run.folder / "clock", clocks) as place:
        for case in wanted:
            if run.is_over:
                break
            try:
                is_wrong, seconds, expired, found = _try(place, clocks, case, tried)
                recoveries.append(seconds)
                expiries += expired
                violations += [Violation("I15", case.name, each) for each in found]
                # A clock that was never seen to be wrong was none.
                done += is_wrong
            except TooLateError as error:
                violations.append(Violation("I15", case.name, str(error)))
                _set_right(place, clocks, case)
            tried += 1
            run.progress(tried, len(wanted), f"clock: {case.name}")
        receipts = [each for journey in place.journeys for each in journey.received.values()]
        wrong = judge_receipts(receipts, began, datetime.now(UTC))
        violations += [Violation("I15", "all", each) for each in wrong]
        violations += [Violation("I16", "all", each) for each in (*place.differences(), *place.unsound())]
        packets = len(place.journeys)
    yield Outcome(
        "F89", cases=done, violations=tuple(violations), recovery_seconds=tuple(recoveries),
        measured=f"{done} of {len(wanted)} cases with {packets} packets; {expiries} expiries;"
        f" {len(receipts)} receipts whose times were judged", planned=len(wanted),
    )  # fmt: skip


def _place(folder: Path, clocks: Path) -> AbstractContextManager[Town]:
    for node in (PROVINCE, SENDER, "620199-02-00", RECEIVER):
        turn(clocks, node, 0)
    daemon = (sys.executable, "-P", "-m", "certainty.operation.clocked_daemon", str(clocks), "--config")
    return town(folder, daemon=daemon, limits="retry_first_seconds = 0.1\nretry_max_seconds = 1.0")


def shows_clock(log: str, now: datetime, seconds: int) -> bool:
    """A line of a node's log bears the time of a clock that is so far off."""
    stamps = (datetime.fromisoformat(found[1]) for found in _STAMP.finditer(log))
    return any(abs(stamp - now - timedelta(seconds=seconds)) < _NEAR for stamp in stamps)


def _try(place: Town, clocks: Path, case: Case, number: int) -> tuple[bool, float, int, list[str]]:
    """Whether the clock was seen to be wrong; seconds until all was delivered after it was right again;
    expiries; what was wrong.
    """
    log = place.lab.log(case.node)
    said = log.stat().st_size if log.exists() else 0
    valid = (datetime.now(UTC) + timedelta(days=20)).isoformat(timespec="seconds")
    before = _accepted(place.journeys)
    # Some wait at their sender with a limit, and one is in the middle of its way.
    place.ctl(SENDER, "link", "pause", _LINK, "--reason", "a fictional reason")
    waiting = [place.drop(f"case-{number}-w{each}", expires=valid) for each in range(_PACKETS)]
    _until_taken(place, waiting)
    if case.running:
        turn(clocks, case.node, case.seconds)
    else:
        place.lab.stop_node(case.node)
        turn(clocks, case.node, case.seconds)
        place.lab.start_node(case.node)
    place.ctl(SENDER, "link", "resume", _LINK, "--reason", "a fictional reason")
    late = [place.drop(f"case-{number}-l{each}", expires=valid) for each in range(_PACKETS)]
    journeys = [*waiting, *late]
    with suppress(TooLateError):
        place.wait(journeys, case.lasts)
    accepted = _accepted(place.journeys) - before
    with log.open("rb") as file:
        file.seek(said)
        is_wrong = shows_clock(file.read().decode("utf-8", "replace"), datetime.now(UTC), case.seconds)
    problems = []
    if accepted and case.node == PROVINCE:
        problems.append(f"{accepted} packets were accepted while the clock was doubtful")
    _set_right(place, clocks, case)
    seconds = place.wait(journeys, _DOUBT_SECONDS + 60.0)
    expired = sum(_has_expired(journey) for journey in journeys)
    if expired:
        problems.append(f"{expired} packets expired")
    return is_wrong, seconds, expired, problems


def _set_right(place: Town, clocks: Path, case: Case) -> None:
    turn(clocks, case.node, 0)
    if case.lasts < _DOUBT_SECONDS:
        place.lab.stop_node(case.node)
        place.lab.start_node(case.node)


def _until_taken(place: Town, journeys: Sequence[Journey]) -> None:
    def taken() -> bool:
        place.is_complete(*journeys)
        return all(journey.status is not None and journey.status.packet_id for journey in journeys)

    wait_until(taken, "drops to be taken", 30.0)


def _accepted(journeys: Iterable[Journey]) -> int:
    return sum(any(kind == "accepted" for kind, _ in journey.received) for journey in journeys)


def _has_expired(journey: Journey) -> bool:
    status = journey.status
    return status is not None and any(each.state == "expired" for each in status.destinations)
