"""receipt.xml: signed statements about packets, bytes <-> values.

Guarantees: a receipt is read only after its one signature was verified, and what is written can be
read. Leaves to others: whether the signer may say so (``authority``, custody C21).
"""

from __future__ import annotations

from typing import Final

from packet_spec.errors import SchemaError
from packet_spec.finding_xml import add_findings, read_findings
from packet_spec.identity import PacketKey
from packet_spec.limits import FINDINGS, KIB, RECEIPT_BYTES
from packet_spec.model import CheckedScope, Receipt, ReceiptKind
from packet_spec.signing import Domain, KeyLookup, PrivateKey, open_document, sign_document
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
    write_machine_document,
    write_moment,
    write_truth,
)

# Room for everything else that a receipt says.
_BESIDE_FINDINGS_BYTES: Final = 8 * KIB


def encode_receipt(receipt: Receipt) -> bytes:
    """The document without signature.

    Findings beyond its cap are counted in a last one. Raises SchemaError when the value cannot be written, or
    holds more findings than a verdict may.
    """
    if len(receipt.findings) > FINDINGS:
        raise SchemaError("a receipt holds too many findings", expected=f"at most {FINDINGS}")
    _require_scope(receipt)
    root = new_root(
        "receipt",
        "receipt",
        {
            "formatVersion": FORMAT_VERSION,
            "kind": receipt.kind.value,
            "sender": receipt.key.sender,
            "packetId": receipt.key.packet_id,
            "attempt": str(receipt.attempt),
            **({} if receipt.scope is None else {"scope": receipt.scope.value}),
        },
    )
    add(root, "contentDigest", receipt.content_digest)
    add(root, "sealDigest", receipt.seal_digest)
    add(root, "businessType", receipt.business_type)
    if receipt.recipient:
        add(root, "recipient", receipt.recipient)
    add(
        root,
        "issued",
        by=receipt.issued_by,
        at=write_moment(receipt.issued_at),
        number=str(receipt.number),
    )
    if receipt.how:
        add(root, "how", receipt.how)
    if receipt.by:
        add(root, "by", receipt.by)
    add(root, "folderSynced", write_truth(receipt.folder_synced))
    add_findings(root, receipt.findings, RECEIPT_BYTES - _BESIDE_FINDINGS_BYTES)
    return write_machine_document(root, "receipt", limit_bytes=RECEIPT_BYTES)


def decode_receipt(data: bytes) -> Receipt:
    """The value of a receipt document without its signature.

    Raises FormatError leaves, and VersionError for another format version.
    """
    root = read_machine_document(data, "receipt", limit_bytes=RECEIPT_BYTES)
    issued = children(root, "issued")[0]
    findings = read_findings(root)
    if len(findings) > FINDINGS:
        raise SchemaError("a receipt holds too many findings", expected=f"at most {FINDINGS}")
    scope = attribute(root, "scope")
    receipt = Receipt(
        kind=ReceiptKind(attribute(root, "kind")),
        key=PacketKey(attribute(root, "sender"), attribute(root, "packetId")),
        attempt=int(attribute(root, "attempt")),
        content_digest=text(root, "contentDigest"),
        seal_digest=text(root, "sealDigest"),
        business_type=text(root, "businessType"),
        recipient=text(root, "recipient"),
        issued_by=attribute(issued, "by"),
        issued_at=read_moment(attribute(issued, "at")),
        number=int(attribute(issued, "number")),
        findings=findings,
        how=text(root, "how"),
        by=text(root, "by"),
        folder_synced=read_truth(text(root, "folderSynced")),
        scope=CheckedScope(scope) if scope else None,
    )
    _require_scope(receipt)
    return receipt


def _require_scope(receipt: Receipt) -> None:
    if receipt.scope is not None and receipt.kind is not ReceiptKind.ACCEPTED:
        raise SchemaError("only an accepted receipt says what was checked", found=receipt.kind.value)


def sign_receipt(receipt: Receipt, key: PrivateKey) -> bytes:
    """The receipt as one file: document and signature line. Raises SchemaError as ``encode_receipt``."""
    return sign_document(encode_receipt(receipt), Domain.RECEIPT, [key])


def open_receipt(data: bytes, lookup: KeyLookup) -> tuple[Receipt, str]:
    """The receipt in a signed file and the id of its key; the signature is verified before parsing.

    Raises UnknownKeyError (hold), SignatureError, VersionError (hold) or a FormatError leaf.
    """
    document, key_id = open_document(data, Domain.RECEIPT, lookup)
    return decode_receipt(document), key_id
