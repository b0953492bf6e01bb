"""What a node's ledger says when nobody writes to it."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from certainty.shard import Violation
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import examine_ledger
from exchanged.places import LEDGER_FILE

_EMPTY: Final = ("arrival", "outgoing", "effect")


def ledger_problems(data_dir: Path, case: str, *, at_rest: bool = True) -> list[Violation]:
    """What ``exchangectl ledger verify`` would say of a node, and what still waits there at rest."""
    connection = open_read_only(data_dir / LEDGER_FILE)
    try:
        verified = examine_ledger(connection, data_dir)
        told = [
            Violation("I8", case, f"{data_dir.parent.name}: {problem.what} {problem.where}")
            for problem in verified.problems
        ]
        if at_rest:
            if verified.spares:
                told.append(Violation("I16", case, f"{data_dir.parent.name}: {verified.spares} spare files"))
            for table in _EMPTY:
                (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
                if count:
                    told.append(
                        Violation("I16", case, f"{data_dir.parent.name}: {count} rows of {table} left")
                    )
    finally:
        connection.close()
    return told


def copied(path: Path) -> Path:
    """A ledger copied with its side files into a new folder elsewhere: reading changes nothing."""
    copy = Path(tempfile.mkdtemp(prefix="ledger-"))
    for file in path.parent.glob(f"{path.name}*"):
        shutil.copy(file, copy / file.name)
    return copy / path.name


def has_receipted(data_dir: Path, packet: str) -> bool:
    """Whether the ledger of a receiver, which has just died, holds its own ``delivered`` for a packet.

    ``packet`` is the name of its folder in the inbox: the sender and the id.
    """
    copy = copied(data_dir / LEDGER_FILE)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM receipt WHERE own AND kind = 'delivered'"
                " AND sender || '_' || packet_id = ?",
                (packet,),
            ).fetchone()
    finally:
        shutil.rmtree(copy.parent)
    return bool(found[0])


def pauses(data_dir: Path) -> int:
    """How often a node wrote down that a folder cannot be used: it may ask before a call would fail."""
    copy = copied(data_dir / LEDGER_FILE)
    try:
        with closing(sqlite3.connect(copy)) as connection:
            found = connection.execute(
                "SELECT count(*) FROM event WHERE kind LIKE '%-unusable' OR detail LIKE '%read-only%'"
            ).fetchone()
    finally:
        shutil.rmtree(copy.parent)
    return int(found[0])
