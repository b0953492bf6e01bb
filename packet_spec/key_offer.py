"""keys-offer.xml: which new keys a node has ready for the next directory, bytes <-> values.

The payload of notes of the kind ``keys``, whose signature, by the node's present link key, says who speaks.
Guarantees of ``decode_key_offer``: whoever made the offer has the private half of every key in it that can
sign: the key signed node, use, suite and public half (prefix ``exchanged-key-offer-1``). So nobody has
another node's key listed as his own. One key for each use, and none twice.

Leaves to others: whether a directory takes a key, and from when on. Known limit: a key for encryption signs
nothing, and is believed to the note alone; who offers one that is not his own cannot read what comes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packet_spec.encryption import KEY_SUITE as ENCRYPTION_SUITE
from packet_spec.errors import FormatError, SignatureError
from packet_spec.limits import KEY_OFFER_BYTES
from packet_spec.model import KeyUse
from packet_spec.part_cipher import KEY_BYTES as ENCRYPTION_KEY_BYTES
from packet_spec.signing import SUITE, Domain, PrivateKey, PublicKey, Signature, key_id_of, verify
from packet_spec.ssh_keys import SSH_SUITE
from packet_spec.xml import (
    FORMAT_VERSION,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    write_machine_document,
)

_OTHERS: Final = {KeyUse.ENCRYPT: ENCRYPTION_SUITE, KeyUse.LOGIN: SSH_SUITE, KeyUse.HOST: SSH_SUITE}


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """One key. ``proof`` is its signature over ``proof_of``, in hexadecimal; empty where it cannot sign."""

    use: KeyUse
    suite: str
    public: bytes
    proof: str = ""

    @property
    def key_id(self) -> str:
        """The id that a directory will list."""
        return key_id_of(self.suite, self.public)


@dataclass(frozen=True, slots=True)
class KeyOffer:
    """All keys that ``node`` has ready, at most a few; what it offered before is withdrawn by it."""

    node: str
    keys: tuple[OfferedKey, ...]


def suite_of(use: KeyUse) -> str:
    """The one suite of keys with that use."""
    return _OTHERS.get(use, SUITE)


def prove(node: str, use: KeyUse, suite: str, key: PrivateKey) -> OfferedKey:
    """The offer of a key that can sign, with its proof. A login key is given as what signs with its seed."""
    public = key.public_key.public
    signature = key.sign(Domain.KEY_OFFER, proof_of(node, use, suite, public))
    return OfferedKey(use, suite, public, signature.value.hex())


def proof_of(node: str, use: KeyUse, suite: str, public: bytes) -> bytes:
    """What a key signs when it is offered."""
    return f"{node}\n{use}\n{suite}\n{public.hex()}\n".encode()


def check_offered(node: str, keys: Iterable[OfferedKey]) -> None:
    """Raises SignatureError when a proof is not that key's own, FormatError for a suite of another use.

    UnknownSuiteError, which holds, for one that is not known here.
    """
    for key in keys:
        signs = key.use not in _OTHERS
        # A signing suite that is not known here holds the offer, where its proof is verified.
        if key.suite in _OTHERS.values() if signs else key.suite != suite_of(key.use):
            raise FormatError(
                "an offered key is of a suite that its use does not know",
                where=f"node {node}, use {key.use}",
                expected=suite_of(key.use),
                found=key.suite,
            )
        if key.use is KeyUse.ENCRYPT:
            if key.proof:
                raise FormatError("a key for encryption proves nothing", where=f"node {node}")
            if len(key.public) != ENCRYPTION_KEY_BYTES:
                raise FormatError("an offered key has the wrong length", where=f"node {node}, use {key.use}")
            continue
        # An SSH key is of the same curve, and signs here as any other.
        public = PublicKey(key.suite if signs else SUITE, key.public)
        try:
            signature = Signature(public.suite, public.key_id, bytes.fromhex(key.proof))
        except ValueError:
            raise SignatureError("the proof of an offered key cannot be read") from None
        verify(Domain.KEY_OFFER, proof_of(node, key.use, key.suite, key.public), signature, public)


def encode_key_offer(offer: KeyOffer) -> bytes:
    """The document. Raises SchemaError when the value cannot be written."""
    root = new_root("keys-offer", "keysOffer", {"formatVersion": FORMAT_VERSION, "node": offer.node})
    for key in offer.keys:
        add(
            root,
            "key",
            use=key.use.value,
            suite=key.suite,
            public=key.public.hex(),
            proof=key.proof or None,
        )
    return write_machine_document(root, "keys-offer", limit_bytes=KEY_OFFER_BYTES)


def decode_key_offer(data: bytes) -> KeyOffer:
    """The value, with every proof verified.

    Raises FormatError leaves, SignatureError for a proof that is not the key's own, VersionError (hold).
    """
    root = read_machine_document(data, "keys-offer", limit_bytes=KEY_OFFER_BYTES)
    keys = tuple(
        OfferedKey(
            KeyUse(attribute(each, "use")),
            attribute(each, "suite"),
            bytes.fromhex(attribute(each, "public")),
            attribute(each, "proof"),
        )
        for each in children(root, "key")
    )
    offer = KeyOffer(attribute(root, "node"), keys)
    for what in ([key.use for key in keys], [key.key_id for key in keys]):
        # A directory that lists a key twice is none: one node could stop the next one of all others.
        if len(set(what)) < len(what):
            raise FormatError("an offer has one key for each use", where=f"node {offer.node}")
    check_offered(offer.node, offer.keys)
    return offer
