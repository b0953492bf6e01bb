from __future__ import annotations

import tarfile
from io import BytesIO

import pytest

from packet_spec.errors import DigestMismatchError, FormatError, LayoutError, SignatureError, UnknownKeyError
from packet_spec.identity import sha256_hex
from packet_spec.model import Carriage, SealPart
from packet_spec.seal import (
    PacketReader,
    encode_seal,
    packet_size,
    part_name,
    read_seal_members,
    write_packet,
)
from packet_spec.signing import Domain, PrivateKey, encode_signature
from packet_spec.ustar import encode_header, member_size, padding
from tests.support.documents import (
    FIRST_PART,
    PACKET_XML,
    SEAL_KEY,
    look_up,
    make_packet,
    make_seal,
)


def open_reader(data: bytes) -> PacketReader:
    reader = PacketReader(BytesIO(data).read)
    reader.open(look_up)
    return reader


def read_all(data: bytes) -> list[tuple[int, bytes]]:
    return [(part.index, b"".join(blocks)) for part, blocks in open_reader(data).parts()]


def member(name: str, data: bytes) -> bytes:
    return encode_header(name, len(data)) + data + bytes(padding(len(data)))


def members() -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(make_packet())) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}


def build(contents: dict[str, bytes], end: bytes = bytes(1024)) -> bytes:
    return b"".join(member(name, data) for name, data in contents.items()) + end


def test_a_packet_is_a_plain_tar_with_the_prescribed_members():
    assert list(members()) == ["seal.xml", "seal.sig", "packet.xml", "part/0001"]
    assert members()["packet.xml"] == PACKET_XML.encode()
    assert build(members()) == make_packet()


def test_reading_gives_back_what_was_written():
    reader = open_reader(make_packet())
    assert reader.seal == make_seal()
    assert reader.seal_digest == sha256_hex(encode_seal(make_seal()))
    assert reader.key_id == SEAL_KEY.key_id
    assert reader.packet_xml() == reader.packet_xml() == PACKET_XML.encode()
    assert [(part.index, b"".join(blocks)) for part, blocks in reader.parts()] == [(1, FIRST_PART)]


def test_the_size_is_known_before():
    seal = make_seal()
    seal_bytes = encode_seal(seal)
    signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
    target = BytesIO()
    written = write_packet(
        target.write, seal, seal_bytes, signature, PACKET_XML.encode(), {1: [b"he", b"", b"llo"]}
    )
    assert written == len(target.getvalue()) == packet_size(seal, len(seal_bytes), len(signature))
    assert target.getvalue() == make_packet()


def test_reads_of_one_byte_at_a_time_are_enough():
    source = BytesIO(make_packet())
    reader = PacketReader(lambda size: source.read(min(size, 1)))
    reader.open(look_up)
    reader.drain()
    assert reader.packet_xml() == PACKET_XML.encode()


def test_parts_left_unread_are_verified_all_the_same():
    spoiled = make_packet().replace(FIRST_PART, b"hellO")
    with pytest.raises(DigestMismatchError):
        open_reader(spoiled).drain()
    with pytest.raises(DigestMismatchError):
        for _ in open_reader(spoiled).parts():
            pass


def test_parts_may_be_walked_once():
    reader = open_reader(make_packet())
    reader.drain()
    with pytest.raises(LayoutError):
        reader.drain()


def test_nothing_is_known_before_the_seal_was_opened():
    reader = PacketReader(BytesIO(make_packet()).read)
    with pytest.raises(LayoutError):
        _ = reader.seal
    with pytest.raises(LayoutError):
        reader.packet_xml()


def test_seal_members_can_be_read_alone():
    assert read_seal_members(BytesIO(make_packet()).read) == (members()["seal.xml"], members()["seal.sig"])


def test_an_unknown_key_is_held():
    reader = PacketReader(BytesIO(make_packet()).read)
    with pytest.raises(UnknownKeyError):
        reader.open(lambda _: None)


def test_the_signature_is_verified_before_the_seal_is_parsed():
    contents = members() | {"seal.xml": b"<not xml"}
    with pytest.raises(SignatureError):
        open_reader(build(contents))


def test_the_seal_must_name_its_key():
    other = PrivateKey.from_seed(b"9" * 32)
    data = make_packet(key=other)
    reader = PacketReader(BytesIO(data).read)
    with pytest.raises(SignatureError, match="another key"):
        reader.open({other.key_id: other.public_key}.get)


def test_every_changed_byte_is_refused():
    data = make_packet()
    # All of headers, signature, digests and padding; every third byte is plenty for the long texts.
    for position in range(0, len(data), 3):
        changed = bytearray(data)
        changed[position] ^= 1
        with pytest.raises((FormatError, SignatureError)):
            read_all(bytes(changed))


@pytest.mark.parametrize("cut", [1, 512, 1023, 1024, 1025, 1540, 5000])
def test_every_early_end_is_refused(cut):
    with pytest.raises(FormatError):
        read_all(make_packet()[:-cut])


def swapped() -> dict[str, bytes]:
    contents = members()
    return {name: contents[name] for name in ("seal.sig", "seal.xml", "packet.xml", "part/0001")}


def without(name: str) -> dict[str, bytes]:
    return {key: data for key, data in members().items() if key != name}


@pytest.mark.parametrize(
    "data",
    [
        build(swapped()),
        build(without("packet.xml")),
        build(without("part/0001")),
        build(members() | {"part/0002": b"x"}),
        build(members(), bytes(512)),
        build(members(), bytes(1536)),
        build(members(), bytes(1024) + b"x"),
        make_packet() + make_packet(),
        build(members() | {"seal.sig": b"x" * 2000}),
        build(members() | {"seal.sig": b"x"}),
        b"",
    ],
)
def test_every_other_layout_is_refused(data):
    with pytest.raises(FormatError):
        read_all(data)


def test_a_member_size_other_than_the_sealed_one_is_refused():
    for name in ("packet.xml", "part/0001"):
        longer = members()
        longer[name] += b" "
        with pytest.raises(DigestMismatchError):
            read_all(build(longer))


def test_padding_must_be_zero():
    data = bytearray(make_packet())
    last = member_size(len(members()["seal.xml"])) - 1
    assert padding(len(members()["seal.xml"]))
    data[last] = 1
    with pytest.raises(FormatError):
        read_all(bytes(data))


@pytest.mark.parametrize("blocks", [[b"hell"], [b"hello", b"o"], [b"hellO"], []])
def test_a_writer_refuses_parts_that_are_not_the_sealed_ones(blocks):
    seal = make_seal()
    with pytest.raises(DigestMismatchError):
        write_packet(lambda _: None, seal, b"s", b"g", PACKET_XML.encode(), {1: blocks})


def test_a_writer_refuses_another_packet_xml():
    with pytest.raises(DigestMismatchError):
        write_packet(lambda _: None, make_seal(), b"s", b"g", b"<packet/>", {1: [FIRST_PART]})


@pytest.mark.parametrize("parts", [{}, {2: [b""]}, {1: [FIRST_PART], 2: [b""]}])
def test_a_writer_wants_exactly_the_inline_parts(parts):
    with pytest.raises(LayoutError):
        write_packet(lambda _: None, make_seal(), b"s", b"g", PACKET_XML.encode(), parts)


def test_an_empty_part_and_many_parts_pass():
    empty = sha256_hex(b"")
    parts = tuple(
        SealPart(index, f"{index}.txt".encode(), 0, empty, Carriage.INLINE, "POL-020")
        for index in range(1, 40)
    )
    seal = make_seal(parts=parts)
    seal_bytes = encode_seal(seal)
    signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
    target = BytesIO()
    given = {part.index: [] for part in parts}
    write_packet(target.write, seal, seal_bytes, signature, PACKET_XML.encode(), given)
    assert read_all(target.getvalue()) == [(index, b"") for index in range(1, 40)]


def test_part_names_are_numbered():
    assert part_name(1) == "part/0001"
    assert part_name(5000) == "part/5000"


def test_a_packet_without_parts():
    seal = make_seal(parts=())
    seal_bytes = encode_seal(seal)
    signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
    target = BytesIO()
    write_packet(target.write, seal, seal_bytes, signature, PACKET_XML.encode(), {})
    assert read_all(target.getvalue()) == []
