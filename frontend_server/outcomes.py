"""What became of the drops of one scan, gathered and written to the ledger together.

Guarantees: a drop that is no better and no worse than before costs no status file; what is told is told
in the transaction that changes the drop. ``rests`` says, for drops that time or the case software must
change first, for how many seconds of the monotonic clock they need not be read again; ``moved`` holds the
row numbers of drops that change with the next ``commit``. With a drop that is refused goes its marker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from exchanged.clock import Clock, Randomness
from exchanged.ledger import Ledger, Transaction, drops
from exchanged.ledger.drops import DropRow, Original, Outcome
from exchanged.log import event_line
from exchanged.retry import Backoff
from exchanged.states import DropState, Event
from frontend_server import taking
from frontend_server.markers import DropMarker
from packet_spec.findings import Finding

FOREVER: Final = float("inf")
POISON: Final = "poison"
# A drop whose check ends its worker, or the process while it runs alone, this often is left alone.
_CRASHES: Final = 3


class Outcomes:
    """Gathers outcomes until ``commit``. Used by one thread."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Clock,
        randomness: Randomness,
        backoff: Backoff,
        markers: Mapping[bytes, DropMarker],
    ) -> None:
        """``markers`` are those of the drops that this is about, by the names of the drops."""
        self._markers = markers
        self.rests: dict[bytes, float] = {}
        self.moved: set[int] = set()
        self._ledger = ledger
        self._clock = clock
        self._randomness = randomness
        self._backoff = backoff
        self._writes: list[Callable[[Transaction], None]] = []

    def refuse(self, row: DropRow, findings: Sequence[Finding], sender_ref: str = "") -> None:
        """Refused with findings; the original goes to refused/."""
        marker = self._markers.get(row.name)
        self.write(row, lambda tx: taking.refuse(tx, row, tuple(findings), sender_ref, marker))

    def keep(self, row: DropRow, findings: Sequence[Finding]) -> None:
        """Refused with findings, and left where it lies: it is no drop, and nobody touches it."""

        def write(tx: Transaction) -> None:
            outcome = Outcome(findings=tuple(findings), original=Original.KEPT)
            drops.move(tx, row, Event.REFUSE, outcome)
            taking.tell_status(tx, row.id)

        self.write(row, write)

    def wait_for(self, row: DropRow, missing: Sequence[str], seconds: float, sender_ref: str = "") -> None:
        """Incomplete: ``missing`` is what is not there yet. It rests until it changes, or for ``seconds``."""
        self.rests[row.name] = seconds
        names = tuple(missing)
        if row.state is DropState.INCOMPLETE and row.missing == names:
            return

        def write(tx: Transaction) -> None:
            drops.move(tx, row, Event.LISTED_PART_MISSING, Outcome(missing=names, sender_ref=sender_ref))
            taking.tell_status(tx, row.id)

        self.write(row, write)

    def leave(self, row: DropRow, seconds: float) -> None:
        """Nothing can be said yet: the drop stays as it is, and is not read again for ``seconds``."""
        self.rests[row.name] = seconds

    def hold_unread(self, row: DropRow, reason: str) -> None:
        """Could not even be opened: counted as an attempt of its own, then as ``hold``."""
        self.write(row, lambda tx: drops.begin_work(tx, row.id, alone=False))
        self.hold(row, reason)

    def hold(self, row: DropRow, reason: str, sender_ref: str = "") -> None:
        """Could not be checked: tried again with growing delays."""
        delay = self._backoff.delay(row.tries + 1, self._randomness.fraction())
        retry_at = self._clock.now() + timedelta(seconds=delay)
        outcome = Outcome(reason=reason, retry_at=retry_at, sender_ref=sender_ref)
        self.write(row, lambda tx: _hold(tx, row, outcome))

    def crashed(self, row: DropRow, reason: str) -> None:
        """The check ended its worker: held, and for good at the third time."""

        def write(tx: Transaction) -> None:
            if drops.count_crash(tx, row) >= _CRASHES:
                _hold(tx, row, Outcome(reason=POISON))
                event_line("drop-is-poison", level=logging.ERROR, drop=row.id)
            else:
                delay = self._backoff.delay(row.crashes + 1, self._randomness.fraction())
                _hold(tx, row, Outcome(reason=reason, retry_at=tx.now + timedelta(seconds=delay)))

        self.write(row, write)

    def write(self, row: DropRow, function: Callable[[Transaction], None]) -> None:
        """What changes ``row``, in the transaction of ``commit``."""
        self.moved.add(row.id)
        self._writes.append(function)

    def commit(self) -> None:
        """Write everything gathered in one transaction. Raises what the ledger raises."""
        writes, self._writes = self._writes, []
        if writes:
            self._ledger.write(lambda tx: _run(tx, writes))


def _run(tx: Transaction, writes: Sequence[Callable[[Transaction], None]]) -> None:
    for write in writes:
        write(tx)


def _hold(tx: Transaction, row: DropRow, outcome: Outcome) -> None:
    drops.move(tx, row, Event.HOLD, outcome)
    if row.state is not DropState.HELD or row.reason != outcome.reason:
        taking.tell_status(tx, row.id)
