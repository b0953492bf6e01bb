"""F75: an agency that never empties its inbox, until the inbox has no room; the others must not feel it."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from typing import Final

from certainty.network.judging import Sent
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run, Violation
from certainty.sweep.volume import private_mounts

_ACCEPTED: Final = ("accepted", "delivered", "collected")


def _state(stage: Stage, sent: Sent) -> str:
    return str(getattr(stage.agency(sent.sender).status(sent.name), "state", "none"))


def never_empty(run: Run) -> Outcome:
    """The receiver's folders lie on a small volume of their own; nobody takes anything out of its inbox."""
    private_mounts()
    found: list[Violation] = []
    case = f"seed {run.seed}"
    with ExitStack() as stack:
        stage = stack.enter_context(Stage(run.folder / "f75", (POLICE, PROCURATORATE, COURT), seed=run.seed))
        root = stage.agency(PROCURATORATE).root
        aside = run.folder / "f75-aside"
        shutil.copytree(root, aside)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=2770", "tmpfs", str(root)], check=True)
        stack.callback(subprocess.run, ["umount", "-l", str(root)], check=False)
        shutil.copytree(aside, root, dirs_exist_ok=True)
        for path in (root, *root.iterdir()):
            path.chmod(0o2770)
        stage.lab.start()
        small = [stage.drop(COURT, PROCURATORATE) for _ in range(4 if run.quick else 40)]
        if not stage.wait(120, small):
            found.append(Violation("I9", case, "what has room in the inbox was not delivered"))
        large = [stage.drop(POLICE, PROCURATORATE, video_bytes=4 * MIB) for _ in range(4)]
        # On a slow machine they are long in being checked: the time begins when they only lack room.
        wait_until(lambda: all(_state(stage, each) in _ACCEPTED for each in large), 180)
        began = time.monotonic()
        told = wait_until(lambda: bool(stage.events(PROCURATORATE, "delivery-waiting")), 60)
        noticed = time.monotonic() - began
        if not told:
            found.append(
                Violation("I13", case, "the node does not say within 60 s that the inbox has no room")
            )
        states = {_state(stage, each) for each in large}
        others = [stage.drop(POLICE, COURT), stage.drop(COURT, POLICE)]
        if not stage.wait(60, others):
            found.append(Violation("I9", case, "a full inbox of one agency held up two others"))
        waiting = [each for each in large if not stage.is_done(each)]
        if "none" in states:
            found.append(Violation("I10", case, "the sender's status does not say where a packet waits"))
        # The reader comes back: it takes what lies there, and all the rest is delivered.
        healed = time.monotonic()
        stage.take_out()
        stage.wait(120, large)
        back = time.monotonic() - healed
        settle(stage, 60)
        found += stage.violations(case)
    told_as = (
        f"Without a reader {len(small)} small packets lay in the inbox, then its volume was full:"
        f" delivery-waiting, no-space, was"
        f" written {noticed:.0f} s after the province had accepted all; the sender's status said"
        f" {', '.join(sorted(states))} for {len(large)} large ones, others were"
        f" not held up, and all was delivered {back:.0f} s after the reader had come back. There is no"
        f" limit on the"
        " number of packets in an inbox: the room of its volume is the limit."
    )
    # Where nothing had to wait, the inbox was never full.
    cases = len(small) + len(large) if waiting else 0
    planned = len(small) + len(large)
    return Outcome("F75", cases, tuple(found), (back,), told_as, planned=planned)
