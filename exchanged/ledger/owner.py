"""Whose ledger it is: what makes a node that node, remembered since its first start."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import Final

from exchanged.ledger.node_values import RESTORING
from exchanged.ledger.transaction import Transaction

_PREFIX: Final = "owner-"


@dataclass(frozen=True, slots=True)
class Owner:
    """A node by its code, its role, and the agency that it serves, if any; as the configuration says them."""

    code: str
    role: str
    agency: str

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items() if value)


def owner_of(connection: sqlite3.Connection) -> Owner | None:
    """The node that the ledger remembers; None before a node was started on it that tells."""
    rows = connection.execute("SELECT name, value FROM node WHERE name GLOB ?", (f"{_PREFIX}*",))
    said = {str(name).removeprefix(_PREFIX): str(value) for name, value in rows}
    return Owner(said["code"], said["role"], said["agency"]) if said else None


def has_served(connection: sqlite3.Connection) -> bool:
    """A node was started on it, or it was restored: it has a name to speak under, or gets another one."""
    rows = connection.execute(
        "SELECT 1 FROM node WHERE name IN ('incarnation', ?) AND value <> ''", (RESTORING,)
    )
    return rows.fetchone() is not None


def remember_owner(transaction: Transaction, owner: Owner) -> None:
    """From now on the ledger is that of ``owner``."""
    for name, value in asdict(owner).items():
        transaction.remember(f"{_PREFIX}{name}", value)
