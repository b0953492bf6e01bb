from __future__ import annotations

import tarfile
from io import BytesIO

import pytest

from packet_spec.errors import LayoutError
from packet_spec.ustar import BLOCK, END, SIZE_LIMIT, decode_header, encode_header, member_size, padding


def test_headers_read_back():
    for name, size in [("seal.xml", 0), ("part/0001", 1), ("a" * 100, SIZE_LIMIT - 1)]:
        block = encode_header(name, size)
        assert len(block) == BLOCK
        assert decode_header(block) == (name, size)


def test_any_tar_reads_them():
    data = encode_header("part/0001", 3) + b"abc" + bytes(padding(3)) + END
    with tarfile.open(fileobj=BytesIO(data)) as archive:
        (member,) = archive.getmembers()
    facts = (member.name, member.size, member.mode, member.uid, member.gid, member.mtime, member.type)
    assert facts == ("part/0001", 3, 0o644, 0, 0, 0, tarfile.REGTYPE)
    assert member_size(3) == 1024


@pytest.mark.parametrize("name", ["", "a" * 101, "/etc", "名", "a\0b", "a b", "a\n"])
def test_names_that_are_not_carried(name):
    with pytest.raises(LayoutError):
        encode_header(name, 1)


@pytest.mark.parametrize("size", [-1, SIZE_LIMIT])
def test_sizes_that_are_not_carried(size):
    with pytest.raises(LayoutError):
        encode_header("a", size)


@pytest.mark.parametrize("bits", [0x55, 0x80])
def test_every_other_byte_is_refused(bits):
    block = encode_header("part/0001", 77)
    for position in range(BLOCK):
        changed = bytearray(block)
        changed[position] ^= bits
        with pytest.raises(LayoutError):
            decode_header(bytes(changed))
    for wrong in (b"", block[:-1], block + b"\0", bytes(BLOCK)):
        with pytest.raises(LayoutError):
            decode_header(wrong)


def test_a_foreign_tar_is_refused():
    target = BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        member = tarfile.TarInfo("seal.xml")
        member.mtime = 1
        archive.addfile(member)
    with pytest.raises(LayoutError):
        decode_header(target.getvalue()[:BLOCK])
