"""The sealed packet: a strict tar of seal.xml, its signature, packet.xml and the inline parts.

Guarantees: writers and readers stream; the same input gives the same bytes; a reader accepts exactly
this layout, verifies the signature before it parses anything, and every digest while bytes pass
(docs/packet-format.md, the seal). There is no way to read a seal without verifying it.

    seal.xml   seal.sig   packet.xml   part/0001 ...     in this order, nothing else, two zero blocks

Leaves to others: blobs, where the bytes come from and go to, and what the seal says about whom.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from packet_spec.errors import DigestMismatchError, LayoutError, SignatureError
from packet_spec.identity import sha256_hex
from packet_spec.limits import KIB, PACKET_XML_BYTES, SEAL_XML_BYTES
from packet_spec.model import Seal, SealPart
from packet_spec.seal_document import blob_parts, decode_seal, encode_seal, inline_parts
from packet_spec.signing import Domain, KeyLookup, decode_signature, find_key, new_hasher, verify
from packet_spec.ustar import BLOCK, END, decode_header, encode_header, member_size, padding

__all__ = [
    "PacketReader",
    "blob_parts",
    "decode_seal",
    "encode_seal",
    "inline_parts",
    "packet_size",
    "part_name",
    "read_seal_members",
    "write_packet",
]

Read: TypeAlias = Callable[[int], bytes]
Write: TypeAlias = Callable[[bytes], object]

# A signature line: suite, key id and at most 256 bytes in hexadecimal.
_SIGNATURE_BYTES: Final = 1 * KIB
_STREAM_BYTES: Final = 256 * KIB


def part_name(index: int) -> str:
    """The member name of the inline part ``index``."""
    return f"part/{index:04d}"


def packet_size(seal: Seal, seal_bytes_size: int, signature_size: int) -> int:
    """How many bytes ``write_packet`` will write."""
    sizes = [seal_bytes_size, signature_size, seal.packet_size, *(part.size for part in inline_parts(seal))]
    return sum(member_size(size) for size in sizes) + len(END)


def write_packet(
    write: Write,
    seal: Seal,
    seal_bytes: bytes,
    signature: bytes,
    packet_xml: bytes,
    parts: Mapping[int, Iterable[bytes]],
) -> int:
    """Stream a sealed packet to ``write``; ``parts`` gives the blocks of each inline part by index.

    Returns the size written. Raises DigestMismatchError when bytes are not those that the seal names, and
    LayoutError when ``parts`` lacks an inline part or holds another; what was written is then worthless.
    """
    inline = inline_parts(seal)
    if set(parts) != {part.index for part in inline}:
        raise LayoutError("the given parts are not the inline parts of the seal")
    written = _write_member(write, "seal.xml", seal_bytes)
    written += _write_member(write, "seal.sig", signature)
    _require_same("packet.xml", seal.packet_size, seal.packet_digest, packet_xml)
    written += _write_member(write, "packet.xml", packet_xml)
    for part in inline:
        name = part_name(part.index)
        write(encode_header(name, part.size))
        for block in _checked(parts[part.index], part):
            write(block)
        write(bytes(padding(part.size)))
        written += member_size(part.size)
    write(END)
    return written + len(END)


def read_seal_members(read: Read) -> tuple[bytes, bytes]:
    """The bytes of seal.xml and seal.sig at the start of a packet, **unverified**.

    Only for callers that must find the key first: nothing may be concluded from them. Raises LayoutError.
    """
    seal_bytes = _read_member(read, "seal.xml", SEAL_XML_BYTES)
    return seal_bytes, _read_member(read, "seal.sig", _SIGNATURE_BYTES)


class PacketReader:
    """Reads one sealed packet from a sequential source, in the order of its members.

    ``open`` first, then ``packet_xml``, then ``parts`` to the end: only then was everything verified.
    ``drain`` does what is left of that. ``read(n)`` gives up to ``n`` bytes and empty bytes at the end.
    """

    def __init__(self, read: Read) -> None:
        self._read = read
        self._packet_xml: bytes | None = None
        self._is_read = False
        self._seal: Seal | None = None
        self.seal_bytes = b""
        self.signature = b""
        self.key_id = ""
        self.seal_digest = ""

    @property
    def seal(self) -> Seal:
        """The verified seal. Raises LayoutError before ``open``."""
        if self._seal is None:
            raise LayoutError("the packet was not opened")
        return self._seal

    def open(self, lookup: KeyLookup) -> Seal:
        """Read and verify the seal.

        Raises UnknownKeyError (hold), SignatureError, VersionError (hold) or a FormatError leaf.
        """
        self.seal_bytes, self.signature = read_seal_members(self._read)
        made = decode_signature(self.signature)
        verify(Domain.SEAL, self.seal_bytes, made, find_key(made, lookup))
        seal = decode_seal(self.seal_bytes)
        if (seal.key_id, seal.suite) != (made.key_id, made.suite):
            raise SignatureError("the seal names another key than the one that signed it")
        self.key_id = made.key_id
        self.seal_digest = sha256_hex(self.seal_bytes)
        self._seal = seal
        return seal

    def packet_xml(self) -> bytes:
        """The bytes of packet.xml, verified. Raises LayoutError or DigestMismatchError."""
        if self._packet_xml is None:
            seal = self.seal
            data = _read_member(self._read, "packet.xml", PACKET_XML_BYTES, exactly=seal.packet_size)
            _require_same("packet.xml", seal.packet_size, seal.packet_digest, data)
            self._packet_xml = data
        return self._packet_xml

    def parts(self) -> Iterator[tuple[SealPart, Iterator[bytes]]]:
        """Each inline part with its blocks; a part's digest is verified as its last block passes.

        Blocks that the caller leaves are read over. Raises LayoutError or DigestMismatchError, also after
        the last part when anything follows the end. May be walked once.
        """
        self.packet_xml()
        if self._is_read:
            raise LayoutError("the parts were read already")
        self._is_read = True
        for part in inline_parts(self.seal):
            _read_header(self._read, part_name(part.index), exactly=part.size)
            blocks = _checked(_stream(self._read, part.size), part)
            yield part, blocks
            for _ in blocks:
                pass
            _read_zeros(self._read, padding(part.size))
        _read_zeros(self._read, len(END))
        if self._read(1):
            raise LayoutError("bytes follow the end of the packet")

    def drain(self) -> None:
        """Read and verify everything that is left. Raises as ``parts``."""
        for _ in self.parts():
            pass


def _write_member(write: Write, name: str, data: bytes) -> int:
    write(encode_header(name, len(data)))
    write(data)
    write(bytes(padding(len(data))))
    return member_size(len(data))


def _checked(blocks: Iterable[bytes], part: SealPart) -> Iterator[bytes]:
    """Pass blocks on; after the last one their size and digest must be the part's."""
    hasher, size = new_hasher(), 0
    for block in blocks:
        size += len(block)
        if size > part.size:
            break
        hasher.update(block)
        yield block
    if size != part.size or hasher.hexdigest() != part.digest:
        raise DigestMismatchError("a part is not what the seal names", where=part_name(part.index))


def _require_same(name: str, size: int, digest: str, data: bytes) -> None:
    if len(data) != size or sha256_hex(data) != digest:
        raise DigestMismatchError("a member is not what the seal names", where=name)


def _read_exactly(read: Read, size: int) -> bytes:
    """``size`` bytes, from as many reads as it takes. Raises LayoutError at an early end."""
    data = read(size)
    if len(data) == size:
        return data
    pieces = [data]
    left = size - len(data)
    while left:
        piece = read(left)
        if not piece:
            raise LayoutError("the packet ends early")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _read_header(read: Read, name: str, *, limit: int | None = None, exactly: int | None = None) -> int:
    found, size = decode_header(_read_exactly(read, BLOCK))
    if found != name:
        raise LayoutError("a member stands in the wrong place", expected=name)
    if limit is not None and size > limit:
        raise LayoutError("a member is too large", where=name, expected=f"at most {limit} bytes")
    if exactly is not None and size != exactly:
        raise DigestMismatchError("a member has not the size that the seal names", where=name)
    return size


def _read_member(read: Read, name: str, limit: int, exactly: int | None = None) -> bytes:
    size = _read_header(read, name, limit=limit, exactly=exactly)
    data = _read_exactly(read, size)
    _read_zeros(read, padding(size))
    return data


def _read_zeros(read: Read, count: int) -> None:
    if any(_read_exactly(read, count)):
        raise LayoutError("the padding is not zero")


def _stream(read: Read, size: int) -> Iterator[bytes]:
    left = size
    while left:
        block = _read_exactly(read, min(left, _STREAM_BYTES))
        left -= len(block)
        yield block
