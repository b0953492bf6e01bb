"""The people and programs around the folders: who drops, who reads, who answers, who acts as operator."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from certainty.simulation.drops import Sample
from certainty.simulation.kernel import PowerGone
from certainty.simulation.watch import Appearance
from certainty.simulation.world import World
from exchanged.acts.opening import desk_of
from exchanged.acts.values import Act, Filter, Operator, Request
from exchanged.errors import VolumeDamagedError
from frontend_server.role import frontend_agency
from packet_spec.errors import ExchangeError

_OPERATOR: Final = Operator("root", 0, "operator", 1000, "kernel")
# What else is held of a packet may have to be released by itself.
_ON_HOLD: Final = Filter(state="on-hold")
_DISPOSITION: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<disposition xmlns="urn:exchanged:disposition:1" packetId="{packet}" sender="{sender}"'
    ' kind="{kind}" by="虚构收案人" at="2026-07-15T10:00:00+08:00">{findings}</disposition>\n'
)
_FINDING: Final = '<finding code="wrong-agency"><zh>不属本单位管辖（虚构）</zh></finding>'


@dataclass
class Dropped:
    """One drop of one agency. ``twin``: the same content was dropped before."""

    sample: Sample
    name: str
    at: float
    twin: bool = False


@dataclass
class People:
    """Everybody around one world."""

    world: World
    dropped: list[Dropped] = field(default_factory=list)
    answered: dict[tuple[str, str], str] = field(default_factory=dict)
    # What operators cancelled, by agency and packet; also where the answer of that act was lost.
    cancelled: set[tuple[str, str]] = field(default_factory=set)
    # Readers that were asked for something: they do no harm while the world is checked at rest.
    reads: bool = True
    _names: int = 0

    def drop(self, sample: Sample) -> None:
        """The sender's case software drops this, as one rename."""
        self._names += 1
        twin = any(each.sample is sample for each in self.dropped)
        style = self.world.dice.choice(("D{:02d}", "案卷{:02d}", "same name"))
        name = style.format(self._names) + (".xml" if sample.is_lone else "")
        outbox = self.world.layout.agency(sample.sender) / "outbox"
        if (outbox / name).exists():
            name = f"D{self._names:02d}{'.xml' if sample.is_lone else ''}"
        self._place(outbox, name, sample.files, is_lone=sample.is_lone, agency=sample.sender)
        self.dropped.append(Dropped(sample, name, self.world.now, twin))
        self.world.tell(
            sample.sender,
            f"drops {name}: {sample.kind} {sample.number} for {', '.join(sample.recipients)}"
            + (", once more" if twin else ""),
        )

    def _place(
        self, outbox: Path, name: str, files: dict[str, bytes], *, is_lone: bool, agency: str
    ) -> None:
        temporary = outbox / f".{name}.tmp"
        # Times of files are the world's, or no two runs would be alike.
        stamp = 1_784_000_000_000_000_000 + int(self.world.now * 1_000_000) * 1000
        if is_lone:
            temporary.write_bytes(files["packet.xml"])
            os.utime(temporary, ns=(stamp, stamp))
        else:
            temporary.mkdir()
            for each, data in files.items():
                (temporary / each).write_bytes(data)
                os.utime(temporary / each, ns=(stamp, stamp))
        temporary.rename(outbox / name)
        node = self.world.nodes[agency]
        node.disk.put(outbox / name)
        node.wake(["intake"])

    # --- readers -----------------------------------------------------------------------------------

    def read(self, agency: str) -> None:
        """The receiver's case software looks into its inbox, and comes again."""
        world, dice = self.world, self.world.dice
        watch = world.inboxes[agency]
        for folder in sorted(watch.present) if self.reads else ():
            each = watch.present[folder]
            match dice.choice(("leave", "leave", "take", "mark", "sign", "refuse")):
                case "take":
                    world.tell(agency, f"reader takes {folder}")
                    self._take(agency, folder)
                case "mark" if not (watch.inbox / folder / "collected").exists():
                    world.tell(agency, f"reader marks {folder}")
                    (watch.inbox / folder / "collected").touch()
                    world.nodes[agency].disk.put(watch.inbox / folder / "collected")
                    watch.marked(folder)
                case "sign":
                    self._answer(agency, each, "signed")
                case "refuse" if dice.random() < 0.3:
                    self._answer(agency, each, "refused")
        world.at(world.now + dice.uniform(2.0, 25.0), "", partial(self.read, agency))

    def _take(self, agency: str, folder: str) -> None:
        watch = self.world.inboxes[agency]
        watch.about_to_take(folder)
        self.world.nodes[agency].disk.took(watch.inbox / folder)
        shutil.rmtree(watch.inbox / folder)

    def _answer(self, agency: str, each: Appearance, kind: str) -> None:
        key = (agency, each.packet_id)
        if key in self.answered or each.sample is None:
            return
        self.answered[key] = kind
        if kind == "refused":
            self.world.inboxes[agency].refused.add(each.packet_id)
        text = _DISPOSITION.format(
            packet=each.packet_id, sender=each.sample.sender, kind=kind,
            findings=_FINDING if kind == "refused" else "",
        )  # fmt: skip
        self._names += 1
        name = f"answer-{self._names}.xml"
        outbox = self.world.layout.agency(agency) / "outbox"
        self._place(outbox, name, {"packet.xml": text.encode()}, is_lone=True, agency=agency)
        self.world.tell(agency, f"answers {each.packet_id[-6:]}: {kind}")

    # --- operators -----------------------------------------------------------------------------------

    def operate(self, agency: str) -> None:
        """An operator of a front-end cancels, holds, releases, sends receipts again, or pauses a link."""
        node, dice = self.world.nodes[agency], self.world.dice
        if not node.is_up:
            return
        rows = node.opened.ledger.read().execute(
            "SELECT packet_id FROM packet WHERE own = 1 ORDER BY id"
        )
        ids = [row["packet_id"] for row in rows]
        act = dice.choice((Act.CANCEL, Act.CANCEL, Act.HOLD, Act.RELEASE, Act.RESEND, Act.PAUSE))
        link = node.config.links[0].name
        if act is Act.PAUSE:
            self._act(agency, Act.PAUSE, link)
            later = self.world.now + dice.uniform(1, 40)
            self.world.at(later, "", partial(self._act, agency, Act.RESUME, link))
        elif ids:
            packet = dice.choice(ids)
            self._act(agency, act, packet)
            if act is Act.HOLD:
                later = self.world.now + dice.uniform(1, 40)
                self.world.at(later, "", partial(self._act, agency, Act.RELEASE, packet, _ON_HOLD))

    def _act(self, agency: str, act: Act, what: str, wanted: Filter | None = None) -> None:
        node = self.world.nodes[agency]
        if not node.is_up:
            self.world.at(node.up_at + 1.0, "", partial(self._act, agency, act, what, wanted))
            return
        desk = desk_of(node.opened, frontend_agency(node.config))
        number = node.randomness.token(16).hex()
        request = Request(act, number, "a fictional reason", what, filter=wanted)
        try:
            answer = desk.handle(request, _OPERATOR)
        except PowerGone:
            self._perhaps(agency, act, what)
            self.world.power(node)
            self._again(agency, act, what, wanted)
        except VolumeDamagedError as error:
            self._perhaps(agency, act, what)
            self.world.damaged(node, error)
            self._again(agency, act, what, wanted)
        except ExchangeError as error:
            self.world.tell(agency, f"operator: {act} {what[-6:]}: {error.reference}")
        else:
            if answer.done:
                self.world.happened["operators"] += 1
                self._perhaps(agency, act, what)
            outcomes = [str(entry.outcome or entry.obstacle) for entry in (*answer.done, *answer.not_done)]
            self.world.tell(agency, f"operator: {act} {what[-6:]}: {', '.join(outcomes)}")

    def _perhaps(self, agency: str, act: Act, what: str) -> None:
        """The act was done, or was cut off: then nobody but the ledger knows whether it was."""
        if act is Act.CANCEL:
            self.cancelled.add((agency, what))

    def _again(self, agency: str, act: Act, what: str, wanted: Filter | None) -> None:
        """The command was cut off: the operator who let something wait looks again, and lets it go."""
        if act in (Act.RELEASE, Act.RESUME):
            self.world.at(self.world.now + 5.0, "", partial(self._act, agency, act, what, wanted))

    def let_go(self) -> None:
        """Nothing waits for an operator any more."""
        for agency in sorted(self.world.inboxes):
            for link in self.world.nodes[agency].config.links:
                self._act(agency, Act.RESUME, link.name)
            node = self.world.nodes[agency]
            if not node.is_up:
                self.world.at(node.up_at + 1.0, "", self.let_go)
                return
            rows = node.opened.ledger.read().execute(
                "SELECT packet_id FROM packet JOIN destination ON packet = packet.id"
                " WHERE destination.state = 'on-hold' ORDER BY packet.id"
            )
            for packet in [row["packet_id"] for row in rows]:
                self._act(agency, Act.RELEASE, packet, _ON_HOLD)
