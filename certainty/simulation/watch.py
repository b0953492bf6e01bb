"""The invariants that are looked at all the time, from what anybody can see in the folders.

I2: a packet appears in an inbox once. I3, I4: whole, and with the bytes that were dropped. I6: at the right
recipient. I7: no receipt says what did not happen. What is allowed is C19 alone: after a power cut between
the rename and the flushing of the folder, one packet may be shown a second time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from certainty.simulation.disk import VirtualDisk
from certainty.simulation.drops import Sample, mark_of

# What a front-end adds to a delivered folder (``frontend_server.staging``) or case software to it.
_ADDED: Final = frozenset(
    {"packet.utf8.xml", "delivery.xml", "seal.xml", "seal.sig", "accepted.xml", "collected"}
)
_MADE_BY_PACKET: Final = "packet.xml"


@dataclass
class Appearance:
    """One time that a folder appeared in an inbox. ``gone``: who took it, empty while it lies."""

    folder: str
    sample: Sample | None
    packet_id: str
    at: float
    gone: str = ""
    was_durable: bool = True
    may_come_again: bool = False


@dataclass
class InboxWatch:
    """Everything that ever appeared in one agency's inbox."""

    agency: str
    root: Path
    disk: VirtualDisk
    samples: dict[str, Sample]
    broken: Callable[[str, str], None]
    time: Callable[[], float]
    # Packets that its people refused: a higher attempt of them may come (C12).
    refused: set[str] = field(default_factory=set)
    present: dict[str, Appearance] = field(default_factory=dict)
    every: list[Appearance] = field(default_factory=list)

    @property
    def inbox(self) -> Path:
        """Where packets appear."""
        return self.root / "inbox"

    def look(self) -> None:
        """What is new, and what is gone."""
        found = self._folders()
        for folder in sorted(found - self.present.keys()):
            self.appeared(folder)
        for folder in sorted(self.present.keys() - found):
            self.present.pop(folder).gone = "product"

    def appeared(self, folder: str) -> None:
        """A folder appeared under its final name; it must be whole at once."""
        path = self.inbox / folder
        _, packet_id, *attempt = path.name.split("_")
        sample = self._judge(folder, path)
        new = Appearance(folder, sample, packet_id, self.time())
        for old in self.every:
            same = old.packet_id == packet_id or (sample is not None and old.sample is sample)
            is_attempt = packet_id in self.refused and (bool(attempt) or old.gone != "")
            if same and not old.may_come_again and not is_attempt:
                self.broken("I2", f"{self.agency}: {folder} appears again, before as {old.folder}")
        self.every.append(new)
        self.present[folder] = new

    def judge_again(self) -> None:
        """After a power cut: what lies here must be whole still."""
        for folder in sorted(self.present):
            self._judge(folder, self.inbox / folder)

    def _judge(self, folder: str, path: Path) -> Sample | None:
        try:
            mark = mark_of((path / _MADE_BY_PACKET).read_bytes())
        except FileNotFoundError:
            self.broken("I3", f"{self.agency}: {folder} has no packet.xml")
            return None
        sample = self.samples.get(mark)
        if sample is None:
            self.broken("I4", f"{self.agency}: packet.xml of {folder} is none that was dropped")
            return None
        if self.agency not in sample.recipients:
            self.broken("I6", f"{self.agency}: {folder} is for {', '.join(sample.recipients)}")
        there = {each.name: each for each in path.iterdir() if each.name not in _ADDED}
        if there.keys() != sample.files.keys():
            self.broken("I3", f"{self.agency}: {folder} holds {sorted(there)}, not {sorted(sample.files)}")
        for name, data in sample.files.items():
            if name in there and there[name].read_bytes() != data:
                self.broken("I4", f"{self.agency}: {folder}/{name} has other bytes than were dropped")
        for name in ("seal.xml", "seal.sig", "accepted.xml", "delivery.xml"):
            if not (path / name).is_file() or not (path / name).stat().st_size:
                self.broken("I3", f"{self.agency}: {folder} has no {name}")
        return sample

    def about_to_take(self, folder: str) -> None:
        """The reader removes a folder."""
        taken = self.present.pop(folder)
        taken.gone = "reader"
        taken.was_durable = self.disk.is_durable(self.inbox / folder)

    def before_cut(self) -> None:
        """The power goes: what is not durable in the inbox may come again, by C19."""
        for folder, each in self.present.items():
            each.was_durable = self.disk.is_durable(self.inbox / folder)
        for each in self.every:
            each.may_come_again |= not each.was_durable

    def after_cut(self) -> list[Appearance]:
        """What the cut took away, which may come again; what it brought back is no new appearance."""
        found = self._folders()
        lost = [self.present.pop(folder) for folder in sorted(self.present.keys() - found)]
        for each in lost:
            if each.was_durable:
                self.broken("I1", f"{self.agency}: the power cut took {each.folder}, which was durable")
            each.gone = "cut"
        for folder in sorted(found - self.present.keys()):
            known = next((old for old in reversed(self.every) if old.folder == folder), None)
            if known is None:
                self.appeared(folder)
            else:
                known.gone = ""
                self.present[folder] = known
        for each in self.present.values():
            # It outlived the cut, so it is durable now.
            each.may_come_again = False
        self.judge_again()
        return lost

    def _folders(self) -> set[str]:
        return {
            f"{kind.name}/{folder.name}"
            for kind in self.inbox.iterdir()
            if kind.is_dir()
            for folder in kind.iterdir()
        }


@dataclass
class Watch:
    """All inboxes, and what was found broken so far."""

    inboxes: dict[str, InboxWatch]
    violations: list[Violation] = field(default_factory=list)

    def delivered(self, agency: str, packet_id: str) -> Appearance | None:
        """The last appearance of that packet at that agency."""
        every = self.inboxes[agency].every if agency in self.inboxes else []
        return next((each for each in reversed(every) if each.packet_id == packet_id), None)
