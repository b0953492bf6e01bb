"""F37: an agency's volume without a free byte."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from pathlib import Path

from certainty.intake import leaks
from certainty.intake.papers import POLICE, Papers
from certainty.intake.world import QUICK_SCAN, TooLateError, World, all_delivered, put, wait_for
from certainty.shard import Outcome, Run, Violation


def full_volume(run: Run, papers: Papers) -> Outcome:
    """F37: to accept, nothing need be written on the agency's volume."""
    count, violations = 60, []
    world = World(run.folder / "full", settings=QUICK_SCAN)
    root = world.lab.layout.agency(POLICE)
    aside = root.with_name("aside")
    root.rename(aside)
    root.mkdir(mode=0o755)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", f"certainty-{os.getpid()}", str(root)], check=True
    )
    try:
        shutil.copytree(aside, root, dirs_exist_ok=True, symlinks=True)
        with world:
            put(world, papers.lone(800), "first.xml")
            wait_for(lambda: world.count_delivered() == 1, "the first drop", 90)
            world.lab.stop_node(POLICE)
            chosen = [papers.lone(801 + number) for number in range(count)]
            for number, paper in enumerate(chosen):
                put(world, paper, f"full-{number}.xml")
            _fill(root / "dossiers")
            world.lab.start_node(POLICE)
            violations += all_delivered(
                world, {each.ref for each in chosen}, "drops on a full volume", 90
            )
            if not is_full(root):
                raise RuntimeError("the agency's volume was not full while its drops were taken")
            late = papers.lone(1500)
            shutil.rmtree(root / "dossiers")
            began = time.monotonic()
            put(world, late, "after.xml")
            violations += all_delivered(world, {late.ref}, "a drop after there was room again", 60)
            names = {f"full-{number}.xml" for number in range(count)}
            try:
                wait_for(
                    lambda: names <= {path.name for path in (root / "sent").iterdir()}, "originals", 60
                )
                wait_for(lambda: all(map(world.status, names)), "the status files", 60)
            except TooLateError as error:
                violations.append(Violation("I16", f"seed {run.seed}", str(error)))
            recovery = time.monotonic() - began
            violations += leaks.problems(world, f"seed {run.seed}")
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=False)
    return Outcome(
        "F37", count, tuple(violations), (recovery,), planned=count,
        measured=f"{count} drops were taken and delivered while the agency's volume had no byte free; "
        f" originals and status files followed {recovery:.1f} s after there was room",
    )  # fmt: skip


def _fill(folder: Path) -> None:
    """Until nothing more can be written, not even one byte."""
    folder.mkdir()
    number, size = 0, 1 << 20
    while size:
        try:
            (folder / f"{number}").write_bytes(b"x" * size)
        except OSError:
            size //= 2
        number += 1


def is_full(folder: Path) -> bool:
    """Not one byte more can be written there."""
    probe = folder / "probe"
    try:
        probe.write_bytes(b"x")
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return True
    finally:
        probe.unlink(missing_ok=True)
    return False
