"""The index of a packet (COM-002 in XML) against the dossier packages (COM-001) of the same packet.

Guarantees: each entry is in a package of the packet, with that size, SHA-256 and number of pages, and the
packages hold nothing that the index does not list. An entry says which package it means where several hold
a file of that name. Leaves to others: indexes in another vocabulary, and dossiers that are no packages (PDF,
OFD): then nothing is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from packet_spec.documents.check import INDEX_TYPE, PACKAGE_TYPE, DocumentReport
from packet_spec.documents.index import compare_entries
from packet_spec.documents.values import IndexEntry
from packet_spec.findings import Finding, Outcome, verdict_of
from packet_spec.model import Attachment
from packet_spec.sentences import make_finding


def agreement_findings(reports: Sequence[tuple[Attachment, DocumentReport]]) -> tuple[Finding, ...]:
    """Every index of the packet against its packages. What is refused already compares to nothing."""
    packages = [(listed, report) for listed, report in reports if listed.document_type == PACKAGE_TYPE]
    whole = [
        report.members is not None and verdict_of(report.findings).outcome is Outcome.VALID
        for _, report in packages
    ]
    if not packages or not all(whole):
        return ()
    members = {
        f"{listed.file}/{member.name}": member
        for listed, report in packages
        for member in report.members or ()
    }
    places = _places(packages)
    return tuple(
        make_finding(
            fault.code,
            file=fault.inside,
            document=listed.document_type,
            expected=fault.expected,
            found=fault.found,
        )
        for listed, report in reports
        if listed.document_type == INDEX_TYPE and report.index is not None
        for fault in compare_entries([_placed(entry, places) for entry in report.index], members)
    )


def _places(packages: Sequence[tuple[Attachment, DocumentReport]]) -> dict[str, list[str]]:
    """Name of a file -> the packages that hold one of that name."""
    found: dict[str, list[str]] = {}
    for listed, report in packages:
        for member in report.members or ():
            found.setdefault(member.name, []).append(listed.file)
    return found


def _placed(entry: IndexEntry, places: dict[str, list[str]]) -> IndexEntry:
    """The entry with the name of its package before its own, where it is plain which one is meant."""
    holding = places.get(entry.file, [])
    package = entry.package or (holding[0] if len(holding) == 1 else "")
    return replace(entry, file=f"{package}/{entry.file}") if package else entry
