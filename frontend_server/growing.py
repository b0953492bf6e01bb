"""Drops that may still be written: what looks unfinished is incomplete, until it has had its time.

Guarantees: nothing is refused for its end, its sizes or its digests that a slow writer may still mend; for
software that only stands still that takes two equal readings, the settle time apart, or never ends.

Leaves to others: what can be told without reading (``readiness``).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from exchanged.clock import Clock
from exchanged.config import DropProfile
from exchanged.ledger.drops import DropRow
from frontend_server.drops import DropChangedError, DropRefusedError
from frontend_server.outbox import Observation, content_name
from frontend_server.outcomes import FOREVER, Outcomes
from frontend_server.readiness import EqualReadings
from packet_spec.errors import ExchangeError


@dataclass(frozen=True, slots=True)
class ReadyDrop:
    """A drop to work on. ``rest_seconds`` is what its settle time still lacks; none when it has settled."""

    row: DropRow
    observation: Observation
    rest_seconds: float


class Growing:
    """What to do with drops that may not be whole. Used by one thread."""

    def __init__(self, clock: Clock, profile: DropProfile, settle_seconds: float) -> None:
        self._profile = profile
        self._settle_seconds = settle_seconds
        self._readings = EqualReadings(clock)

    def keep_only(self, names: Collection[bytes]) -> None:
        """Forget drops that are not there any more."""
        self._readings.keep_only(names)

    def could_not(
        self, drop: ReadyDrop, error: ExchangeError, outcomes: Outcomes, sender_ref: str = ""
    ) -> None:
        """What an error while reading or copying means for the drop."""
        if isinstance(error, DropChangedError):
            # It may never come to rest: its status names it, instead of telling of an earlier drop.
            missing = (content_name(drop.observation),)
            outcomes.wait_for(drop.row, missing, self._settle_seconds, sender_ref)
        elif not isinstance(error, DropRefusedError):
            outcomes.hold(drop.row, error.reference, sender_ref)
        elif error.cut and self.may_grow(drop, settled_may=True):
            self.wait_for_rest(drop, outcomes)
        else:
            outcomes.refuse(drop.row, error.findings, sender_ref)

    def may_grow(self, drop: ReadyDrop, *, settled_may: bool) -> bool:
        """What looks unfinished may still be written; for software that only stands still, always."""
        return drop.rest_seconds > 0 or (settled_may and self._profile is DropProfile.SETTLED)

    def wait_for_rest(self, drop: ReadyDrop, outcomes: Outcomes) -> None:
        """Its end is not there: incomplete, until it changes or its settle time is over."""
        seconds = drop.rest_seconds if drop.rest_seconds > 0 else FOREVER
        outcomes.wait_for(drop.row, (content_name(drop.observation),), seconds)

    def is_first_reading(self, drop: ReadyDrop, content: object) -> bool:
        """Of software that only stands still a second one decides that finds the same, the settle time later.

        Sizes and times say nothing of files that were given their room before their bytes.
        """
        if self._profile is not DropProfile.SETTLED:
            return False
        fingerprint = drop.observation.identity.fingerprint
        seconds = self._readings.seconds_equal(drop.row.name, (fingerprint, content))
        return seconds < self._settle_seconds
