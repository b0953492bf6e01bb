"""Who and which: agency codes, packet identities and the digests that bind them (custody C11)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from packet_spec.errors import FormatError

_AGENCY = re.compile(r"[0-9]{6}-[0-9]{2}-[0-9]{2}")
_NODE = re.compile(r"(?:[0-9]{6}-[0-9]{2}-[0-9]{2}|bridge-[a-z0-9]{1,32})")
_PACKET_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PACK_WORD = re.compile(r"[0-9A-Za-z.\-]{1,64}")
_FILE_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, order=True)
class PacketKey:
    """The identity of a packet: the agency that sealed it and its packet id (C11)."""

    sender: str
    packet_id: str

    def __str__(self) -> str:
        return f"{self.sender}/{self.packet_id}"


def is_agency_code(text: str) -> bool:
    """``text`` has the shape DDDDDD-KK-SS of an agency code (domain catalogue, part 2.1)."""
    return _AGENCY.fullmatch(text) is not None


def is_node_code(text: str) -> bool:
    """``text`` is an agency code or ``bridge-<name>``."""
    return _NODE.fullmatch(text) is not None


def is_packet_id(text: str) -> bool:
    """``text`` is a lower-case UUID (RFC 9562)."""
    return _PACKET_ID.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """``text`` is a SHA-256 in lower-case hexadecimal."""
    return _DIGEST.fullmatch(text) is not None


def is_pack_word(text: str) -> bool:
    """``text`` can be the name or the version of a pack."""
    return _PACK_WORD.fullmatch(text) is not None


def is_file_word(text: str) -> bool:
    """``text`` can stand in a path as one component: no separator, and not hidden or a way upwards."""
    return _FILE_WORD.fullmatch(text) is not None


def packet_id_from(moment: datetime, randomness: bytes) -> str:
    """A time-ordered UUID, version 7 (RFC 9562 section 5.7).

    ``moment`` is aware; ``randomness`` is 10 random bytes from the caller's random port.
    """
    if len(randomness) != 10:
        raise FormatError("a packet id needs 10 random bytes", found=str(len(randomness)))
    milliseconds = int(moment.timestamp() * 1000)
    raw = bytearray(milliseconds.to_bytes(6, "big") + randomness)
    raw[6] = 0x70 | (raw[6] & 0x0F)
    raw[8] = 0x80 | (raw[8] & 0x3F)
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sha256_hex(data: bytes) -> str:
    """SHA-256 of ``data`` in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def content_digest(packet_xml_digest: str, parts: Iterable[tuple[bytes, int, str]]) -> str:
    """The content digest of C11: over packet.xml's digest and each part's name, size, digest.

    ``parts`` are in order. Names are the original bytes, written with their length so that no two
    listings read alike. The signature, the id and the attempt do not enter.
    """
    listing = hashlib.sha256(b"exchanged-content-1\n")
    listing.update(f"packet.xml {packet_xml_digest}\n".encode())
    for name, size, digest in parts:
        listing.update(f"part {len(name)} ".encode() + name + f" {size} {digest}\n".encode())
    return listing.hexdigest()
