"""After a damaged volume that a person has looked at: what is kept is verified, and the mark is taken away.

Guarantees: the mark of damage goes only when ledger and files agree, or when the node never came so far that
anything could be kept. A ledger that is gone is damage, and not the beginning of a new one.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from exchanged.ledger import has_begun, open_read_only, require_verifiable_form
from exchanged.ledger.verify import verify_ledger
from exchanged.own_ledger import require_own_ledger
from exchanged.places import DAMAGE_FILE, LEDGER_FILE


def recover(data_dir: Path) -> None:
    """Let the node in ``data_dir`` start again. Raises LedgerDamagedError for what contradicts or is gone.

    Raises LedgerAheadError for a ledger of a newer version, which only that one can verify.
    """
    require_own_ledger(data_dir)
    ledger = data_dir / LEDGER_FILE
    if has_begun(ledger):
        with closing(open_read_only(ledger)) as connection:
            require_verifiable_form(connection, str(ledger))
            verify_ledger(connection, data_dir)
    (data_dir / DAMAGE_FILE).unlink(missing_ok=True)
