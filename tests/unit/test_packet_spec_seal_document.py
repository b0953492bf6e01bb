from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from packet_spec.errors import DigestMismatchError, FormatError, SchemaError, VersionError
from packet_spec.identity import content_digest
from packet_spec.model import Carriage, Priority, SealPart
from packet_spec.seal_document import blob_parts, decode_seal, encode_seal, inline_parts
from tests.support.documents import COURT, DIGEST, NOW, PARTS, POLICE, PROCURATORATE, make_seal

MIB = 1024 * 1024


def part(
    index: int = 1, name: bytes = b"a.pdf", size: int = 5, carriage: Carriage = Carriage.BLOB
) -> SealPart:
    return SealPart(index, name, size, DIGEST, carriage, "POL-020")


def resealed(**changes):
    """A seal with these changes whose content digest fits again."""
    seal = make_seal(**changes)
    listed = ((each.name, each.size, each.digest) for each in seal.parts)
    return replace(seal, content_digest=content_digest(seal.packet_digest, listed))


@pytest.mark.parametrize(
    "seal",
    [
        make_seal(),
        resealed(parts=()),
        make_seal(copy_to=(), expires_at=None, priority=Priority.URGENT, encoding="gb18030", attempt=9),
        make_seal(sealed_at=NOW + timedelta(microseconds=5)),
        resealed(
            parts=(part(name="起诉.pdf".encode("gb18030")), part(2, b"a\n\x01b"), part(3, "a\u2028".encode()))
        ),
        resealed(parts=(part(name=b' <"&> '),)),
    ],
)
def test_seals_read_back_as_the_same_bytes(seal):
    data = encode_seal(seal)
    assert decode_seal(data) == seal
    assert encode_seal(decode_seal(data)) == data


def test_names_that_are_not_utf8_are_carried_as_base64():
    data = encode_seal(resealed(parts=(part(name="起诉.pdf".encode("gb18030")),)))
    assert b'nameBase64="xvDL3y5wZGY="' in data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'name="media.mp4"', b'nameBase64="bWVkaWEubXA0"'),
        (b'name="media.mp4"', b'name="media.mp4" nameBase64="bWVkaWEubXA0"'),
        (b'name="media.mp4"', b'nameBase64="bWVkaWEubXA0 "'),
        (b'name="media.mp4"', b""),
    ],
)
def test_a_name_is_written_in_one_way_only(old, new):
    with pytest.raises(FormatError):
        decode_seal(encode_seal(make_seal()).replace(old, new))


def test_parts_are_told_apart_by_carriage():
    seal = make_seal()
    assert inline_parts(seal) == PARTS[:1]
    assert blob_parts(seal) == PARTS[1:]


@pytest.mark.parametrize(
    "seal",
    [
        resealed(parts=(part(2),)),
        resealed(parts=(part(1), part(1))),
        resealed(parts=(part(name=b""),)),
        resealed(parts=(part(name=b"a\0b"),)),
        resealed(parts=(part(name=b"a" * 256),)),
        resealed(parts=(part(size=MIB + 1, carriage=Carriage.INLINE),)),
        resealed(parts=tuple(part(index, size=MIB, carriage=Carriage.INLINE) for index in range(1, 10))),
        resealed(parts=tuple(part(index) for index in range(1, 5002))),
        make_seal(copy_to=(PROCURATORATE,)),
        make_seal(copy_to=(COURT, COURT)),
        make_seal(packet_size=8 * MIB + 1),
        make_seal(packet_size=0),
        make_seal(content_digest=DIGEST),
        make_seal(encoding="utf-7"),
        make_seal(receiver="nobody"),
        make_seal(sender_ref=""),
        make_seal(sender_ref="a\x01"),
        make_seal(key_id="x"),
        make_seal(attempt=0),
        make_seal(sealed_at=NOW.replace(tzinfo=None)),
    ],
)
def test_seals_that_cannot_be(seal):
    with pytest.raises(FormatError):
        encode_seal(seal)


def test_the_content_digest_is_checked_on_reading():
    data = encode_seal(make_seal()).replace(b'size="2000000"', b'size="2000001"')
    with pytest.raises(DigestMismatchError):
        decode_seal(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'formatVersion="1"', b'formatVersion="2"'),
        (b"urn:exchanged:seal:1", b"urn:exchanged:seal:2"),
    ],
)
def test_another_version_is_held(old, new):
    with pytest.raises(VersionError) as caught:
        decode_seal(encode_seal(make_seal()).replace(old, new))
    assert caught.value.temporary


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<seal ", b"<seal extra='1' "),
        (b"  <receiver>", b"  <stranger/><receiver>"),
        (POLICE.encode(), b"620199-01-0"),
        (b"2026-07-15T01:30:00Z", b"2026-07-15T09:30:00+08:00"),
        (b"2026-07-15T01:30:00Z", b"2026-02-30T01:30:00Z"),
        (b"urn:exchanged:seal:1", b"urn:exchanged:receipt:1"),
        (b"</seal>", b""),
        (b"<?xml", b"<!DOCTYPE seal><?xml"),
    ],
)
def test_documents_that_do_not_fit(old, new):
    data = encode_seal(make_seal())
    assert old in data
    with pytest.raises(FormatError):
        decode_seal(data.replace(old, new))


def test_a_seal_of_all_parts_fits_its_cap():
    long = tuple(part(index, f"{index:05d}".encode() + b"\x80" * 250) for index in range(1, 5001))
    with_long_names = resealed(parts=long)
    assert decode_seal(encode_seal(with_long_names)) == with_long_names


def test_errors_never_quote_the_document():
    data = encode_seal(make_seal()).replace(b"A620199-0007", b"secret\xe4\xb8\xad" * 40)
    with pytest.raises(SchemaError) as caught:
        decode_seal(data)
    assert "secret" not in str(caught.value)
