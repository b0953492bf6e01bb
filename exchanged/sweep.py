"""The sweep: spool files in which nothing is needed any more go, ledger before bytes."""

from __future__ import annotations

from exchanged.ledger import Ledger, spool
from exchanged.spool import Spool
from exchanged.station import NOW

_GROUP = 256


class Sweep:
    """The station ``sweep``. A crash between ledger and unlink leaves a spare file for reconcile."""

    name = "sweep"

    def __init__(self, ledger: Ledger, files: Spool) -> None:
        self._ledger = ledger
        self._files = files

    def step(self) -> float | None:
        """Let go of one group of files."""
        found = spool.unneeded(self._ledger.read(), _GROUP)
        if not found:
            return None
        names = self._ledger.write(
            lambda transaction: [spool.forget(transaction, number) for number, _ in found]
        )
        for name in names:
            if name is not None:
                self._files.remove(name)
        return NOW if len(found) == _GROUP else None
