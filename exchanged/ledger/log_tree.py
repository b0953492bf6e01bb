"""The Merkle tree of this node's own log, kept so that a million entries answer like ten (RFC 6962).

Guarantees: appending writes the entry and the complete subtrees that it ends, two rows on average; a root, a
proof of inclusion and one of consistency read a number of rows that grows with the logarithm of the size.
What is in the log is never changed or removed by any function here.

Leaves to others: what is an entry (``log_entries``), who signs a root (``log_telling``), and checking proofs
(``packet_spec.merkle``).
"""

from __future__ import annotations

import sqlite3
from functools import reduce

from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.merkle import EMPTY_ROOT, leaf_hash, node_hash, split_of


def append(connection: sqlite3.Connection, kind: EntryKind, digest: str, sender: str, packet_id: str) -> int:
    """Append one entry within the caller's transaction; its position, from 0."""
    position = size_of(connection)
    connection.execute(
        "INSERT INTO log_entry VALUES (?, ?, ?, ?, ?)", (position, kind.value, digest, sender, packet_id)
    )
    value, level, number = leaf_hash(entry_bytes(kind, digest)), 0, position
    while number & 1:
        value = node_hash(_stored(connection, level, number - 1), value)
        level, number = level + 1, number >> 1
        connection.execute("INSERT INTO log_node VALUES (?, ?, ?)", (level, number, value))
    return position


def size_of(connection: sqlite3.Connection) -> int:
    """How many entries the log has."""
    row = connection.execute("SELECT max(position) FROM log_entry").fetchone()
    return 0 if row[0] is None else int(row[0]) + 1


class Tree:
    """The first ``size`` entries of the log as a tree. Hashes that were read are remembered."""

    def __init__(self, connection: sqlite3.Connection, size: int | None = None) -> None:
        self._connection = connection
        self.size = size_of(connection) if size is None else size
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self) -> bytes:
        """The root over all entries."""
        return self._hash(0, self.size)

    def inclusion(self, position: int) -> tuple[bytes, ...]:
        """The path of the entry at ``position``, leaf first. Raises IndexError outside the tree."""
        if not 0 <= position < self.size:
            raise IndexError(position)
        path: list[bytes] = []
        first, count = 0, self.size
        while count > 1:
            left = split_of(count)
            if position - first < left:
                path.append(self._hash(first + left, count - left))
                count = left
            else:
                path.append(self._hash(first, left))
                first, count = first + left, count - left
        return tuple(reversed(path))

    def consistency(self, old_size: int) -> tuple[bytes, ...]:
        """The proof that the first ``old_size`` entries are a beginning. Raises IndexError for more."""
        if not 0 <= old_size <= self.size:
            raise IndexError(old_size)
        if old_size in (0, self.size):
            return ()
        path: list[bytes] = []
        first, count, old, is_whole = 0, self.size, old_size, True
        while old != count:
            left = split_of(count)
            if old <= left:
                path.append(self._hash(first + left, count - left))
                count = left
            else:
                path.append(self._hash(first, left))
                first, count, old, is_whole = first + left, count - left, old - left, False
        if not is_whole:
            path.append(self._hash(first, count))
        return tuple(reversed(path))

    def _hash(self, first: int, count: int) -> bytes:
        """The root over ``count`` entries from ``first``, which a split of the RFC leads to."""
        if count == 0:
            return EMPTY_ROOT
        peaks: list[bytes] = []
        while count:
            level = count.bit_length() - 1
            peaks.append(self._complete(level, first >> level))
            first, count = first + (1 << level), count - (1 << level)
        return reduce(lambda right, left: node_hash(left, right), reversed(peaks))

    def _complete(self, level: int, number: int) -> bytes:
        value = self._known.get((level, number))
        if value is None:
            value = self._known[level, number] = _stored(self._connection, level, number)
        return value


def _stored(connection: sqlite3.Connection, level: int, number: int) -> bytes:
    """The hash of the complete subtree ``number`` of ``level``. Raises LookupError where it is missing."""
    if level:
        row = connection.execute(
            "SELECT hash FROM log_node WHERE level = ? AND number = ?", (level, number)
        ).fetchone()
        if row is not None:
            return bytes(row[0])
    else:
        row = connection.execute(
            "SELECT kind, digest FROM log_entry WHERE position = ?", (number,)
        ).fetchone()
        if row is not None:
            return leaf_hash(entry_bytes(EntryKind(row[0]), row[1]))
    raise LookupError(f"the log lacks subtree {number} of level {level}")
