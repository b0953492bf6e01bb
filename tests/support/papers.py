"""Small documents that are what they say, made in microseconds: what tests attach to packets. Fictional."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping


def pdf(text: str = "fictional", *, size: int = 0, pages: int = 1) -> bytes:
    """A PDF that holds ``text`` in a comment, of exactly ``size`` bytes where that is more than it needs."""
    bare = _pdf(text.encode(), pages)
    padding = size - len(bare)
    if padding <= 0:
        return bare
    # Offsets and lengths may take more digits than before: the last bytes are fitted.
    for fewer in range(64):
        data = _pdf(text.encode() + b"." * (padding - fewer), pages)
        if len(data) == size:
            return data
    raise AssertionError("no PDF of this size")


def _pdf(comment: bytes, pages: int) -> bytes:
    kids = " ".join(f"{number} 0 R" for number in range(4, 4 + pages))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {pages}/Kids[{kids}]>>".encode(),
        b"<</Length %d>>stream\n%s\nendstream" % (len(comment), comment),
        *[b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 3 0 R>>"] * pages,
    ]
    out = bytearray(b"%PDF-1.4\n")
    places: list[int] = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def package(files: Mapping[str, bytes] | None = None, *, size: int = 0) -> bytes:
    """A zip of ``files`` (one PDF by default), of at least ``size`` bytes, the same for the same values."""
    held = {"volumes/evidence/001-EVD-001.pdf": pdf("fictional evidence")} if files is None else dict(files)
    if size:
        held["volumes/evidence/002-EVD-002.pdf"] = pdf("fictional scan", size=size)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in held.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 7, 15, 9, 30, 0)), data)
    return target.getvalue()


def mp4(size: int = 0, seed: bytes = b"fictional") -> bytes:
    """A video container of at least ``size`` bytes whose pictures nobody could show."""
    movie = _box(b"moov", _box(b"mvhd", bytes(100)) + _box(b"trak", bytes(84)))
    head = _box(b"ftyp", b"isom\0\0\2\0isomiso2mp41") + movie
    samples = (seed * (max(size - len(head) - 8, 0) // len(seed) + 1))[: max(size - len(head) - 8, len(seed))]
    return head + _box(b"mdat", samples)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def jpg(width: int = 16, height: int = 16) -> bytes:
    """A picture of one colour."""
    from PIL import Image  # noqa: PLC0415 - most tests need no picture

    target = io.BytesIO()
    Image.new("L", (width, height), 128).save(target, "JPEG")
    return target.getvalue()


def tif(pages: int = 1, size: tuple[int, int] = (16, 16), **options: object) -> bytes:
    """A picture file of several pages."""
    from PIL import Image  # noqa: PLC0415 - likewise

    target = io.BytesIO()
    images = [Image.new("1", size, 1) for _ in range(pages)]
    images[0].save(target, "TIFF", save_all=True, append_images=images[1:], **options)
    return target.getvalue()


def index(*entries: Mapping[str, object]) -> bytes:
    """An index of a dossier with these attributes of its entries; what is left out is made up."""
    usual = {"documentType": "EVD-001", "title": "虚构材料", "pages": 1}
    lines = ""
    for number, given in enumerate(entries, start=1):
        values = {"number": number} | usual | given
        written = [f'{key}="{value}"' for key, value in values.items() if value is not None]
        lines += f"<entry {' '.join(written)}/>"
    return f'<index xmlns="urn:exchanged:dossier-index:1" formatVersion="1">{lines}</index>'.encode()
