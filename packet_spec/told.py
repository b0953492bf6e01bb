"""What an agency is told beside its packets: the status of one that it sent, the note of one that it got.

Values, as in ``model``: times are aware datetimes in UTC, sizes are bytes, digests are SHA-256 in lower-case
hexadecimal. The files they are written to are described in docs/packet-format.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from packet_spec.findings import Finding
from packet_spec.identity import PacketKey


@dataclass(frozen=True, slots=True)
class DestinationStatus:
    """How far a packet is for one recipient, as the sender's case software reads it."""

    agency: str
    state: str
    at: datetime
    receipt: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What a status file says about one drop (docs/packet-format.md, status)."""

    drop: str
    state: str
    final: bool
    updated_at: datetime
    message_zh: str
    message_en: str
    packet_id: str | None = None
    sender_ref: str | None = None
    attempt: int | None = None
    destinations: tuple[DestinationStatus, ...] = ()
    missing: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    duplicate_of: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """One attachment as it lies in the inbox: the listed name, the file name, size, digest.

    ``carried_digest`` is the digest that the seal names, where that is another: of the ciphertext.
    """

    listed: str
    file: str
    size: int
    digest: str
    document_type: str
    carried_digest: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """delivery.xml: what the receiver's software reads first, and the id to use in inReplyTo.

    ``maybe_duplicate``: the front-end was restored and cannot know whether it delivered this packet before
    (C23).
    """

    key: PacketKey
    attempt: int
    recipient: str
    business_type: str
    sender_ref: str
    sealed_at: datetime
    accepted_at: datetime
    delivered_at: datetime
    packet_digest: str
    content_digest: str
    seal_digest: str
    encoding: str
    files: tuple[DeliveredFile, ...]
    maybe_duplicate: bool = False
