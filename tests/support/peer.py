"""A hand-driven front-end: it has one agency's real keys and mailbox, and says whatever a test wants.

Used to speak to a simulated province as an honest neighbour, as a clumsy one, and as an attacker who
owns one agency's account.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.batch import BatchSource, Content
from exchanged.durable import DurableFiles, Volume
from exchanged.keys import load_key
from exchanged.mailbox import batch_name
from exchanged.ranges import RangeReader
from exchanged.spool import Spool
from packet_spec.check import check_packet
from packet_spec.identity import PacketKey, content_digest, packet_id_from, sha256_hex
from packet_spec.limits import INLINE_PART_BYTES
from packet_spec.model import Carriage, ItemKind, Seal, SealPart
from packet_spec.pack import shipped_pack
from packet_spec.seal import encode_seal, write_packet
from packet_spec.signing import Domain, PrivateKey, decode_signature, encode_signature
from packet_spec.ustar import BLOCK, decode_header, member_size
from packet_spec.waybill import SPEAKS, decode_waybill, encode_waybill, sign_waybill
from packet_spec.waybill_model import Acknowledgement, BlobReference, Waybill, WaybillItem
from tests.support.network import PROVINCE, Network


@dataclass(frozen=True)
class Sealed:
    """A sealed packet in memory: its value, the exact file bytes, and its blobs by digest."""

    seal: Seal
    data: bytes
    blobs: dict[str, bytes]

    @property
    def key(self) -> PacketKey:
        """The packet's identity."""
        return self.seal.key

    def item(self) -> WaybillItem:
        """The waybill's line for it."""
        return packet_item(self.data, self.key, self.blobs)


def packet_item(data: bytes, key: PacketKey, blobs: dict[str, bytes] | None = None) -> WaybillItem:
    """A waybill line for packet bytes, true or not."""
    found = tuple(BlobReference(digest, len(content)) for digest, content in sorted((blobs or {}).items()))
    return WaybillItem(ItemKind.PACKET, sha256_hex(data), len(data), key, found)


class Peer:
    """One agency's front-end, driven by a test."""

    def __init__(self, network: Network, agency: str, to: str = PROVINCE) -> None:
        self.network = network
        self.to = to
        self.agency = agency
        keys = network.layout.data(agency) / "keys"
        self.seal_key = load_key(keys / "seal.key")
        self.link_key = load_key(keys / "link.key")
        self.receipt_key = load_key(keys / "receipt.key")
        self.mailbox = network.mailbox(agency)
        self.incarnation = hashlib.sha256(agency.encode()).hexdigest()[:32]
        self.number = 0
        self.sequence = 0
        self.counter = 0
        self._files = DurableFiles(Volume.OWN)
        self._spool = Spool(self.mailbox, self._files, network.nodes[to].randomness)

    # packets

    def seal(
        self,
        request: DropRequest,
        *,
        attempt: int = 1,
        packet_id: str | None = None,
        key: PrivateKey | None = None,
        change: dict[str, object] | None = None,
        parts: dict[str, bytes] | None = None,
        edit: Callable[[bytes], bytes] = lambda data: data,
    ) -> Sealed:
        """Write the drop of ``request`` and seal it.

        ``change`` lies in the seal; ``parts`` in the files; ``edit`` changes packet.xml before it is sealed.
        """
        with TemporaryDirectory() as folder:
            path = write_drop(make_drop(request), Path(folder))
            contents = {entry.name: entry.read_bytes() for entry in path.iterdir()}
        packet_xml = contents.pop("packet.xml")
        packet = check_packet(packet_xml, directory=None, pack=shipped_pack()).packet
        assert packet is not None
        packet_xml = edit(packet_xml)
        contents.update(parts or {})
        self.sequence += 1
        moment = self.network.clock.now()
        identity = packet_id or packet.envelope.packet_id
        sealed_parts = tuple(
            SealPart(
                index,
                listed.file.encode(),
                len(contents[listed.file]),
                sha256_hex(contents[listed.file]),
                Carriage.BLOB if len(contents[listed.file]) > INLINE_PART_BYTES else Carriage.INLINE,
                listed.document_type,
            )
            for index, listed in enumerate(packet.attachments, start=1)
        )
        signing = key or self.seal_key
        envelope = packet.envelope
        seal = Seal(
            key=PacketKey(
                envelope.sender,
                identity
                or packet_id_from(
                    moment, hashlib.sha256(f"{self.agency}{self.sequence}".encode()).digest()[:10]
                ),
            ),
            attempt=attempt,
            receiver=envelope.receiver,
            copy_to=envelope.copy_to,
            business_type=envelope.business_type,
            sender_ref=envelope.sender_ref,
            priority=envelope.priority,
            expires_at=envelope.expires_at,
            sealed_at=moment,
            key_id=signing.key_id,
            suite=signing.suite,
            incarnation=self.incarnation,
            sequence=self.sequence,
            pack=shipped_pack().stamp,
            encoding="utf-8",
            packet_size=len(packet_xml),
            packet_digest=sha256_hex(packet_xml),
            content_digest=content_digest(
                sha256_hex(packet_xml), [(part.name, part.size, part.digest) for part in sealed_parts]
            ),
            parts=sealed_parts,
        )
        return self.pack(replace(seal, **(change or {})), packet_xml, contents, signing)  # type: ignore[arg-type]

    def pack(self, seal: Seal, packet_xml: bytes, contents: dict[str, bytes], key: PrivateKey) -> Sealed:
        """The sealed packet's bytes, signed with ``key``."""
        data = encode_seal(seal)
        signature = encode_signature(key.sign(Domain.SEAL, data))
        out = bytearray()
        inline = {
            part.index: (contents[part.name.decode()],)
            for part in seal.parts
            if part.carriage is Carriage.INLINE
        }
        write_packet(out.extend, seal, data, signature, packet_xml, inline)
        blobs = {
            part.digest: contents[part.name.decode()] for part in seal.parts if part.carriage is Carriage.BLOB
        }
        return Sealed(seal, bytes(out), blobs)

    # batches

    def batch(
        self,
        items: Sequence[tuple[WaybillItem, Content]],
        *,
        number: int | None = None,
        key: PrivateKey | None = None,
        acknowledgement: Acknowledgement | None = None,
        bare: bool = False,
        **changes: object,
    ) -> bytes:
        """The bytes of a batch from this agency's node to the node above it."""
        if number is None and not bare:
            self.number += 1
            number = self.number
        signing = key or self.link_key
        waybill = Waybill(
            speaks=SPEAKS,
            from_node=self.agency,
            to_node=self.to,
            incarnation=self.incarnation,
            number=number,
            items=tuple(item for item, _ in items),
            acknowledgement=acknowledgement,
            ledger_head="0" * 64,
            directory_version=1,
            sent_at=self.network.clock.now(),
            key_id=signing.key_id,
        )
        data = encode_waybill(replace(waybill, **changes))  # type: ignore[arg-type]
        source = BatchSource(
            self._spool, data, sign_waybill(data, signing), [item for item, _ in items], [c for _, c in items]
        )
        return b"".join(source.blocks())

    def put(self, data: bytes, *, number: int | None = None, name: str | None = None) -> Path:
        """Lay a batch file into ``up/``, as a whole."""
        token = hashlib.sha256(data).digest()[:8]
        path = self.mailbox / "up" / (name or batch_name(number or self.number, token))
        self._files.write_file(path, (data,))
        return path

    def put_blob(self, content: bytes) -> Path:
        """Lay a blob into ``up/``."""
        path = self.mailbox / "up" / f"{sha256_hex(content)}.blob"
        self._files.write_file(path, (content,))
        return path

    def send(self, *sealed: Sealed, blobs: bool = True) -> Path:
        """Blobs first, then one batch with these packets."""
        for packet in sealed:
            for content in packet.blobs.values() if blobs else ():
                self.put_blob(content)
        return self.put(self.batch([(packet.item(), packet.data) for packet in sealed]))

    def greet(self) -> None:
        """The bare acknowledgement that every node puts at start."""
        self.put(self.batch([], bare=True), name="ack.batch")

    # what came back

    def waybills(self) -> list[Waybill]:
        """The waybills in ``down/``: batches by number, then the bare acknowledgement."""
        return [self._open(path)[0] for path in self._batches()]

    def items(self, kind: ItemKind) -> list[bytes]:
        """The bytes of every item of ``kind`` in ``down/``, in order."""
        found: list[bytes] = []
        for path in self._batches():
            waybill, items = self._open(path)
            found += [data for item, data in zip(waybill.items, items, strict=True) if item.kind is kind]
        return found

    def acknowledgement(self) -> Acknowledgement | None:
        """The newest acknowledgement of the province."""
        found = [waybill.acknowledgement for waybill in self.waybills() if waybill.acknowledgement]
        return max(found, key=lambda one: one.counter, default=None)

    def acknowledge(self) -> None:
        """Acknowledge everything in ``down/``, as a front-end does that landed it."""
        waybills = [waybill for waybill in self.waybills() if waybill.number is not None]
        if waybills:
            self.counter += 1
            last = waybills[-1]
            assert last.number is not None
            told = Acknowledgement(PROVINCE, last.incarnation, last.number, self.counter)
            self.put(self.batch([], bare=True, acknowledgement=told), name="ack.batch")

    def _batches(self) -> list[Path]:
        return sorted((self.mailbox / "down").glob("*.batch"))

    def _open(self, path: Path) -> tuple[Waybill, list[bytes]]:
        with RangeReader(path, 0, path.stat().st_size) as reader:
            members: list[bytes] = []
            left = path.stat().st_size - 1024
            while left:
                _, size = decode_header(reader.read(BLOCK))
                members.append(reader.read(size))
                reader.skip(member_size(size) - BLOCK - size)
                left -= member_size(size)
        decode_signature(members[1])
        return decode_waybill(members[0]), members[2:]
