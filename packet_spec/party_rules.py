"""Rules about who sends to whom: known agencies, kinds, levels, allow-lists, nobody to itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from packet_spec.catalogue import Catalogue
from packet_spec.findings import Finding
from packet_spec.parties import Party
from packet_spec.rule_subject import Subject
from packet_spec.sentences import make_finding

_SENDER: Final = "envelope/sender"
_RECEIVER: Final = "envelope/receiver"
_COPY: Final = "envelope/copyTo"


def parties_known(subject: Subject) -> Iterator[Finding]:
    """Every party is in the directory, and neither disabled nor retired."""
    for code, element, party in _roles(subject):
        if not party.known:
            yield make_finding(f"{code}-{party.standing}", element=element, found=party.code)


def kinds_fit(subject: Subject) -> Iterator[Finding]:
    """Sender, receiver and copies are of the kinds that the type names; unknown ones are named already."""
    row = subject.row
    allowed = {"sender": row.senders, "receiver": row.receivers, "copy": row.copies_to}
    for code, element, party in _roles(subject):
        if party.known and not subject.catalogue.plays(party.kind, allowed[code]):
            yield make_finding(
                f"{code}-kind",
                element=element,
                expected="、".join(_kind(subject.catalogue, kind) for kind in allowed[code]) or "-",
                found=_kind(subject.catalogue, party.kind),
            )


def level_fits(subject: Subject) -> Iterator[Finding]:
    """The receiver's level against the sender's, where both levels are known and bind (agency kinds)."""
    catalogue = subject.catalogue
    sender, receiver = subject.parties.sender, subject.parties.receiver
    if subject.row.level == "any" or not (_levelled(catalogue, sender) and _levelled(catalogue, receiver)):
        return
    levels = catalogue.levels
    own, other = levels.index(sender.level), levels.index(receiver.level)
    expected = {
        "same": levels[own : own + 1],
        "receiver_one_above": levels[own + 1 : own + 2],
        "receiver_below": levels[:own],
    }[subject.row.level]
    if levels[other] not in expected:
        yield make_finding(
            "level-wrong", element=_RECEIVER, expected=" | ".join(expected) or "-", found=receiver.level
        )


def lists_allow(subject: Subject) -> Iterator[Finding]:
    """Type and case kind are in the allow-lists of every party that has one."""
    envelope = subject.packet.envelope
    for _, _, party in _roles(subject):
        for code, found, allowed in (
            ("type-not-allowed", envelope.business_type, party.business_types),
            ("case-kind-not-allowed", envelope.case_kind, party.case_kinds),
        ):
            if allowed and found and found not in allowed:
                yield make_finding(code, element=party.code, expected=", ".join(allowed), found=found)


def routes_allow(subject: Subject) -> Iterator[Finding]:
    """Type and case kind are in the allow-lists of the route to every recipient that has them.

    A packet about a case that names no kind is on no such list, except where it answers one that came by it.
    """
    envelope = subject.packet.envelope
    exempt = subject.row.unit == "none" or envelope.in_reply_to is not None
    recipients = list(_roles(subject))[1:]
    for (_, element, _party), route in zip(recipients, subject.parties.routes, strict=False):
        if route is None:
            continue
        for code, found, allowed in (
            ("type-not-on-route", envelope.business_type, route.business_types),
            ("case-kind-not-on-route", envelope.case_kind, route.case_kinds),
        ):
            if allowed and found not in allowed and (found or not exempt):
                yield make_finding(code, element=element, expected=", ".join(allowed), found=found or "-")


def not_to_oneself(subject: Subject) -> Iterator[Finding]:
    """No agency writes to itself."""
    envelope = subject.packet.envelope
    if envelope.sender in envelope.recipients:
        yield make_finding("recipient-is-sender", element=_RECEIVER, found=envelope.sender)


def _roles(subject: Subject) -> Iterator[tuple[str, str, Party]]:
    parties = subject.parties
    yield "sender", _SENDER, parties.sender
    yield "receiver", _RECEIVER, parties.receiver
    for number, party in enumerate(parties.copies, 1):
        yield "copy", f"{_COPY}[{number}]", party


def _levelled(catalogue: Catalogue, party: Party) -> bool:
    kind = catalogue.agency_kinds.get(party.kind)
    return kind is not None and kind.levelled and party.level in catalogue.levels


def _kind(catalogue: Catalogue, code: str) -> str:
    row = catalogue.agency_kinds.get(code)
    return code if row is None else f"{row.zh}（{code}）"
