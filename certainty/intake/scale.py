"""The shard ``intake-scale``: an overflow, 100,000 drops at once, 100,000 files in one drop, 1 GiB in one.

What a machine did not come to within the time of a shard is said with its figures.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Final

from certainty.intake import leaks
from certainty.intake.burst import MIB_LIMIT, SCAN, burst, known_names
from certainty.intake.papers import POLICE, PROCURATORATE, Papers
from certainty.intake.slow import sealed_at
from certainty.intake.world import TooLateError, World, put, wait_for
from certainty.shard import Outcome, Run, Violation
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from packet_spec.limits import MIB, PARTS

_QUEUE: Final = Path("/proc/sys/fs/inotify/max_queued_events")
_OVERFLOW, _MANY, _LARGE = 300_000, 600_000, 700_000
# So long after an overflow the last drop may be found, and a verdict on many files may take.
_FOUND_SECONDS: Final = 5.0
_VERDICT_SECONDS: Final = 60.0


def work(run: Run) -> Iterator[Outcome]:
    """F23, F25, F26 and F27."""
    papers = Papers()
    with World(run.folder / "one", settings=SCAN) as world:
        put(world, papers.lone(1), "first.xml")
        wait_for(lambda: world.count_delivered() == 1, "the first drop", 90)
        run.progress(0, 4, "overflow")
        yield overflow(run, world, papers)
        run.progress(1, 4, "many files")
        yield many_files(run, world, papers)
        if not run.quick:
            run.progress(2, 4, "one large file")
            yield large_file(run, world)
    run.progress(3, 4, "many drops")
    yield burst(run, papers)


def overflow(run: Run, world: World, papers: Papers) -> Outcome:
    """F23: what no event told of is found by the scan: every one, and soon."""
    events = int(_QUEUE.read_text("ascii"))
    # More than the queue holds, whatever this machine allows, before the first drop comes.
    count, noise = (20, events + 2_000) if run.quick else (1_000, max(90_000, events + 2_000))
    pid, violations = world.lab.pid(POLICE), []
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    refs = {}
    try:
        for number in range(noise):
            # Unfinished by their names: events like any others, and no drop.
            (world.outbox / f"n{number}.part").touch()
        for number in range(count):
            paper = papers.lone(_OVERFLOW + number)
            refs[paper.ref] = put(world, paper, f"over-{number}.xml")
    finally:
        os.kill(pid, signal.SIGCONT)
    woken, names = time.time(), {f"over-{number}.xml" for number in range(count)}
    found = -1.0
    try:
        wait_for(lambda: names <= known_names(world), "all drops to be found", 60 + count / 5, 0.1)
        found = time.time() - woken
        wait_for(
            lambda: refs.keys() <= world.delivered_refs().keys(),
            "drops after an overflow",
            60 + count / 5,
            0.5,
        )
    except TooLateError as error:
        violations.append(Violation("I1", f"seed {run.seed}", str(error)))
    sealed = sorted(sealed_at(each) - woken for each in world.delivered() if each.ref in refs)
    for path in world.outbox.glob("n*.part"):
        path.unlink()
    told = f", the first sealed after {sealed[0]:.1f} s, the last after {sealed[-1]:.1f} s" if sealed else ""
    return Outcome(
        "F23", len(sealed), tuple(violations), (found,) if found >= 0 else (),
        measured=f"{noise} files made, then {count} drops put while the daemon was stopped, with a queue for"
        f" {events} events; {len(sealed)} of {count} found and delivered, the last known to the node"
        f" {found:.1f} s after it went on{told}",
        planned=count, goal_seconds=_FOUND_SECONDS,
    )  # fmt: skip


def many_files(run: Run, world: World, papers: Papers) -> Outcome:
    """F26: at the limit taken, one above it refused, and 100,000 refused, each with a reason."""
    violations, told, took = [], [], []
    cases = [("over", PARTS + 1), ("far", 10_000 if run.quick else 100_000)]
    if not run.quick:
        cases.insert(0, ("at", PARTS))
    for number, (name, count) in enumerate(cases):
        pdf = papers.pdf(_MANY + number)
        paper = papers.with_parts(
            _MANY + number, {f"{index:06d}.pdf".encode(): pdf for index in range(count)}
        )
        if name == "far":
            # More than may be listed at all: packet.xml names a few, the rest just lies there.
            paper = papers.with_parts(
                _MANY + number, {f"{index:06d}.pdf".encode(): pdf for index in range(10)}
            )
            growing = world.outbox / ".growing"
            growing.mkdir()
            for index in range(count):
                (growing / f"{index:06d}.pdf").write_bytes(b"x")
            (growing / "packet.xml").write_bytes(paper.xml)
            growing.rename(world.outbox / name)
        else:
            paper.put_folder(world.outbox / name)
        began = time.monotonic()

        def verdict(name: str = name) -> str:
            said = world.status(name)
            codes = [each["code"] for each in said.get("finding", ()) if each["severity"] == "refuse"]
            taken = said.get("packetId") and said["state"] in ("queued", "sent", "accepted", "delivered")
            return "taken" if taken else f"refused ({codes[0]})" if codes else ""

        said = ""
        try:
            said = wait_for(verdict, f"a verdict on {count} files", 180)
        except TooLateError as error:
            violations.append(Violation("I10", name, str(error)))
        seconds = time.monotonic() - began
        took.append(seconds)
        told.append(f"{count}: {said} after {seconds:.1f} s")
        if (said == "taken") != (name == "at"):
            violations.append(Violation("I10", name, f"{count} files: {said}"))
    # Beside it another drop goes its way.
    after = papers.lone(_MANY + 50)
    put(world, after, "after-many.xml")
    try:
        wait_for(lambda: world.delivered_refs()[after.ref], "a drop after it", 120, 0.5)
    except TooLateError as error:
        violations.append(Violation("I9", "after", str(error)))
    shutil.rmtree(world.outbox / "far", ignore_errors=True)
    violations += leaks.problems(world, f"seed {run.seed}", in_folders=False)
    # The time until a verdict stands where recoveries do.
    return Outcome("F26", len(cases), tuple(violations), tuple(took), goal_seconds=_VERDICT_SECONDS,
                   measured=f"files in one drop: {'; '.join(told)}")  # fmt: skip


def large_file(run: Run, world: World) -> Outcome:
    """F27: 1 GiB through the whole way, with the same bytes; what a cut costs is tried by F60."""
    size = 1024 * MIB
    if shutil.disk_usage(run.folder).free < 8 * size:
        return Outcome("F27", 0, not_run="less than 8 GiB are free for the copies of 1 GiB on its way")
    request = DropRequest(
        "prosecution.transfer", POLICE, PROCURATORATE, datetime.now(UTC), seed=27,
        sender_ref=f"REF-{_LARGE:07d}",
        name="large", extra_documents=("EVD-024",), video_bytes=size,
    )  # fmt: skip
    growing = world.outbox / ".large"
    growing.mkdir()
    written = write_drop(make_drop(request), growing)
    put_in = _digests(written)
    written.rename(world.outbox / "large")
    growing.rmdir()
    began, violations, ref = time.monotonic(), [], f"REF-{_LARGE:07d}"
    try:
        wait_for(lambda: world.delivered_refs()[ref], "1 GiB to be delivered", 400, 1.0)
    except TooLateError as error:
        violations.append(Violation("I1", "large", f"{error}; {world.status('large')}"))
    seconds = time.monotonic() - began
    came = [digests for digests in map(_digests, world.folders_of(ref)) if put_in <= digests]
    if not violations and len(came) != 1:
        violations.append(Violation("I4", "large", f"{len(came)} packets have the bytes that were dropped"))
    peaks = {code: world.peak_mib(code) for code in world.lab.nodes}
    if max(peaks.values()) > MIB_LIMIT:
        violations.append(
            Violation("I10", "large", f"a daemon took {max(peaks.values()):.0f} MiB of memory")
        )
    return Outcome(
        "F27", 1, tuple(violations),
        measured=f"1 GiB (not 10 GB) from outbox to inbox over folder links in {seconds:.0f} s, the same"
        f" bytes; most memory of a daemon {max(peaks.values()):.0f} MiB; no cut here: that is F60's",
    )  # fmt: skip


def _digests(folder: Path) -> set[tuple[int, str]]:
    """Size and SHA-256 of each file in a folder, whatever it is called."""
    found = set()
    for path in folder.iterdir():
        with path.open("rb") as file:
            found.add((path.stat().st_size, file_digest(file, "sha256").hexdigest()))
    return found
