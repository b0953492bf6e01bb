"""What the ledger learns when a drop is disposed of: taken, recognised, or refused (C13).

Every function here is part of one transaction; what it intends outside the ledger are effects, so that a
crash repeats them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from exchanged.ledger import (
    Transaction,
    batches,
    blobs,
    ciphertexts,
    drops,
    effects,
    packets,
    pins,
    seals,
    search,
)
from exchanged.ledger.drops import DropRow, Outcome
from exchanged.ledger.rows import PacketRow
from exchanged.ranges import SpoolRange
from exchanged.recalling import settle_sealed_again
from exchanged.receipts import ORDINARY, URGENT
from exchanged.states import DestinationState, Event
from exchanged.storing import relations_of
from frontend_server.copying import CopiedDrop
from frontend_server.encrypting import IN_CLEAR, Carried, Recipients
from frontend_server.markers import KEY, DropMarker
from frontend_server.sealing import Checked, SealedPacket
from frontend_server.standing import Answer, Standing
from packet_spec.findings import Finding
from packet_spec.model import Carriage, ItemKind, Packet, Priority, Seal
from packet_spec.sentences import make_finding
from packet_spec.waybill_model import BlobReference

_SENT: Final = "sent"
_REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A valid drop whose content was copied. ``findings`` are warnings that stay with its status.

    ``links`` are (recipient, link); ``is_unchanged`` looks at the original once more; ``encrypt_to`` are the
    keys that its parts are encrypted to, none where they travel in clear. ``files`` is the lasting
    fingerprint of the original, ``marker`` the file that said it was whole.
    """

    row: DropRow
    packet: Packet
    checked: Checked
    findings: tuple[Finding, ...]
    content: CopiedDrop
    links: tuple[tuple[str, str], ...]
    is_unchanged: Callable[[], bool]
    files: str
    encrypt_to: Recipients = IN_CLEAR
    marker: DropMarker | None = None


def store_blobs(tx: Transaction, content: CopiedDrop, placed: Mapping[str, int]) -> bool:
    """Put the blobs on the books; ``placed`` is digest -> generation of the file.

    False when one was collected meanwhile: the drop has to be copied again (C10).
    """
    for each in content.parts:
        if each.part.carriage is not Carriage.BLOB:
            continue
        digest = each.part.digest
        if digest not in placed:
            # A stored ciphertext that was to be used again, collected before it was looked for.
            return False
        if blobs.live_generation(tx.connection, digest) is None:
            blobs.store(tx, digest, placed[digest], each.part.size)
        if blobs.live_generation(tx.connection, digest) != placed[digest]:
            return False
    return True


def take(
    tx: Transaction,
    candidate: Candidate,
    carried: Carried,
    sealed: SealedPacket,
    known: PacketRow | None,
    where: SpoolRange,
) -> None:
    """The drop is the packet in ``where`` now; in place of ``known`` when it is a higher attempt."""
    seal = sealed.seal
    blobs.refer(tx, seal.key, _references(seal))
    number = _store(tx, candidate, sealed, known, where)
    ciphertexts.keep(tx, carried.learned)
    ciphertexts.note_drop(tx, number, candidate.content.content_digest if carried.is_encrypted else "")
    search.note_cases(tx, number, candidate.packet.envelope.case_numbers)
    for recipient, link in candidate.links:
        packets.add_destination(tx, number, recipient, DestinationState.QUEUED, link)
    priority = URGENT if seal.priority is Priority.URGENT else ORDINARY
    for link in sorted({link for _, link in candidate.links}):
        batches.enqueue(tx, link, ItemKind.PACKET, number, priority, of=seal.key.sender)
    outcome = Outcome(
        packet=number, attempt=seal.attempt, sender_ref=seal.sender_ref, findings=candidate.findings
    )
    detail: dict[str, str | int] = {
        "attempt": seal.attempt,
        "content": seal.content_digest,
        "seal": sealed.seal_digest,
    }
    drops.move(tx, candidate.row, Event.TAKE, outcome, kind="sealed", key=seal.key, detail=detail)
    settle_sealed_again(tx, packets.get(tx.connection, number))
    pins.unpin(tx, candidate.files)
    put_away(tx, candidate.row.id, _SENT, candidate.marker)


def turn_away(tx: Transaction, candidate: Candidate, answer: Answer) -> None:
    """The content was sent before, or its packet id stands for other content."""
    envelope = candidate.packet.envelope
    pins.unpin(tx, candidate.files)
    if answer.packet is not None and answer.standing is Standing.DUPLICATE:
        first = answer.packet.key
        if answer.packet.own and drops.of_packet(tx.connection, answer.packet.id) is None:
            # It is that packet: the ledger forgot that it took this drop (C23).
            taken = Outcome(
                packet=answer.packet.id, attempt=answer.packet.attempt, sender_ref=envelope.sender_ref
            )
            drops.move(tx, candidate.row, Event.TAKE, taken, key=first)
            put_away(tx, candidate.row.id, _SENT, candidate.marker)
            return
        outcome = Outcome(duplicate_of=first.packet_id, sender_ref=envelope.sender_ref)
        drops.move(tx, candidate.row, Event.RECOGNISE, outcome, key=first)
        put_away(tx, candidate.row.id, _SENT, candidate.marker)
        return
    reused = make_finding("packet-id-reused", element="envelope/packetId", found=envelope.packet_id or "")
    refuse(tx, candidate.row, (reused, *candidate.findings), envelope.sender_ref, candidate.marker)


def refuse(
    tx: Transaction,
    row: DropRow,
    findings: tuple[Finding, ...],
    sender_ref: str = "",
    marker: DropMarker | None = None,
) -> None:
    """The drop is refused with findings, and its original goes to refused/."""
    drops.move(tx, row, Event.REFUSE, Outcome(findings=findings, sender_ref=sender_ref))
    put_away(tx, row.id, _REFUSED, marker)


def dispose(tx: Transaction, row: DropRow, marker: DropMarker | None) -> None:
    """The drop was a disposition, and its receipt is issued (C22)."""
    drops.move(tx, row, Event.DISPOSE, Outcome())
    put_away(tx, row.id, _SENT, marker)


def withdraw(tx: Transaction, number: int, marker: DropMarker | None) -> None:
    """The drop was taken back, and its status says so; a marker that stayed there goes to refused/."""
    if marker is None:
        tell_status(tx, number)
    else:
        put_away(tx, number, _REFUSED, marker)


def put_away(tx: Transaction, number: int, to: str, marker: DropMarker | None) -> None:
    """The original and its marker may leave the outbox now; the status says what became of the drop."""
    detail = {"to": to} if marker is None else {"to": to, KEY: marker.text()}
    effects.intend(tx, "original", str(number), detail)
    tell_status(tx, number)


def tell_status(tx: Transaction, number: int) -> None:
    """The status files of a drop shall be written anew."""
    effects.intend(tx, "status", f"drop:{number}")


def _store(
    tx: Transaction, candidate: Candidate, sealed: SealedPacket, known: PacketRow | None, where: SpoolRange
) -> int:
    seal, relations = sealed.seal, relations_of(candidate.packet)
    seals.keep(tx, seal, sealed.seal_digest, sealed.seal_bytes, sealed.signature)
    if known is None:
        return packets.insert(
            tx,
            seal,
            seal_digest=sealed.seal_digest,
            landed_at=seal.sealed_at,
            came_by="",
            bytes_at=where,
            relations=relations,
        )
    packets.replace(
        tx,
        known,
        Event.NEW_ATTEMPT,
        seal,
        seal_digest=sealed.seal_digest,
        landed_at=seal.sealed_at,
        came_by="",
        bytes_at=where,
        relations=relations,
    )
    return known.id


def _references(seal: Seal) -> tuple[BlobReference, ...]:
    blob_parts = (part for part in seal.parts if part.carriage is Carriage.BLOB)
    return tuple({part.digest: BlobReference(part.digest, part.size) for part in blob_parts}.values())
