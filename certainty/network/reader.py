"""F76: a reader that opens, locks, deletes, renames and moves what is delivered the moment it shows."""

from __future__ import annotations

import fcntl
import random
import shutil
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from cli.demo.watch import read_delivery
from packet_spec.errors import ExchangeError
from packet_spec.identity import sha256_hex


class Reader:
    """Several threads on one inbox. ``partial`` are folders that were not whole when first seen."""

    def __init__(self, inbox: Path, aside: Path, seed: int) -> None:
        self._inbox, self._aside = inbox, aside
        aside.mkdir()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self.operations = 0
        self.appeared: Counter[str] = Counter()
        self.partial: list[str] = []
        self.taken: set[str] = set()
        self._threads = [threading.Thread(target=self._work, args=(seed + n,), daemon=True) for n in range(2)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Touch nothing more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _work(self, seed: int) -> None:
        draw = random.Random(seed)
        while not self._ended.wait(0.002):
            for folder in self._folders():
                with suppress(FileNotFoundError, NotADirectoryError):
                    self._meet(folder, draw)

    def _folders(self) -> list[Path]:
        with suppress(FileNotFoundError):
            types = [path for path in self._inbox.iterdir() if path.is_dir()]
            return [folder for each in types for folder in each.iterdir() if "_" in folder.name]
        return []

    def _meet(self, folder: Path, draw: random.Random) -> None:
        # Out of everybody's sight first, as a scanner's quarantine does: whole or not is judged there.
        for path in [*folder.iterdir()]:
            with suppress(FileNotFoundError), path.open("rb") as file:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.read(1 + draw.randrange(4096))
                self.operations += 1
        if draw.random() < 0.93:
            return
        mine = self._aside / f"{folder.name}.{threading.get_ident()}.{time.monotonic_ns()}"
        folder.rename(mine)
        self.operations += 1
        with self._lock:
            self.appeared[folder.name] += 1
            self.taken.add(folder.name)
            if problem := _problem(mine):
                self.partial.append(f"{folder.name}: {problem}")
        shutil.rmtree(mine)


def _problem(folder: Path) -> str:
    """What is missing in a delivered folder."""
    try:
        for each in read_delivery(folder).files:
            if sha256_hex((folder / each.file).read_bytes()) != each.digest:
                return f"{each.file} is not whole"
    except (OSError, ExchangeError) as error:
        return str(error)
    return ""


def read_greedily(run: Run) -> Outcome:
    """F76: packets are delivered into an inbox that is emptied at the same moment."""
    target = 300 if run.quick else 10_000
    found: list[Violation] = []
    case = f"seed {run.seed}"
    with Stage(run.folder / "f76", (POLICE, PROCURATORATE, COURT), seed=run.seed, link="folder") as stage:
        stage.lab.start()
        reader = Reader(stage.agency(PROCURATORATE).root / "inbox", run.folder / "f76-aside", run.seed)
        ends = time.monotonic() + (15 if run.quick else 180)
        number = 0
        while (reader.operations < target or number < 10) and time.monotonic() < ends and not run.is_over:
            if number % 10 == 0:
                sent = stage.drop(POLICE, PROCURATORATE, video_bytes=300_000)
            else:
                sent = stage.drop((POLICE, COURT)[number % 2], PROCURATORATE)
            number += 1
            if number % 8 == 0:
                stage.wait(20, [sent])
            run.progress(min(reader.operations, target), target, "F76 operations")
        settle(stage, 120)
        # A folder that is delivered again would show within a few looks of the node.
        time.sleep(5.0)
        reader.stop()
        found += [Violation("I3", case, what) for what in reader.partial]
        found += [
            Violation("I2", case, f"{name} was delivered {count} times")
            for name, count in reader.appeared.items()
            if count > 1
        ]
        found += stage.violations(case, reader.taken)
    told = (
        f"{reader.operations} opens, locks and moves by a reader while {len(stage.sent)} packets were"
        f" delivered;"
        f" {len(reader.taken)} were taken away the moment they showed, each whole, none came again."
    )
    short = (
        f"{reader.operations} of {target} operations in the time given" if reader.operations < target else ""
    )
    return Outcome("F76", reader.operations, tuple(found), (), told, short)
