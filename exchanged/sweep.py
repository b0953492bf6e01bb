"""The sweep: what nothing needs any more goes, ledger before bytes.

Spool files go as soon as nothing in them is needed. Blobs stay ``blob_days`` after the last packet that
names them became final, so that a later stage of the case need not send them again (C10). What only passed
through is forgotten ``transit_days`` after it did (C14): memory for ever stands at the ends. A crash
between ledger and unlink leaves a spare file, which the next start removes.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from exchanged.blobs import BlobStore
from exchanged.clock import Clock
from exchanged.ledger import Ledger, blobs, packets, spool
from exchanged.spool import Spool
from exchanged.station import NOW

_GROUP: Final = 256
_BLOBS_EVERY_SECONDS: Final = 3600.0


class Sweep:
    """The station ``sweep``."""

    name = "sweep"

    def __init__(
        self,
        ledger: Ledger,
        files: Spool,
        store: BlobStore,
        clock: Clock,
        *,
        blob_days: float,
        transit_days: float,
    ) -> None:
        self._ledger = ledger
        self._files = files
        self._store = store
        self._clock = clock
        self._keep = timedelta(days=blob_days)
        self._keep_passed = timedelta(days=transit_days)
        self._next_blobs: float | None = None

    def step(self) -> float | None:
        """Let go of one group of files; look for blobs once an hour."""
        more = self._sweep_spool()
        now = self._clock.monotonic()
        if self._next_blobs is None or now >= self._next_blobs:
            more |= self._sweep_blobs()
            more |= self._forget_passed()
            self._next_blobs = now + _BLOBS_EVERY_SECONDS
        return NOW if more else max(0.0, self._next_blobs - now)

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

    def _sweep_blobs(self) -> bool:
        final_before = self._clock.now() - self._keep
        gone = self._ledger.write(lambda transaction: blobs.collect(transaction, final_before, _GROUP))
        for digest, generation in gone:
            self._store.remove(digest, generation)
        return len(gone) == _GROUP

    def _forget_passed(self) -> bool:
        passed_before = self._clock.now() - self._keep_passed
        gone = self._ledger.write(
            lambda transaction: packets.forget_passed(transaction, passed_before, _GROUP)
        )
        return gone == _GROUP
