"""The directories of a proof: which keys counted when, and whose they were (docs/proof-format.md).

Guarantees: each directory is signed by its own roots and by those of the one before it; a verifier's
fingerprint is held against the first. What a directory says of a moment is asked of the one that was in force
then, but a revocation counts whichever directory tells of it.

Leaves to others: which statements are made (``proof_packet``). Known limit: a later revocation that no
directory of the file tells of is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from packet_spec.directory import decode_directory, find_key, find_key_owner
from packet_spec.directory_trust import roots_fingerprint
from packet_spec.errors import ExchangeError, FormatError, SignatureError, UnknownSuiteError, VersionError
from packet_spec.model import Directory, KeyUse, RootKey
from packet_spec.proof_values import Fault, require
from packet_spec.signing import SUITE, Domain, PublicKey, Signature, split_signed, verify

_T = TypeVar("_T")


class Chain:
    """The directories of one proof, verified. Raises Fault when they are not what they have to be."""

    def __init__(self, files: Sequence[bytes], fingerprint: str) -> None:
        self._all: list[Directory] = []
        self._document_keys: dict[str, PublicKey] = {}
        for data in files:
            self._add(data)
        self.fingerprint = roots_fingerprint(self._all[0].roots, self._all[0].threshold)
        require(fingerprint in ("", self.fingerprint), "proof-roots-not-trusted")

    def _add(self, data: bytes) -> None:
        try:
            document, signatures = split_signed(data)
        except FormatError:
            raise Fault("proof-directory-signature") from None
        require(signatures, "proof-directory-signature")
        try:
            directory = decode_directory(document)
        except VersionError:
            raise Fault("proof-version") from None
        except ExchangeError:
            raise Fault("proof-directory-content") from None
        before = self._all[-1] if self._all else directory
        roots = {root.key_id: root for root in (*before.roots, *directory.roots)}
        for signature in signatures:
            _verify_root(document, signature, roots.get(signature.key_id))
        signed = {signature.key_id for signature in signatures}
        for each in (directory, before):
            by = signed & {root.key_id for root in each.roots}
            require(len(by) >= each.threshold, "proof-directory-chain")
        if self._all:
            is_next = before.edition < directory.edition and directory.epoch <= before.epoch + 1
            require(is_next, "proof-directory-chain")
        self._all.append(directory)
        for node in directory.nodes:
            for key in node.keys:
                self._document_keys.setdefault(key.key_id, PublicKey(key.suite, key.public))

    def deciding(self, at: datetime, *agencies: str) -> Directory:
        """The directory that decides for ``at``, which lists all of ``agencies``.

        Raises Fault: ``proof-directory-silent`` or ``proof-speaker-unknown``.
        """
        now = [each for each in self._all if each.issued_at <= at < each.expires_at]
        later = [each for each in self._all if each.issued_at > at]
        require(now or later, "proof-directory-silent")
        found = now[-1] if now else later[0]
        require(all(found.agency(agency) for agency in agencies), "proof-speaker-unknown")
        return found

    def verify(self, domain: Domain, document: bytes, signature: Signature) -> None:
        """Whether the key that ``signature`` names made it. Raises Fault."""
        key = self._document_keys.get(signature.key_id)
        if key is None:
            raise Fault("proof-key-unknown")
        _verify(domain, document, signature, key)

    def open(self, data: bytes, domain: Domain, decode: Callable[[bytes], _T]) -> tuple[_T, str]:
        """The value of a document with one signature line, and the id of its key. Raises Fault."""
        try:
            document, signatures = split_signed(data)
        except FormatError:
            raise Fault("proof-document-malformed") from None
        require(len(signatures) == 1, "proof-document-malformed")
        self.verify(domain, document, signatures[0])
        return read_with(decode, document), signatures[0].key_id

    def check_key(self, node: str, use: KeyUse, key_id: str, at: datetime) -> None:
        """Whether ``key_id`` spoke for ``node`` at ``at``. Raises Fault."""
        directory, revoked = self.deciding(at), self.revoked_at(key_id)
        require(directory.node(node), "proof-speaker-unknown")
        require(find_key_owner(directory, key_id), "proof-key-unknown")
        key = find_key(directory, node, key_id)
        if key is None:
            raise Fault("proof-key-of-another-node")
        require(use in key.uses, "proof-key-of-another-use")
        require(key.not_before <= at < key.not_after, "proof-key-not-valid")
        require(revoked is None or at < revoked, "proof-key-revoked")

    def check_witness(self, key_id: str, seen_at: Sequence[datetime]) -> None:
        """A statement by a key that was revoked later counts if somebody saw it before. Raises Fault."""
        revoked = self.revoked_at(key_id)
        require(revoked is None or any(at < revoked for at in seen_at), "proof-key-revoked-later")

    def revoked_at(self, key_id: str) -> datetime | None:
        """The earliest revocation that any directory tells of."""
        found = [owner[1].revoked_at for each in self._all if (owner := find_key_owner(each, key_id))]
        return min((at for at in found if at is not None), default=None)


def read_with(decode: Callable[[bytes], _T], document: bytes) -> _T:
    """The value of a verified document. Raises Fault."""
    try:
        return decode(document)
    except VersionError:
        raise Fault("proof-version") from None
    except ExchangeError:
        raise Fault("proof-document-malformed") from None


def _verify_root(document: bytes, signature: Signature, root: RootKey | None) -> None:
    if root is None:
        raise Fault("proof-directory-signature")
    try:
        _verify(Domain.DIRECTORY, document, signature, PublicKey(root.suite, root.public))
    except Fault as fault:
        wrong = fault.code == "proof-signature-wrong"
        raise Fault("proof-directory-signature" if wrong else fault.code) from None


def _verify(domain: Domain, document: bytes, signature: Signature, key: PublicKey) -> None:
    require({signature.suite, key.suite} == {SUITE}, "proof-suite-unknown")
    try:
        verify(domain, document, signature, key)
    except UnknownSuiteError:
        raise Fault("proof-suite-unknown") from None
    except SignatureError:
        raise Fault("proof-signature-wrong") from None
