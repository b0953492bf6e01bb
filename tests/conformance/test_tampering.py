"""One changed bit, or parts of two, and a signed document is worth nothing: at every byte position.

In each of fifty small documents of every signed kind each byte is changed by one bit, drawn by a seed, and at
some places of one of each kind to all 255 other values. What comes of it must be refused (or, where only the
key's name was hit, held): never taken for genuine. Large packets are sampled. Then the valid parts of two
genuine packets are put together in every other way. How many mutants there were is reported.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from io import BytesIO
from itertools import permutations, product
from typing import Any

import pytest

from packet_spec.directory import encode_directory, open_directory, sign_directory
from packet_spec.directory_trust import roots_fingerprint
from packet_spec.errors import ExchangeError, FormatError
from packet_spec.hop import open_hop, sign_hop
from packet_spec.identity import PacketKey, content_digest, packet_id_from, sha256_hex
from packet_spec.model import Carriage, Directory, HopNote, ItemKind, KeyUse, ReceiptKind, SealPart
from packet_spec.note import Note, note_id_of, open_note, sign_note
from packet_spec.proof import verify_proof
from packet_spec.proof_values import Proven
from packet_spec.receipt import open_receipt, sign_receipt
from packet_spec.seal import PacketReader, encode_seal
from packet_spec.seal_document import decode_seal
from packet_spec.signing import Domain, encode_signature
from packet_spec.ustar import END, encode_header, padding
from packet_spec.waybill import SPEAKS, encode_waybill, open_waybill, sign_waybill
from packet_spec.waybill_model import Acknowledgement, BlobReference, Waybill, WaybillItem
from tests.support.documents import (
    BRIDGE,
    COURT,
    FINDING,
    KEYS,
    NOW,
    PACKET_XML,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    ROOTS,
    SEAL_KEY,
    look_up,
    make_directory,
    make_receipt,
    make_seal,
)

_SMALL = 50
# Of these every position is tried in the long run alone.
_LONG = ("packet", "proof")
_LARGE_BYTES = 1 << 20
# The signature of a waybill and of a batch's other members is a file of its own.
_BETWEEN = b"\n\x00between two members\x00\n"


def chance_of(words: str) -> random.Random:
    """Chance that comes out the same every time."""
    return random.Random(words)  # noqa: S311 - a seed, no secret


def identity(seed: int) -> PacketKey:
    """The identity of the packet that document ``seed`` is or speaks of."""
    return PacketKey(POLICE, packet_id_from(NOW + timedelta(seconds=seed), seed.to_bytes(10, "big")))


def members(seed: int, inline: Sequence[bytes]) -> dict[str, bytes]:
    """The members of a genuine sealed packet, by name and in order."""
    key = identity(seed)
    packet_xml = PACKET_XML.replace("0190a5b0-1c2d-7e3f-8a4b-5c6d7e8f9a0b", key.packet_id).encode()
    parts = tuple(
        SealPart(number, f"{number}.pdf".encode(), len(part), sha256_hex(part), Carriage.INLINE, "POL-020")
        for number, part in enumerate(inline, start=1)
    )
    digest = sha256_hex(packet_xml)
    seal = make_seal(
        packet_xml,
        parts,
        key=key,
        sequence=seed + 1,
        content_digest=content_digest(digest, ((part.name, part.size, part.digest) for part in parts)),
    )
    seal_bytes = encode_seal(seal)
    signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
    named = {f"part/{number:04d}": part for number, part in enumerate(inline, start=1)}
    return {"seal.xml": seal_bytes, "seal.sig": signature, "packet.xml": packet_xml} | named


def archive(contents: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar of these members in this order."""
    blocks = [
        block
        for name, data in contents
        for block in (encode_header(name, len(data)), data, bytes(padding(len(data))))
    ]
    return b"".join(blocks) + END


def make_packet(seed: int) -> bytes:
    """A small sealed packet of one to three inline parts."""
    chance = chance_of(f"packet {seed}")
    inline = [chance.randbytes(chance.randrange(1, 300)) for _ in range(chance.randrange(1, 4))]
    return archive([*members(seed, inline).items()])


def make_large_packet(seed: int) -> bytes:
    """A sealed packet of about 1 MiB."""
    return archive([*members(seed, [chance_of(f"bytes {seed}").randbytes(_LARGE_BYTES)]).items()])


def open_packet(data: bytes) -> object:
    """Read a sealed packet to its end, as every node does."""
    source = BytesIO(data)
    reader = PacketReader(source.read)
    seal = reader.open(look_up)
    reader.packet_xml()
    reader.drain()
    return seal


def make_a_receipt(seed: int) -> bytes:
    """A receipt of one of the kinds, by the node that may issue it."""
    kind = (ReceiptKind.ACCEPTED, ReceiptKind.REFUSED, ReceiptKind.DELIVERED, ReceiptKind.SIGNED)[seed % 4]
    at_the_receiver = kind in {ReceiptKind.DELIVERED, ReceiptKind.SIGNED}
    issuer = PROCURATORATE if at_the_receiver else PROVINCE
    receipt = make_receipt(
        kind,
        key=identity(seed),
        recipient=issuer if at_the_receiver else "",
        issued_by=issuer,
        number=seed + 1,
        findings=(FINDING,) if kind is ReceiptKind.REFUSED else (),
        by="虚构甲" if kind is ReceiptKind.SIGNED else "",
    )
    return sign_receipt(receipt, KEYS[issuer, KeyUse.RECEIPT])


def make_a_hop(seed: int) -> bytes:
    """A note of a bridge."""
    note = HopNote(BRIDGE, identity(seed), f"{seed:064x}", NOW, NOW + timedelta(seconds=seed), PROVINCE)
    return sign_hop(note, KEYS[BRIDGE, KeyUse.LINK])


def make_a_note(seed: int) -> bytes:
    """A note between nodes with a few bytes."""
    payload = chance_of(f"note {seed}").randbytes(seed)
    note_id = note_id_of("keys", BRIDGE, PROVINCE, NOW, seed, payload)
    return sign_note(Note("keys", note_id, BRIDGE, PROVINCE, NOW, payload), KEYS[BRIDGE, KeyUse.LINK])


def make_a_directory(seed: int) -> bytes:
    """A directory, signed by as many roots as it asks for."""
    whole = make_directory()
    nodes = tuple(replace(node, keys=node.keys[:1]) for node in whole.nodes if node.code in (PROVINCE, COURT))
    agencies = tuple(
        replace(agency, name_zh=f"虚构法院{seed}") for agency in whole.agencies if agency.code == COURT
    )
    directory = replace(whole, version=seed + 1, nodes=nodes, agencies=agencies)
    return sign_directory(encode_directory(directory), ROOTS[: directory.threshold])


def open_a_directory(data: bytes) -> object:
    """Read a directory with the roots that everybody trusts."""
    trusted = make_directory()
    return open_directory(data, trusted.roots, trusted.threshold)


def make_a_waybill(seed: int) -> bytes:
    """A waybill and its signature, one after the other."""
    key = KEYS[POLICE, KeyUse.LINK]
    items = tuple(
        WaybillItem(kind, f"{seed:064x}", seed + 1, identity(seed + number), blobs)
        for number, (kind, blobs) in enumerate(
            [(ItemKind.PACKET, (BlobReference("a" * 64, 9),)), (ItemKind.RECEIPT, ())][: seed % 3]
        )
    )
    waybill = Waybill(
        speaks=SPEAKS,
        from_node=POLICE,
        to_node=PROVINCE,
        incarnation="5f3a",
        number=seed + 1,
        items=items,
        acknowledgement=Acknowledgement(PROVINCE, "77", seed, seed + 1),
        ledger_head="0" * 64,
        directory_version=3,
        sent_at=NOW,
        key_id=key.key_id,
    )
    data = encode_waybill(waybill)
    return data + _BETWEEN + sign_waybill(data, key)


def open_a_waybill(data: bytes) -> object:
    """Read a waybill by its two members."""
    waybill, _, signature = data.partition(_BETWEEN)
    return open_waybill(waybill, signature, look_up)


def proof_directory() -> Directory:
    """The few keys that a small proof needs."""
    whole = make_directory()
    uses = {POLICE: KeyUse.SEAL, PROVINCE: KeyUse.RECEIPT}
    nodes = tuple(
        replace(node, parent="" if node.code == PROVINCE else PROVINCE,
                keys=tuple(key for key in node.keys if uses[node.code] in key.uses))
        for node in whole.nodes if node.code in uses
    )  # fmt: skip
    agencies = tuple(agency for agency in whole.agencies if agency.code == POLICE)
    return replace(whole, nodes=nodes, agencies=agencies, roots=whole.roots[:1], threshold=1)


def proof_members(seed: int) -> dict[str, bytes]:
    """The members of a small proof: a sealed packet was accepted."""
    sealed = members(seed, [])
    seal = decode_seal(sealed["seal.xml"])
    receipt = make_receipt(
        key=seal.key,
        content_digest=seal.content_digest,
        seal_digest=sha256_hex(sealed["seal.xml"]),
        number=seed + 1,
    )
    return {
        "proof": b"exchanged-proof-1\n",
        "directory/0001.xml": sign_directory(encode_directory(proof_directory()), ROOTS[:1]),
        "packet/0001/seal.xml": sealed["seal.xml"],
        "packet/0001/seal.sig": sealed["seal.sig"],
        "packet/0001/receipt/0001.xml": sign_receipt(receipt, KEYS[PROVINCE, KeyUse.RECEIPT]),
    }


def make_a_proof(seed: int) -> bytes:
    """A small proof."""
    return archive([*proof_members(seed).items()])


def open_a_proof(data: bytes) -> object:
    """Verify a proof with the fingerprint that everybody knows; what is not proven is refused."""
    directory = proof_directory()
    answer = verify_proof(BytesIO(data).read, roots_fingerprint(directory.roots, directory.threshold))
    if answer.verdict is not Proven.PROVEN:
        raise FormatError("the proof is not proven", found=answer.code)
    return answer


@dataclass(frozen=True)
class Kind:
    """A kind of signed document: how one is made from a seed, and how it is read."""

    make: Callable[[int], bytes]
    read: Callable[[bytes], object]


KINDS = {
    "packet": Kind(make_packet, open_packet),
    "receipt": Kind(make_a_receipt, lambda data: open_receipt(data, look_up)),
    "hop": Kind(make_a_hop, lambda data: open_hop(data, look_up)),
    "note": Kind(make_a_note, lambda data: open_note(data, look_up)),
    "directory": Kind(make_a_directory, open_a_directory),
    "waybill": Kind(make_a_waybill, open_a_waybill),
    "proof": Kind(make_a_proof, open_a_proof),
}


def flipped(data: bytes, positions: Sequence[int], chance: random.Random) -> Iterator[tuple[int, bytes]]:
    """The document with one bit changed, at each of the positions in turn."""
    changed = bytearray(data)
    for position in positions:
        changed[position] ^= 1 << chance.randrange(8)
        yield position, bytes(changed)
        changed[position] = data[position]


def taken(kind: Kind, tampered: Iterator[tuple[int, bytes]]) -> list[int]:
    """The positions at which a change was not noticed. Any other error than ours fails the test."""
    unnoticed = []
    for position, data in tampered:
        try:
            kind.read(data)
        except ExchangeError:
            continue
        unnoticed.append(position)
    return unnoticed


def places_of(data: bytes) -> Sequence[int]:
    """Every position of a document; what parts the two files of a waybill is this test's own."""
    first, parting, second = data.partition(_BETWEEN)
    return [*range(len(first)), *range(len(data) - len(second), len(data))] if parting else range(len(data))


def check_every_position(name: str, seed: int) -> int:
    """How many mutants were tried."""
    kind = KINDS[name]
    data = kind.make(seed)
    assert kind.read(data)
    positions = places_of(data)
    assert taken(kind, flipped(data, positions, chance_of(f"{name} {seed}"))) == []
    return len(positions)


@pytest.mark.parametrize("name", [name for name in KINDS if name not in _LONG])
def test_no_bit_of_a_signed_document_can_change(name: str) -> None:
    check_every_position(name, 0)


def changed_to_all(data: bytes, positions: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The document with every other value of a byte, at each of the positions in turn."""
    changed = bytearray(data)
    for position in positions:
        for value in range(256):
            if value != data[position]:
                changed[position] = value
                yield position, bytes(changed)
        changed[position] = data[position]


@pytest.mark.parametrize("places", [2, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", KINDS)
def test_no_byte_of_a_signed_document_has_another_value(name: str, places: int, record_property: Any) -> None:
    kind = KINDS[name]
    data = kind.make(1)
    positions = chance_of(f"values {name}").sample(places_of(data), places)
    assert taken(kind, changed_to_all(data, positions)) == []
    record_property("mutants", 255 * places)


@pytest.mark.parametrize("name", _LONG)
def test_no_sampled_bit_of_a_longer_document_can_change(name: str) -> None:
    kind = KINDS[name]
    data = kind.make(0)
    assert kind.read(data)
    chance = chance_of(f"sampled {name}")
    positions = [chance.randrange(len(data)) for _ in range(400)]
    assert taken(kind, flipped(data, positions, chance)) == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(_SMALL))
@pytest.mark.parametrize("name", KINDS)
def test_no_bit_of_fifty_signed_documents_can_change(name: str, seed: int, record_property: Any) -> None:
    record_property("mutants", check_every_position(name, seed))


@pytest.mark.parametrize("seed", range(3))
def test_no_sampled_bit_of_a_large_packet_can_change(seed: int) -> None:
    kind = Kind(make_large_packet, open_packet)
    data = kind.make(seed)
    assert kind.read(data)
    chance = chance_of(f"large {seed}")
    positions = [chance.randrange(len(data)) for _ in range(400)]
    assert taken(kind, flipped(data, positions, chance)) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_signed_document_is_neither_cut_nor_continued(name: str) -> None:
    kind = KINDS[name]
    data = kind.make(0)
    cut = ((size, data[:size]) for size in range(0, len(data), 7))
    assert taken(kind, cut) == []
    longer = ((number, data + more) for number, more in enumerate((b"\x00", b"\n", b" ", b"<a/>", data)))
    assert taken(kind, longer) == []


@pytest.mark.parametrize("pair", range(5))
def test_no_mix_of_two_genuine_packets_is_genuine(pair: int) -> None:
    chance = chance_of(f"mix {pair}")
    one, other = (members(2 * pair + side, [chance.randbytes(40), chance.randbytes(40)]) for side in (0, 1))
    for choice in product((one, other), repeat=len(one)):
        mixed = archive([(name, source[name]) for name, source in zip(one, choice, strict=True)])
        is_genuine = len({id(source) for source in choice}) == 1
        assert bool(taken(KINDS["packet"], iter([(0, mixed)]))) == is_genuine, choice


def test_no_mix_of_two_proofs_proves_anything() -> None:
    one, other = proof_members(0), proof_members(1)
    for choice in product((one, other), repeat=len(one)):
        mixed = archive([(name, source[name]) for name, source in zip(one, choice, strict=True)])
        # The first two members are the same in both.
        is_genuine = len({id(source) for source in choice[2:]}) == 1
        assert bool(taken(KINDS["proof"], iter([(0, mixed)]))) == is_genuine, choice


def test_no_other_order_of_the_members_is_genuine() -> None:
    genuine = [*members(0, [b"one", b"two"]).items()]
    for order in permutations(genuine):
        is_genuine = list(order) == genuine
        assert bool(taken(KINDS["packet"], iter([(0, archive(order))]))) == is_genuine


@pytest.mark.parametrize("name", [name for name in KINDS if name not in {"packet", "waybill", "proof"}])
def test_no_signature_of_another_document_counts(name: str) -> None:
    kind = KINDS[name]
    split = b"<!--exchanged-signature "
    documents = [kind.make(seed) for seed in range(8)]
    for one, other in permutations(documents, 2):
        mixed = one[: one.index(split)] + other[other.index(split) :]
        assert taken(kind, iter([(0, mixed)])) == []


def test_no_signature_of_another_kind_counts() -> None:
    """The same key, the same bytes, another kind of document (the prefix of the domain)."""
    link = KEYS[BRIDGE, KeyUse.LINK]
    for name, domain in (("hop", Domain.NOTE), ("note", Domain.HOP), ("receipt", Domain.HOP)):
        data = KINDS[name].make(0)
        document = data[: data.index(b"<!--exchanged-signature ")]
        line = encode_signature(link.sign(domain, document))[:-1]
        forged = document + b"<!--exchanged-signature " + line + b"-->\n"
        assert taken(KINDS[name], iter([(0, forged)])) == []
