"""One batch as bytes: composed for a link, and read back from the spool (custody C4).

A batch is a strict tar: ``waybill``, ``waybill.sig``, then the items as ``0001.packet``,
``0002.receipt`` ... in the order of the waybill. Composing streams ranges of the spool; the same
committed rows give the same bytes, so that a re-send is the same file. Reading verifies the
signature before anything is parsed and every item's digest before anything is believed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.ranges import RangeReader, SpoolRange
from exchanged.spool import Spool
from packet_spec.errors import DigestMismatchError, LayoutError
from packet_spec.limits import WAYBILL_BYTES
from packet_spec.signing import KeyLookup
from packet_spec.ustar import BLOCK, END, decode_header, encode_header, member_size, padding
from packet_spec.waybill import open_waybill
from packet_spec.waybill_model import Waybill, WaybillItem

_SIGNATURE_BYTES: Final = 1024

Content = bytes | SpoolRange


def batch_size(waybill_size: int, signature_size: int, item_sizes: Sequence[int]) -> int:
    """How many bytes a batch of these members takes."""
    return sum(member_size(size) for size in (waybill_size, signature_size, *item_sizes)) + len(END)


class BatchSource:
    """The bytes of a batch, readable again and from any offset (a ``transport.Source``)."""

    def __init__(
        self,
        spool: Spool,
        waybill_bytes: bytes,
        signature: bytes,
        items: Sequence[WaybillItem],
        contents: Sequence[Content],
    ) -> None:
        self._spool = spool
        self._segments: list[Content] = []
        self._add("waybill", waybill_bytes)
        self._add("waybill.sig", signature)
        for position, (item, content) in enumerate(zip(items, contents, strict=True), start=1):
            self._add(f"{position:04d}.{item.kind.value}", content)
        self._segments.append(END)
        # Asked with every block, and a batch has thousands of segments.
        self._size = sum(_length(segment) for segment in self._segments)

    @property
    def size(self) -> int:
        """The batch's size in bytes."""
        return self._size

    def blocks(self, offset: int = 0) -> Iterator[bytes]:
        """The bytes from ``offset`` on."""
        for segment in self._segments:
            length = _length(segment)
            if offset >= length:
                offset -= length
                continue
            if isinstance(segment, bytes):
                yield segment[offset:]
            else:
                with self._spool.open_range(segment) as reader:
                    reader.skip(offset)
                    yield from reader.blocks()
            offset = 0

    def _add(self, name: str, content: Content) -> None:
        length = _length(content)
        self._segments.append(encode_header(name, length))
        self._segments.append(content)
        if padding(length):
            self._segments.append(bytes(padding(length)))


def _length(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.length


@dataclass(frozen=True, slots=True)
class LandedItem:
    """One item of a landed batch: what the waybill says of it, and where its bytes begin."""

    item: WaybillItem
    start: int


@dataclass(frozen=True, slots=True)
class LandedBatch:
    """A verified batch in the spool. ``digest`` is that of its waybill, which no other batch bears."""

    waybill: Waybill
    items: tuple[LandedItem, ...]
    digest: str


def read_batch(path: Path, size: int, lookup: KeyLookup) -> LandedBatch:
    """Verify the batch file ``path`` of ``size`` bytes.

    Raises VersionError (answer ``held``), UnknownKeyError (hold, do not answer), SignatureError or a
    FormatError leaf (answer ``bad``).
    """
    with RangeReader(path, 0, size) as reader:
        waybill_bytes, _ = _member(reader, "waybill", WAYBILL_BYTES, 0)
        signature, position = _member(
            reader, "waybill.sig", _SIGNATURE_BYTES, member_size(len(waybill_bytes))
        )
        waybill = open_waybill(waybill_bytes, signature, lookup)
        landed: list[LandedItem] = []
        for number, item in enumerate(waybill.items, start=1):
            _header(reader, f"{number:04d}.{item.kind.value}", item.size)
            landed.append(LandedItem(item, position + BLOCK))
            _verify(reader, item)
            _zeros(reader, padding(item.size))
            position += member_size(item.size)
        _zeros(reader, len(END))
        if reader.read(1):
            raise LayoutError("bytes follow the end of the batch")
    return LandedBatch(waybill, tuple(landed), hashlib.sha256(waybill_bytes).hexdigest())


def _member(reader: RangeReader, name: str, limit: int, position: int) -> tuple[bytes, int]:
    """The bytes of a member at ``position``, and the position after it."""
    found, size = decode_header(reader.read(BLOCK))
    if found != name or size > limit:
        raise LayoutError("a member of the batch stands in the wrong place or is too large", expected=name)
    data = reader.read(size)
    if len(data) != size:
        raise LayoutError("the batch ends early")
    _zeros(reader, padding(size))
    return data, position + member_size(size)


def _header(reader: RangeReader, name: str, size: int) -> None:
    if decode_header(reader.read(BLOCK)) != (name, size):
        raise LayoutError("a member of the batch is not what the waybill lists", expected=name)


def _verify(reader: RangeReader, item: WaybillItem) -> None:
    hasher, left = hashlib.sha256(), item.size
    while left:
        block = reader.read(min(left, 1 << 18))
        if not block:
            raise LayoutError("the batch ends early")
        hasher.update(block)
        left -= len(block)
    if hasher.hexdigest() != item.digest:
        raise DigestMismatchError("an item of the batch is not what the waybill lists")


def _zeros(reader: RangeReader, count: int) -> None:
    data = reader.read(count)
    if len(data) != count or any(data):
        raise LayoutError("the padding of the batch is not zero")
