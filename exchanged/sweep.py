"""The sweep: what nothing needs any more goes, ledger before bytes.

Spool files go as soon as nothing in them is needed; what was sealed here is needed until ``restore_days``
after its packet became final, because a neighbour that was restored may ask for it (C23). Blobs stay
``blob_days`` after the last packet that names them became final, so that a later stage of the case need
not send them again (C10). A bridge keeps them for a day only, and forgets what passed ``transit_days``
after it did (C14): memory for ever stands at the ends, and at provincial nodes, which judge replies by it
(C17). A crash between ledger and unlink leaves a spare file, which the next start removes.

Days are counted by what neighbours confirmed (``ledger.keeping``): a clock that jumps ahead, was wrong for a
while, or is confirmed by nobody removes nothing (C18).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from exchanged.blobs import BlobStore
from exchanged.clock import Clock
from exchanged.config import RetentionConfig
from exchanged.ledger import Ledger, Transaction, blobs, keeping, notes, passing, spool
from exchanged.ledger.keeping import Old
from exchanged.log import event_line
from exchanged.spool import Spool
from exchanged.station import NOW

_GROUP: Final = 256
_AGED_EVERY_SECONDS: Final = 3600.0
_PASSED_BLOBS: Final = timedelta(days=1)


class Sweep:
    """The station ``sweep``. ``proven`` is ``ClockGuard.proven``."""

    name = "sweep"

    def __init__(
        self,
        ledger: Ledger,
        files: Spool,
        store: BlobStore,
        clock: Clock,
        proven: Callable[[], datetime | None],
        keep: RetentionConfig,
        *,
        only_passes: bool = False,
    ) -> None:
        """``only_passes``: at a bridge, where nothing that is decided later asks for what passed before."""
        self._ledger = ledger
        self._files = files
        self._store = store
        self._clock = clock
        self._proven = proven
        self._keep_bytes = timedelta(days=keep.restore_days)
        # A packet that is sealed anew for a neighbour needs its blobs as well; 0 keeps for ever.
        self._keep_blobs = timedelta(
            days=max(keep.blob_days, keep.restore_days) if keep.blob_days and keep.restore_days else 0
        )
        if only_passes:
            # Nobody may leave a large part out here (C9), so it comes again whenever it is needed again.
            self._keep_blobs = _PASSED_BLOBS
        self._keep_passed = timedelta(days=keep.transit_days)
        self._only_passes = only_passes
        self._next_aged: float | None = None

    def step(self) -> float | None:
        """Let go of one group of files; look for what has become old once an hour.

        Files first: they are what fills the disk, whatever keeps the rest from being done.
        """
        now = self._clock.monotonic()
        more = self._sweep_spool()
        if self._next_aged is None or now >= self._next_aged:
            is_more_old = self._sweep_aged()
            self._next_aged = now if is_more_old else now + _AGED_EVERY_SECONDS
            more |= is_more_old | self._sweep_spool()
        return NOW if more else max(0.0, self._next_aged - now)

    def _sweep_spool(self) -> bool:
        found = spool.unneeded(self._ledger.read(), _GROUP)
        if not found:
            return False
        names = self._ledger.write(
            lambda transaction: [spool.forget(transaction, number) for number, _ in found]
        )
        for name in names:
            if name is not None:
                self._files.remove(name)
        return len(found) == _GROUP

    def _sweep_aged(self) -> bool:
        """One group of sealed bytes and of blobs. True when more is known to wait."""
        proven = self._proven()
        if proven is None:
            return False
        connection = self._ledger.read()
        if not keeping.is_confirmed(connection, proven):
            self._ledger.write(lambda transaction: keeping.confirm(transaction, proven))
        more = False
        if self._keep_bytes:
            old = keeping.old(connection, proven - self._keep_bytes)
            more |= self._sweep_bytes(old)
            more |= self._sweep_notes(old)
        if self._keep_blobs:
            old = keeping.old(connection, proven - self._keep_blobs)
            more |= self._sweep_blobs(old)
        if self._keep_passed and self._only_passes:
            more |= self._forget_passed(keeping.old(connection, proven - self._keep_passed))
        return more

    def _sweep_bytes(self, old: Old) -> bool:
        def release(transaction: Transaction) -> int:
            count = keeping.release_bytes(transaction, old, _GROUP)
            _tell(transaction, "sealed-bytes", count)
            return count

        count = self._ledger.write(release) if keeping.has_old_bytes(self._ledger.read(), old) else 0
        if count:
            event_line("retention", kind="sealed-bytes", count=count)
        return count == _GROUP

    def _sweep_notes(self, old: Old) -> bool:
        def forget(transaction: Transaction) -> int:
            return notes.forget_old(transaction, old.before, _GROUP)

        count = self._ledger.write(forget) if notes.has_old(self._ledger.read(), old.before) else 0
        return count == _GROUP

    def _sweep_blobs(self, old: Old) -> bool:
        last = old.last_packet
        done = blobs.need_none(self._ledger.read(), old.before, _GROUP, last_packet=last)
        spare = blobs.unneeded(self._ledger.read(), old.before, _GROUP)

        def collect(transaction: Transaction) -> tuple[tuple[str, int], ...]:
            found = blobs.collect(transaction, old.before, last_packet=last, of=done, spare=spare)
            _tell(transaction, "blobs", len(found))
            return found

        gone = self._ledger.write(collect) if done or spare else ()
        for digest, generation in gone:
            self._store.remove(digest, generation)
        if gone:
            event_line("retention", kind="blobs", count=len(gone))
        return _GROUP in (len(spare), len(done))

    def _forget_passed(self, old: Old) -> bool:
        def forget(transaction: Transaction) -> int:
            count = passing.forget_passed(transaction, old, _GROUP)
            _tell(transaction, "passed-packets", count)
            return count

        count = self._ledger.write(forget) if passing.has_passed(self._ledger.read(), old) else 0
        if count:
            event_line("retention", kind="passed-packets", count=count)
        late = passing.late_receipts(self._ledger.read(), old, _GROUP)
        gone = self._ledger.write(lambda transaction: passing.forget_late(transaction, late)) if late else 0
        hops = passing.late_hops(self._ledger.read(), old, _GROUP)
        noted = self._ledger.write(lambda tx: passing.forget_late_hops(tx, hops)) if hops else 0
        return _GROUP in (count, gone, noted)


def _tell(transaction: Transaction, kind: str, count: int) -> None:
    if count:
        transaction.event("retention", detail={"kind": kind, "count": count})
