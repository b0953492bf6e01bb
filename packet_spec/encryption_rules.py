"""Where parts must be encrypted, and for whom: what the directory says, asked by sender and admitting node.

Guarantees: the first route that fits sender and recipient decides for each recipient; if one of them asks for
it, the parts are encrypted for all, because all of them get the same bytes. A packet without attachments has
nothing to encrypt. What only an older or newer directory could tell raises, and is held.

Leaves to others: the keys themselves (``encryption``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from packet_spec.directory import find_key_owner, key_valid_at
from packet_spec.encryption import KEY_SUITE
from packet_spec.errors import ReceiverKeyMissingError, UnknownKeyError
from packet_spec.findings import Finding
from packet_spec.model import Attachment, Directory, DirectoryKey, KeyUse, Seal, SealEncryption
from packet_spec.sentences import make_finding

PARTS: Final = "parts"


def demands_encryption(directory: Directory, sender: str, recipients: Sequence[str]) -> bool:
    """A route from ``sender`` to one of ``recipients`` wants encrypted parts."""
    routes = (directory.route(sender, recipient) for recipient in recipients)
    return any(route is not None and route.encrypt == PARTS for route in routes)


def receiving_keys(
    directory: Directory, recipients: Sequence[str], moment: datetime
) -> tuple[tuple[str, DirectoryKey], ...]:
    """(node, key) for every encryption key that counts at ``moment``, of every recipient's node.

    All of them, while a node has an old one and a new one: the receiver opens with whichever it has. Raises
    ReceiverKeyMissingError naming the recipients without one.
    """
    found: dict[str, tuple[DirectoryKey, ...]] = {}
    missing: list[str] = []
    for recipient in recipients:
        agency = directory.agency(recipient)
        node = None if agency is None else directory.node(agency.node)
        keys = () if node is None else tuple(key for key in node.keys if _counts(key, moment))
        if node is None or not keys:
            missing.append(recipient)
        else:
            found[node.code] = keys
    if missing:
        raise ReceiverKeyMissingError(
            "the directory has no encryption key that counts now for a recipient", found=", ".join(missing)
        )
    return tuple((node, key) for node, keys in found.items() for key in keys)


def encryption_findings(directory: Directory, seal: Seal) -> tuple[Finding, ...]:
    """Whether a sealed packet is encrypted as its routes want, and for everybody who must open it.

    Every finding refuses. Raises UnknownKeyError where a key is named that this directory does not know
    (hold).
    """
    if not seal.parts:
        return ()
    is_demanded = demands_encryption(directory, seal.key.sender, seal.recipients)
    if seal.encryption is None:
        return (make_finding("encryption-required"),) if is_demanded else ()
    if not is_demanded:
        return (make_finding("encryption-not-foreseen"),)
    return tuple(
        make_finding("encryption-recipient-missing", found=recipient)
        for recipient in seal.recipients
        if not _is_wrapped_for(directory, seal, seal.encryption, recipient)
    )


def opened_findings(listed: Attachment, size: int, digest: str) -> tuple[Finding, ...]:
    """Whether what an encrypted part opened to is the attachment that packet.xml lists.

    The finding goes back in clear, through nodes that may know nothing of the content: no digest of it.
    """
    if (size, digest) == (listed.size, listed.sha256):
        return ()
    return (make_finding("opened-part-differs", file=listed.file, document=listed.document_type),)


def told_of_opened(findings: Sequence[Finding], listed: Sequence[Attachment]) -> tuple[Finding, ...]:
    """What a receipt says of documents that were opened and refused: which attachment, and by what rule.

    It goes back in clear as well: no names of inner files, no values, nothing but what packet.xml shows. Once
    for each attachment and rule.
    """
    return tuple(
        dict.fromkeys(
            make_finding(
                "opened-document-refused",
                file=_attachment_of(finding, listed),
                document=finding.document,
                found=finding.code,
            )
            for finding in findings
        )
    )


def _attachment_of(finding: Finding, listed: Sequence[Attachment]) -> str:
    """The attachment that the finding is about; one of its type where only an inner file is named."""
    names = [each.file for each in listed if f"{finding.file}/".startswith(f"{each.file}/")]
    names += [each.file for each in listed if each.document_type == finding.document]
    return names[0] if names else ""


def _counts(key: DirectoryKey, moment: datetime) -> bool:
    return key.suite == KEY_SUITE and key_valid_at(key, KeyUse.ENCRYPT, moment)


def _is_wrapped_for(directory: Directory, seal: Seal, encryption: SealEncryption, recipient: str) -> bool:
    agency = directory.agency(recipient)
    if agency is None:
        raise UnknownKeyError("the recipient is not in the directory in force", found=recipient)
    unknown = ""
    for wrapped in encryption.keys:
        if wrapped.node != agency.node:
            continue
        owner = find_key_owner(directory, wrapped.key_id)
        if owner is None:
            unknown = wrapped.key_id
        elif owner[0].code == agency.node and _counts(owner[1], seal.sealed_at):
            return True
    if unknown:
        raise UnknownKeyError("an encryption key is not in the directory in force", found=unknown)
    return False
