"""MP4 and Matroska: boxes and elements that add up to the file, without reading what they carry.

Guarantees: work grows with the number of boxes, not with the size. MP4 (ISO/IEC 14496-12): ``ftyp`` first,
``moov`` with its header and a track, and ``mdat``; boxes fill the file exactly, and so do those in ``moov``.
Matroska (RFC 9559): an EBML header of a known document type, a segment that ends with the file, and at
least one cluster.

Known limits: pictures are not decoded. A live recording that never wrote the size of its clusters cannot be
told from a torn one, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packet_spec.documents.values import Content, FaultError, Source
from packet_spec.limits import VIDEO_BOXES
from packet_spec.names import escape_for_display

_KIND: Final = re.compile(rb"[\x20-\x7e\xa9]{4}")
_EBML, _SEGMENT, _VOID, _CLUSTER, _DOC_TYPE = 0x1A45DFA3, 0x18538067, 0xEC, 0x1F43B675, 0x4282
_DOC_TYPES: Final = frozenset({b"matroska", b"webm"})
# A header of an EBML file is some 40 bytes.
_EBML_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class _Element:
    """An EBML element: where its content starts and ends. ``end`` is None for an unknown size."""

    kind: int
    start: int
    end: int | None


def check_mp4(source: Source) -> Content:
    """Raises FaultError."""
    top = _require_boxes(source, 0, source.size, (b"ftyp", b"moov", b"mdat"))
    _require_boxes(source, *top[b"moov"], (b"mvhd", b"trak"))
    return Content()


def _require_boxes(
    source: Source, start: int, end: int, wanted: tuple[bytes, ...]
) -> dict[bytes, tuple[int, int]]:
    """Where the content of each kind of box in that range lies, of several the last. Raises FaultError."""
    found = {kind: (inside, ending) for kind, inside, ending in _boxes(source, start, end)}
    for kind in wanted:
        if kind not in found:
            raise FaultError("document-unreadable", expected=kind.decode(), found="no such box")
    return found


def _boxes(source: Source, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """The boxes from ``start`` to ``end``, which they fill exactly: kind, start and end of the content."""
    position = start
    for _ in range(VIDEO_BOXES):
        if position == end:
            return
        head = source.read_at(position, min(16, end - position))
        size, kind = int.from_bytes(head[:4], "big"), head[4:8]
        header = 8
        if size == 1:
            size, header = int.from_bytes(head[8:16], "big"), 16
        elif size == 0 and end == source.size:
            # To the end of the file: what a recorder writes that does not know its size yet.
            size = end - position
        if _KIND.fullmatch(kind) is None or len(head) < header or size < header:
            raise FaultError("document-unreadable", expected="box", found=escape_for_display(kind))
        if position + size > end:
            missing = position + size - end
            raise FaultError("document-unreadable", expected=kind.decode(), found=f"{missing} bytes missing")
        yield kind, position + header, position + size
        position += size
    raise FaultError("document-too-large", expected=f"{VIDEO_BOXES} boxes", found=f"> {VIDEO_BOXES}")


def check_mkv(source: Source) -> Content:
    """Raises FaultError."""
    top = list(_elements(source, 0, source.size))
    if not top or top[0].kind != _EBML or top[0].end is None or top[0].end - top[0].start > _EBML_BYTES:
        raise FaultError("document-unreadable", expected="EBML", found="no header")
    header = top[0]
    kinds = [
        source.read_at(element.start, (element.end or element.start) - element.start).rstrip(b"\0")
        for element in _elements(source, header.start, header.end or header.start)
        if element.kind == _DOC_TYPE
    ]
    if len(kinds) != 1 or kinds[0] not in _DOC_TYPES:
        raise FaultError("document-unreadable", expected="matroska", found="another document type")
    if len(top) < 2 or top[1].kind != _SEGMENT or any(each.kind not in (_SEGMENT, _VOID) for each in top[2:]):
        raise FaultError("document-unreadable", expected="Segment", found="no segment")
    segment = top[1]
    inside = _elements(source, segment.start, source.size if segment.end is None else segment.end)
    if not any([element.kind == _CLUSTER for element in inside]):  # noqa: C419 - all of them are walked
        raise FaultError("document-unreadable", expected="Cluster", found="no cluster")
    return Content()


def _elements(source: Source, start: int, end: int) -> Iterator[_Element]:
    """The EBML elements from ``start`` to ``end``; they fill that range exactly."""
    position = start
    for _ in range(VIDEO_BOXES):
        if position == end:
            return
        head = source.read_at(position, min(12, end - position))
        kind, kind_bytes = _number(head, 4, keep_marker=True)
        size, size_bytes = _number(head[kind_bytes:], 8, keep_marker=False)
        content = position + kind_bytes + size_bytes
        if size == (1 << 7 * size_bytes) - 1:
            # Unknown: allowed for the segment, which then ends with the file.
            if kind != _SEGMENT:
                raise FaultError("document-unreadable", expected="EBML", found="an unknown size")
            yield _Element(kind, content, None)
            return
        if content + size > end:
            raise FaultError(
                "document-unreadable", expected="EBML", found=f"{content + size - end} bytes missing"
            )
        yield _Element(kind, content, content + size)
        position = content + size
    raise FaultError("document-too-large", expected=f"{VIDEO_BOXES} elements", found=f"> {VIDEO_BOXES}")


def _number(data: bytes, most: int, *, keep_marker: bool) -> tuple[int, int]:
    """A number of variable length (RFC 8794, section 4), and how many bytes it took."""
    length = 9 - data[0].bit_length() if data and data[0] else 9
    if length > most or length > len(data):
        raise FaultError("document-unreadable", expected="EBML", found="no element")
    value = int.from_bytes(data[:length], "big")
    return value if keep_marker else value & ((1 << 7 * length) - 1), length
