"""F90: who carries the files loses a third of what comes back to the senders, receipts among it."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from certainty.network.judging import Sent, key_of
from certainty.network.late import judge_pending, set_deadlines, told_overdue
from certainty.network.relay import CODES, Relay, Step, relayed_stage
from certainty.network.soon_told import COMMAND
from certainty.network.stage import COURT, POLICE, PROCURATORATE, PROVINCE, Stage, wait_until
from certainty.network.traffic import settle
from certainty.network.waybills import receipts_of
from certainty.shard import Outcome, Run, Violation
from packet_spec.identity import PacketKey

_SHARE: Final = 0.3
_SECONDS: Final = 60.0
_WAIT_SECONDS: Final = 0.5
# How often the province looks whether what it has put is still there, as shipped; two of them.
_LOOK_SECONDS: Final = 30.0
_GOAL_SECONDS: Final = 2 * _LOOK_SECONDS
_PATIENCE_SECONDS: Final = 300.0
# In place of a day; from then on a notice must name what is pending.
_DEADLINE_SECONDS: Final = 8.0
# A node looks every three seconds for what is to be told here; a slow machine takes longer.
_TOLD_SECONDS: Final = 12.0
_OVER_SECONDS: Final = 60.0
# A third of the files of a minute bear more.
_LEAST_LOST: Final = 10


class Losing:
    """What a relay does: of the files that come down a share is lost when they are put for the first time.

    ``lost``: how many were. ``receipts``: of which packets it lost a receipt to their sender.
    """

    def __init__(self, relay: Relay, seed: int) -> None:
        self.lost = 0
        self.receipts: set[PacketKey] = set()
        self._relay = relay
        self._draw = random.Random(seed)
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, step: Step) -> list[tuple[Path, str, bytes]]:
        """Nothing for what is lost: it is gone at the side that put it, too."""
        key = (step.code, step.name)
        if step.direction != "down" or not step.number or key in self._seen:
            return self._relay.honest(step)
        self._seen.add(key)
        if self._draw.random() >= _SHARE:
            return self._relay.honest(step)
        with suppress(FileNotFoundError):
            (self._relay.far / step.code / step.direction / step.name).unlink()
            self.lost += 1
            self.receipts |= {each for each in receipts_of(step.data) if each.sender == step.code}
        return []


class Waiting:
    """What senders see while receipts are lost: who waits beyond the deadline, and of what they are told."""

    def __init__(self, stage: Stage) -> None:
        self.late: dict[PacketKey, Sent] = {}
        self.overlong: dict[PacketKey, Sent] = {}
        self.told: set[PacketKey] = set()
        self._stage = stage

    def look(self, sent: Iterable[Sent]) -> None:
        """Look at those once more that may wait beyond the deadline."""
        # A receipt may come between two looks, and the notice end: what was told counts for good.
        self.told |= frozenset().union(*(told_overdue(self._stage, code) for code in CODES))
        for each in sent:
            age = time.monotonic() - each.at
            if age < _DEADLINE_SECONDS or self._stage.wait(0, [each]):
                continue
            key = key_of(self._stage.agency(each.sender), each)
            if key is not None:
                self.late[key] = each
                if age > _DEADLINE_SECONDS + _TOLD_SECONDS:
                    self.overlong[key] = each

    def violations(self, case: str) -> Iterator[Violation]:
        """Who waited long beyond the deadline, and was told of nothing."""
        return judge_pending(((each, key) for key, each in self.overlong.items()), self.told, case)


def lose_receipts(run: Run) -> Outcome:
    """Packets both ways for a minute while files are lost, then none is; everything must settle."""
    ways = ((POLICE, PROCURATORATE), (PROCURATORATE, COURT), (COURT, POLICE))
    sent: list[Sent] = []
    case = f"seed {run.seed}"
    found: list[Violation] = []
    stage, relay = relayed_stage(run, "f90", COMMAND)
    stage.set_line(PROVINCE, "link_scan_seconds", f"{_LOOK_SECONDS:.1f}")
    for code in CODES:
        set_deadlines(stage, code, delivered_seconds=_DEADLINE_SECONDS)
    with stage:
        relay.start()
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        relay.treat = losing = Losing(relay, run.seed)
        waiting, ends = Waiting(stage), time.monotonic() + _SECONDS
        while time.monotonic() < ends and not run.is_over:
            sent.append(stage.drop(*ways[len(sent) % len(ways)]))
            waiting.look(sent)
            run.progress(len(sent), 0, f"F90 packets, {losing.lost} files lost")
            time.sleep(_WAIT_SECONDS)
        relay.treat = relay.honest
        healed = time.monotonic()
        has_settled = wait_until(lambda: _all_settled(stage, waiting, sent), _PATIENCE_SECONDS, 1.0)
        settle(stage, 30)
        took = time.monotonic() - healed
        found += waiting.violations(case)
        if not wait_until(lambda: not any(told_overdue(stage, code) for code in CODES), _OVER_SECONDS, 1.0):
            found.append(Violation("I13", case, "notices still say that receipts are overdue"))
        found += stage.violations(case)
        relay.stop()
    if not has_settled:
        what = f"not all had settled {_PATIENCE_SECONDS:.0f} s after nothing more was lost"
        found.append(Violation("I7", case, what))
    cases = waiting.late.keys() & losing.receipts
    told = (
        f"{losing.lost} batches were lost on their way down while {len(sent)} packets moved, with receipts"
        f" for {len(losing.receipts)} packets; {len(cases)} of those waited beyond the deadline (made"
        f" {_DEADLINE_SECONDS:.0f} s), and so did {len(waiting.late) - len(cases)} others that were lost or"
        f" came behind; {len(waiting.overlong)} waited {_TOLD_SECONDS:.0f} s longer, each told as overdue;"
        f" {'all had settled' if has_settled else 'not all settled'} {took:.0f} s later"
    )
    # Only who waits for a receipt that was lost is a case.
    return Outcome(
        "F90", len(cases), tuple(found), (took,), told, planned=_LEAST_LOST, goal_seconds=_GOAL_SECONDS
    )


def _all_settled(stage: Stage, waiting: Waiting, sent: list[Sent]) -> bool:
    waiting.look(sent)
    return stage.wait(0, sent)
