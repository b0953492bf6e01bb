"""The outbox: every scan is the whole truth, and brings each drop as far as it goes (C13, C20).

Guarantees: nothing is done, and nothing concluded from absence, unless the outbox holds its marker
before and after it was listed; a drop that went away before it was taken is withdrawn; what is no drop
is reported once and left alone; work that ended the process is repeated alone. File events are hints: a
missed one costs ``scan_seconds``.

Leaves to others: judging and taking (``checking``), moving originals and status files (``effects``).
Known limit: of an outbox with more names than ``scan_names`` only that many are looked at, and then no
drop counts as withdrawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.config import DropProfile, ScannerConfig
from exchanged.decryption_keys import DecryptionKeys
from exchanged.disk_floor import DiskFloor
from exchanged.durable import DurableFiles
from exchanged.errors import CheckTakesLongError, ForeignVolumeError, NoSpaceError
from exchanged.keyring import KeyAt
from exchanged.ledger import Ledger, drops
from exchanged.ledger.drops import DropRow, Original
from exchanged.log import event_line
from exchanged.pool import WorkPool
from exchanged.receipts import Links
from exchanged.retry import Backoff
from exchanged.spool import Spool
from exchanged.states import DropState
from exchanged.station import NOW
from exchanged.trust import Trust
from frontend_server.acceptance import Acceptance
from frontend_server.checking import NO_DIRECTORY, Checker, CheckSettings, Dispose
from frontend_server.copying import Copier
from frontend_server.encrypting import Encrypter
from frontend_server.folders import OUTBOX, AgencyFolders, MarkerState
from frontend_server.growing import ReadyDrop
from frontend_server.markers import DropMarker
from frontend_server.outbox import DropKind, Observation, OutboxListing, list_names
from frontend_server.outcomes import FOREVER, POISON, Outcomes
from frontend_server.pause_sign import PauseSign
from frontend_server.readiness import Readiness, StandingStill, decide
from frontend_server.scan import bring_together
from frontend_server.sealing import Sealer
from packet_spec.limits import MIB, PACKET_XML_BYTES

# One group is sealed into one spool file and committed at once; its documents are held in memory.
_GROUP_DROPS: Final = 64
_GROUP_BYTES: Final = 64 * MIB
# Groups of one step: then a stop is heard.
_GROUPS: Final = 16
# So long after a scan its findings are worked off before the outbox is listed again, and so many times as
# long as the scan took. What changed meanwhile shows when it is read.
_STALE_SECONDS: Final = 30.0
_SCANS_SHARE: Final = 5.0
_SOONEST_SECONDS: Final = 0.05
_FILE_BITS: Final = 0o666


@dataclass(frozen=True, slots=True)
class IntakeSettings:
    """One outbox. ``node`` and ``agency`` are codes; the rest is as in [folders] and [limits]."""

    node: str
    agency: str
    profile: DropProfile
    settle_seconds: float
    scan_seconds: float
    optional_sha256: bool
    scan_names: int
    scanner: ScannerConfig | None = None


class Intake:
    """The station ``intake`` of a front-end."""

    name = "intake"

    def __init__(
        self,
        *,
        ledger: Ledger,
        folders: AgencyFolders,
        spool: Spool,
        blobs: BlobStore,
        files: DurableFiles,
        floor: DiskFloor,
        trust: Trust,
        packs: Path,
        links: Links,
        pool: WorkPool,
        seal_key: KeyAt,
        decryption_keys: DecryptionKeys,
        dispose: Dispose,
        clock: Clock,
        randomness: Randomness,
        backoff: Backoff,
        settings: IntakeSettings,
        dating_doubt: Callable[[], str],
    ) -> None:
        """``files`` are those of our own volume, where spool and blobs lie; ``packs`` is a folder there."""
        self._ledger = ledger
        self._folders = folders
        self._trust = trust
        self._clock = clock
        self._randomness = randomness
        self._backoff = backoff
        self._settings = settings
        self._copier = Copier(blobs, files, randomness, floor)
        self._floor = floor
        self._sign = PauseSign(folders, folders.files, file_mode=folders.mode & _FILE_BITS)
        sealer = Sealer(seal_key)
        encrypter = Encrypter(
            settings.node, ledger, blobs, files, trust, decryption_keys, clock, randomness, floor
        )
        self._checker = Checker(
            ledger,
            trust,
            links,
            pool,
            self._copier,
            Acceptance(ledger, spool, blobs, sealer, encrypter, clock, randomness),
            dispose,
            clock,
            CheckSettings(
                node=settings.node,
                agency=settings.agency,
                profile=settings.profile,
                settle_seconds=settings.settle_seconds,
                optional_sha256=settings.optional_sha256,
                packs=packs,
                scanner=settings.scanner,
            ),
            dating_doubt,
        )
        self._still = StandingStill(clock)
        # name -> how it looked, and until when (monotonic) it need not be read again while it looks so.
        self._resting: dict[bytes, tuple[object, float]] = {}
        # Held because a check took long, and more was told of it since.
        self._answered: set[bytes] = set()
        self._alone: set[int] = set()
        self._ready: list[ReadyDrop] = []
        self._ready_until = 0.0
        self._is_in_order = False
        self._is_too_full = False
        self._sign_problem = ""

    def step(self) -> float | None:
        """One scan, or more of what the last one found.

        Raises ForeignVolumeError when the outbox cannot be read, VolumeDamagedError.
        """
        if not self._is_in_order:
            self._recover()
        if self._folders.check_marker(self._ledger, OUTBOX) is not MarkerState.GOOD:
            return self._settings.scan_seconds
        self._tell_floor()
        with self._folders.opened(OUTBOX) as outbox:
            if self._ready and self._clock.monotonic() < self._ready_until:
                return self._go_on(outbox)
            began = self._clock.monotonic()
            # What was taken and still lies there must not keep the others from being seen.
            leaving = drops.leaving(self._ledger.read())
            listing = list_names(outbox, self._settings.scan_names, leaving)
            if self._folders.check_marker(self._ledger, OUTBOX) is not MarkerState.GOOD:
                return self._settings.scan_seconds
            if listing.truncated is not self._is_too_full:
                self._is_too_full = listing.truncated
                event_line("outbox-too-full", level=logging.ERROR, is_so=listing.truncated)
            # Should a bug raise in the middle, what was in work is done alone, as after a crash.
            self._is_in_order = False
            again = self._scan(outbox, listing)
            took = self._clock.monotonic() - began
            self._ready_until = began + _STALE_SECONDS + took * _SCANS_SHARE
            self._work_off(outbox, again)
            self._is_in_order = True
            return NOW if self._ready else max(min(again), _SOONEST_SECONDS)

    def _go_on(self, outbox: int) -> float:
        self._is_in_order = False
        self._work_off(outbox, [])
        self._is_in_order = True
        return NOW

    def _tell_floor(self) -> None:
        """Below the disk floor the outbox says so; a sign that cannot be put up stops no drop."""
        problem = ""
        try:
            self._sign.show(is_paused=self._floor.is_low())
        except (ForeignVolumeError, NoSpaceError) as error:
            problem = error.reference
        if problem and problem != self._sign_problem:
            event_line("pause-sign-not-changed", level=logging.WARNING, error=problem)
        self._sign_problem = problem

    def _recover(self) -> None:
        """What was in work when the process ended is done alone; who ends it alone thrice is poison."""
        self._ready.clear()
        self._checker.keep_only({})
        self._copier.remove_leftovers()
        outcomes = self._outcomes({})
        interrupted = [row for row in drops.live(self._ledger.read()).values() if row.in_work]
        for row in interrupted:
            self._alone.add(row.id)
            if row.in_work > 1:
                outcomes.crashed(row, "crashed-while-checking")
        outcomes.commit()
        if interrupted:
            self._ledger.write(lambda tx: drops.end_work(tx, [row.id for row in interrupted]))
        self._is_in_order = True

    def _scan(self, outbox: int, listing: OutboxListing) -> list[float]:
        """Find what is ready. After how many seconds time alone changes what was found, each."""
        rows, seen = bring_together(
            self._ledger, outbox, listing, self._settings.profile, passed_over=self._sign.names()
        )
        names = set(seen)
        self._still.keep_only(names)
        self._checker.keep_only({name: observation.look for name, observation in seen.items()})
        for name in self._resting.keys() - names:
            del self._resting[name]
        self._answered = (self._answered | self._checker.answered()) & names
        outcomes = self._outcomes(seen)
        again = [self._settings.scan_seconds]
        self._ready.clear()
        for name in sorted(seen, key=lambda name: (seen[name].identity.mtime, name)):
            drop = self._sort_out(rows[name], seen[name], outcomes, again)
            if drop is not None:
                self._ready.append(drop)
        outcomes.commit()
        self._rest(outcomes, seen)
        return again

    def _work_off(self, outbox: int, again: list[float]) -> None:
        """Some groups of what is ready, the oldest first."""
        for _ in range(_GROUPS):
            group = self._choose(self._ready)
            if not group:
                break
            del self._ready[: len(group)]
            seen = {drop.observation.name: drop.observation for drop in group}
            outcomes = self._outcomes(seen)
            self._answered.difference_update(drop.row.name for drop in group)
            is_alone = group[0].row.id in self._alone
            self._alone.difference_update(drop.row.id for drop in group)
            self._checker.work(outbox, group, outcomes, alone=is_alone)
            self._rest(outcomes, seen)
            again.extend(outcomes.rests.values())

    def _sort_out(
        self, row: DropRow, observation: Observation, outcomes: Outcomes, again: list[float]
    ) -> ReadyDrop | None:
        """What the observation alone tells; a drop to work on when it tells nothing against it."""
        if row.original is Original.KEPT or not self._is_due(row, again):
            return None
        still = self._still.seconds(observation)
        settings = self._settings
        decision = decide(observation, settings.profile, still, settings.settle_seconds)
        if decision.again_in_seconds is not None:
            again.append(decision.again_in_seconds)
        match decision.readiness:
            case Readiness.READY:
                rest = settings.settle_seconds - still
                return None if self._is_resting(observation, again) else ReadyDrop(row, observation, rest)
            case Readiness.INCOMPLETE:
                outcomes.wait_for(row, decision.missing, 0.0)
            case Readiness.REFUSE:
                outcomes.refuse(row, decision.findings)
            case Readiness.KEEP:
                outcomes.keep(row, decision.findings)
            case Readiness.HOLD:
                outcomes.hold_unread(row, decision.reason)
            case Readiness.WAIT:
                pass
        return None

    def _is_due(self, row: DropRow, again: list[float]) -> bool:
        """A held drop is tried again when its time has come, or what held it is over."""
        if row.state is not DropState.HELD:
            return True
        if row.reason == POISON:
            return False
        if row.name in self._answered and row.reason == CheckTakesLongError.reference:
            return True
        now = self._clock.now()
        if row.reason == NO_DIRECTORY:
            return self._trust.is_current(now)
        rest = 0.0 if row.retry_at is None else (row.retry_at - now).total_seconds()
        # A time beyond the longest delay was written by a clock that has been set back since.
        if rest <= 0 or rest > self._backoff.max_seconds:
            return True
        again.append(rest)
        return False

    def _is_resting(self, observation: Observation, again: list[float]) -> bool:
        look, until = self._resting.get(observation.name, (None, 0.0))
        rest = until - self._clock.monotonic()
        if look != observation.look or rest <= 0:
            return False
        if rest < FOREVER:
            again.append(rest)
        return True

    def _rest(self, outcomes: Outcomes, seen: Mapping[bytes, Observation]) -> None:
        now = self._clock.monotonic()
        for name, seconds in outcomes.rests.items():
            self._resting[name] = (seen[name].look, now + seconds)

    def _choose(self, ready: Sequence[ReadyDrop]) -> list[ReadyDrop]:
        """The group to work on now: the oldest drops, or one that must be done alone."""
        group: list[ReadyDrop] = []
        weight = 0
        for drop in ready:
            if drop.row.id in self._alone:
                return group or [drop]
            weight += _weight(drop.observation)
            if group and (len(group) == _GROUP_DROPS or weight > _GROUP_BYTES):
                break
            group.append(drop)
        return group

    def _outcomes(self, seen: Mapping[bytes, Observation]) -> Outcomes:
        marked = {name: DropMarker.of(each.marker) for name, each in seen.items() if each.marker is not None}
        return Outcomes(self._ledger, self._clock, self._randomness, self._backoff, marked)


def _weight(observation: Observation) -> int:
    """About how much memory the drop's document takes; a zip's is not known before it is opened."""
    if observation.kind is DropKind.ZIP:
        return PACKET_XML_BYTES
    return min(observation.identity.size, PACKET_XML_BYTES)
