"""What a worker process decides about one drop: its packet.xml, and whether its files are those listed.

Guarantees: runs without keys, ledger or agency folders; bytes and names in, a picklable verdict out.
The directory is read from the file of the version in force, which the daemon verified before, and kept
between pieces of work. A failing validator or an unreadable directory holds the drop and blames nobody.

Leaves to others: digests of the files (``intake``, while they are copied), and what to do about a verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from exchanged.errors import FileOperationError
from exchanged.examine import CHECKED_A_SECOND
from exchanged.packs import find_pack
from frontend_server.completeness import NOTHING_LISTED, Completeness, compare
from frontend_server.drops import Member
from packet_spec.directory import decode_directory
from packet_spec.disposition import is_disposition, parse_disposition
from packet_spec.encoding import decide_encoding
from packet_spec.envelope import missing_digest_findings, parse_packet
from packet_spec.findings import Finding, Outcome, Severity
from packet_spec.identity import PacketKey
from packet_spec.limits import FINDINGS
from packet_spec.model import Directory, Disposition, Packet, PackStamp
from packet_spec.pack_choice import check_with_packs
from packet_spec.sentences import make_finding
from packet_spec.signing import split_signed

NO_PACK: Final = PackStamp("", "", "")
_DIGEST_MISSING: Final = "attachment-digest-missing"


@dataclass(frozen=True, slots=True)
class DropWork:
    """One drop for a worker. ``directory`` is the path of the directory file in force, ``packs`` a folder.

    ``is_lone`` is true for a lone XML, which alone may be a disposition. ``optional_sha256`` is the folder's
    profile: sizes alone are then believed.
    """

    packet_xml: bytes
    present: tuple[Member, ...]
    is_lone: bool
    agency: str
    directory: str
    packs: Path
    # Not part of what makes two pieces of work the same: it is asked again while it takes long.
    now: datetime = field(compare=False)
    optional_sha256: bool

    @property
    def allowance_seconds(self) -> float:
        """What reading it may take beyond the patience with a small packet."""
        return len(self.packet_xml) / CHECKED_A_SECOND


@dataclass(frozen=True, slots=True)
class DropVerdict:
    """The answer. ``packet`` or ``disposition`` is set where the document could be read.

    ``outcome`` speaks of the document and the list together, except for what is merely missing or short:
    that stands in ``completeness``.
    """

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    held_because: str = ""
    packet: Packet | None = None
    encoding: str = ""
    pack: PackStamp = NO_PACK
    disposition: Disposition | None = None
    completeness: Completeness = NOTHING_LISTED


def judge_drop(work: DropWork) -> DropVerdict:
    """Check one drop by the packs in force.

    Raises FileOperationError when the directory cannot be read, PackUnknownError when no pack in force is
    here (hold it).
    """
    if work.is_lone and is_disposition(work.packet_xml):
        return _judge_disposition(work.packet_xml)
    result, pack = check_with_packs(
        work.packet_xml,
        directory=read_directory(work.directory),
        now=work.now,
        find=partial(find_pack, work.packs),
    )
    packet = result.packet
    if packet is None:
        return DropVerdict(result.verdict.outcome, result.verdict.findings, result.verdict.held_because)
    completeness = compare(packet.attachments, work.present)
    findings = (
        *result.verdict.findings,
        *_sender_findings(packet, work.agency),
        *_digest_missing(packet, work.optional_sha256),
        *completeness.findings,
    )
    outcome = result.verdict.outcome
    if outcome is Outcome.VALID and any(finding.severity is Severity.REFUSE for finding in findings):
        outcome = Outcome.REFUSED
    return DropVerdict(
        outcome=outcome,
        findings=tuple(sorted(findings, key=_refusals_first))[:FINDINGS],
        held_because=result.verdict.held_because,
        packet=packet,
        encoding=result.encoding,
        pack=pack.stamp,
        completeness=completeness,
    )


@dataclass(frozen=True, slots=True)
class DropNames:
    """What a drop says it is: the sender's number and id of a packet, or which packet a disposition answers.

    All empty where it cannot be read.
    """

    sender_ref: str = ""
    packet_id: str = ""
    answers: PacketKey | None = None


@dataclass(frozen=True, slots=True)
class NamingWork:
    """The packet.xml of a drop that was judged before, for a worker."""

    packet_xml: bytes

    @property
    def allowance_seconds(self) -> float:
        """What reading it may take beyond the patience with a small packet."""
        return len(self.packet_xml) / CHECKED_A_SECOND


def name_drop(work: NamingWork) -> DropNames:
    """What it says, without judging it: packs and times may have changed since it was taken."""
    if is_disposition(work.packet_xml):
        disposition, _ = parse_disposition(work.packet_xml)
        return DropNames() if disposition is None else DropNames(answers=disposition.key)
    decided = decide_encoding(work.packet_xml)
    packet = None if isinstance(decided, Finding) else parse_packet(decided.utf8)[0]
    if packet is None:
        return DropNames()
    return DropNames(packet.envelope.sender_ref, packet.envelope.packet_id or "")


@lru_cache(maxsize=2)
def read_directory(path: str) -> Directory:
    """The directory in that file, which was verified when it was taken. Raises FileOperationError."""
    try:
        document, _ = split_signed(Path(path).read_bytes())
    except OSError as error:
        raise FileOperationError("the directory file cannot be read", found=error.strerror or "") from error
    return decode_directory(document)


def _judge_disposition(data: bytes) -> DropVerdict:
    disposition, findings = parse_disposition(data)
    outcome = Outcome.REFUSED if disposition is None else Outcome.VALID
    return DropVerdict(outcome, findings, disposition=disposition)


def _sender_findings(packet: Packet, agency: str) -> tuple[Finding, ...]:
    sender = packet.envelope.sender
    if sender == agency:
        return ()
    return (make_finding("agency-not-own", element="envelope/sender", expected=agency, found=sender),)


def _digest_missing(packet: Packet, optional_sha256: bool) -> tuple[Finding, ...]:
    findings = missing_digest_findings(packet)
    if optional_sha256:
        return tuple(finding for finding in findings if finding.code != _DIGEST_MISSING)
    return findings


def _refusals_first(finding: Finding) -> bool:
    return finding.severity is not Severity.REFUSE
