"""What a receipt proves: its signature, its issuer's authority, and which packet it speaks of.

Guarantees: every claim is told by itself, as proved, failed or not checked, so that nothing is read into
a receipt that was not looked at; nothing is parsed before its signature was verified. Needs no ledger
and no daemon. A file alone does not say when it was first seen: where a key was revoked since, or who speaks
is disabled, a thief may have dated it back, and that is told as not checked. Leaves to others: where the
directory comes from, whose roots the caller trusts; what was logged before a revocation (``proof verify``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from cli.frame import InputFileError, read_input
from cli.receipt_content import PacketDiffersError, delivered_content, original_content
from packet_spec.authority import check_new_receipt, check_receipt_authority, check_seal_authority
from packet_spec.directory import find_key_owner
from packet_spec.errors import ExchangeError, IssuerDisabledError, RevokedSinceError
from packet_spec.identity import sha256_hex
from packet_spec.limits import KIB, RECEIPT_BYTES, SEAL_XML_BYTES
from packet_spec.model import CheckedScope, Directory, Receipt, Seal
from packet_spec.receipt import open_receipt
from packet_spec.seal import PacketReader, decode_seal
from packet_spec.signing import Domain, PublicKey, decode_signature, find_key, verify

# A receipt and the line of its signature.
RECEIPT_FILE_BYTES: Final = RECEIPT_BYTES + 1 * KIB
_SIGNATURE_BYTES: Final = 1 * KIB
_REVOCATION: Final = "revocation"


class ClaimState(StrEnum):
    """How a claim ended."""

    PROVED = "proved"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that a receipt may prove: which, how it ended, and what was compared."""

    what: str
    state: ClaimState
    detail: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What one receipt file proved. ``receipt`` is None when its signature could not be verified.

    ``error`` is the first thing that went wrong, None when every claim that was checked is proved.
    """

    file: Path
    receipt: Receipt | None
    claims: tuple[Claim, ...]
    error: ExchangeError | None = None

    @property
    def is_in_doubt(self) -> bool:
        """Nothing failed, but a thief may have made it."""
        not_asked = {claim.what for claim in self.claims if claim.state is ClaimState.NOT_CHECKED}
        return self.error is None and _REVOCATION in not_asked

    @property
    def is_proved(self) -> bool:
        """Signature and authority are proved, nothing failed, and no thief can have made it since."""
        return self.error is None and not self.is_in_doubt


@dataclass(frozen=True, slots=True)
class Trusted:
    """A directory that root signatures proved, and the moment for which statements are judged."""

    directory: Directory
    now: datetime

    def look_up(self, key_id: str) -> PublicKey | None:
        """The key of that id, of any node."""
        owner = find_key_owner(self.directory, key_id)
        return None if owner is None else PublicKey(owner[1].suite, owner[1].public)


def prove(file: Path, trusted: Trusted, packet: Path | None = None) -> Proof:
    """Everything that the receipt in ``file`` proves. Raises InputFileError when a file cannot be read."""
    data = read_input(file, RECEIPT_FILE_BYTES)
    claims: list[Claim] = []
    receipt: Receipt | None = None
    try:
        receipt, key_id = open_receipt(data, trusted.look_up)
        owner = find_key_owner(trusted.directory, key_id)
        node = "-" if owner is None else owner[0].code
        claims.append(_proved("signature", f"key {key_id} of node {node} signed exactly these bytes"))
        claims.append(_proved("directory", f"version {trusted.directory.version}, signed by its roots"))
        check_receipt_authority(trusted.directory, receipt, key_id, trusted.now)
        claims.append(_proved("authority", _authority(receipt)))
        claims.append(_revocation(receipt, key_id, trusted))
    except ExchangeError as error:
        claims.append(_failed("signature" if receipt is None else "authority", error))
        return Proof(file, receipt, tuple(claims), error)
    if packet is None:
        claims.append(Claim("packet", ClaimState.NOT_CHECKED, "no packet was given to compare with"))
        return Proof(file, receipt, tuple(claims))
    failure = _compare(claims, receipt, packet, file, trusted)
    return Proof(file, receipt, tuple(claims), failure)


def _proved(what: str, detail: str) -> Claim:
    return Claim(what, ClaimState.PROVED, detail)


def _failed(what: str, error: ExchangeError) -> Claim:
    return Claim(what, ClaimState.FAILED, f"{error.reference}: {error}")


def _revocation(receipt: Receipt, key_id: str, trusted: Trusted) -> Claim:
    try:
        check_new_receipt(trusted.directory, receipt, key_id, trusted.now)
    except RevokedSinceError:
        detail = "its key was revoked since: nothing here says that it was made before"
        return Claim(_REVOCATION, ClaimState.NOT_CHECKED, detail)
    except IssuerDisabledError:
        detail = "its issuer is disabled: nothing here says that it was made before"
        return Claim(_REVOCATION, ClaimState.NOT_CHECKED, detail)
    return _proved(_REVOCATION, "its key is not revoked, and its issuer is not disabled")


def _authority(receipt: Receipt) -> str:
    of_whom = f"for recipient {receipt.recipient}" if receipt.recipient else "for the whole packet"
    return (
        f"{receipt.issued_by} may say {receipt.kind} of a packet of {receipt.key.sender} {of_whom}, "
        "and its key was valid then"
    )


# --- against a packet ---------------------------------------------------------------------------


def _compare(
    claims: list[Claim], receipt: Receipt, packet: Path, beside: Path, trusted: Trusted
) -> ExchangeError | None:
    """Add one claim for each thing compared. The first failure ends it, and is returned.

    ``beside`` is the file of the receipt: other receipts of the packet may lie there.
    """
    for what, check in _checks(receipt, packet, beside, trusted):
        try:
            claims.append(check())
        except InputFileError:
            raise
        except ExchangeError as error:
            claims.append(_failed(what, error))
            return error
    return None


_Check = tuple[str, Callable[[], Claim]]


def _checks(receipt: Receipt, packet: Path, beside: Path, trusted: Trusted) -> Iterator[_Check]:
    folder_seal = packet / "seal.xml"
    if packet.is_dir() and folder_seal.exists():
        yield from _checks_of_seal(receipt, folder_seal, trusted)
        yield "content", lambda: _delivered(packet)
    elif packet.suffix.lower() == ".packet":
        opened = cache(lambda: _open_packet(packet, trusted))
        yield "seal", lambda: _sealed_packet(receipt, opened())
        yield "seal signature", lambda: _sealed_by(opened().seal, opened().key_id, trusted)
    elif packet.name == "seal.xml":
        yield from _checks_of_seal(receipt, packet, trusted)
        yield "content", lambda: Claim("content", ClaimState.NOT_CHECKED, "a seal alone holds no content")
    else:
        yield "content", lambda: _original(receipt, packet, beside, trusted)


def _checks_of_seal(receipt: Receipt, seal_xml: Path, trusted: Trusted) -> Iterator[_Check]:
    yield "seal", lambda: _seal(receipt, seal_xml)
    yield "seal signature", lambda: _seal_signature(seal_xml, trusted)


def _require(receipt: Receipt, name: str, expected: object, found: object) -> None:
    if expected != found:
        raise PacketDiffersError(
            f"the receipt names another {name}",
            where=f"packet {receipt.key}",
            expected=str(expected),
            found=str(found),
        )


def _require_seal(receipt: Receipt, seal: Seal, seal_digest: str) -> None:
    _require(receipt, "packet", receipt.key, seal.key)
    _require(receipt, "attempt", receipt.attempt, seal.attempt)
    _require(receipt, "seal digest", receipt.seal_digest, seal_digest)
    _require(receipt, "content digest", receipt.content_digest, seal.content_digest)


def _seal(receipt: Receipt, seal_xml: Path) -> Claim:
    data = read_input(seal_xml, SEAL_XML_BYTES)
    _require_seal(receipt, decode_seal(data), sha256_hex(data))
    return _proved("seal", "the receipt names this seal and the content that it lists")


def _seal_signature(seal_xml: Path, trusted: Trusted) -> Claim:
    what = "seal signature"
    path = seal_xml.with_name("seal.sig")
    if not path.exists():
        return Claim(what, ClaimState.NOT_CHECKED, "seal.sig does not lie beside seal.xml")
    data = read_input(seal_xml, SEAL_XML_BYTES)
    made = decode_signature(read_input(path, _SIGNATURE_BYTES))
    verify(Domain.SEAL, data, made, find_key(made, trusted.look_up))
    return _sealed_by(decode_seal(data), made.key_id, trusted)


def _sealed_by(seal: Seal, key_id: str, trusted: Trusted) -> Claim:
    """Whether the key was its sender's when it was sealed. What happened since concerns the receipt alone.

    Whoever signed that had verified the seal; but the seal proves nothing by itself any more.
    """
    what, directory = "seal signature", trusted.directory
    sender = directory.agency(seal.key.sender)
    in_force = replace(
        directory,
        nodes=tuple(replace(each, disabled=False) for each in directory.nodes),
        agencies=tuple(replace(each, disabled=False) for each in directory.agencies),
    )
    try:
        check_seal_authority(in_force, seal, key_id, trusted.now)
    except RevokedSinceError:
        detail = "its key was revoked since: nothing here says that it was made before"
        return Claim(what, ClaimState.NOT_CHECKED, detail)
    node = None if sender is None else directory.node(sender.node)
    if (sender is not None and sender.disabled) or (node is not None and node.disabled):
        detail = "its sender is disabled: nothing here says that it was made before"
        return Claim(what, ClaimState.NOT_CHECKED, detail)
    return _proved(what, f"{seal.key.sender} sealed it at {seal.sealed_at.isoformat()}")


@dataclass(frozen=True, slots=True)
class _Sealed:
    """A sealed packet that was read to its end."""

    seal: Seal
    seal_digest: str
    key_id: str


def _open_packet(packet: Path, trusted: Trusted) -> _Sealed:
    try:
        with packet.open("rb") as file:
            reader = PacketReader(file.read)
            seal = reader.open(trusted.look_up)
            reader.drain()
    except OSError as error:
        found = error.strerror or ""
        raise InputFileError("the packet cannot be read", where=str(packet), found=found) from error
    return _Sealed(seal, reader.seal_digest, reader.key_id)


def _sealed_packet(receipt: Receipt, sealed: _Sealed) -> Claim:
    _require_seal(receipt, sealed.seal, sealed.seal_digest)
    return _proved("seal", "the receipt names this sealed packet; its signature and digests are right")


def _delivered(folder: Path) -> Claim:
    parts, gone = delivered_content(folder)
    if gone:
        detail = f"{gone} of {parts} attachments no longer lie there; the others are as sealed"
        return Claim("content", ClaimState.NOT_CHECKED, detail)
    return _proved("content", f"packet.xml and {parts} attachments are those that were sealed")


def _original(receipt: Receipt, path: Path, beside: Path, trusted: Trusted) -> Claim:
    packet, found = original_content(path)
    _require(receipt, "sender", receipt.key.sender, packet.envelope.sender)
    if found != receipt.content_digest and _was_encrypted(receipt, beside, trusted):
        detail = "its parts were encrypted, and the receipt names those: compare with the inbox folder"
        return Claim("content", ClaimState.NOT_CHECKED, detail)
    _require(receipt, "content digest", receipt.content_digest, found)
    detail = f"packet.xml and {len(packet.attachments)} attachments are those that the receipt speaks of"
    return _proved("content", detail)


def _was_encrypted(receipt: Receipt, beside: Path, trusted: Trusted) -> bool:
    """The admitting node says so: it could look into packet.xml only (``scope``), of this very content."""
    for path in (beside, *sorted(beside.parent.glob("accepted*.xml"))):
        with suppress(ExchangeError):
            other, key_id = open_receipt(read_input(path, RECEIPT_FILE_BYTES), trusted.look_up)
            check_receipt_authority(trusted.directory, other, key_id, trusted.now)
            same = (other.key, other.attempt, other.seal_digest, other.content_digest)
            if other.scope is CheckedScope.PACKET_XML and same == (
                receipt.key, receipt.attempt, receipt.seal_digest, receipt.content_digest
            ):  # fmt: skip
                return True
    return False
