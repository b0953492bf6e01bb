"""A mailbox file that is not what it should be: told once, never silently skipped.

Guarantees: a line of the log and an event of the ledger for each file and reason, once while the node runs,
so that a strange file that lies there fills neither. Anybody who can write into the mailbox makes ever new
ones, so of one link ``AN_HOUR`` are told one by one in an hour, across restarts too; of the rest one line and
one event tell how many there were and which was the newest, when the hour is over.

Leaves to others: what is answered to the neighbour, and that a batch was damaged (``landing``). Known limits:
of the files that lie there a thousand are remembered; a restart in the hour counts anew those that lie there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from exchanged.hourly import AN_HOUR, is_within_hour, so_far
from exchanged.ledger import Transaction
from exchanged.link_context import LinkContext
from exchanged.log import event_line
from packet_spec.errors import ExchangeError, UnknownSuiteError

_REMEMBERED: Final = 1_000
# What is remembered of a link: an hour, and how many files were told one by one in it.
_TOLD: Final = "files-told"


@dataclass(slots=True)
class Complaints:
    """Those of one link."""

    link: LinkContext
    _told: dict[str, str] = field(default_factory=dict)
    # What was not told one by one: how many, and name, reference and words of the newest.
    _more: int = 0
    _newest: tuple[str, str, str] = ("", "", "")

    def tell(self, name: str, error: ExchangeError) -> None:
        """The file ``name`` was not taken, because of ``error``."""
        if self._told.get(name) == error.reference:
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[name] = error.reference
        # Those of an hour that is over, before this one begins another.
        self.sum_up()
        if self._told_in_hour() >= AN_HOUR:
            self._more, self._newest = self._more + 1, (name, error.reference, str(error))
            return
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
            is_within_hour(transaction, self.link.name, _TOLD)
            if waits:
                transaction.event("mailbox-file-waits", detail=about | {"suite": error.found})
            else:
                transaction.event("mailbox-file-refused", detail=about | {"error": error.reference})

        self.link.ledger.write(record)

    def sum_up(self) -> None:
        """Tell of those that were not told one by one, once their hour is over."""
        if not self._more or self._told_in_hour() >= AN_HOUR:
            return
        link, count, (name, reference, what) = self.link.name, self._more, self._newest
        detail: dict[str, str | int] = {"link": link, "count": count, "file": name, "error": reference}
        self.link.ledger.write(lambda transaction: transaction.event("mailbox-more-refused", detail=detail))
        event_line(
            "mailbox-more-refused", level=30, link=link, count=count, file=name, error=reference, what=what
        )
        self._more = 0

    def _told_in_hour(self) -> int:
        return so_far(self.link.ledger.read(), self.link.name, _TOLD, self.link.clock.now())
