"""The fields of the catalogue that the envelope of packet.xml carries, so that no body repeats them.

One table serves the body schemas (which leave these fields out) and the rules (which read them here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from packet_spec.model import Envelope


@dataclass(frozen=True, slots=True)
class EnvelopeField:
    """Where the envelope carries a field: its path below ``packet``, and how to read it as text."""

    path: str
    read: Callable[[Envelope], str]


def _number(kind: str) -> EnvelopeField:
    def read(envelope: Envelope) -> str:
        for number in envelope.case_numbers:
            if number.kind == kind:
                return number.value
        return ""

    return EnvelopeField(f"envelope/case/number[@kind='{kind}']", read)


ENVELOPE_FIELDS: Final[Mapping[str, EnvelopeField]] = MappingProxyType(
    {
        "sender_ref": EnvelopeField("envelope/senderRef", lambda envelope: envelope.sender_ref),
        "secrecy": EnvelopeField("envelope/secrecy", lambda envelope: envelope.secrecy),
        "case_kind": EnvelopeField("envelope/case/@kind", lambda envelope: envelope.case_kind),
        "handling_officer": EnvelopeField("envelope/handler/@name", lambda envelope: envelope.handler),
        "approver": EnvelopeField("envelope/approver/@name", lambda envelope: envelope.approver),
        "approval_date": EnvelopeField(
            "envelope/approver/@approvedOn",
            lambda envelope: "" if envelope.approved_on is None else envelope.approved_on.isoformat(),
        ),
        "police_case_no": _number("police"),
        "proc_case_no": _number("procuratorate"),
        "court_case_no": _number("court"),
    }
)
