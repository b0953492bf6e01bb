"""The rule engine: one table of rules over the rows of the catalogue, all findings at once.

Guarantees: pure; takes packets as ``envelope`` reads them; a rule looks at one packet and its parties,
never at another packet, and reads its demands from the catalogue. A packet whose business type is unknown
gets that one finding.

Leaves to others: the form of the body (``schema``), the order of packets in a case (``sequence``), whether
a document can be opened. Known limit: the catalogue says who must approve, a program sees only that an
approver and a date are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from packet_spec import field_rules, identity_rules, party_rules
from packet_spec.catalogue import Catalogue
from packet_spec.findings import Finding
from packet_spec.limits import LIST_ITEMS, PERSONS
from packet_spec.model import Packet
from packet_spec.parties import Parties, Party
from packet_spec.rule_subject import Subject, describe_conditions
from packet_spec.sentences import document_label_zh, make_finding

__all__ = ["RULES", "Parties", "Party", "check_rules"]


def check_rules(packet: Packet, catalogue: Catalogue, parties: Parties) -> tuple[Finding, ...]:
    """Every finding of every rule, in the order of the table."""
    code = packet.envelope.business_type
    row = catalogue.business_types.get(code)
    if row is None:
        return (make_finding("type-unknown", element="envelope/businessType", found=code),)
    subject = Subject(packet, row, catalogue, parties)
    oversized = tuple(_sizes(packet))
    if oversized:
        return oversized
    return tuple(finding for rule in RULES for finding in rule(subject))


def _sizes(packet: Packet) -> Iterator[Finding]:
    """Persons and lists within their limits; beyond them no other rule is asked, which bounds the time."""
    counts = {"persons": len(packet.persons)} | {code: len(items) for code, items in packet.lists.items()}
    for code, count in counts.items():
        limit = PERSONS if code == "persons" else LIST_ITEMS
        if count > limit:
            yield make_finding("list-too-long", element=code, expected=str(limit), found=str(count))


def _type_enabled(subject: Subject) -> Iterator[Finding]:
    if not subject.row.enabled_by_default and subject.row.code not in subject.parties.enabled_types:
        yield make_finding("type-disabled", element="envelope/businessType", found=subject.row.code)


def _secrecy(subject: Subject) -> Iterator[Finding]:
    allowed = subject.catalogue.code_lists["secrecy"]
    secrecy = subject.packet.envelope.secrecy
    if secrecy not in allowed:
        yield make_finding(
            "secrecy-refused",
            element="envelope/secrecy",
            expected="、".join(f"{zh}（{code}）" for code, zh in allowed.items()),
            found=secrecy,
        )


def _case_kind(subject: Subject) -> Iterator[Finding]:
    kind = subject.packet.envelope.case_kind
    if kind and kind not in subject.catalogue.case_kinds:
        yield make_finding("case-kind-unknown", element="envelope/case/@kind", found=kind)


def _documents_present(subject: Subject) -> Iterator[Finding]:
    carried = {attachment.document_type for attachment in subject.packet.attachments}
    for code in subject.row.required_documents:
        if code not in carried:
            yield make_finding("document-missing", document=code)
    for group in subject.row.required_one_of:
        if carried.isdisjoint(group):
            yield make_finding(
                "document-missing-one-of",
                expected="、".join(document_label_zh(code, subject.catalogue) for code in group),
            )
    for requirement in subject.active(subject.row.conditional_documents):
        for code in requirement.require:
            if code not in carried:
                yield make_finding(
                    "document-missing-conditional", document=code, expected=describe_conditions(requirement)
                )


def _documents_allowed(subject: Subject) -> Iterator[Finding]:
    allowed = subject.row.allowed_documents
    for attachment in subject.packet.attachments:
        code = attachment.document_type
        if code not in subject.catalogue.document_types:
            yield make_finding("document-unknown", file=attachment.file, found=code)
        elif code not in allowed:
            yield make_finding("document-not-allowed", file=attachment.file, document=code)


# A rule -> its findings for one packet. The order is that in which a clerk reads them: what and to whom,
# then the documents, then field by field.
RULES: Final[tuple[Callable[[Subject], Iterator[Finding]], ...]] = (
    _type_enabled,
    _secrecy,
    party_rules.parties_known,
    party_rules.kinds_fit,
    party_rules.level_fits,
    party_rules.lists_allow,
    party_rules.routes_allow,
    party_rules.not_to_oneself,
    _case_kind,
    _documents_present,
    _documents_allowed,
    field_rules.required_fields,
    field_rules.conditional_fields,
    field_rules.approval,
    field_rules.outcome,
    field_rules.numbers_in_range,
    field_rules.lists_long_enough,
    field_rules.listed_documents_exist,
    field_rules.agency_fields,
    field_rules.dates_are_real,
    field_rules.case_numbers,
    field_rules.numbers_in_texts,
    identity_rules.identities,
    identity_rules.person_numbers_differ,
    identity_rules.names_readable,
)
