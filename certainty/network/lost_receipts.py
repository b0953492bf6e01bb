"""F90: who carries the files loses a third of what comes back to the senders, receipts among it."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from certainty.network.judging import Sent
from certainty.network.relay import Relay, Step, relayed_stage
from certainty.network.stage import COURT, POLICE, PROCURATORATE
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation

_SHARE: Final = 0.3
_SECONDS: Final = 60.0
_WAIT_SECONDS: Final = 0.5
# A neighbour looks after a minute whether what it has put is still there (docs/custody); two of them.
_GOAL_SECONDS: Final = 120.0
_PATIENCE_SECONDS: Final = 300.0
# A third of the files of a minute, on a machine that is not slow, is more.
_LEAST_LOST: Final = 15


class Losing:
    """What a relay does: each file that comes down for the first time is lost with a chance, for good."""

    def __init__(self, relay: Relay, seed: int) -> None:
        self.lost = 0
        self._relay = relay
        self._draw = random.Random(seed)
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, step: Step) -> list[tuple[Path, str, bytes]]:
        """Nothing for what is lost: it is gone at the side that put it, too."""
        key = (step.code, step.name)
        if step.direction == "down" and step.name[:8].isdigit() and key not in self._seen:
            self._seen.add(key)
            if self._draw.random() < _SHARE:
                with suppress(FileNotFoundError):
                    (self._relay.far / step.code / step.direction / step.name).unlink()
                    self.lost += 1
                return []
        return self._relay.honest(step)


def lose_receipts(run: Run) -> Outcome:
    """Packets both ways for a minute while files are lost, then none is; everything must settle."""
    ways = ((POLICE, PROCURATORATE), (PROCURATORATE, COURT), (COURT, POLICE))
    sent: list[Sent] = []
    stage, relay = relayed_stage(run, "f90")
    with stage:
        relay.start()
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        relay.treat = losing = Losing(relay, run.seed)
        ends = time.monotonic() + _SECONDS
        while time.monotonic() < ends and not run.is_over:
            sent.append(stage.drop(*ways[len(sent) % len(ways)]))
            run.progress(len(sent), 0, f"F90 packets, {losing.lost} files lost")
            time.sleep(_WAIT_SECONDS)
        relay.treat = relay.honest
        pending = sum(not stage.is_done(each) for each in sent)
        healed = time.monotonic()
        has_settled = settle(stage, _PATIENCE_SECONDS)
        took = time.monotonic() - healed
        found = stage.violations(f"seed {run.seed}")
        relay.stop()
    if not has_settled:
        what = f"not all had settled {_PATIENCE_SECONDS:.0f} s after nothing more was lost"
        found.append(Violation("I7", f"seed {run.seed}", what))
    told = (
        f"{losing.lost} batches with receipts and packets lost on their way down while {len(sent)} packets"
        f" moved; {pending} were pending then, {'all had settled' if has_settled else 'not all settled'}"
        f" {took:.0f} s later"
    )
    return Outcome(
        "F90", losing.lost, tuple(found), (took,), told, planned=_LEAST_LOST, goal_seconds=_GOAL_SECONDS
    )
