"""F22, F28, F35 and F36: equal content, nothing in it, foreign clocks, twins."""

from __future__ import annotations

import os
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from certainty.intake.papers import POLICE, PROCURATORATE, Papers
from certainty.intake.slow import DELAY, DETENTION, RULES, is_whole, sealed_at, slow_writers, warm_up
from certainty.intake.world import SETTLE_SECONDS, TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation


def equal_content(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F22: the same content is one packet, the same name with other content another one."""
    pairs = 8 if run.quick else 200
    made, violations = papers[POLICE], []
    once = [made.lone(20_000 + number) for number in range(pairs)]
    for number, paper in enumerate(once):
        (world.outbox / f"twice-{number}-a.xml").write_bytes(paper.xml)
        if number % 2 == 0:
            (world.outbox / f"twice-{number}-b.xml").write_bytes(paper.xml)
    wait_for(
        lambda: all(world.status(f"twice-{number}-a.xml") for number in range(pairs)), "first drops", 60
    )
    for number, paper in enumerate(once):
        if number % 2:
            (world.outbox / f"twice-{number}-b.xml").write_bytes(paper.xml)
    again = [made.lone(21_000 + number) for number in range(pairs // 2)]
    for paper in again:
        # Case software that gives every drop one name.
        target = world.outbox / "always.xml"
        wait_for(partial(_is_free, target), "the name to be free", 60, 0.02)
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
        "F22", pairs + len(again), tuple(violations), planned=pairs + len(again),
        measured=f"{pairs} contents dropped twice under two names (half of them in one scan): one packet and"
        f" one duplicate each; {len(again)} contents under one name one after the other: as many packets",
    )  # fmt: skip


def _is_free(target: Path) -> bool:
    return not target.exists()


def nothing_in_it(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F28: a defined verdict with a reason, and no harm to the others."""
    rounds = 1 if run.quick else 10
    zip_end = b"PK\x05\x06" + bytes(18)
    files = {
        "zero.xml": b"", "zero.zip": b"", "end.zip": zip_end, "space.xml": b" \r\n",
        "bom.xml": b"\xef\xbb\xbf",
        "declaration.xml": b'<?xml version="1.0"?>', "root.xml": b"<packet/>", "zeros.xml": bytes(4096),
        "zeros.zip": bytes(4096),
    }  # fmt: skip
    cases, planned, violations = 0, 0, []
    told: dict[str, str] = {}
    for turn in range(rounds):
        for code in RULES:
            outbox = world.behind(code) / "outbox"
            marks = code == DETENTION
            number = 30_000 + turn * 10 + list(RULES).index(code)
            faulty = papers[code].faulty(500 + number)
            names = {f"{turn}-{name}": data for name, data in (files | faulty).items()}
            for name, data in names.items():
                (outbox / name).write_bytes(data)
                if marks:
                    (outbox / f"{name}.ok").touch()
            for name, inside in (
                (f"{turn}-empty", ()),
                (f"{turn}-zero", ("packet.xml",)),
                (f"{turn}-part", ("a.pdf",)),
            ):
                (outbox / name).mkdir()
                for each in inside:
                    (outbox / name / each).touch()
                if marks:
                    (outbox / f"{name}.ok").touch()
                names[name] = b""
            (outbox / f"{turn}-only.ok").touch()
            names[f"{turn}-only.ok"] = b""
            good = papers[code].lone(number)
            (outbox / f"good-{turn}.xml").write_bytes(good.xml)
            if marks:
                (outbox / f"good-{turn}.xml.ok").touch()
            # A mark of nothing, where marks are made: no drop, so nothing is said of it.
            planned += len(names) - marks
            try:
                wait_for(
                    partial(world.has, good.ref),
                    "a good drop beside empty ones",
                    60,
                    0.5,
                )
            except TooLateError as error:
                violations.append(Violation("I9", f"{code} turn {turn}", str(error)))
            for name in names:
                if marks and name.endswith(".ok"):
                    continue
                verdict = _verdict(world, name, code)
                told[name.split("-", 1)[1]] = verdict
                cases += bool(verdict)
                if not verdict:
                    violations.append(Violation("I13", f"{code} {name}", "nothing is said of it"))
    said = ", ".join(f"{name}: {verdict}" for name, verdict in sorted(told.items()))
    return Outcome(
        "F28", cases, tuple(violations), measured=f"each with a reason ({said})", planned=planned
    )


def _verdict(world: World, name: str, code: str) -> str:
    """State and reason, once it is neither new nor without a reason."""

    def reason() -> str:
        said = world.status(name, code)
        codes = [each["code"] for each in said.get("finding", ())] + list(said.get("missing", ()))
        return (
            f"{said['state']} ({codes[0]})" if said.get("state") not in (None, "seen") and codes else ""
        )

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
                paper = papers[code].lone(
                    40_000 + turn * 100 + number * 4 + list(RULES).index(code), 4000
                )
                refs.append(paper.ref)
                writers.append(
                    (world.behind(code) / "outbox" / f"clock-{turn}-{number}.xml", paper, code, moment)
                )
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
    short = f"sealed {slowest:.1f} s after it was whole" if slowest > DELAY else ""
    return Outcome(
        "F35", len(refs), tuple(violations), short=short,
        measured=f"times from 1940 to 2242, all three rules; slowest {slowest:.1f} s after the last byte",
    )  # fmt: skip


def twins(run: Run, world: World, papers: dict[str, Papers]) -> Outcome:
    """F36: two names that some systems take for one are two drops here."""
    stems = [
        "Fall",
        "fall",
        "FALL",
        "Straße",
        "STRASSE",
        "İstanbul",
        "istanbul",
        "K",
        "\u212a",
        "ﬁle",
        "file",
    ]
    stems += [
        unicodedata.normalize(form, stem)
        for stem in ("José", "Ångström", "가")
        for form in ("NFC", "NFD")
    ]
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
    shown = Counter(
        str(each["senderRef"]) for each in world.all_status() if each.get("senderRef") in names
    )
    violations += [
        Violation("I2", names[ref], "has no status of its own") for ref in names if shown[ref] != 1
    ]
    inbox = world.behind(PROCURATORATE) / "inbox"
    folded = Counter(path.name.casefold() for path in inbox.glob("*.*/*"))
    violations += [
        Violation("I2", name, "two delivered names meet") for name, times in folded.items() if times > 1
    ]
    return Outcome(
        "F36",
        len(names),
        tuple(violations),
        measured="each delivered once, each original kept by its name",
    )


def rows(run: Run, world: World, papers: dict[str, Papers]) -> Iterator[Outcome]:
    """All rows of this module, in one world."""
    warm_up(world, papers)
    for number, row in enumerate((slow_writers, equal_content, nothing_in_it, foreign_clocks, twins)):
        run.progress(number, 7, row.__name__)
        yield row(run, world, papers)
