"""The values of the exchange standard: frozen, complete, free of behaviour that needs the world.

Times are aware datetimes in UTC unless a comment says otherwise; sizes are bytes; digests are
SHA-256 in lower-case hexadecimal. The documents they are read from and written to are described in
docs/packet-format.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple

from packet_spec.findings import Finding
from packet_spec.identity import PacketKey
from packet_spec.travelling import travels_by_values


class Priority(StrEnum):
    """How urgent the sender says a packet is."""

    NORMAL = "normal"
    URGENT = "urgent"


@travels_by_values
@dataclass(frozen=True, slots=True)
class Attachment:
    """One line of ``<attachments>`` in packet.xml."""

    file: str
    document_type: str
    size: int | None
    sha256: str | None
    title: str = ""
    pages: int | None = None
    document_number: str = ""
    document_date: date | None = None
    volume: str = ""


@travels_by_values
@dataclass(frozen=True, slots=True)
class CaseNumber:
    """A case number of one organ: kind is police, procuratorate, court or prison."""

    kind: str
    value: str


@travels_by_values
@dataclass(frozen=True, slots=True)
class Envelope:
    """The envelope of packet.xml: who sends what to whom. ``packet_id`` may be missing (C13)."""

    packet_id: str | None
    sender_ref: str
    business_type: str
    sender: str
    receiver: str
    copy_to: tuple[str, ...]
    in_reply_to: PacketKey | None
    supersedes: str | None
    created_at: datetime
    priority: Priority
    track: str
    handover: str
    expires_at: datetime | None
    secrecy: str
    case_kind: str
    case_numbers: tuple[CaseNumber, ...]
    handler: str
    approver: str
    approved_on: date | None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The receiver, then every copy, in the order of the envelope."""
        return (self.receiver, *self.copy_to)


@travels_by_values
@dataclass(frozen=True, slots=True)
class Packet:
    """A parsed packet.xml: envelope, attachments, and the body as field code -> values.

    ``body`` maps a field code to its values in document order: plain text for packet-scoped fields;
    ``persons`` holds one mapping (field code -> text) per person; other lists hold their items' text.
    ``body_type`` is the local name of the body's element.
    """

    envelope: Envelope
    attachments: tuple[Attachment, ...]
    body_type: str
    fields: dict[str, str]
    lists: dict[str, tuple[str, ...]]
    persons: tuple[dict[str, str], ...]


class Carriage(StrEnum):
    """How a part travels: inside the sealed packet, or as a blob of its own (C8)."""

    INLINE = "inline"
    BLOB = "blob"


@dataclass(frozen=True, slots=True)
class SealPart:
    """One part as carried. ``name`` is the original name in bytes (it may not be UTF-8).

    ``enc`` is the wrapped content key of an encrypted part, whose size and digest are those of the
    ciphertext; empty for a part in clear (``packet_spec.encryption``).
    """

    index: int
    name: bytes
    size: int
    digest: str
    carriage: Carriage
    document_type: str
    enc: bytes = b""


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """The packet key, sealed to the key ``key_id`` of the node ``node``."""

    node: str
    key_id: str
    box: bytes


@dataclass(frozen=True, slots=True)
class SealEncryption:
    """How the parts of a packet are encrypted, and for whom: every key of every recipient's node."""

    suite: str
    keys: tuple[WrappedKey, ...]


@dataclass(frozen=True, slots=True)
class PackStamp:
    """The version of the standard by which a packet was checked; the digest decides."""

    name: str
    version: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.digest[:12]}…)"


@dataclass(frozen=True, slots=True)
class Seal:
    """seal.xml: the machine-written list of what a packet holds, made by the sealing front-end.

    ``encryption`` is None when the parts are in clear; else every part has its ``enc``.
    """

    key: PacketKey
    attempt: int
    receiver: str
    copy_to: tuple[str, ...]
    business_type: str
    sender_ref: str
    priority: Priority
    expires_at: datetime | None
    sealed_at: datetime
    key_id: str
    suite: str
    incarnation: str
    sequence: int
    pack: PackStamp
    encoding: str
    packet_size: int
    packet_digest: str
    content_digest: str
    parts: tuple[SealPart, ...]
    encryption: SealEncryption | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """The receiver, then every copy."""
        return (self.receiver, *self.copy_to)


class ReceiptKind(StrEnum):
    """What a receipt says (docs/packet-format.md, receipts)."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    SIGNED = "signed"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"


class CheckedScope(StrEnum):
    """How far ``accepted`` was checked, where that is not everything."""

    PACKET_XML = "packet-xml"
    """Seal and packet.xml: the parts are encrypted, and nobody there could look into them."""
    SEAL = "seal"
    """The seal alone, where packet.xml is encrypted too. Nothing writes it yet."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A signed statement about a packet. ``recipient`` is empty where it speaks for the whole packet.

    ``issued_by`` is the agency or node that speaks; ``number`` rises at that issuer. ``how`` is
    ``marker`` or ``folder-gone`` for collected; ``by`` names the person or software that signed;
    ``folder_synced`` is false where a share refused to sync the inbox folder (C19). ``scope`` stands in
    ``accepted`` alone; None means that everything was checked.
    """

    kind: ReceiptKind
    key: PacketKey
    attempt: int
    content_digest: str
    seal_digest: str
    business_type: str
    recipient: str
    issued_by: str
    issued_at: datetime
    number: int
    findings: tuple[Finding, ...] = ()
    how: str = ""
    by: str = ""
    folder_synced: bool = True
    scope: CheckedScope | None = None


@dataclass(frozen=True, slots=True)
class HopNote:
    """One node's signed note of a packet's way. ``next_node`` is where it went at ``left_at``."""

    node: str
    key: PacketKey
    seal_digest: str
    landed_at: datetime
    left_at: datetime
    next_node: str


@dataclass(frozen=True, slots=True)
class Disposition:
    """The recipient's answer to a delivered packet: 签收 (signed) or refusal (C22)."""

    key: PacketKey
    kind: ReceiptKind
    by: str
    at: datetime
    findings: tuple[Finding, ...]


class ItemKind(StrEnum):
    """What one item of a batch is."""

    PACKET = "packet"
    RECEIPT = "receipt"
    HOP = "hop"
    NOTE = "note"


class KeyUse(StrEnum):
    """What a key in the directory may be used for (C21)."""

    SEAL = "seal"
    LINK = "link"
    RECEIPT = "receipt"
    LOG = "log"
    ENCRYPT = "encrypt"
    """X25519: parts for this node are encrypted to it."""
    LOGIN = "login"
    """The ssh-ed25519 key by which the node logs in at the nodes that serve its links."""
    HOST = "host"
    """The ssh-ed25519 host key of the server that serves the node's links."""


@dataclass(frozen=True, slots=True)
class DirectoryKey:
    """A public key of a node, its use and the time in which what it signs counts."""

    key_id: str
    suite: str
    public: bytes
    uses: tuple[KeyUse, ...]
    not_before: datetime
    not_after: datetime
    revoked_at: datetime | None = None


class NodeRole(StrEnum):
    """The roles of a node (docs/architecture.md)."""

    FRONTEND = "frontend"
    PROVINCIAL = "provincial"
    BRIDGE = "bridge"


@dataclass(frozen=True, slots=True)
class DirectoryNode:
    """A node of the tree: ``parent`` is the node above it, empty at the top.

    ``renew_keys``: keys of this node that begin before are to be replaced; it offers others.
    """

    code: str
    role: NodeRole
    parent: str
    keys: tuple[DirectoryKey, ...]
    disabled: bool = False
    renew_keys: datetime | None = None


class Edition(NamedTuple):
    """Which directory. Versions rise within an epoch; an epoch rises by one, and only to recover (C24).

    Editions compare by epoch, then by version. Version 0 stands for no directory.
    """

    epoch: int
    version: int

    def __str__(self) -> str:
        """As file names and waybills have it: the version alone in the first epoch."""
        return f"{self.version}" if self.epoch == 1 else f"{self.epoch}-{self.version}"


NO_EDITION: Final = Edition(1, 0)


@dataclass(frozen=True, slots=True)
class DirectoryAgency:
    """An agency: its kind and level, the node that serves it, the node that admits its packets.

    ``business_types`` and ``case_kinds`` are allow-lists; an empty tuple allows all. What is sealed from
    ``retired_at`` on by it or for it is refused; what was sealed before goes on, and its receipts count.
    """

    code: str
    kind: str
    level: str
    parent: str
    node: str
    admitting_node: str
    name_zh: str
    name_en: str
    business_types: tuple[str, ...] = ()
    case_kinds: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    disabled: bool = False
    retired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RootKey:
    """A root key that may sign directories."""

    key_id: str
    suite: str
    public: bytes


@dataclass(frozen=True, slots=True)
class PackReference:
    """A pack of schemas and catalogue that is in force, by digest, with its dates."""

    name: str
    version: str
    digest: str
    valid_from: datetime
    valid_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """What is open, and how strictly order is kept, from some senders to some receivers.

    ``sender`` and ``receiver`` are an agency code, an agency kind, or empty for all. ``business_types`` and
    ``case_kinds`` are allow-lists; an empty tuple allows all. ``sequence`` is a policy, or empty where the
    admitting node's own counts. ``encrypt`` is ``parts`` where parts travel encrypted, else empty.
    """

    sender: str = ""
    receiver: str = ""
    sequence: str = ""
    business_types: tuple[str, ...] = ()
    case_kinds: tuple[str, ...] = ()
    encrypt: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """The signed directory of a province: everybody that may speak, and how to reach them.

    Without ``packs`` the standard that each program carries is in force. Of ``routes`` the first that fits
    counts. ``enabled_types`` are reserved business types that are in use here.
    """

    version: int
    issued_at: datetime
    expires_at: datetime
    threshold: int
    roots: tuple[RootKey, ...]
    nodes: tuple[DirectoryNode, ...]
    agencies: tuple[DirectoryAgency, ...]
    packs: tuple[PackReference, ...] = ()
    routes: tuple[Route, ...] = ()
    enabled_types: tuple[str, ...] = ()
    epoch: int = 1
    _nodes: dict[str, DirectoryNode] = field(init=False, repr=False, compare=False, hash=False)
    _agencies: dict[str, DirectoryAgency] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_nodes", {node.code: node for node in self.nodes})
        object.__setattr__(self, "_agencies", {agency.code: agency for agency in self.agencies})

    @property
    def edition(self) -> Edition:
        """Epoch and version."""
        return Edition(self.epoch, self.version)

    def node(self, code: str) -> DirectoryNode | None:
        """The node of that code, if the directory lists it."""
        return self._nodes.get(code)

    def agency(self, code: str) -> DirectoryAgency | None:
        """The agency of that code, if the directory lists it."""
        return self._agencies.get(code)

    def route(self, sender: str, receiver: str) -> Route | None:
        """The first route that fits both agencies; None where the directory says nothing of them."""
        return next(
            (
                route
                for route in self.routes
                if self._is_meant(route.sender, sender) and self._is_meant(route.receiver, receiver)
            ),
            None,
        )

    def _is_meant(self, selector: str, code: str) -> bool:
        agency = self._agencies.get(code)
        return selector in {"", code} or (agency is not None and agency.kind == selector)

    def packs_at(self, moment: datetime) -> tuple[PackReference, ...]:
        """The packs in force at ``moment``, the one that came last first."""
        valid = [
            pack
            for pack in self.packs
            if pack.valid_from <= moment and (pack.valid_until is None or moment < pack.valid_until)
        ]
        return tuple(sorted(valid, key=lambda pack: pack.valid_from, reverse=True))

    def pack(self, digest: str) -> PackReference | None:
        """The pack of that digest, whether in force or not."""
        return next((pack for pack in self.packs if pack.digest == digest), None)
