"""The stored tree says what the RFC's own recursion says, at every size."""

from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database

from exchanged.ledger import log_tree, schema
from packet_spec.log_entry import EntryKind, entry_bytes
from packet_spec.merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

SIZES = [*range(1, 34), 63, 64, 65, 100]


def digest(number: int) -> str:
    return f"{number:064x}"


@pytest.fixture(scope="module")
def connection():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    schema.migrate(Database(connection))
    for number in range(max(SIZES)):
        kind = EntryKind.SEAL if number % 2 else EntryKind.RECEIPT
        assert log_tree.append(connection, kind, digest(number), "a", "b") == number
    return connection


LEAVES = [
    leaf_hash(entry_bytes(EntryKind.SEAL if number % 2 else EntryKind.RECEIPT, digest(number)))
    for number in range(max(SIZES))
]


@pytest.mark.parametrize("size", SIZES)
def test_roots_and_proofs_are_those_of_the_rfc(connection, size):
    tree = log_tree.Tree(connection, size)
    leaves = LEAVES[:size]
    assert tree.root() == root_of(leaves)
    for position in range(size):
        path = tree.inclusion(position)
        assert path == inclusion_path(leaves, position)
        assert verify_inclusion(leaves[position], position, size, path, tree.root())
    for old in range(size + 1):
        path = tree.consistency(old)
        assert path == consistency_path(leaves, old)
        assert verify_consistency(old, root_of(leaves[:old]), size, tree.root(), path)


def test_an_empty_log_has_the_root_of_nothing(connection):
    assert log_tree.Tree(connection, 0).root() == EMPTY_ROOT
    assert log_tree.Tree(connection).size == max(SIZES)


def test_outside_the_tree_there_are_no_proofs(connection):
    tree = log_tree.Tree(connection, 5)
    for position in (-1, 5):
        with pytest.raises(IndexError):
            tree.inclusion(position)
    for old in (-1, 6):
        with pytest.raises(IndexError):
            tree.consistency(old)


def test_rows_grow_with_the_entries_and_answers_with_their_logarithm(connection):
    nodes = connection.execute("SELECT count(*) FROM log_node").fetchone()[0]
    assert nodes < max(SIZES)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    log_tree.Tree(connection, 100).inclusion(37)
    log_tree.Tree(connection, 100).consistency(37)
    connection.set_trace_callback(None)
    assert len(asked) < 20
