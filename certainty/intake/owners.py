"""F31 and F34: files that the daemon may not read, and two daemons on one folder."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from certainty.intake import leaks
from certainty.intake.papers import POLICE, Papers
from certainty.intake.slow import sealed_at
from certainty.intake.world import ROOT, SCAN_SECONDS, TooLateError, World, wait_for
from certainty.shard import Outcome, Run, Violation

# Nobody's number on any system that this runs on.
USER: Final = 64_731
STRANGER: Final = 64_732
_DETENTION: Final = "620199-02-00"


def permissions(run: Run, papers: Papers) -> Outcome:
    """F31: what may not be read holds only itself, and is named."""
    count, violations = (3 if run.quick else 60), []
    with World(run.folder / "user", user=USER, settings={"": {"[folders] scan_seconds": "2.0"}}) as world:
        outbox = world.outbox
        closed: list[str] = []
        for number in range(count):
            paper = papers.lone(2000 + number)
            kind = number % 3
            name = f"closed-{number}" + (".xml" if kind == 0 else "")
            place = outbox / f".{name}"
            if kind == 0:
                place.write_bytes(paper.xml)
                os.chown(place, STRANGER, STRANGER)
                place.chmod(0o600)
            else:
                part = papers.folder(2000 + number)
                place.mkdir()
                (place / "packet.xml").write_bytes(part.xml)
                for each, data in part.files.items():
                    (place / each.decode()).write_bytes(data)
                inside = [place, *place.iterdir()]
                for path in inside:
                    os.chown(path, STRANGER, STRANGER)
                    path.chmod(0o777 if path.is_dir() else 0o666)
                # The folder itself, or the attachment only.
                shut = place if kind == 1 else next(path for path in inside if path.suffix == ".pdf")
                shut.chmod(0o700 if kind == 1 else 0o600)
            place.rename(outbox / name)
            closed.append(name)
        good = [papers.lone(3000 + number) for number in range(count)]
        put_at, woke = time.monotonic(), time.time()
        for number, paper in enumerate(good):
            place = outbox / f".good-{number}.xml"
            place.write_bytes(paper.xml)
            os.chown(place, world.user, world.user)
            place.rename(outbox / f"good-{number}.xml")
        refs = {paper.ref for paper in good}
        shown = -1.0
        with suppress(TooLateError):
            wait_for(lambda: all(world.state(name) == "held" for name in closed), "closed drops", 60)
            shown = time.monotonic() - put_at
        try:
            wait_for(
                lambda: refs <= set(world.delivered_refs()), "good drops beside closed ones", 60, 0.25
            )
        except TooLateError as error:
            violations.append(Violation("I9", f"seed {run.seed}", str(error)))
        others = max((sealed_at(each) - woke for each in world.delivered() if each.ref in refs), default=0.0)
        named = {name: world.status(name).get("state") for name in closed}
        violations += [
            Violation("I13", name, f"it is told as {state}")
            for name, state in named.items()
            if state != "held"
        ]
        _, said, _ = world.ctl("queue", "summary")
        if "held" not in said:
            violations.append(Violation("I13", "queue summary", f"nothing is named: {said[:200]!r}"))
        for name in closed:
            for path in (outbox / name, *(outbox / name).glob("*")):
                os.chown(path, world.user, world.user)
                path.chmod(0o770)
        began = time.monotonic()
        opened = {f"REF-{2000 + number:07d}" for number in range(count)}
        try:
            wait_for(lambda: opened <= set(world.delivered_refs()), "drops that were opened", 60, 0.25)
        except TooLateError as error:
            violations.append(Violation("I1", f"seed {run.seed}", str(error)))
        recovery = time.monotonic() - began
        violations += leaks.problems(world, f"seed {run.seed}")
    return Outcome(
        "F31", sum(state == "held" for state in named.values()), tuple(violations), (recovery,),
        short=f"the closed drops were told after {shown:.1f} s" if shown > SCAN_SECONDS + 2 else "",
        planned=count,
        measured=f"daemons of {'a user of their own' if world.user else 'root without any capability'};"
        f" {count} drops of another user were held and told after {shown:.1f} s, {len(good)} good ones beside"
        f" them sealed within {others:.1f} s; once opened, the others followed in {recovery:.1f} s",
    )  # fmt: skip


def two_daemons(run: Run, papers: Papers) -> Outcome:
    """F34: the second stays out, and says why; a lock ends with its process."""
    count, violations, recovery = (12 if run.quick else 1_000), [], []
    beside = 0
    with World(run.folder / "two", settings={"": {"[folders] scan_seconds": "1.0"}}) as world:
        lab = world.lab
        said, code = _run_second(lab.node_config(POLICE))
        if code == 0 or "another daemon runs on this data directory" not in said:
            violations.append(
                Violation("I13", "one data directory", f"the second said {code}: {said[-300:]!r}")
            )
        for _ in range(1 if run.quick else 10):
            lab.kill_node(POLICE)
            began = time.monotonic()
            lab.start_node(POLICE)
            recovery.append(time.monotonic() - began)
        clone = _clone(world)
        # In a network of its own, as two containers on one machine would be.
        command = ["unshare", "--net", sys.executable, "-P", "-m", "cli.daemon", "--config", str(clone)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = run.folder / "second.log"
        with log.open("wb") as output:
            second = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
            try:
                wait_for(lambda: b"state=in-use" in log.read_bytes(), "the second daemon to say why", 60)
                violations += _drop_for_two(world, papers, count)
                # They were two all the while.
                beside = count if second.poll() is None else 0
                # The first goes; the second may take over what was the first one's alone.
            except TooLateError as error:
                violations.append(Violation("I13", "one outbox", f"{error}: {log.read_text()[-300:]}"))
            finally:
                second.send_signal(signal.SIGTERM)
                with suppress(subprocess.TimeoutExpired):
                    second.wait(20)
                second.kill()
        if not list((clone.parent / "data" / "notices").glob("*folder-in-use*.xml")):
            violations.append(Violation("I13", "one outbox", "no notice names it"))
        violations += _other_name(world, papers)
        violations += leaks.problems(world, f"seed {run.seed}")
    rest = len(recovery) + 3
    return Outcome(
        "F34", beside + rest, tuple(violations), tuple(recovery), planned=count + rest,
        measured=f"a second daemon on one data directory ends with a message; of two with data directories"
        f" and networks of their own on one outbox the second takes nothing and says so ({count} drops, none"
        f" double); one of another name takes nothing; after {len(recovery)} kills the lock was free at once",
    )  # fmt: skip


def _run_second(config: Path) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cli.daemon", "--config", str(config)], capture_output=True, text=True,
        check=False, timeout=60, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return done.stdout + done.stderr, done.returncode


def _clone(world: World) -> Path:
    """The police's node once more, with keys, directory and folders the same, and nothing else."""
    source = world.lab.layout.node(POLICE)
    target = world.lab.layout.root / "nodes" / "second"
    for part in ("keys", "directory"):
        shutil.copytree(source / "data" / part, target / "data" / part)
    text = (source / "exchanged.toml").read_text("utf-8")
    text = re.sub(r'^mailbox = ".*"$', f'mailbox = "{target}/mailbox"', text, flags=re.MULTILINE)
    for direction in ("up", "down"):
        (target / "mailbox" / direction).mkdir(parents=True)
    (target / "data").chmod(0o750)
    (target / "exchanged.toml").write_text(text, "utf-8")
    return target / "exchanged.toml"


def _drop_for_two(world: World, papers: Papers, count: int) -> list[Violation]:
    refs = set()
    for number in range(count):
        paper = papers.lone(4000 + number)
        refs.add(paper.ref)
        place = world.outbox / f".two-{number}.xml"
        place.write_bytes(paper.xml)
        place.rename(world.outbox / f"two-{number}.xml")
    try:
        wait_for(
            lambda: refs <= set(world.delivered_refs()), "drops with two daemons", 60 + count / 5, 0.5
        )
    except TooLateError as error:
        return [Violation("I1", "one outbox", str(error))]
    counted = world.delivered_refs()
    ends = [Violation("I2", ref, f"delivered {counted[ref]} times") for ref in refs if counted[ref] != 1]
    mine = world.lab.layout.root / "nodes" / "second" / "mailbox" / "up"
    batches = [
        path for path in mine.glob("*.batch") if any(ref.encode() in path.read_bytes() for ref in refs)
    ]
    return ends + [
        Violation("I2", path.name, "the second daemon sent a drop as well") for path in batches
    ]


def _other_name(world: World, papers: Papers) -> list[Violation]:
    """The detention centre's node is pointed at the police's folders."""
    world.lab.stop_node(_DETENTION)
    world.lab.stop_node(POLICE)
    world.configure(_DETENTION, {"[folders] root": f'"{world.lab.layout.agency(POLICE)}"'})
    paper = papers.lone(9000)
    world.lab.start_node(_DETENTION)
    (world.outbox / "strange.xml").write_bytes(paper.xml)
    found = []
    try:
        wait_for(lambda: "state=foreign" in world.log(_DETENTION), "the other node to say why", 60)
    except TooLateError as error:
        found.append(Violation("I13", "another name", str(error)))
    time.sleep(5)
    if not (world.outbox / "strange.xml").exists():
        found.append(Violation("I5", "another name", "a node of another name took the drop"))
    return found
