"""F105: ledgers of every earlier form with a full queue are brought up to date, killed before each statement.

The form of an earlier program is made by its own migrations and filled with the rows that it could hold. A
child process opens the ledger as a starting daemon does and is killed by the operating system before its
n-th SQL statement; then it is opened again without a kill. Form and rows must be those of an undisturbed
upgrade, and chain and log must verify. A ledger with a step of a later program must be refused unchanged.
That nodes work such a queue off is tried with real daemons (``old_queue``).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from sqlite_utils import Database

from certainty.operation.growth import BookClock, fill
from certainty.operation.town import PROVINCE
from certainty.shard import Outcome, Run, Violation
from exchanged.clock import SystemClock
from exchanged.errors import LedgerAheadError
from exchanged.ledger import Ledger, open_read_only, schema, writer
from exchanged.ledger.verify import examine_ledger

_AGENCIES: Final = ("620199-01-00", "620199-02-00", "620199-03-00")
_PACKETS: Final = 40
# Kills of one form's upgrade: evenly over its statements, the first and the last among them.
_FULL_KILLS: Final = 80
_QUICK_KILLS: Final = 3


def steps() -> tuple[str, ...]:
    """The names of all migrations, in order."""
    return tuple(step.name for step in schema.migrations.pending(Database(memory=True)))


def as_earlier(newest: Path, old: Path, stop_before: str) -> None:
    """The rows of ``newest`` in the form that a ledger had before the step ``stop_before``."""
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        schema.migrations.apply(Database(connection), stop_before=stop_before)
        connection.execute("ATTACH ? AS new", (str(newest),))
        tables = [
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if not row[0].startswith(("sqlite_", "_sqlite"))
        ]
        connection.execute("BEGIN")
        for table in tables:
            there = {row[1] for row in connection.execute(f'PRAGMA new.table_info("{table}")').fetchall()}
            here = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]
            columns = ", ".join(f'"{name}"' for name in here if name in there)
            if columns:
                copy = f'INSERT OR IGNORE INTO "{table}" ({columns}) SELECT {columns} FROM new."{table}"'  # noqa: S608
                connection.execute(copy)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def open_killed(path: Path, number: int) -> bool:
    """Open the ledger in a child that is killed before its statement ``number``. False: it got through."""
    child = os.fork()
    if child == 0:
        try:
            _open_until(path, number)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def _open_until(path: Path, number: int) -> None:
    seen = 0
    really = writer._open

    def counted(_statement: str) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def opened(place: Path) -> sqlite3.Connection:
        connection = really(place)
        connection.set_trace_callback(counted)
        return connection

    vars(writer)["_open"] = opened
    Ledger(path, SystemClock(), on_wake=lambda _names: None, threaded=False).close()


def fingerprint(path: Path) -> str:
    """Form and rows of a ledger, without when its steps were taken."""
    digest = hashlib.sha256()
    with closing(open_read_only(path)) as connection:
        everything = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
        objects = connection.execute(everything).fetchall()
        for row in objects:
            digest.update(repr(tuple(row)).encode())
        for kind, name, _ in objects:
            if kind == "table" and not name.startswith(("sqlite_", "_sqlite")):
                rows = connection.execute(f'SELECT * FROM "{name}"').fetchall()  # noqa: S608
                digest.update("\n".join(sorted(repr(tuple(row)) for row in rows)).encode())
        taken = [step.name for step in schema.migrations.applied(Database(connection))]
        digest.update(repr(taken).encode())
    return digest.hexdigest()


def try_upgrade(run: Run) -> Iterator[Outcome]:
    """F105."""
    folder = run.folder / "upgrade"
    folder.mkdir()
    newest = folder / "newest.sqlite3"
    clock = BookClock(_PACKETS)
    with closing(Ledger(newest, clock, on_wake=lambda _names: None, threaded=False)) as ledger:
        fill(ledger, clock, folder, _PACKETS, PROVINCE, _AGENCIES, lambda _done: None)
    names = steps()
    violations, kills, planned, forms = [], 0, 0, 0
    for name in names[1:]:
        if run.is_over:
            break
        old = folder / f"before-{name}.sqlite3"
        as_earlier(newest, old, name)
        found, killed, wanted = _sweep(folder, old, _QUICK_KILLS if run.quick else _FULL_KILLS)
        violations += [Violation("I12", f"before {name}, {each}", what) for each, what in found]
        kills, planned = kills + killed, planned + wanted
        forms += 1
        run.progress(forms, len(names) - 1, f"upgrade: {kills} kills")
    violations += list(_downgrade(newest))
    short = "" if forms == len(names) - 1 else f"{forms} of {len(names) - 1} earlier forms"
    yield Outcome(
        "F105", cases=kills + forms + 1, violations=tuple(violations), short=short,
        measured=f"{forms} of {len(names) - 1} earlier forms with a full queue, killed before {kills} of"
        f" {planned} statements of their upgrade, then opened, and every packet looked for; and one of a"
        " later program",
        planned=planned + forms + 1,
    )  # fmt: skip


def spread(total: int, count: int) -> tuple[int, ...]:
    """Numbers from 1 to ``total``, at most ``count``, evenly, with both ends."""
    if total <= count:
        return tuple(range(1, total + 1))
    return tuple(sorted({1 + round(each * (total - 1) / (count - 1)) for each in range(count)}))


def in_flight(path: Path) -> dict[tuple[str, str, str], tuple[object, ...]]:
    """Digests, attempt, state and place of every packet, for each of its destinations."""
    asked = (
        "SELECT p.sender, p.packet_id, d.recipient, p.attempt, p.content_digest, p.seal_digest, p.state,"
        " p.sequence, p.incarnation, d.state, s.name, p.start, p.length"
        " FROM packet p JOIN destination d ON d.packet = p.id LEFT JOIN spool s ON s.id = p.spool"
    )
    with closing(open_read_only(path)) as connection:
        return {tuple(row)[:3]: tuple(row)[3:] for row in connection.execute(asked).fetchall()}


def _sweep(folder: Path, old: Path, count: int) -> tuple[list[tuple[str, str]], int, int]:
    """What was wrong, by case; how many kills there were; and how many were planned."""
    whole, work = folder / "whole.sqlite3", folder / "work.sqlite3"
    _copy(old, whole)
    with closing(sqlite3.connect(whole, isolation_level=None)) as connection:
        said: list[str] = []
        connection.set_trace_callback(said.append)
        schema.migrate(Database(connection))
    wanted = fingerprint(whole)
    found: list[tuple[str, str]] = []
    before, after = in_flight(old), in_flight(whole)
    if not before or before != after:
        lost = sum(after.get(key) != packet for key, packet in before.items())
        found.append(("undisturbed", f"{lost} of {len(before)} packets are not what they were"))
    kills, numbers = 0, spread(len(said), count)
    for number in numbers:
        _copy(old, work)
        if not open_killed(work, number):
            found.append((f"statement {number}", "was not reached: the upgrade is not repeatable"))
            continue
        kills += 1
        Ledger(work, SystemClock(), on_wake=lambda _names: None, threaded=False).close()
        if fingerprint(work) != wanted:
            found.append((f"statement {number}", "the upgraded ledger differs from an undisturbed upgrade"))
        with closing(open_read_only(work)) as connection:
            problems = examine_ledger(connection).problems
        found += [(f"statement {number}", f"{each.what} {each.where}") for each in problems[:2]]
    return found, kills, len(numbers)


def _downgrade(newest: Path) -> Iterator[Violation]:
    with closing(sqlite3.connect(newest, isolation_level=None)) as connection:
        row = (schema.migrations.name, "9999-later", "2030-01-01")
        statement = "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES (?, ?, ?)"
        connection.execute(statement, row)
    before = fingerprint(newest)
    try:
        Ledger(newest, SystemClock(), on_wake=lambda _names: None, threaded=False).close()
    except LedgerAheadError:
        if fingerprint(newest) != before:
            yield Violation("I12", "downgrade", "the refused ledger was changed")
    else:
        yield Violation("I12", "downgrade", "a ledger of a later program was opened")


def _copy(source: Path, target: Path) -> None:
    for end in ("", "-wal", "-shm"):
        target.with_name(target.name + end).unlink(missing_ok=True)
    shutil.copyfile(source, target)
