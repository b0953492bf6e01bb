"""The Merkle tree of RFC 6962, by published values and by every proof of small trees."""

from __future__ import annotations

import hashlib

import pytest

from packet_spec.merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The entries and roots by which implementations of Certificate Transparency test themselves
# (google/certificate-transparency, test vectors of merkletree).
_ENTRIES = (
    b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57", bytes(range(0x60, 0x70)),
)  # fmt: skip
_ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
_LEAVES = [leaf_hash(entry) for entry in _ENTRIES]
_MANY = [leaf_hash(bytes([number])) for number in range(40)]


def test_the_roots_are_the_published_ones() -> None:
    assert hashlib.sha256(b"").digest() == root_of([]) == EMPTY_ROOT
    assert [root_of(_LEAVES[:size]).hex() for size in range(1, 9)] == list(_ROOTS)


def test_the_proofs_are_the_published_ones() -> None:
    h = node_hash
    # Audit path of the first leaf of eight, and the consistency of three with seven (RFC 6962, 2.1.3).
    d, e = _LEAVES, node_hash(_LEAVES[4], _LEAVES[5])
    assert inclusion_path(d[:7], 0) == (d[1], h(d[2], d[3]), h(e, d[6]))
    assert inclusion_path(d[:7], 6) == (e, h(h(d[0], d[1]), h(d[2], d[3])))
    assert consistency_path(d[:7], 3) == (d[2], d[3], h(d[0], d[1]), h(e, d[6]))
    assert consistency_path(d[:7], 4) == (h(e, d[6]),)


def test_every_inclusion_proof_is_valid_for_its_own_leaf_place_and_size_alone() -> None:
    for size in range(1, 20):
        leaves, root = _MANY[:size], root_of(_MANY[:size])
        for index in range(size):
            path = inclusion_path(leaves, index)
            valid = {
                (leaf, place, of)
                for leaf in range(size)
                for place in range(size + 1)
                for of in (size - 1, size, size + 1)
                if verify_inclusion(leaves[leaf], place, of, path, root)
            }
            assert (index, index, size) in valid
            # A place and a size that stand for the same way up are one proof; a leaf is never another.
            assert {leaf for leaf, _, _ in valid} == {index}
            assert not verify_inclusion(leaves[index], index, size, (*path, root), root)
            assert not verify_inclusion(leaves[index], index, size, path[1:], root) or not path


def test_every_consistency_proof_is_valid_and_no_rewritten_tree_is() -> None:
    for new in range(20):
        root = root_of(_MANY[:new])
        for old in range(new + 1):
            path = consistency_path(_MANY[:new], old)
            before = root_of(_MANY[:old])
            assert verify_consistency(old, before, new, root, path)
            for changed in range(old):
                rewritten = [*_MANY[:changed], leaf_hash(b"another"), *_MANY[changed + 1 : new]]
                forged = consistency_path(rewritten, old)
                assert not verify_consistency(old, before, new, root_of(rewritten), forged)
            if 0 < old < new:
                assert not verify_consistency(old, before, new, root, path[:-1])
                assert not verify_consistency(old, before, new, root, (*path, root))


@pytest.mark.parametrize("size", [-1, 41])
def test_there_is_no_proof_from_outside_the_tree(size: int) -> None:
    with pytest.raises(IndexError):
        consistency_path(_MANY, size)
    with pytest.raises(IndexError):
        inclusion_path(_MANY, size)
    assert not verify_consistency(size, _MANY[0], 40, root_of(_MANY), ())


def test_hashes_of_another_length_prove_nothing() -> None:
    assert not verify_inclusion(b"short", 0, 1, (), b"short")
    assert not verify_consistency(1, b"short", 1, b"short", ())
