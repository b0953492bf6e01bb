"""F20, F22, F28, F35 and F36: slow writers, equal content, nothing in it, foreign clocks, twins."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from certainty.intake.papers import Paper, Papers
from certainty.intake.world import (
    POLICE,
    PROCURATORATE,
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
_DELAY: Final = SETTLE_SECONDS + 2.0
_BUSY: Final = 10.0
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
    count, longest = (60, 2.5) if run.quick else (500, 60.0)
    writers: dict[str, Writer] = {}
    for number in range(count):
        code = list(RULES)[number // 9 % 3]
        made = papers[code]
        form = number % 3
        paper = made.lone(number, 2000) if form == 2 else made.folder(number, 20_000)
        outbox = world.behind(code) / "outbox"
        writer = make_writer(outbox, paper, RULES[code], number, longest, run.seed)
        if writer.rule == "settled" and (writer.form, writer.style) == ("xml", "random"):
            # What stands still with both of its ends there says that it is whole; this rule knows no better.
            writer = make_writer(outbox, paper, "settled", number, SETTLE_SECONDS * 0.6, run.seed)
        writers[paper.ref] = writer
    run.progress(0, count, "slow writers")
    write_all(list(writers.values()), time.monotonic() + longest * 12 + 60)
    longer = [
        Writer(f"later{number}.{('xml', 'zip')[number % 2]}", paper, "rename", ("xml", "zip")[number % 2], "after")
        for number in range(count // 10)
        for paper in [papers[POLICE].lone(10_000 + number) if number % 2 == 0
                      else papers[POLICE].folder(10_000 + number)]
    ]  # fmt: skip
    appended = append_after(world.outbox, longer)
    writers |= {writer.paper.ref: writer for writer in longer}
    violations: list[Violation] = []
    try:
        wait_for(lambda: world.count_delivered() >= len(writers), "all slow drops to be delivered", 120)
    except TooLateError:
        pass
    seen: Counter[str] = Counter()
    delays: list[float] = []
    for packet in world.delivered():
        writer = writers.get(packet.ref)
        if writer is None:
            continue
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
            said = next((each for code in RULES for each in [world.status(writer.name, code)] if each), {})
            codes = [each["code"] for each in said.get("finding", ())]
            violations.append(
                Violation("I1" if seen[ref] == 0 else "I2", case,
                          f"delivered {seen[ref]} times; status {said.get('state')} {codes}")
            )  # fmt: skip
    late = [delay for delay in delays if delay > _DELAY + _BUSY]
    if late:
        violations.append(Violation("I9", f"seed {run.seed}", f"{len(late)} taken later than {_DELAY + _BUSY} s"))
    ordered = sorted(delays) or [0.0]
    within = sum(delay <= _DELAY for delay in delays)
    return Outcome(
        "F20", len(writers), tuple(violations),
        measured=f"{len(writers)} writers with pauses up to {longest:g} s, {appended} of them written to after they"
        f" were picked up; sealed after the last byte: median {ordered[len(ordered) // 2]:.2f} s, p95"
        f" {ordered[int(len(ordered) * 0.95)]:.2f} s, longest {ordered[-1]:.2f} s; {within} within the settle time"
        f" and 2 s ({_DELAY:g} s)",
    )  # fmt: skip


def equal_content(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F22: the same content is one packet, the same name with other content another one."""
    pairs = 20 if run.quick else 200
    made, violations = papers[POLICE], []
    once = [made.lone(20_000 + number) for number in range(pairs)]
    for number, paper in enumerate(once):
        (world.outbox / f"twice-{number}-a.xml").write_bytes(paper.xml)
        if number % 2 == 0:
            (world.outbox / f"twice-{number}-b.xml").write_bytes(paper.xml)
    wait_for(lambda: all(world.status(f"twice-{number}-a.xml") for number in range(pairs)), "first drops", 60)
    for number, paper in enumerate(once):
        if number % 2:
            (world.outbox / f"twice-{number}-b.xml").write_bytes(paper.xml)
    again = [made.lone(21_000 + number) for number in range(pairs // 2)]
    for paper in again:
        # Case software that gives every drop one name.
        target = world.outbox / "always.xml"
        wait_for(lambda target=target: not target.exists(), "the name to be free", 60, 0.02)  # type: ignore[misc]
        growing = world.outbox / ".always"
        growing.write_bytes(paper.xml)
        growing.rename(target)
    wanted = {paper.ref for paper in (*once, *again)}
    try:
        wait_for(lambda: wanted <= set(world.delivered_refs()), "equal content to be delivered", 90, 1.0)
        wait_for(lambda: not any("twice" in name for name in world.waiting()), "pairs to be put away", 60)
    except TooLateError as error:
        violations.append(Violation("I1", f"seed {run.seed}", str(error)))
    counted = world.delivered_refs()
    violations += [
        Violation("I2" if counted[ref] > 1 else "I1", ref, f"delivered {counted[ref]} times")
        for ref in sorted(wanted) if counted[ref] != 1
    ]  # fmt: skip
    for number in range(pairs):
        states = sorted(str(world.status(f"twice-{number}-{which}.xml").get("state")) for which in "ab")
        if states.count("duplicate") != 1:
            violations.append(Violation("I16", f"twice-{number}", f"the pair is told as {states}"))
    return Outcome(
        "F22", pairs + len(again), tuple(violations),
        measured=f"{pairs} contents dropped twice under two names (half of them in one scan): one packet and one"
        f" duplicate each; {len(again)} contents under one name one after the other: as many packets",
    )  # fmt: skip


def nothing_in_it(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F28: a defined verdict with a reason, and no harm to the others."""
    rounds = 1 if run.quick else 10
    zip_end = b"PK\x05\x06" + bytes(18)
    files = {
        "zero.xml": b"", "zero.zip": b"", "end.zip": zip_end, "space.xml": b" \r\n", "bom.xml": b"\xef\xbb\xbf",
        "declaration.xml": b'<?xml version="1.0"?>', "root.xml": b"<packet/>", "zeros.xml": bytes(4096),
        "zeros.zip": bytes(4096),
    }  # fmt: skip
    cases, violations = 0, []
    told: dict[str, str] = {}
    for turn in range(rounds):
        for code in RULES:
            outbox = world.behind(code) / "outbox"
            marks = code == DETENTION
            names = {f"{turn}-{name}": data for name, data in files.items()}
            for name, data in names.items():
                (outbox / name).write_bytes(data)
                if marks:
                    (outbox / f"{name}.ok").touch()
            for name, inside in ((f"{turn}-empty", ()), (f"{turn}-zero", ("packet.xml",)), (f"{turn}-part", ("a.pdf",))):
                (outbox / name).mkdir()
                for each in inside:
                    (outbox / name / each).touch()
                if marks:
                    (outbox / f"{name}.ok").touch()
                names[name] = b""
            (outbox / f"{turn}-only.ok").touch()
            names[f"{turn}-only.ok"] = b""
            good = papers[code].lone(30_000 + turn * 10 + list(RULES).index(code))
            (outbox / f"good-{turn}.xml").write_bytes(good.xml)
            if marks:
                (outbox / f"good-{turn}.xml.ok").touch()
            cases += len(names)
            try:
                wait_for(lambda ref=good.ref: world.delivered_refs()[ref], "a good drop beside empty ones", 60, 0.5)  # type: ignore[misc]
            except TooLateError as error:
                violations.append(Violation("I9", f"{code} turn {turn}", str(error)))
            for name in names:
                if marks and name.endswith(".ok"):
                    # A mark of nothing: no drop, so nothing is said of it.
                    continue
                verdict = _verdict(world, name, code)
                told[name.split("-", 1)[1]] = verdict
                if not verdict:
                    violations.append(Violation("I13", f"{code} {name}", "nothing is said of it"))
    said = ", ".join(f"{name}: {verdict}" for name, verdict in sorted(told.items()))
    return Outcome("F28", cases, tuple(violations), measured=f"each with a reason ({said})")


def _verdict(world: World, name: str, code: str) -> str:
    """State and reason, once it is neither new nor without a reason."""

    def reason() -> str:
        said = world.status(name, code)
        codes = [each["code"] for each in said.get("finding", ())] + list(said.get("missing", ()))
        return f"{said['state']} ({codes[0]})" if said.get("state") not in (None, "seen") and codes else ""

    try:
        return wait_for(reason, name, 20)
    except TooLateError:
        return ""


def foreign_clocks(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F35: times of files decide nothing."""
    moments = (0, 1, -86_400 * 365 * 30, 2**31 - 1, 2**31, 2**33, 4_102_444_800, 946_684_800)
    violations, done, refs = [], {}, []
    rounds = 1 if run.quick else 12
    writers = []
    for turn in range(rounds):
        for number, moment in enumerate(moments):
            for code in RULES:
                paper = papers[code].lone(40_000 + turn * 100 + number * 4 + list(RULES).index(code), 4000)
                refs.append(paper.ref)
                writers.append((world.behind(code) / "outbox" / f"clock-{turn}-{number}.xml", paper, code, moment))
    whole = {paper.ref: paper for _, paper, _, _ in writers}
    for share in (0.3, 0.6, 1.0):
        # In pieces with the far time set after each, so that time never seems to pass at all.
        for path, paper, code, moment in writers:
            if RULES[code] == "rename" and share < 1.0:
                continue
            place = path.with_name(f".{path.name}") if RULES[code] == "rename" else path
            place.write_bytes(paper.xml[: int(len(paper.xml) * share)])
            os.utime(place, (moment, moment))
            if share == 1.0:
                done[paper.ref] = time.time()
                if place != path:
                    place.rename(path)
                elif RULES[code] == "marker":
                    path.with_name(f"{path.name}.ok").touch()
        if share < 1.0:
            time.sleep(SETTLE_SECONDS * 0.5)
    try:
        wait_for(lambda: set(refs) <= set(world.delivered_refs()), "drops of foreign clocks", 90, 1.0)
    except TooLateError as error:
        violations.append(Violation("I15", f"seed {run.seed}", f"stalled: {error}"))
    slowest = 0.0
    for packet in world.delivered():
        if packet.ref not in whole:
            continue
        if not is_whole(packet, whole[packet.ref]):
            violations.append(Violation("I3", packet.ref, "taken early"))
        slowest = max(slowest, sealed_at(packet) - done[packet.ref])
    if slowest > _DELAY + _BUSY:
        violations.append(Violation("I15", f"seed {run.seed}", f"sealed {slowest:.1f} s after it was whole"))
    return Outcome(
        "F35", len(refs), tuple(violations),
        measured=f"times from 1940 to 2242, under all three rules; slowest {slowest:.1f} s after the last byte",
    )  # fmt: skip


def twins(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F36: two names that some systems take for one are two drops here."""
    stems = ["Fall", "fall", "FALL", "Straße", "STRASSE", "İstanbul", "istanbul", "K", "\u212a", "ﬁle", "file"]
    stems += [unicodedata.normalize(form, stem) for stem in ("José", "Ångström", "가") for form in ("NFC", "NFD")]
    stems += ["神", "\ufa19"]
    rounds, violations = (1 if run.quick else 10), []
    names: dict[str, str] = {}
    for turn in range(rounds):
        for number, stem in enumerate(stems):
            paper = papers[POLICE].lone(50_000 + turn * 100 + number)
            names[paper.ref] = f"{stem}-{turn}.xml"
            (world.outbox / names[paper.ref]).write_bytes(paper.xml)
    try:
        wait_for(lambda: set(names) <= set(world.delivered_refs()), "twins to be delivered", 60, 0.5)
        wait_for(lambda: not set(names.values()) & set(world.waiting()), "twins to be put away", 60)
    except TooLateError as error:
        violations.append(Violation("I1", f"seed {run.seed}", str(error)))
    counted, sent = world.delivered_refs(), world.behind(POLICE) / "sent"
    for ref, name in names.items():
        if counted[ref] != 1:
            violations.append(Violation("I2", repr(name), f"delivered {counted[ref]} times"))
        path = sent / name
        if not path.is_file() or ref.encode() not in path.read_bytes():
            violations.append(Violation("I2", repr(name), "the original in sent/ is another's"))
    shown = Counter(str(each["senderRef"]) for each in world.all_status() if each.get("senderRef") in names)
    violations += [Violation("I2", names[ref], "has no status of its own") for ref in names if shown[ref] != 1]
    inbox = world.behind(PROCURATORATE) / "inbox"
    folded = Counter(path.name.casefold() for path in inbox.glob("*.*/*"))
    violations += [Violation("I2", name, "two delivered names meet") for name, times in folded.items() if times > 1]
    return Outcome("F36", len(names), tuple(violations), measured="each delivered once, each original kept by its name")


def warm_up(world: World, papers: dict[str, Papers]) -> None:
    """One drop each, so that worker processes run before anything is timed."""
    for number, code in enumerate(RULES):
        growing = world.behind(code) / "outbox" / ".first"
        growing.write_bytes(papers[code].lone(90_000 + number).xml)
        growing.rename(growing.with_name("first.xml"))
        growing.with_name("first.xml.ok").touch()
    wait_for(lambda: world.count_delivered() >= len(RULES), "the first drops to be delivered", 90)


def rows(run: Run, world: World, papers: dict[str, Papers]) -> Iterator[Outcome]:
    """All rows of this module, in one world."""
    warm_up(world, papers)
    for number, row in enumerate((slow_writers, equal_content, nothing_in_it, foreign_clocks, twins)):
        run.progress(number, 7, row.__name__)
        yield row(run, world, papers)
