"""The incoming half of a link: land what lies in the mailbox, then acknowledge it (C3, C5, C6, C8).

Landing means: waybill signature and digests good, bytes durable, every item a ledger row in the same
transaction. Seal, content and rules are judged afterwards, so no slow packet holds up a link.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from exchanged import forks, missed_numbers
from exchanged.ack_file import AckFile
from exchanged.batch import LandedBatch, LandedItem, read_batch
from exchanged.blob_fetching import BlobFetching, require_room
from exchanged.complaints import Complaints
from exchanged.errors import (
    IncarnationClosedError,
    NoSpaceError,
    StoredPartRottenError,
    TransportFileError,
    VolumeDamagedError,
)
from exchanged.ledger import (
    Transaction,
    arrivals,
    batches,
    blobs,
    releasing,
    rotten,
    spoken,
    spool,
    unverified,
)
from exchanged.link_context import LinkContext
from exchanged.link_health import CLOCK_AHEAD, DAMAGED_HERE, HEARD_AT, NUMBER_USED_TWICE
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME, MailboxKind, classify
from exchanged.needing import Needing
from exchanged.published import PACKS_LACKED, PublishedLanding
from exchanged.ranges import SpoolRange
from exchanged.refused_files import RefusedFiles
from exchanged.routing import origin_of
from exchanged.settling import Settling
from exchanged.states import ArrivalState
from exchanged.strange_numbers import StrangeNumbers
from exchanged.transport import Listing, MailboxFile
from exchanged.vain_reading import VainReading
from packet_spec.authority import check_link_authority
from packet_spec.errors import (
    AuthorityError,
    ExchangeError,
    FormatError,
    SignatureError,
    UnknownKeyError,
    VersionError,
)
from packet_spec.limits import BATCH_BYTES
from packet_spec.model import Edition, KeyUse
from packet_spec.waybill import SPEAKS
from packet_spec.waybill_model import ExceptionKind, Waybill

BATCHES_A_STEP: Final = 16
# Further ones that were held for one and the same part come back by their time.
_RELEASED_A_BLOB: Final = 256


@dataclass(slots=True)
class _Landed:
    """One mailbox file, copied into the spool and looked at, on its way into the ledger."""

    name: str
    number: int
    path: Path | None = None
    size: int = 0
    batch: LandedBatch | None = None
    exception: str = ""
    detail: str = ""


@dataclass(slots=True)
class Landing:
    """Lands for one link; ``blobs`` are fetched beside its batches.

    ``lying`` are batches that were disposed of here and lay in the mailbox at the last look all the same: the
    neighbour has not heard of it, or not tidied up yet.
    """

    link: LinkContext
    settling: Settling
    blobs: BlobFetching = field(init=False)
    lying: frozenset[str] = frozenset()
    _ack: AckFile = field(default_factory=AckFile)
    _passed_over: set[str] = field(default_factory=set)
    _refused: RefusedFiles = field(init=False)
    _complaints: Complaints = field(init=False)
    _published: PublishedLanding = field(init=False)
    _strange: StrangeNumbers = field(init=False)
    _needing: Needing = field(init=False)
    _vain: VainReading = field(init=False)

    def __post_init__(self) -> None:
        self.blobs = BlobFetching(self.link)
        self._refused = RefusedFiles(self.link)
        self._complaints = Complaints(self.link)
        self._vain = VainReading(self.link.clock)
        self._published = PublishedLanding(self.link, self._complaints.tell)
        self._strange = StrangeNumbers(self.link)
        self._needing = Needing(self.link)

    def step(self, listing: Listing) -> bool:
        """Land what is listed. True when more waits than one step takes.

        What was fetched whole before the transport failed is landed all the same.
        """
        self.blobs.is_unfinished = False
        files = {file.name: file.size for file in listing.files}
        self._forget_absent(files)
        self._published.land({file.name: file for file in listing.files})
        bare = next((file for file in listing.files if file.name == ACKNOWLEDGEMENT_NAME), None)
        if bare is not None and (self._ack.is_read(bare) or not self._ack.seems_read(bare)):
            self._acknowledgement(bare)
            bare = None
        names = self._new_batches(files)
        landed: list[_Landed] = []
        fetched: dict[str, tuple[int, int]] = {}
        trouble: ExchangeError | None = None
        try:
            trouble = self._fetch_batches(names, files, landed)
            self.blobs.fetch(files, [found.batch for found in landed if found.batch], fetched)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            trouble = error
        self._land_all(landed, fetched)
        if bare is not None:
            # Most likely the same as before: nothing that is new need wait for it.
            self._acknowledgement(bare)
        self._strange.tell()
        self._complaints.sum_up()
        if trouble is not None:
            raise trouble
        return len(names) > BATCHES_A_STEP

    def look_again(self) -> None:
        """What was passed over may be judged anew: an operator decided whom this link believes."""
        self._passed_over.clear()
        self._refused.clear()
        self._strange.clear()
        self._vain.clear()
        self._ack = AckFile()

    def _land_all(self, landed: list[_Landed], fetched: Mapping[str, tuple[int, int]]) -> None:
        """Land in one transaction; a file that did not become part of the spool goes.

        Before it, what only lacked the blobs that came goes to the judge: it comes first in its case (C15).
        """
        try:
            if fetched:
                self.link.ledger.write(lambda transaction: self._store(transaction, fetched))
                self._needing.blobs_came()
            self._needing.complete()
            if landed:
                self.link.ledger.write(lambda transaction: self._land(transaction, landed))
        except VolumeDamagedError:
            # Whether it was committed is not known: the next start looks.
            raise
        except Exception:
            for found in landed:
                self._discard(found)
            raise
        for found in landed:
            if found.batch is None:
                self._discard(found)
                if not self._needing.is_put_off(found.name):
                    self._passed_over.add(found.name)
                    self._vain.note()
            else:
                self._vain.note_good()

    def _fetch_batches(
        self, names: list[str], files: Mapping[str, int], landed: list[_Landed]
    ) -> NoSpaceError | None:
        """Fetch as many as a step takes. What there is no room for is passed over, and told (I10).

        Behind it may lie the receipts that make room. Then numbers land out of order; what is acknowledged
        stays without a gap, and custody of what was passed over with its sender.
        """
        full: NoSpaceError | None = None
        no_room_for = BATCH_BYTES + 1
        tried = 0
        for name in names:
            # No batch is larger; a file that says so is refused for that, and is no lack of room of ours.
            size = min(files[name], BATCH_BYTES)
            if tried == BATCHES_A_STEP or size >= no_room_for:
                continue
            try:
                require_room(self.link, size)
                tried += 1
                if (found := self._fetch_batch(name)) is not None:
                    landed.append(found)
            except NoSpaceError as error:
                full, no_room_for = error, size
        return full

    def _discard(self, found: _Landed) -> None:
        if found.path is not None:
            self.link.files.unlink(found.path)

    def _forget_absent(self, files: Mapping[str, int]) -> None:
        """What this remembers about files is bounded by the files that lie there."""
        self._refused.forget_absent(files)
        self._published.forget_absent(files)
        self._strange.forget_absent(files)
        self._passed_over &= files.keys()
        self._needing.forget_absent(files)

    def _acknowledgement(self, file: MailboxFile) -> None:
        """The bare acknowledgement is replaced in place: read it unless it is certainly the same."""
        name = ACKNOWLEDGEMENT_NAME
        if self._ack.is_read(file):
            return
        path = self.link.spool.new_path("acknowledgement")
        try:
            fetched = self.link.transport.fetch(name, path, limit_bytes=BATCH_BYTES)
            if fetched.digest == self._ack.digest:
                self._ack.note_read(file, fetched.digest, self.link.clock.monotonic())
                return
            batch = read_batch(path, fetched.size, self.link.trust.key)
            self._require_neighbour(batch.waybill)
            if batch.waybill.number is not None or batch.items:
                raise FormatError("the bare acknowledgement bears a number or items")
            self._require_open(batch.waybill)
            self.link.ledger.write(lambda transaction: self._heard(transaction, batch.waybill))
            self._ack.note_read(file, fetched.digest, self.link.clock.monotonic())
        except (FormatError, SignatureError, VersionError, TransportFileError) as error:
            # Another directory may make it good: it counts as unread, as after any other failure.
            self._complaints.tell(name, error)
            if isinstance(error, IncarnationClosedError):
                self._note_closed()
        finally:
            self.link.files.unlink(path)

    def _note_closed(self) -> None:
        if not batches.recall(self.link.ledger.read(), self.link.name, forks.CLOSED_SINCE):
            self.link.ledger.write(lambda transaction: forks.note_closed(transaction, self.link.name))

    def _new_batches(self, files: Mapping[str, int]) -> list[str]:
        connection = self.link.ledger.read()
        found: list[tuple[int, str]] = []
        lying: set[str] = set()
        strange = self._strange.now()
        for name in files:
            known = classify(name)
            if known is None or known.kind is not MailboxKind.BATCH:
                continue
            if name in strange or self._refused.is_refused(name):
                continue
            if self._needing.is_put_off(name):
                continue
            if name in self._passed_over or batches.is_landed(connection, self.link.name, name):
                lying.add(name)
            else:
                found.append((known.number, name))
        self.lying = frozenset(lying)
        return [] if self._vain.rests() else [name for _, name in sorted(found)]

    def _fetch_batch(self, name: str) -> _Landed | None:
        """Copy one batch through one descriptor and verify the copy (C3). None: leave it for later."""
        known = classify(name)
        assert known is not None  # noqa: S101 - _new_batches lets only known names through
        path = self.link.spool.new_path("batch")
        landed = _Landed(name, known.number, path)
        try:
            landed.size = self.link.transport.fetch(name, path, limit_bytes=BATCH_BYTES).size
            batch = read_batch(path, landed.size, self.link.trust.key)
            self._require_neighbour(batch.waybill)
            if batch.waybill.number != known.number:
                raise FormatError("the file name and the waybill bear different numbers")
            self._require_open(batch.waybill)
            landed.batch = batch
        except (UnknownKeyError, AuthorityError) as error:
            # Another directory may change this, or time; an answer would make the neighbour send it anew.
            if self._refused.note(name):
                self._vain.note()
            self.link.files.unlink(path)
            self._complaints.tell(name, error)
            return None
        except (VersionError, FormatError, SignatureError, TransportFileError) as error:
            if self._strange.note(name, known.number):
                self._vain.note()
                self.link.files.unlink(path)
                return None
            landed.exception, landed.detail = ExceptionKind.BAD.value, error.reference
            if isinstance(error, VersionError):
                landed.exception, landed.detail = ExceptionKind.HELD.value, f"speaks {' '.join(SPEAKS)}"
            self._complaints.tell(name, error)
        except VolumeDamagedError:
            raise
        except ExchangeError:
            self.link.files.unlink(path)
            raise
        return landed

    def _require_neighbour(self, waybill: Waybill) -> None:
        """The waybill is from this link's neighbour to this node, signed with its link key."""
        if (waybill.from_node, waybill.to_node) != (self.link.peer, self.link.node):
            raise SignatureError(
                "a waybill of another link lies in this mailbox",
                expected=f"{self.link.peer} to {self.link.node}",
                found=f"{waybill.from_node} to {waybill.to_node}",
            )
        check_link_authority(
            self.link.trust.directory, waybill.from_node, waybill.key_id, self.link.clock.now()
        )

    def _require_open(self, waybill: Waybill) -> None:
        """An operator decided that what speaks in this incarnation is not the node (``exchanged.forks``)."""
        if spoken.is_closed(self.link.ledger.read(), self.link.name, waybill.incarnation):
            raise IncarnationClosedError(
                "an operator has closed this incarnation of the neighbour", found=waybill.incarnation
            )

    def _store(self, transaction: Transaction, fetched: Mapping[str, tuple[int, int]]) -> None:
        for digest, (generation, size) in fetched.items():
            blobs.store(transaction, digest, generation, size)
            if blobs.live_generation(transaction.connection, digest) is None:
                # It was stored already, and went, or was found rotten, while it was read: again (C10).
                continue
            blobs.entitle(transaction, digest, self.link.peer)
            blobs.found(transaction, self.link.name, digest)
            if held := rotten.held_for(transaction.connection, digest, _RELEASED_A_BLOB):
                releasing.release_held(transaction, held, StoredPartRottenError.reference)
                transaction.wake("judge")

    def _land(self, transaction: Transaction, landed: list[_Landed]) -> None:
        for found in landed:
            self._land_batch(transaction, found)
        unverified.forget_bad(transaction, self.link.name)

    def _land_batch(self, transaction: Transaction, found: _Landed) -> None:
        if found.batch is None:
            incarnation = batches.current_incarnation(transaction.connection, self.link.name)
            if found.exception == ExceptionKind.BAD.value:
                unverified.give_up_held(transaction, self.link.name, incarnation, found.number)
            if incarnation and not batches.number_is_taken(
                transaction.connection, self.link.name, incarnation, found.number
            ):
                batches.land(
                    transaction, self.link.name, incarnation, found.number, found.name,
                    exception=found.exception, detail=found.detail,
                )  # fmt: skip
                if found.exception == ExceptionKind.BAD.value:
                    batches.remember(transaction, self.link.name, DAMAGED_HERE, transaction.stamp)
            return
        waybill = found.batch.waybill
        if not self._heard(transaction, waybill) or self._needing.puts_off(
            transaction, found.name, found.batch
        ):
            found.batch = None
            return
        unverified.give_up_held(transaction, self.link.name, waybill.incarnation, found.number)
        if self._is_used_twice(transaction, found, found.batch):
            found.batch = None
            return
        batch = batches.land(
            transaction, self.link.name, waybill.incarnation, found.number, found.name,
            waybill=found.batch.digest,
        )  # fmt: skip
        assert found.path is not None  # noqa: S101 - a verified batch lies in the spool
        file = spool.adopt(transaction, found.path.name, found.size, len(found.batch.items))
        needing = [
            self._land_item(
                transaction, batch, SpoolRange(file, found.path.name, entry.start, entry.item.size), entry
            )
            for entry in found.batch.items
        ]
        if any(needing):
            batches.mark_needing(transaction, batch)
        transaction.wake("judge")

    def _is_used_twice(self, transaction: Transaction, found: _Landed, batch: LandedBatch) -> bool:
        """Its number was disposed of before.

        By these very bytes, by a clone, or nobody can tell (C15, C23).
        """
        link, waybill = self.link.name, batch.waybill
        if not batches.number_is_taken(transaction.connection, link, waybill.incarnation, found.number):
            return False
        is_same = forks.is_same_batch(transaction.connection, link, waybill, batch.digest, self._link_keys())
        if is_same is False:
            forks.mark(transaction, link, forks.Conflict.NUMBER, waybill.incarnation)
        elif is_same is None:
            # What it holds must come again, under another number.
            transaction.event("batch-number-used-twice", detail={"link": link, "number": found.number})
            unverified.answer_bad(transaction, link, waybill.incarnation, found.number, NUMBER_USED_TWICE)
        return True

    def _link_keys(self) -> list[str]:
        node = self.link.trust.directory.node(self.link.peer)
        return [key.key_id for key in (() if node is None else node.keys) if KeyUse.LINK in key.uses]

    def _land_item(self, transaction: Transaction, batch: int, where: SpoolRange, entry: LandedItem) -> bool:
        item = entry.item
        missing = self._needing.missing(transaction, entry)
        state = ArrivalState.NEEDING if missing else ArrivalState.LANDED
        number = arrivals.insert(
            transaction, self.link.name, batch, item.kind, item.key, item.digest, where, state,
            flow=origin_of(self.link.trust.directory, self.link.name, self.link.peer, item.key.sender),
        )  # fmt: skip
        blobs.named(transaction, number, item.blobs, missing)
        return bool(missing)

    def _heard(self, transaction: Transaction, waybill: Waybill) -> bool:
        """What any waybill of the neighbour tells beside its items. False: it contradicts itself (C15)."""
        if forks.marks(transaction.connection, self.link.name):
            # An earlier one of this step showed it.
            return False
        conflict = forks.conflict_of(transaction, self.link.name, waybill)
        if conflict is not None:
            forks.mark(transaction, self.link.name, conflict, waybill.incarnation)
            return False
        if forks.note_open(transaction, self.link.name):
            # What an operator had closed, and opened again, may lie there.
            self._refused.clear()
        if forks.is_old_word(transaction.connection, self.link.name, waybill):
            return True
        self.link.clock_guard.hear(self.link.peer, waybill.sent_at)
        ahead = (waybill.sent_at - transaction.now).total_seconds()
        batches.remember(transaction, self.link.name, HEARD_AT, transaction.stamp)
        batches.remember(transaction, self.link.name, CLOCK_AHEAD, str(round(ahead)))
        if batches.meet_incarnation(
            transaction, self.link.name, waybill.incarnation, forks.began(waybill),
            is_left_over=forks.is_left_over(transaction.connection, self.link.name, waybill),
        ):  # fmt: skip
            # Whose number a bad batch bears is known only now.
            self._passed_over.clear()
            forks.note_met(transaction, self.link.name)
            transaction.event(
                "neighbour-incarnation", detail={"link": self.link.name, "incarnation": waybill.incarnation}
            )
        edition = Edition(waybill.directory_epoch, waybill.directory_version)
        batches.remember(transaction, self.link.name, batches.DIRECTORY_VERSION, str(edition))
        batches.remember(transaction, self.link.name, PACKS_LACKED, " ".join(waybill.lacks))
        batches.remember_head(transaction, self.link.peer, waybill)
        forks.note_spoken(transaction, self.link.name, waybill)
        missed_numbers.ask_for(transaction, self.link, waybill)
        self.settling.apply(transaction, waybill)
        return True
