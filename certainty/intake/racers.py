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
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from certainty.intake.papers import PART, Papers
from certainty.intake.slow import content_of
from certainty.intake.world import POLICE, ROOT, TooLateError, World, memory_folder, wait_for
from certainty.shard import Outcome, Run, Violation

CANARY: Final = b"OUTSIDE-OF-THE-OUTBOX"
_WINDOW: Final = 100
# So long is a drop disturbed at most: on a slow machine it would never be taken, and nothing be tried.
_RACED_SECONDS: Final = 5.0
_REST_SECONDS: Final = 120.0
_SIZE: Final = 60_000
_FIRST: Final = 100_000
_ENDS: Final = {"delivered", "collected", "refused", "incomplete", "duplicate", "withdrawn"}
_OWN: Final = frozenset({"packet.xml", "seal.xml", "seal.sig", "delivery.xml", "accepted.xml"})

Deed = Callable[[Path, bytes, bytes, Path, random.Random], None]


def _unlink(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    path.unlink()
    _wait(rng)
    path.write_bytes(rng.choice((a, b)))


def _away(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    path.rename(aside)
    _wait(rng)
    aside.rename(path)


def _replace(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    aside.write_bytes(rng.choice((a, b)))
    aside.rename(path)


def _cut(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    os.truncate(path, len(a) // 2)
    _wait(rng)
    path.write_bytes(rng.choice((a, b)))


def _overwrite(path: Path, a: bytes, b: bytes, _outside: Path, rng: random.Random) -> None:
    """In place, piece by piece: at any moment a mixture."""
    data = rng.choice((a, b))
    before = path.stat()
    descriptor = os.open(path, os.O_WRONLY)
    try:
        for place in range(0, len(data), 8192):
            os.pwrite(descriptor, data[place : place + 8192], place)
            _wait(rng)
    finally:
        os.close(descriptor)
    if rng.random() < 0.3:
        # As programs do that restore the time: size and mtime say that nothing happened.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _append(path: Path, a: bytes, _b: bytes, _outside: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(b"more")
    _wait(rng)
    os.truncate(path, len(a))


def _link(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    aside.symlink_to(outside / "file")
    aside.rename(path)
    _wait(rng)
    _replace(path, a, b, outside, rng)


def _hard(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    os.link(outside / "file", aside)
    aside.rename(path)
    _wait(rng)
    _replace(path, a, b, outside, rng)


def _fifo(path: Path, a: bytes, b: bytes, outside: Path, rng: random.Random) -> None:
    aside = path.with_name(f".{path.name}")
    os.mkfifo(aside)
    aside.rename(path)
    _wait(rng)
    _replace(path, a, b, outside, rng)


def _whole_folder(path: Path, _a: bytes, _b: bytes, outside: Path, rng: random.Random) -> None:
    """The drop's folder itself becomes a link to a folder outside, for a moment."""
    drop, aside = path.parent, path.parent.with_name(f".{path.parent.name}")
    drop.rename(aside)
    drop.symlink_to(outside / "folder")
    _wait(rng)
    drop.unlink()
    aside.rename(drop)


DEEDS: Final[tuple[Deed, ...]] = (
    _unlink, _away, _replace, _cut, _overwrite, _append, _link, _hard, _fifo, _whole_folder,
)  # fmt: skip


def _wait(rng: random.Random) -> None:
    time.sleep(rng.choice((0.0, 0.0, 0.001, 0.004)))


def race(outbox: Path, outside: Path, first: int, count: int, seed: int) -> Counter[str]:
    """Put ``count`` drops and disturb each until it is gone or has been for long. How often what was done."""
    rng, papers, done = random.Random(f"{seed}-{first}"), Papers(), Counter[str]()
    numbers = iter(range(first, first + count))
    # path of the disturbed file -> both versions, and until when.
    live: dict[Path, tuple[bytes, bytes, float]] = {}
    while True:
        while len(live) < _WINDOW and (number := next(numbers, None)) is not None:
            target, versions = _put(outbox, papers, number)
            live[target] = (*versions, time.monotonic() + _RACED_SECONDS)
        if not live:
            return done
        path = rng.choice(list(live))
        a, b, until = live[path]
        drop = path if path.parent == outbox else path.parent
        if time.monotonic() > until or not os.path.lexists(drop):
            del live[path]
            continue
        deeds = DEEDS[:-1] if drop == path else DEEDS
        deed = rng.choice(deeds)
        # It may be put away between any two steps: then the rest of the deed hits nothing.
        with suppress(OSError):
            deed(path, a, b, outside, rng)
            done[deed.__name__.strip("_")] += 1
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
    """Every delivered file is one version whole, of its own drop; no content twice; nothing from outside."""
    papers, violations, found = Papers(), [], Counter[str]()
    contents: Counter[str] = Counter()
    for packet in world.delivered():
        number = int(packet.ref.removeprefix("REF-") or 0)
        if not first <= number < first + count:
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
        (outside / "folder").mkdir(parents=True)
        pdf = Papers().pdf(9_999_999, _SIZE)
        canary = pdf.replace(b"[9999999 A     ]", (CANARY + b"-" * 16)[:16])
        (outside / "file").write_bytes(canary)
        (outside / "folder" / PART).write_bytes(canary)
        (outside / "folder" / "packet.xml").write_bytes(
            Papers().folder(9_999_999, _SIZE, digests=False).xml
        )
        settings = {POLICE: {"[folders] optional_sha256": "true"}, "": {"[folders] scan_seconds": "0.5"}}
        world = World(folder, settings=settings)
        with world:
            yield _row(run, world, outside, count)


def _row(run: Run, world: World, outside: Path, count: int) -> Outcome:
    half = count // 2
    command = [sys.executable, "-m", "certainty.intake.racers", str(world.outbox), str(outside)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    racers = [
        subprocess.Popen(
            [*command, str(_FIRST + number * half), str(half), str(run.seed)],
            stdout=subprocess.PIPE, text=True, env=environment,
        )
        for number in range(2)
    ]  # fmt: skip
    done: Counter[str] = Counter()
    try:
        while any(racer.poll() is None for racer in racers):
            run.progress(min(count, world.count_delivered()), count, "drops raced for")
            if run.is_over:
                break
            time.sleep(2)
        for racer in racers:
            racer.terminate()
            with suppress(ValueError):
                done.update(json.loads(racer.communicate()[0] or "{}"))
    finally:
        for racer in racers:
            racer.kill()
    # What was left whole goes its way; then nothing changes any more.
    with suppress(TooLateError):
        wait_for(partial(_is_quiet, world), "everything to come to rest", _REST_SECONDS, 2.0)
    raced = len(_told(world))
    violations, found = judge(world, _FIRST, count)
    if not found["delivered"]:
        violations.append(Violation("I9", f"seed {run.seed}", "nothing at all got through"))
    violations += [Violation("I11", f"seed {run.seed}", line) for line in world.log_problems()[:10]]
    if _is_anywhere(world, CANARY):
        violations.append(
            Violation("I6", f"seed {run.seed}", "bytes from outside lie in the node's own store")
        )
    deeds = ", ".join(f"{name} {times}" for name, times in sorted(done.items()))
    return Outcome(
        "F21", raced, tuple(violations),
        short="" if raced >= count else f"{raced} of {count} drops were raced for",
        measured=f"{raced} drops raced for, {found['delivered']} packets delivered ({found['version A']}"
        f" attachments of version A, {found['version B']} of version B), 0 mixed unless told; deeds:"
        f" {deeds or 'cut short'}",
    )  # fmt: skip


def _told(world: World) -> dict[str, str]:
    """Of which drops something is told, and what of each."""
    return {str(each["drop"]): str(each["state"]) for each in world.all_status()}


def _is_quiet(world: World) -> bool:
    """Of every drop it is told how it ended, or that it was left unfinished."""
    told = _told(world)
    lying = {path.name for path in world.outbox.iterdir() if path.name.startswith("r")}
    return lying <= told.keys() and {*told.values()} <= _ENDS


def _is_anywhere(world: World, what: bytes) -> bool:
    """In any file of any node's data directory."""
    for path in (world.lab.layout.root / "nodes").rglob("*"):
        with suppress(OSError):
            if path.is_file() and not path.is_symlink() and what in path.read_bytes():
                return True
    return False


if __name__ == "__main__":
    where, beyond, start, how_many, chosen = sys.argv[1:]
    print(json.dumps(race(Path(where), Path(beyond), int(start), int(how_many), int(chosen))))
