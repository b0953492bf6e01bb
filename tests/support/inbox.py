"""One receiving front-end for tests: real folders, real ledger, real signatures, packets that arrived.

The directory, keys and agencies are those of ``tests.support.documents``: the procuratorate receives
from the police over its one link to the province. Open it again on the same root to restart it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from exchanged.blobs import BlobStore
from exchanged.decryption_keys import DecryptionKeys
from exchanged.durable import NO_CRASH, CrashPoints, DurableFiles, Kernel, Volume
from exchanged.durable_group import GroupedFiles
from exchanged.keyring import always
from exchanged.ledger import Ledger, Transaction, blobs, packets, spool, statements
from exchanged.ledger.rows import DestinationRow, PacketRow, ReceiptRow
from exchanged.pool import InlinePool
from exchanged.ranges import SpoolRange
from exchanged.receipts import Links, Speaker, Statements
from exchanged.retry import Backoff
from exchanged.spool import Spool
from exchanged.states import DestinationState, Event
from exchanged.trust import Trust
from exchanged.volume import KERNEL
from frontend_server.collected import Collected
from frontend_server.counts import Counts
from frontend_server.delivery import Delivery
from frontend_server.dispositions import Dispositions
from frontend_server.folders import AgencyFolders, MarkedFolders, write_marker
from frontend_server.opening import Opener
from frontend_server.staging import Stager
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import Carriage, KeyUse, ReceiptKind, SealPart
from packet_spec.receipt import sign_receipt
from packet_spec.seal import encode_seal, write_packet
from packet_spec.signing import Domain, encode_signature
from packet_spec.waybill_model import BlobReference
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.documents import (
    KEYS,
    PACKET_XML,
    POLICE,
    PROCURATORATE,
    PROVINCE,
    ROOTS,
    SEAL_KEY,
    make_directory,
    make_receipt,
    make_seal,
)

LINK = "province"
INLINE: Mapping[str | bytes, bytes] = {"起诉意见书.pdf": b"%PDF fictional opinion"}
BLOBS: Mapping[str | bytes, bytes] = {"media.mp4": b"fictional film " * 200}


def packet_id(number: int) -> str:
    """A packet id for tests."""
    return f"0190a5b0-1c2d-7e3f-8a4b-{number:012x}"


@dataclass(frozen=True)
class Arrival:
    """What a test wants to arrive; attachments by listed name."""

    number: int = 1
    attempt: int = 1
    packet_xml: bytes = PACKET_XML.encode()
    encoding: str = "utf-8"
    inline: Mapping[str | bytes, bytes] = field(default_factory=lambda: INLINE)
    blobs: Mapping[str | bytes, bytes] = field(default_factory=lambda: BLOBS)
    business_type: str = "prosecution.transfer"
    expires_at: datetime | None = None
    is_accepted: bool = True

    @property
    def key(self) -> PacketKey:
        return PacketKey(POLICE, packet_id(self.number))


class ReceivingFrontend:
    """The receiving half of the procuratorate's front-end below ``root``."""

    def __init__(
        self,
        root: Path,
        *,
        crash: CrashPoints = NO_CRASH,
        clock: FakeClock | None = None,
        kernel: Kernel = KERNEL,
        collected_at_once: int = 3,
    ) -> None:
        self.clock = clock or FakeClock()
        self.clock_is_sound = True
        self.wakes: list[str] = []
        own = DurableFiles(Volume.OWN, crash)
        foreign = DurableFiles(Volume.FOREIGN, crash, kernel)
        agency_root = root / "agency"
        is_new = not agency_root.exists()
        agency_root.mkdir(parents=True, exist_ok=True)
        (root / "node").mkdir(exist_ok=True)
        self.ledger = Ledger(
            root / "node" / "ledger.db", self.clock, on_wake=self.wakes.extend, crash=crash, threaded=False
        )
        self.folders = AgencyFolders(agency_root, foreign, node=PROCURATORATE)
        self.trust = Trust(root / "node" / "trust", own, make_directory().roots, 2)
        self.trust.load()
        self.spool = Spool(root / "node" / "spool", own, FakeRandomness("spool"))
        self.blobs = BlobStore(root / "node" / "blobs", own)
        if is_new:
            self.folders.ensure()
            write_marker(self.folders.inbox, PROCURATORATE, "ab" * 16)
            self.spool.prepare()
            self.blobs.prepare()
            self.trust.offer(sign_directory(encode_directory(make_directory()), ROOTS[:2]))
        speaker = Speaker(
            PROCURATORATE,
            PROCURATORATE,
            always(KEYS[PROCURATORATE, KeyUse.RECEIPT]),
            always(KEYS[PROCURATORATE, KeyUse.LINK]),
        )
        links = Links({PROVINCE: LINK})
        self.statements = Statements(speaker, self.trust, links)
        places = MarkedFolders(self.folders, self.ledger)
        opener = Opener(
            node=PROCURATORATE,
            keys=DecryptionKeys(root / "node" / "keys" / "encrypt.key"),
            trust=self.trust,
            pool=InlinePool(),
            clock=self.clock,
            randomness=FakeRandomness("opener"),
            packs=root / "node" / "packs",
        )
        delivered = GroupedFiles(foreign)
        self.delivery = Delivery(
            agency=PROCURATORATE,
            ledger=self.ledger,
            folders=places,
            stager=Stager(
                self.ledger,
                self.spool,
                self.blobs,
                self.trust,
                delivered,
                self.clock,
                opener,
                folder_mode=0o2770,
            ),
            files=delivered,
            statements=self.statements,
            links=links,
            trust=self.trust,
            clock=self.clock,
            clock_is_sound=lambda: self.clock_is_sound,
            randomness=FakeRandomness("delivery"),
            backoff=Backoff(first_seconds=1.0, max_seconds=8.0, jitter=0.0),
            folder_mode=0o2770,
        )
        self.collected = Collected(
            agency=PROCURATORATE,
            ledger=self.ledger,
            folders=places,
            files=foreign,
            statements=self.statements,
            clock=self.clock,
            scan_seconds=10.0,
            keep_hours=24.0,
            at_once=collected_at_once,
        )
        self.counts = Counts(
            agency=PROCURATORATE,
            ledger=self.ledger,
            folders=places,
            files=foreign,
            clock=self.clock,
            file_mode=0o640,
        )
        self.dispositions = Dispositions(PROCURATORATE, self.statements)

    def close(self) -> None:
        """Let go of the ledger: a clean stop, or the end of a crashed process."""
        self.ledger.close()

    # --- what happens to it --------------------------------------------------------------------

    def arrive(self, arrival: Arrival | None = None) -> PacketKey:
        """The judge admitted a packet for this agency, as it lies in the spool."""
        arrival = arrival or Arrival()
        inline = {_name(name): data for name, data in arrival.inline.items()}
        large = {_name(name): data for name, data in arrival.blobs.items()}
        parts = tuple(
            SealPart(index, name, len(data), sha256_hex(data), carriage, "POL-020")
            for index, (name, data, carriage) in enumerate(
                [(name, data, Carriage.INLINE) for name, data in inline.items()]
                + [(name, data, Carriage.BLOB) for name, data in large.items()],
                start=1,
            )
        )
        seal = make_seal(
            arrival.packet_xml,
            parts,
            key=arrival.key,
            attempt=arrival.attempt,
            business_type=arrival.business_type,
            expires_at=arrival.expires_at,
            encoding=arrival.encoding,
            copy_to=(),
        )
        seal_bytes = encode_seal(seal)
        signature = encode_signature(SEAL_KEY.sign(Domain.SEAL, seal_bytes))
        with self.spool.new_group() as group:
            bodies = {index: [data] for index, data in enumerate(inline.values(), start=1)}
            size = write_packet(group.append, seal, seal_bytes, signature, arrival.packet_xml, bodies)
            group.flush()
        for data in large.values():
            self.blobs.path(sha256_hex(data), 1).write_bytes(data)
        accepted = make_receipt(
            ReceiptKind.ACCEPTED,
            key=seal.key,
            attempt=seal.attempt,
            content_digest=seal.content_digest,
            seal_digest=sha256_hex(seal_bytes),
            issued_at=self.clock.now(),
        )

        def commit(tx: Transaction) -> None:
            number = spool.adopt(tx, group.path.name, size, 1)
            facts = {
                "seal_digest": sha256_hex(seal_bytes),
                "landed_at": self.clock.now(),
                "came_by": LINK,
                "bytes_at": SpoolRange(number, group.path.name, 0, size),
                "relations": ("", "", ""),
            }
            earlier = packets.find(tx.connection, seal.key)
            if earlier is None:
                row = packets.insert(tx, seal, **facts)
            else:
                row = earlier.id
                packets.replace(tx, earlier, Event.NEW_ATTEMPT, seal, **facts)
            for data in large.values():
                blobs.store(tx, sha256_hex(data), 1, len(data))
                blobs.refer(tx, seal.key, [BlobReference(sha256_hex(data), len(data))])
            packets.add_destination(tx, row, PROCURATORATE, DestinationState.ARRIVED)
            if arrival.is_accepted:
                document = sign_receipt(accepted, KEYS[PROVINCE, KeyUse.RECEIPT])
                statements.record_receipt(tx, accepted, document, own=False)

        self.ledger.write(commit)
        return seal.key

    def deliver(self, arrival: Arrival | None = None) -> PacketKey:
        """Let a packet arrive and be delivered."""
        key = self.arrive(arrival)
        self.delivery.step()
        assert self.state(key) is DestinationState.DELIVERED
        return key

    def scan_twice(self) -> None:
        """Two looks at the inbox, one interval apart."""
        self.collected.step()
        self.clock.advance(10.0)
        self.collected.step()

    # --- what it shows -------------------------------------------------------------------------

    @property
    def inbox(self) -> Path:
        return self.folders.inbox

    def folder(self, key: PacketKey) -> Path:
        """Where the ledger says that a packet lies."""
        return self.inbox / self.rows(key)[1].folder

    def rows(self, key: PacketKey) -> tuple[PacketRow, DestinationRow]:
        packet = packets.find(self.ledger.read(), key)
        assert packet is not None
        (destination,) = packets.destinations(self.ledger.read(), packet.id)
        return packet, destination

    def state(self, key: PacketKey) -> DestinationState:
        return self.rows(key)[1].state

    def receipts(self, key: PacketKey, kind: ReceiptKind) -> list[ReceiptRow]:
        """Our own receipts of that kind, in order."""
        rows = statements.receipts_of(self.ledger.read(), key)
        return [row for row in rows if row.own and row.kind == kind.value]

    def events(self, kind: str) -> list[str]:
        """The details of the ledger's events of that kind, in order."""
        query = "SELECT detail FROM event WHERE kind = ? ORDER BY id"
        return [row["detail"] for row in self.ledger.read().execute(query, (kind,))]

    def visible(self) -> list[str]:
        """Every packet folder that the case software sees."""
        return sorted(f"{path.parent.name}/{path.name}" for path in self.inbox.glob("*/*"))

    def staged(self) -> list[str]:
        """Whatever lies in the staging folder."""
        return sorted(path.name for path in self.folders.staging.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class FailingKernel(Kernel):
    """System calls that fail on demand: set an attribute to the error to raise."""

    def __init__(self) -> None:
        self.write_error: OSError | None = None
        self.rename_error: OSError | None = None
        self.rename_happens = False

    def write(self, descriptor: int, block: bytes | memoryview) -> int:
        if self.write_error is not None:
            raise self.write_error
        return super().write(descriptor, block)

    def rename_new(self, source: Path, target: Path) -> None:
        error, self.rename_error = self.rename_error, None
        if error is None or self.rename_happens:
            super().rename_new(source, target)
        if error is not None:
            raise error


def _name(name: str | bytes) -> bytes:
    return name if isinstance(name, bytes) else name.encode()

