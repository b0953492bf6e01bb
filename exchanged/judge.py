"""The judge: every landed item is looked at once, in the order of landing, and moves on.

Valid, refused, or held: doubt holds, it never passes and never blames. Attempts are counted before
the work; what was in work when the process died is looked at alone, and the third crash of one item
while alone quarantines it. Packets are examined in worker processes; receipts and hop notes are
verified here (their signature before anything is parsed).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from exchanged.applying import Applying
from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.config_values import ScannerConfig
from exchanged.decisions import (
    DIRECTORY_BEHIND,
    DIRECTORY_BEHIND_SECONDS,
    Held,
    Suspicious,
    hold,
    quarantine,
)
from exchanged.errors import (
    CheckTakesLongError,
    NoSpaceError,
    StoredPartRottenError,
    VolumeDamagedError,
    WorkerDiedError,
)
from exchanged.examine import Examined, ExamineWork, Scope, StoredBlob, examine
from exchanged.ledger import (
    Ledger,
    Transaction,
    arrivals,
    awaited,
    batches,
    blobs,
    cases,
    releasing,
    restoring,
)
from exchanged.ledger.rows import ArrivalRow
from exchanged.pool import WorkPool
from exchanged.receipts import Links
from exchanged.retry import Backoff
from exchanged.rotten import tell_rotten_part
from exchanged.routing import origin_of
from exchanged.slow_answers import SlowAnswers
from exchanged.soundness import ClockGuard
from exchanged.spool import Spool
from exchanged.states import Event
from exchanged.station import NOW
from exchanged.trust import Trust
from packet_spec.errors import (
    AuthorityError,
    DatedAheadError,
    ExchangeError,
    PackUnknownError,
    UnknownKeyError,
    UnknownSuiteError,
)
from packet_spec.findings import Outcome
from packet_spec.model import ItemKind, NodeRole

_LOG: Final = logging.getLogger("exchanged")
_GROUP: Final = 64
_CRASHES: Final = 3
# What is dated ahead is looked at when it may count, or after this time: clocks are set right meanwhile.
_AHEAD_SECONDS: Final = 43_200.0
# What no delay has helped waits as long again as it waited so far, up to this.
_LONGEST_DELAY_SECONDS: Final = 3_600.0
_CLOCK_SET_BACK: Final = timedelta(minutes=1)
HELD_FOR_A_KEY: Final = 4_096
"""Of one link, for a key that the directory does not list: more than comes before a directory does.

And as many for a time that has not come. The rest is set aside, where it costs nothing but room, until a
person has looked.
"""
TOO_MANY_UNKNOWN: Final = "too-many-unknown-keys"
TOO_MANY_AHEAD: Final = "too-many-dated-ahead"
_BOUNDED: Final = frozenset({UnknownKeyError.reference, DatedAheadError.reference})
# Why something looks forged by a directory that may only be old.
_BY_DIRECTORY: Final = frozenset(
    {"packet-by-a-wrong-road", "packet-in-a-foreign-mailbox", "note-by-a-wrong-road"}
)


class PacketJudge(Protocol):
    """What a node decides about an examined packet: admission, reception at an agency, or transit."""

    def scope(self, sender: str) -> Scope:
        """How much of a packet of that sender is looked at here. ``sender`` is what the waybill says."""

    def decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        """Move the arrival on. Raises Held or Suspicious to hold or quarantine it, with nothing else."""


@dataclass(frozen=True, slots=True)
class JudgeTools:
    """What the judge works with. ``packs`` is the folder of the packs."""

    ledger: Ledger
    spool: Spool
    trust: Trust
    packs: Path
    pool: WorkPool
    clock: Clock
    clock_guard: ClockGuard
    randomness: Randomness
    backoff: Backoff
    links: Links
    blobs: BlobStore
    scanner: ScannerConfig | None = None


class Judge:
    """The station ``judge``."""

    name = "judge"

    def __init__(self, tools: JudgeTools, packets: PacketJudge, statements: Applying) -> None:
        self._tools = tools
        self._packets = packets
        self._statements = statements
        self._alone: set[int] | None = None
        self._has_released = False
        self._latest: datetime | None = None
        self._slow: SlowAnswers[int] = SlowAnswers(tools.pool)

    def step(self) -> float | None:
        """Judge one group. Seconds until a held item is due again."""
        ledger, clock = self._tools.ledger, self._tools.clock
        if self._alone is None:
            self._alone = set(ledger.write(_begin))
        if answered := self._slow.take():
            ledger.write(lambda tx: releasing.release_held(tx, answered, CheckTakesLongError.reference))
        more = self._release()
        is_restoring = restoring.is_going_on(ledger.read())
        rows = arrivals.due(ledger.read(), _GROUP, is_restoring=is_restoring)
        alone = [row for row in rows if row.id in self._alone]
        if alone:
            self._judge_alone(alone[0])
            return NOW
        if rows:
            ledger.write(lambda transaction: arrivals.begin_work(transaction, tuple(row.id for row in rows)))
            self._judge_group(rows)
            return NOW
        if more:
            return NOW
        due = releasing.next_release(ledger.read())
        return None if due is None else max(0.05, (due - clock.now()).total_seconds())

    def _release(self) -> bool:
        """Let a group of what is held come back. True when more may follow.

        It has older turns than what came since, so it goes before that: every other group is for the rest.
        """
        ledger, now = self._tools.ledger, self._tools.clock.now()
        if self._latest is not None and self._latest - now > _CLOCK_SET_BACK:
            # What is held until a time was held by a clock that was wrong.
            ledger.write(releasing.mark)
            self._latest = now
        self._latest = now if self._latest is None else max(now, self._latest)
        if not (releasing.is_due(ledger.read(), now) or awaited.is_due(ledger.read())):
            self._has_released = False
            return False
        self._has_released = not self._has_released and bool(ledger.write(_let_come_back))
        return True

    def _judge_alone(self, row: ArrivalRow) -> None:
        """An item that was in work when the process died: only a crash while alone counts.

        The workers are up before it begins: starting them takes a hundred times longer than the work, and
        who is killed in that time proves nothing against the item.
        """
        assert self._alone is not None  # noqa: S101 - set at the first step
        self._tools.pool.await_ready()
        self._alone.discard(row.id)
        self._tools.ledger.write(lambda transaction: arrivals.begin_work(transaction, (row.id,), alone=True))
        self._judge_group((row,))

    def _judge_group(self, rows: tuple[ArrivalRow, ...]) -> None:
        if not self._tools.trust.version:
            self._tools.ledger.write_each([partial(self._hold_undecided, row=row) for row in rows])
            return
        packets = [row for row in rows if row.kind is ItemKind.PACKET]
        works = [self._work(row) for row in packets]
        answers = dict(zip((row.id for row in packets), self._tools.pool.run(examine, works), strict=True))
        for row, work in zip(packets, works, strict=True):
            self._slow.note(examine, work, answers[row.id], row.id)
        failed: dict[int, Exception] = {}
        try:
            self._tools.ledger.write_each(
                [partial(self._one, row=row, answer=answers.get(row.id), failed=failed) for row in rows]
            )
        except (VolumeDamagedError, NoSpaceError):
            raise
        except Exception:
            if not failed:
                raise
            self._set_aside([row for row in rows if row.id in failed], failed)

    def _set_aside(self, rows: list[ArrivalRow], failed: Mapping[int, Exception]) -> None:
        """Deciding about these failed inside, and was undone: they stop only themselves (I9)."""
        for row in rows:
            error = failed[row.id]
            _LOG.error("event=judge-bug packet=%s item=%s", row.key, row.kind.value, exc_info=error)
        self._tools.ledger.write_each(
            [partial(self._crashed, row=row, reason="judge-failed") for row in rows]
        )

    def _hold_undecided(self, transaction: Transaction, *, row: ArrivalRow) -> None:
        hold(transaction, row, "no-directory")

    def _work(self, row: ArrivalRow) -> ExamineWork:
        proof, scope = self._tools.trust.proof, self._packets.scope(row.key.sender)
        stored = self._stored_blobs(row) if scope is Scope.STANDARD else ()
        return ExamineWork(
            str(self._tools.spool.path(row.bytes_at.name)),
            row.bytes_at.start,
            row.bytes_at.length,
            str(proof.path),
            proof.roots,
            proof.threshold,
            scope,
            self._origin(row),
            packs=str(self._tools.packs),
            blobs=stored,
            scanner=self._tools.scanner,
        )

    def _stored_blobs(self, row: ArrivalRow) -> tuple[StoredBlob, ...]:
        """The large parts that the waybill named and that lie here."""
        connection = self._tools.ledger.read()
        return tuple(
            StoredBlob(digest, str(self._tools.blobs.path(digest, generation)), size)
            for digest, size in blobs.named_by(connection, row.id).items()
            if (generation := blobs.kept_generation(connection, digest)) is not None
        )

    def _origin(self, row: ArrivalRow) -> str:
        """Whose other packets wait when this one takes long."""
        peer = self._tools.links.peer_of(row.link)
        return origin_of(self._tools.trust.directory, row.link, peer, row.key.sender)

    def _one(
        self,
        transaction: Transaction,
        *,
        row: ArrivalRow,
        answer: Examined | ExchangeError | None,
        failed: dict[int, Exception],
    ) -> None:
        """Decide about one item; what fails inside is named in ``failed`` and undone."""
        try:
            self._decide_one(transaction, row, answer)
        except ExchangeError:
            raise
        except Exception as error:
            failed[row.id] = error
            raise

    def _decide_one(
        self, transaction: Transaction, row: ArrivalRow, answer: Examined | ExchangeError | None
    ) -> None:
        """Hold and quarantine are decisions like any other; what was written on the way to them is undone."""
        if not arrivals.is_due(transaction.connection, row.id):
            # An operator was faster: it is on hold.
            return
        try:
            with transaction.part():
                self._move_on(transaction, row, answer)
        except Held as decision:
            hold(transaction, row, decision.reason, decision.again_in_seconds)
            if decision.awaits is not None:
                awaited.note(transaction, row, decision.awaits)
        except Suspicious as decision:
            decision.beside(transaction)
            by_directory = decision.by_directory or decision.reason in _BY_DIRECTORY
            self._suspect(transaction, row, decision.reason, by_directory=by_directory)
        except UnknownKeyError as error:
            self._hold_unknown(transaction, row, error)
        except PackUnknownError as error:
            note = f"by {error.found}; here: {error.expected}"
            hold(transaction, row, error.reference, None, note)
        except StoredPartRottenError as error:
            hold(transaction, row, error.reference, self._long_delay(transaction, row, error.reference))
            tell_rotten_part(transaction, error)
        except WorkerDiedError:
            self._crashed(transaction, row=row, reason="worker-died")
        except VolumeDamagedError:
            # Our own volume, not the packet: the process must end.
            raise
        except ExchangeError as error:
            if error.temporary:
                hold(transaction, row, error.reference, self._long_delay(transaction, row, error.reference))
            else:
                by_directory = isinstance(error, AuthorityError)
                self._suspect(transaction, row, error.reference, by_directory=by_directory)

    def _move_on(
        self, transaction: Transaction, row: ArrivalRow, answer: Examined | ExchangeError | None
    ) -> None:
        if answer is None:
            self._statements.apply(transaction, row, self._tools.spool.read(row.bytes_at))
        elif isinstance(answer, ExchangeError):
            raise answer
        else:
            self._decide(transaction, row, answer)

    def _suspect(self, transaction: Transaction, row: ArrivalRow, reason: str, *, by_directory: bool) -> None:
        """Quarantined, unless only the directory says so and it is old.

        Of one link no more is held so than for unknown keys: that it is old is the neighbour's word.
        """
        if (
            by_directory
            and self._is_behind(transaction, row)
            and not self._are_many(transaction, row, DIRECTORY_BEHIND)
        ):
            hold(transaction, row, DIRECTORY_BEHIND, DIRECTORY_BEHIND_SECONDS)
        else:
            quarantine(transaction, row, reason)

    def _is_behind(self, transaction: Transaction, row: ArrivalRow) -> bool:
        """The neighbour judged by a newer directory than ours, which it serves us first (C24): doubt holds.

        An agency's own word that it has a newer one is no reason to hold what looks forged.
        """
        trust = self._tools.trust
        neighbour = trust.directory.node(self._tools.links.peer_of(row.link))
        is_between = neighbour is not None and neighbour.role is not NodeRole.FRONTEND
        return is_between and batches.neighbour_directory(transaction.connection, row.link) > trust.edition

    def _crashed(self, transaction: Transaction, *, row: ArrivalRow, reason: str) -> None:
        if arrivals.count_crash(transaction, row) >= _CRASHES:
            quarantine(transaction, row, "crashed-three-times")
        else:
            hold(transaction, row, reason, self._delay(row))

    def _decide(self, transaction: Transaction, row: ArrivalRow, examined: Examined) -> None:
        if examined.seal.key != row.key:
            raise Suspicious("waybill-names-another-packet")
        if not self._tools.links.peer_of(row.link):
            # The configuration lost or renamed the link: nobody can tell whose word it is.
            raise Held("link-not-configured")
        if not self._tools.trust.is_current(transaction.now):
            raise Held("directory-expired")
        if examined.verdict.outcome is Outcome.HELD:
            reason = examined.verdict.held_because or "not-decidable"
            raise Held(reason, self._long_delay(transaction, row, reason))
        self._packets.decide(transaction, row, examined)

    def _hold_unknown(self, transaction: Transaction, row: ArrivalRow, error: UnknownKeyError) -> None:
        if isinstance(error, DatedAheadError):
            if self._are_too_many(transaction, row, error):
                quarantine(transaction, row, TOO_MANY_AHEAD)
            else:
                hold(transaction, row, error.reference, min(error.counts_in_seconds, _AHEAD_SECONDS))
        elif isinstance(error, UnknownSuiteError):
            # Only another program can change this: looked at again by itself, as another version is.
            seconds = self._long_delay(transaction, row, error.reference)
            hold(transaction, row, error.reference, seconds, error.summary)
        elif self._are_too_many(transaction, row, error):
            quarantine(transaction, row, TOO_MANY_UNKNOWN)
        else:
            hold(transaction, row, error.reference, None)

    def _are_too_many(self, transaction: Transaction, row: ArrivalRow, error: UnknownKeyError) -> bool:
        """No more is held for keys that nobody may ever list, or for a far day."""
        return error.reference in _BOUNDED and self._are_many(transaction, row, error.reference)

    def _are_many(self, transaction: Transaction, row: ArrivalRow, reason: str) -> bool:
        """What is held for that reason already stays so."""
        if row.reason == reason:
            return False
        return arrivals.has_many_held(transaction.connection, row.link, reason, HELD_FOR_A_KEY)

    def _long_delay(self, transaction: Transaction, row: ArrivalRow, reason: str) -> float:
        """Of what time alone may help: the longer it has been so, the longer it may wait once more.

        A slow check is asked for as soon as it may be done.
        """
        delay = self._delay(row)
        if reason == CheckTakesLongError.reference or row.reason != reason:
            return delay
        waited = (transaction.now - row.since).total_seconds()
        return max(delay, min(waited, _LONGEST_DELAY_SECONDS))

    def _delay(self, row: ArrivalRow) -> float:
        return self._tools.backoff.delay(row.tries + 1, self._tools.randomness.fraction())


def _let_come_back(transaction: Transaction) -> int:
    """A group of what waited for a case that changed, and one of what comes back by itself."""
    return cases.wake(transaction, _GROUP) + releasing.release(transaction, _GROUP)


def _begin(transaction: Transaction) -> tuple[int, ...]:
    """At start: what was in work when the process died. What was held is looked at again.

    The reason to hold may be gone without anybody having been told: a directory taken in the moment of
    a power cut, a newer program.
    """
    alone = []
    for row, was_alone in arrivals.after_unclean_stop(transaction):
        if was_alone and arrivals.count_crash(transaction, row) >= _CRASHES:
            arrivals.keep(transaction, row, Event.QUARANTINE, "crashed-three-times")
        else:
            alone.append(row.id)
    releasing.mark(transaction)
    return tuple(alone)
