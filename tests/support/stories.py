"""A sample case played in a running lab by the case software of all its agencies. All data is fictional.

The rows are those of ``tests/conformance/cases``; each becomes real files (``cli.fiction``), is dropped by
its sender, and answers the packet id that its sender's own inbox names. What is seen is what case software
sees: status files, inbox folders, receipts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.demo.audit import find_differences
from cli.demo.case_data import DemoRow
from cli.demo.journey import Ending, Journey
from cli.demo.watch import Agency, Proofs, read_original
from cli.fiction.case_file import CaseFile
from cli.fiction.drop import make_drop
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from cli.lab.lab import Lab
from exchanged.clock import SystemClock
from packet_spec.body_xsd import body_fields
from packet_spec.catalogue import load_catalogue
from packet_spec.identity import PacketKey
from packet_spec.told import Status
from tests.conformance.case_packets import load_case, row_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
_STEP_SECONDS = 0.02
_VIDEO_BYTES = 64 * 1024
CATALOGUE = load_catalogue()


def wait_until(done: Callable[[], bool], why: Callable[[], str] | str) -> None:
    """Look at the world outside until ``done`` says so; fail when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if time.monotonic() > deadline:
            what = why if isinstance(why, str) else why()
            pytest.fail(f"waited {PATIENCE_SECONDS:.0f} s in vain for {what}")
        time.sleep(_STEP_SECONDS)


def pause(seconds: float) -> None:
    """Let the world outside go on."""
    time.sleep(seconds)


def exchangectl(lab: Lab, node: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The command as an operator of ``node`` runs it."""
    command = [sys.executable, "-m", "cli", "--config", lab.node_config(node), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def events(lab: Lab, node: str, *words: str) -> list[dict[str, Any]]:
    """What ``event list`` tells of that node, oldest first."""
    done = exchangectl(lab, node, "event", "list", "--limit", "10000", "--json", *words)
    assert done.returncode == 0, done.stderr
    return [each["event"] for each in json.loads(done.stdout)["events"]]


@dataclass
class Story:
    """One case in one lab. ``run`` begins every name and senderRef; ``numbers`` replace the case's own.

    ``journeys`` are all drops so far, in order, those of every story that shares the list.
    """

    lab: Lab
    name: str
    run: str
    proofs: Proofs
    journeys: list[Journey] = field(default_factory=list)
    numbers: Mapping[str, str] = field(default_factory=dict)
    keys: dict[int, PacketKey] = field(default_factory=dict)

    @property
    def case(self) -> dict[str, Any]:
        return load_case(self.name)

    @property
    def rows(self) -> tuple[int, ...]:
        """The numbers of all rows."""
        return tuple(row["row"] for row in self.case["rows"])

    def code(self, alias: str) -> str:
        """An agency of the case by its short sign."""
        return str(self.case["agencies"][alias]["code"])

    def agency(self, code: str) -> Agency:
        """The folders of an agency."""
        return Agency(code, self.lab.agency_root(code))

    def request(self, number: int, *, label: str = "", **changes: Any) -> DropRequest:
        """The request for a row; ``settings`` in ``changes`` are added to its fields.

        The packet answers what its sender's own inbox says it answers.
        """
        row = row_of(self.case, number)
        business_type = CATALOGUE.business_type(row["type"])
        person = {**self.case["person"], "person_role": row["role"], **row.get("person", {})}
        said = {**self.case["fields"], **row["fields"]}
        fields = {
            each.code: _text(source[each.code])
            for scope, source in (("packet", said), ("person", person))
            for each, _ in body_fields(CATALOGUE, business_type, scope)
            if source.get(each.code) is not None
        }
        numbers = {
            kind: self.numbers.get(kind, each["value"])
            for kind, each in (self.case["numbers"] | dict(row.get("numbers", {}))).items()
            if number >= each["from"]
        }
        at = datetime.fromisoformat(row["at"])
        reference = f"{self.run}-{label or f'{number:02d}'}"
        request = DropRequest(
            business_type=row["type"],
            sender=self.code(row["sender"]),
            receiver=self.code(row["receiver"]),
            created_at=at,
            copy_to=tuple(self.code(alias) for alias in row["copies"]),
            case=CaseFile(1, self.case["case_kind"], numbers, ({**person},), {}),
            in_reply_to=None if row["answers"] is None else self.keys[row["answers"]],
            set_fields=fields | {"approval_date": at.date().isoformat()} | changes.pop("settings", {}),
            documents=tuple(row["documents"]),
            video_bytes=_VIDEO_BYTES,
            sender_ref=reference,
            name=f"{reference}-{row['type']}",
        )
        return replace(request, **changes)

    def drop(
        self,
        number: int,
        *,
        label: str = "",
        ending: Ending = Ending.DELIVERED,
        drop_format: DropFormat = DropFormat.FOLDER,
        encoding: DropEncoding = DropEncoding.UTF_8,
        change: Callable[[Path], None] = lambda _: None,
        appear: bool = True,
        **changes: Any,
    ) -> Journey:
        """Write a row's drop where nobody looks, ``change`` it, and let it appear in its sender's outbox.

        With ``appear`` false it stays in ``prepared``, and the test puts it there.
        """
        self.prepared.mkdir(exist_ok=True)
        drop = make_drop(self.request(number, label=label, **changes), CATALOGUE)
        written = write_drop(drop, self.prepared, drop_format=drop_format, encoding=encoding)
        change(written)
        return self.begin(number, written, ending=ending, label=label, appear=appear)

    @property
    def prepared(self) -> Path:
        """Where drops are written before they appear."""
        return self.lab.layout.root / "prepared"

    def begin(
        self, number: int, written: Path, *, ending: Ending, label: str = "", appear: bool = True
    ) -> Journey:
        """Let a written drop appear in its sender's outbox by one rename."""
        row, original = row_of(self.case, number), read_original(written)
        sender, receiver = original.envelope.sender, original.envelope.receiver
        told = DemoRow(number, original.envelope.created_at, row["type"], sender, receiver)
        label = label or f"{self.run}-{number:02d}"
        journey = Journey(label, told, written.name, original, SystemClock().now(), 0.0, ending)
        if appear:
            written.rename(self.agency(sender).outbox / written.name)
        self.journeys.append(journey)
        return journey

    def wait(self, *journeys: Journey) -> None:
        """Until these have ended as they were to end. Fails for another end, and for none."""
        wait_until(
            lambda: all(self._has_ended(each) for each in journeys), lambda: self._whereabouts(journeys)
        )
        for journey in journeys:
            if journey.reply_key is not None and journey.label == f"{self.run}-{journey.row.number:02d}":
                self.keys[journey.row.number] = journey.reply_key

    def play(self, *numbers: int) -> None:
        """Drop these rows, each when the one before is delivered to everybody."""
        for number in numbers:
            self.wait(self.drop(number))

    def status(self, journey: Journey) -> Status:
        """What the sender's status file says now."""
        found = self.agency(journey.sender).status(journey.name)
        assert found is not None
        return found

    def refused(self, journey: Journey) -> Path:
        """The original of a refused drop, which lies beside its findings."""
        return self.lab.agency_root(journey.sender) / "refused" / journey.name

    def _whereabouts(self, journeys: tuple[Journey, ...]) -> str:
        """What is told of these, and what each node knows of those that have not ended."""
        told = [tell(*journeys)]
        for each in journeys:
            if each.is_complete or each.status is None or each.status.packet_id is None:
                continue
            for code in (each.sender, self.lab.province, *each.recipients):
                done = exchangectl(self.lab, code, "packet", "trace", each.status.packet_id)
                told.append(f"--- {code}\n{done.stdout}{done.stderr}")
        for code in self.lab.nodes:
            lines = self.lab.layout.log(code).read_text(encoding="utf-8").splitlines()
            told.append("\n".join((f"--- log of {code}", *lines[-15:])))
        return "\n".join(told)

    def _has_ended(self, journey: Journey) -> bool:
        journey.look(self.agency, self.proofs, SystemClock().now())
        if journey.went_wrong:
            pytest.fail(f"ended otherwise than it should: {tell(journey)}")
        return journey.is_complete


def assert_books_balance(lab: Lab, journeys: Iterable[Journey], proofs: Proofs) -> None:
    """Every inbox, outbox and folder of receipts holds exactly what these journeys should leave.

    A packet too many, at the wrong agency, twice, or with another byte is found, and so is a receipt
    missing, doubled, unexpected or not provable.
    """
    agencies = [Agency(code, lab.agency_root(code)) for code in lab.agencies]
    assert find_differences(agencies, list(journeys), proofs, SystemClock().now()) == ()


def assert_ledgers_are_whole(lab: Lab) -> None:
    """Every node's chain of events verifies, and nothing is left to be judged anywhere."""
    for code in lab.nodes:
        verified = exchangectl(lab, code, "ledger", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr


def tell(*journeys: Journey) -> str:
    """Where these stand, for whoever reads a failed test."""
    lines = []
    for each in journeys:
        status = each.status
        findings = "" if status is None else "; ".join(f"[{one.code}] {one.en}" for one in status.findings)
        state = "no status" if status is None else f"{status.state} {status.message_en}"
        lines.append(f"{each.name} to be {each.ending}: {state} {findings} {each.problems}")
    return "\n".join(lines)


def _text(value: object) -> str:
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)
