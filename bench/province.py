"""Our own system under measure: a real lab of real daemons and sshd, and clocks that look at folders.

Guarantees: a journey counts only after every packet was found in its inbox once, with the bytes that were
dropped, and its ``delivered`` receipt lay at the sender; anything else is an error, never a figure.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from bench.drops import POLICE, PROCURATORATE, Drops
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from cli.lab.processes import descendants, read_record

_LOOK_SECONDS: Final = 0.02
# What the daemons need to make their first connections.
_CALM_SECONDS: Final = 1.0


class NotArrivedError(RuntimeError):
    """Packets did not come to their end in time, or not as they were dropped."""


@dataclass(frozen=True, slots=True)
class Journey:
    """Seconds from the first rename into the outbox to all packets in the inbox, and to all receipts back."""

    inbox: float
    receipts: float


class Province:
    """A context manager: a province and its agencies, running. ``folder`` must not exist."""

    def __init__(self, folder: Path, agencies: Sequence[str] = (PROCURATORATE, POLICE)) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.lab: Lab = create_lab(folder / "lab", parse_plan({"agency": [{"code": each} for each in agencies]}))

    def __enter__(self) -> Province:
        try:
            self.lab.start()
            self._await_lines()
        except BaseException:
            self.lab.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.stop()

    def processes(self, name: str) -> list[psutil.Process]:
        """A node, or ``sshd``, with everything that it started."""
        record = read_record(self.lab.layout.record(name))
        if record is None:
            return []
        return [psutil.Process(each.pid) for each in (record, *descendants(record))]

    def outbox(self, agency: str) -> Path:
        """Where the agency's case software drops."""
        return self.lab.agency_root(agency) / "outbox"

    def stage(self, drops: Drops) -> Path:
        """Copies of the drops on the volume of the outbox, flushed: what case software did before."""
        staged = self.lab.agency_root(drops.sender) / "staging"
        drops.copy_to(staged)
        os.sync()
        return staged

    def send(self, drops: Drops, seconds: float) -> Journey:
        """Let all drops appear at once and wait for their end. Raises NotArrivedError after ``seconds``."""
        staged, outbox = self.stage(drops), self.outbox(drops.sender)
        inbox = self.lab.agency_root(drops.receiver) / "inbox"
        receipts = self.lab.agency_root(drops.sender) / "receipts"
        old_packets, old_receipts = set(packets_in(inbox)), set(_folders_of(receipts))
        began = time.monotonic()
        for name in drops.names:
            (staged / name).rename(outbox / name)
        count, deadline = len(drops.names), began + seconds
        in_inbox = self._await_count(inbox, count + len(old_packets), deadline) - began
        self._await_receipts(receipts, old_receipts, count, deadline)
        back = time.monotonic() - began
        staged.rmdir()
        arrived = [path for path in packets_in(inbox) if path not in old_packets]
        digests = {hashlib.sha256((path / "packet.xml").read_bytes()).hexdigest() for path in arrived}
        if len(arrived) != count or digests != drops.digests:
            raise NotArrivedError(f"{len(arrived)} packets arrived for {count}, or with other bytes")
        return Journey(in_inbox, back)

    def _await_lines(self) -> None:
        """Every dialling front-end has spoken to the province: its session stands."""
        deadline = time.monotonic() + 30
        while len(self.processes("sshd")) < 1 + len(self.lab.agencies):
            if time.monotonic() > deadline:
                raise NotArrivedError("the front-ends did not connect")
            time.sleep(0.1)
        time.sleep(_CALM_SECONDS)

    @staticmethod
    def _await_count(inbox: Path, count: int, deadline: float) -> float:
        while (found := sum(1 for _ in packets_in(inbox))) < count:
            if time.monotonic() > deadline:
                raise NotArrivedError(f"{found} of {count} packets had arrived in time")
            time.sleep(_LOOK_SECONDS * 2)
        return time.monotonic()

    @staticmethod
    def _await_receipts(receipts: Path, old: set[Path], count: int, deadline: float) -> None:
        delivered: set[Path] = set()
        while len(delivered) < count:
            for folder in _folders_of(receipts):
                if folder in delivered or folder in old:
                    continue
                if not any(name.startswith("delivered-") for name in os.listdir(folder)):
                    break
                delivered.add(folder)
            if time.monotonic() > deadline:
                raise NotArrivedError(f"{len(delivered)} of {count} receipts were back in time")
            time.sleep(_LOOK_SECONDS)


def packets_in(inbox: Path) -> Iterator[Path]:
    """The folders of all packets in an inbox."""
    for kind in _folders_of(inbox):
        yield from _folders_of(kind)


def _folders_of(folder: Path) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
