"""Suites for tests alone, and a lab whose nodes change to one.

Nobody uses them; they show that a suite is one object and one call. ``ed448-sha512`` differs from the
program's own in everything: sizes, curve, and the digest under the signature. ``p256-sha256`` has the shape
of SM2: public keys as points with a mark in front, signatures of two numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from exchanged.config import load_config
from exchanged.keys import generate_key, load_key
from exchanged.public_keys import public_key_text
from packet_spec.directory import encode_directory, open_directory, sign_directory
from packet_spec.model import DirectoryKey, KeyUse, RootKey
from packet_spec.signing import PrivateKey
from packet_spec.suites import Sign, SigningSuite, register_signing_suite
from tests.support.clock import FakeRandomness
from tests.support.network import Network


class Ed448OverSha512:
    """RFC 8032 Ed448 over the SHA-512 of what is signed."""

    name: Final = "ed448-sha512"
    seed_bytes: Final = 57
    public_bytes: Final = 57
    signature_bytes: Final = 114

    def signer(self, seed: bytes) -> tuple[bytes, Sign]:
        """See ``SigningSuite``."""
        key = Ed448PrivateKey.from_private_bytes(seed)
        return key.public_key().public_bytes_raw(), lambda data: key.sign(hashlib.sha512(data).digest())

    def is_signed(self, public: bytes, data: bytes, value: bytes) -> bool:
        """See ``SigningSuite``."""
        try:
            Ed448PublicKey.from_public_bytes(public).verify(value, hashlib.sha512(data).digest())
        except (InvalidSignature, ValueError):
            return False
        return True


class EcdsaP256:
    """ECDSA over P-256 with SHA-256, nonces by RFC 6979."""

    name: Final = "p256-sha256"
    seed_bytes: Final = 32
    public_bytes: Final = 65
    signature_bytes: Final = 64

    ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def signer(self, seed: bytes) -> tuple[bytes, Sign]:
        """See ``SigningSuite``."""
        key = ec.derive_private_key(int.from_bytes(seed) % (self.ORDER - 1) + 1, ec.SECP256R1())
        how = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)

        def sign(data: bytes) -> bytes:
            r, s = decode_dss_signature(key.sign(data, how))
            return r.to_bytes(32) + min(s, self.ORDER - s).to_bytes(32)

        return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), sign

    def is_signed(self, public: bytes, data: bytes, value: bytes) -> bool:
        """See ``SigningSuite``."""
        r, s = int.from_bytes(value[:32]), int.from_bytes(value[32:])
        if s > self.ORDER // 2:
            # (r, -s) would be a signature as well.
            return False
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        except (InvalidSignature, ValueError):
            return False
        return True


SECOND: Final = Ed448OverSha512()
SIGNING: Final = frozenset({KeyUse.SEAL, KeyUse.LINK, KeyUse.RECEIPT, KeyUse.LOG})


@contextmanager
def known(suite: SigningSuite = SECOND) -> Iterator[None]:
    """A program that has ``suite``; afterwards it does not any more."""
    forget = register_signing_suite(suite)
    try:
        yield
    finally:
        forget()


def change_suite(
    network: Network, codes: Collection[str], uses: Collection[KeyUse] = SIGNING, *, root: bool = False
) -> None:
    """New keys of the second suite for what these nodes sign in these uses, before the nodes are opened.

    ``root``: also the root of the directory.
    """
    old = load_key(network.layout.root_key)
    data = (network.layout.data(next(iter(network.nodes))) / "directory" / "directory-1.xml").read_bytes()
    directory = open_directory(data, [root_of(old)], 1)
    signer = old
    if root:
        network.layout.root_key.unlink()
        signer = generate_key(network.layout.root_key, FakeRandomness("root"), SECOND.name)
    nodes = tuple(
        replace(node, keys=tuple(_changed(network, node.code, key, uses) for key in node.keys))
        if node.code in codes
        else node
        for node in directory.nodes
    )
    newer = replace(directory, nodes=nodes, roots=(root_of(signer),))
    signed = sign_directory(encode_directory(newer), [signer])
    for code, node in network.nodes.items():
        (network.layout.data(code) / "directory" / "directory-1.xml").write_bytes(signed)
        config = network.layout.config(code)
        text = config.read_text().replace(public_key_text(old.public_key), public_key_text(signer.public_key))
        config.write_text(text)
        node.config = load_config(config)


def root_of(key: PrivateKey) -> RootKey:
    """A key as a root of a directory."""
    return RootKey(key.key_id, key.suite, key.public_key.public)


def _changed(network: Network, code: str, key: DirectoryKey, uses: Collection[KeyUse]) -> DirectoryKey:
    (use,) = key.uses
    if use not in uses:
        return key
    path = network.layout.data(code) / "keys" / f"{use.value}.key"
    path.unlink()
    public = generate_key(path, network.nodes[code].randomness, SECOND.name).public_key
    return replace(key, key_id=public.key_id, suite=public.suite, public=public.public)
