"""Findings inside other documents: the ``finding`` element, the same in every namespace.

Guarantees that any findings can be written: a text is cut to what the schema carries, characters that XML
cannot carry are shown escaped, and what would make the document too large is counted instead. Which
findings there are is decided elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from packet_spec.findings import Finding, Severity
from packet_spec.sentences import make_finding
from packet_spec.xml import Element, add, attribute, children, text, written_size

_LONGEST: Final = 1_000
_UNCARRIED: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def carried_text(value: str) -> str:
    r"""``value`` with control characters shown as ``\xNN`` or ``\uNNNN``, and at most 1,000 long."""
    shown = _UNCARRIED.sub(_escape, value)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def add_findings(parent: Element, findings: Sequence[Finding], limit_bytes: int) -> None:
    """Append one ``finding`` per finding, as many as fit into ``limit_bytes``.

    A refusal must always find its way to the sender: what does not fit is left out from the end, and a last
    finding (``findings-cut``) says how many.
    """
    left = limit_bytes
    for position, finding in enumerate(findings):
        element = _add_finding(parent, finding)
        left -= written_size(element)
        if left < 0:
            parent.remove(element)
            _add_finding(parent, make_finding("findings-cut", found=str(len(findings) - position)))
            return


def _add_finding(parent: Element, finding: Finding) -> Element:
    element = add(
        parent,
        "finding",
        code=finding.code,
        severity=finding.severity.value,
        file=_optional(finding.file),
        line=None if finding.line is None else str(finding.line),
        element=_optional(finding.element),
        document=_optional(finding.document),
    )
    add(element, "zh", carried_text(finding.zh))
    add(element, "en", carried_text(finding.en))
    if finding.expected:
        add(element, "expected", carried_text(finding.expected))
    if finding.found:
        add(element, "found", carried_text(finding.found))
    return element


def read_findings(parent: Element) -> tuple[Finding, ...]:
    """The findings of a schema-valid element; where people write them, a missing ``en`` repeats ``zh``."""
    return tuple(_read_finding(element) for element in children(parent, "finding"))


def _read_finding(element: Element) -> Finding:
    line = element.get("line")
    return Finding(
        code=attribute(element, "code"),
        severity=Severity(attribute(element, "severity", Severity.REFUSE)),
        zh=text(element, "zh"),
        en=text(element, "en") or text(element, "zh"),
        file=attribute(element, "file"),
        line=None if line is None else int(line),
        element=attribute(element, "element"),
        document=attribute(element, "document"),
        expected=text(element, "expected"),
        found=text(element, "found"),
    )


def _optional(value: str) -> str | None:
    return carried_text(value) if value else None
