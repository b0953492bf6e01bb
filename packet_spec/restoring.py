"""What a restored node and its neighbours tell each other: payloads of notes of kind ``restore`` (C23).

``Ask``: the restored node says under which incarnation it speaks now and since when it may have forgotten.
``Page`` answers: what the other node knows of what went between the two since then. ``Want``: whose sealed
bytes the restored node lacks. Pure values and bytes; the note around them is signed. Leaves to others what
anybody does with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from packet_spec.errors import SchemaError
from packet_spec.identity import PacketKey
from packet_spec.limits import NOTE_PAYLOAD_BYTES
from packet_spec.model import Priority
from packet_spec.xml import (
    FORMAT_VERSION,
    Element,
    add,
    attribute,
    child,
    children,
    new_root,
    read_machine_document,
    read_moment,
    read_truth,
    text,
    texts,
    write_machine_document,
    write_moment,
    write_truth,
)

WANTED: Final = 2_000
"""At most how many packets one ``Want`` names."""

_PACKET_BYTES: Final = 2_400
_RECIPIENT_BYTES: Final = 200
_RECEIPT_BYTES: Final = 110
_PAGE_BYTES: Final = 900_000


@dataclass(frozen=True, slots=True)
class Ask:
    """``incarnation`` is the new one; what went over before ``since`` the restored node knows by itself."""

    incarnation: str
    since: datetime


@dataclass(frozen=True, slots=True)
class KnownPacket:
    """A packet as the answering node knows it.

    ``given``: it handed the packet to the restored node, or has to; else it has it from there. ``offered``:
    it may have been there already. ``has_bytes``: it can hand it over (again). ``destinations``: recipient
    and state.
    """

    key: PacketKey
    attempt: int
    business_type: str
    sender_ref: str
    receiver: str
    copy_to: tuple[str, ...]
    priority: Priority
    expires_at: datetime | None
    sealed_at: datetime
    incarnation: str
    sequence: int
    content_digest: str
    seal_digest: str
    in_reply_to: str
    supersedes: str
    case_key: str
    given: bool
    offered: bool
    has_bytes: bool
    destinations: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """The answering node's own batches to the restored node.

    All up to ``top`` are disposed of but ``open``.
    """

    incarnation: str
    top: int
    open: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Numbers:
    """The highest numbers of the restored node that the answering node has seen; 0 and None for none."""

    seal: int = 0
    receipt: int = 0
    issued_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of an answer to the ``Ask`` of ``incarnation``.

    ``last``: no other page follows. ``final``: the answering node is not waiting for anybody itself.
    ``sure``: it was not restored itself of late, so what it never offered never was there. ``stream`` only
    where a link joins the two. ``receipts`` are digests of receipts that it gives back, as items of their
    own.
    """

    incarnation: str
    last: bool
    final: bool
    sure: bool
    stream: Stream | None = None
    numbers: Numbers = Numbers()
    packets: tuple[KnownPacket, ...] = ()
    receipts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """Packets whose sealed bytes shall come again, at most ``WANTED``."""

    incarnation: str
    packets: tuple[PacketKey, ...]


RestoreDocument: TypeAlias = Ask | Page | Want


def encode_restoring(said: RestoreDocument) -> bytes:
    """The payload. Raises SchemaError when it cannot be written or is over the cap of a note."""
    root = new_root("restore", "restore", {"formatVersion": FORMAT_VERSION, "incarnation": said.incarnation})
    match said:
        case Ask():
            add(root, "ask", since=write_moment(said.since))
        case Want():
            if len(said.packets) > WANTED:
                raise SchemaError("too many packets are asked for", expected=f"at most {WANTED}")
            wanted = add(root, "want")
            for key in said.packets:
                add(wanted, "packet", sender=key.sender, packetId=key.packet_id)
        case Page():
            _add_page(root, said)
    return write_machine_document(root, "restore", limit_bytes=NOTE_PAYLOAD_BYTES)


def decode_restoring(data: bytes) -> RestoreDocument:
    """The value of a payload. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "restore", limit_bytes=NOTE_PAYLOAD_BYTES)
    incarnation = attribute(root, "incarnation")
    if (ask := child(root, "ask")) is not None:
        return Ask(incarnation, read_moment(attribute(ask, "since")))
    if (want := child(root, "want")) is not None:
        named = children(want, "packet")
        if len(named) > WANTED:
            raise SchemaError("too many packets are asked for", expected=f"at most {WANTED}")
        return Want(incarnation, tuple(_key(each) for each in named))
    (page,) = children(root, "page")
    return _read_page(incarnation, page)


def pages_of(
    packets: Iterable[KnownPacket], receipts: Iterable[str]
) -> Iterator[tuple[tuple[KnownPacket, ...], tuple[str, ...]]]:
    """Packets, then receipts, in portions that fit into a page each; nothing at all is no portion."""
    found: list[KnownPacket] = []
    room = _PAGE_BYTES
    for packet in packets:
        taken = _PACKET_BYTES + _RECIPIENT_BYTES * (1 + len(packet.copy_to))
        if taken > room:
            yield tuple(found), ()
            found, room = [], _PAGE_BYTES
        found.append(packet)
        room -= taken
    digests: list[str] = []
    for digest in receipts:
        if room < _RECEIPT_BYTES:
            yield tuple(found), tuple(digests)
            found, digests, room = [], [], _PAGE_BYTES
        digests.append(digest)
        room -= _RECEIPT_BYTES
    if found or digests:
        yield tuple(found), tuple(digests)


def _add_page(root: Element, page: Page) -> None:
    element = add(
        root, "page", last=write_truth(page.last), final=write_truth(page.final), sure=write_truth(page.sure)
    )
    if page.stream is not None:
        stream = add(element, "stream", incarnation=page.stream.incarnation, top=str(page.stream.top))
        for number in page.stream.open:
            add(stream, "open", str(number))
    numbers, issued = page.numbers, page.numbers.issued_at
    add(
        element,
        "numbers",
        seal=str(numbers.seal),
        receipt=str(numbers.receipt),
        issuedAt=None if issued is None else write_moment(issued),
    )
    for packet in page.packets:
        _add_packet(element, packet)
    for digest in page.receipts:
        add(element, "receipt", digest)


def _read_page(incarnation: str, element: Element) -> Page:
    numbers = children(element, "numbers")[0]
    stream, issued = child(element, "stream"), numbers.get("issuedAt")
    return Page(
        incarnation=incarnation,
        last=read_truth(attribute(element, "last")),
        final=read_truth(attribute(element, "final")),
        sure=read_truth(attribute(element, "sure")),
        stream=None
        if stream is None
        else Stream(
            attribute(stream, "incarnation"),
            int(attribute(stream, "top")),
            tuple(int(number) for number in texts(stream, "open")),
        ),
        numbers=Numbers(
            int(attribute(numbers, "seal")),
            int(attribute(numbers, "receipt")),
            None if issued is None else read_moment(issued),
        ),
        packets=tuple(_read_packet(each) for each in children(element, "packet")),
        receipts=texts(element, "receipt"),
    )


def _add_packet(page: Element, packet: KnownPacket) -> None:
    element = add(
        page,
        "packet",
        sender=packet.key.sender,
        packetId=packet.key.packet_id,
        attempt=str(packet.attempt),
        priority=packet.priority.value,
        sealedAt=write_moment(packet.sealed_at),
        expiresAt=None if packet.expires_at is None else write_moment(packet.expires_at),
        incarnation=packet.incarnation,
        sequence=str(packet.sequence),
        given=write_truth(packet.given),
        offered=write_truth(packet.offered),
        hasBytes=write_truth(packet.has_bytes),
        inReplyTo=packet.in_reply_to or None,
        supersedes=packet.supersedes or None,
    )
    add(element, "businessType", packet.business_type)
    add(element, "senderRef", packet.sender_ref)
    add(element, "receiver", packet.receiver)
    for code in packet.copy_to:
        add(element, "copyTo", code)
    add(element, "contentDigest", packet.content_digest)
    add(element, "sealDigest", packet.seal_digest)
    if packet.case_key:
        add(element, "caseNumber", packet.case_key)
    for recipient, state in packet.destinations:
        add(element, "destination", recipient=recipient, state=state)


def _read_packet(element: Element) -> KnownPacket:
    expires = element.get("expiresAt")
    return KnownPacket(
        key=_key(element),
        attempt=int(attribute(element, "attempt")),
        business_type=text(element, "businessType"),
        sender_ref=text(element, "senderRef"),
        receiver=text(element, "receiver"),
        copy_to=texts(element, "copyTo"),
        priority=Priority(attribute(element, "priority")),
        expires_at=None if expires is None else read_moment(expires),
        sealed_at=read_moment(attribute(element, "sealedAt")),
        incarnation=attribute(element, "incarnation"),
        sequence=int(attribute(element, "sequence")),
        content_digest=text(element, "contentDigest"),
        seal_digest=text(element, "sealDigest"),
        in_reply_to=attribute(element, "inReplyTo"),
        supersedes=attribute(element, "supersedes"),
        case_key=text(element, "caseNumber"),
        given=read_truth(attribute(element, "given")),
        offered=read_truth(attribute(element, "offered")),
        has_bytes=read_truth(attribute(element, "hasBytes")),
        destinations=tuple(
            (attribute(each, "recipient"), attribute(each, "state"))
            for each in children(element, "destination")
        ),
    )


def _key(element: Element) -> PacketKey:
    return PacketKey(attribute(element, "sender"), attribute(element, "packetId"))
