"""The shard ``intake-shares``: folders of which no event comes, that vanish, hang, fill up, or belong to two.

The share is a FUSE file system served by a process of its own; what another machine does is done in the
folder behind it. A hang is that process stopped by a signal: every call into the share then waits in the
kernel.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Final

from certainty.intake import leaks
from certainty.intake.full import full_volume
from certainty.intake.owners import permissions, two_daemons
from certainty.intake.papers import POLICE, Papers
from certainty.intake.slow import sealed_at
from certainty.intake.world import (
    QUICK_SCAN,
    SCAN_SECONDS,
    TooLateError,
    World,
    all_delivered,
    put,
    stop_signal,
    wait_for,
    wake,
)
from certainty.shard import Outcome, Run, Violation

DETENTION: Final = "620199-02-00"
# Beside the goal of two seconds more than a scan, for a machine with other work.
_BACK: Final = 60.0
_MISSING: Final = "state=missing"


def work(run: Run) -> Iterator[Outcome]:
    """F24, F31, F32, F33, F34 and F37."""
    papers, others = Papers(), Papers(DETENTION)
    with World(run.folder / "share", agencies=3, share=True, settings=QUICK_SCAN) as world:
        _warm_up(world, papers, others)
        for number, row in enumerate((without_events, vanished, hung)):
            run.progress(number, 6, row.__name__)
            yield row(run, world, papers, others)
    if not run.quick:
        run.progress(3, 6, "a full volume")
        yield full_volume(run, papers)
    run.progress(4, 6, "two daemons")
    yield two_daemons(run, papers)
    run.progress(5, 6, "permissions")
    yield permissions(run, papers)


def _warm_up(world: World, papers: Papers, others: Papers) -> None:
    put(world, papers.lone(1), "first.xml")
    put(world, others.lone(2), "first.xml", DETENTION)
    wait_for(lambda: world.count_delivered() == 2, "the first drops to be delivered", 90)


def _delays(world: World, put_at: dict[str, float]) -> list[float]:
    """Seconds from each drop to its seal, sorted."""
    return sorted(sealed_at(each) - put_at[each.ref] for each in world.delivered() if each.ref in put_at)


def without_events(run: Run, world: World, papers: Papers, _others: Papers) -> Outcome:
    """F24: the scan is the truth."""
    count, put_at = (5 if run.quick else 60), {}
    for number in range(count):
        paper = papers.lone(100 + number)
        put_at[paper.ref] = put(world, paper, f"noevent-{number}.xml")
        # Spread over the period of the scan.
        time.sleep(SCAN_SECONDS * (number % 7 + 1) / 8)
    violations = all_delivered(world, set(put_at), "drops without events", 60)
    delays = _delays(world, put_at)
    slowest = delays[-1] if delays else 0.0
    return Outcome(
        "F24", len(delays), tuple(violations), planned=count,
        short=f"picked up after {slowest:.1f} s" if slowest > SCAN_SECONDS + 2 else "",
        measured=f"no event comes of the share; sealed at most {slowest:.2f} s after the drop, with a scan"
        f" every {SCAN_SECONDS:g} s",
    )  # fmt: skip


def vanished(run: Run, world: World, papers: Papers, _others: Papers) -> Outcome:
    """F32: nothing counts as removed, the empty mount point is not read, and it resumes by itself."""
    assert world.share is not None
    rounds, violations, recovery = (1 if run.quick else 8), [], []
    share, mount = world.share, world.share.mount
    for turn in range(rounds):
        half = papers.folder(300 + turn)
        folder = world.outbox / f"half-{turn}"
        folder.mkdir()
        (folder / "packet.xml").write_bytes(half.xml)
        wait_for(partial(_is_incomplete, world, f"half-{turn}"), "a half drop", 60)
        lines = world.log().count(_MISSING)
        if turn % 2:
            # The server dies: every call on the mount fails until somebody unmounts it.
            assert share._process is not None
            share._process.kill()
            share._process.wait(10)
            time.sleep(2 * SCAN_SECONDS)
            subprocess.run(["umount", "--lazy", str(mount)], check=False)
            share._process = None
        else:
            share.vanish()
        if os.path.ismount(mount):
            raise RuntimeError("the share did not vanish")
        # What lies below the mount point is nobody's drop.
        decoy = papers.lone(400 + turn)
        (mount / "outbox").mkdir(parents=True, exist_ok=True)
        (mount / "outbox" / f"decoy-{turn}.xml").write_bytes(decoy.xml)
        # The small set is content with the line of the log, which comes at once.
        noticed = partial(_noticed, world, lines, in_notice=not run.quick)
        with suppress(TooLateError):
            wait_for(noticed, "the alarm", 75)
        if not noticed():
            violations.append(Violation("I13", f"turn {turn}", "no alarm within 75 s"))
        code, said, _ = world.ctl("node", "status")
        if code == 0 or "marker" not in said:
            violations.append(Violation("I13", f"turn {turn}", f"node status says nothing: {code}"))
        if not (mount / "outbox" / f"decoy-{turn}.xml").exists():
            violations.append(Violation("I1", f"turn {turn}", "the empty mount point was worked on"))
        shutil.rmtree(mount / "outbox")
        for left in mount.iterdir():
            violations.append(
                Violation("I1", f"turn {turn}", f"{left.name} was made on the empty mount point")
            )
            shutil.rmtree(left, ignore_errors=True)
        state = world.status(f"half-{turn}").get("state")
        if state != "incomplete":
            violations.append(Violation("I12", f"turn {turn}", f"the half drop became {state}"))
        share.start()
        began = time.monotonic()
        for name, data in half.files.items():
            (folder / name.decode()).write_bytes(data)
        violations += all_delivered(world, {half.ref}, f"the half drop of turn {turn}", _BACK)
        recovery.append(time.monotonic() - began)
        if world.delivered_refs()[decoy.ref]:
            violations.append(Violation("I6", decoy.ref, "a drop below the mount point was delivered"))
    states = {str(each["state"]) for each in world.all_status()}
    if "withdrawn" in states:
        violations.append(Violation("I12", f"seed {run.seed}", "a drop counts as withdrawn"))
    return Outcome(
        "F32", rounds, tuple(violations), tuple(recovery), planned=rounds, goal_seconds=_BACK,
        measured=f"unmounted {rounds - rounds // 2} times, server killed {rounds // 2} times; delivered at"
        f" most {max(recovery):.1f} s after the share was back; false states 0 unless told",
    )  # fmt: skip


def _is_incomplete(world: World, name: str) -> bool:
    return world.state(name) == "incomplete"


def _noticed(world: World, lines: int, *, in_notice: bool) -> bool:
    """The log told it once more than ``lines`` times; with ``in_notice`` a notice is open as well."""
    is_told = world.log().count(_MISSING) > lines
    return is_told and (not in_notice or _told(world, "folder-marker-bad"))


def _told(world: World, reference: str) -> bool:
    """An open notice below the node's own data directory."""
    folder = world.lab.layout.data(POLICE) / "notices"
    return any(b'state="open"' in path.read_bytes() for path in folder.glob(f"*-{reference}-*.xml"))


def hung(run: Run, world: World, papers: Papers, others: Papers) -> Outcome:
    """F33: other agencies and this one's links go on, somebody is told, and it goes on by itself."""
    assert world.share is not None
    probes, violations = (4 if run.quick else 60), []
    before = _pace(world, others, 500, probes)
    if len(before) < probes:
        raise RuntimeError("another agency's drops did not go their way before anything was broken")
    waits = papers.lone(700)
    stop_signal(world.share)
    stopped, late = time.monotonic(), []
    told = "the alarm, which takes half a minute, is waited for in the full set only"
    try:
        put(world, waits, "waits.xml")
        after = _pace(world, others, 600, probes)
        if not run.quick:
            alarm, seconds, wrong = _alarm(world, f"seed {run.seed}", stopped)
            violations += wrong
            told = f"alarm after {alarm:.0f} s; node status answered after {seconds:.0f} s"
            late = [f"alarm after {alarm:.0f} s"] if alarm > 60 else []
    finally:
        wake(world.share)
    began = time.monotonic()
    violations += all_delivered(world, {waits.ref}, "the drop that waited", _BACK)
    recovery = time.monotonic() - began
    if len(after) < probes:
        case = f"seed {run.seed}"
        violations.append(Violation("I9", case, f"{len(after)} of {probes} drops of others were delivered"))
    if _p95(after) > _p95(before) * 1.2:
        late.append(f"others: p95 {_p95(before):.2f} s before, {_p95(after):.2f} s while")
    # Of everything that was dropped in this world.
    violations += leaks.problems(world, f"seed {run.seed}")
    return Outcome(
        "F33", len(after), tuple(violations), (recovery,), short="; ".join(late), planned=probes,
        measured=f"others' drops to delivered: p95 {_p95(before):.2f} s before and {_p95(after):.2f} s while"
        f" the share hung; {told}; delivered {recovery:.1f} s after it went on",
    )  # fmt: skip


def _alarm(world: World, case: str, stopped: float) -> tuple[float, float, list[Violation]]:
    """Seconds until somebody is told, seconds until ``node status`` answers, and what is wrong with both."""
    noticed, found = partial(_told, world, "folder-hangs"), []
    with suppress(TooLateError):
        wait_for(noticed, "the alarm", 100)
    alarm = time.monotonic() - stopped
    if not noticed():
        found.append(Violation("I9", case, f"no alarm within {alarm:.0f} s"))
    code, said, seconds = world.ctl("node", "status", seconds=60)
    # Long paths are wrapped.
    if code == 0 or "does not answer" not in " ".join(said.split()):
        found.append(Violation("I13", case, f"node status said {code} after {seconds:.0f} s"))
    return alarm, seconds, found


def _pace(world: World, papers: Papers, first: int, count: int) -> list[float]:
    """Seconds to delivery of drops of another agency, one after the other."""
    found = []
    for number in range(first, first + count):
        paper = papers.lone(number)
        began = time.monotonic()
        put(world, paper, f"other-{number}.xml", DETENTION)
        try:
            wait_for(partial(world.has, paper.ref), "another agency's drop", 30, 0.05)
        except TooLateError:
            break
        found.append(time.monotonic() - began)
    return found


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)] if values else float("inf")
