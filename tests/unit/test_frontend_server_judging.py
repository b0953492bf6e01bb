from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.errors import FileOperationError
from frontend_server.drops import Member
from frontend_server.judging import DropVerdict, DropWork, judge_drop, read_directory
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.errors import ValidatorError
from packet_spec.findings import Outcome, Severity
from packet_spec.model import ReceiptKind
from tests.support.documents import COURT, KEY, NOW, POLICE, ROOTS, make_directory
from tests.support.outbox import SMALL, acceptance_xml, packet_xml

DISPOSITION = f"""<disposition xmlns="urn:exchanged:disposition:1" packetId="{KEY.packet_id}"
 sender="{KEY.sender}" kind="signed" by="虚构丙" at="2026-07-15T09:30:00+08:00"/>""".encode()


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "directory-3.xml"
    made = make_directory()
    agencies = tuple(replace(agency, business_types=(), case_kinds=()) for agency in made.agencies)
    path.write_bytes(sign_directory(encode_directory(replace(made, agencies=agencies)), ROOTS[:2]))
    yield path
    read_directory.cache_clear()


def judge(
    directory: Path, document: bytes, *present: Member, lone: bool = False, optional_sha256: bool = False
) -> DropVerdict:
    work = DropWork(
        document, present, lone, POLICE, str(directory), directory.parent, NOW, optional_sha256
    )
    # As through a pool of processes: both ways are pickled.
    verdict: DropVerdict = pickle.loads(pickle.dumps(judge_drop(pickle.loads(pickle.dumps(work)))))  # noqa: S301
    return verdict


def codes(verdict: DropVerdict) -> list[str]:
    return [finding.code for finding in verdict.findings]


def test_a_valid_drop(directory: Path) -> None:
    files = [Member(name.encode(), len(data)) for name, data in SMALL.items()]
    verdict = judge(directory, packet_xml(SMALL), *files)
    assert (verdict.outcome, verdict.findings, verdict.encoding) == (Outcome.VALID, (), "utf-8")
    assert verdict.packet is not None
    assert verdict.completeness.parts == (0,)


def test_what_is_missing_or_short_is_not_refused(directory: Path) -> None:
    missing = judge(directory, packet_xml(SMALL))
    assert (missing.outcome, missing.completeness.missing) == (Outcome.VALID, tuple(SMALL))
    short = judge(directory, packet_xml(SMALL), Member("补充材料.pdf".encode(), 3))
    assert (short.outcome, short.completeness.short) == (Outcome.VALID, tuple(SMALL))


def test_everything_wrong_is_said_at_once_refusals_first(directory: Path) -> None:
    document = acceptance_xml(sender=COURT).replace(b'encoding="utf-8"', b'encoding="GBK"')
    verdict = judge(directory, document, Member(b"extra.pdf", 1))
    assert verdict.outcome is Outcome.REFUSED
    assert {"agency-not-own", "attachment-unlisted", "encoding-misdeclared"} <= set(codes(verdict))
    severities = [finding.severity for finding in verdict.findings]
    assert severities == sorted(severities, key=lambda severity: severity is not Severity.REFUSE)


def test_digests_may_be_left_out_where_the_profile_says_so(directory: Path) -> None:
    document = packet_xml(SMALL, listed={name: {"sha256": None} for name in SMALL})
    file = Member("补充材料.pdf".encode(), len(SMALL["补充材料.pdf"]))
    assert codes(judge(directory, document, file)) == ["attachment-digest-missing"]
    assert judge(directory, document, file, optional_sha256=True).outcome is Outcome.VALID
    unsized = packet_xml(SMALL, listed={name: {"size": None} for name in SMALL})
    assert codes(judge(directory, unsized, file, optional_sha256=True)) == ["attachment-size-missing"]


def test_only_a_lone_xml_is_a_disposition(directory: Path) -> None:
    verdict = judge(directory, DISPOSITION, lone=True)
    assert verdict.disposition is not None
    assert (verdict.disposition.key, verdict.disposition.kind) == (KEY, ReceiptKind.SIGNED)
    assert judge(directory, DISPOSITION).outcome is Outcome.REFUSED
    wrong = judge(directory, DISPOSITION.replace(b"signed", b"maybe"), lone=True)
    assert (wrong.outcome, wrong.disposition) == (Outcome.REFUSED, None)
    assert wrong.findings


@pytest.mark.parametrize("document", [b"", b"\xff", b"<packet", b"<a/>" * 100])
def test_rubbish_is_refused(directory: Path, document: bytes) -> None:
    verdict = judge(directory, document, lone=True)
    assert (verdict.outcome, verdict.packet) == (Outcome.REFUSED, None)
    assert verdict.findings


def test_a_failing_validator_holds(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValidatorError("it failed inside")

    monkeypatch.setattr("packet_spec.check.validate_body", fails)
    verdict = judge(directory, acceptance_xml())
    assert (verdict.outcome, verdict.held_because) == (Outcome.HELD, "validator-failed")


def test_the_directory_is_read_once(directory: Path) -> None:
    judge(directory, acceptance_xml())
    directory.unlink()
    assert judge(directory, acceptance_xml()).outcome is Outcome.VALID
    packs = directory.parent
    with pytest.raises(FileOperationError):
        judge_drop(DropWork(acceptance_xml(), (), True, POLICE, f"{directory}.other", packs, NOW, False))
