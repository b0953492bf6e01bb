"""F20: slow writers; and how a delivered packet is held against what was written."""

from __future__ import annotations

import re
import time
from collections import Counter
from contextlib import suppress
from datetime import datetime
from typing import Final

from certainty.intake.papers import Paper, Papers
from certainty.intake.world import (
    POLICE,
    SETTLE_SECONDS,
    Delivered,
    TooLateError,
    World,
    wait_for,
)
from certainty.intake.writers import Writer, append_after, make_writer, write_all
from certainty.shard import Outcome, Run, Violation

DETENTION, COURT = "620199-02-00", "620199-04-00"
# Who keeps which rule.
RULES: Final = {POLICE: "rename", DETENTION: "marker", COURT: "settled"}
# The goal: the settle time and two seconds. A machine with other work on it gets this much more.
DELAY: Final = SETTLE_SECONDS + 2.0
_SEALED: Final = re.compile(rb"<sealedAt>([^<]+)</sealedAt>")
_CONTENT: Final = re.compile(rb"<contentDigest>([^<]+)</contentDigest>")


def papers_of() -> dict[str, Papers]:
    """Papers from each of the three agencies."""
    return {code: Papers(code) for code in RULES}


def sealed_at(packet: Delivered) -> float:
    """When it was sealed, in seconds of the wall clock."""
    match = _SEALED.search(packet.files["delivery.xml"])
    return datetime.fromisoformat(match[1].decode()).timestamp() if match else 0.0


def content_of(packet: Delivered) -> str:
    """The digest of its content."""
    match = _CONTENT.search(packet.files["delivery.xml"])
    return match[1].decode() if match else ""


def is_whole(packet: Delivered, paper: Paper) -> bool:
    """Exactly the bytes that were written, under names of ours."""
    own = {"packet.xml", "seal.xml", "seal.sig", "delivery.xml", "accepted.xml"}
    files = [data for name, data in packet.files.items() if name not in own]
    return packet.files["packet.xml"] == paper.xml and sorted(files) == sorted(paper.files.values())


def slow_writers(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F20: none is taken before it is whole, and none much later."""
    count, longest = (27, 2.0) if run.quick else (500, 60.0)
    writers: dict[str, Writer] = {}
    for number in range(count):
        code = list(RULES)[number // 9 % 3]
        made = papers[code]
        form = number % 3
        paper = made.lone(number, 2000) if form == 2 else made.folder(number, 20_000)
        outbox = world.behind(code) / "outbox"
        # What stands still says that it is ready: by the rule "settled" it is refused where it is not.
        most = SETTLE_SECONDS * 0.6 if RULES[code] == "settled" else longest
        writer = make_writer(outbox, paper, RULES[code], number, most, run.seed)
        writers[paper.ref] = writer
    run.progress(0, count, "slow writers")
    write_all(list(writers.values()), time.monotonic() + longest * 12 + 60)
    longer = [
        Writer(f"later{number}.{form}", paper, "rename", form, "after")
        for number in range(count // 10)
        for form in [("xml", "zip")[number % 2]]
        for paper in [papers[POLICE].lone(10_000 + number) if number % 2 == 0
                      else papers[POLICE].folder(10_000 + number)]
    ]  # fmt: skip
    appended = append_after(world.outbox, longer)
    writers |= {writer.paper.ref: writer for writer in longer}
    violations: list[Violation] = []
    stood = {
        ref for ref, one in writers.items() if one.rule == "settled" and one.stood > SETTLE_SECONDS * 0.9
    }
    writers = {ref: writer for ref, writer in writers.items() if ref not in stood}
    with suppress(TooLateError):
        # By their references: the first drops of all lie there too.
        wait_for(lambda: writers.keys() <= world.delivered_refs().keys(), "all slow drops to be there", 300)
    seen: Counter[str] = Counter()
    delays: list[float] = []
    for packet in world.delivered():
        if packet.ref not in writers:
            continue
        writer = writers[packet.ref]
        case = f"seed {run.seed} writer {writer.name} ({writer.rule}, {writer.form}, {writer.style})"
        seen[packet.ref] += 1
        if not is_whole(packet, writer.paper):
            violations.append(Violation("I3", case, "what was delivered is not what was written"))
        delays.append(sealed_at(packet) - writer.done_at)
        if delays[-1] < 0:
            violations.append(Violation("I4", case, f"sealed {-delays[-1]:.3f} s before it was whole"))
    for ref, writer in writers.items():
        case = f"seed {run.seed} writer {writer.name} ({writer.rule}, {writer.form}, {writer.style})"
        if seen[ref] != 1:
            said = next(
                (each for code in RULES for each in [world.status(writer.name, code)] if each), {}
            )
            codes = [each["code"] for each in said.get("finding", ())]
            violations.append(
                Violation("I1" if seen[ref] == 0 else "I2", case,
                          f"delivered {seen[ref]} times; status {said.get('state')} {codes}")
            )  # fmt: skip
    ordered = sorted(delays) or [0.0]
    within = sum(delay <= DELAY for delay in delays)
    # Who was not written to after it was picked up was written whole at once: nothing was tried with it.
    cases = len(writers) - (len(longer) - appended)
    return Outcome(
        "F20", cases, tuple(violations), planned=0 if run.quick else 500,
        short="" if within == len(delays) else f"{len(delays) - within} taken later than {DELAY:g} s",
        measured=f"{len(writers)} writers with pauses up to {longest:g} s, {appended} of them written to"
        f" after they were picked up; sealed after the last byte: median {ordered[len(ordered) // 2]:.2f} s,"
        f" p95 {ordered[int(len(ordered) * 0.95)]:.2f} s, longest {ordered[-1]:.2f} s; {within} within the"
        f" settle time and 2 s ({DELAY:g} s); {len(stood)} more were not judged: this machine let them stand"
        " still for longer than the settle time",
    )  # fmt: skip


def warm_up(world: World, papers: dict[str, Papers]) -> None:
    """One drop each, so that worker processes run before anything is timed."""
    for number, code in enumerate(RULES):
        growing = world.behind(code) / "outbox" / ".first"
        growing.write_bytes(papers[code].lone(90_000 + number).xml)
        growing.rename(growing.with_name("first.xml"))
        growing.with_name("first.xml.ok").touch()
    wait_for(lambda: world.count_delivered() >= len(RULES), "the first drops to be delivered", 90)
