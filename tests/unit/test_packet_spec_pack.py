"""A pack is one file, named by its digest, and reaches nowhere."""

from __future__ import annotations

import json

import pytest

from packet_spec.body_xsd import body_schemas
from packet_spec.catalogue import load_catalogue
from packet_spec.errors import PackError
from packet_spec.identity import sha256_hex
from packet_spec.pack import (
    needs_xsd_11,
    read_pack,
    shipped_pack,
    shipped_pack_bytes,
    write_pack,
)
from packet_spec.ustar import BLOCK, END, encode_header, padding

CATALOGUE = read_pack(shipped_pack_bytes()).compiled
SCHEMAS = dict(shipped_pack().schemas)


def member(name: str, data: bytes) -> bytes:
    return encode_header(name, len(data)) + data + bytes(padding(len(data)))


def test_the_shipped_standard_is_a_pack_with_every_type_of_the_catalogue() -> None:
    pack = read_pack(shipped_pack_bytes())
    assert pack.digest == sha256_hex(shipped_pack_bytes()) == shipped_pack().digest
    assert (pack.name, pack.version) == ("standard", load_catalogue().version)
    assert pack.catalogue == load_catalogue()
    assert len(pack.catalogue.business_types) == 171
    assert pack.schemas == body_schemas(load_catalogue()) == shipped_pack().schemas
    assert pack.compiled == shipped_pack().compiled
    assert not any(needs_xsd_11(pack, file) for file in pack.schemas)


def test_the_same_contents_give_the_same_bytes() -> None:
    backwards = dict(reversed(SCHEMAS.items()))
    assert write_pack("standard", shipped_pack().version, CATALOGUE, backwards) == shipped_pack_bytes()


@pytest.mark.parametrize("at", [0, 100, 600, 5_000, -1, -600, -1025])
def test_one_changed_bit_makes_another_pack_or_none(at: int) -> None:
    data = bytearray(shipped_pack_bytes())
    data[at] ^= 1
    try:
        changed = read_pack(bytes(data))
    except PackError:
        return
    assert changed.digest != shipped_pack().digest


ABOUT = json.dumps({"format": "exchanged-pack-1", "name": "x", "version": "1"}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"junk" * 1000,
        shipped_pack_bytes()[:-BLOCK],
        shipped_pack_bytes() + END,
        member("pack.json", ABOUT) + END,
        member("pack.json", ABOUT) * 2 + END,
        member("pack.json", b"[]") + member("catalogue.json", CATALOGUE) + END,
        member("pack.json", ABOUT.replace(b"-1", b"-2")) + member("catalogue.json", CATALOGUE) + END,
        member("pack.json", ABOUT.replace(b'"x"', b'"x y"')) + member("catalogue.json", CATALOGUE) + END,
        member("pack.json", ABOUT) + member("catalogue.json", b"{}") + END,
        member("pack.json", ABOUT) + member("catalogue.json", CATALOGUE) + END,
        bytes(9 * 1024 * 1024),
    ],
)
def test_what_is_no_pack_is_not_read(data: bytes) -> None:
    with pytest.raises(PackError):
        read_pack(data)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("arrest.xsd", b'"common.xsd"', b'"http://example.invalid/common.xsd"'),
        ("arrest.xsd", b'"common.xsd"', b'"../secret.xsd"'),
        ("arrest.xsd", b"<xs:include ", b"<xs:redefine "),
        ("arrest.xsd", b"<xs:include", b'<xs:import namespace="urn:x" schemaLocation="x.xsd"/><xs:include'),
        ("common.xsd", b"  <xs:simpleType", b'  <xs:include schemaLocation="common.xsd"/><xs:simpleType'),
        ("common.xsd", b"</xs:schema>", b""),
        ("common.xsd", b"<xs:schema", b"<!DOCTYPE x><xs:schema"),
    ],
)
def test_a_schema_that_reaches_outside_or_is_broken_makes_no_pack(file: str, old: bytes, new: bytes) -> None:
    changed = SCHEMAS | {file: SCHEMAS[file].replace(old, new, 1)}
    assert changed[file] != SCHEMAS[file]
    with pytest.raises(PackError):
        write_pack("x", "1", CATALOGUE, changed)


def test_a_pack_without_a_schema_or_with_a_stranger_is_none() -> None:
    without = {file: data for file, data in SCHEMAS.items() if file != "trial.xsd"}
    with pytest.raises(PackError, match="lacks a schema"):
        write_pack("x", "1", CATALOGUE, without)
    with pytest.raises(PackError, match="belongs to no pack"):
        write_pack("x", "1", CATALOGUE, SCHEMAS | {"run.sh": b"#!"})
    with pytest.raises(PackError):
        write_pack("x", "1", CATALOGUE, SCHEMAS | {"名.xsd": SCHEMAS["arrest.xsd"]})
