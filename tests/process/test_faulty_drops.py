"""The faulty drops of the domain catalogue (part 3.3): what a packet says or holds.

Each is seen through the public face of a lab of real daemons (``tests/support/faults``). Every test ends
with the books: each inbox, outbox and folder of receipts holds exactly what it should. All data is fictional.
"""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from cli.demo.journey import Ending
from cli.fiction.packet_xml import DropEncoding
from cli.fiction.writer import DropFormat
from packet_spec.findings import Severity
from packet_spec.identity import PacketKey, content_digest, sha256_hex
from packet_spec.model import ReceiptKind
from tests.support.faults import POL, PRO, Stage, refused_at_home, the_finding

pytestmark = [pytest.mark.process, pytest.mark.slow]


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


def test_f13_a_case_kind_that_is_not_open_on_the_route(stage: Stage) -> None:
    story = stage.new_case()
    with stage.nothing_travels():
        finding = refused_at_home(story, story.drop(4, ending=Ending.REFUSED))
    assert (finding.code, finding.expected, finding.found) == (
        "case-kind-not-on-route", "theft", "dangerous_driving"
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
