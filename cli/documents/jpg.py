"""JPEG photographs that were never taken: a baseline grey picture of coarse blocks with the word FICTIONAL.

Baseline sequential DCT (ITU-T T.81), one component, only the DC coefficient of each block, the
luminance DC table of annex K.3. Known limit: it looks like the mosaic that it is.
"""

from __future__ import annotations

import struct
from typing import Final

from cli.documents.context import MARK, DocumentContext, noise

# Blocks of 8 by 8 pixels: a picture of 640 by 480.
_COLUMNS: Final = 80
_ROWS: Final = 60
# Annex K, table K.3: how many codes of each length 1 to 16, and their categories in order.
_DC_LENGTHS: Final = bytes((0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0))
_DC_CATEGORIES: Final = bytes(range(12))
# One AC code is enough: 0x00, end of block, as the one-bit code 0.
_AC_LENGTHS: Final = bytes((1, *(0 for _ in range(15))))
_END_OF_BLOCK: Final = (0, 1)
# A quantiser of 8 makes one DC step one grey level: DC = 8 x mean (A.3.3).
_QUANTISER: Final = bytes([8] * 64)
_LETTERS: Final = {
    "F": ("11111", "10000", "11110", "10000", "10000", "10000", "10000"),
    "I": ("01110", "00100", "00100", "00100", "00100", "00100", "01110"),
    "C": ("01111", "10000", "10000", "10000", "10000", "10000", "01111"),
    "T": ("11111", "00100", "00100", "00100", "00100", "00100", "00100"),
    "O": ("01110", "10001", "10001", "10001", "10001", "10001", "01110"),
    "N": ("10001", "11001", "10101", "10101", "10011", "10001", "10001"),
    "A": ("01110", "10001", "10001", "11111", "10001", "10001", "10001"),
    "L": ("10000", "10000", "10000", "10000", "10000", "10000", "11111"),
}
_WORD: Final = "FICTIONAL"
_BLACK: Final = 8


def render_jpg(context: DocumentContext) -> bytes:
    """The picture of ``context``; its comment segment holds the mark, title and number in UTF-8."""
    comment = f"{MARK} {context.title} {context.number}".encode()
    frame = struct.pack(">BHHBBBB", 8, _ROWS * 8, _COLUMNS * 8, 1, 1, 0x11, 0)
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\x01\x02\0\0\x01\0\x01\0\0"),
            _segment(0xFE, comment),
            _segment(0xDB, b"\0" + _QUANTISER),
            _segment(0xC0, frame),
            _segment(0xC4, b"\0" + _DC_LENGTHS + _DC_CATEGORIES),
            _segment(0xC4, b"\x10" + _AC_LENGTHS + b"\0"),
            _segment(0xDA, b"\x01\x01\0\0\x3f\0"),
            _entropy_coded(_mosaic(context.seed)),
            b"\xff\xd9",
        )
    )


def _mosaic(seed: str) -> list[int]:
    """A grey level for each block: a light gradient with grain, and the word across the middle."""
    grain = noise(seed, 0, _COLUMNS * _ROWS)
    levels = [
        min(250, 130 + row + grain[row * _COLUMNS + column] // 4)
        for row in range(_ROWS)
        for column in range(_COLUMNS)
    ]
    left = (_COLUMNS - 6 * len(_WORD)) // 2
    top = (_ROWS - 7) // 2
    for position, letter in enumerate(_WORD):
        for row, bits in enumerate(_LETTERS[letter]):
            for column, bit in enumerate(bits):
                if bit == "1":
                    levels[(top + row) * _COLUMNS + left + 6 * position + column] = _BLACK
    return levels


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def _dc_codes() -> list[tuple[int, int]]:
    """Code and length of each category, built as in annex C.2."""
    codes: list[tuple[int, int]] = []
    code = 0
    for length, count in enumerate(_DC_LENGTHS, 1):
        for _ in range(count):
            codes.append((code, length))
            code += 1
        code <<= 1
    return codes


def _entropy_coded(levels: list[int]) -> bytes:
    codes = _dc_codes()
    bits: list[str] = []
    previous = 0
    for level in levels:
        value = level - 128
        difference = value - previous
        previous = value
        category = abs(difference).bit_length()
        code, length = codes[category]
        bits.append(f"{code:0{length}b}")
        if category:
            # A negative difference is written as its value minus one, low bits only (F.1.2.1).
            raw = difference if difference > 0 else difference + (1 << category) - 1
            bits.append(f"{raw:0{category}b}")
        bits.append(f"{_END_OF_BLOCK[0]:0{_END_OF_BLOCK[1]}b}")
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    data = int(stream, 2).to_bytes(len(stream) // 8, "big")
    # A data byte FF is followed by 00, so that it is no marker (F.1.2.3).
    return data.replace(b"\xff", b"\xff\0")
