"""Status files: how far a drop is, as XML and as JSON with the same keys, for the sender's software.

Guarantees: both forms say the same; the full drop name stands inside even where the file name had to be
cut. Leaves to others: file names (``names.status_name``), when to write, what a state means.
"""

from __future__ import annotations

import json
from typing import Final, Literal

from packet_spec.encoding import decide_encoding
from packet_spec.errors import EncodingError
from packet_spec.finding_xml import add_findings, carried_text, read_findings
from packet_spec.findings import Finding
from packet_spec.limits import STATUS_BYTES
from packet_spec.told import DestinationStatus, Status
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    read_truth,
    text,
    texts,
    write_machine_document,
    write_moment,
    write_truth,
)

StatusEncoding = Literal["utf-8", "gb18030"]

_TEXT: Final = json.JSONEncoder(ensure_ascii=False)
_UTF_8_DECLARATION: Final = b'encoding="UTF-8"'
# Missing files named in one status: nobody reads more, and the file stays below its cap.
_MISSING: Final = 200
_GB18030_DECLARATION: Final = 'encoding="GB18030"'


def encode_status_xml(status: Status, encoding: StatusEncoding = "utf-8") -> bytes:
    """The status as XML; GB18030 where a folder's profile asks for it.

    Raises SchemaError when the value cannot be written or is over its cap.
    """
    root = new_root("status", "status", {"formatVersion": FORMAT_VERSION})
    add(root, "drop", carried_text(status.drop))
    if status.packet_id is not None:
        add(root, "packetId", status.packet_id)
    if status.sender_ref is not None:
        add(root, "senderRef", carried_text(status.sender_ref))
    if status.attempt is not None:
        add(root, "attempt", str(status.attempt))
    add(root, "state", status.state)
    add(root, "final", write_truth(status.final))
    add(root, "updatedAt", write_moment(status.updated_at))
    message = add(root, "message")
    add(message, "zh", carried_text(status.message_zh))
    add(message, "en", carried_text(status.message_en))
    if status.duplicate_of is not None:
        add(root, "duplicateOf", status.duplicate_of)
    for destination in status.destinations:
        add(
            root,
            "destination",
            agency=destination.agency,
            state=destination.state,
            at=write_moment(destination.at),
            receipt=destination.receipt or None,
        )
    for missing in _named_missing(status):
        add(root, "missing", missing)
    add_findings(root, status.findings, STATUS_BYTES // 2)
    data = write_machine_document(root, "status", limit_bytes=STATUS_BYTES)
    if encoding == "utf-8":
        return data
    declared = data.replace(_UTF_8_DECLARATION, _GB18030_DECLARATION.encode(), 1)
    return declared.decode("utf-8").encode(encoding)


def encode_status_json(status: Status) -> bytes:
    """The status as one JSON object, UTF-8: the keys of the XML form, absent ones left out."""
    value: dict[str, object] = {
        "drop": carried_text(status.drop),
        "packetId": status.packet_id,
        "senderRef": None if status.sender_ref is None else carried_text(status.sender_ref),
        "attempt": status.attempt,
        "state": status.state,
        "final": status.final,
        "updatedAt": write_moment(status.updated_at),
        "message": {"zh": carried_text(status.message_zh), "en": carried_text(status.message_en)},
        "duplicateOf": status.duplicate_of,
        "destination": [_destination_object(each) for each in status.destinations],
        "missing": list(_named_missing(status)),
        "finding": [_finding_object(finding) for finding in status.findings],
    }
    present = {key: item for key, item in value.items() if item is not None}
    # A line for each key, for people who look into it; indenting all of it takes longer than all the rest.
    lines = (f"  {json.dumps(key)}: {_TEXT.encode(item)}" for key, item in present.items())
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def decode_status_xml(data: bytes) -> Status:
    """The value of a status file in UTF-8 or GB18030. Raises FormatError leaves and VersionError."""
    decision = decide_encoding(data, "status")
    if isinstance(decision, Finding):
        raise EncodingError("the status file cannot be decoded")
    root = read_machine_document(decision.utf8, "status", limit_bytes=STATUS_BYTES)
    message = children(root, "message")[0]
    attempt = text(root, "attempt")
    return Status(
        drop=text(root, "drop"),
        state=text(root, "state"),
        final=read_truth(text(root, "final")),
        updated_at=read_moment(text(root, "updatedAt")),
        message_zh=text(message, "zh"),
        message_en=text(message, "en"),
        packet_id=text(root, "packetId") or None,
        sender_ref=text(root, "senderRef") or None,
        attempt=int(attempt) if attempt else None,
        destinations=tuple(
            DestinationStatus(
                attribute(each, "agency"),
                attribute(each, "state"),
                read_moment(attribute(each, "at")),
                attribute(each, "receipt"),
            )
            for each in children(root, "destination")
        ),
        missing=texts(root, "missing"),
        findings=read_findings(root),
        duplicate_of=text(root, "duplicateOf") or None,
    )


def _named_missing(status: Status) -> tuple[str, ...]:
    """The missing files that are named; how many more, in place of the rest."""
    named = tuple(carried_text(missing) for missing in status.missing[:_MISSING])
    more = len(status.missing) - len(named)
    return (*named, f"… +{more}") if more else named


def _destination_object(destination: DestinationStatus) -> dict[str, str]:
    value = {
        "agency": destination.agency,
        "state": destination.state,
        "at": write_moment(destination.at),
    }
    return value | ({"receipt": destination.receipt} if destination.receipt else {})


def _finding_object(finding: Finding) -> dict[str, object]:
    value: dict[str, object] = {
        "code": finding.code,
        "severity": finding.severity.value,
        "zh": carried_text(finding.zh),
        "en": carried_text(finding.en),
        "file": carried_text(finding.file),
        "line": finding.line,
        "element": carried_text(finding.element),
        "document": carried_text(finding.document),
        "expected": carried_text(finding.expected),
        "found": carried_text(finding.found),
    }
    return {key: item for key, item in value.items() if item not in ("", None)}
