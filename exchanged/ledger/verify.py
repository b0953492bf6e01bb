"""Verify a ledger: its event chain, its Merkle log, the database itself, and the files that it names.

Guarantees: reads only; every event's link is computed anew from the row and the link before it, so a change,
a removal or an insertion names the first row where it shows; the Merkle log is computed anew and held
against the receipts, and each receipt against its own bytes; what a running daemon changes in the meantime
is not taken for damage. Leaves to others: repair, and the fork that only neighbours can see (a chain that was
cut at its end is whole in itself; they remember its earlier head, invariant I8).

Known limit: files are compared by size here, not read; packets are verified when they are used.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.errors import LedgerDamagedError
from exchanged.ledger import blobs, log_verify, receipt_verify, schema_verify, spool
from exchanged.ledger.damage import UNREADABLE, text_of
from exchanged.ledger.transaction import GENESIS, event_link
from exchanged.places import BLOB_FOLDER, SPOOL_FOLDER

_PAGE: Final = 10_000
# What is wrong is clear long before; each further problem only costs time.
_MOST_PROBLEMS: Final = 100
_COUNTED: Final = ("packet", "destination", "arrival", "receipt", "hop")

Moved = Callable[[int], None]


def _nobody_looks(_rows: int) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One contradiction: ``what`` (kebab-case), the row or file, what should be there and what is."""

    what: str
    where: str
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class Verified:
    """What was verified. ``head`` is the last event's link, as neighbours remember it.

    ``spares`` are files that the ledger does not name: left by a crash and removed at the next start, or
    just being written by the daemon. Sizes in bytes.
    """

    events: int
    head: str
    rows: dict[str, int]
    spool_files: int
    spool_bytes: int
    blob_files: int
    blob_bytes: int
    spares: int
    problems: tuple[Problem, ...]
    log_size: int = 0

    @property
    def is_sound(self) -> bool:
        """Nothing contradicts anything."""
        return not self.problems


def count_events(connection: sqlite3.Connection) -> int:
    """The number of the last event: how many rows a whole chain has."""
    row = connection.execute("SELECT max(id) FROM event").fetchone()
    return int(row[0] or 0)


def examine_ledger(
    connection: sqlite3.Connection, data_dir: Path | None = None, moved: Moved = _nobody_looks
) -> Verified:
    """Verify everything and tell all problems, the first ones first (at most 100).

    ``data_dir`` holds ``spool`` and ``blobs``; without it only the ledger itself is verified. ``moved`` hears
    how many further events were verified. Raises nothing for whatever the ledger holds.
    """
    problems: list[Problem] = []
    events, head = 0, GENESIS
    rows: dict[str, int] = {}
    books: _Books = _Books({}, {})
    log_size = 0
    try:
        problems += [Problem(*each) for each in schema_verify.examine_schema(connection, _MOST_PROBLEMS)]
        events, head = _verify_chain(connection, problems, moved)
        problems += _database_problems(connection)
        log_size, found_in_log = log_verify.examine_log(connection, _MOST_PROBLEMS)
        problems += [Problem(*each) for each in found_in_log]
        problems += [Problem(*each) for each in receipt_verify.examine_receipts(connection, _MOST_PROBLEMS)]
        rows = {table: _count(connection, table) for table in _COUNTED}
        books = _Books(spool.names(connection), blobs.all_files(connection))
        if data_dir is not None:
            problems += _ranges(connection)
    except (*UNREADABLE, LedgerDamagedError) as error:
        problems.append(Problem("database-unreadable", "ledger", "a readable database", text_of(error)))
        data_dir = None
    spares = 0
    if data_dir is not None:
        found, spares = _compare_files(connection, data_dir, books)
        problems += found
    return Verified(
        events=events,
        head=head,
        rows=rows,
        spool_files=len(books.spool),
        spool_bytes=sum(books.spool.values()),
        blob_files=len(books.blobs),
        blob_bytes=sum(books.blobs.values()),
        spares=spares,
        problems=tuple(problems[:_MOST_PROBLEMS]),
        log_size=log_size,
    )


def verify_ledger(
    connection: sqlite3.Connection, data_dir: Path | None = None, moved: Moved = _nobody_looks
) -> Verified:
    """The same for who only goes on with a sound ledger. Raises LedgerDamagedError with the first problem."""
    verified = examine_ledger(connection, data_dir, moved)
    if verified.problems:
        first = verified.problems[0]
        raise LedgerDamagedError(
            f"the ledger is damaged: {first.what}",
            where=first.where,
            expected=first.expected,
            found=first.found,
        )
    return verified


@dataclass(frozen=True, slots=True)
class _Books:
    """Files as the ledger names them: spool file -> size, (digest, generation) -> size."""

    spool: dict[str, int]
    blobs: dict[tuple[str, int], int]


def _verify_chain(
    connection: sqlite3.Connection, problems: list[Problem], moved: Moved
) -> tuple[int, str]:
    """Walk the chain in pages, so that a long walk never keeps the daemon's log from being folded in.

    After a bad row the walk goes on from the link that the row bears: every bad row is told, and only those.
    """
    last, head = 0, GENESIS
    while True:
        page = connection.execute(
            "SELECT id, at, kind, sender, packet_id, recipient, detail, chain FROM event WHERE id > ?"
            " ORDER BY id LIMIT ?",
            (last, _PAGE),
        ).fetchall()
        for number, at, kind, sender, packet_id, recipient, detail, chain in page:
            if number != last + 1:
                gap = f"event {last + 1}" if number == last + 2 else f"events {last + 1} to {number - 1}"
                problems.append(Problem("event-missing", gap))
            link = event_link(head, number, at, kind, sender, packet_id, recipient, detail)
            if link != chain:
                problems.append(Problem("event-chain-broken", f"event {number}", link, str(chain)))
            last, head = number, chain
        if not page or len(problems) >= _MOST_PROBLEMS:
            return last, head
        moved(len(page))


def _database_problems(connection: sqlite3.Connection) -> Iterator[Problem]:
    for (text,) in connection.execute(f"PRAGMA integrity_check({_MOST_PROBLEMS})"):
        if text != "ok":
            yield Problem("database-inconsistent", "ledger", "ok", str(text))
    for table, number, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_MOST_PROBLEMS):
        # Some tables have no row numbers.
        where = table if number is None else f"{table} {number}"
        yield Problem("row-without-parent", where, f"a row of {parent}", "none")


def _ranges(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Every packet and arrival lies inside its spool file."""
    for table in ("packet", "arrival"):
        tables = f"{table} JOIN spool ON spool.id = {table}.spool"
        rows = connection.execute(
            f"SELECT {table}.id, spool.name, spool.size, start + length FROM {tables}"  # noqa: S608
            " WHERE start < 0 OR length < 0 OR start + length > size LIMIT ?",
            (_MOST_PROBLEMS,),
        )
        for number, name, size, end in rows:
            where = f"{table} {number} in spool/{name}"
            yield Problem("range-outside-file", where, f"ends by {size} bytes", f"ends at {end}")


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def _compare_files(
    connection: sqlite3.Connection, data_dir: Path, books: _Books
) -> tuple[list[Problem], int]:
    """Problems, and the number of spare files."""
    folders = data_dir / SPOOL_FOLDER, data_dir / BLOB_FOLDER
    suspects: dict[str | tuple[str, int], Problem] = {}
    for name, size in books.spool.items():
        found = _size(folders[0] / name)
        # A file on the books may be longer than they say, never shorter.
        if found is None or found < size:
            suspects[name] = _file_problem("spool-file", f"spool/{name}", size, found)
    for (digest, generation), size in books.blobs.items():
        name = f"{digest}.{generation}"
        found = _size(folders[1] / name)
        if found != size:
            suspects[digest, generation] = _file_problem("blob", f"blobs/{name}", size, found)
    if suspects:
        # The daemon takes a file off the books before it removes it: what is still on them is missed.
        still = spool.names(connection).keys() | blobs.all_files(connection).keys()
        suspects = {name: problem for name, problem in suspects.items() if name in still}
    blob_names = {f"{digest}.{generation}" for digest, generation in books.blobs}
    spares = len(_names(folders[0]) - books.spool.keys()) + len(_names(folders[1]) - blob_names)
    return list(suspects.values()), spares


def _file_problem(kind: str, where: str, size: int, found: int | None) -> Problem:
    if found is None:
        return Problem(f"{kind}-missing", where, f"{size} bytes", "no file")
    return Problem(f"{kind}-size-differs", where, f"{size} bytes", f"{found} bytes")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir() if entry.is_file()}
    except OSError:
        return set()
