"""The claims of one packet of a proof: seal, receipts, hop notes, log, content (docs/proof-format.md).

Guarantees: nothing of a document counts before its signature was verified; each claim bears the code of the
first step that it fails; who may say what is the table of custody C21 (``authority``). Pure: times are those
of the documents.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from packet_spec.authority import DATED_AHEAD_TOLERANCE, Speaker, may_issue
from packet_spec.errors import DigestMismatchError, FormatError
from packet_spec.hop import decode_hop
from packet_spec.identity import sha256_hex
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.log_head import LogHead, decode_log_head
from packet_spec.merkle import leaf_hash, verify_inclusion
from packet_spec.model import Directory, KeyUse, Receipt, ReceiptKind, Seal
from packet_spec.proof_chain import Chain, read_with
from packet_spec.proof_file import Folder, Inclusion
from packet_spec.proof_values import Claim, Fault, PacketAnswer, State, require
from packet_spec.proof_way import legs_of
from packet_spec.receipt import decode_receipt
from packet_spec.seal_document import decode_seal
from packet_spec.signing import Domain, decode_signature

_DAY: Final = DATED_AHEAD_TOLERANCE
_AFTER_ACCEPTED: Final = frozenset({ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED})
_AFTER_DELIVERED: Final = frozenset({ReceiptKind.COLLECTED, ReceiptKind.SIGNED})
_ENDS: Final = frozenset({ReceiptKind.REFUSED, ReceiptKind.UNDELIVERABLE, ReceiptKind.EXPIRED})
_GIVEN_UP: Final = frozenset({ReceiptKind.UNDELIVERABLE, ReceiptKind.EXPIRED})


@dataclass(frozen=True, slots=True)
class _Said:
    """A receipt that was read and speaks of this packet."""

    claim: Claim
    receipt: Receipt
    key_id: str
    entry: tuple[EntryKind, str]


class PacketProof:
    """The claims about one folder; ``heads`` are the members of head/.

    ``seal`` is None where it could not be read; ``has_content``: packet.xml and all parts are proven.
    """

    def __init__(self, chain: Chain, heads: Sequence[bytes], folder: Folder) -> None:
        self._chain = chain
        self._heads = heads
        self._folder = folder
        self.seal: Seal | None = None
        self._key_id = ""
        self._said: list[_Said] = []
        self._seen: dict[tuple[EntryKind, str], list[datetime]] = {}
        self.claims: list[Claim] = []
        self.has_content = False
        sealed = self._claim("sealed")
        self._try(sealed, lambda: self._read_seal(sealed))
        self._judge(sealed)

    def answer(self) -> PacketAnswer:
        """What was found."""
        if self.seal is None:
            return PacketAnswer("", "", 0, tuple(self.claims))
        key = self.seal.key
        return PacketAnswer(key.sender, key.packet_id, self.seal.attempt, tuple(self.claims))

    def add(self, name: str, to: str, steps: Callable[[], None]) -> None:
        """One more claim, decided by ``steps``, which may raise Fault."""
        claim = self._claim(name)
        claim.to = to
        self._try(claim, steps)

    def _claim(self, name: str) -> Claim:
        claim = Claim(name)
        self.claims.append(claim)
        return claim

    def _try(self, claim: Claim, steps: Callable[[], None]) -> None:
        if claim.state is State.PROVEN:
            try:
                steps()
            except Fault as fault:
                claim.fail(fault.code)

    def _judge(self, sealed: Claim) -> None:
        seal = self.seal
        if seal is None:
            return
        digest = sha256_hex(self._folder.seal)
        entries = [(EntryKind.SEAL, digest)]
        for data in self._folder.receipts:
            entry = (EntryKind.RECEIPT, sha256_hex(data))
            entries.append(entry)
            self._receipt(seal, digest, data, entry)
        kinds = {said.receipt.kind for said in self._said}
        if ReceiptKind.ACCEPTED not in kinds and (not kinds & _ENDS or kinds & _AFTER_ACCEPTED):
            self._claim("accepted").fail("proof-accepted-missing")
        for data in self._folder.hops:
            self._hop(seal, digest, data)
        for inclusion in self._folder.log:
            self._log_entry(seal, inclusion, frozenset(entries))
        self._try(self._claim("logged"), lambda: require(self._seen.keys() >= {*entries}, "proof-not-in-log"))
        # Receipts are judged last: their witness may be an entry of the log.
        self._try(sealed, lambda: self._check_seal(seal))
        for said in self._said:
            self._try(said.claim, lambda said=said: self._check_receipt(seal, said))  # type: ignore[misc]
        accepted = (said for said in self._accepted() if said.key_id != self._key_id)
        seen = [said.receipt.issued_at for said in accepted if said.claim.state is State.PROVEN]
        seen += self._seen.get(entries[0], [])
        self._try(sealed, lambda: self._chain.check_witness(self._key_id, seen))
        content = self._claim("content")
        self._try(content, lambda: self._check_content(seal))
        self.has_content = content.state is State.PROVEN

    # --- the seal -----------------------------------------------------------------------------------

    def _read_seal(self, claim: Claim) -> None:
        try:
            signature = decode_signature(self._folder.signature)
        except FormatError:
            raise Fault("proof-document-malformed") from None
        self._chain.verify(Domain.SEAL, self._folder.seal, signature)
        seal = read_with(_decode_seal, self._folder.seal)
        is_its = (seal.key_id, seal.suite) == (signature.key_id, signature.suite)
        require(is_its, "proof-seal-inconsistent")
        claim.by, claim.at, claim.to = seal.key.sender, seal.sealed_at, seal.key.packet_id
        self.seal, self._key_id = seal, signature.key_id

    def _check_seal(self, seal: Seal) -> None:
        directory = self._chain.deciding(seal.sealed_at, seal.key.sender)
        agency = directory.agency(seal.key.sender)
        node = directory.node(agency.node) if agency else None
        if agency is None or node is None:
            raise Fault("proof-speaker-unknown")
        if agency.disabled or node.disabled:
            is_before = directory.issued_at <= seal.sealed_at
            raise Fault("proof-sender-disabled" if is_before else "proof-sender-disabled-later")
        is_retired = agency.retired_at is not None and agency.retired_at <= seal.sealed_at
        require(not is_retired, "proof-sender-retired")
        self._chain.check_key(node.code, KeyUse.SEAL, self._key_id, seal.sealed_at)

    # --- receipts -----------------------------------------------------------------------------------

    def _receipt(self, seal: Seal, digest: str, data: bytes, entry: tuple[EntryKind, str]) -> None:
        claim = self._claim("receipt")

        def read() -> None:
            receipt, key_id = self._chain.open(data, Domain.RECEIPT, decode_receipt)
            claim.claim, claim.by, claim.at = receipt.kind.value, receipt.issued_by, receipt.issued_at
            claim.to = receipt.recipient
            stated = (receipt.key, receipt.attempt, receipt.content_digest, receipt.seal_digest)
            require(stated == (seal.key, seal.attempt, seal.content_digest, digest), "proof-other-packet")
            self._said.append(_Said(claim, receipt, key_id, entry))

        self._try(claim, read)

    def _check_receipt(self, seal: Seal, said: _Said) -> None:
        receipt, at = said.receipt, said.receipt.issued_at
        require(receipt.recipient in ("", *seal.recipients), "proof-not-a-recipient")
        parties = (seal.key.sender, receipt.recipient) if receipt.recipient else (seal.key.sender,)
        directory = self._chain.deciding(at, *parties)
        node = _speaking_node(directory, receipt)
        require(node, "proof-not-the-issuer")
        self._chain.check_key(node, KeyUse.RECEIPT, said.key_id, at)
        self._check_order(seal, receipt)
        self._check_contradiction(said)
        self._chain.check_witness(said.key_id, self._seen.get(said.entry, []))

    def _check_order(self, seal: Seal, receipt: Receipt) -> None:
        at, kind = receipt.issued_at, receipt.kind
        require(not _is_before(at, seal.sealed_at), "proof-order-impossible")
        accepted = next(self._accepted(), None)
        if kind in _AFTER_ACCEPTED and accepted is not None:
            require(not _is_before(at, accepted.receipt.issued_at), "proof-order-impossible")
        if kind in _AFTER_DELIVERED:
            delivered = [each.receipt.issued_at for each in self._same(receipt.recipient, "delivered")]
            require(delivered, "proof-delivered-missing")
            require(at >= delivered[0], "proof-order-impossible")
        if kind is ReceiptKind.EXPIRED:
            is_over = seal.expires_at is not None and not _is_before(at, seal.expires_at)
            require(is_over, "proof-order-impossible")

    def _check_contradiction(self, said: _Said) -> None:
        receipt = said.receipt
        require(
            next(self._same(receipt.recipient, receipt.kind.value)) is said,
            "proof-contradiction",
        )
        if receipt.kind is ReceiptKind.ACCEPTED:
            require(not [*self._same("", "refused")], "proof-contradiction")
        if receipt.kind is ReceiptKind.REFUSED and not receipt.recipient:
            require(not [*self._accepted()], "proof-contradiction")
        if receipt.kind in _GIVEN_UP:
            delivered = (each for each in self._said if each.receipt.kind is ReceiptKind.DELIVERED)
            same = [each for each in delivered if receipt.recipient in ("", each.receipt.recipient)]
            require(not same, "proof-contradiction")

    def _accepted(self) -> Iterator[_Said]:
        return (said for said in self._said if said.receipt.kind is ReceiptKind.ACCEPTED)

    def _same(self, recipient: str, kind: str) -> Iterator[_Said]:
        return (
            said
            for said in self._said
            if (said.receipt.recipient, said.receipt.kind.value) == (recipient, kind)
        )

    # --- the way and the log --------------------------------------------------------------------------

    def _hop(self, seal: Seal, digest: str, data: bytes) -> None:
        claim = self._claim("hop")

        def check() -> None:
            note, key_id = self._chain.open(data, Domain.HOP, decode_hop)
            claim.by, claim.at, claim.to = note.node, note.left_at, note.next_node
            require((note.key, note.seal_digest) == (seal.key, digest), "proof-other-packet")
            directory = self._chain.deciding(note.left_at, seal.key.sender, *seal.recipients)
            legs = legs_of(directory, seal.key.sender, seal.recipients)
            require((note.node, note.next_node) in legs, "proof-hop-off-the-way")
            self._chain.check_key(note.node, KeyUse.LINK, key_id, note.left_at)
            is_before = _is_before(note.left_at, max(note.landed_at, seal.sealed_at))
            require(not is_before, "proof-order-impossible")
            self._chain.check_witness(key_id, ())

        self._try(claim, check)

    def _log_entry(
        self, seal: Seal, inclusion: Inclusion, entries: frozenset[tuple[EntryKind, str]]
    ) -> None:
        claim = self._claim("log-entry")
        claim.to = inclusion.kind.value
        entry = (inclusion.kind, inclusion.digest)

        def check() -> None:
            require(entry in entries, "proof-log-entry-other")
            head, key_id = self._chain.open(self._heads[inclusion.head - 1], Domain.LOG_HEAD, decode_log_head)
            claim.by, claim.at = head.node, head.at
            directory = self._chain.deciding(seal.sealed_at, seal.key.sender)
            agency = directory.agency(seal.key.sender)
            is_its = agency is not None and agency.admitting_node == head.node
            require(is_its, "proof-log-of-another-node")
            self._chain.check_key(head.node, KeyUse.LOG, key_id, head.at)
            require(_is_included(inclusion, head), "proof-log-not-included")
            said = [each.receipt.issued_at for each in self._said if each.entry == entry]
            if inclusion.kind is EntryKind.SEAL:
                said = [seal.sealed_at]
            is_before = any(_is_before(head.at, at) for at in said)
            require(not is_before, "proof-order-impossible")
            self._chain.check_witness(key_id, ())
            self._seen.setdefault(entry, []).append(head.at)

        self._try(claim, check)

    # --- the content --------------------------------------------------------------------------------

    def _check_content(self, seal: Seal) -> None:
        data = self._folder.packet_xml
        if data is None:
            raise Fault("proof-content-left-out")
        stated = (seal.packet_size, seal.packet_digest)
        require((len(data), sha256_hex(data)) == stated, "proof-content-differs")
        carried = [(part.size, part.digest) for part in self._folder.parts]
        require(carried == [(part.size, part.digest) for part in seal.parts], "proof-content-differs")


def _is_before(at: datetime, other: datetime) -> bool:
    """Also with a day to spare: clocks of isolated networks differ."""
    return other - at > _DAY


def _decode_seal(data: bytes) -> Seal:
    try:
        return decode_seal(data)
    except DigestMismatchError:
        raise Fault("proof-seal-inconsistent") from None


def _speaking_node(directory: Directory, receipt: Receipt) -> str:
    """The node through which the issuer speaks, empty for one who may not issue it (C21)."""
    sender, recipient = directory.agency(receipt.key.sender), directory.agency(receipt.recipient)
    if sender is None:
        return ""
    parties = [
        (Speaker.ADMITTING_NODE, sender.admitting_node, {sender.admitting_node}),
        (Speaker.SENDER_NODE, sender.node, {sender.node, sender.code}),
    ]
    if recipient is not None:
        parties.append((Speaker.RECIPIENT, recipient.node, {recipient.node, recipient.code}))
    allowed = (
        node
        for part, node, names in parties
        if may_issue(receipt.kind, part) and receipt.issued_by in names
    )
    return next(allowed, "")


def _is_included(inclusion: Inclusion, head: LogHead) -> bool:
    leaf = leaf_hash(entry_bytes(inclusion.kind, inclusion.digest))
    root = bytes.fromhex(head.root)
    return verify_inclusion(leaf, inclusion.index, head.size, inclusion.path, root)
