"""findings.xml and findings.txt: why a drop was refused, for the case software and for its clerk.

Both hold every finding, in Chinese and in English (docs/packet-format.md, findings).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from packet_spec.finding_xml import add_findings, carried_text, read_findings
from packet_spec.findings import Finding, Severity
from packet_spec.limits import KIB, STATUS_BYTES
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    new_root,
    read_machine_document,
    read_moment,
    text,
    write_machine_document,
    write_moment,
)

_SEVERITY_WORDS = {Severity.REFUSE: ("拒收", "refused"), Severity.WARN: ("提示", "warning")}


def encode_findings(drop: str, findings: Sequence[Finding], at: datetime) -> bytes:
    """findings.xml for the drop of that name. What would be over its cap is counted in a last finding."""
    root = new_root("findings", "findings", {"formatVersion": FORMAT_VERSION})
    add(root, "drop", carried_text(drop))
    add(root, "at", write_moment(at))
    add_findings(root, findings, STATUS_BYTES - 8 * KIB)
    return write_machine_document(root, "findings", limit_bytes=STATUS_BYTES)


def decode_findings(data: bytes) -> tuple[str, tuple[Finding, ...], datetime]:
    """Drop name, findings and time of a findings.xml. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "findings", limit_bytes=STATUS_BYTES)
    return text(root, "drop"), read_findings(root), read_moment(text(root, "at"))


def encode_findings_text(drop: str, findings: Sequence[Finding], at: datetime) -> str:
    """findings.txt: the same for reading, one numbered finding after the other, Chinese first."""
    lines = [carried_text(drop), write_moment(at), ""]
    for number, finding in enumerate(findings, start=1):
        zh, en = _SEVERITY_WORDS[finding.severity]
        lines.append(f"{number}. [{zh}] {carried_text(finding.zh)}")
        lines.append(f"   [{en}] {carried_text(finding.en)}")
        lines.append(f"   ({', '.join(_place(finding))})")
        lines.append("")
    return "\n".join(lines)


def _place(finding: Finding) -> Iterable[str]:
    yield finding.code
    if finding.file:
        yield carried_text(finding.file)
    if finding.line is not None:
        yield f"line {finding.line}"
    for word in (finding.element, finding.document):
        if word:
            yield carried_text(word)
