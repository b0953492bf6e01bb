"""The Merkle tree of RFC 6962, section 2.1: roots, inclusion and consistency.

Guarantees: hashes are those of the RFC (SHA-256; a leaf is hashed behind 0x00, a pair behind 0x01), so that
any verifier of Certificate Transparency logs agrees. Proofs are checked by the algorithms of RFC 9162,
sections 2.1.3.2 and 2.1.4.2, in time logarithmic in the size of the tree. Hashes are raw, 32 bytes.

Leaves to others: what a leaf says and who signs a root, and how a large tree is
kept: the functions that build proofs here read every leaf.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of one entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def split_of(size: int) -> int:
    """How many leaves stand to the left in a tree of ``size`` leaves: the largest power of two below it.

    ``size`` is at least 2.
    """
    return 1 << ((size - 1).bit_length() - 1)


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes."""
    if not leaves:
        return EMPTY_ROOT
    level = list(leaves)
    while len(level) > 1:
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        # An odd one goes up unchanged: the same tree as splitting at the largest power of two.
        level = paired + level[len(paired) * 2 :]
    return level[0]


def inclusion_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path of the leaf at ``index``, from the leaf upwards. Raises IndexError outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return ()
    left = split_of(len(leaves))
    if index < left:
        return (*inclusion_path(leaves[:left], index), root_of(leaves[left:]))
    return (*inclusion_path(leaves[left:], index - left), root_of(leaves[:left]))


def consistency_path(leaves: Sequence[bytes], old_size: int) -> tuple[bytes, ...]:
    """The proof that the first ``old_size`` leaves are a beginning of ``leaves``.

    Empty for equal sizes and for an old size of 0. Raises IndexError when the old tree was larger.
    """
    if not 0 <= old_size <= len(leaves):
        raise IndexError(old_size)
    if old_size in (0, len(leaves)):
        return ()
    return _subproof(leaves, old_size, is_whole=True)


def _subproof(leaves: Sequence[bytes], old_size: int, *, is_whole: bool) -> tuple[bytes, ...]:
    """RFC 6962, section 2.1.2. ``is_whole``: the old root is known to the verifier and left out."""
    if old_size == len(leaves):
        return () if is_whole else (root_of(leaves),)
    left = split_of(len(leaves))
    if old_size <= left:
        return (*_subproof(leaves[:left], old_size, is_whole=is_whole), root_of(leaves[left:]))
    return (*_subproof(leaves[left:], old_size - left, is_whole=False), root_of(leaves[:left]))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether ``path`` leads from ``leaf`` at ``index`` to ``root``, in a tree of ``size`` leaves."""
    if not 0 <= index < size or not _are_hashes((leaf, root, *path)):
        return False
    sides = _are_left(index, size - 1, len(path))
    if sides is None:
        return False
    value = leaf
    for step, is_left in zip(path, sides, strict=True):
        value = node_hash(step, value) if is_left else node_hash(value, step)
    return value == root


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]
) -> bool:
    """Whether ``path`` shows that the tree with ``old_root`` is a beginning of the one with ``new_root``.

    Every tree begins with the empty one. Trees of one size must have one root. Then the path is empty.
    """
    if not 0 <= old_size <= new_size or not _are_hashes((old_root, new_root, *path)):
        return False
    if old_size == new_size:
        return not path and old_root == new_root
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    # An old tree that is a complete one is itself the first hash, which the proof leaves out.
    steps = list(path) if old_size & (old_size - 1) else [old_root, *path]
    if not steps:
        return False
    at, last = old_size - 1, new_size - 1
    while at & 1:
        at >>= 1
        last >>= 1
    sides = _are_left(at, last, len(steps) - 1)
    if sides is None:
        return False
    old_value = new_value = steps[0]
    for step, is_left in zip(steps[1:], sides, strict=True):
        if is_left:
            old_value, new_value = node_hash(step, old_value), node_hash(step, new_value)
        else:
            new_value = node_hash(new_value, step)
    return old_value == old_root and new_value == new_root


def _are_left(at: int, last: int, count: int) -> tuple[bool, ...] | None:
    """Of each hash on the way up from ``at``, in a row that ends at ``last``: it stands to the left.

    None when that way has not ``count`` hashes.
    """
    sides: list[bool] = []
    for _ in range(count):
        if last == 0:
            return None
        is_left = bool(at & 1) or at == last
        sides.append(is_left)
        while is_left and not at & 1 and at:
            at >>= 1
            last >>= 1
        at >>= 1
        last >>= 1
    return tuple(sides) if last == 0 else None


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(value) == HASH_BYTES for value in values)
