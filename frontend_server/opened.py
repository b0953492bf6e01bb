"""What a worker process does with a packet that was opened: hold it against packet.xml, check its documents.

Guarantees: runs without keys, ledger or connections, on the files of the staged folder, before anybody sees
them; each part is compared in size and digest with the list, then checked like any document (``inspecting``),
because nobody between sender and receiver could. What cannot be decided raises, and the packet waits.

Leaves to others: opening the parts (``opening``), and what a finding means (``delivery``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from exchanged.config_values import ScannerConfig
from exchanged.inspecting import Document, Inspection, findings_of, inspect_documents, scan_allowance
from packet_spec.documents.check import longest_seconds
from packet_spec.encoding import reading
from packet_spec.encryption_rules import opened_findings, told_of_opened
from packet_spec.envelope import parse_packet
from packet_spec.errors import ValidatorError
from packet_spec.findings import Finding, Severity
from packet_spec.limits import FINDINGS


@dataclass(frozen=True, slots=True)
class OpenedPart:
    """One opened part: where it lies, its size in bytes and its digest."""

    path: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class OpenedWork:
    """A staged packet: the path of its packet.xml and its encoding, its parts in order.

    ``seal_digest`` tells it from another attempt under the same name: what is slow is known by what was
    asked. ``packs`` is the folder of packs, ``pack`` the digest of the one that it was sealed by.
    ``origin`` says whose packets have to wait when this one takes long.
    """

    seal_digest: str
    packet_xml: str
    encoding: str
    parts: tuple[OpenedPart, ...]
    packs: str
    pack: str
    scanner: ScannerConfig | None
    origin: str

    @property
    def allowance_seconds(self) -> float:
        """What it may take beyond the patience with a small packet; formats are not known yet."""
        scans = (scan_allowance(part.size) for part in self.parts) if self.scanner else ()
        return longest_seconds(sum(part.size for part in self.parts)) + sum(scans)


def check_opened(work: OpenedWork) -> tuple[Finding, ...]:
    """Findings that refuse the packet; none when it is what its sender says and its documents are sound.

    Raises ValidatorError, ScannerFailedError and PackUnknownError (wait).
    """
    try:
        packet_xml = Path(work.packet_xml).read_bytes()
    except OSError as error:
        raise ValidatorError("a staged packet.xml could not be read", found=error.strerror or "") from error
    packet, findings = parse_packet(reading(packet_xml, work.encoding))
    if packet is None:
        return findings
    if len(packet.attachments) != len(work.parts):
        raise ValidatorError("a staged packet has other parts than it lists")
    pairs = tuple(zip(packet.attachments, work.parts, strict=True))
    differences = tuple(
        finding for listed, part in pairs for finding in opened_findings(listed, part.size, part.digest)
    )
    if differences:
        return differences[:FINDINGS]
    documents = tuple(
        Document(replace(listed, size=part.size, sha256=part.digest), part.size, part.path)
        for listed, part in pairs
    )
    reports = inspect_documents(Inspection(documents, work.scanner, work.packs, work.pack))
    found = findings_of(documents, reports, is_whole=True)
    refused = [finding for finding in found if finding.severity is Severity.REFUSE]
    return told_of_opened(refused, packet.attachments)[:FINDINGS]
