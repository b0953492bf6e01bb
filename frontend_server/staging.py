"""Staging: a sealed packet becomes the folder that the receiver's case software will find (C19).

Guarantees: the signature of the seal is verified again, and every byte against its digest while it is
copied; what ``Stager.stage`` leaves behind is whole, is what the ledger names, and is flushed with the group
of files that it is written through. After a failure nothing of it is left. Attachments get names from
``packet_spec.names`` only.

Encrypted parts are opened here and nowhere else, so their content lies in clear in the staged folder alone;
what they opened to is checked (``Stager.check``) before anybody sees the folder.

    packet.xml  packet.utf8.xml  <attachments>  delivery.xml  seal.xml  seal.sig  accepted.xml

``packet.utf8.xml`` is there whenever a reader that trusts the declaration of packet.xml would fail or
read other characters than were validated: when it is not UTF-8, and when its declaration is wrong.

Leaves to others: when to stage, and the step into the inbox (``frontend_server.delivery``). Known limits:
``deliveredAt`` in delivery.xml is the time of staging, because the folder is not touched after it lies in
the inbox; the signed time is that of the ``delivered`` receipt. A blob is copied, never linked: the case
software may write to its copy.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from exchanged.blobs import BlobStore
from exchanged.clock import Clock
from exchanged.durable import DurableFiles
from exchanged.errors import ForeignVolumeError, StoredPartRottenError, VolumeDamagedError
from exchanged.ledger import Ledger, blobs, restoring, statements
from exchanged.ledger.ciphertexts import Ciphertext
from exchanged.ledger.rows import PacketRow, ReceiptSummary
from exchanged.spool import Spool
from exchanged.trust import Trust
from frontend_server.opened import OpenedPart, OpenedWork
from frontend_server.opening import Opener, OpenPacket
from frontend_server.rot import RotAtDelivery
from packet_spec.authority import check_seal_authority
from packet_spec.delivery import delivered_files, encode_delivery
from packet_spec.encoding import UTF_8, EncodingDecision, decide_encoding, reading
from packet_spec.errors import DigestMismatchError, ExchangeError
from packet_spec.findings import Finding
from packet_spec.identity import sha256_hex
from packet_spec.limits import SEAL_XML_BYTES
from packet_spec.model import ReceiptKind, Seal, SealPart
from packet_spec.seal import PacketReader, blob_parts
from packet_spec.signing import new_hasher
from packet_spec.told import DeliveredFile, Delivery

# Files in the inbox are the case software's to read, copy and remove; nobody executes them.
_FILE_BITS: Final = 0o666
# So many seals of staged packets are kept at most; a step stages fewer.
_SEALS: Final = 256


class NotAcceptedError(ExchangeError):
    """The ``accepted`` receipt of the admitting node is not here yet: the packet waits for it."""

    reference = "accepted-receipt-missing"
    temporary = True
    hint = "run: exchangectl packet show ID; the receipt comes over the same link as the packet"


class BlobMissingError(ExchangeError):
    """The ledger knows no stored blob of a digest that the seal names."""

    reference = "blob-missing"
    temporary = True
    hint = "run: exchangectl ledger verify"


@dataclass(frozen=True, slots=True)
class Staged:
    """A staged folder; of an encrypted packet what is to be checked, and what was learned of its blobs."""

    seal_digest: str
    work: OpenedWork | None = None
    learned: tuple[Ciphertext, ...] = field(default=(), repr=False)


class InboxPlaces(Protocol):
    """What delivering needs to know of the agency's folders."""

    @property
    def inbox(self) -> Path:
        """Where the case software looks."""

    @property
    def staging(self) -> Path:
        """The private folder beside the inbox, on the same file system (C19)."""

    def marker_is_good(self, folder: str) -> bool:
        """``folder`` (``inbox``) holds the marker that the ledger remembers: no empty mount point."""


class Stager:
    """Writes staged folders. Used by one thread at a time."""

    def __init__(
        self,
        ledger: Ledger,
        spool: Spool,
        blob_store: BlobStore,
        trust: Trust,
        files: DurableFiles,
        clock: Clock,
        opener: Opener,
        *,
        folder_mode: int,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._blobs = blob_store
        self._trust = trust
        self._files = files
        self._clock = clock
        self._opener = opener
        self._rot = RotAtDelivery(ledger, spool)
        self._folder_mode = folder_mode
        self._file_mode = folder_mode & _FILE_BITS
        # The seals of what was staged last, by the digest of their bytes: verified, and not read again.
        self._seals: dict[str, tuple[Seal, str]] = {}

    def stage(self, packet: PacketRow, recipient: str, folder: Path) -> Staged:
        """Make ``folder`` anew and whole; it is durable, with its name, once ``files`` were flushed.

        Raises NotAcceptedError, BlobMissingError, RevokedSinceError and AuthorityError as ``require_sender``,
        DigestMismatchError or another FormatError leaf, UnknownKeyError, SignatureError, NoSpaceError,
        ForeignVolumeError; for an encrypted packet DecryptionKeyMissingError (wait) and DecryptionError (the
        sender's fault); StoredPartRottenError and StoredPacketRottenError (our own fault); VolumeDamagedError
        when our own volume failed.
        """
        accepted = self._accepted(packet)
        self._files.remove_tree(folder)
        self._files.make_dir(folder, mode=self._folder_mode)
        try:
            staged = self._fill(packet, recipient, folder, accepted)
            self._files.sync_dir(folder)
        except VolumeDamagedError:
            raise
        except ExchangeError as error:
            with suppress(ExchangeError):
                self._files.remove_tree(folder)
            self._rot.look(packet, error)
            raise
        self._rot.was_read(packet)
        return staged

    def has_answer(self, staged: Staged) -> bool:
        """A check that took long is done: ``check`` can tell now."""
        return staged.work is not None and self._opener.has_answer(staged.work)

    def check(self, staged: Staged) -> tuple[Finding, ...]:
        """Findings that refuse an opened packet, none for one that was never encrypted.

        Raises what keeps it from being told yet; the folder stays good for another call.
        """
        return () if staged.work is None else self._opener.check(staged.work)

    def discard(self, folder: Path) -> None:
        """Remove a staged folder that will not be shown. Raises ForeignVolumeError."""
        self._files.remove_tree(folder)

    def require_sender(self, packet: PacketRow) -> None:
        """Whether the directory in force still lets the packet's seal count, at this very moment.

        Raises RevokedSinceError, AuthorityError or another SignatureError when not: then it is not delivered.
        """
        seal, key_id = self._seals.pop(packet.seal_digest, (None, ""))
        if seal is not None and self._trust.key(key_id) is not None:
            # A key id names one key, so the signature still holds; what it may say can have changed.
            check_seal_authority(self._trust.directory, seal, key_id, self._clock.now())
        elif packet.bytes_at is not None:
            with self._spool.open_range(packet.bytes_at) as source:
                self._open(PacketReader(source.read))

    def _open(self, reader: PacketReader) -> Seal:
        seal = reader.open(self._trust.key)
        check_seal_authority(self._trust.directory, seal, reader.key_id, self._clock.now())
        return seal

    def _fill(self, packet: PacketRow, recipient: str, folder: Path, accepted: ReceiptSummary) -> Staged:
        if packet.bytes_at is None:
            raise DigestMismatchError("the spool no longer holds the packet", where=f"packet {packet.key}")
        with self._spool.open_range(packet.bytes_at) as source:
            reader = PacketReader(source.read)
            seal = self._open(reader)
            _require_same(packet, recipient, seal, reader.seal_digest)
            if len(self._seals) >= _SEALS:
                self._seals.clear()
            self._seals[reader.seal_digest] = (seal, reader.key_id)
            files = delivered_files(seal)
            # Said before anything is copied: a packet of which it cannot be said costs no copy each time.
            delivery = self._delivery(packet, recipient, seal, accepted, files)
            said = encode_delivery(delivery)
            opened = self._opener.open(seal) if seal.encryption is not None else None
            packet_xml = reader.packet_xml()
            self._write(folder / "packet.xml", (packet_xml,))
            if _needs_reading(packet_xml, seal.encoding):
                self._write(folder / "packet.utf8.xml", (reading(packet_xml, seal.encoding),))
            for part, blocks in reader.parts():
                self._write_part(folder / files[part.index].file, part, blocks, opened)
        for part in blob_parts(seal):
            self._write_part(folder / files[part.index].file, part, self._blob_blocks(part), opened)
        if opened is not None:
            files = _opened_files(files, opened)
            said = encode_delivery(replace(delivery, files=tuple(files.values())))
        self._write(folder / "delivery.xml", (said,))
        self._write(folder / "seal.xml", (reader.seal_bytes,))
        self._write(folder / "seal.sig", (reader.signature,))
        document = statements.get_document(self._ledger.read(), "receipt", accepted.id)
        self._write(folder / "accepted.xml", (document,))
        if opened is None:
            return Staged(packet.seal_digest)
        work = self._work(packet.seal_digest, seal, folder, files)
        return Staged(packet.seal_digest, work, tuple(self._opener.learned(seal, opened)))

    def _delivery(
        self,
        packet: PacketRow,
        recipient: str,
        seal: Seal,
        accepted: ReceiptSummary,
        files: Mapping[int, DeliveredFile],
    ) -> Delivery:
        return Delivery(
            key=seal.key,
            attempt=seal.attempt,
            recipient=recipient,
            business_type=seal.business_type,
            sender_ref=seal.sender_ref,
            sealed_at=seal.sealed_at,
            accepted_at=accepted.issued_at,
            delivered_at=self._clock.now(),
            packet_digest=seal.packet_digest,
            content_digest=seal.content_digest,
            seal_digest=packet.seal_digest,
            encoding=seal.encoding,
            files=tuple(files.values()),
            maybe_duplicate=restoring.may_have_been_here(self._ledger.read(), packet),
        )

    def _work(
        self, seal_digest: str, seal: Seal, folder: Path, files: Mapping[int, DeliveredFile]
    ) -> OpenedWork:
        parts = (files[part.index] for part in seal.parts)
        return OpenedWork(
            seal_digest=seal_digest,
            packet_xml=str(folder / "packet.xml"),
            encoding=seal.encoding,
            parts=tuple(OpenedPart(str(folder / each.file), each.size, each.digest) for each in parts),
            packs=str(self._opener.packs),
            pack=seal.pack.digest,
            scanner=self._opener.scanner,
            origin=f"opened {seal.key.sender}",
        )

    def _accepted(self, packet: PacketRow) -> ReceiptSummary:
        """The first ``accepted`` of this attempt and content: it starts the legal clock, is never re-issued.

        Its seal may be an earlier one (C12, C23).
        """
        wanted = (ReceiptKind.ACCEPTED.value, packet.attempt, packet.content_digest)
        for row in statements.summaries_of(self._ledger.read(), packet.key):
            if (row.kind, row.attempt, row.content_digest) == wanted:
                return row
        raise NotAcceptedError("the accepted receipt is not here", where=f"packet {packet.key}")

    def _write_part(
        self, path: Path, part: SealPart, carried: Iterable[bytes], opened: OpenPacket | None
    ) -> None:
        self._write(path, carried if opened is None else opened.blocks(part, carried))

    def _write(self, path: Path, blocks: Iterable[bytes]) -> None:
        # No temporary name: a staged folder counts only once its name is committed.
        self._files.write_in_place(path, blocks, mode=self._file_mode)

    def _blob_blocks(self, part: SealPart) -> Iterator[bytes]:
        generation = blobs.kept_generation(self._ledger.read(), part.digest)
        if generation is None:
            raise BlobMissingError("a blob of the packet is not stored here", where=f"part {part.index}")
        hasher, size = new_hasher(), 0
        for block in self._blobs.blocks(part.digest, generation):
            hasher.update(block)
            size += len(block)
            yield block
        if size != part.size or hasher.hexdigest() != part.digest:
            # It was verified whole before it got that name.
            name = self._blobs.path(part.digest, generation).name
            raise StoredPartRottenError("a stored part is not what it was when it came", where=name)
        self._rot.part_was_read(part.digest, generation)


def kind_of(path: Path) -> int | None:
    """The file type bits of what stands at ``path`` without following it; None when nothing does.

    Raises ForeignVolumeError when the folder cannot tell (unmounted share, no permission).
    """
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error) from error


def device_of(path: Path) -> int:
    """The device that a folder lies on. Raises ForeignVolumeError when it is not a folder or not there."""
    try:
        status = path.lstat()
    except OSError as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISDIR(status.st_mode):
        raise ForeignVolumeError("what should be a folder is not one", where=str(path))
    return status.st_dev


def read_plain(path: Path, limit_bytes: int) -> bytes | None:
    """The bytes of a small regular file, not followed, at most ``limit_bytes``; None for anything else."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                data = file.read(limit_bytes + 1)
                return data if len(data) <= limit_bytes else None
    return None


def seal_digest_in(folder: Path) -> str:
    """The digest of the seal that lies in a delivered folder, empty where none is to be read."""
    seal = read_plain(folder / "seal.xml", SEAL_XML_BYTES)
    return "" if seal is None else sha256_hex(seal)


def _unreadable(path: Path, error: OSError) -> ForeignVolumeError:
    found = error.strerror or "unknown error"
    return ForeignVolumeError("a folder cannot be looked at", where=str(path.parent), found=found)


def _require_same(packet: PacketRow, recipient: str, seal: Seal, seal_digest: str) -> None:
    found = (seal.key, seal.attempt, seal_digest, recipient in seal.recipients)
    if found != (packet.key, packet.attempt, packet.seal_digest, True):
        raise DigestMismatchError("the spool holds another packet", where=f"packet {packet.key}")


def _needs_reading(packet_xml: bytes, encoding: str) -> bool:
    if encoding != UTF_8:
        return True
    decision = decide_encoding(packet_xml)
    return isinstance(decision, EncodingDecision) and bool(decision.findings)


def _opened_files(files: Mapping[int, DeliveredFile], opened: OpenPacket) -> dict[int, DeliveredFile]:
    """The same files as they lie there: with size and digest of the content, and that of the ciphertext."""
    return {
        index: replace(
            file,
            size=opened.contents[index].size,
            digest=opened.contents[index].digest,
            carried_digest=file.digest,
        )
        for index, file in files.items()
    }
