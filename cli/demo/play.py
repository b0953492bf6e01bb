"""Play the case: 27 packets through a running lab, then the faulty drops, each told as it ends.

Guarantees: everything is done and seen through the folders of the agencies, as case software would; ids
for inReplyTo come from the receiver's delivery.xml. A packet is dropped when the one before it is accepted
and the one that it answers lies in its sender's inbox. Nothing is waited for without end.

Leaves to others: making, starting and removing the lab (``stage``), what case software does (``desk``),
judging what lies in the folders at the end (``audit``), words (``timeline``), power cuts (``killing``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cli.demo.audit import find_differences
from cli.demo.case_data import DemoRow, demo_rows
from cli.demo.desk import Desk
from cli.demo.drops import DEMO_REFERENCE, DEMO_VIDEO_BYTES, DemoFault, demo_request, demo_row, faulty_drops
from cli.demo.journey import Ending, Journey
from cli.demo.killing import Killer, is_balanced
from cli.demo.outcome import Outcome, tell_fault, tell_packet
from cli.demo.patience import Patience, astray, stuck
from cli.demo.show import Show
from cli.demo.timeline import fault_lines, kill_lines, packet_lines
from cli.demo.travel import Travel
from cli.demo.waits import Waits, wait_until
from cli.demo.watch import Agency, Proofs
from cli.fiction.drop import make_drop
from cli.lab.errors import LabError
from cli.lab.lab import Lab
from cli.lab.starting import last_word
from exchanged.clock import Clock
from packet_spec.catalogue import load_catalogue
from packet_spec.identity import PacketKey
from packet_spec.told import Status

# A packet may be through before a power cut meets it; so many further ones are sent to be met.
_MOST_SPARES: Final = 30
_NODES_SECONDS: Final = 2.0
# The links have nothing left to say when every batch was acknowledged and removed by its writer.
_QUIET_SECONDS: Final = 30.0
_NUMBERED_BATCHES: Final = "*/*/[0-9]*.batch"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often to look (``step_seconds``), and when to give up: without any change, and altogether."""

    step_seconds: float = 0.05
    still_seconds: float = 90.0
    limit_seconds: float = 900.0


class Play:
    """One run of the demo in a lab that was started. ``killer`` may cut the power meanwhile."""

    def __init__(
        self,
        lab: Lab,
        show: Show,
        clock: Clock,
        waits: Waits,
        *,
        pace: Pace,
        video_bytes: int = DEMO_VIDEO_BYTES,
        killer: Killer | None = None,
    ) -> None:
        self._lab = lab
        self._show = show
        self._clock = clock
        self._waits = waits
        self._pace = pace
        self._video_bytes = video_bytes
        self._killer = killer
        self._catalogue = load_catalogue()
        self._agencies = {code: Agency(code, lab.agency_root(code)) for code in lab.agencies}
        self._proofs = Proofs.of(lab, lab.agencies[0])
        self._desk = Desk(self._agencies, lab.layout.root / "prepared", show, clock, waits)
        self._patience = Patience(
            clock, still_seconds=pace.still_seconds, limit_seconds=pace.limit_seconds
        )
        self._journeys: list[Journey] = []
        self._by_row: dict[int, Journey] = {}
        self._told = 0
        self._travel: Travel | None = None
        self._began = self._nodes_at = clock.monotonic()

    def run(self) -> Outcome:
        """Play everything and judge the end.

        Raises DemoStuckError, DemoAstrayError, LabError for a node that died, Interrupted, and what reading
        and writing the agencies' folders raises.
        """
        for row in demo_rows():
            self._play_row(row)
        self._play_spares()
        self._play_faults()
        self._wait_for(lambda: all(journey.is_complete for journey in self._journeys))
        self._become_quiet()
        return self._judge()

    @property
    def journeys(self) -> tuple[Journey, ...]:
        """Every drop so far, in order."""
        return tuple(self._journeys)

    def differences(self) -> tuple[str, ...]:
        """What the folders show now that an undisturbed run would not have left; empty when all is well."""
        agencies = tuple(self._agencies.values())
        return find_differences(agencies, self._journeys, self._proofs, self._clock.now())

    # --- dropping --------------------------------------------------------------------------------

    def _play_row(self, row: DemoRow) -> None:
        before = self._by_row.get(row.number - 1)
        answered = self._by_row.get(row.in_reply_to or 0)
        self._wait_for(
            lambda: (before is None or before.is_accepted) and (answered is None or answered.is_delivered)
        )
        drop = make_drop(demo_request(row, self._ids(), video_bytes=self._video_bytes), self._catalogue)
        journey = self._by_row[row.number] = self._begin(self._desk.drop(f"{row.number:02d}", row, drop))
        if any(document.size_bytes for document in drop.documents):
            self._travel = Travel.of(self._lab.layout, self._lab.province, journey.original)

    def _play_faults(self) -> None:
        """F1 and F4 are refused at the sender; F8 is one packet and one duplicate."""
        ids = self._ids()
        for fault, number in ((DemoFault.MISSING_UNDERTAKING, 11), (DemoFault.WRONG_CHECK_DIGIT, 5)):
            (drop,) = faulty_drops(fault, ids)
            self._begin(self._desk.drop(fault.value, demo_row(number), drop, Ending.REFUSED))
        label, row = DemoFault.DROPPED_TWICE.value, demo_row(4)
        first, second = faulty_drops(DemoFault.DROPPED_TWICE, ids)
        good = self._begin(self._desk.drop(label, row, first))
        self._wait_for(lambda: good.is_taken)
        self._begin(self._desk.drop(label, row, second, Ending.DUPLICATE))

    def _play_spares(self) -> None:
        """Send row 4 again and again, under new numbers, until every power cut has met a packet in flight."""
        killer, row = self._killer, demo_row(4)
        for number in range(1, _MOST_SPARES + 1):
            self._wait_for(lambda: all(journey.is_delivered for journey in self._journeys))
            if killer is None or killer.is_done:
                return
            label = f"S{number:02d}"
            request = demo_request(row, self._ids(), reference=f"{DEMO_REFERENCE}-{label}")
            journey = self._begin(self._desk.drop(label, row, make_drop(request, self._catalogue)))
            self._by_row[len(self._by_row) + 1] = journey

    def _begin(self, journey: Journey) -> Journey:
        self._journeys.append(journey)
        return journey

    def _ids(self) -> dict[int, PacketKey]:
        """What the receivers' delivery.xml says to use in inReplyTo, by row."""
        known = ((number, journey.reply_key) for number, journey in self._by_row.items())
        return {number: key for number, key in known if key is not None}

    # --- watching --------------------------------------------------------------------------------

    def _wait_for(self, done: Callable[[], bool]) -> None:
        while True:
            self._look()
            if done():
                return
            if why := self._patience.exhausted():
                raise stuck(self._lab, self._first_open(), why)
            self._waits.pause(self._pace.step_seconds)

    def _look(self) -> None:
        """One look at everything that is under way, and what follows from it."""
        moment = self._clock.now()
        for journey in self._journeys:
            if not journey.is_complete:
                journey.look(self._agencies.__getitem__, self._proofs, moment)
                if journey.went_wrong:
                    raise astray(self._lab, journey)
                self._desk.act(journey)
        self._tell_ended()
        self._show_progress()
        self._disturb()
        self._check_nodes()
        self._patience.note(
            (
                tuple(each.status and each.status.updated_at for each in self._journeys),
                self._proofs.receipts,
                sum(len(each.folders) for each in self._journeys),
                self._travel and self._travel.seen_bytes,
                self._killer and len(self._killer.kills),
            )
        )

    def _first_open(self) -> Journey | None:
        return next((journey for journey in self._journeys if not journey.is_complete), None)

    def _disturb(self) -> None:
        kill = None if self._killer is None else self._killer.step(self._by_row, self._status_now)
        if kill is not None:
            self._show.lines(kill_lines(kill))

    def _status_now(self, journey: Journey) -> Status | None:
        return self._agencies[journey.sender].status(journey.name)

    def _check_nodes(self) -> None:
        """A node that nobody killed and that does not run is the end of the demo."""
        now = self._clock.monotonic()
        if now - self._nodes_at < _NODES_SECONDS:
            return
        self._nodes_at = now
        died = next((state.name for state in self._lab.status() if state.state != "running"), None)
        if died is not None:
            log = self._lab.log(died)
            raise LabError(f"{died} ended by itself", where=str(log), found=last_word(log))

    def _become_quiet(self) -> None:
        """Wait until the links have nothing more to say: a packet sent twice would still be coming."""
        self._show.note("等待链路安静 waiting until the links are quiet")
        mailboxes = self._lab.layout.mailboxes
        seconds, step = _QUIET_SECONDS, self._pace.step_seconds
        if not wait_until(
            lambda: not any(mailboxes.glob(_NUMBERED_BATCHES)),
            self._waits,
            self._clock,
            seconds=seconds,
            step=step,
        ):
            left = ", ".join(str(path.relative_to(mailboxes)) for path in mailboxes.glob(_NUMBERED_BATCHES))
            raise stuck(self._lab, None, f"batches are not acknowledged after {seconds:.0f} s: {left}")

    def _judge(self) -> Outcome:
        differences = self.differences()
        kills = () if self._killer is None else tuple(self._killer.kills)
        if self._killer is not None and not is_balanced(kills):
            differences += (f"only {len(kills)} power cuts, or too few of a role, met a packet in flight",)
        good = [journey for journey in self._journeys if journey.ending is Ending.DELIVERED]
        return Outcome(
            packets=tuple(tell_packet(journey, self._began) for journey in good),
            faults=tuple(tell_fault(journey) for journey in self._journeys if journey not in good),
            kills=kills,
            receipts_verified=self._proofs.receipts,
            directory_version=self._proofs.directory.version,
            seconds=self._clock.monotonic() - self._began,
            differences=differences,
        )

    # --- telling ---------------------------------------------------------------------------------

    def _tell_ended(self) -> None:
        """Tell what has ended, in the order of dropping."""
        while self._told < len(self._journeys) and self._journeys[self._told].is_complete:
            journey = self._journeys[self._told]
            self._told += 1
            if journey.ending is Ending.DELIVERED:
                self._show.lines(packet_lines(tell_packet(journey, self._began), self._catalogue))
            else:
                self._show.lines(fault_lines(tell_fault(journey), self._catalogue))

    def _show_progress(self) -> None:
        if self._travel is not None and not self._travel.is_done:
            self._show.bar("传输视频 video on its way", self._travel.share())
        elif (journey := self._first_open()) is not None:
            name = self._catalogue.business_type(journey.row.business_type).zh
            state = "…" if journey.status is None else journey.status.state
            self._show.note(f"{journey.label} {name}: {state}")
