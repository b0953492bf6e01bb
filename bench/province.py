"""Our own system under measure: a real lab of real daemons and sshd, and clocks that look at folders.

Guarantees: a journey counts only after every packet was found in its inbox once, with the bytes that were
dropped, and its ``delivered`` receipt lay at the sender; anything else is an error, never a figure.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import psutil

from bench.dossier import Dossier
from bench.drops import POLICE, PROCURATORATE, Drops
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from cli.lab.processes import descendants, read_record
from cli.lab.state import read_state
from packet_spec.errors import ExchangeError

# A hundredth of a burst; more often costs the measured ones their cores.
_LOOK_SECONDS: Final = 0.05
# What the daemons need to make their first connections.
_CALM_SECONDS: Final = 1.0
_CONNECT_SECONDS: Final = 120.0
_PORT_LINE: Final = re.compile(r"^port = \d+$", re.MULTILINE)


class NotArrivedError(RuntimeError):
    """Packets did not come to their end in time, or not as they were dropped."""


@dataclass(frozen=True, slots=True)
class Journey:
    """Seconds from the first rename into the outbox to all packets in the inbox, and to all receipts back."""

    inbox: float
    receipts: float


@dataclass(frozen=True, slots=True)
class _Before:
    """What lay in an inbox and among the receipts before a journey began."""

    inbox: Path
    receipts: Path
    packets: frozenset[Path]
    receipt_folders: frozenset[Path]


def lab_in(folder: Path, make: Callable[[Path], Lab]) -> Lab:
    """The lab that an earlier call made in ``folder``, as that left it; a new one when there is none."""
    place, made = folder / "lab", folder / "lab.made"
    if made.exists():
        return Lab.open(place)
    # A making that was broken off left nothing of worth.
    shutil.rmtree(place, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    lab = make(place)
    made.touch()
    return lab


def stop_labs(folder: Path) -> None:
    """End what a call that was killed left running of the labs in the folder of a row."""
    for made in (*folder.glob("lab.made"), *folder.glob("*/lab.made")):
        # What cannot be ended, or is no whole lab any more, is no reason to leave all that lies there.
        with suppress(ExchangeError, OSError, ValueError):
            Lab.open(made.with_name("lab")).stop()


class Province:
    """A context manager: a province and its agencies, running; with the lab in ``folder`` if there is one."""

    def __init__(self, folder: Path, agencies: Sequence[str] = (PROCURATORATE, POLICE)) -> None:
        self.folder = folder
        plan = parse_plan({"agency": [{"code": each} for each in agencies]})
        self.lab: Lab = lab_in(folder, lambda place: create_lab(place, plan))

    def __enter__(self) -> Self:
        try:
            # What a call that was killed left running is no child of this one: nobody would count its work.
            self.lab.stop()
            self.lab.start()
            self._await_lines()
        except BaseException:
            self.lab.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.lab.stop()

    @property
    def port(self) -> int:
        """Where the lab's server listens."""
        return read_state(self.lab.layout.state).port

    def dial(self, agency: str, port: int) -> None:
        """Let a front-end dial another port of this machine, from its next start on."""
        path = self.lab.node_config(agency)
        text = path.read_text(encoding="utf-8")
        path.write_text(_PORT_LINE.sub(f"port = {port}", text), encoding="utf-8")

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
        # What a call that was broken off had not let appear.
        shutil.rmtree(staged, ignore_errors=True)
        drops.copy_to(staged)
        os.sync()
        return staged

    def send(self, drops: Drops, seconds: float) -> Journey:
        """Let all drops appear at once and wait for their end. Raises NotArrivedError after ``seconds``."""
        staged, outbox = self.stage(drops), self.outbox(drops.sender)
        before = self._begin(drops.sender, drops.receiver)
        began = time.monotonic()
        for name in drops.names:
            (staged / name).rename(outbox / name)
        journey, arrived = self._follow(before, began, len(drops.names), seconds)
        staged.rmdir()
        digests = {hashlib.sha256((path / "packet.xml").read_bytes()).hexdigest() for path in arrived}
        if len(arrived) != len(drops.names) or digests != drops.digests:
            raise NotArrivedError(f"{len(arrived)} of {len(drops.names)} arrived, or with other bytes")
        return journey

    def hand_over(self, dossier: Dossier, seconds: float) -> Journey:
        """Let one dossier of this volume appear and wait for its end. Raises NotArrivedError."""
        sizes = {each.name: each.stat().st_size for each in dossier.path.iterdir()}
        before = self._begin(dossier.sender, dossier.receiver)
        target = self.outbox(dossier.sender) / dossier.path.name
        began = time.monotonic()
        dossier.path.rename(target)
        journey, arrived = self._follow(before, began, 1, seconds)
        found = {each.name: each.stat().st_size for path in arrived for each in path.iterdir()}
        if len(arrived) != 1 or not sizes.items() <= found.items():
            raise NotArrivedError(f"{len(arrived)} packets arrived for one, or with other files")
        return journey

    def _begin(self, sender: str, receiver: str) -> _Before:
        inbox = self.lab.agency_root(receiver) / "inbox"
        receipts = self.lab.agency_root(sender) / "receipts"
        return _Before(inbox, receipts, frozenset(packets_in(inbox)), frozenset(folders_of(receipts)))

    def _follow(
        self, before: _Before, began: float, count: int, seconds: float
    ) -> tuple[Journey, list[Path]]:
        """Until ``count`` more packets lie in the inbox and their receipts at the sender."""
        deadline = began + seconds
        in_inbox = self._await_count(before.inbox, count + len(before.packets), deadline) - began
        self._await_receipts(before.receipts, before.receipt_folders, count, deadline)
        back = time.monotonic() - began
        arrived = [path for path in packets_in(before.inbox) if path not in before.packets]
        return Journey(in_inbox, back), arrived

    def _await_lines(self) -> None:
        """Every dialling front-end has spoken to the province: its session stands."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while len(self.processes("sshd")) < 1 + len(self.lab.agencies):
            if time.monotonic() > deadline:
                raise NotArrivedError("the front-ends did not connect")
            time.sleep(0.1)
        time.sleep(_CALM_SECONDS)

    @staticmethod
    def _await_count(inbox: Path, count: int, deadline: float) -> float:
        """Counts names alone: whoever looks takes as little as he can of the cores that are measured."""
        while (found := sum(len(names_in(kind)) for kind in folders_of(inbox))) < count:
            if time.monotonic() > deadline:
                raise NotArrivedError(f"{found} of {count} packets had arrived in time")
            time.sleep(_LOOK_SECONDS)
        return time.monotonic()

    @staticmethod
    def _await_receipts(receipts: Path, old: frozenset[Path], count: int, deadline: float) -> None:
        done = {folder.name for folder in old}
        wanted = len(done) + count
        while True:
            for name in names_in(receipts) - done:
                if not any(each.startswith("delivered-") for each in names_in(receipts / name)):
                    break
                done.add(name)
            if len(done) >= wanted:
                return
            if time.monotonic() > deadline:
                raise NotArrivedError(f"{wanted - len(done)} of {count} receipts were not back in time")
            time.sleep(_LOOK_SECONDS)


def names_in(folder: Path) -> set[str]:
    """Everything in a folder that is not hidden; nothing when it is missing, or no folder."""
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if not entry.name.startswith(".")}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def packets_in(inbox: Path) -> Iterator[Path]:
    """The folders of all packets in an inbox."""
    for kind in folders_of(inbox):
        yield from folders_of(kind)


def folders_of(folder: Path) -> Iterator[Path]:
    """The folders in a folder that are no temporary ones; none when it is missing."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
