"""MP4 video of any size that decodes and does not compress: H.264 of raw noise macroblocks.

The container is ISO/IEC 14496-12 with an ``avc1`` track (14496-15); every picture is one IDR slice of
I_PCM macroblocks (ITU-T H.264, 7.3.5), whose samples are noise of the seed, 320 by 240 at 25 a second.
So a player shows snow, a compressor gains nothing, and the sample tables are true. ``moov`` stands
before ``mdat``. Blocks go straight to the target: memory does not grow with the size.

Known limits: no sound; the least size is one picture (about 0.11 MiB); at most 2**32 pictures.
"""

from __future__ import annotations

import struct
from datetime import UTC, date, datetime
from typing import Final, Protocol

from cli.documents.context import MARK, DocumentContext, noise

_COLUMNS: Final = 20
_ROWS: Final = 15
_MACROBLOCKS: Final = _COLUMNS * _ROWS
_PICTURES_PER_SECOND: Final = 25
# 16 x 16 luma and two 8 x 8 chroma samples, one byte each.
_PCM_BYTES: Final = 384
# mb_type 25 (I_PCM) as ue(v) is 0000 11010, then zero bits up to the byte: 0D 00.
_MACROBLOCK_HEAD: Final = b"\x0d\x00"
# The stop bit that ends a slice (7.3.2.11).
_STOP: Final = b"\x80"
_MACROBLOCK_BYTES: Final = _PCM_BYTES + len(_MACROBLOCK_HEAD)
# Samples are never zero: then no two zero bytes meet and no emulation prevention is needed (7.4.1).
_NO_ZERO: Final = bytes((1, *range(1, 256)))
_PROFILE_BASELINE: Final = 66
# Level 4.1 allows 50 Mbit/s; these pictures need 23.
_LEVEL: Final = 41
_EPOCH: Final = datetime(1904, 1, 1, tzinfo=UTC)
_LARGEST_32: Final = (1 << 32) - 1


class Target(Protocol):
    """Where blocks go, in order."""

    def write(self, data: bytes, /) -> object:
        """Take one block."""


def write_mp4(target: Target, context: DocumentContext, size_bytes: int) -> int:
    """Write a video of at least ``size_bytes`` bytes, one block a picture; its exact size.

    Whatever ``target`` raises passes.
    """
    pictures = _pictures_for(size_bytes, len(_head(context, 1)))
    head = _head(context, pictures)
    target.write(head)
    for index in range(pictures):
        target.write(_sample(context.seed, index))
    return len(head) + pictures * _sample_bytes()


def _pictures_for(size_bytes: int, head_bytes: int) -> int:
    return max(1, -(-(size_bytes - head_bytes) // _sample_bytes()))


def _sample(seed: str, index: int) -> bytes:
    """One picture with its length in front, as 14496-15 stores it."""
    body = bytearray(noise(seed, index, _MACROBLOCKS * _MACROBLOCK_BYTES).translate(_NO_ZERO))
    body[0::_MACROBLOCK_BYTES] = _MACROBLOCK_HEAD[0:1] * _MACROBLOCKS
    body[1::_MACROBLOCK_BYTES] = _MACROBLOCK_HEAD[1:2] * _MACROBLOCKS
    # The first macroblock's type shares a byte with the slice header and stands in the prefix.
    body[: len(_MACROBLOCK_HEAD)] = _slice_prefix(index)
    body += _STOP
    return struct.pack(">I", len(body)) + body


def _sample_bytes() -> int:
    head = len(_slice_prefix(0)) - len(_MACROBLOCK_HEAD)
    return 4 + head + _MACROBLOCKS * _MACROBLOCK_BYTES + len(_STOP)


class _Bits:
    """A bit string of H.264 syntax elements."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, value: int, width: int) -> None:
        """u(width)."""
        self.text += f"{value:0{width}b}"

    def unsigned(self, value: int) -> None:
        """ue(v), Exp-Golomb (9.1)."""
        code = f"{value + 1:b}"
        self.text += "0" * (len(code) - 1) + code

    def aligned(self) -> bytes:
        """The bytes, filled up with zero bits."""
        text = self.text + "0" * (-len(self.text) % 8)
        return int(text, 2).to_bytes(len(text) // 8, "big")

    def finished(self) -> bytes:
        """The bytes with the stop bit of a parameter set (7.3.2.11)."""
        self.text += "1"
        return self.aligned()


def _slice_prefix(index: int) -> bytes:
    """NAL header, slice header (7.3.3) and the first macroblock's type, aligned."""
    bits = _Bits()
    bits.unsigned(0)  # first_mb_in_slice
    bits.unsigned(7)  # slice_type: all slices of the picture are I
    bits.unsigned(0)  # pic_parameter_set_id
    bits.fixed(0, 4)  # frame_num, 0 in an IDR picture
    bits.unsigned(index % 2)  # idr_pic_id: neighbours must differ
    bits.fixed(0, 1)  # no_output_of_prior_pics_flag
    bits.fixed(0, 1)  # long_term_reference_flag
    bits.unsigned(0)  # slice_qp_delta
    bits.unsigned(1)  # disable_deblocking_filter_idc: the noise stays as it is
    bits.unsigned(25)  # mb_type I_PCM
    # NAL header: nal_ref_idc 3, type 5 (IDR). idr_pic_id 1 is two bits longer than 0, and both fill
    # four bytes: all samples have one size, which the sample table relies on.
    return b"\x65" + bits.aligned()


def _sequence_parameters() -> bytes:
    bits = _Bits()
    bits.fixed(_PROFILE_BASELINE, 8)
    bits.fixed(0b11000000, 8)  # constrained baseline
    bits.fixed(_LEVEL, 8)
    bits.unsigned(0)  # seq_parameter_set_id
    bits.unsigned(0)  # log2_max_frame_num_minus4
    bits.unsigned(2)  # pic_order_cnt_type: output order is decoding order
    bits.unsigned(0)  # max_num_ref_frames
    bits.fixed(0, 1)  # gaps_in_frame_num_value_allowed_flag
    bits.unsigned(_COLUMNS - 1)
    bits.unsigned(_ROWS - 1)
    bits.fixed(0b11, 2)  # frame_mbs_only_flag, direct_8x8_inference_flag
    bits.fixed(0, 2)  # no cropping, no VUI
    return b"\x67" + bits.finished()


def _picture_parameters() -> bytes:
    bits = _Bits()
    bits.unsigned(0)  # pic_parameter_set_id
    bits.unsigned(0)  # seq_parameter_set_id
    bits.fixed(0, 2)  # CAVLC, no bottom field order
    bits.unsigned(0)  # one slice group
    bits.unsigned(0)  # num_ref_idx_l0_default_active_minus1
    bits.unsigned(0)  # num_ref_idx_l1_default_active_minus1
    bits.fixed(0, 3)  # no weighted prediction
    bits.unsigned(0)  # pic_init_qp_minus26
    bits.unsigned(0)  # pic_init_qs_minus26
    bits.unsigned(0)  # chroma_qp_index_offset
    bits.fixed(0b100, 3)  # deblocking_filter_control_present_flag only
    return b"\x68" + bits.finished()


def _box(kind: bytes, *parts: bytes) -> bytes:
    payload = b"".join(parts)
    return struct.pack(">I", len(payload) + 8) + kind + payload


def _full_box(kind: bytes, flags: int, *parts: bytes) -> bytes:
    return _box(kind, struct.pack(">I", flags), *parts)


def _head(context: DocumentContext, pictures: int) -> bytes:
    """Everything before the first sample: ftyp, moov, and the header of mdat."""
    file_type = _box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2avc1mp41")
    data_bytes = pictures * _sample_bytes()
    if data_bytes + 8 <= _LARGEST_32:
        data_head = struct.pack(">I4s", data_bytes + 8, b"mdat")
    else:
        data_head = struct.pack(">I4sQ", 1, b"mdat", data_bytes + 16)
    # The chunk offset inside moov has a fixed width, so a first pass with offset 0 gives the length.
    length = len(file_type) + len(_movie(context, pictures, 0)) + len(data_head)
    return file_type + _movie(context, pictures, length) + data_head


def _movie(context: DocumentContext, pictures: int, offset: int) -> bytes:
    created = _seconds_since_1904(context.issued_on)
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    width, height = _COLUMNS * 16, _ROWS * 16
    movie_header = _full_box(
        b"mvhd",
        0,
        struct.pack(">IIII", created, created, _PICTURES_PER_SECOND, pictures),
        struct.pack(">IHHII", 0x10000, 0x0100, 0, 0, 0),
        matrix,
        bytes(24),
        struct.pack(">I", 2),
    )
    track_header = _full_box(
        b"tkhd",
        3,
        struct.pack(">IIIII", created, created, 1, 0, pictures),
        bytes(16),
        matrix,
        struct.pack(">II", width << 16, height << 16),
    )
    media_header = _full_box(
        b"mdhd", 0, struct.pack(">IIII", created, created, _PICTURES_PER_SECOND, pictures), b"\x55\xc4\0\0"
    )
    handler = _full_box(b"hdlr", 0, bytes(4), b"vide", bytes(12), f"{MARK}\0".encode())
    reference = _box(b"dinf", _full_box(b"dref", 0, struct.pack(">I", 1), _full_box(b"url ", 1)))
    table = _sample_table(pictures, offset, width, height)
    information = _box(b"minf", _full_box(b"vmhd", 1, bytes(8)), reference, table)
    track = _box(b"trak", track_header, _box(b"mdia", media_header, handler, information))
    return _box(b"moov", movie_header, track, _user_data(context))


def _sample_table(pictures: int, offset: int, width: int, height: int) -> bytes:
    sequence, picture = _sequence_parameters(), _picture_parameters()
    configuration = _box(
        b"avcC",
        bytes((1, *sequence[1:4], 0xFF, 0xE1)),
        struct.pack(">H", len(sequence)) + sequence,
        b"\x01" + struct.pack(">H", len(picture)) + picture,
    )
    entry = _box(
        b"avc1",
        struct.pack(">6xH16xHHIIIH", 1, width, height, 0x480000, 0x480000, 0, 1),
        bytes(32),
        struct.pack(">Hh", 24, -1),
        configuration,
    )
    return _box(
        b"stbl",
        _full_box(b"stsd", 0, struct.pack(">I", 1), entry),
        _full_box(b"stts", 0, struct.pack(">III", 1, pictures, 1)),
        # All samples in one chunk; every one is a sync sample, so no stss is needed.
        _full_box(b"stsc", 0, struct.pack(">IIII", 1, 1, pictures, 1)),
        _full_box(b"stsz", 0, struct.pack(">II", _sample_bytes(), pictures)),
        _full_box(b"stco", 0, struct.pack(">II", 1, offset)),
    )


def _user_data(context: DocumentContext) -> bytes:
    """Title and mark as iTunes-style metadata, which players show."""
    text = f"{MARK} {context.title} {context.number}".encode()
    value = _box(b"\xa9nam", _box(b"data", struct.pack(">II", 1, 0), text))
    handler = _full_box(b"hdlr", 0, bytes(4), b"mdirappl", bytes(9))
    return _box(b"udta", _full_box(b"meta", 0, handler, _box(b"ilst", value)))


def _seconds_since_1904(day: date) -> int:
    return int((datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH).total_seconds())
