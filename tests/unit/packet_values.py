"""One good packet as values, and ways to spoil it. All data is fictional."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from packet_spec.catalogue import load_catalogue
from packet_spec.findings import Finding
from packet_spec.model import (
    Attachment,
    CaseNumber,
    Envelope,
    Packet,
    Priority,
)
from packet_spec.rules import Parties, check_rules

CATALOGUE = load_catalogue()
POLICE, PROCURATORATE, COURT = "620199-01-00", "620199-03-00", "620199-04-00"
UPPER_COURT, DETENTION, PRISON = "620100-04-00", "620199-02-00", "620000-08-01"

SUSPECT = {
    "person_no": "1",
    "person_name": "李某甲",
    "person_role": "suspect",
    "id_type": "id_card",
    "id_no": "620199199003077016",
    "sex": "1",
    "birth_date": "1990-03-07",
    "measure_code": "detention",
    "in_custody": "true",
    "plea": "false",
    "detention_date": "2026-07-01",
    "custody_place": DETENTION,
}

ENVELOPE = Envelope(
    packet_id=None,
    sender_ref="A-1",
    business_type="arrest.request",
    sender=POLICE,
    receiver=PROCURATORATE,
    copy_to=(),
    in_reply_to=None,
    supersedes=None,
    created_at=datetime(2026, 7, 7, 20, 0, tzinfo=UTC),
    priority=Priority.NORMAL,
    track="single",
    handover="transfer",
    expires_at=None,
    secrecy="none",
    case_kind="theft",
    case_numbers=(CaseNumber("police", "A6201990000002026070001"),),
    handler="承办人",
    approver="批准人",
    approved_on=date(2026, 7, 7),
)

ARREST = Packet(
    envelope=ENVELOPE,
    attachments=tuple(
        Attachment(f"{code}.pdf", code, 1, "0" * 64) for code in ("POL-009", "COM-001", "COM-002", "EVD-016")
    ),
    body_type="arrest.request",
    fields={
        "case_name": "李某甲盗窃案",
        "cause_code": "050200",
        "cause_name": "盗窃",
        "filed_date": "2026-07-01",
    },
    lists={},
    persons=(SUSPECT,),
)


def change(packet: Packet = ARREST, *, envelope: Mapping[str, Any] | None = None, **changes: Any) -> Packet:
    return replace(packet, envelope=replace(packet.envelope, **(envelope or {})), **changes)


def person(**changes: str | None) -> Packet:
    values = {key: value for key, value in (SUSPECT | changes).items() if value is not None}
    return change(persons=(values,))


def findings(packet: Packet, parties: Parties | None = None) -> list[Finding]:
    if parties is None:
        parties = Parties.from_codes(CATALOGUE, packet.envelope)
    return list(check_rules(packet, CATALOGUE, parties))


def the_finding(packet: Packet, parties: Parties | None = None) -> Finding:
    (finding,) = findings(packet, parties)
    return finding


def typed(code: str, **changes: Any) -> Packet:
    return change(envelope={"business_type": code} | changes.pop("envelope", {}), body_type=code, **changes)


def documents(*codes: str) -> tuple[Attachment, ...]:
    return tuple(Attachment(f"{code}.pdf", code, 1, "0" * 64) for code in codes)


DECISION = change(
    envelope={
        "business_type": "arrest.decision",
        "sender": PROCURATORATE,
        "receiver": POLICE,
        "case_numbers": (CaseNumber("procuratorate", "62019920260003100"),),
    },
    body_type="arrest.decision",
    attachments=documents("PRO-002"),
    fields={"case_name": "李某甲盗窃案", "decision_code": "approved", "decision_date": "2026-07-07"},
    persons=({key: SUSPECT[key] for key in ("person_name", "person_role", "id_type", "id_no")},),
)
