"""A front-end whose sent and final things are cleaned away after their days."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from exchanged.config import RetentionConfig
from exchanged.durable import NO_CRASH, CrashPoints
from exchanged.ledger import effects, statements
from exchanged.ledger.rows import PacketRow
from exchanged.soundness import ClockGuard
from exchanged.states import Event
from exchanged.station import NOW
from exchanged.sweep import Sweep
from exchanged.volume import KERNEL, Kernel
from frontend_server.removal import Remover
from frontend_server.retention import RUN_SECONDS, Retention
from packet_spec.model import KeyUse, ReceiptKind
from packet_spec.receipt import sign_receipt
from tests.support.documents import BRIDGE, KEYS, PROCURATORATE, PROVINCE, make_receipt
from tests.support.outbox import SMALL, SendingFrontend, names_in, packet_xml

KEEP = RetentionConfig(
    sent_days=90, refused_days=180, receipt_days=730, status_days=365, notice_days=90, blob_days=60,
    restore_days=14, transit_days=30,
)  # fmt: skip
DAY = 86_400.0
REFUSED = b"<packet></packet>"


class Keeper:
    """A front-end with its stations ``retention`` and ``sweep``; its neighbour confirms the clock."""

    def __init__(
        self,
        root: Path,
        keep: RetentionConfig = KEEP,
        crash: CrashPoints = NO_CRASH,
        kernel: Kernel = KERNEL,
    ) -> None:
        self.root, self.keep, self.kernel = root, keep, kernel
        self.is_heard = True
        self.open(crash)

    def open(self, crash: CrashPoints = NO_CRASH) -> None:
        clock = self.frontend.clock if hasattr(self, "frontend") else None
        self.frontend = SendingFrontend(self.root, clock=clock, crash=crash, kernel=self.kernel)
        frontend = self.frontend
        self.guard = ClockGuard(frontend.clock, 300)
        self.retention = Retention(
            ledger=frontend.ledger, folders=frontend.folders,
            remover=Remover(frontend.folders, frontend.foreign), clock=frontend.clock,
            proven=self.guard.proven, keep=self.keep,
        )  # fmt: skip
        self.sweep = Sweep(
            frontend.ledger, frontend.spool, frontend.blobs, frontend.clock, self.guard.proven, self.keep
        )

    def hear(self, at: datetime | None = None) -> None:
        self.guard.hear(BRIDGE, at or self.frontend.clock.now())

    def after(self, days: float = 0.0) -> None:
        """Days pass; the neighbour says so too; both stations run until they rest."""
        self.frontend.clock.advance(days * DAY + RUN_SECONDS)
        if self.is_heard:
            self.hear()
        for station in (self.sweep, self.retention):
            while station.step() == NOW:
                pass

    def sent(self, name: str = "A") -> PacketRow:
        """A drop that was sent and delivered."""
        self.frontend.drop_folder(name, SMALL, document=packet_xml(SMALL, senderRef=name))
        self.frontend.run()
        packet = self.frontend.packets()[-1]
        self.frontend.end_packet(packet, Event.RECEIPT_DELIVERED)
        self.say(packet, ReceiptKind.DELIVERED)
        return packet

    def say(self, packet: PacketRow, kind: ReceiptKind) -> None:
        """A receipt comes, and its file and the status are written."""
        frontend = self.frontend
        receipt = make_receipt(
            kind, key=packet.key, attempt=packet.attempt, recipient=PROCURATORATE, issued_by=PROVINCE,
            issued_at=frontend.clock.now(), content_digest=packet.content_digest,
            seal_digest=packet.seal_digest,
        )  # fmt: skip
        document = sign_receipt(receipt, KEYS[PROVINCE, KeyUse.RECEIPT])

        def write(tx):
            number = statements.record_receipt(tx, receipt, document, own=False)
            effects.intend(tx, "receipt-file", str(number))
            effects.intend(tx, "status", f"packet:{packet.id}")

        frontend.ledger.write(write)
        frontend.effects.step()

    def lies(self) -> dict[str, list[str]]:
        """What lies in the folders that are cleaned; of receipts the kinds."""
        folders = self.frontend.folders
        return {
            "sent": names_in(folders.sent),
            "refused": names_in(folders.refused),
            "status": [name for name in names_in(folders.status) if name != "by-id"],
            "by-id": names_in(folders.status / "by-id"),
            "receipts": sorted(path.name.split("-")[0] for path in folders.receipts.rglob("*.xml")),
        }

    def events(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for detail in self.frontend.events("retention"):
            kind = str(detail["kind"])
            found[kind] = found.get(kind, 0) + int(str(detail["count"]))
        return found
