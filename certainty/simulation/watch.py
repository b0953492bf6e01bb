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

from certainty.simulation.disk import VirtualDisk
from certainty.simulation.drops import Sample, mark_of

# What a front-end adds to a delivered folder (``frontend_server.staging``) or case software to it.
_ADDED: Final = frozenset(
    {"packet.utf8.xml", "delivery.xml", "seal.xml", "seal.sig", "accepted.xml", "collected"}
)
_OWN: Final = ("seal.xml", "seal.sig", "accepted.xml", "delivery.xml")
_MADE_BY_PACKET: Final = "packet.xml"


@dataclass
class Appearance:
    """One time that a folder appeared in an inbox. ``gone``: who took it, empty while it lies.

    ``marked_at``: when its reader put the mark ``collected`` into it. ``own``: what the product laid beside
    the drop's files, as it was when the folder appeared.
    """

    folder: str
    sample: Sample | None
    packet_id: str
    at: float
    gone: str = ""
    was_durable: bool = True
    may_come_again: bool = False
    marked_at: float | None = None
    own: dict[str, bytes] = field(default_factory=dict)

    @property
    def was_taken(self) -> bool:
        """Its reader took it or marked it: only then may anybody say that it was collected."""
        return self.gone == "reader" or self.marked_at is not None


@dataclass
class InboxWatch:
    """Everything that ever appeared in one agency's inbox."""

    agency: str
    root: Path
    disk: VirtualDisk
    samples: dict[str, Sample]
    broken: Callable[[str, str], None]
    time: Callable[[], float]
    # How long a marked folder must lie at least; that is not sure once the node's clock was wrong.
    kept_seconds: float = 0.0
    clock_was_wrong: bool = False
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
            self._removed(self.present.pop(folder))

    def _removed(self, each: Appearance) -> None:
        """The product took a folder away: it may do so with what was marked, when its time is over (C20)."""
        each.gone = "product"
        if each.marked_at is None:
            self.broken("I1", f"{self.agency}: {each.folder} was removed, and nobody had marked it collected")
        elif not self.clock_was_wrong and self.time() - each.marked_at < self.kept_seconds:
            lay = f"{self.time() - each.marked_at:.0f} of {self.kept_seconds:.0f} s"
            self.broken("I1", f"{self.agency}: {each.folder} was removed {lay} after it was marked")

    def marked(self, folder: str) -> None:
        """Its reader put the mark ``collected`` into a folder."""
        self.present[folder].marked_at = self.time()

    def appeared(self, folder: str) -> None:
        """A folder appeared under its final name; it must be whole at once."""
        path = self.inbox / folder
        _, packet_id, *attempt = path.name.split("_")
        sample = self._judge(folder, path)
        new = Appearance(folder, sample, packet_id, self.time(), own=_own(path))
        for old in self.every:
            same = old.packet_id == packet_id or (sample is not None and old.sample is sample)
            is_attempt = packet_id in self.refused and (bool(attempt) or old.gone != "")
            if same and not old.may_come_again and not is_attempt:
                self.broken("I2", f"{self.agency}: {folder} appears again, before as {old.folder}")
        self.every.append(new)
        self.present[folder] = new

    def judge_again(self) -> None:
        """After a power cut, and at rest: what lies here must be whole still, and what it was."""
        for folder, each in sorted(self.present.items()):
            self._judge(folder, self.inbox / folder)
            for name, data in sorted(_own(self.inbox / folder).items()):
                if each.own.get(name, data) != data:
                    self.broken("I4", f"{self.agency}: {folder}/{name} is not what it was any more")

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
        for name in _OWN:
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


def _own(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in _OWN if (path / name).is_file()}

