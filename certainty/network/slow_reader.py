"""F75: an agency that never empties its inbox, until the inbox has no room; the others must not feel it."""

from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import ExitStack
from typing import Final

from certainty.network.judging import Sent, key_of
from certainty.network.late import is_told_overdue, judge_waiting, reasons, set_deadlines
from certainty.network.soon_told import COMMAND
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run, Violation
from certainty.sweep.volume import private_mounts

_ACCEPTED: Final = ("accepted", "delivered", "collected")
# In place of a day; from then on the sender's staff must be told.
_DEADLINE_SECONDS: Final = 20.0
_TOLD_SECONDS: Final = 60.0


def _state(stage: Stage, sent: Sent) -> str:
    return str(getattr(stage.agency(sent.sender).status(sent.name), "state", "none"))


def _lacks_room(stage: Stage, sent: Sent) -> bool:
    """It does not lie in the inbox."""
    key = key_of(stage.agency(sent.sender), sent)
    return key is None or stage.agency(sent.receiver).folder(key, sent.business_type) is None


def _look(stage: Stage, waiting: list[Sent], case: str) -> list[Violation]:
    """What sender and receiver are told of these just now."""
    told = reasons(stage, PROCURATORATE)
    found: list[Violation] = []
    for each in waiting:
        key = key_of(stage.agency(each.sender), each)
        reason = "" if key is None else told.get(str(key), "")
        state, is_told = _state(stage, each), is_told_overdue(stage, each)
        found += judge_waiting(each.name, state, is_told=is_told, reason=reason, case=case)
    return found


def never_empty(run: Run) -> Outcome:
    """The receiver's folders lie on a small volume of their own; nobody takes anything out of its inbox."""
    private_mounts()
    found: list[Violation] = []
    case = f"seed {run.seed}"
    with ExitStack() as stack:
        codes = (POLICE, PROCURATORATE, COURT)
        stage = stack.enter_context(Stage(run.folder / "f75", codes, seed=run.seed, daemon=COMMAND))
        set_deadlines(stage, POLICE, delivered_seconds=_DEADLINE_SECONDS)
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
        # Some of them may have had room; of the others both sides must be told.
        wait_until(
            lambda: not _look(stage, [each for each in large if _lacks_room(stage, each)], case),
            _DEADLINE_SECONDS + _TOLD_SECONDS,
            1.0,
        )
        noticed = time.monotonic() - began
        others = [stage.drop(POLICE, COURT), stage.drop(COURT, POLICE)]
        if not stage.wait(60, others):
            found.append(Violation("I9", case, "a full inbox of one agency held up two others"))
        waiting = [each for each in large if _lacks_room(stage, each)]
        found += _look(stage, waiting, case)
        # The reader comes back: it takes what lies there, and all the rest is delivered.
        healed = time.monotonic()
        stage.take_out()
        stage.wait(120, large)
        back = time.monotonic() - healed
        settle(stage, 60)
        found += stage.violations(case)
    told_as = (
        f"Without a reader {len(small)} small packets lay in the inbox, then its volume was full:"
        f" {len(waiting)} of {len(large)} large ones had no room, and {noticed:.0f} s after the province had"
        f" accepted all, of each the sender's status said accepted, a notice of the sender (its deadline made"
        f" {_DEADLINE_SECONDS:.0f} s) that its receipt is overdue, and the receiver's list no-space; others"
        f" were not held up, and all was delivered {back:.0f} s after the reader had come back. There is no"
        " limit on the number of packets in an inbox: the room of its volume is the limit."
    )
    # Where nothing had to wait, the inbox was never full.
    cases = len(small) + len(large) if waiting else 0
    planned = len(small) + len(large)
    return Outcome("F75", cases, tuple(found), (back,), told_as, planned=planned)
