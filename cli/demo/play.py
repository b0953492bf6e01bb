"""Play the case: 27 packets through a running lab, then the faulty drops, each told as it ends.

Guarantees: everything is done and seen through the folders of the agencies, as case software would: drops
appear in outboxes by one rename, ids for inReplyTo come from the receiver's delivery.xml, folders are
marked, taken out or signed for. A packet is dropped when the one before it is accepted and the one that
it answers lies in its sender's inbox. Nothing is waited for without end.

Leaves to others: making, starting and removing the lab (``stage``), judging what lies in the folders at
the end (``audit``), words (``timeline``), power cuts (``killing``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cli.demo.audit import find_differences
from cli.demo.case_data import OFFICERS, DemoRow, demo_rows
from cli.demo.drops import DEMO_REFERENCE, DemoFault, demo_request, demo_row, faulty_drops
from cli.demo.errors import DemoAstrayError, DemoStuckError
from cli.demo.journey import Act, Ending, Journey
from cli.demo.killing import Killer
from cli.demo.outcome import Outcome, tell_fault, tell_packet
from cli.demo.show import Show
from cli.demo.timeline import alias, fault_lines, kill_lines, packet_lines
from cli.demo.travel import Travel
from cli.demo.waits import Waits, wait_until
from cli.demo.watch import Agency, Proofs, read_original
from cli.fiction.agencies import find_agency
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import Drop
from cli.fiction.values import SHANGHAI
from cli.fiction.writer import DropFormat, write_drop
from cli.lab.errors import LabError
from cli.lab.lab import Lab
from cli.lab.starting import last_word
from exchanged.clock import Clock
from exchanged.durable import DurableFiles, Volume
from frontend_server.collected import MARKER_NAME
from packet_spec.catalogue import Catalogue, load_catalogue
from packet_spec.identity import PacketKey
from packet_spec.model import Status
from packet_spec.xml import new_root, write_document

# What receivers do with what they got: row -> sign of the agency -> act. The others leave it in the inbox.
ACTS: Final[Mapping[int, Mapping[str, Act]]] = MappingProxyType(
    {
        1: {"PRO": Act.MARK},
        2: {"PRO": Act.SIGN},
        3: {"POL": Act.MARK},
        6: {"PRO": Act.REMOVE},
        11: {"CRT": Act.SIGN},
        12: {"POL": Act.REMOVE},
        15: {"PRO": Act.MARK},
        17: {"PRO": Act.SIGN, "POL": Act.SIGN},
        20: {"COR": Act.SIGN, "POL": Act.MARK},
        25: {"COR": Act.SIGN},
    }
)
# Most case software writes folders in UTF-8; some packs zips, and an old program writes GBK.
_ZIPS: Final = frozenset({8, 22})
_GBK: Final = frozenset({19})
# The numbers under which the killer knows the packets: the good one of F8 comes after the story.
_ROW_OF_F8: Final = 28
_NODES_SECONDS: Final = 2.0
# The links have nothing left to say when every batch was acknowledged and removed by its writer.
_QUIET_SECONDS: Final = 20.0


class Play:
    """One run of the demo in a lab that was started."""

    def __init__(
        self,
        lab: Lab,
        show: Show,
        clock: Clock,
        waits: Waits,
        *,
        video_bytes: int,
        step_seconds: float,
        patience_seconds: float,
        limit_seconds: float,
    ) -> None:
        """Look every ``step_seconds``; give up after ``patience_seconds`` without any change, or at the limit."""
        self._lab = lab
        self._show = show
        self._clock = clock
        self._waits = waits
        self._video_bytes = video_bytes
        self._step_seconds = step_seconds
        self._patience_seconds = patience_seconds
        self._catalogue: Catalogue = load_catalogue()
        self._files = DurableFiles(Volume.FOREIGN)
        self._prepared = lab.layout.root / "prepared"
        self._agencies = {code: Agency(code, lab.agency_root(code)) for code in lab.agencies}
        self._proofs = Proofs.of(lab, lab.agencies[0])
        self._journeys: list[Journey] = []
        self._by_row: dict[int, Journey] = {}
        self._untold: list[Journey] = []
        self._travel: Travel | None = None
        self._began = clock.monotonic()
        self._deadline = self._began + limit_seconds
        self._changed_at = self._began
        self._seen: object = None
        self._nodes_at = self._began
        self._killer: Killer | None = None

    @property
    def began(self) -> float:
        """The monotonic time at which the play began."""
        return self._began

    @property
    def open_journey(self) -> Journey | None:
        """The first packet that has not ended yet."""
        return next((journey for journey in self._journeys if not journey.is_complete), None)

    def disturb_by(self, killer: Killer) -> None:
        """Let ``killer`` cut the power while packets are in flight."""
        self._killer = killer

    def run(self) -> Outcome:
        """Play everything and judge the end.

        Raises DemoStuckError, DemoAstrayError, LabError for a node that died, Interrupted, and what reading
        and writing the agencies' folders raises.
        """
        self._prepared.mkdir(mode=0o750)
        for row in demo_rows():
            self._play_row(row)
        self._play_faults()
        self._wait_for(lambda: all(journey.is_complete for journey in self._journeys))
        self._become_quiet()
        differences = find_differences(
            tuple(self._agencies.values()), self._journeys, self._proofs, self._clock.now()
        )
        if self._killer is not None and not self._killer.is_done:
            differences += (f"only {len(self._killer.kills)} of the planned power cuts found a packet in flight",)
        return Outcome(
            packets=tuple(self._tell_packet(each) for each in self._journeys if each.key is not None),
            faults=tuple(tell_fault(each) for each in self._journeys if each.ending is not Ending.DELIVERED),
            kills=() if self._killer is None else tuple(self._killer.kills),
            receipts_verified=self._proofs.receipts,
            directory_version=self._proofs.directory.version,
            seconds=self._clock.monotonic() - self._began,
            differences=differences,
        )

    # --- dropping --------------------------------------------------------------------------------

    def _play_row(self, row: DemoRow) -> None:
        before = self._by_row.get(row.number - 1)
        answered = self._by_row.get(row.in_reply_to or 0)
        if answered is not None:
            self._wait_for(lambda: answered.is_delivered)
        if before is not None:
            self._wait_for(lambda: before.is_accepted)
        ids = self._ids()
        drop = make_drop(demo_request(row, ids, video_bytes=self._video_bytes), self._catalogue)
        journey = self._drop(f"{row.number:02d}", row, drop)
        by_alias = ACTS.get(row.number, {})
        journey.acts = {code: by_alias[alias(code)] for code in journey.recipients if alias(code) in by_alias}
        self._by_row[row.number] = journey
        if any(document.size_bytes for document in drop.documents):
            self._travel = Travel.of(self._lab.layout, self._lab.province, journey.original)

    def _play_faults(self) -> None:
        ids = self._ids()
        for fault, number in ((DemoFault.MISSING_UNDERTAKING, 11), (DemoFault.WRONG_CHECK_DIGIT, 5)):
            (drop,) = faulty_drops(fault, ids)
            self._drop(fault.value, demo_row(number), drop, Ending.REFUSED)
        first, second = faulty_drops(DemoFault.DROPPED_TWICE, ids)
        row = demo_row(4)
        good = self._drop(DemoFault.DROPPED_TWICE.value, row, first)
        self._by_row[_ROW_OF_F8] = good
        self._wait_for(lambda: good.is_taken)
        self._drop(DemoFault.DROPPED_TWICE.value, row, second, Ending.DUPLICATE)

    def _ids(self) -> dict[int, PacketKey]:
        return {
            number: journey.reply_key
            for number, journey in self._by_row.items()
            if journey.reply_key is not None
        }

    def _drop(self, label: str, row: DemoRow, drop: Drop, ending: Ending = Ending.DELIVERED) -> Journey:
        """Write a drop where nobody looks, then let it appear in the outbox, whole."""
        written = write_drop(
            drop,
            self._prepared,
            drop_format=_format(row, drop),
            encoding=DropEncoding.GBK if row.number in _GBK else DropEncoding.UTF_8,
            progress=self._progress(drop),
        )
        original = read_original(written)
        outbox = self._agencies[original.envelope.sender].outbox
        self._files.rename_new(written, outbox / written.name)
        now = self._clock.monotonic()
        journey = Journey(label, row, written.name, original, self._clock.now(), now, ending)
        self._journeys.append(journey)
        self._untold.append(journey)
        self._changed_at = now
        return journey

    def _progress(self, drop: Drop) -> _Written | None:
        total = sum(document.size_bytes for document in drop.documents)
        return _Written(total, self._show, self._waits) if total else None

    # --- watching --------------------------------------------------------------------------------

    def _wait_for(self, done: _Condition) -> None:
        while True:
            self._look()
            if done():
                return
            self._give_up_when_late()
            self._waits.pause(self._step_seconds)

    def _look(self) -> None:
        """One look at everything that is under way, and what follows from it."""
        moment = self._clock.now()
        for journey in self._journeys:
            if not journey.is_complete:
                journey.look(self._agencies.__getitem__, self._proofs, moment)
                if journey.went_wrong:
                    raise self._astray(journey)
                self._act(journey)
        self._tell_ended()
        self._show_progress()
        self._disturb()
        self._check_nodes()
        self._note_changes()

    def _act(self, journey: Journey) -> None:
        """Do as the receivers' case software, once their folder is there and the sender knows it."""
        if not journey.is_delivered or journey.key is None:
            return
        for code, act in journey.acts.items():
            if code in journey.answered:
                continue
            folder = journey.folders[code]
            match act:
                case Act.MARK:
                    (folder / MARKER_NAME).touch()
                case Act.REMOVE:
                    self._files.remove_tree(folder)
                case Act.SIGN:
                    self._sign(journey.key, code, journey.label)
            journey.answered.add(code)

    def _sign(self, key: PacketKey, code: str, label: str) -> None:
        """The handler of ``code`` signs for the packet (签收), as a drop of its own (custody C22)."""
        root = new_root(
            "disposition",
            "disposition",
            {
                "packetId": key.packet_id,
                "sender": key.sender,
                "kind": "signed",
                "by": OFFICERS[alias(code)][0],
                "at": self._clock.now().astimezone(SHANGHAI).isoformat(timespec="seconds"),
            },
        )
        name = f"{DEMO_REFERENCE}-{label}-signed-{alias(code)}.xml"
        self._files.write_new(self._agencies[code].outbox / name, (write_document(root),))

    def _disturb(self) -> None:
        if self._killer is None:
            return
        kill = self._killer.step(self._by_row, self._status_now)
        if kill is not None:
            self._show.lines(kill_lines(kill))
            self._changed_at = self._clock.monotonic()

    def _status_now(self, journey: Journey) -> Status | None:
        return self._agencies[journey.sender].status(journey.name)

    def _check_nodes(self) -> None:
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
        self._show.note("等待链路安静 waiting for the links to become quiet")
        is_quiet = wait_until(
            lambda: not any(self._lab.layout.mailboxes.glob("*/*/[0-9]*.batch")),
            self._waits,
            self._clock,
            seconds=_QUIET_SECONDS,
            step=self._step_seconds,
        )
        if not is_quiet:
            left = next(self._lab.layout.mailboxes.glob("*/*/[0-9]*.batch"), Path())
            raise DemoStuckError(
                "a batch is not acknowledged although all packets are through",
                where=f"{left.parent.parent.name}/{left.parent.name}/{left.name}",
            )

    # --- telling ---------------------------------------------------------------------------------

    def _tell_ended(self) -> None:
        """Tell what has ended, in the order of dropping."""
        while self._untold and self._untold[0].is_complete:
            journey = self._untold.pop(0)
            if journey.ending is Ending.DELIVERED:
                self._show.lines(packet_lines(tell_packet(journey, self._began), self._catalogue))
            else:
                self._show.lines(fault_lines(tell_fault(journey), self._catalogue))

    def _show_progress(self) -> None:
        if self._travel is not None and not self._travel.is_done:
            self._show.bar("传输视频 video on its way", self._travel.share())
        elif (journey := self.open_journey) is not None:
            kind = self._catalogue.business_type(journey.row.business_type)
            state = "…" if journey.status is None else journey.status.state
            self._show.note(f"{journey.label} {kind.zh}: {state}")

    # --- giving up -------------------------------------------------------------------------------

    def _note_changes(self) -> None:
        seen = (
            tuple((each.label, each.status and each.status.updated_at) for each in self._journeys),
            self._proofs.receipts,
            sum(len(each.folders) for each in self._journeys),
            self._travel and self._travel.seen_bytes,
        )
        if seen != self._seen:
            self._seen = seen
            self._changed_at = self._clock.monotonic()

    def _give_up_when_late(self) -> None:
        now = self._clock.monotonic()
        if now - self._changed_at > self._patience_seconds:
            raise self._stuck(f"nothing changed for {self._patience_seconds:.0f} s")
        if now > self._deadline:
            raise self._stuck(f"the whole demo took more than {self._deadline - self._began:.0f} s")

    def _stuck(self, why: str) -> DemoStuckError:
        journey = self.open_journey
        if journey is None:
            return DemoStuckError(f"the demo does not get on: {why}")
        missing = sorted(journey.wanted - journey.received.keys())
        return DemoStuckError(
            f"packet {journey.label} of the demo is stuck: {why}",
            where=self._where(journey),
            expected=", ".join(f"{kind} {who}".strip() for kind, who in missing) or journey.ending.value,
            found=_status_text(journey),
            hint=self._trace_hint(journey),
        )

    def _astray(self, journey: Journey) -> DemoAstrayError:
        return DemoAstrayError(
            f"packet {journey.label} of the demo ended otherwise than it should",
            where=self._where(journey),
            expected=journey.ending.value,
            found=_status_text(journey),
            hint=self._trace_hint(journey),
        )

    def _where(self, journey: Journey) -> str:
        return journey.name if journey.key is None else f"{journey.name}, packet {journey.key}"

    def _trace_hint(self, journey: Journey) -> str:
        status = self._agencies[journey.sender].root / "status"
        if journey.key is None:
            return f"with --keep DIR, look at {status}"
        config = self._lab.node_config(journey.sender)
        return f"with --keep DIR, run: exchangectl --config {config} packet trace {journey.key}"
