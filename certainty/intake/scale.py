"""The shard ``intake-scale``: an overflow, 100,000 drops at once, 100,000 files in one drop, 1 GiB in one.

What a machine did not come to within the time of a shard is said with its figures. The number of drops
known to the node is counted in its ledger, read-only, since nothing that case software sees tells it before
each is taken.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from certainty.intake.papers import POLICE, PROCURATORATE, Papers
from certainty.intake.shares import put
from certainty.intake.slow import sealed_at
from certainty.intake.world import TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from packet_spec.limits import MIB, PARTS

_QUEUE: Final = Path("/proc/sys/fs/inotify/max_queued_events")
_OVERFLOW, _BURST, _MANY, _LARGE = 300_000, 400_000, 600_000, 700_000
_SCAN: Final = {"": {"[folders] scan_seconds": "2.0"}}
_MIB_LIMIT: Final = 300.0


def work(run: Run) -> Iterator[Outcome]:
    """F23, F25, F26 and F27."""
    papers = Papers()
    with World(run.folder / "one", settings=_SCAN) as world:
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
    """F23: what no event told of is found by the scan."""
    events = int(_QUEUE.read_text("ascii"))
    count, noise = (20, events + 2_000) if run.quick else (1_000, 90_000)
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
    woken = time.time()
    try:
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
    return Outcome(
        "F23", noise + count, tuple(violations), (sealed[0],) if sealed else (),
        short=f"the first was sealed after {sealed[0]:.1f} s" if sealed and sealed[0] > 5 else "",
        measured=f"{noise} files made and {count} drops put while the daemon was stopped, with a queue for"
        f" {events} events; {len(sealed)} of {count} found, the first sealed"
        f" {sealed[0] if sealed else -1:.1f} s after it went on"
        " (the 100,000 of F25 come while it is stopped as well)",
    )  # fmt: skip


def many_files(run: Run, world: World, papers: Papers) -> Outcome:
    """F26: at the limit taken, one above it refused, and 100,000 refused, each with a reason."""
    violations, told, late = [], [], []
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
        told.append(f"{count}: {said} after {seconds:.1f} s")
        if (said == "taken") != (name == "at"):
            violations.append(Violation("I10", name, f"{count} files: {said}"))
        if seconds > 60:
            late.append(f"the verdict on {count} files took {seconds:.0f} s")
    # Beside it another drop goes its way.
    after = papers.lone(_MANY + 50)
    put(world, after, "after-many.xml")
    try:
        wait_for(lambda: world.delivered_refs()[after.ref], "a drop after it", 120, 0.5)
    except TooLateError as error:
        violations.append(Violation("I9", "after", str(error)))
    shutil.rmtree(world.outbox / "far", ignore_errors=True)
    return Outcome("F26", len(cases), tuple(violations), short="; ".join(late),
                   measured=f"files in one drop: {'; '.join(told)}")  # fmt: skip


def large_file(run: Run, world: World) -> Outcome:
    """F27 in part: 1 GiB through the whole way; 10 GB and the resuming are the network's business."""
    size = 1024 * MIB
    if shutil.disk_usage(run.folder).free < 8 * size:
        return Outcome("F27", 0, not_run="less than 8 GiB are free for the copies of 1 GiB on its way")
    request = DropRequest(
        "prosecution.transfer", POLICE, PROCURATORATE, datetime.now(UTC), seed=27,
        sender_ref=f"REF-{_LARGE:07d}",
        name="large", extra_documents=("EVD-024",), video_bytes=size,
    )  # fmt: skip
    write_drop(make_drop(request), world.outbox)
    began, violations = time.monotonic(), []
    try:
        wait_for(lambda: world.delivered_refs()[f"REF-{_LARGE:07d}"], "1 GiB to be delivered", 400, 1.0)
    except TooLateError as error:
        violations.append(Violation("I1", "large", f"{error}; {world.status('large')}"))
    seconds = time.monotonic() - began
    peaks = {code: world.peak_mib(code) for code in world.lab.nodes}
    if max(peaks.values()) > _MIB_LIMIT:
        violations.append(
            Violation("I10", "large", f"a daemon took {max(peaks.values()):.0f} MiB of memory")
        )
    return Outcome(
        "F27", 1, tuple(violations),
        measured=f"1 GiB (not 10 GB) from outbox to inbox over folder links in {seconds:.0f} s; most"
        f" memory of a daemon {max(peaks.values()):.0f} MiB; resuming and SFTP are measured elsewhere",
    )  # fmt: skip


def burst(run: Run, papers: Papers) -> Outcome:
    """F25: the first come out early, nothing is lost, memory is bounded and commands answer."""
    count, spare = (400, 12.0) if run.quick else (100_000, 60.0)
    violations: list[Violation] = []
    world = World(run.folder / "burst", settings=_SCAN)
    with world:
        put(world, papers.lone(2), "first.xml")
        wait_for(lambda: world.count_delivered() == 1, "the first drop", 90)
        pid = world.lab.pid(POLICE)
        assert pid is not None
        idle = max(world.ctl("node", "status")[2] for _ in range(2))
        os.kill(pid, signal.SIGSTOP)
        try:
            for number in range(count):
                (world.outbox / f"b{number:06d}.xml").write_bytes(papers.lone(_BURST + number).xml)
        finally:
            os.kill(pid, signal.SIGCONT)
        began, peak, answers = time.monotonic(), 0.0, []
        first = taken = 0.0
        marks: list[tuple[float, int]] = []
        until = run.began + run.seconds - spare
        while time.monotonic() < until:
            seconds = time.monotonic() - began
            if not first and world.count_delivered() > 1:
                first = seconds
            counted = _count(world)
            marks.append((seconds, counted["taken"]))
            peak = max(peak, world.peak_mib())
            run.progress(counted["taken"], count, "drops accepted")
            if first:
                answers.append(world.ctl("node", "status")[2])
                answers.append(world.ctl("queue", "summary")[2])
            if counted["taken"] > count:
                taken = seconds
                break
            time.sleep(1 if run.quick else 5)
        counted, delivered = _count(world), world.count_delivered()
        # What case software sees of it, of all that was delivered by now.
        twice = [ref for ref, times in world.delivered_refs().items() if times > 1]
        violations += [Violation("I2", ref, "delivered twice") for ref in twice[:5]]
        lost = count + 1 - counted["taken"] - counted["seen"] - _unknown(world)
        if taken and lost:
            violations.append(
                Violation("I1", f"seed {run.seed}", f"{lost} drops are neither taken nor waiting")
            )
        late = [f"the first was delivered after {first:.0f} s"] if first > 15 else []
        if not first:
            violations.append(Violation("I1", f"seed {run.seed}", "nothing was delivered"))
        rate = counted["taken"] / max(1.0, time.monotonic() - began)
        if taken > 1_800 or (not taken and count / rate > 1_800):
            late.append(f"{rate:.0f} drops a second, too few for 100,000 within 30 minutes")
        if peak > _MIB_LIMIT:
            violations.append(Violation("I10", f"seed {run.seed}", f"the daemon took {peak:.0f} MiB"))
        violations += [Violation("I11", "log", line) for line in world.log_problems()[:5]]
    slow = max(answers, default=0.0)
    if slow > 2.0:
        late.append(f"a command answered after {slow:.1f} s")
    how = (
        f"all accepted after {taken:.0f} s"
        if taken
        else f"{counted['taken']} accepted before the time was over"
    )
    return Outcome(
        "F25", count, tuple(violations), (first,), short="; ".join(late),
        measured=f"{count} drops while the daemon was stopped; first delivered {first:.1f} s after it went"
        f" on, {how} ({_rates(marks)}), {delivered} delivered by then; most memory {peak:.0f} MiB; slowest"
        f" answer of exchangectl {slow:.1f} s of {len(answers)}, its start"
        f" included ({idle:.1f} s at an idle node)",
    )  # fmt: skip


def _rates(marks: list[tuple[float, int]]) -> str:
    """Drops a second in the first and in the last third: flat, if nothing grows faster than the queue."""
    if len(marks) < 6:
        return "too short for rates"
    third = len(marks) // 3
    parts = []
    for name, some in (("first", marks[: third + 1]), ("last", marks[-third - 1 :])):
        seconds = some[-1][0] - some[0][0]
        parts.append(f"{(some[-1][1] - some[0][1]) / max(seconds, 0.1):.0f} a second in the {name} third")
    return ", ".join(parts)


def _count(world: World) -> dict[str, int]:
    """Drops by what the node knows of them."""
    path = world.lab.layout.data(POLICE) / "ledger.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as ledger:
        rows: list[tuple[str, Any]] = ledger.execute(
            'SELECT state, count(*) FROM "drop" GROUP BY state'
        ).fetchall()
    return {"taken": 0, "seen": 0, **{state: int(number) for state, number in rows}}


def _unknown(world: World) -> int:
    """Names in the outbox of which the node knows nothing yet."""
    path = world.lab.layout.data(POLICE) / "ledger.sqlite3"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as ledger:
        known = {
            bytes(row[0]).decode("utf-8", "surrogateescape")
            for row in ledger.execute('SELECT name FROM "drop"')
        }
    return sum(name not in known for name in world.waiting())
