"""Gather a proof of packets from a node's books (docs/proof-format.md): read-only, beside a running daemon.

Guarantees: what goes in are the exact bytes that were signed; of an admitting node the entries of its own
log, of a front-end those that it was shown and checked. Whoever builds it cannot make it say more than what
others signed: verifying needs none of this module. What somebody signed only to spoil the proof is left out
and named (``packet_spec.proof_leaving_out``).

Leaves to others: the file (``packet_spec.proof_file``) and the verdict (``packet_spec.proof``). Known limits:
content is there while the sealed bytes are: at the sender until retention lets go of them, elsewhere while
the packet is under way; of a packet with several attempts the last one is proved; of receipts that say the
same twice the first that is not bad goes in; a packet that only passed through a node is not proved there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from exchanged.errors import NotFoundError
from exchanged.ledger import Connection, blobs, keeping, log_entries, log_views, packets, seals, statements
from exchanged.ledger.log_tree import Tree
from exchanged.ledger.log_views import HeadState
from exchanged.ledger.questions_proof import own_head
from exchanged.ledger.rows import PacketRow
from exchanged.places import BLOB_FOLDER, DIRECTORY_FOLDER, SPOOL_FOLDER
from exchanged.proof_directories import choose, kept_directories
from exchanged.ranges import RangeReader, SpoolRange
from packet_spec.directory_trust import RootsInForce
from packet_spec.errors import ExchangeError
from packet_spec.hop import decode_hop
from packet_spec.identifiers import canonical_case_number
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.log_entry import EntryKind
from packet_spec.log_head import decode_log_head
from packet_spec.model import Carriage, Seal
from packet_spec.proof_file import Folder, Inclusion, Part, ProofFile
from packet_spec.proof_leaving_out import LeftOut, keep_log_of_members, leave_out_bad
from packet_spec.seal import read_seal_members
from packet_spec.seal_document import decode_seal
from packet_spec.signing import decode_signature, split_signed
from packet_spec.ustar import BLOCK, member_size

_HEADS: Final = frozenset({HeadState.HELD, HeadState.AGREED, HeadState.COMPARED})


class SealedBytesGoneError(ExchangeError):
    """This node no longer has the sealed bytes of a packet, so it cannot put them into a proof."""

    reference = "sealed-bytes-gone"
    hint = "build it without --content, or at the sender's node"


@dataclass(frozen=True, slots=True)
class Books:
    """Where a node keeps what a proof is made of. ``anchor`` is where its chain of directories begins."""

    connection: Connection
    data_dir: Path
    anchor: RootsInForce


def _nobody(_left_out: LeftOut) -> None:
    """Nobody asks what was left out."""


def gather(
    books: Books,
    keys: Sequence[PacketKey],
    *,
    case: str = "",
    with_content: bool = False,
    on_left_out: Callable[[LeftOut], None] = _nobody,
) -> ProofFile:
    """The proof of these packets. ``on_left_out`` hears of each statement that would have it refused.

    ``case`` is put into the file where the content can show it: ``with_content``. Raises NotFoundError,
    SealedBytesGoneError, VolumeDamagedError, OSError and FormatError leaves.
    """
    gathering = _Gathering(books, with_content=with_content)
    for key in keys:
        gathering.add(key)
    proof = gathering.proof
    if with_content and case:
        proof.case = canonical_case_number(case)
    kept = kept_directories(books.data_dir / DIRECTORY_FOLDER, books.anchor)
    proof.directories = [*choose(kept, gathering.moments, gathering.key_ids)]
    if not proof.directories:
        raise NotFoundError("no directory is installed", hint="run: exchangectl directory install FILE")
    for left_out in leave_out_bad(proof):
        on_left_out(left_out)
    gathering.leave_out_what_was_said_before()
    keep_log_of_members(proof)
    return proof


class _Gathering:
    def __init__(self, books: Books, *, with_content: bool) -> None:
        self._books = books
        self._with_content = with_content
        self._heads: dict[bytes, int] = {}
        self.proof = ProofFile()
        self.moments: set[datetime] = set()
        self.key_ids: set[str] = set()
        # What each receipt says: kind, recipient.
        self._says: dict[bytes, tuple[str, str]] = {}

    def add(self, key: PacketKey) -> None:
        connection = self._books.connection
        packet = packets.find(connection, key)
        if packet is None:
            raise NotFoundError("this node knows no such packet", where=str(key))
        where = packet.bytes_at or keeping.kept_bytes(connection, packet.id, packet.attempt)
        folder = Folder(*self._seal(packet, where))
        seal = decode_seal(folder.seal)
        self.moments.add(seal.sealed_at)
        self.key_ids.add(decode_signature(folder.signature).key_id)
        folder.receipts = [*self._receipts(packet)]
        folder.hops = [*self._hops(packet)]
        folder.log = [*self._log(folder)]
        if self._with_content:
            if where is None:
                raise SealedBytesGoneError("the content of the packet is no longer here", where=str(key))
            self._add_content(folder, seal, where)
        self.proof.packets.append(folder)

    def _seal(self, packet: PacketRow, where: SpoolRange | None) -> tuple[bytes, bytes]:
        found = seals.find(self._books.connection, packet.seal_digest)
        if found is not None:
            return found
        # A packet from before seals were kept.
        if where is None:
            raise SealedBytesGoneError("the seal of the packet is no longer here", where=str(packet.key))
        path = self._books.data_dir / SPOOL_FOLDER / where.name
        with RangeReader(path, where.start, where.length) as source:
            return read_seal_members(source.read)

    def _receipts(self, packet: PacketRow) -> Iterator[bytes]:
        for row in statements.receipts_of(self._books.connection, packet.key):
            same = row.attempt == packet.attempt and row.speaks_of(packet.content_digest, packet.seal_digest)
            if same:
                self._says[row.document] = (row.kind, row.recipient)
                self._note(row.document, row.issued_at)
                yield row.document

    def leave_out_what_was_said_before(self) -> None:
        """Of what is left: the same said again proves nothing more, and would contradict it."""
        for folder in self.proof.packets:
            first: dict[tuple[str, str], bytes] = {}
            for data in folder.receipts:
                first.setdefault(self._says[data], data)
            folder.receipts = [*first.values()]

    def _hops(self, packet: PacketRow) -> Iterator[bytes]:
        for row in statements.hops_of(self._books.connection, packet.key):
            document = bytes(row["document"])
            note = decode_hop(split_signed(document)[0])
            if note.seal_digest == packet.seal_digest:
                self._note(document, note.left_at)
                yield document

    def _note(self, document: bytes, at: datetime) -> None:
        self.moments.add(at)
        self.key_ids.update(signature.key_id for signature in split_signed(document)[1])

    # --- the log ------------------------------------------------------------------------------------

    def _log(self, folder: Folder) -> Iterator[Inclusion]:
        yield from self._included(EntryKind.SEAL, sha256_hex(folder.seal))
        for data in folder.receipts:
            yield from self._included(EntryKind.RECEIPT, sha256_hex(data))

    def _included(self, kind: EntryKind, digest: str) -> Iterator[Inclusion]:
        """The entry in this node's own log, or as its admitting node showed it to this front-end."""
        connection = self._books.connection
        document = own_head(connection)
        if document is not None:
            head = decode_log_head(split_signed(document)[0])
            for entry in log_entries.entries_of(connection, digest, head.size):
                if entry.kind is kind:
                    path = Tree(connection, head.size).inclusion(entry.position)
                    yield Inclusion(self._head(document), kind, digest, entry.position, path)
                    return
        for node in log_views.nodes(connection):
            proof = log_views.proof_of(connection, node, kind, digest)
            row = None if proof is None else log_views.head_of(connection, proof.head)
            if proof is not None and row is not None and row.state in _HEADS:
                yield Inclusion(self._head(row.document), kind, digest, proof.position, proof.path)

    def _head(self, document: bytes) -> int:
        """The number of that head among the members of head/."""
        if document not in self._heads:
            self._heads[document] = len(self._heads) + 1
            self.proof.heads.append(document)
            self._note(document, decode_log_head(split_signed(document)[0]).at)
        return self._heads[document]

    # --- the content --------------------------------------------------------------------------------

    def _add_content(self, folder: Folder, seal: Seal, where: SpoolRange) -> None:
        start = where.start + member_size(len(folder.seal)) + member_size(len(folder.signature)) + BLOCK
        folder.packet_xml = b"".join(self._range(where, start, seal.packet_size))
        start += member_size(seal.packet_size)
        for part in seal.parts:
            if part.carriage is Carriage.INLINE:
                blocks: Iterable[bytes] = self._range(where, start, part.size)
                start += member_size(part.size)
            else:
                blocks = self._blob(seal.key, part.digest, part.size)
            folder.parts.append(Part(part.size, part.digest, blocks))

    def _range(self, where: SpoolRange, start: int, size: int) -> Iterator[bytes]:
        path = self._books.data_dir / SPOOL_FOLDER / where.name
        with RangeReader(path, start, size) as source:
            yield from source.blocks()

    def _blob(self, key: PacketKey, digest: str, size: int) -> Iterator[bytes]:
        generation = blobs.kept_generation(self._books.connection, digest)
        if generation is None:
            raise SealedBytesGoneError("a part of the packet is no longer here", where=str(key))
        path = self._books.data_dir / BLOB_FOLDER / f"{digest}.{generation}"
        with RangeReader(path, 0, size) as source:
            yield from source.blocks()
