"""Take drops: seal them into one group, then commit them in one transaction (C13).

Guarantees: bytes are durable before the ledger names them; a drop becomes a packet, its destinations,
its place in the queue and its put-away original in one transaction, or nothing of it happens. Whether
the content is under way already is asked again inside that transaction, so two drops of one content in
one scan end as a packet and a duplicate. Numbers are taken before the signature; a gap after a crash
blocks nobody (C15).

Leaves to others: everything before (``intake``), and the effects that it intends (``effects``). Known limit:
a large part of a drop that proved to be a duplicate in that transaction lies in the store, named by nobody,
until the next start, because a link may be landing the same one under the same name just now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial

from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.durable import DurableWriter
from exchanged.errors import FileOperationError, NoSpaceError, NotFoundError, VolumeDamagedError
from exchanged.ledger import Connection, Ledger, Transaction, blobs, drops, pins, spool
from exchanged.log import event_line
from exchanged.ranges import SpoolRange
from exchanged.spool import Spool
from frontend_server.copying import CopiedDrop
from frontend_server.encrypting import Carried, Encrypter
from frontend_server.sealing import SealedPacket, Sealer, SealNumbers
from frontend_server.standing import Answer, Standing, find_standing
from frontend_server.taking import Candidate, store_blobs, take, turn_away
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey, packet_id_from
from packet_spec.model import Carriage

_KNOWN = (Standing.DUPLICATE, Standing.REUSED)


class EarlierAttemptError(ExchangeError):
    """A higher attempt may not leave before the neighbour has disposed of the batch with the earlier one."""

    reference = "earlier-attempt-open"
    temporary = True


@dataclass(slots=True)
class Accepted:
    """What became of a group: row numbers of drops that are disposed of, and errors that hold others.

    A drop in neither changed while it was taken: it is looked at again.
    """

    disposed: set[int] = field(default_factory=set)
    failed: dict[int, ExchangeError] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sealed:
    candidate: Candidate
    answer: Answer
    carried: Carried
    packet: SealedPacket


@dataclass(slots=True)
class _Committed:
    disposed: set[int] = field(default_factory=set)
    taken: list[_Sealed] = field(default_factory=list)


class Acceptance:
    """Takes the valid drops of one scan together. Used by one thread."""

    def __init__(
        self,
        ledger: Ledger,
        files: Spool,
        store: BlobStore,
        sealer: Sealer,
        encrypter: Encrypter,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._ledger = ledger
        self._spool = files
        self._blobs = store
        self._sealer = sealer
        self._encrypter = encrypter
        self._clock = clock
        self._randomness = randomness

    def accept(self, candidates: Sequence[Candidate]) -> Accepted:
        """Take what can be taken.

        Raises VolumeDamagedError, NoSpaceError, FileOperationError and NotFoundError (no incarnation): then
        those that were known are turned away, and nothing is taken.
        """
        accepted = Accepted()
        fresh: list[tuple[Candidate, Answer]] = []
        known: list[tuple[Candidate, Answer]] = []
        for candidate in candidates:
            answer = _standing(self._ledger.read(), candidate)
            if _is_still_leaving(self._ledger.read(), candidate, answer):
                accepted.failed[candidate.row.id] = EarlierAttemptError("an earlier attempt is being offered")
            else:
                (known if answer.standing in _KNOWN else fresh).append((candidate, answer))
        if known:
            # Nothing is sealed for these.
            self._ledger.write(lambda tx: _turn_all_away(tx, known))
            accepted.disposed.update(candidate.row.id for candidate, _ in known)
        if fresh:
            self._seal_and_commit(fresh, accepted)
        return accepted

    def _seal_and_commit(self, fresh: Sequence[tuple[Candidate, Answer]], accepted: Accepted) -> None:
        incarnation, first = self._ledger.write(lambda tx: _take_numbers(tx, len(fresh)))
        placed: dict[str, int] = {}
        sealed: list[_Sealed] = []
        carried: list[Carried] = []
        committed = _Committed()
        writer = self._spool.new_group()
        try:
            for offset, (candidate, answer) in enumerate(fresh):
                numbers = self._numbers(candidate, answer, incarnation, first + offset)
                try:
                    carried.append(self._encrypter.carry(candidate.content, candidate.encrypt_to))
                    packet = self._write(writer, candidate, carried[-1], numbers)
                    if not candidate.is_unchanged():
                        # What was taken back meanwhile leaves nothing in the store.
                        continue
                    self._place_blobs(carried[-1].drop, placed)
                except (VolumeDamagedError, NoSpaceError, FileOperationError):
                    # The group file or the volume failed, not this drop.
                    raise
                except ExchangeError as error:
                    accepted.failed[candidate.row.id] = error
                    continue
                sealed.append(_Sealed(candidate, answer, carried[-1], packet))
            writer.flush()
            remaining = [each for each in sealed if each.candidate.is_unchanged()]
            if remaining:
                name, size = writer.path.name, writer.offset
                committed = self._ledger.write(lambda tx: self._commit(tx, name, size, remaining, placed))
        except VolumeDamagedError:
            # Nobody knows what was committed: the start decides whether the file is needed.
            raise
        except ExchangeError:
            self._remove(writer)
            self._let_go(carried, placed)
            raise
        finally:
            writer.close()
        self._let_go(carried, placed)
        if not remaining:
            self._remove(writer)
        accepted.disposed.update(committed.disposed)
        for each in committed.taken:
            event_line("sealed", packet=str(each.packet.seal.key), attempt=each.packet.seal.attempt)

    def _numbers(self, candidate: Candidate, answer: Answer, incarnation: str, sequence: int) -> SealNumbers:
        envelope = candidate.packet.envelope
        now = self._clock.now()
        # A drop that was sealed before the ledger was restored is the same packet again (C23).
        pinned_id, pinned_attempt = pins.pinned(self._ledger.read(), candidate.files) or ("", 0)
        if answer.packet is not None:
            key = answer.packet.key
        else:
            packet_id = envelope.packet_id or pinned_id or packet_id_from(now, self._randomness.token(10))
            key = PacketKey(envelope.sender, packet_id)
        return SealNumbers(key, max(answer.attempt, pinned_attempt), incarnation, sequence, now)

    def _write(
        self, writer: DurableWriter, candidate: Candidate, carried: Carried, numbers: SealNumbers
    ) -> SealedPacket:
        envelope, checked = candidate.packet.envelope, candidate.checked
        finish = partial(self._encrypter.finish, carried)
        return self._sealer.write(writer, envelope, checked, carried.drop, numbers, finish)

    def _let_go(self, carried: Sequence[Carried], placed: Mapping[str, int]) -> None:
        """Ciphertexts that the ledger does not name: nobody will make the same ones again."""
        connection = self._ledger.read()
        for each in carried:
            with suppress(FileOperationError):
                self._encrypter.discard(each)
                for made in each.learned:
                    if made.digest in placed and blobs.live_generation(connection, made.digest) is None:
                        self._blobs.remove(made.digest, placed[made.digest])

    def _place_blobs(self, content: CopiedDrop, placed: dict[str, int]) -> None:
        """Give each blob file its name; one that is stored already is used as it is (C8)."""
        connection = self._ledger.read()
        for each in content.parts:
            digest, size = each.part.digest, each.part.size
            if digest in placed or each.part.carriage is not Carriage.BLOB:
                continue
            if each.path is None:
                stored = blobs.live_generation(connection, digest)
                if stored is not None:
                    placed[digest] = stored
                continue
            live = blobs.live_generation(connection, digest)
            generation = live or blobs.next_generation(connection, digest)
            is_stored = self._blobs.size(digest, generation) == size
            # Without a copy an earlier try named this very file, and the ledger refused its group.
            if not is_stored or (live is None and each.path.exists()):
                self._blobs.adopt(each.path, digest, generation)
            placed[digest] = generation

    def _commit(
        self, tx: Transaction, name: str, size: int, group: Sequence[_Sealed], placed: dict[str, int]
    ) -> _Committed:
        number = spool.adopt(tx, name, size, len(group))
        committed = _Committed()
        for each in group:
            candidate = each.candidate
            answer = _standing(tx.connection, candidate)
            if answer.standing in _KNOWN:
                turn_away(tx, candidate, answer)
                committed.disposed.add(candidate.row.id)
            elif answer == each.answer and store_blobs(tx, each.carried.drop, placed):
                packet = each.packet
                where = SpoolRange(number, name, packet.start, packet.length, packet.digest)
                take(tx, candidate, each.carried, each.packet, answer.packet, where)
                committed.disposed.add(candidate.row.id)
                committed.taken.append(each)
                continue
            spool.release(tx, number)
        return committed

    def _remove(self, writer: DurableWriter) -> None:
        """The group file is named by nobody; what cannot be removed now is removed at the next start."""
        with suppress(FileOperationError):
            self._spool.remove(writer.path.name)


def _standing(connection: Connection, candidate: Candidate) -> Answer:
    envelope, digest = candidate.packet.envelope, candidate.content.content_digest
    answer = find_standing(connection, envelope, digest)
    pinned = pins.pinned(connection, candidate.files)
    if pinned is None:
        return answer
    packet_id, attempt = pinned
    if answer.standing is Standing.NEW and packet_id and envelope.packet_id is None:
        # Nobody gave it back by its content; an earlier attempt may be known by its id.
        answer = find_standing(connection, replace(envelope, packet_id=packet_id), digest)
    if answer.standing is Standing.AGAIN and answer.packet is not None and answer.packet.attempt >= attempt:
        # Nobody drops it again: it came out of sent/, and the ledger knows how it ended (C23).
        return Answer(Standing.DUPLICATE, answer.packet)
    return answer


def _is_still_leaving(connection: Connection, candidate: Candidate, answer: Answer) -> bool:
    known = answer.packet
    if answer.standing is not Standing.AGAIN or known is None:
        return False
    return any(drops.is_on_its_way(connection, known.id, link) for _, link in candidate.links)


def _turn_all_away(tx: Transaction, known: Sequence[tuple[Candidate, Answer]]) -> None:
    for candidate, answer in known:
        turn_away(tx, candidate, answer)


def _take_numbers(tx: Transaction, count: int) -> tuple[str, int]:
    """The incarnation and the first of ``count`` numbers in a row."""
    incarnation = tx.recall("incarnation")
    if incarnation is None:
        raise NotFoundError("the node has no incarnation yet")
    first = tx.next_number("seal-sequence")
    for _ in range(count - 1):
        tx.next_number("seal-sequence")
    return incarnation, first
