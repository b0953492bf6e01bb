"""Dispositions: the recipient's software signs for a delivered packet (签收) or refuses it (custody C22).

A lone XML dropped into the recipient's outbox. Guarantees: either a whole value or findings that refuse.
Leaves to others: whether that packet was delivered here, and that it is answered once.
"""

from __future__ import annotations

from packet_spec.encoding import READING_GROWTH, decide_encoding
from packet_spec.errors import SchemaError, XmlRefusedError
from packet_spec.finding_xml import read_findings
from packet_spec.findings import Finding
from packet_spec.identity import PacketKey
from packet_spec.limits import DISPOSITION_BYTES
from packet_spec.model import Disposition, ReceiptKind
from packet_spec.xml import Element, attribute, local_name, namespace_of, parse_document, read_moment
from packet_spec.xml_findings import MOMENT_SHAPE, refusal_finding, schema_findings, xml_finding

_FILE = "disposition"
_NAMESPACE = "urn:exchanged:disposition:1"


def is_disposition(data: bytes) -> bool:
    """Whether a lone XML is a disposition (its root element says so) rather than a packet."""
    root = _root(data)
    return not isinstance(root, Finding) and _says_disposition(root)


def parse_disposition(data: bytes) -> tuple[Disposition | None, tuple[Finding, ...]]:
    """The disposition in the original bytes of a lone XML; None exactly when a finding refuses."""
    root = _root(data)
    if isinstance(root, Finding):
        return None, (root,)
    findings = schema_findings(root, "disposition", _FILE)
    if findings:
        return None, findings
    kind = ReceiptKind(attribute(root, "kind"))
    reasons = read_findings(root)
    if kind is ReceiptKind.REFUSED and not reasons:
        return None, (xml_finding("reason-missing", file=_FILE),)
    try:
        at = read_moment(attribute(root, "at"))
    except SchemaError:
        found = attribute(root, "at")
        wrong = xml_finding("value-invalid", element="@at", expected=MOMENT_SHAPE, found=found, file=_FILE)
        return None, (wrong,)
    key = PacketKey(attribute(root, "sender"), attribute(root, "packetId"))
    return Disposition(key, kind, attribute(root, "by"), at, reasons), ()


def _root(data: bytes) -> Element | Finding:
    if len(data) > DISPOSITION_BYTES:
        limit = f"{DISPOSITION_BYTES} bytes"
        return xml_finding("too-large", expected=limit, found=f"{len(data)} bytes", file=_FILE)
    decision = decide_encoding(data, _FILE)
    if isinstance(decision, Finding):
        return decision
    try:
        return parse_document(decision.utf8, limit_bytes=READING_GROWTH * DISPOSITION_BYTES)
    except XmlRefusedError as error:
        return refusal_finding(error, _FILE)


def _says_disposition(root: Element) -> bool:
    return local_name(root) == "disposition" and namespace_of(root) == _NAMESPACE
