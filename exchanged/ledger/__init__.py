"""The ledger: the durable record of one node, and the only package that speaks SQL.

``Ledger.write`` runs a function on the one writer thread, several together in one commit;
``Ledger.read`` gives a read-only connection. The modules beside this one hold the statements, one
file per subject; ``questions`` answers the command line without a daemon.
"""

from sqlite3 import Connection

from exchanged.ledger.transaction import Transaction
from exchanged.ledger.writer import (
    Ledger,
    has_begun,
    open_read_only,
    require_newest_form,
    require_verifiable_form,
)

__all__ = [
    "Connection",
    "Ledger",
    "Transaction",
    "has_begun",
    "open_read_only",
    "require_newest_form",
    "require_verifiable_form",
]
