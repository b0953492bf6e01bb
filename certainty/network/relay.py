"""F74 and F73: who carries the files between two mailboxes loses, delays, mixes, repeats, changes them.

``Relay`` stands between the mailbox that a front-end writes and the one that the province serves, as a relay
host or a carried disk would, and copies files from one to the other. It has no keys. While it is honest, both
are alike.
"""

from __future__ import annotations

import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from certainty.network.judging import Sent
from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage, wait_until
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run, Violation
from exchanged.complaints import AN_HOUR

_CODES = (POLICE, PROCURATORATE, COURT)
_LIMITS = {"link_scan_seconds": "0.5", "retry_first_seconds": "0.1", "retry_max_seconds": "0.5"}
_DIRECTIONS = ("up", "down")


@dataclass(frozen=True, slots=True)
class Step:
    """One file that is due to be copied: what it holds and where it belongs."""

    code: str
    direction: str
    name: str
    data: bytes
    age: float


class Relay:
    """Copies between ``near`` (the front-ends' side) and ``far`` (the province's); ``treat`` decides how.

    ``treat`` returns what is really put: (folder, name, bytes) for each; nothing to put nothing this time.
    """

    def __init__(self, near: Path, far: Path, seed: int) -> None:
        self.near, self.far = near, far
        self.draw = random.Random(seed)
        self.treat: Callable[[Step], list[tuple[Path, str, bytes]]] = self.honest
        self.history: list[Step] = []
        self.tricks = 0
        self._first: dict[tuple[str, str, str, bytes], float] = {}
        self._put: dict[Path, bytes] = {}
        self._ended = threading.Event()
        self.is_running = True
        self._guard = threading.Lock()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to carry."""
        self._thread.start()

    def stop(self) -> None:
        """Carry nothing more."""
        self._ended.set()
        self._thread.join()

    def honest(self, step: Step) -> list[tuple[Path, str, bytes]]:
        """The file as it is."""
        return [(self.target(step), step.name, step.data)]

    def target(self, step: Step, code: str = "", direction: str = "") -> Path:
        """Where a file belongs, or would belong in another mailbox."""
        direction = direction or step.direction
        return (self.far if direction == "up" else self.near) / (code or step.code) / direction

    def trip(self) -> None:
        """Carry once."""
        with self._guard:
            for code in _CODES:
                for direction in _DIRECTIONS:
                    self._one(code, direction)

    def _work(self) -> None:
        while not self._ended.wait(0.05):
            if self.is_running:
                with suppress(OSError):
                    self.trip()

    def _one(self, code: str, direction: str) -> None:
        source = (self.near if direction == "up" else self.far) / code / direction
        target = (self.far if direction == "up" else self.near) / code / direction
        lying = {path.name: path for path in source.iterdir() if not path.name.startswith(".")}
        for name in [path.name for path in target.iterdir()]:
            # Its writer removed it.
            if name not in lying and not name.startswith("."):
                (target / name).unlink(missing_ok=True)
        for name, path in sorted(lying.items()):
            with suppress(FileNotFoundError):
                data = path.read_bytes()
                if self._is_there(target / name, data):
                    continue
                key = (code, direction, name, data)
                age = time.monotonic() - self._first.setdefault(key, time.monotonic())
                step = Step(code, direction, name, data, age)
                self.history.append(step)
                for folder, put, content in self.treat(step):
                    self._write(folder / put, content)
                    if (folder, put, content) != (target, name, data):
                        self.tricks += 1
                    if folder == target and put == name:
                        # What was carried once is not compared again, unless it was changed on purpose.
                        self._put[target / name] = data

    def _is_there(self, path: Path, data: bytes) -> bool:
        with suppress(FileNotFoundError):
            return path.read_bytes() == data or (self._put.get(path) == data and self.treat != self.honest)
        return False

    def _write(self, path: Path, data: bytes) -> None:
        beside = path.parent / f".{secrets.token_hex(6)}.copy"
        beside.write_bytes(data)
        beside.rename(path)


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
        other = draw.choice([code for code in _CODES if code != step.code])
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
        if draw.random() < 0.5:
            return relay.honest(step)
        at = draw.randrange(len(step.data))
        data = step.data[:at] + bytes([step.data[at] ^ (1 << draw.randrange(8))]) + step.data[at + 1 :]
        return [(relay.target(step), step.name, data)]

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


def relayed_stage(run: Run, name: str) -> tuple[Stage, Relay]:
    """Folder links whose two ends lie apart, and the relay between them; neither is started."""
    stage = Stage(run.folder / name, _CODES, seed=run.seed, limits=_LIMITS, link="folder")
    near = run.folder / f"{name}-near"
    for code in _CODES:
        for direction in _DIRECTIONS:
            (near / code / direction).mkdir(parents=True)
        path = stage.lab.node_config(code)
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace(str(stage.mailbox(code)), str(near / code)), encoding="utf-8")
    return stage, Relay(near, stage.folder / "mailboxes", run.seed)


def betray(run: Run) -> Outcome:
    """F74: eight strategies of a relay without keys, one after the other; it turns honest after each."""
    found: list[Violation] = []
    told: list[str] = []
    stage, relay = relayed_stage(run, "f74")
    with stage:
        relay.start()
        stage.lab.start()
        stage.drop(POLICE, PROCURATORATE)
        settle(stage, 60)
        strategies = _strategies(relay)
        chosen = list(strategies)
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
                and not _is_summed_up(stage)
            ):
                found.append(
                    Violation("I14", f"seed {run.seed} {name}", f"{tricks} tricks, and no node tells of any")
                )
            told.append(f"{name} {tricks} times ({seen} told)")
            run.progress(number + 1, len(chosen), f"F74 {name}")
        relay.stop()
        found += stage.violations(f"seed {run.seed}")
    tale = (
        "A relay without keys "
        + ", ".join(told)
        + "; nothing was lost, doubled or changed after it was honest again."
    )
    return Outcome("F74", len(told), tuple(found), (), tale)


def _refusals(stage: Stage) -> int:
    """How many events at all nodes say that a mailbox file is not what it should be."""
    kinds = ("mailbox-file-refused", "batch-number-used-twice", "batch-bad-at-neighbour")
    return sum(len(stage.events(code, kind)) for code in stage.lab.nodes for kind in kinds)


def _is_summed_up(stage: Stage) -> bool:
    """On some link as many files were told one by one as in an hour are; what follows is told in sum."""
    told = Counter(
        (code, json.loads(detail)["link"])
        for code in stage.lab.nodes
        for _at, detail in stage.events(code, "mailbox-file-refused")
    )
    return max(told.values(), default=0) >= AN_HOUR


def carry(run: Run) -> Outcome:
    """F73: the files of a folder link travel by hand: a disk is lost, read twice, and tampered with."""
    found: list[Violation] = []
    case = f"seed {run.seed}"
    rounds = 1 if run.quick else 5
    stage, relay = relayed_stage(run, "f73")
    with stage:
        stage.lab.start()
        for number in range(rounds):
            refused = _refusals(stage)
            for trick in ("lost", "read twice", "tampered"):
                sent = stage.drop(POLICE, PROCURATORATE, video_bytes=MIB + 5)
                up = relay.near / POLICE / "up"
                wait_until(lambda up=up: any(path.name[:8].isdigit() for path in up.iterdir()), 30)  # type: ignore[misc]
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
                        relay._write(relay.far / POLICE / "up" / path.name, data)
                    time.sleep(3.0)
                else:
                    relay.treat = _strategies(relay)["changes bytes"]
                    relay.trip()
                    time.sleep(2.0)
                    relay.treat = relay.honest
                _carry_until(relay, stage, sent)
            if _refusals(stage) == refused:
                found.append(Violation("I4", case, "a disk was tampered with, and no node tells of it"))
            run.progress(number + 1, rounds, "F73 rounds")
        found += stage.violations(case)
    told = (
        f"{rounds} times a disk of a folder link was lost, read twice and tampered with: delivered once each,"
        " tampering told. Only folder links whose files are carried both ways; links of their own for"
        " carried media"
        " (marked carried, one way) are not built."
    )
    return Outcome("F73", 3 * rounds, tuple(found), (), told)


def _carry_until(relay: Relay, stage: Stage, sent: Sent) -> None:
    def look() -> bool:
        with suppress(OSError):
            relay.trip()
        return stage.is_done(sent)

    wait_until(look, 90, 0.5)
