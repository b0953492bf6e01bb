"""How a link is, in the ledger: since when it is down, why, and whose fault that is.

Written at changes only, never at each scan: a link that stays up or stays down for the same reason costs
nothing. The four names of ``batches.remember`` that others read: ``down-since`` (a time stamp, empty
while the link is up), ``down-reason`` (the error's reference), ``down-fault`` (a ``Fault``), and
``heard-at`` (when the neighbour's last waybill landed, written with the landing).

Known limit: the serving side only sees its own folder, so it is up while the neighbour is silent; that shows
in ``heard-at`` and in batches that nobody acknowledges.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from exchanged.ledger import Ledger, Transaction, batches
from exchanged.log import event_line
from packet_spec.errors import ExchangeError

DOWN_SINCE: Final = "down-since"
DOWN_REASON: Final = "down-reason"
DOWN_FAULT: Final = "down-fault"
HEARD_AT: Final = "heard-at"
ACKNOWLEDGED_AT: Final = "acknowledged-at"
CLOCK_AHEAD: Final = "clock-ahead-seconds"
"""How far the neighbour's clock was ahead when its last waybill landed; behind proves nothing."""
PAUSED: Final = "paused"
FORKED: Final = "forked"
FORKED_SINCE: Final = "forked-since"
SET_BACK: Final = "set-back"
ACCUSED: Final = "accused"
CLOSED: Final = "incarnation-closed"
CLOSED_SINCE: Final = "closed-speaks-since"
"""These are written and explained by ``exchanged.forks``."""
DISABLED_SINCE: Final = "disabled-since"
"""Since when the directory in force says that nobody exchanges with the neighbour; empty otherwise."""
NUMBER_USED_TWICE: Final = "number-used-twice"
"""Why a batch is answered bad that is not damaged: its number was used before (C23)."""
DAMAGED_HERE: Final = "damaged-here"
"""When a batch of the neighbour was last found damaged here."""
DAMAGED_THERE: Final = "damaged-there"
"""When the neighbour last said that a batch of ours was damaged there."""


class Fault(StrEnum):
    """Who has to act so that a link works again."""

    OURS = "ours"
    THEIRS = "theirs"
    NETWORK = "network"


FAULTS: Final[dict[str, Fault]] = {
    # No name, no road, no answer, or a connection that broke.
    "transport-failed": Fault.NETWORK,
    # The machine answers, but not for us: the other side's server, account, folders or volume.
    "connection-refused": Fault.THEIRS,
    "host-key-changed": Fault.THEIRS,
    "host-key-ended": Fault.THEIRS,
    "login-refused": Fault.THEIRS,
    "remote-refused": Fault.THEIRS,
    "mailbox-full": Fault.THEIRS,
    "mailbox-file-refused": Fault.THEIRS,
    # Our own folder, volume, keys or configuration.
    "mailbox-unusable": Fault.OURS,
    "jail-unsound": Fault.OURS,
    "folder-unusable": Fault.OURS,
    "no-space": Fault.OURS,
    "key-file-unusable": Fault.OURS,
    "key-not-given": Fault.OURS,
    "configuration-unusable": Fault.OURS,
    "file-operation-failed": Fault.OURS,
    "no-directory": Fault.OURS,
}
"""Whose fault an error of a link is, by its reference. What stands not here is our own program's."""


def fault_of(error: Exception) -> Fault:
    """Who has to act."""
    return FAULTS.get(reference_of(error), Fault.OURS)


def reference_of(error: Exception) -> str:
    """The error's reference; ``internal-error`` for what is no error of ours."""
    return error.reference if isinstance(error, ExchangeError) else "internal-error"


class LinkHealth:
    """What one link remembers about itself. Used by the link's station only."""

    def __init__(self, ledger: Ledger, link: str, peer: str) -> None:
        self._ledger = ledger
        self._link = link
        self._peer = peer
        # What the ledger says is read at the first change: a link may stay down over a restart.
        self._reason: str | None = None

    def note_up(self) -> None:
        """A round went well."""
        if self._known_reason() == "":
            return
        self._ledger.write(self._up)
        self._reason = ""
        event_line("link-up", link=self._link, peer=self._peer)

    def note_down(self, error: Exception) -> None:
        """A round failed. Raises what the ledger raises."""
        reason = reference_of(error)
        if self._known_reason() == reason:
            return
        self._ledger.write(lambda transaction: self._down(transaction, error))
        self._reason = reason

    def _known_reason(self) -> str:
        if self._reason is None:
            connection = self._ledger.read()
            is_down = batches.recall(connection, self._link, DOWN_SINCE)
            self._reason = (batches.recall(connection, self._link, DOWN_REASON) or "") if is_down else ""
        return self._reason

    def _up(self, transaction: Transaction) -> None:
        for name in (DOWN_SINCE, DOWN_REASON, DOWN_FAULT):
            batches.remember(transaction, self._link, name, "")
        transaction.event("link-up", detail={"link": self._link})

    def _down(self, transaction: Transaction, error: Exception) -> None:
        """Another reason is another event, but the link is down since the first."""
        reason, fault = reference_of(error), fault_of(error).value
        if not batches.recall(transaction.connection, self._link, DOWN_SINCE):
            batches.remember(transaction, self._link, DOWN_SINCE, transaction.stamp)
        batches.remember(transaction, self._link, DOWN_REASON, reason)
        batches.remember(transaction, self._link, DOWN_FAULT, fault)
        transaction.event("link-down", detail={"link": self._link, "error": reason, "fault": fault})
