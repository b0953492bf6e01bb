"""A small province for the faulty drops of the domain catalogue (part 3.3), and its books.

Police behind a bridge, procuratorate, court, correction agency, and a legal aid centre that takes part in
cases of theft alone. The province enforces the order of a case. All data is fictional.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cli.demo.audit import find_differences
from cli.demo.journey import Journey
from cli.demo.watch import Agency, Proofs
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from exchanged.clock import SystemClock
from packet_spec.findings import Finding
from packet_spec.findings_xml import decode_findings
from packet_spec.model import ReceiptKind
from packet_spec.notice import Notice, NoticeLevel, decode_notice
from tests.support.stories import Story, events, wait_until

POL, PRO, CRT = "620199-01-00", "620199-03-00", "620199-04-00"
COR, LAW = "620199-06-00", "620199-07-00"
BRIDGE, PROVINCE = "bridge-x", "620000-00-00"


def small_province(folder: Path) -> Lab:
    """A lab of these agencies over folder links, made and not started."""
    plan = parse_plan(
        {
            "province": {"sequence": "enforce"},
            "agency": [
                {"code": POL, "via": BRIDGE},
                *({"code": code} for code in (PRO, CRT, COR, LAW)),
            ],
            "route": [{"from": "procuratorate", "to": LAW, "case_kinds": ["theft"]}],
            "bridge": [{"name": BRIDGE, "between": ["province"]}],
        }
    )
    return create_lab(folder, plan, "folder")


@dataclass
class Stage:
    """The lab, everything that was dropped in it, and what the province refused of it."""

    lab: Lab
    proofs: Proofs
    journeys: list[Journey] = field(default_factory=list)
    refused: list[Journey] = field(default_factory=list)
    cases: int = 0
    before: set[str] = field(default_factory=set)

    def begin(self) -> None:
        """What an earlier test left wrong is that test's failure alone."""
        self.before = self._differences()

    def new_case(self, name: str = "dangerous_driving") -> Story:
        """A case that nobody has heard of yet."""
        self.cases += 1
        tail = f"{self.cases:04d}"
        numbers = {
            "police": f"A620199000000202608{tail}",
            "procuratorate": f"6201992026000{tail}",
            "court": f"（2026）甘0199刑初{tail}号",
        }
        return Story(self.lab, name, f"N{self.cases}", self.proofs, self.journeys, numbers)

    def refusal(self, story: Story, journey: Journey) -> tuple[Finding, ...]:
        """The findings of the province's signed refusal of this drop, which its sender got once."""
        story.wait(journey)
        self.refused.append(journey)
        status = story.status(journey)
        assert status.packet_id is not None
        (path,) = story.agency(journey.sender).receipt_files(status.packet_id)
        receipt = self.proofs.receipt(path.read_bytes(), SystemClock().now())
        assert (receipt.kind, receipt.issued_by) == (ReceiptKind.REFUSED, self.lab.province)
        assert set(receipt.findings) <= set(status.findings)
        return receipt.findings

    def assert_books(self) -> None:
        """Exactly what these drops leave: of the refused only the refusal, which lies with its sender."""
        assert self._differences() - self.before == set()

    def _differences(self) -> set[str]:
        agencies = [Agency(code, self.lab.agency_root(code)) for code in self.lab.agencies]
        found = find_differences(agencies, self.journeys, self.proofs, SystemClock().now())
        told = {
            f"{each.sender} receipts: {each.status.packet_id} should not be there"
            for each in self.refused
            if each.status is not None
        }
        assert told <= set(found)
        return set(found) - told

    @contextmanager
    def nothing_travels(self) -> Iterator[None]:
        """While this goes on, nothing lands at the province."""
        before = len(events(self.lab, self.lab.province, "--kind", "landed"))
        yield
        assert len(events(self.lab, self.lab.province, "--kind", "landed")) == before

    def alarm(self, node: str, reference: str, subject: str) -> Notice:
        """The notice that a node's operator has of this matter, which must be an alarm.

        A daemon looks when it starts, and then once a minute.
        """
        self.lab.stop_node(node)
        self.lab.start_node(node)
        folder = self.lab.layout.data(node) / "notices"

        def found() -> list[Notice]:
            every = [decode_notice(path.read_bytes()) for path in sorted(folder.glob("*.xml"))]
            return [
                each
                for each in every
                if (each.reference, each.subject, each.over_at) == (reference, subject, None)
            ]

        wait_until(lambda: bool(found()), f"{reference} {subject} at {node}")
        (notice,) = found()
        assert notice.level is NoticeLevel.ALARM
        return notice

    @contextmanager
    def configured(self, node: str, section: str, lines: str) -> Iterator[None]:
        """The node with these lines more in a section of its configuration."""
        path = self.lab.node_config(node)
        before = path.read_text(encoding="utf-8")
        text = before if f"[{section}]\n" in before else f"{before}\n[{section}]\n"
        keys = "|".join(re.findall(r"^\w+(?= =)", lines, re.MULTILINE))
        text = re.sub(rf"^(?:{keys}) = .*\n", "", text, flags=re.MULTILINE)
        self._restart(node, text.replace(f"[{section}]\n", f"[{section}]\n{lines}\n"))
        yield
        self._restart(node, before)

    def _restart(self, node: str, text: str) -> None:
        self.lab.stop_node(node)
        self.lab.node_config(node).write_text(text, encoding="utf-8")
        self.lab.start_node(node)


def the_finding(findings: tuple[Finding, ...]) -> Finding:
    """The one finding that there is."""
    (finding,) = findings
    assert finding.zh
    assert finding.en
    return finding


def refused_at_home(story: Story, journey: Journey) -> Finding:
    """The one finding of a drop that its own front-end refused: in its status and beside its original."""
    story.wait(journey)
    status = story.status(journey)
    assert (status.state, status.packet_id, status.destinations) == ("refused", None, ())
    finding = the_finding(status.findings)
    original = story.refused(journey)
    assert (original / "packet.xml").is_file()
    written = original.with_name(f"{journey.name}.findings.xml").read_bytes()
    assert decode_findings(written)[:2] == (journey.name, (finding,))
    text = original.with_name(f"{journey.name}.findings.txt").read_text(encoding="utf-8-sig")
    assert finding.zh in text
    return finding
