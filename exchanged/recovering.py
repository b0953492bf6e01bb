"""After a damaged volume that a person has looked at: what is kept is verified, and the mark is taken away.

Guarantees: the mark of damage goes only when ledger and files agree, or when the node never came so far that
anything could be kept. A ledger that is gone is damage, and not the beginning of a new one.
"""

from __future__ import annotations

from pathlib import Path

from exchanged.errors import LedgerDamagedError
from exchanged.ledger import has_begun, open_read_only
from exchanged.ledger.verify import verify_ledger
from exchanged.places import BLOB_FOLDER, DAMAGE_FILE, LEDGER_FILE, SPOOL_FOLDER


def recover(data_dir: Path) -> None:
    """Let the node in ``data_dir`` start again. Raises LedgerDamagedError for what contradicts or is gone."""
    ledger = data_dir / LEDGER_FILE
    # Both are made when the ledger has been opened for the first time, and before anything is accepted.
    was_open = any((data_dir / name).exists() for name in (SPOOL_FOLDER, BLOB_FOLDER))
    if has_begun(ledger):
        verify_ledger(open_read_only(ledger), data_dir)
    elif was_open:
        raise LedgerDamagedError(
            "the ledger of this node is gone", where=str(ledger),
            hint="restore the newest backup: exchangectl node restore BACKUP --yes",
        )  # fmt: skip
    (data_dir / DAMAGE_FILE).unlink(missing_ok=True)
