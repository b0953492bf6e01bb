"""The shard ``intake-scale``: an overflow, 100,000 drops at once, 100,000 files in one drop, 1 GiB in one.

What a machine did not come to within the time of a shard is said with its figures.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, Final

from certainty.intake import leaks
from certainty.intake.burst import MIB_LIMIT, burst
from certainty.intake.overflow import RARELY, overflow
from certainty.intake.papers import POLICE, PROCURATORATE, Papers
from certainty.intake.world import TooLateError, World, put, wait_for
from certainty.shard import Outcome, Run, Violation
from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from packet_spec.limits import MIB, PARTS

_MANY, _LARGE = 600_000, 700_000
# So long a verdict on many files may take.
_VERDICT_SECONDS: Final = 60.0
_TAKEN: Final = ("queued", "sent", "accepted", "delivered")
# What is refused over the limit of listed attachments, and over that of files that lie there, and as what.
_REFUSED: Final = {"over": "too-many-attachments", "far": "drop-too-many-files"}
# Mega (not mebi) bytes a second.
_RATE: Final = 25.0


def work(run: Run) -> Iterator[Outcome]:
    """F23, F25, F26 and F27."""
    papers = Papers()
    with World(run.folder / "one", settings=RARELY) as world:
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

        said: dict[str, Any] = {}
        try:
            said = wait_for(partial(_verdict, world, name), f"a verdict on {count} files", 180)
        except TooLateError as error:
            violations.append(Violation("I10", name, str(error)))
        seconds = time.monotonic() - began
        took.append(seconds)
        told.append(f"{count}: {in_short(said)} after {seconds:.1f} s")
        if said and (wrong := wrong_verdict(said, name, count)):
            violations.append(Violation("I10", name, wrong))
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
    return Outcome(
        "F26", len(cases), tuple(violations), tuple(took), planned=len(cases), goal_seconds=_VERDICT_SECONDS,
        measured=f"files in one drop: {'; '.join(told)}",
    )  # fmt: skip


def _verdict(world: World, name: str) -> dict[str, Any]:
    """The status of a drop once it is judged; empty before."""
    said = world.status(name)
    is_taken = said.get("packetId") and said["state"] in _TAKEN
    return said if is_taken or said.get("state") == "refused" else {}


def in_short(said: Mapping[str, Any]) -> str:
    """Taken, or by which finding it was refused."""
    if not said or said["state"] in _TAKEN:
        return "taken" if said else "nothing"
    return f"refused ({', '.join(str(each['code']) for each in said['finding'])})"


def wrong_verdict(said: Mapping[str, Any], name: str, count: int) -> str:
    """What is wrong with a verdict: ``at`` is taken; the others are refused by what names the limit."""
    expected = _REFUSED.get(name)
    if expected is None:
        return "" if said["state"] in _TAKEN else f"{count} files: {in_short(said)}"
    found = [each for each in said.get("finding", ()) if each["severity"] == "refuse"]
    is_named = any(each["code"] == expected and each.get("expected") == str(PARTS) for each in found)
    if said["state"] == "refused" and is_named:
        return ""
    return f"{count} files: {in_short(said)}, and not {expected} with its limit of {PARTS}"


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
        violations.append(Violation("I10", "large", f"a daemon took {max(peaks.values()):.0f} MiB of memory"))
    rate = size / seconds / 1e6
    return Outcome(
        "F27", 1, tuple(violations), planned=1,
        short=f"{rate:.0f} MB/s from outbox to inbox, and not {_RATE:.0f}" if rate < _RATE else "",
        measured=f"1 GiB (not 10 GB) from outbox to inbox over folder links in {seconds:.0f} s"
        f" ({rate:.0f} MB/s), the same bytes; most memory of a daemon {max(peaks.values()):.0f} MiB; no cut"
        " here: that is F60's",
    )  # fmt: skip


def _digests(folder: Path) -> set[tuple[int, str]]:
    """Size and SHA-256 of each file in a folder, whatever it is called."""
    found = set()
    for path in folder.iterdir():
        with path.open("rb") as file:
            found.add((path.stat().st_size, file_digest(file, "sha256").hexdigest()))
    return found
