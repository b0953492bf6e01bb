"""Giving up what lies in quarantine, lacks a blob that never comes, or can never be delivered.

Nothing is lost without a word, and no byte is thrown away.

A worker process verifies the seal once more, and reads nothing of what is sealed. Then one of these holds:

* the packet of this seal's content is known here and goes its own way: only this copy is given up;
* this node may speak about it (C21), the seal is good and it came by its sender's road: a signed receipt
  ``undeliverable`` goes to the sender, and the packet is remembered as refused, so that the same seal
  coming again repeats the receipt instead of being judged anew;
* nobody can be told: the seal does not verify, it came by a strange road (a receipt could then end the
  true packet of another sender), another copy waits undecided, or this node is not the one to speak.
  Then it is given up only when the operator says so in words (``--without-receipt``).

A packet whose key was revoked before it was seen here is held, and is given up in the same way: the seal was
good when it was made, and whoever made it can seal it anew. So is one that arrived for this node's own agency
and cannot be delivered, because its key was revoked or its sender disabled since, or because nobody here can
open it. So is what cannot be judged, delivered or sent on because bytes that this node stores are rotten: its
sender has them.

In every case packet and large parts are first copied, durable, into ``discarded/`` of the data directory.
What lacks a blob is in its neighbour's custody, which ends with the next acknowledgement: the neighbour reads
that nothing is needed any more (C6). So it is given up only where the operator says that it will not come
(``--without-parts``), and otherwise as above; whoever sealed it keeps all of it until it is final.
Known limits: nothing removes them from there but a person; a crash between the copy and the act leaves a
copy of something that is still here, which the next attempt replaces. What came of a blob that is lacked by
nothing any more stays until the next start.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from exchanged.acts.values import Outcome
from exchanged.blobs import BlobStore
from exchanged.durable import DurableFiles
from exchanged.errors import NoSpaceError, StaleStateError
from exchanged.examine import Examined, ExamineWork, Scope, examine_seal
from exchanged.ledger import Connection, Ledger, Transaction, arrivals, batches, blobs, packets
from exchanged.ledger.rows import ArrivalRow, DestinationRow, PacketRow
from exchanged.pool import WorkPool
from exchanged.receipts import Links, Statements, Subject
from exchanged.routing import may_come_from
from exchanged.spool import Spool
from exchanged.states import ArrivalState, DestinationState, Event, PacketState
from exchanged.storing import is_higher_attempt, store, subject_of
from exchanged.trust import Trust
from packet_spec.authority import check_seal_authority
from packet_spec.errors import ExchangeError, RevokedSinceError
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.names import safe_component
from packet_spec.sentences import make_finding

FOLDER: Final = "discarded"


@dataclass(frozen=True, slots=True)
class GivingUpTools:
    """What giving up works with. ``agency`` is empty where none is served; ``keep_free`` is in bytes."""

    node: str
    agency: str
    data_dir: Path
    ledger: Ledger
    spool: Spool
    store: BlobStore
    files: DurableFiles
    trust: Trust
    links: Links
    statements: Statements
    pool: WorkPool
    keep_free: int


@dataclass(frozen=True, slots=True)
class Telling:
    """Whether and how the sender can be told. ``why`` says why not; ``recipient`` as in the receipt."""

    outcome: Outcome
    why: str = ""
    recipient: str = ""
    examined: Examined | None = None


Evidence = Mapping[int, Examined | ExchangeError]


def look_at(tools: GivingUpTools, rows: Sequence[ArrivalRow]) -> Evidence:
    """Look at the seals of the packets among ``rows``, in worker processes: they are suspicious."""
    sealed = [row for row in rows if row.kind is ItemKind.PACKET]
    if not sealed or not tools.trust.version:
        return {}
    proof = tools.trust.proof
    works = [
        ExamineWork(
            str(tools.spool.path(row.bytes_at.name)),
            row.bytes_at.start,
            row.bytes_at.length,
            str(proof.path),
            proof.roots,
            proof.threshold,
            Scope.SEAL,
        )
        for row in sealed
    ]
    answers = tools.pool.run(examine_seal, works)
    return dict(zip((row.id for row in sealed), answers, strict=True))


def whom_to_tell(
    tools: GivingUpTools, connection: Connection, row: ArrivalRow, evidence: Evidence
) -> Telling:
    """What giving ``row`` up would mean for its sender."""
    if row.kind is not ItemKind.PACKET:
        return Telling(Outcome.DISCARDED_STATEMENT)
    examined = evidence.get(row.id)
    if examined is None:
        return Telling(Outcome.DISCARDED_UNTOLD, "no-directory")
    if isinstance(examined, ExchangeError):
        return Telling(Outcome.DISCARDED_UNTOLD, examined.reference)
    try:
        return _of_good_seal(tools, connection, row, examined)
    except ExchangeError as error:
        return Telling(Outcome.DISCARDED_UNTOLD, error.reference)


def _of_good_seal(
    tools: GivingUpTools, connection: Connection, row: ArrivalRow, examined: Examined
) -> Telling:
    """Raises what says that the seal's key may not seal for this sender."""
    seal, directory = examined.seal, tools.trust.directory
    if seal.key != row.key:
        return Telling(Outcome.DISCARDED_UNTOLD, "waybill-names-another-packet")
    with suppress(RevokedSinceError):
        # It counts no more, but was its sender's when it was sealed, and it is the sender who is told.
        check_seal_authority(directory, seal, examined.key_id, row.landed_at)
    known = packets.find(connection, seal.key)
    if known is not None and known.transit and _is_another_passage(known, row):
        known = None
    is_first = known is None or is_higher_attempt(connection, known, seal)
    if known is not None and not is_first and known.content_digest == seal.content_digest:
        return Telling(Outcome.DISCARDED_KNOWN)
    sender = directory.agency(seal.key.sender)
    admits = sender is not None and sender.admitting_node == tools.node
    if not admits and (not tools.agency or tools.agency not in seal.recipients):
        return Telling(Outcome.DISCARDED_UNTOLD, "not-ours-to-say")
    if not may_come_from(directory, tools.node, seal.key.sender, tools.links.peer_of(row.link)):
        return Telling(Outcome.DISCARDED_UNTOLD, "packet-by-a-wrong-road")
    if not is_first:
        return Telling(Outcome.DISCARDED_UNTOLD, "packet-id-reused")
    others = [each for each in arrivals.of_packet(connection, row.key) if each.kind is ItemKind.PACKET]
    if len(others) > 1:
        return Telling(Outcome.DISCARDED_UNTOLD, "another-copy-waits")
    recipient = "" if admits else tools.agency
    return Telling(Outcome.DISCARDED_TOLD, recipient=recipient, examined=examined)


def _is_another_passage(known: PacketRow, row: ArrivalRow) -> bool:
    """What passed through here before, perhaps on its way up, is no other copy of what is on its way now."""
    return known.state is not PacketState.ACTIVE or known.came_by != row.link


def set_aside(tools: GivingUpTools, row: ArrivalRow | PacketRow) -> Path:
    """Copy the item, and the large parts that came for it, to a durable place of their own. Its folder.

    Done again after a crash it is written anew. Raises NoSpaceError when it would pass ``keep_free``,
    StaleStateError for a packet whose bytes are gone, VolumeDamagedError for bytes that are not where they
    were: then it was judged meanwhile, or the volume is damaged. No folder is made before they are at hand.
    """
    connection = tools.ledger.read()
    if isinstance(row, ArrivalRow):
        digests, kind, number = blobs.proved_by(connection, row.id), row.kind, f"{row.id}"
    else:
        digests = tuple(each.digest for each in blobs.references(connection, row.key))
        kind, number = ItemKind.PACKET, f"packet-{row.id}-{row.attempt}"
    bytes_at = row.bytes_at
    if bytes_at is None:
        raise StaleStateError("the spool no longer holds the packet", where=f"packet {row.key}")
    parts = {
        digest: (generation, blobs.live_size(connection, digest) or 0)
        for digest in digests
        if (generation := blobs.kept_generation(connection, digest)) is not None
    }
    size = bytes_at.length + sum(each for _, each in parts.values())
    if tools.files.free_bytes(tools.data_dir) - size < tools.keep_free:
        raise NoSpaceError("no room to set aside what is given up", expected=f"{size} bytes")
    folder = tools.data_dir / FOLDER
    name = safe_component(f"{row.landed_at:%Y%m%d}_{row.key.sender}_{row.key.packet_id}_{number}")
    place = folder / name
    with tools.spool.open_range(bytes_at) as reader:
        tools.files.make_dir(folder, mode=0o700)
        tools.files.make_dir(place, mode=0o700)
        tools.files.write_file(place / f"item.{kind.value}", reader.blocks(), mode=0o600)
    for digest, (generation, _) in parts.items():
        blocks = tools.store.blocks(digest, generation)
        tools.files.write_file(place / f"{digest}.blob", blocks, mode=0o600)
    return place


def take_back(tools: GivingUpTools, place: Path) -> None:
    """The act was not done: the copy is a spare. What cannot be removed now is written over the next time."""
    with suppress(ExchangeError):
        tools.files.remove_tree(place)


def give_up(tools: GivingUpTools, tx: Transaction, row: ArrivalRow, telling: Telling, kept: str) -> None:
    """In the act's transaction, after its bytes were set aside as ``kept``."""
    detail = {"item": row.kind.value, "was": row.reason, "kept": kept, "outcome": telling.outcome.value}
    examined = telling.examined
    if row.state is ArrivalState.NEEDING:
        detail["was"] = row.state.value
        tx.wake(f"link:{row.link}")
    if telling.outcome is not Outcome.DISCARDED_TOLD or examined is None:
        arrivals.finish(tx, row, Event.DISCARD, detail=detail)
        return
    known = packets.find(tx.connection, examined.seal.key)
    number = store(tx, row, known, examined, PacketState.REFUSED)
    # Its large parts lie beside it now; a seal in quarantine holds on to no blob of ours.
    blobs.refer(tx, examined.seal.key, ())
    arrivals.finish(tx, row, Event.DISCARD, keeps_bytes=True, detail=detail)
    packets.let_go(tx, packets.get(tx.connection, number))
    tools.statements.issue(
        tx,
        ReceiptKind.UNDELIVERABLE,
        subject_of(examined.seal, examined.seal_digest),
        recipient=telling.recipient,
        findings=(make_finding("discarded-by-operator"),),
    )


def give_up_delivery(
    tools: GivingUpTools, tx: Transaction, packet: PacketRow, behind: Sequence[DestinationRow], kept: str
) -> None:
    """What arrived for this node's own agency ends before the inbox, in the act's transaction.

    Or what is on hold for a link ends here, for those behind it.
    """
    for link in {destination.link for destination in behind} - {""}:
        batches.withdraw(tx, link, ItemKind.PACKET, packet.id)
    for destination in behind:
        if destination.state not in (DestinationState.ARRIVED, DestinationState.ON_HOLD):
            continue
        packets.move(tx, packet, destination, Event.RECEIPT_UNDELIVERABLE, detail={"kept": kept})
        tools.statements.issue(
            tx,
            ReceiptKind.UNDELIVERABLE,
            Subject(
                packet.key, packet.attempt, packet.content_digest, packet.seal_digest, packet.business_type
            ),
            recipient=destination.recipient,
            findings=(make_finding("discarded-by-operator"),),
        )
