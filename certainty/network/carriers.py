"""F73: disks with the files of a folder link that are carried by hand, lost, read twice, tampered with."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from certainty.network.betraying import refused, tampered, unseen
from certainty.network.judging import Sent
from certainty.network.relay import Relay, relayed_stage
from certainty.network.soon_told import COMMAND
from certainty.network.stage import POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB
from certainty.shard import Outcome, Run, Violation

# Invariant and words of what was not as it must be; None instead: the trick did not take place.
Wrong = list[tuple[str, str]]
_LOST_SECONDS: Final = 3.0
# A node looks twice a second here whether what it has put is still there; a slow machine takes longer.
_AGAIN_SECONDS: Final = 30.0


def carry(run: Run) -> Outcome:
    """F73: the files of a folder link travel by hand: a disk is lost, read twice, and tampered with."""
    found: list[Violation] = []
    rounds, tried = (1 if run.quick else 5), 0
    stage, relay = relayed_stage(run, "f73", COMMAND)
    with stage:
        stage.take_out()
        stage.lab.start()
        for number in range(rounds):
            for name, trick in (("lost", _lose), ("read twice", _read_twice), ("tampered", _tamper)):
                if run.is_over:
                    break
                case = f"seed {run.seed} round {number} {name}"
                sent = stage.drop(POLICE, PROCURATORATE, video_bytes=MIB + 5)
                has_left = wait_until(partial(_has_numbered, relay.near / POLICE / "up"), 60)
                wrong = trick(stage, relay, sent)
                found += [Violation(invariant, case, what) for invariant, what in wrong or ()]
                _carry_until(relay, stage, sent)
                tried += has_left and wrong is not None
            run.progress(number + 1, rounds, "F73 rounds")
        found += stage.violations(f"seed {run.seed}")
    told = (
        f"{tried} times a disk of a folder link was lost with all files that were on it, and what it bore had"
        " to be put again and arrive; read twice; or tampered with, and each batch refused by its name. Only"
        " folder links whose files are carried both ways; links of their own for carried media (marked"
        " carried, one way) are not built."
    )
    return Outcome("F73", tried, tuple(found), (), told, planned=3 * rounds)


def _lose(stage: Stage, relay: Relay, sent: Sent) -> Wrong | None:
    """The files were moved to the disk, and it never came."""
    up = relay.near / POLICE / "up"
    gone = {path.name for path in up.iterdir() if not path.name.startswith(".")}
    for name in gone:
        (up / name).unlink(missing_ok=True)
    time.sleep(_LOST_SECONDS)
    if stage.is_done(sent):
        return [("I7", "delivered, though nothing was carried")]
    if not wait_until(partial(_has_numbered, up), _AGAIN_SECONDS):
        return [("I1", "what a lost disk bore is not put again")]
    return [] if any(name[:8].isdigit() for name in gone) else None


def _read_twice(stage: Stage, relay: Relay, sent: Sent) -> Wrong | None:
    """What was delivered lies in the other mailbox once more, for several looks."""
    up = relay.near / POLICE / "up"
    held = [(path.name, path.read_bytes()) for path in up.iterdir() if not path.name.startswith(".")]
    _carry_until(relay, stage, sent)
    for name, data in held:
        relay.write(relay.far / POLICE / "up" / name, data)
    time.sleep(_LOST_SECONDS)
    return [] if stage.is_done(sent) and held else None


def _tamper(stage: Stage, relay: Relay, _sent: Sent) -> Wrong | None:
    """One bit of each file is another when the disk comes."""
    relay.puts.clear()
    relay.treat = partial(tampered, relay)
    relay.trip()
    puts = [put for put in relay.puts if put.name[:8].isdigit()]
    wait_until(lambda: not unseen(puts, lambda node: refused(stage, node)), _AGAIN_SECONDS)
    relay.treat = relay.honest
    told = [("I4", f"nobody tells of {put.name}") for put in unseen(puts, lambda node: refused(stage, node))]
    return told if puts else None


def _has_numbered(folder: Path) -> bool:
    return any(path.name[:8].isdigit() for path in folder.iterdir())


def _carry_until(relay: Relay, stage: Stage, sent: Sent) -> None:
    def look() -> bool:
        with suppress(OSError):
            relay.trip()
        return stage.is_done(sent)

    wait_until(look, 90, 0.5)
