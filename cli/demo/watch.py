"""What the case software of an agency can see: status files, inbox folders and receipts, nothing else.

Guarantees: a delivered folder is judged by its bytes against what was dropped; a receipt counts only after
its signature was verified with a key of the directory, and the directory with the root keys that the
node was configured with (custody C21, C24).
Leaves to others: when to look, and what follows from it.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cli.directory_trusted import find_directory
from cli.lab.errors import LabError
from cli.lab.lab import Lab
from exchanged.config import load_config
from frontend_server.folders import INBOX, MARKER_NAME, OUTBOX
from packet_spec.authority import check_receipt_authority, check_seal_authority
from packet_spec.delivery import decode_delivery
from packet_spec.directory import find_key_owner
from packet_spec.encoding import decide_encoding
from packet_spec.envelope import parse_packet
from packet_spec.errors import ExchangeError, SignatureError
from packet_spec.findings import Finding
from packet_spec.identity import PacketKey, content_digest, sha256_hex
from packet_spec.limits import PACKET_XML_BYTES, RECEIPT_BYTES
from packet_spec.model import Attachment, Directory, Envelope, Receipt
from packet_spec.names import status_name
from packet_spec.receipt import open_receipt
from packet_spec.seal_document import decode_seal
from packet_spec.signing import Domain, PublicKey, decode_signature, digest_of_blocks, find_key, verify
from packet_spec.status import decode_status_xml
from packet_spec.told import Delivery, Status

_PACKET_XML = "packet.xml"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Original:
    """What was dropped, as digests, noted before the exchange could see it."""

    envelope: Envelope
    attachments: tuple[Attachment, ...]
    packet_digest: str
    content_digest: str

    @property
    def recipients(self) -> tuple[str, ...]:
        """The receiver, then every copy."""
        return self.envelope.recipients


def read_original(path: Path) -> Original:
    """The drop at ``path``: a folder, a zip or a lone XML. Raises LabError when it is no packet.

    The attachments' digests are those of packet.xml, which whoever wrote the files took while writing.
    """
    if path.is_dir():
        data = (path / _PACKET_XML).read_bytes()
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            data = archive.read(_PACKET_XML)
    else:
        data = path.read_bytes()
    decision = decide_encoding(data[: PACKET_XML_BYTES + 1])
    packet = None if isinstance(decision, Finding) else parse_packet(decision.utf8)[0]
    if packet is None:
        raise LabError("a drop of the demo is no packet", where=path.name)
    digest = sha256_hex(data)
    parts = ((each.file.encode(), each.size or 0, each.sha256 or "") for each in packet.attachments)
    return Original(packet.envelope, packet.attachments, digest, content_digest(digest, parts))


@dataclass(frozen=True, slots=True)
class Agency:
    """One agency's folders, as its case software sees them."""

    code: str
    root: Path

    @property
    def outbox(self) -> Path:
        """Where drops go."""
        return self.root / OUTBOX

    def status(self, drop: str) -> Status | None:
        """What the status file of the drop of that name says now; None when there is none yet."""
        path = self.root / "status" / status_name(os.fsencode(drop), ".status.xml")
        try:
            return decode_status_xml(path.read_bytes())
        except FileNotFoundError:
            return None

    def waiting(self) -> tuple[str, ...]:
        """The names that lie in the outbox."""
        return tuple(sorted(path.name for path in self.outbox.iterdir() if path.name != MARKER_NAME))

    def folders(self) -> tuple[Path, ...]:
        """Every delivered folder in the inbox."""
        types = sorted(path for path in (self.root / INBOX).iterdir() if path.is_dir())
        return tuple(folder for each in types for folder in sorted(each.iterdir()))

    def folder(self, key: PacketKey, business_type: str) -> Path | None:
        """The folder of that packet, or None while it is not there."""
        path = self.root / INBOX / business_type / f"{key.sender}_{key.packet_id}"
        return path if path.is_dir() else None

    def receipt_folders(self) -> tuple[str, ...]:
        """The packet ids that receipts were filed under."""
        return tuple(sorted(path.name for path in (self.root / "receipts").iterdir()))

    def receipt_files(self, packet_id: str) -> tuple[Path, ...]:
        """The receipts filed for one packet."""
        folder = self.root / "receipts" / packet_id
        if not folder.is_dir():
            return ()
        return tuple(sorted(path for path in folder.iterdir() if path.suffix == ".xml"))


def read_delivery(folder: Path) -> Delivery:
    """delivery.xml of a delivered folder. Raises FormatError leaves."""
    return decode_delivery((folder / "delivery.xml").read_bytes())


@dataclass(slots=True)
class Proofs:
    """Verifies what lies in agencies' folders with the directory that one node trusts.

    ``moment`` is when the verifier looks. ``receipts`` counts the different receipts that were verified.
    """

    directory: Directory
    _keys: dict[str, PublicKey] = field(default_factory=dict)
    _known: dict[str, Receipt] = field(default_factory=dict)

    @classmethod
    def of(cls, lab: Lab, agency: str) -> Proofs:
        """With the directory and the root keys of that agency's node. Raises SignatureError, FormatError."""
        directory, check = find_directory(load_config(lab.node_config(agency)))
        if directory is None:
            raise SignatureError("the node trusts no directory", where=check.detail)
        return cls(directory)

    @property
    def receipts(self) -> int:
        """How many different receipts were verified."""
        return len(self._known)

    def receipt(self, data: bytes, moment: datetime) -> Receipt:
        """The verified receipt in a file. Raises SignatureError, AuthorityError or FormatError leaves."""
        digest = sha256_hex(data)
        known = self._known.get(digest)
        if known is None:
            known, key_id = open_receipt(data[: RECEIPT_BYTES + 1], self._lookup)
            check_receipt_authority(self.directory, known, key_id, moment)
            self._known[digest] = known
        return known

    def problems_of(self, folder: Path, original: Original, recipient: str, moment: datetime) -> list[str]:
        """What is wrong with a delivered folder: nothing, when it is whole and what was dropped."""
        try:
            return [f"{folder.name}: {what}" for what in self._problems(folder, original, recipient, moment)]
        except (OSError, ExchangeError) as error:
            return [f"{folder.name}: {error}"]

    def _problems(self, folder: Path, original: Original, recipient: str, moment: datetime) -> Iterator[str]:
        delivery = read_delivery(folder)
        seal_bytes = (folder / "seal.xml").read_bytes()
        signature = decode_signature((folder / "seal.sig").read_bytes())
        verify(Domain.SEAL, seal_bytes, signature, find_key(signature, self._lookup))
        seal = decode_seal(seal_bytes)
        check_seal_authority(self.directory, seal, signature.key_id, moment)
        accepted = self.receipt((folder / "accepted.xml").read_bytes(), moment)
        facts = (
            ("recipient", delivery.recipient, recipient),
            ("sender", delivery.key.sender, original.envelope.sender),
            ("sender reference", delivery.sender_ref, original.envelope.sender_ref),
            ("content digest", delivery.content_digest, original.content_digest),
            ("content digest in the seal", seal.content_digest, original.content_digest),
            ("content digest in the receipt", accepted.content_digest, original.content_digest),
            ("seal digest", delivery.seal_digest, sha256_hex(seal_bytes)),
            ("seal digest in the receipt", accepted.seal_digest, sha256_hex(seal_bytes)),
            ("packet.xml", _digest(folder / _PACKET_XML), original.packet_digest),
        )
        yield from (f"{what} is {found}, not {wanted}" for what, found, wanted in facts if found != wanted)
        listed = [(each.listed, each.size, each.digest) for each in delivery.files]
        wanted = [(each.file, each.size, each.sha256) for each in original.attachments]
        if listed != wanted:
            yield "delivery.xml lists other files than were dropped"
        for each in delivery.files:
            if _digest(folder / each.file) != each.digest:
                yield f"{each.file} is not the file that was dropped"

    def _lookup(self, key_id: str) -> PublicKey | None:
        if key_id not in self._keys:
            owner = find_key_owner(self.directory, key_id)
            if owner is None:
                return None
            self._keys[key_id] = PublicKey(owner[1].suite, owner[1].public)
        return self._keys[key_id]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return digest_of_blocks(iter(lambda: file.read(_BLOCK), b""))
