"""F74 and F73: a relay without keys that cheats, and disks that are carried by hand and tampered with."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from certainty.network.judging import Sent
from certainty.network.relay import CODES, Relay, Step, relayed_stage
from certainty.network.soon_told import COMMAND
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run, Violation


def _strategies(relay: Relay) -> dict[str, Callable[[Step], list[tuple[Path, str, bytes]]]]:
    draw = relay.draw

    def drop(step: Step) -> list[tuple[Path, str, bytes]]:
        if draw.random() < 0.9:
            relay.tricks += 1
            return []
        return relay.honest(step)

    def delay(step: Step) -> list[tuple[Path, str, bytes]]:
        relay.tricks += step.age < 3
        return [] if step.age < 3 else relay.honest(step)

    def reorder(step: Step) -> list[tuple[Path, str, bytes]]:
        # Later numbers first: the lower a number, the longer it waits.
        number = int(step.name[:8]) if step.name[:8].isdigit() else 0
        wait = 4.0 / (1 + number % 5)
        relay.tricks += step.age < wait
        return [] if step.age < wait else relay.honest(step)

    def replay(step: Step) -> list[tuple[Path, str, bytes]]:
        old = draw.choices(relay.history, k=3)
        return [
            *relay.honest(step),
            *((relay.target(each), each.name, each.data) for each in old if each.name != step.name),
        ]

    def mix(step: Step) -> list[tuple[Path, str, bytes]]:
        other = draw.choice([code for code in CODES if code != step.code])
        name = step.name
        if name[:8].isdigit():
            name = f"{int(name[:8]) + draw.randrange(2):08d}-{secrets.token_hex(8)}.batch"
        return [*relay.honest(step), (relay.target(step, other), name, step.data)]

    def turn(step: Step) -> list[tuple[Path, str, bytes]]:
        back = "down" if step.direction == "up" else "up"
        return [*relay.honest(step), (relay.target(step, direction=back), step.name, step.data)]

    def shorten(step: Step) -> list[tuple[Path, str, bytes]]:
        data = step.data[: draw.randrange(len(step.data))] if draw.random() < 0.5 else step.data
        return [(relay.target(step), step.name, data)]

    def change(step: Step) -> list[tuple[Path, str, bytes]]:
        return relay.honest(step) if draw.random() < 0.5 else _tampered(relay, step)

    return {
        "drops": drop,
        "delays": delay,
        "reorders": reorder,
        "replays": replay,
        "mixes mailboxes": mix,
        "turns files round": turn,
        "shortens": shorten,
        "changes bytes": change,
    }


def betray(run: Run) -> Outcome:
    """F74: eight strategies of a relay without keys, one after the other; it turns honest after each."""
    found: list[Violation] = []
    told: list[str] = []
    stage, relay = relayed_stage(run, "f74", COMMAND)
    with stage:
        relay.start()
        stage.take_out()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        strategies = _strategies(relay)
        chosen, tried = list(strategies), 0
        for number, name in enumerate(chosen):
            if run.is_over:
                break
            before, alarms = relay.tricks, _refusals(stage)
            relay.treat = strategies[name]
            sent: list[Sent] = []
            ends = time.monotonic() + 20
            while time.monotonic() < ends:
                if len(sent) < 9:
                    large = len(sent) % 4 == 0
                    ways = ((POLICE, PROCURATORATE), (COURT, POLICE), (PROCURATORATE, COURT))
                    way = ways[0] if large else ways[len(sent) % 3]
                    sent.append(stage.drop(*way, video_bytes=2 * MIB if large else 0))
                time.sleep(1.0)
            relay.treat = relay.honest
            if not settle(stage, 120):
                found.append(
                    Violation("I14", f"seed {run.seed} {name}", "not all arrived once the relay was honest")
                )
            tricks, seen = relay.tricks - before, _refusals(stage) - alarms
            # What forges or confuses must be told; what only loses shows as what is not yet delivered.
            if (
                name in {"mixes mailboxes", "turns files round", "changes bytes", "shortens"}
                and tricks
                and not seen
            ):
                found.append(
                    Violation("I14", f"seed {run.seed} {name}", f"{tricks} tricks, and no node tells of any")
                )
            tried += bool(tricks)
            told.append(f"{name} {tricks} times ({seen} told)")
            run.progress(number + 1, len(chosen), f"F74 {name}")
        relay.stop()
        found += stage.violations(f"seed {run.seed}")
    tale = (
        "A relay without keys "
        + ", ".join(told)
        + "; what was lost, doubled or changed after it was honest again is told as a violation."
    )
    return Outcome("F74", tried, tuple(found), (), tale, planned=len(chosen))


def _refusals(stage: Stage) -> int:
    """How many events at all nodes say that a mailbox file is not what it should be."""
    kinds = ("mailbox-file-refused", "batch-number-used-twice", "batch-bad-at-neighbour")
    return sum(len(stage.events(code, kind)) for code in stage.lab.nodes for kind in kinds)


def carry(run: Run) -> Outcome:
    """F73: the files of a folder link travel by hand: a disk is lost, read twice, and tampered with."""
    found: list[Violation] = []
    case = f"seed {run.seed}"
    rounds, tried = (1 if run.quick else 5), 0
    stage, relay = relayed_stage(run, "f73", COMMAND)
    with stage:
        stage.take_out()
        stage.lab.start()
        for number in range(rounds):
            if run.is_over:
                break
            refused, tricks = _refusals(stage), relay.tricks
            for trick in ("lost", "read twice", "tampered"):
                sent = stage.drop(POLICE, PROCURATORATE, video_bytes=MIB + 5)
                up = relay.near / POLICE / "up"
                has_left = wait_until(partial(_has_numbered, up), 60)
                if trick == "lost":
                    # The disk left and never came: nothing may be taken for delivered.
                    time.sleep(3.0)
                    if stage.is_done(sent):
                        found.append(Violation("I7", case, "delivered, though nothing was carried"))
                elif trick == "read twice":
                    held = [
                        (path, path.read_bytes()) for path in up.iterdir() if not path.name.startswith(".")
                    ]
                    _carry_until(relay, stage, sent)
                    for path, data in held:
                        relay.write(relay.far / POLICE / "up" / path.name, data)
                    time.sleep(3.0)
                else:
                    relay.treat = partial(_tampered, relay)
                    relay.trip()
                    time.sleep(2.0)
                    relay.treat = relay.honest
                    has_left = relay.tricks > tricks
                _carry_until(relay, stage, sent)
                tried += has_left
            if relay.tricks > tricks and _refusals(stage) == refused:
                found.append(Violation("I4", case, "a disk was tampered with, and no node tells of it"))
            run.progress(number + 1, rounds, "F73 rounds")
        found += stage.violations(case)
    told = (
        f"{tried} times a disk of a folder link was lost, read twice or tampered with. Only folder links"
        " whose files are carried both ways; links of their own for carried media (marked carried, one way)"
        " are not built."
    )
    return Outcome("F73", tried, tuple(found), (), told, planned=3 * rounds)


def _has_numbered(folder: Path) -> bool:
    return any(path.name[:8].isdigit() for path in folder.iterdir())


def _tampered(relay: Relay, step: Step) -> list[tuple[Path, str, bytes]]:
    """The file with one changed bit."""
    at = relay.draw.randrange(len(step.data))
    changed = bytes([step.data[at] ^ (1 << relay.draw.randrange(8))])
    return [(relay.target(step), step.name, step.data[:at] + changed + step.data[at + 1 :])]


def _carry_until(relay: Relay, stage: Stage, sent: Sent) -> None:
    def look() -> bool:
        with suppress(OSError):
            relay.trip()
        return stage.is_done(sent)

    wait_until(look, 90, 0.5)
