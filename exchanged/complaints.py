"""A mailbox file that is not what it should be: told once, never silently skipped.

Guarantees: a line of the log and an event of the ledger for each file and reason, once while the node runs,
so that a strange file that lies there fills neither. Known limit: only a thousand are remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exchanged.ledger import Transaction
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from packet_spec.errors import ExchangeError, UnknownSuiteError

_REMEMBERED: Final = 1_000


@dataclass(slots=True)
class Complaints:
    """Those of one link."""

    link: LinkContext
    _told: dict[str, str] = field(default_factory=dict)

    def tell(self, name: str, error: ExchangeError) -> None:
        """The file ``name`` was not taken, because of ``error``."""
        if self._told.get(name) == error.reference:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[name] = error.reference
        # Nobody did anything wrong who signs in a suite that this program does not know.
        waits = isinstance(error, UnknownSuiteError)
        event_line(
            "mailbox-file-waits" if waits else "mailbox-file-refused",
            level=30,
            link=self.link.name,
            file=name,
            error=error.reference,
            what=str(error),
        )
        about = {"link": self.link.name, "file": name}

        def record(transaction: Transaction) -> None:
            if waits:
                transaction.event("mailbox-file-waits", detail=about | {"suite": error.found})
            else:
                transaction.event("mailbox-file-refused", detail=about | {"error": error.reference})

        self.link.ledger.write(record)
