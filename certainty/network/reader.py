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
from typing import Final

from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage
from certainty.network.traffic import settle
from certainty.shard import Outcome, Run, Violation
from cli.demo.watch import read_delivery
from packet_spec.errors import ExchangeError
from packet_spec.identity import sha256_hex

_OPERATIONS: Final = (300, 10_000)
_PACKETS: Final = (6, 300)
_SECONDS: Final = (15.0, 240.0)
# So many of the meetings end with a look; the others take the folder away, as it is or file by file.
_LOOKS: Final = 0.93
_MOVES: Final = 0.97


class Reader:
    """Several threads on one inbox; every folder is judged at first sight, before anybody takes it away.

    ``partial`` are folders that were not whole when first seen, ``appeared`` counts how often each came.
    """

    def __init__(self, inbox: Path, aside: Path, seed: int, threads: int = 2) -> None:
        self._inbox, self._aside = inbox, aside
        aside.mkdir()
        self._ended = threading.Event()
        # Held while a folder is judged, and while it is taken: what is there is there for everybody.
        self._lock = threading.Lock()
        self._present: set[str] = set()
        self.operations = 0
        self.appeared: Counter[str] = Counter()
        self.partial: list[str] = []
        self._threads = [
            threading.Thread(target=self._work, args=(seed + n,), daemon=True) for n in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def taken(self) -> set[str]:
        """The names of all folders that were taken away."""
        return {*self.appeared} - self._present

    def stop(self) -> None:
        """Take what is left, and touch nothing more."""
        self._ended.set()
        for thread in self._threads:
            thread.join()
        for folder in self._folders():
            self.see(folder)
            self._take(folder, in_place=False)

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

    def see(self, folder: Path) -> None:
        """Judge a folder that was not there before."""
        with self._lock:
            if folder.name in self._present or not folder.is_dir():
                return
            self._present.add(folder.name)
            self.appeared[folder.name] += 1
            if problem := _problem(folder):
                self.partial.append(f"{folder.name}: {problem}")

    def _meet(self, folder: Path, draw: random.Random) -> None:
        self.see(folder)
        for path in [*folder.iterdir()]:
            with suppress(FileNotFoundError), path.open("rb") as file:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.read(1 + draw.randrange(4096))
                self.operations += 1
        chance = draw.random()
        if chance >= _LOOKS:
            self._take(folder, in_place=chance >= _MOVES)

    def _take(self, folder: Path, *, in_place: bool) -> None:
        """Out of everybody's sight first, as a scanner's quarantine does, or deleted file by file."""
        mine = self._aside / f"{folder.name}.{threading.get_ident()}.{time.monotonic_ns()}"
        with self._lock:
            if folder.name not in self._present or not folder.is_dir():
                return
            if in_place:
                shutil.rmtree(folder)
            else:
                folder.rename(mine)
            self._present.discard(folder.name)
            self.operations += 1
        shutil.rmtree(mine, ignore_errors=True)


def _problem(folder: Path) -> str:
    """What is missing in a delivered folder."""
    try:
        delivery = read_delivery(folder)
        if sha256_hex((folder / "packet.xml").read_bytes()) != delivery.packet_digest:
            return "packet.xml is not whole"
        for each in delivery.files:
            if sha256_hex((folder / each.file).read_bytes()) != each.digest:
                return f"{each.file} is not whole"
        missing = [name for name in ("seal.xml", "seal.sig", "accepted.xml") if not (folder / name).is_file()]
    except (OSError, ExchangeError) as error:
        return str(error)
    return f"without {', '.join(missing)}" if missing else ""


def read_greedily(run: Run) -> Outcome:
    """F76: packets are delivered into an inbox that is emptied at the same moment."""
    operations, packets = _OPERATIONS[not run.quick], _PACKETS[not run.quick]
    found: list[Violation] = []
    case = f"seed {run.seed}"
    with Stage(run.folder / "f76", (POLICE, PROCURATORATE, COURT), seed=run.seed, link="folder") as stage:
        stage.lab.start()
        reader = Reader(stage.agency(PROCURATORATE).root / "inbox", run.folder / "f76-aside", run.seed)
        ends = time.monotonic() + _SECONDS[not run.quick]
        number = 0
        while (reader.operations < operations or number < packets) and time.monotonic() < ends:
            if run.is_over:
                break
            if number % 10 == 0:
                sent = stage.drop(POLICE, PROCURATORATE, video_bytes=300_000)
            else:
                sent = stage.drop((POLICE, COURT)[number % 2], PROCURATORATE)
            number += 1
            if number % 8 == 0:
                stage.wait(20, [sent])
            run.progress(min(number, packets), packets, f"F76 packets, {reader.operations} operations")
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
    taken = len(reader.taken)
    told = (
        f"{taken} packets taken away or deleted by a reader that had judged each at first sight, packet.xml"
        f" too, in {reader.operations} opens, locks, moves and removals."
    )
    short = ""
    if reader.operations < operations:
        short = f"{reader.operations:,} of {operations:,} operations in the time given"
    return Outcome("F76", taken, tuple(found), (), told, short, planned=packets)
