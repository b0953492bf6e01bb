"""Work on the drops that are ready: read, judge, copy, inspect, take; and say of each what became of it.

Guarantees: attempts are counted before the work; a file is read through one descriptor from first to
last byte, packet.xml before anything else; what cannot be told holds a drop and blames nobody; what is
missing or merely short makes it incomplete. A drop that ends its worker three times is left alone. A large
drop is not copied before its copy can be kept until its documents were looked into; small ones pass it.

Leaves to others: which drops are worked on, and when again (``intake``); what may still be written
(``growing``); the taking (``acceptance``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from exchanged import forks
from exchanged.clock import Clock
from exchanged.config import DropProfile, ScannerConfig
from exchanged.errors import (
    CheckTakesLongError,
    FileOperationError,
    NoSpaceError,
    NotFoundError,
    VolumeDamagedError,
    WorkerDiedError,
)
from exchanged.ledger import Ledger, Transaction, drops
from exchanged.ledger.drops import DropRow
from exchanged.pool import WorkPool
from exchanged.receipts import Links
from exchanged.slow_answers import SlowAnswers
from exchanged.trust import Trust
from frontend_server import taking
from frontend_server.acceptance import Acceptance, Accepted
from frontend_server.addressing import find_links
from frontend_server.completeness import digest_findings
from frontend_server.copying import CopiedDrop, Copier
from frontend_server.documents import first_refusals, inspect_copies, is_large
from frontend_server.drops import DropRefusedError
from frontend_server.encrypting import IN_CLEAR, Recipients
from frontend_server.growing import Growing, ReadyDrop
from frontend_server.judging import DropVerdict, DropWork, judge_drop
from frontend_server.kept_copies import KeptCopies
from frontend_server.markers import DropMarker, marker_of
from frontend_server.outbox import DropKind, Observation, observe
from frontend_server.outcomes import FOREVER, Outcomes
from frontend_server.reading import FittingMarkers, ReadDrop, read_drop
from frontend_server.sealing import Checked
from frontend_server.taking import Candidate
from packet_spec.encryption_rules import demands_encryption, receiving_keys
from packet_spec.envelope import missing_digest_findings
from packet_spec.errors import ExchangeError
from packet_spec.findings import Finding, Outcome, verdict_of
from packet_spec.model import Disposition, Packet
from packet_spec.signing import PublicKey

NO_DIRECTORY: Final = "directory-not-current"
NODE_SET_BACK: Final = "node-set-back"
"""Held: this node runs on an older copy of its ledger, as the neighbour shows that the drop would go to."""

Dispose = Callable[[Transaction, Disposition], tuple[Finding, ...]]
"""Answers a delivered packet in a transaction: no findings mean that the receipt is issued (C22)."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Of the folder's profile, and who sends: ``node`` and ``agency`` are codes; ``packs`` is a folder."""

    node: str
    agency: str
    profile: DropProfile
    settle_seconds: float
    optional_sha256: bool
    packs: Path
    scanner: ScannerConfig | None = None


@dataclass(frozen=True, slots=True)
class _Work:
    drop: ReadyDrop
    read: ReadDrop


class Checker:
    """Works on groups of drops of one outbox. Used by one thread."""

    def __init__(
        self,
        ledger: Ledger,
        trust: Trust,
        links: Links,
        pool: WorkPool,
        copier: Copier,
        acceptance: Acceptance,
        dispose: Dispose,
        clock: Clock,
        settings: CheckSettings,
        dating_doubt: Callable[[], str],
    ) -> None:
        """``dating_doubt``: why nothing may be sealed now because of the clock, or empty."""
        self._dating_doubt = dating_doubt
        self._ledger = ledger
        self._trust = trust
        self._links = links
        self._pool = pool
        self._copier = copier
        self._acceptance = acceptance
        self._dispose = dispose
        self._clock = clock
        self._settings = settings
        self._growing = Growing(clock, settings.profile, settings.settle_seconds)
        self._fitting = FittingMarkers()
        self._kept = KeptCopies(copier.discard)
        self._slow: SlowAnswers[bytes] = SlowAnswers(pool)

    def keep_only(self, looks: Mapping[bytes, object]) -> None:
        """Forget what is remembered of drops but those that look as in ``looks``."""
        self._growing.keep_only(looks)
        self._fitting.keep_only(looks)
        self._kept.keep_only(looks)

    def answered(self) -> set[bytes]:
        """The names of drops held because a check took long, of which a worker has told more since; once."""
        return self._slow.take()

    def work(self, outbox: int, group: Sequence[ReadyDrop], outcomes: Outcomes, *, alone: bool) -> None:
        """Bring every drop of the group as far as it goes now; everything is committed on return.

        Raises what is no drop's fault: VolumeDamagedError, and NoSpaceError, FileOperationError or
        NotFoundError (no incarnation); then nobody's attempt counts as a crash.
        """
        reason = self._dating_doubt() if self._trust.is_current(self._clock.now()) else NO_DIRECTORY
        if reason:
            for drop in group:
                outcomes.hold(drop.row, reason)
            outcomes.commit()
            return
        if alone:
            # Whoever is killed while the workers start proves nothing against the drop.
            self._pool.await_ready()
        self._ledger.write(lambda tx: _begin(tx, group, alone=alone))
        try:
            disposed = self._work(outbox, group, outcomes)
        except VolumeDamagedError:
            raise
        except ExchangeError:
            self._ledger.write(lambda tx: drops.end_work(tx, [drop.row.id for drop in group]))
            raise
        left = [drop.row.id for drop in group if drop.row.id not in outcomes.moved | disposed]
        if left:
            self._ledger.write(lambda tx: drops.end_work(tx, left))

    def _work(self, outbox: int, group: Sequence[ReadyDrop], outcomes: Outcomes) -> set[int]:
        """Read, judge, copy, take. Returns the row numbers that the taking disposed of."""
        self._kept.begin([drop.row.name for drop in group])
        with ExitStack() as stack:
            opened = [self._read(outbox, drop, outcomes, stack) for drop in group]
            works = [work for work in opened if work is not None]
            pieces = [self._drop_work(work) for work in works]
            answers = self._pool.run(judge_drop, pieces)
            candidates: list[Candidate] = []
            looks = {drop.row.id: drop.observation.look for drop in group}
            try:
                for work, piece, answer in zip(works, pieces, answers, strict=True):
                    self._slow.note(judge_drop, piece, answer, work.drop.row.name)
                    candidate = self._conclude(outbox, work, answer, outcomes)
                    if candidate is not None:
                        candidates.append(candidate)
                sound, at_work = self._inspect(candidates, looks, outcomes)
                for name in {drop.row.name for drop in group} - at_work:
                    # Held for something else, or not even read: nobody waits for its place.
                    self._kept.rest(name)
                outcomes.commit()
                return self._accept(sound, outcomes)
            finally:
                self._discard(candidates)

    def _read(
        self, outbox: int, drop: ReadyDrop, outcomes: Outcomes, stack: ExitStack
    ) -> _Work | None:
        try:
            read = read_drop(outbox, drop.observation, self._fitting)
        except ExchangeError as error:
            self._growing.could_not(drop, error, outcomes)
            return None
        stack.callback(read.source.close)
        if read.is_cut and self._growing.may_grow(drop, settled_may=True):
            self._growing.wait_for_rest(drop, outcomes)
            return None
        return _Work(drop, read)

    def _drop_work(self, work: _Work) -> DropWork:
        return DropWork(
            packet_xml=work.read.packet_xml,
            present=work.read.source.members,
            is_lone=work.drop.observation.kind is DropKind.XML,
            agency=self._settings.agency,
            directory=str(self._trust.path()),
            packs=self._settings.packs,
            now=self._clock.now(),
            optional_sha256=self._settings.optional_sha256,
        )

    def _conclude(
        self, outbox: int, work: _Work, answer: DropVerdict | ExchangeError, outcomes: Outcomes
    ) -> Candidate | None:
        """What the verdict means; a candidate when the drop shall be taken."""
        row, settle_seconds = work.drop.row, self._settings.settle_seconds
        if isinstance(answer, WorkerDiedError):
            outcomes.crashed(row, answer.reference)
        elif isinstance(answer, ExchangeError):
            outcomes.hold(row, answer.reference)
        elif answer.disposition is not None:
            self._answer_packet(outbox, work, answer.disposition, outcomes)
        elif answer.outcome is Outcome.HELD:
            outcomes.hold(row, answer.held_because, _sender_ref(answer))
        elif answer.completeness.missing:
            missing = answer.completeness.missing
            outcomes.wait_for(row, missing, FOREVER, _sender_ref(answer))
        elif (short := answer.completeness.short) and self._growing.may_grow(work.drop, settled_may=False):
            outcomes.wait_for(row, short, work.drop.rest_seconds, _sender_ref(answer))
        elif short and self._growing.is_first_reading(work.drop, short):
            outcomes.wait_for(row, short, settle_seconds, _sender_ref(answer))
        elif answer.outcome is Outcome.REFUSED or short or answer.packet is None:
            findings = (*answer.completeness.short_findings, *answer.findings)
            outcomes.refuse(row, findings, _sender_ref(answer))
        else:
            return self._prepare(outbox, work, answer, answer.packet, outcomes)
        return None

    def _prepare(
        self, outbox: int, work: _Work, answer: DropVerdict, packet: Packet, outcomes: Outcomes
    ) -> Candidate | None:
        """Copy a valid drop. An outcome instead when it cannot be sent, or not yet."""
        drop, envelope = work.drop, packet.envelope
        try:
            links = find_links(self._trust.directory, self._links, self._settings.node, envelope.recipients)
            if any(forks.marks(self._ledger.read(), link).set_back for _, link in links):
                # The seal numbers that it would take were used before, and it could not leave anyway (C15).
                outcomes.hold(drop.row, NODE_SET_BACK, envelope.sender_ref)
                return None
            encrypt_to = self._encrypt_to(packet)
            content = self._content(work, packet, answer.completeness.parts)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            self._growing.could_not(drop, error, outcomes, envelope.sender_ref)
            return None
        digests = [each.part.digest for each in content.parts]
        findings = digest_findings(packet.attachments, digests)
        if findings:
            self._discard_copy(drop.row.name, content)
            if self._growing.is_first_reading(drop, content.content_digest):
                named = tuple(finding.file for finding in findings)
                outcomes.wait_for(drop.row, named, self._settings.settle_seconds, envelope.sender_ref)
            else:
                outcomes.refuse(drop.row, (*findings, *answer.findings), envelope.sender_ref)
            return None
        if not _is_bound(packet) and self._growing.is_first_reading(drop, content.content_digest):
            self._discard_copy(drop.row.name, content)
            outcomes.leave(drop.row, self._settings.settle_seconds)
            return None
        return Candidate(
            row=drop.row,
            packet=packet,
            checked=Checked(answer.encoding, answer.pack),
            findings=answer.findings,
            content=content,
            links=links,
            is_unchanged=lambda: _is_unchanged(outbox, drop.observation),
            files=drop.observation.lasting,
            encrypt_to=encrypt_to,
            marker=marker_of(drop.observation),
        )

    def _encrypt_to(self, packet: Packet) -> Recipients:
        """The keys of everybody whom the parts are encrypted to, where a route wants that.

        Raises ReceiverKeyMissingError: nothing is sent in clear instead. Raises DropRefusedError for
        attachments without size or digest, whatever the profile: the receiver could compare nothing.
        """
        envelope, directory = packet.envelope, self._trust.directory
        if not packet.attachments or not demands_encryption(directory, envelope.sender, envelope.recipients):
            return IN_CLEAR
        if missing := missing_digest_findings(packet):
            raise DropRefusedError(*missing)
        keys = receiving_keys(directory, envelope.recipients, self._clock.now())
        return tuple((node, PublicKey(key.suite, key.public)) for node, key in keys)

    def _content(self, work: _Work, packet: Packet, parts: Sequence[int]) -> CopiedDrop:
        """The copy of an earlier attempt, else a new one; that of a large drop is kept from the beginning.

        Raises what copying raises, and CheckTakesLongError for a large drop whose copy could not be kept.
        """
        name, look, source = work.drop.row.name, work.drop.observation.look, work.read.source
        kept = self._kept.find(name, look, work.read.packet_xml)
        if kept is not None:
            return kept
        sizes = [source.members[index].size for index in parts]
        large = is_large(packet.attachments, sizes, self._settings.scanner)
        if large and not self._kept.has_room():
            raise CheckTakesLongError("the documents of earlier drops are being looked into")
        try:
            content = self._copier.copy(source, work.read.packet_xml, packet.attachments, parts)
        except NoSpaceError:
            self._kept.make_way(for_large=large)
            raise
        if large:
            self._kept.keep(name, look, content, is_at_work=True)
        return content

    def _inspect(
        self, candidates: Sequence[Candidate], looks: Mapping[int, object], outcomes: Outcomes
    ) -> tuple[list[Candidate], set[bytes]]:
        """The candidates whose copied documents are what they say; the others have an outcome.

        Beside them the names of the drops that the workers are still at. Their copies are kept, if there is
        room, and those about which nothing can be said now, where listed digests bind them.
        """
        sound: list[Candidate] = []
        at_work: set[bytes] = set()
        answers = inspect_copies(
            self._pool, candidates, self._settings.scanner, self._settings.packs, self._slow
        )
        for candidate, answer in zip(candidates, answers, strict=True):
            row, sender_ref = candidate.row, candidate.packet.envelope.sender_ref
            takes_long = isinstance(answer, CheckTakesLongError)
            cannot_tell = isinstance(answer, ExchangeError) and not isinstance(answer, WorkerDiedError)
            if takes_long or (cannot_tell and _is_bound(candidate.packet)):
                self._kept.keep(row.name, looks[row.id], candidate.content, is_at_work=takes_long)
            else:
                # The copy is nobody's but the candidate's: it leaves its place.
                self._kept.release(row.name)
            if takes_long:
                at_work.add(row.name)
            if isinstance(answer, WorkerDiedError):
                outcomes.crashed(row, answer.reference)
            elif isinstance(answer, ExchangeError):
                outcomes.hold(row, answer.reference, sender_ref)
            elif verdict_of(answer).outcome is Outcome.REFUSED:
                outcomes.refuse(row, first_refusals((*answer, *candidate.findings)), sender_ref)
            else:
                sound.append(replace(candidate, findings=first_refusals((*candidate.findings, *answer))))
        return sound, at_work

    def _answer_packet(
        self, outbox: int, work: _Work, disposition: Disposition, outcomes: Outcomes
    ) -> None:
        """A disposition has a transaction of its own: a wrong one must not undo what others did."""
        row, observation = work.drop.row, work.drop.observation
        if not _is_unchanged(outbox, observation):
            outcomes.leave(row, self._settings.settle_seconds)
            return
        marker = marker_of(observation)
        try:
            self._ledger.write(lambda tx: self._dispose_in(tx, row, disposition, marker))
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            outcomes.hold(row, error.reference)
        else:
            outcomes.moved.add(row.id)

    def _dispose_in(
        self, tx: Transaction, row: DropRow, disposition: Disposition, marker: DropMarker | None
    ) -> None:
        findings = self._dispose(tx, disposition)
        if findings:
            taking.refuse(tx, row, findings, marker=marker)
        else:
            taking.dispose(tx, row, marker)

    def _accept(self, candidates: Sequence[Candidate], outcomes: Outcomes) -> set[int]:
        """Take them together; should one of them make that impossible, each by itself."""
        if not candidates:
            return set()
        try:
            accepted = self._acceptance.accept(candidates)
        except (VolumeDamagedError, NoSpaceError, FileOperationError, NotFoundError):
            raise
        except ExchangeError as error:
            if len(candidates) > 1:
                return set().union(*(self._accept([candidate], outcomes) for candidate in candidates))
            accepted = Accepted(failed={candidates[0].row.id: error})
        for candidate in candidates:
            problem = accepted.failed.get(candidate.row.id)
            if problem is not None and self._is_open(candidate.row):
                outcomes.hold(candidate.row, problem.reference, candidate.packet.envelope.sender_ref)
        outcomes.commit()
        return accepted.disposed

    def _is_open(self, row: DropRow) -> bool:
        return drops.get(self._ledger.read(), row.id).state is row.state

    def _discard(self, candidates: Sequence[Candidate]) -> None:
        for candidate in candidates:
            if not self._kept.holds(candidate.row.name):
                self._copier.discard(candidate.content)

    def _discard_copy(self, name: bytes, content: CopiedDrop) -> None:
        self._kept.release(name)
        self._copier.discard(content)


def _begin(tx: Transaction, group: Sequence[ReadyDrop], *, alone: bool) -> None:
    for drop in group:
        drops.begin_work(tx, drop.row.id, alone=alone)


def _is_bound(packet: Packet) -> bool:
    """The packet itself says what each of its documents is, byte for byte."""
    return all(listed.sha256 is not None for listed in packet.attachments)


def _sender_ref(answer: DropVerdict) -> str:
    return "" if answer.packet is None else answer.packet.envelope.sender_ref


def _is_unchanged(outbox: int, observation: Observation) -> bool:
    marker = None if observation.marker is None else observation.marker.name
    now = observe(outbox, observation.name, marker)
    return now is not None and now.look == observation.look
