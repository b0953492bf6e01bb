"""The content of a packet, as it lies there, against its seal or against what a receipt names.

Guarantees: every file that is compared is read whole; what differs is raised as PacketDiffersError, with the
file. What an encrypted packet carried nobody has any more once it was opened: its files are compared with
the sizes and digests that the sealed packet.xml states for them.

Leaves to others: signatures and authority (``receipt_check``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cli.drop_reader import Drop, DropRefused, blocks_of, read_drop
from cli.frame import read_input
from packet_spec.delivery import decode_delivery
from packet_spec.encoding import EncodingDecision, decide_encoding
from packet_spec.envelope import parse_packet
from packet_spec.errors import FormatError, NameRefusedError
from packet_spec.identity import content_digest, sha256_hex
from packet_spec.limits import DELIVERY_XML_BYTES, PACKET_XML_BYTES, SEAL_XML_BYTES
from packet_spec.model import Attachment, Packet, Seal, SealPart
from packet_spec.names import fold_name, safe_component, sealed_name
from packet_spec.seal_document import decode_seal
from packet_spec.signing import digest_of_blocks
from packet_spec.told import DeliveredFile


class PacketDiffersError(FormatError):
    """A receipt speaks of another packet, content or seal than the one it was held against."""

    reference = "receipt-for-other-packet"


def delivered_content(folder: Path) -> tuple[int, int]:
    """Hold the files of an inbox folder against the seal that lies among them.

    How many attachments were sealed, and how many of them lie there no longer.
    """
    seal = decode_seal(read_input(folder / "seal.xml", SEAL_XML_BYTES))
    packet_xml = read_input(folder / "packet.xml", PACKET_XML_BYTES)
    _require_digest("packet.xml", seal.packet_digest, sha256_hex(packet_xml))
    delivery = decode_delivery(read_input(folder / "delivery.xml", DELIVERY_XML_BYTES))
    if len(delivery.files) != len(seal.parts):
        raise PacketDiffersError("delivery.xml lists other files than the seal", where=str(folder))
    expected = _digests(seal, packet_xml, delivery.files, folder)
    gone = 0
    for digest, listed in zip(expected, delivery.files, strict=True):
        path = folder / _own_name(listed.file)
        if path.exists():
            _require_digest(listed.file, digest, digest_of_blocks(blocks_of(path)))
        else:
            gone += 1
    return len(seal.parts), gone


def _digests(seal: Seal, packet_xml: bytes, files: Iterable[DeliveredFile], folder: Path) -> list[str]:
    """What each file must hash to: as sealed, or, where a ciphertext was sealed, as packet.xml says."""
    if seal.encryption is None:
        return [part.digest for part in seal.parts]
    stated = _read(packet_xml, folder).attachments
    if len(stated) != len(seal.parts):
        raise PacketDiffersError("packet.xml lists other files than the seal", where=str(folder))
    return [
        _opened_digest(*each) if each[0].enc else each[0].digest
        for each in zip(seal.parts, stated, files, strict=True)
    ]


def _opened_digest(part: SealPart, stated: Attachment, file: DeliveredFile) -> str:
    _require_digest(file.file, part.digest, file.carried_digest)
    if stated.sha256 is None:
        raise PacketDiffersError("packet.xml does not say what an encrypted file opens to", where=stated.file)
    return stated.sha256


def original_content(path: Path) -> tuple[Packet, str]:
    """The drop as the case software wrote it, and its content digest (C11), computed anew.

    Of an encrypted packet that is another one than its seal bears.
    """
    try:
        drop = read_drop(path)
        if drop.packet_xml is None:
            raise PacketDiffersError("there is no packet.xml to compare with", where=str(path))
        packet = _read(drop.packet_xml, path)
        return packet, content_digest(sha256_hex(drop.packet_xml), _parts(packet.attachments, drop))
    except DropRefused as refused:
        what = str(refused)
        raise PacketDiffersError("the packet cannot be read", where=str(path), found=what) from refused


def _read(packet_xml: bytes, place: Path) -> Packet:
    decided = decide_encoding(packet_xml)
    packet = parse_packet(decided.utf8)[0] if isinstance(decided, EncodingDecision) else None
    if packet is None:
        raise PacketDiffersError("packet.xml cannot be read", where=str(place))
    return packet


def _parts(attachments: Iterable[Attachment], drop: Drop) -> Iterator[tuple[bytes, int, str]]:
    by_name = {fold_name(name): file for file in reversed(drop.files) for name in reversed(file.names)}
    for listed in attachments:
        file = by_name.get(fold_name(listed.file))
        if file is None:
            raise PacketDiffersError("a listed attachment is not there", found=listed.file)
        yield sealed_name(file.raw_name, listed.file), file.size, digest_of_blocks(file.blocks())


def _own_name(name: str) -> str:
    """A name from delivery.xml, which nobody signed: only a plain one leads to a file."""
    try:
        return safe_component(name)
    except NameRefusedError as error:
        raise PacketDiffersError("delivery.xml names a file that it never wrote", found=name) from error


def _require_digest(name: str, expected: str, found: str) -> None:
    if expected != found:
        what = "a file is not the one that was sealed"
        raise PacketDiffersError(what, where=name, expected=expected, found=found)
