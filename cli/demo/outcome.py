"""What a run of the demo came to, as plain values: for the timeline, and for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cli.demo.journey import Journey
from cli.demo.killing import Kill
from packet_spec.findings import Finding
from packet_spec.model import ReceiptKind


@dataclass(frozen=True, slots=True)
class ReceiptTold:
    """A verified receipt. ``recipient`` is empty where it speaks for the whole packet.

    ``seconds`` is from the moment when the drop lay in the outbox to the receipt's own time.
    """

    kind: ReceiptKind
    recipient: str
    issued_by: str
    seconds: float
    how: str = ""


@dataclass(frozen=True, slots=True)
class PacketTold:
    """One packet of the story. Agencies are codes; ``at`` is the date in the case, not today's.

    ``dropped_seconds`` counts from the beginning of the play.
    """

    label: str
    at: datetime
    business_type: str
    sender: str
    receiver: str
    copy_to: tuple[str, ...]
    packet_id: str
    documents: int
    size_bytes: int
    dropped_seconds: float
    receipts: tuple[ReceiptTold, ...]


@dataclass(frozen=True, slots=True)
class FaultTold:
    """A faulty drop and what became of it; ``first`` names the packet that a duplicate repeats."""

    label: str
    sender: str
    receiver: str
    business_type: str
    state: str
    wanted: str
    message_zh: str
    message_en: str
    findings: tuple[Finding, ...] = ()
    first: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The whole run. ``differences`` is empty when everything ended as in an undisturbed run."""

    packets: tuple[PacketTold, ...]
    faults: tuple[FaultTold, ...]
    kills: tuple[Kill, ...]
    receipts_verified: int
    directory_version: int
    seconds: float
    differences: tuple[str, ...]


def tell_packet(journey: Journey, began: float) -> PacketTold:
    """The packet of a journey; ``began`` is the monotonic time at which the play began."""
    envelope = journey.original.envelope
    told = (
        ReceiptTold(
            receipt.kind,
            receipt.recipient,
            receipt.issued_by,
            (receipt.issued_at - journey.dropped_at).total_seconds(),
            receipt.how,
        )
        for receipt in journey.received.values()
    )
    return PacketTold(
        label=journey.label,
        at=journey.row.at,
        business_type=envelope.business_type,
        sender=envelope.sender,
        receiver=envelope.receiver,
        copy_to=envelope.copy_to,
        packet_id="" if journey.key is None else journey.key.packet_id,
        documents=len(journey.original.attachments),
        size_bytes=sum(each.size or 0 for each in journey.original.attachments),
        dropped_seconds=journey.dropped - began,
        receipts=tuple(sorted(told, key=lambda each: each.seconds)),
    )


def tell_fault(journey: Journey) -> FaultTold:
    """The faulty drop of a journey."""
    envelope, status = journey.original.envelope, journey.status
    return FaultTold(
        label=journey.label,
        sender=envelope.sender,
        receiver=envelope.receiver,
        business_type=envelope.business_type,
        state="" if status is None else status.state,
        wanted=journey.ending.value,
        message_zh="" if status is None else status.message_zh,
        message_en="" if status is None else status.message_en,
        findings=() if status is None else status.findings,
        first="" if status is None else status.duplicate_of or "",
    )
