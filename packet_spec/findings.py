"""Findings as values: what is wrong with a packet, where, and what the clerk should do.

A finding never contains case data beyond the value at fault, and all findings of a packet are given
at once (docs/packet-format.md, findings). The sentences live in ``packet_spec.sentences``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``refuse`` stops the packet; ``warn`` travels with it."""

    REFUSE = "refuse"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong: ``code`` is stable and kebab-case; ``place`` says where (file, line, field).

    ``element`` is a field code or element path; ``document`` a document type code. ``zh`` and ``en``
    are one plain sentence each, telling a clerk what to do.
    """

    code: str
    severity: Severity
    zh: str
    en: str
    file: str = ""
    line: int | None = None
    element: str = ""
    document: str = ""
    expected: str = ""
    found: str = ""


class Outcome(StrEnum):
    """The three answers of every check: doubt holds, it never passes and never blames."""

    VALID = "valid"
    REFUSED = "refused"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of a check with every finding; ``held_because`` is a kebab-case reason."""

    outcome: Outcome
    findings: tuple[Finding, ...] = ()
    held_because: str = ""


def verdict_of(findings: tuple[Finding, ...]) -> Verdict:
    """Valid unless at least one finding refuses."""
    refused = any(finding.severity is Severity.REFUSE for finding in findings)
    return Verdict(Outcome.REFUSED if refused else Outcome.VALID, findings)
