"""F70: what ever lay in a mailbox is put there again, in any order, under its own name and others."""

from __future__ import annotations

import random
import re
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path

from certainty.network.stage import COURT, POLICE, PROCURATORATE, Stage
from certainty.network.traffic import MIB, settle
from certainty.shard import Outcome, Run

_BATCH = re.compile(r"([0-9]{8})-[0-9a-f]{16}\.batch")
_LIMITS = {"link_scan_seconds": "0.5"}


class Copier:
    """Keeps what it sees in the mailboxes and puts it there again, 2 to 50 times each, whenever it likes."""

    def __init__(self, mailboxes: Path, seed: int, target: int) -> None:
        self._folders = [path for path in mailboxes.glob("*/*") if path.is_dir()]
        self._draw = random.Random(seed)
        self._target = target
        self._kept: dict[tuple[Path, str], tuple[bytes, int]] = {}
        self._ended = threading.Event()
        self.placed = 0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def files(self) -> int:
        """How many different files it has seen."""
        return len(self._kept)

    def stop(self) -> None:
        """Put nothing more."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.wait(0.02):
            self._look()
            for _ in range(8):
                if self.placed < self._target:
                    self._place()

    def _look(self) -> None:
        for folder in self._folders:
            for path in folder.iterdir():
                if path.suffix != ".batch" or path.name.startswith("."):
                    continue
                with suppress(OSError):
                    # An acknowledgement is replaced in place: each version of it is kept.
                    name = path.name if path.name != "ack.batch" else f"ack.batch {path.stat().st_mtime_ns}"
                    if (folder, name) not in self._kept:
                        self._kept[folder, name] = (path.read_bytes(), self._draw.randrange(2, 51))

    def _place(self) -> None:
        left = [key for key, (_, times) in self._kept.items() if times]
        if not left:
            return
        folder, name = self._draw.choice(left)
        data, times = self._kept[folder, name]
        self._kept[folder, name] = (data, times - 1)
        number = _BATCH.fullmatch(name)
        target = name.split(" ")[0]
        if number and self._draw.random() < 0.5:
            target = f"{number[1]}-{secrets.token_bytes(8).hex()}.batch"
        beside = folder / f".{secrets.token_hex(6)}.copy"
        with suppress(OSError):
            beside.write_bytes(data)
            beside.rename(folder / target)
            self.placed += 1


def put_again_and_again(run: Run) -> Outcome:
    """Real daemons over folder links, packets both ways, and the copier at work on all mailboxes."""
    target = 200 if run.quick else 10_000
    with Stage(
        run.folder / "f70", (POLICE, PROCURATORATE, COURT), seed=run.seed, limits=_LIMITS, link="folder"
    ) as stage:
        stage.take_out()
        stage.lab.start()
        copier = Copier(stage.folder / "mailboxes", run.seed, target)
        ends = time.monotonic() + (20 if run.quick else 300)
        ways = ((POLICE, PROCURATORATE), (PROCURATORATE, COURT), (COURT, POLICE), (POLICE, COURT))
        number = 0
        while copier.placed < target and time.monotonic() < ends and not run.is_over:
            large = number % 20 == 0
            sender, receiver = ways[0] if large else ways[number % len(ways)]
            sent = stage.drop(sender, receiver, video_bytes=2 * MIB if large else 0)
            number += 1
            if number % 4 == 0:
                # Otherwise everything goes in a few large batches.
                stage.wait(20, [sent])
            run.progress(copier.placed, target, "F70 copies")
        copier.stop()
        settle(stage, 120)
        found = stage.violations(f"seed {run.seed}")
    told = (
        f"{copier.placed} copies of {copier.files} batches and acknowledgements, each 2 to 50 times, under"
        f" their own and"
        f" other names, in any order, while {len(stage.sent)} packets moved:"
        f" {sum(each.invariant == 'I2' for each in found)}"
        " doubled."
    )
    return Outcome("F70", copier.placed, tuple(found), (), told, planned=target)
