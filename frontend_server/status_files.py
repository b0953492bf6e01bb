"""What a status file says, from the rows of the ledger (docs/packet-format.md, what the sender finds).

Guarantees: the same rows give the same status, so writing it again changes nothing; the headline is the
worst destination; a status that would be too large loses findings and names from its end, never itself.

Leaves to others: the bytes (``packet_spec.status``), when it is written and where (``effects``). Known
limit: an attempt that a higher one has replaced is told from its receipts alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Final, Literal

from exchanged.config import StatusEncoding
from exchanged.ledger import Connection, packets, statements
from exchanged.ledger.drops import DropRow
from exchanged.ledger.rows import PacketRow, ReceiptSummary
from exchanged.states import FINAL_DESTINATIONS, DestinationState, DropState, headline
from frontend_server.status_words import message_of
from packet_spec.errors import FormatError, SchemaError, VersionError
from packet_spec.findings import Finding
from packet_spec.findings_xml import encode_findings, encode_findings_text
from packet_spec.limits import FINDINGS
from packet_spec.model import ReceiptKind
from packet_spec.names import escape_for_display
from packet_spec.receipt import decode_receipt
from packet_spec.signing import split_signed
from packet_spec.status import encode_status_json, encode_status_xml
from packet_spec.told import DestinationStatus, Status

_FINAL_DROPS: Final = frozenset(
    {DropState.REFUSED, DropState.DUPLICATE, DropState.WITHDRAWN, DropState.DISPOSED}
)
_FAILURES: Final = (ReceiptKind.REFUSED, ReceiptKind.UNDELIVERABLE, ReceiptKind.EXPIRED)
_NAMES_SHOWN: Final = 200
# Most receipts hold none, and reading one takes longer than all the rest of a status.
_FINDING: Final = b"<finding"


def build_status(connection: Connection, drop: DropRow) -> Status:
    """The status of a drop as the ledger knows it."""
    shown = escape_for_display(drop.name)
    if drop.state is DropState.TAKEN and drop.packet is not None:
        return _packet_status(connection, drop, packets.get(connection, drop.packet), shown)
    zh, en = message_of(drop.state, drop.reason)
    missing = drop.missing[:_NAMES_SHOWN]
    if len(drop.missing) > _NAMES_SHOWN:
        missing = (*missing, f"… +{len(drop.missing) - _NAMES_SHOWN}")
    return Status(
        drop=shown,
        state=drop.state.value,
        final=drop.state in _FINAL_DROPS,
        updated_at=drop.since,
        message_zh=zh,
        message_en=en,
        sender_ref=drop.sender_ref or None,
        missing=missing,
        findings=drop.findings[:FINDINGS],
        duplicate_of=drop.duplicate_of or None,
    )


def encode_status(status: Status, encoding: StatusEncoding) -> tuple[bytes, bytes]:
    """The XML and the JSON form. What does not fit the cap of a status file is left out from the end."""
    chosen: Literal["utf-8", "gb18030"] = "gb18030" if encoding is StatusEncoding.GB18030 else "utf-8"
    while True:
        try:
            return encode_status_xml(status, chosen), encode_status_json(status)
        except SchemaError:
            if not status.findings and not status.missing:
                raise
            status = replace(
                status,
                findings=status.findings[: len(status.findings) // 2],
                missing=status.missing[: len(status.missing) // 2],
            )


def encode_refusal(drop: DropRow) -> tuple[bytes, bytes]:
    """findings.xml and findings.txt of a refused drop."""
    shown, findings = escape_for_display(drop.name), drop.findings
    while True:
        try:
            document = encode_findings(shown, findings, drop.since)
        except SchemaError:
            if not findings:
                raise
            findings = findings[: len(findings) // 2]
        else:
            return document, encode_findings_text(shown, findings, drop.since).encode()


def receipt_names(receipts: Sequence[ReceiptSummary]) -> dict[int, str]:
    """Receipt row -> file name, for all receipts of one packet in the order of the ledger.

    ``<kind>-<recipient or issuer>-<attempt>.xml``; a further one of the same name gets ``~2`` and so on.
    """
    counted: dict[str, int] = {}
    names: dict[int, str] = {}
    for row in receipts:
        base = f"{row.kind}-{row.recipient or row.issued_by}-{row.attempt}"
        counted[base] = counted.get(base, 0) + 1
        mark = "" if counted[base] == 1 else f"~{counted[base]}"
        names[row.id] = f"{base}{mark}.xml"
    return names


def _packet_status(
    connection: Connection, drop: DropRow, packet: PacketRow, shown: str
) -> Status:
    every = statements.summaries_of(connection, packet.key)
    names = receipt_names(every)
    receipts = [row for row in every if row.attempt == drop.attempt]
    if packet.attempt == drop.attempt:
        rows = packets.destinations(connection, packet.id)
        standing = {row.recipient: (row.state, row.since) for row in rows}
    else:
        standing = {code: _ended(drop, code, receipts) for code in packet.recipients}
    ordered = [code for code in packet.recipients if code in standing]
    worst = headline(tuple(standing[code][0] for code in ordered))
    zh, en = message_of(worst)
    return Status(
        drop=shown,
        state=worst.value,
        final=all(standing[code][0] in FINAL_DESTINATIONS for code in ordered),
        updated_at=max(drop.since, *(standing[code][1] for code in ordered)),
        message_zh=zh,
        message_en=en,
        packet_id=packet.key.packet_id,
        sender_ref=drop.sender_ref or None,
        attempt=drop.attempt,
        destinations=tuple(
            DestinationStatus(
                agency=code,
                state=standing[code][0].value,
                at=standing[code][1],
                receipt=_receipt_name(code, standing[code][0], receipts, names),
            )
            for code in ordered
        ),
        findings=_findings(connection, drop, receipts),
    )


def _ended(
    drop: DropRow, recipient: str, receipts: Iterable[ReceiptSummary]
) -> tuple[DestinationState, datetime]:
    """How an attempt that was replaced had ended for a recipient: only a failed one is replaced."""
    for kind in _FAILURES:
        for row in receipts:
            if row.kind == kind.value and row.recipient in ("", recipient):
                return DestinationState(kind.value), row.issued_at
    return DestinationState.CANCELLED, drop.since


def _receipt_name(
    recipient: str, state: DestinationState, receipts: Sequence[ReceiptSummary], names: dict[int, str]
) -> str:
    """The file of the receipt that put a destination into its state, if one did."""
    found = [row for row in receipts if row.kind == state.value and row.recipient in ("", recipient)]
    return names[found[-1].id] if found else ""


def _findings(
    connection: Connection, drop: DropRow, receipts: Iterable[ReceiptSummary]
) -> tuple[Finding, ...]:
    """The sender's own warnings, then what receipts say; each once. What is not shown is not read."""
    findings = dict.fromkeys(drop.findings)
    for row in receipts:
        if len(findings) >= FINDINGS:
            break
        document = statements.get_document(connection, "receipt", row.id)
        if _FINDING not in document:
            continue
        # Verified before it was recorded; one of a newer format is shown by its file alone.
        with suppress(FormatError, VersionError):
            findings.update(dict.fromkeys(decode_receipt(split_signed(document)[0]).findings))
    return tuple(findings)[:FINDINGS]
