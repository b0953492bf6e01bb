"""The faulty drops of the domain catalogue (part 3.3), each seen through the public face.

One lab of real daemons: police behind a bridge, procuratorate, court, correction agency, and a legal aid
centre that takes part in cases of theft alone. The province enforces the order of a case. Every test ends
with the books: each inbox, outbox and folder of receipts holds exactly what it should. All data is fictional.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from uuid import UUID

import pytest

from cli.demo.audit import find_differences
from cli.demo.journey import Ending, Journey
from cli.demo.watch import Agency, Proofs
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.writer import DropFormat
from cli.lab.lab import Lab, create_lab
from cli.lab.plan import parse_plan
from exchanged.clock import SystemClock
from packet_spec.findings import Finding, Severity
from packet_spec.findings_xml import decode_findings
from packet_spec.identity import PacketKey, content_digest, sha256_hex
from packet_spec.model import ReceiptKind
from packet_spec.notice import Notice, NoticeLevel, decode_notice
from tests.support.stories import Story, assert_ledgers_are_whole, events, exchangectl, pause, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]

POL, PRO, CRT = "620199-01-00", "620199-03-00", "620199-04-00"
COR, LAW = "620199-06-00", "620199-07-00"
BRIDGE, PROVINCE = "bridge-x", "620000-00-00"


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


@pytest.fixture
def stage(whole_module: Stage) -> Stage:
    """The stage as this test finds it."""
    whole_module.begin()
    return whole_module


@pytest.fixture(scope="module")
def whole_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    plan = parse_plan(
        {
            "province": {"sequence": "enforce"},
            "agency": [
                {"code": POL, "via": BRIDGE},
                *({"code": code} for code in (PRO, CRT, COR)),
                {"code": LAW, "case_kinds": ["theft"]},
            ],
            "bridge": [{"name": BRIDGE, "between": ["province"]}],
        }
    )
    lab = create_lab(tmp_path_factory.mktemp("faulty") / "lab", plan, "folder")
    try:
        lab.start()
        yield Stage(lab, Proofs.of(lab, POL))
        assert_ledgers_are_whole(lab)
    finally:
        lab.stop()


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


# --- refused at the sender: nothing travels ----------------------------------------------------------


def test_f1_an_indictment_with_a_plea_but_without_the_undertaking(stage: Stage) -> None:
    story = stage.new_case()
    with stage.nothing_travels():
        drop = story.drop(11, ending=Ending.REFUSED, omit_documents=frozenset({"PRO-017"}))
        finding = refused_at_home(story, drop)
    assert (finding.code, finding.document) == ("document-missing-conditional", "PRO-017")
    assert "认罪认罚具结书" in finding.zh
    assert "CPL 176" in finding.zh
    assert "CPL 176" in finding.en
    stage.assert_books()


def test_f4_an_id_number_with_a_wrong_check_digit(stage: Stage) -> None:
    story = stage.new_case()
    with stage.nothing_travels():
        drop = story.drop(2, ending=Ending.REFUSED, settings={"id_no": "620199199003077017"})
        finding = refused_at_home(story, drop)
    assert finding.code == "id-number-check-digit"
    assert finding.element == "persons/person[1]/id_no"
    stage.assert_books()


def test_f9_a_pdf_without_its_last_kilobyte(stage: Stage) -> None:
    story = stage.new_case()
    with stage.nothing_travels():
        drop = story.drop(1, ending=Ending.REFUSED, change=cut_a_pdf)
        finding = refused_at_home(story, drop)
    assert finding.code == "document-unreadable"
    assert finding.file.endswith(".pdf")
    stage.assert_books()


def cut_a_pdf(folder: Path) -> None:
    """The last kilobyte of one document is lost before the case software lists size and digest."""
    document = min(folder.glob("*.pdf"))
    whole = document.read_bytes()
    document.write_bytes(whole[:-1024])
    listed = (folder / "packet.xml").read_text(encoding="utf-8")
    before = f'size="{len(whole)}" sha256="{sha256_hex(whole)}"'
    assert listed.count(before) == 1
    after = f'size="{len(whole) - 1024}" sha256="{sha256_hex(whole[:-1024])}"'
    (folder / "packet.xml").write_text(listed.replace(before, after), encoding="utf-8")


def test_f10_a_third_supplementary_round(stage: Stage) -> None:
    story = stage.new_case("theft_in_custody")
    story.keys[7] = PacketKey(POL, str(UUID(int=7, version=4)))
    with stage.nothing_travels():
        drop = story.drop(15, ending=Ending.REFUSED, settings={"supplement_round": "3"})
        finding = refused_at_home(story, drop)
    assert finding.code == "number-out-of-range"
    assert finding.element.endswith("supplement_round")
    assert "CPL 175" in finding.expected
    stage.assert_books()


def test_f13_a_case_kind_that_the_receiver_does_not_take(stage: Stage) -> None:
    story = stage.new_case()
    with stage.nothing_travels():
        finding = refused_at_home(story, story.drop(4, ending=Ending.REFUSED))
    assert (finding.code, finding.expected, finding.found) == (
        "case-kind-not-allowed", "theft", "dangerous_driving"
    )  # fmt: skip
    stage.assert_books()


# --- refused, or warned of, by the province: the order of the case ------------------------------------


def test_f2_a_second_indictment_after_the_judgment(stage: Stage) -> None:
    story = stage.new_case()
    story.play(1, 2, 11, 13, 17)
    finding = the_finding(stage.refusal(story, story.drop(11, label="F2", ending=Ending.REFUSED)))
    assert (finding.code, finding.severity) == ("forbidden-after", Severity.REFUSE)
    assert "trial.judgment" in finding.expected
    stage.assert_books()


def test_f3_correction_without_a_judgment_is_refused_under_enforce_and_warned_of_under_warn(
    stage: Stage,
) -> None:
    story = stage.new_case()
    story.play(1, 2, 11)
    refused = the_finding(stage.refusal(story, story.drop(20, label="F3", ending=Ending.REFUSED)))
    assert (refused.code, refused.severity) == ("predecessor-missing", Severity.REFUSE)
    assert "trial.judgment" in refused.expected
    stage.assert_books()
    with stage.configured(stage.lab.province, "rules", 'sequence = "warn"'):
        passed = story.drop(20, label="F3-warn")
        story.wait(passed)
    told = the_finding(passed.received[ReceiptKind.ACCEPTED, ""].findings)
    assert told == replace(refused, severity=Severity.WARN)
    assert story.status(passed).findings == (told,)
    stage.assert_books()


# --- read right ---------------------------------------------------------------------------------------


def test_f5_declared_gbk_and_really_utf8_is_read_right_with_a_warning_in_the_receipt(stage: Stage) -> None:
    story = stage.new_case()
    drop = story.drop(1, change=declare_gbk)
    story.wait(drop)
    finding = the_finding(drop.received[ReceiptKind.ACCEPTED, ""].findings)
    assert (finding.code, finding.severity) == ("encoding-misdeclared", Severity.WARN)
    assert (finding.expected, finding.found) == ("GBK", "utf-8")
    original = (drop.folders[PRO] / "packet.xml").read_bytes()
    reading = (drop.folders[PRO] / "packet.utf8.xml").read_bytes()
    assert reading == original.replace(b'encoding="GBK"', b'encoding="UTF-8"')
    assert "李某甲" in reading.decode()
    stage.assert_books()


def declare_gbk(folder: Path) -> None:
    path = folder / "packet.xml"
    data = path.read_bytes()
    assert data.count(b'encoding="UTF-8"') == 1
    path.write_bytes(data.replace(b'encoding="UTF-8"', b'encoding="GBK"'))


def test_f6_a_zip_with_gbk_names_and_back_slashes_is_read_right(stage: Stage) -> None:
    story = stage.new_case()
    drop = story.drop(1, drop_format=DropFormat.ZIP, encoding=DropEncoding.GBK, appear=False)
    # The names are sealed as their bytes stand in the zip.
    original = drop.original
    parts = ((each.file.encode("gbk"), each.size or 0, each.sha256 or "") for each in original.attachments)
    digest = content_digest(original.packet_digest, parts)
    drop.original = replace(original, content_digest=digest)
    put_below_a_back_slash(story.prepared / drop.name)
    (story.prepared / drop.name).rename(story.agency(POL).outbox / drop.name)
    story.wait(drop)
    names = {path.name for path in drop.folders[PRO].iterdir()}
    assert {each.file for each in drop.original.attachments} <= names
    assert {"受案登记表.pdf", "立案决定书.pdf"} <= names, names
    assert story.status(drop).findings == ()
    stage.assert_books()


class OldEntry(zipfile.ZipInfo):
    """An entry named as an old Chinese Windows tool does: in GBK, and no flag that says so."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802 - zipfile asks for it under this name
        return self.filename.encode("gbk"), self.flag_bits & ~0x800


def put_below_a_back_slash(path: Path) -> None:
    """Every entry again, in a folder, with the separator of Windows."""
    with zipfile.ZipFile(path, metadata_encoding="gbk") as archive:
        contents = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    path.unlink()
    with zipfile.ZipFile(path, "x") as archive:
        for name, data in contents.items():
            archive.writestr(OldEntry(f"卷宗\\{name}"), data)
    assert "卷宗\\".encode("gbk") in path.read_bytes()


# --- a drop that still grows ---------------------------------------------------------------------------


def renamed(source: Path, outbox: Path) -> Iterator[None]:
    """Written under a temporary name, piece by piece, and renamed last."""
    temporary = outbox / f"{source.name}.tmp"
    yield from pieces(source, temporary)
    temporary.rename(outbox / source.name)


def marked(source: Path, outbox: Path) -> Iterator[None]:
    """Written in place, piece by piece; the marker comes last."""
    yield from pieces(source, outbox / source.name)
    (outbox / f"{source.name}.ok").touch()


def settled(source: Path, outbox: Path) -> Iterator[None]:
    """Written in place, piece by piece; nothing says when it is whole."""
    yield from pieces(source, outbox / source.name)


def pieces(source: Path, target: Path) -> Iterator[None]:
    data = source.read_bytes()
    with target.open("wb") as file:
        for number in range(_PIECES):
            file.write(data[len(data) * number // _PIECES : len(data) * (number + 1) // _PIECES])
            file.flush()
            yield
    assert target.read_bytes() == data


_PIECES = 40
# The outbox is looked at every two seconds, and a drop settles within three.
_A_PIECE_SECONDS = 0.15


@pytest.mark.parametrize(
    ("profile", "writing"), [("rename", renamed), ("marker", marked), ("settled", settled)]
)
def test_f7_a_file_that_still_grows_is_not_taken_until_it_is_whole(
    stage: Stage, profile: str, writing: Callable[[Path, Path], Iterator[None]]
) -> None:
    story = stage.new_case()
    with stage.configured(POL, "folders", f'profile = "{profile}"\nsettle_seconds = 3.0'):
        drop = story.drop(1, drop_format=DropFormat.ZIP, appear=False)
        whole = story.prepared / drop.name
        outbox = story.agency(POL).outbox
        seen = set()
        for _ in writing(whole, outbox):
            pause(_A_PIECE_SECONDS)
            status = story.agency(POL).status(drop.name)
            seen.add("" if status is None else status.state)
            assert status is None or status.packet_id is None
        assert seen <= {"", "seen", "incomplete"}
        story.wait(drop)
    assert not (outbox / f"{drop.name}.ok").exists()
    stage.assert_books()


# --- once, whatever happens ----------------------------------------------------------------------------


def test_f8_the_same_packet_dropped_twice_is_delivered_once(stage: Stage) -> None:
    story = stage.new_case()
    first = story.drop(1)
    story.wait(first)
    copy = story.prepared / f"{first.name}-again"
    shutil.copytree(stage.lab.agency_root(POL) / "sent" / first.name, copy)
    with stage.nothing_travels():
        second = story.begin(1, copy, ending=Ending.DUPLICATE, label="F8")
        story.wait(second)
    status = story.status(second)
    assert first.key is not None
    assert (status.state, status.final, status.packet_id) == ("duplicate", True, None)
    assert status.duplicate_of == first.key.packet_id
    # One delivery, its two receipts, and none that is the second's own.
    receipts = story.agency(POL).receipt_files(first.key.packet_id)
    assert sorted(path.name.partition("-")[0] for path in receipts) == ["accepted", "delivered"]
    stage.assert_books()


def test_f12_the_receivers_link_is_down_and_the_packet_waits_at_the_province(stage: Stage) -> None:
    story = stage.new_case()
    story.play(1, 2)
    stage.lab.stop_node(COR)
    drop = story.drop(5)
    wait_until(lambda: destination(story, drop) == "accepted", "the province to have it")
    # Who holds it, by what the sender's own node knows.
    trace = exchangectl(stage.lab, PRO, "packet", "trace", story.status(drop).packet_id or "")
    assert trace.returncode == 0, trace.stderr
    assert f"handed over to {stage.lab.province}" in trace.stdout
    assert f"held now by {stage.lab.province}" in trace.stdout, trace.stdout
    with stage.configured(PRO, "notices", "delivered_hours = 0.0001"):
        notice = stage.alarm(PRO, "receipt-overdue", f"delivered {COR}")
    assert PacketKey(PRO, story.status(drop).packet_id or "") in notice.packets
    assert destination(story, drop) == "accepted"
    stage.lab.start_node(COR)
    story.wait(drop)
    assert story.status(drop).attempt == 1
    told = exchangectl(stage.lab, PRO, "packet", "trace", story.status(drop).packet_id or "").stdout
    assert f"in the inbox of {COR}" in told
    stage.assert_books()


def destination(story: Story, journey: Journey) -> str:
    """How the packet stands towards its receiver, says the sender's status."""
    status = story.agency(journey.sender).status(journey.name)
    return "" if status is None or not status.destinations else status.destinations[0].state


@pytest.mark.parametrize(
    ("reader", "writer", "mailbox"),
    [
        (BRIDGE, POL, f"{POL}/up"),
        (PROVINCE, BRIDGE, f"{BRIDGE}/up"),
        (PRO, PROVINCE, f"{PRO}/down"),
    ],
    ids=["before the bridge", "behind the bridge", "below the province"],
)
def test_f14_a_byte_changed_on_the_way_is_found_alarmed_and_sent_again(
    stage: Stage, reader: str, writer: str, mailbox: str
) -> None:
    story = stage.new_case()
    stage.lab.stop_node(reader)
    drop = story.drop(1)
    wait_until(lambda: story.agency(POL).status(drop.name) is not None, "the drop to be taken")
    batches = stage.lab.layout.mailboxes / mailbox
    changed: list[Path] = []
    wait_until(lambda: change_a_byte(batches, story, drop, changed), "its batch")
    number = int(changed[0].name.partition("-")[0])
    stage.lab.start_node(reader)
    story.wait(drop)
    assert drop.key is not None
    # Bad where it was read, and again under a new number where it was written; nothing told the sender.
    found = events(stage.lab, reader, "--kind", "mailbox-file-refused")
    assert changed[0].name in [each["detail"]["file"] for each in found]
    found = events(stage.lab, writer, "--kind", "batch-bad-at-neighbour")
    assert number in [each["detail"]["number"] for each in found]
    about = ("--packet", str(drop.key))
    offers = [each["detail"]["batch"] for each in events(stage.lab, writer, "--kind", "offer", *about)]
    assert offers[0] == number < offers[1]
    assert len(offers) == 2
    assert (story.status(drop).attempt, story.status(drop).findings) == (1, ())
    for node, peer in ((reader, writer), (writer, reader)):
        link = "province" if peer == PROVINCE else peer
        assert link in stage.alarm(node, "batch-damaged", link).message.zh
    stage.assert_books()


def change_a_byte(folder: Path, story: Story, journey: Journey, changed: list[Path]) -> bool:
    """Change one byte of a document in the batch that carries this packet. False: it is not there yet."""
    status = story.agency(journey.sender).status(journey.name)
    name = b"" if status is None or status.packet_id is None else status.packet_id.encode()
    for path in sorted(folder.glob("[0-9]*.batch")) if name else ():
        data = bytearray(path.read_bytes())
        if name in data and b"%PDF" in data:
            data[data.index(b"%PDF") + 100] ^= 1
            path.write_bytes(data)
            changed.append(path)
            return True
    return False
