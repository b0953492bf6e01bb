"""F21: somebody unlinks, replaces, cuts, writes and swaps the files of a drop all the while it is taken.

Two processes keep a few dozen drops each in an outbox whose attachments have no listed digests, the weakest
that a deployment may choose, and disturb them until they are gone. Every file of a drop exists in two
versions of one size, A and B, and every 16 bytes of both say which drop and which version they are of.
Outside lie files with a canary.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from certainty.intake import leaks
from certainty.intake.deeds import DEEDS, leave
from certainty.intake.papers import PART, Papers
from certainty.intake.slow import content_of
from certainty.intake.world import POLICE, ROOT, TooLateError, World, memory_folder, wait_for
from certainty.shard import Outcome, Run, Violation

# As long as the mark that it stands in place of.
CANARY: Final = b"OUTSIDE-OUTBOX-!"
_STRANGE: Final = 9_999_999
_REASON: Final = b"<reason_text>"
_WINDOW: Final = 100
# So long is a drop disturbed at most: on a slow machine it would never be taken, and nothing be tried.
_RACED_SECONDS: Final = 5.0
# Of folders that still lie there then, so many are left with what leads outside.
_LEFT: Final = 0.3
_REST_SECONDS: Final = 120.0
_SIZE: Final = 60_000
_FIRST: Final = 100_000
_ENDS: Final = {"delivered", "collected", "refused", "incomplete", "duplicate", "withdrawn"}
_OWN: Final = frozenset({"packet.xml", "seal.xml", "seal.sig", "delivery.xml", "accepted.xml"})


class Over(BaseException):
    """No drop shall be raced for any more."""


@dataclass
class Race:
    """How often what was done, and which drops it was done to, by name, while the daemon could read them."""

    deeds: Counter[str] = field(default_factory=Counter)
    drops: set[str] = field(default_factory=set)


def race(outbox: Path, outside: Path, first: int, count: int, seed: int, made: Race) -> None:
    """Put ``count`` drops and disturb each until it is gone or was for long; ``made`` tells what was done."""
    rng, papers = random.Random(f"{seed}-{first}"), Papers()
    numbers = iter(range(first, first + count))
    # path of the disturbed file -> both versions, and until when.
    live: dict[Path, tuple[bytes, bytes, float]] = {}
    while True:
        while len(live) < _WINDOW and (number := next(numbers, None)) is not None:
            target, versions = _put(outbox, papers, number)
            live[target] = (*versions, time.monotonic() + _RACED_SECONDS)
        if not live:
            return
        path = rng.choice(list(live))
        a, b, until = live[path]
        drop = path if path.parent == outbox else path.parent
        if time.monotonic() > until or not os.path.lexists(drop):
            del live[path]
            if drop != path and os.path.lexists(drop) and rng.random() < _LEFT:
                with suppress(OSError):
                    leave(path, outside, rng)
                    made.deeds["left"] += 1
            continue
        deeds = DEEDS[:-1] if drop == path else DEEDS
        deed = rng.choice(deeds)
        # It may be put away between any two steps: then the rest of the deed hits nothing.
        with suppress(OSError):
            deed(path, a, b, outside, rng)
            made.deeds[deed.__name__.strip("_")] += 1
            made.drops.add(drop.name)
        if rng.random() < 0.5:
            # Long enough for a scan to find it whole now and then.
            time.sleep(0.002)


def _put(outbox: Path, papers: Papers, number: int) -> tuple[Path, tuple[bytes, bytes]]:
    """One drop; the file to be disturbed, and its two versions."""
    a, b = versions(papers, number)
    if number % 4 == 3:
        target = outbox / f"r{number}.zip"
        growing = outbox / f".r{number}"
        growing.write_bytes(a)
        growing.rename(target)
        return target, (a, b)
    papers.folder(number, _SIZE, digests=False).put_folder(outbox / f"r{number}")
    return outbox / f"r{number}" / PART, (a, b)


def versions(papers: Papers, number: int) -> tuple[bytes, bytes]:
    """Both versions of the file that is disturbed: a zip drop, or an attachment."""
    if number % 4 == 3:
        a, b = (papers.folder(number, _SIZE, variant, digests=False).zipped for variant in "AB")
        return a, b
    return papers.pdf(number, _SIZE, "A"), papers.pdf(number, _SIZE, "B")


def judge(world: World, first: int, count: int) -> tuple[list[Violation], Counter[str]]:
    """Every delivered file is one version whole, of its own drop; no content twice; nothing from outside.

    Nothing else is dropped in this world: what bears another number was never put into the outbox.
    """
    papers, violations, found = Papers(), [], Counter[str]()
    contents: Counter[str] = Counter()
    for packet in world.delivered():
        number = int(packet.ref.removeprefix("REF-") or 0)
        if not first <= number < first + count:
            violations.append(Violation("I6", packet.ref, "delivered, and never put into the outbox"))
            continue
        found["delivered"] += 1
        contents[content_of(packet)] += 1
        case = f"drop r{number}"
        if any(CANARY in data for data in packet.files.values()):
            violations.append(Violation("I6", case, "bytes from outside the outbox were delivered"))
        both = {papers.pdf(number, _SIZE, variant): variant for variant in "AB"}
        for name, data in packet.files.items():
            if name in _OWN:
                continue
            if data not in both:
                violations.append(Violation("I4", case, f"{len(data)} bytes that are neither version"))
            else:
                found[f"version {both[data]}"] += 1
    violations += [
        Violation("I2", digest, f"one content was delivered {times} times")
        for digest, times in contents.items() if times > 1
    ]  # fmt: skip
    return violations, found


def work(run: Run) -> Iterator[Outcome]:
    """F21, in a world in memory: what is raced for is what is read, not whether it lasts."""
    count = 24 if run.quick else 10_000
    with memory_folder("racers") as folder:
        outside = folder / "outside"
        put_outside(outside)
        settings = {POLICE: {"[folders] optional_sha256": "true"}, "": {"[folders] scan_seconds": "0.5"}}
        world = World(folder, settings=settings)
        with world:
            yield _row(run, world, outside, count)


def put_outside(outside: Path) -> None:
    """A file for an attachment and a whole folder drop, all of it with the canary."""
    (outside / "folder").mkdir(parents=True)
    paper = Papers().folder(_STRANGE, _SIZE, digests=False)
    canary = with_canary(paper.files[PART.encode()], _STRANGE)
    (outside / "file").write_bytes(canary)
    (outside / "folder" / PART).write_bytes(canary)
    (outside / "folder" / "packet.xml").write_bytes(paper.xml.replace(_REASON, _REASON + CANARY, 1))


def with_canary(pdf: bytes, number: int) -> bytes:
    """Every mark of a PDF of ``papers`` is the canary. Raises ValueError when it has none."""
    found = pdf.replace(b"[%07d A     ]" % number, CANARY)
    if found == pdf or len(found) != len(pdf):
        raise ValueError("there is no mark of that number")
    return found


def _row(run: Run, world: World, outside: Path, count: int) -> Outcome:
    half = count // 2
    command = [sys.executable, "-m", "certainty.intake.racers", str(world.outbox), str(outside)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    said = [outside.parent / f"racer-{number}.json" for number in range(2)]
    racers = []
    for number, path in enumerate(said):
        with path.open("wb") as output:
            words = [*command, str(_FIRST + number * half), str(half), str(run.seed)]
            racers.append(subprocess.Popen(words, stdout=output, env=environment))
    done, disturbed = Counter[str](), set[str]()
    try:
        while any(racer.poll() is None for racer in racers):
            run.progress(min(count, world.count_delivered()), count, "drops raced for")
            if run.is_over:
                break
            time.sleep(2)
        for racer, path in zip(racers, said, strict=True):
            racer.terminate()
            if racer.wait(60):
                raise RuntimeError(f"a racer ended with {racer.returncode}")
            told = json.loads(path.read_bytes())
            done.update(told["deeds"])
            disturbed |= {*told["drops"]}
    finally:
        for racer in racers:
            racer.kill()
    # What was left whole goes its way; then nothing changes any more.
    with suppress(TooLateError):
        wait_for(partial(_is_quiet, world), "everything to come to rest", _REST_SECONDS, 2.0)
    told_of = _told(world)
    raced = len(disturbed & told_of.keys())
    endless = [name for name in _lying(world) if told_of.get(name, "") not in _ENDS]
    violations, found = judge(world, _FIRST, count)
    if not found["delivered"]:
        violations.append(Violation("I9", f"seed {run.seed}", "nothing at all got through"))
    violations += leaks.problems(world, f"seed {run.seed}")
    if _is_anywhere(world, CANARY):
        violations.append(
            Violation("I6", f"seed {run.seed}", "bytes from outside lie in the node's own store")
        )
    deeds = ", ".join(f"{name} {times}" for name, times in sorted(done.items()))
    return Outcome(
        "F21", raced, tuple(violations), planned=count,
        short=f"of {len(endless)} drops it was not told how they ended" if endless else "",
        measured=f"{raced} drops raced for, {found['delivered']} packets delivered ({found['version A']}"
        f" attachments of version A, {found['version B']} of version B), 0 mixed unless told; deeds: {deeds}",
    )  # fmt: skip


def _told(world: World) -> dict[str, str]:
    """Of which drops something is told, and what of each."""
    return {str(each["drop"]): str(each["state"]) for each in world.all_status()}


def _is_quiet(world: World) -> bool:
    """Of every drop it is told how it ended, or that it was left unfinished."""
    told = _told(world)
    return _lying(world) <= told.keys() and {*told.values()} <= _ENDS


def _lying(world: World) -> set[str]:
    return {path.name for path in world.outbox.iterdir() if path.name.startswith("r")}


def _is_anywhere(world: World, what: bytes) -> bool:
    """In any file of any node's data directory."""
    for path in (world.lab.layout.root / "nodes").rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and what in path.read_bytes():
                return True
    return False


def _over(*_: object) -> None:
    raise Over


if __name__ == "__main__":
    where, beyond, start, how_many, chosen = sys.argv[1:]
    made = Race()
    # Whoever ends it hears what was done until then.
    signal.signal(signal.SIGTERM, _over)
    with suppress(Over):
        race(Path(where), Path(beyond), int(start), int(how_many), int(chosen), made)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(json.dumps({"deeds": made.deeds, "drops": sorted(made.drops)}))
