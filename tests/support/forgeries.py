"""What can be wrong with a proof though every signature is genuine, and what is right though it looks odd.

Each forgery changes one meaning. ``n`` varies it: by how much, by whom. The tables give the code that every
verifier has to come to; an empty code stands for a proof that is good.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

from packet_spec.directory import encode_directory, sign_directory
from packet_spec.hop import sign_hop
from packet_spec.identifiers import canonical_case_number
from packet_spec.model import KeyUse, ReceiptKind, RootKey
from packet_spec.proof_file import Part, ProofFile
from packet_spec.signing import Domain, PrivateKey, sign_document, split_signed
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE
from tests.support.proofs import DAY, HOUR, Forgery

Forge = Callable[[Forgery, int], object]
SEAL, LINK, RECEIPT, LOG = KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOG
_STRANGER = PrivateKey.from_seed(b"a root of nobody, fictional 0001")


def _other(f: Forgery) -> ProofFile:
    """The same proof of another packet."""
    mine = f.folder.seal
    return copy.deepcopy(next(each for each in f.world.proofs.values() if each.packets[0].seal != mine))


def _third(f: Forgery) -> str:
    """An agency that has no part in the packet."""
    parties = (sender(f), *f.seal.recipients)
    return next(each for each in (COURT, PROCURATORATE, POLICE) if each not in parties)


def sender(f: Forgery) -> str:
    return f.seal.key.sender


def receiver(f: Forgery) -> str:
    return f.seal.receiver


def _revoke(f: Forgery, node: str, use: KeyUse, hours: float) -> None:
    f.change_keys(node, use, lambda key: replace(key, revoked_at=f.seal.sealed_at + hours * HOUR))


def _ended(f: Forgery, node: str, use: KeyUse, n: int) -> None:
    f.change_keys(node, use, lambda key: replace(key, not_after=f.seal.sealed_at - n * HOUR,
                                                 not_before=f.seal.sealed_at - 30 * DAY))  # fmt: skip


def _not_begun(f: Forgery, node: str, use: KeyUse, n: int) -> None:
    f.change_keys(node, use, lambda key: replace(key, not_before=f.seal.sealed_at + n * DAY))


def _no_key(f: Forgery, node: str, use: KeyUse) -> None:
    f.change_keys(node, use, lambda _: None)


def _delivered_late(f: Forgery, kind: ReceiptKind, hours: float) -> None:
    """The recipient issues one more receipt, so long after (or before) it was delivered."""
    delivered = f.receipt("delivered")
    at = delivered.issued_at + hours * HOUR
    f.add_receipt(replace(delivered, kind=kind, issued_at=at, number=99), receiver(f))


def _hop_replaced(f: Forgery, **changes: object) -> None:
    note = replace(f.hop(), **changes)
    f.folder.hops = [sign_hop(note, f.key(note.node, LINK))]


def _inconsistent(f: Forgery, _: int) -> None:
    """The content digest is that of something else, and the seal is signed again."""
    key, old = f.key(sender(f), SEAL), f.seal.content_digest.encode()
    f.folder.seal = f.folder.seal.replace(b"<contentDigest>" + old, b"<contentDigest>" + old[::-1])
    f.sign_seal(key)


def _revoked_unseen(f: Forgery, n: int) -> None:
    """Revoked after the seal, and before anybody saw it."""
    hour = HOUR * n
    f.set_receipt("accepted", PROVINCE, issued_at=f.seal.sealed_at + 2 * hour)
    f.set_receipt("delivered", receiver(f), issued_at=f.seal.sealed_at + 3 * hour)
    f.drop_log()
    _revoke(f, sender(f), SEAL, n)


def _bad_content_directory(f: Forgery, n: int) -> None:
    """A key whose id is that of another."""
    document = split_signed(f.proof.directories[0])[0]
    node = f.directory().nodes[n % len(f.directory().nodes)]
    changed = document.replace(node.keys[0].key_id.encode(), b"0" * 31 + str(n % 10).encode())
    f.proof.directories[0] = sign_document(changed, Domain.DIRECTORY, [f.world.root])


def _two(f: Forgery, n: int, epoch: int = 0, version: int = 1, *roots: PrivateKey) -> None:
    """A second directory."""
    first = f.directory()
    later = replace(
        first, epoch=first.epoch + epoch, version=first.version + version,
        issued_at=first.issued_at + n * DAY, expires_at=first.expires_at + n * DAY,
    )  # fmt: skip
    f.set_directory(later, *roots, number=1)


def _older_second(f: Forgery, n: int) -> None:
    f.set_directory(replace(f.directory(), version=n + 1))
    _two(f, n, version=-1)


def _root_key(key: PrivateKey) -> RootKey:
    return RootKey(key.key_id, key.suite, key.public_key.public)


def _new_roots(f: Forgery, n: int, *signers: PrivateKey) -> None:
    first = f.directory()
    later = replace(
        first, version=first.version + 1, issued_at=first.issued_at + n * DAY,
        expires_at=first.expires_at + n * DAY, roots=(_root_key(_STRANGER),), threshold=1,
    )  # fmt: skip
    f.set_directory(later, *signers, number=1)


def _told_later(f: Forgery, n: int) -> None:
    """Only the second directory tells that the key was revoked before."""
    _two(f, 20 + n)
    later = f.directory(1)
    nodes = []
    for node in later.nodes:
        keys = [
            replace(key, revoked_at=f.seal.sealed_at - n * HOUR)
            if node.code == PROVINCE and RECEIPT in key.uses else key
            for key in node.keys
        ]  # fmt: skip
        nodes.append(replace(node, keys=tuple(keys)))
    f.set_directory(replace(later, nodes=tuple(nodes)), number=1)


def _other_roots(f: Forgery, n: int) -> None:
    """A whole province of the forger's own: his root, everything else genuine."""
    root = PrivateKey.from_seed(bytes([n]) * 32)
    directory = replace(f.directory(), roots=(_root_key(root),), threshold=1)
    f.set_directory(directory, root)


def _stranger_signs(f: Forgery, n: int) -> None:
    document = encode_directory(replace(f.directory(), version=f.directory().version + n))
    f.proof.directories[0] = sign_directory(document, [_STRANGER])


def _case(f: Forgery, number: str) -> None:
    f.proof.case = canonical_case_number(number)


def _true_case(f: Forgery) -> str:
    text = (f.folder.packet_xml or b"").decode(f.seal.encoding)
    return text.split("<number", 1)[1].split(">", 1)[1].split("<", 1)[0]


def _with_other(f: Forgery) -> None:
    """A file of two packets with their content."""
    other = copy.deepcopy(next(
        each for name, each in f.world.proofs.items()
        if name.endswith("content") and each.packets[0].seal != f.folder.seal
    ))  # fmt: skip
    base = len(f.proof.heads)
    f.proof.heads += other.heads
    folder = other.packets[0]
    folder.log = [replace(each, head=each.head + base) for each in folder.log]
    f.proof.packets.append(folder)


def _part_changed(f: Forgery, n: int) -> None:
    place = n % len(f.folder.parts)
    data = b"".join(f.folder.parts[place].blocks)
    f.folder.parts[place] = Part(len(data), "", (data[:-1] + bytes([data[-1] ^ 1]),))


def _inclusion(f: Forgery, **changes: object) -> None:
    f.folder.log[0] = replace(f.folder.log[0], **changes)


def _misplaced(f: Forgery, n: int) -> None:
    f.log_anew(padding=4 + n)
    _inclusion(f, index=f.folder.log[0].index + 1)


def _short_path(f: Forgery, n: int) -> None:
    f.log_anew(padding=4 + n)
    _inclusion(f, path=f.folder.log[0].path[:-1])


def _other_path(f: Forgery, n: int) -> None:
    """The way of another entry."""
    f.log_anew(padding=4 + n)
    _inclusion(f, path=f.folder.log[1].path)


def _older_head(f: Forgery, n: int) -> None:
    """A head from before the entry was there."""
    f.log_anew(padding=6 + n)
    f.set_head(PROVINCE, size=f.folder.log[0].index, root="0" * 64)


def _entry_of_another(f: Forgery, n: int) -> None:
    _inclusion(f, digest=f"{n:064x}")


def _twice(f: Forgery, kind: str, n: int) -> None:
    said = f.receipt(kind)
    f.add_receipt(replace(said, issued_at=said.issued_at + n * HOUR, number=said.number + 1), said.issued_by)


def _and_refused(f: Forgery, n: int) -> None:
    said = f.receipt("accepted")
    refused = replace(said, kind=ReceiptKind.REFUSED, number=said.number + n, scope=None)
    f.add_receipt(refused, PROVINCE)


def _and_given_up(f: Forgery, n: int) -> None:
    said = replace(f.receipt("delivered"), kind=ReceiptKind.UNDELIVERABLE, number=n)
    f.add_receipt(replace(said, issued_by=PROVINCE, folder_synced=True), PROVINCE)


def _expired(f: Forgery, n: int) -> None:
    f.drop_receipt("delivered")
    said = replace(f.receipt("accepted"), kind=ReceiptKind.EXPIRED, number=n, scope=None)
    f.add_receipt(said, PROVINCE)


def _accepted_by_the_sender(f: Forgery, n: int) -> None:
    f.set_receipt("accepted", sender(f), issued_by=sender(f), number=n)


# Name -> what is done, and the code that it must lead to.
BAD: dict[str, tuple[Forge, str]] = {
    # The seal.
    "seal key revoked before": (lambda f, n: _revoke(f, sender(f), SEAL, -n), "proof-key-revoked"),
    "seal key revoked, seen by nobody before": (_revoked_unseen, "proof-key-revoked-later"),
    "seal key ended": (lambda f, n: _ended(f, sender(f), SEAL, n), "proof-key-not-valid"),
    "seal key not begun": (lambda f, n: _not_begun(f, sender(f), SEAL, n), "proof-key-not-valid"),
    "seal by another agency": (lambda f, n: f.reseal(receiver(f), sequence=n), "proof-key-of-another-node"),
    "seal by a key for receipts": (
        lambda f, n: f.reseal(sender(f), RECEIPT, sequence=n), "proof-key-of-another-use",
    ),
    "seal by a key that nobody knows": (lambda f, _: _no_key(f, sender(f), SEAL), "proof-key-unknown"),
    "sender disabled": (lambda f, _: f.change_agency(sender(f), disabled=True), "proof-sender-disabled"),
    "sender retired": (
        lambda f, n: f.change_agency(sender(f), retired_at=f.seal.sealed_at - n * HOUR),
        "proof-sender-retired",
    ),
    "signature of another seal": (
        lambda f, _: setattr(f.folder, "signature", _other(f).packets[0].signature), "proof-",
    ),
    "content digest of something else": (_inconsistent, "proof-seal-inconsistent"),
    # Receipts.
    "accepted missing": (lambda f, _: f.drop_receipt("accepted"), "proof-accepted-missing"),
    "delivered missing": (
        lambda f, n: (_delivered_late(f, ReceiptKind.SIGNED, n), f.drop_receipt("delivered")),
        "proof-delivered-missing",
    ),
    "accepted by the sender itself": (_accepted_by_the_sender, "proof-not-the-issuer"),
    "delivered by the province": (
        lambda f, n: f.set_receipt("delivered", PROVINCE, issued_by=PROVINCE, number=n),
        "proof-not-the-issuer",
    ),
    "delivered by the sender": (
        lambda f, n: f.set_receipt("delivered", sender(f), issued_by=sender(f), number=n),
        "proof-not-the-issuer",
    ),
    "accepted in the name of the province by another key": (
        lambda f, n: f.set_receipt("accepted", receiver(f), number=n), "proof-key-of-another-node",
    ),
    "delivered in the name of the recipient by the sender's key": (
        lambda f, n: f.set_receipt("delivered", sender(f), number=n), "proof-key-of-another-node",
    ),
    "accepted by a key for links": (
        lambda f, n: f.set_receipt("accepted", PROVINCE, LINK, number=n), "proof-key-of-another-use",
    ),
    "receipt of another packet": (
        lambda f, _: f.folder.receipts.append(_other(f).packets[0].receipts[0]), "proof-other-packet",
    ),
    "receipt of another attempt": (
        lambda f, n: f.set_receipt("delivered", receiver(f), attempt=f.seal.attempt + n),
        "proof-other-packet",
    ),
    "receipt of other content": (
        lambda f, n: f.set_receipt("accepted", PROVINCE, content_digest=f"{n:064x}"), "proof-other-packet",
    ),
    "delivered to somebody else": (
        lambda f, n: f.set_receipt(
            "delivered", _third(f), recipient=_third(f), issued_by=_third(f), number=n
        ),
        "proof-not-a-recipient",
    ),
    "receipt key revoked before": (lambda f, n: _revoke(f, PROVINCE, RECEIPT, -n), "proof-key-revoked"),
    "receipt key revoked later, and not in a log": (
        lambda f, n: (f.drop_log(), _revoke(f, receiver(f), RECEIPT, n)), "proof-key-revoked-later",
    ),
    "receipt key ended": (lambda f, n: _ended(f, receiver(f), RECEIPT, n), "proof-key-not-valid"),
    "receipt before its key began": (lambda f, n: _not_begun(f, PROVINCE, RECEIPT, n), "proof-key-not-valid"),
    "accepted long before it was sealed": (
        lambda f, n: f.set_receipt("accepted", PROVINCE, issued_at=f.seal.sealed_at - DAY - n * HOUR),
        "proof-",
    ),
    "signed before it was delivered": (
        lambda f, n: _delivered_late(f, ReceiptKind.SIGNED, -n), "proof-order-impossible",
    ),
    "collected before it was delivered": (
        lambda f, n: _delivered_late(f, ReceiptKind.COLLECTED, -n), "proof-order-impossible",
    ),
    "accepted twice": (lambda f, n: _twice(f, "accepted", n), "proof-contradiction"),
    "delivered twice": (lambda f, n: _twice(f, "delivered", n), "proof-contradiction"),
    "accepted and refused": (_and_refused, "proof-contradiction"),
    "delivered and given up": (_and_given_up, "proof-contradiction"),
    "expired without an end": (_expired, "proof-order-impossible"),
    # The way.
    "hop by a node off the way": (
        lambda f, n: _hop_replaced(f, node=_third(f), next_node=PROVINCE, landed_at=f.seal.sealed_at,
                                   left_at=f.seal.sealed_at + n * HOUR),
        "proof-hop-off-the-way",
    ),
    "hop to a node off the way": (
        lambda f, n: _hop_replaced(f, node=PROVINCE, next_node=_third(f), left_at=f.hop().left_at + n * HOUR),
        "proof-hop-off-the-way",
    ),
    "hop in the wrong direction": (
        lambda f, n: _hop_replaced(f, node=receiver(f), next_node=PROVINCE,
                                   left_at=f.hop().left_at + n * HOUR),
        "proof-hop-off-the-way",
    ),
    "hop of another packet": (
        lambda f, _: f.folder.hops.append(_other(f).packets[0].hops[0]), "proof-other-packet",
    ),
    "hop by the key of another node": (
        lambda f, n: f.set_hop(_third(f), left_at=f.hop().left_at + n * HOUR), "proof-key-of-another-node",
    ),
    "hop by a key for receipts": (
        lambda f, n: f.set_hop(f.hop().node, RECEIPT, left_at=f.hop().left_at + n * HOUR),
        "proof-key-of-another-use",
    ),
    "hop long before it was sealed": (
        lambda f, n: f.set_hop(f.hop().node, left_at=f.seal.sealed_at - DAY - n * HOUR), "proof-",
    ),
    "hop by a key that was revoked": (
        lambda f, n: _revoke(f, f.hop().node, LINK, n), "proof-key-revoked-later",
    ),
    # The log.
    "head of another node": (
        lambda f, n: f.set_head(receiver(f), RECEIPT, node=receiver(f), size=f.head().size + n),
        "proof-log-of-another-node",
    ),
    "head by a key for receipts": (
        lambda f, n: f.set_head(PROVINCE, RECEIPT, at=f.head().at + n * HOUR), "proof-key-of-another-use",
    ),
    "head by the key of another node": (
        lambda f, n: f.set_head(receiver(f), LINK, at=f.head().at + n * HOUR), "proof-key-of-another-node",
    ),
    "entry of another packet": (_entry_of_another, "proof-log-entry-other"),
    "entry at another place": (_misplaced, "proof-log-not-included"),
    "path cut short": (_short_path, "proof-log-not-included"),
    "path of another entry": (_other_path, "proof-log-not-included"),
    "head from before the entry": (_older_head, "proof-log-not-included"),
    "head long before the seal": (
        lambda f, n: f.log_anew(at_hours=-24 - n), "proof-",
    ),
    "log key revoked": (lambda f, n: _revoke(f, PROVINCE, LOG, n), "proof-key-revoked-later"),
    # Directories.
    "roots that are not the given ones": (_other_roots, "proof-roots-not-trusted"),
    "signed by a stranger": (_stranger_signs, "proof-directory-signature"),
    "directory too old": (
        lambda f, n: f.set_directory(
            replace(
                f.directory(), issued_at=f.seal.sealed_at - 9 * DAY, expires_at=f.seal.sealed_at - n * HOUR
            )
        ),
        "proof-directory-silent",
    ),
    "sender not in the directory": (
        lambda f, _: f.set_directory(replace(f.directory(), agencies=tuple(
            each for each in f.directory().agencies if each.code != sender(f)
        ))),
        "proof-speaker-unknown",
    ),
    "second directory of the same edition": (lambda f, n: _two(f, n, version=0), "proof-directory-chain"),
    "second directory is older": (_older_second, "proof-directory-chain"),
    "an epoch left out": (lambda f, n: _two(f, n, 2), "proof-directory-chain"),
    "new roots by their own word": (lambda f, n: _new_roots(f, n, _STRANGER), "proof-directory-chain"),
    "new roots that did not sign": (lambda f, n: _new_roots(f, n, f.world.root), "proof-directory-chain"),
    "key id of another key": (_bad_content_directory, "proof-directory-content"),
    "revocation told by a later directory": (_told_later, "proof-key-revoked"),
    # Content and case; these need proofs with content.
    "content: other case": (lambda f, n: _case(f, f"A6201990000002026{n:06d}"), "proof-other-case"),
    "content: two packets of two cases": (
        lambda f, _: (_case(f, _true_case(f)), _with_other(f)), "proof-other-case",
    ),
    "content: of another packet": (
        lambda f, _: setattr(f.folder, "packet_xml", b"<packet/>"), "proof-content-differs",
    ),
    "content: a part changed": (_part_changed, "proof-content-differs"),
    "content: a part missing": (lambda f, _: f.folder.parts.pop(), "proof-content-differs"),
    "case without content": (lambda f, n: _case(f, f"虚构案号{n}"), "proof-case-not-shown"),
    # The file.
    "a packet twice": (lambda f, _: f.proof.packets.append(copy.deepcopy(f.folder)), "proof-packet-twice"),
    "a head that nobody names": (
        lambda f, _: f.proof.heads.append(f.proof.heads[0] + b" "), "proof-layout",
    ),
}  # fmt: skip

GOOD: dict[str, Forge] = {
    "as built": lambda _f, _n: None,
    "without the log": lambda f, _: f.drop_log(),
    "without hop notes": lambda f, _: setattr(f.folder, "hops", []),
    "a log of another size": lambda f, n: f.log_anew(padding=n),
    "collected": lambda f, n: _delivered_late(f, ReceiptKind.COLLECTED, n),
    "signed": lambda f, n: _delivered_late(f, ReceiptKind.SIGNED, n),
    "seal key revoked after it was seen": lambda f, n: _revoke(f, sender(f), SEAL, n),
    "receipt key revoked after it was logged": lambda f, n: (
        f.log_anew(at_hours=n), _revoke(f, PROVINCE, RECEIPT, n + 1)
    ),
    "a directory from later": lambda f, n: f.set_directory(
        replace(f.directory(), issued_at=f.seal.sealed_at + n * DAY)
    ),
    "two directories": _two,
    "the next epoch": lambda f, n: _two(f, n, 1),
    "roots changed hands": lambda f, n: _new_roots(f, 30 + n, f.world.root, _STRANGER),
    "content: in its case": lambda f, _: _case(f, _true_case(f)),
    "content: two packets": lambda f, _: _with_other(f),
    "retired afterwards": lambda f, n: f.change_agency(sender(f), retired_at=f.seal.sealed_at + n * DAY),
}  # fmt: skip
