"""One sending front-end for tests: real folders, real ledger, real signatures, drops of its case software.

The directory, keys and agencies are those of ``tests.support.documents``: the police send to the
procuratorate and the court over their one link to the bridge. Open it again on the same root to restart
it. All case data is fictional.
"""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import quoteattr

from exchanged.blobs import BlobStore
from exchanged.config import DropProfile, ScannerConfig, StatusEncoding
from exchanged.decryption_keys import DecryptionKeys
from exchanged.disk_floor import DiskFloor
from exchanged.durable import NO_CRASH, CrashPoints, DurableFiles, Kernel, Volume
from exchanged.keyring import always
from exchanged.ledger import Ledger, Transaction, batches, blobs, drops, packets
from exchanged.ledger.drops import DropRow
from exchanged.ledger.rows import PacketRow
from exchanged.pool import InlinePool, WorkPool
from exchanged.receipts import Links
from exchanged.reconcile import reconcile
from exchanged.retry import Backoff
from exchanged.spool import Spool
from exchanged.states import DestinationState, Event
from exchanged.trust import Trust
from exchanged.volume import KERNEL
from frontend_server.effects import Effects, EffectSettings
from frontend_server.folders import AgencyFolders, write_marker
from frontend_server.intake import Intake, IntakeSettings
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.findings import Finding
from packet_spec.identity import sha256_hex
from packet_spec.limits import MIB
from packet_spec.model import Disposition, ItemKind, KeyUse, Seal
from packet_spec.seal import PacketReader
from tests.support.clock import FakeClock, FakeRandomness
from tests.support.documents import BRIDGE, KEYS, POLICE, PROCURATORATE, ROOTS, look_up, make_directory
from tests.support.papers import pdf

LINK = "bridge"
SMALL = {"补充材料.pdf": pdf("fictional supplement")}
LARGE = {"卷宗.pdf": pdf("fictional dossier", size=2 * MIB)}
SETTLE = 5.0

_ENVELOPE = {
    "packetId": "",
    "senderRef": "A620199-0007",
    "businessType": "common.supplement.deliver",
    "sender": POLICE,
    "receiver": PROCURATORATE,
    "createdAt": "2026-07-15T09:30:00+08:00",
    "priority": "normal",
    "track": "single",
    "handover": "copy",
    "secrecy": "none",
}
_TYPES = ("COM-005", "COM-001", "EVD-016", "COM-012")


def packet_xml(
    files: Mapping[str, bytes] = SMALL,
    *,
    listed: Mapping[str, Mapping[str, str | None]] | None = None,
    encoding: str = "utf-8",
    fields: str = "<case_name>虚构甲涉嫌盗窃案</case_name>",
    **envelope: str,
) -> bytes:
    """A valid packet.xml that lists ``files``; ``listed`` overrides attributes of single attachments."""
    values = _ENVELOPE | envelope
    lines = [f"<{name}>{value}</{name}>" for name, value in values.items() if value]
    attachments = []
    for index, (name, data) in enumerate(files.items()):
        attributes: dict[str, str | None] = {
            "file": name,
            "documentType": _TYPES[min(index, len(_TYPES) - 1)],
            "size": str(len(data)),
            "sha256": sha256_hex(data),
        }
        attributes.update((listed or {}).get(name, {}))
        given = {key: value for key, value in attributes.items() if value is not None}
        shown = " ".join(f"{key}={quoteattr(value)}" for key, value in given.items())
        attachments.append(f"<attachment {shown}/>")
    kind = values["businessType"]
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?>\n<packet xmlns="urn:exchanged:packet:1" version="1.0">'
        f"<envelope>{''.join(lines)}<handler name='虚构乙'/></envelope>"
        f'<body><{kind} xmlns="urn:exchanged:body:1">{fields}</{kind}></body>'
        f"<attachments>{''.join(attachments)}</attachments></packet>\n"
    )
    return text.encode(encoding)


def acceptance_xml(**envelope: str) -> bytes:
    """A packet without attachments, for a lone XML."""
    fields = (
        "<case_name>虚构甲涉嫌盗窃案</case_name><handling_dept>虚构大队</handling_dept>"
        "<decision_date>2026-07-15</decision_date>"
    )
    return packet_xml({}, fields=fields, **{"businessType": "common.accept", **envelope})


class NoRenameNew(Kernel):
    """A share that does not rename without replacing (NFS): a file goes by a second name."""

    def rename_new(self, source: Path, target: Path) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))


class SendingFrontend:
    """The sending half of the police front-end below ``root``."""

    def __init__(
        self,
        root: Path,
        *,
        clock: FakeClock | None = None,
        crash: CrashPoints = NO_CRASH,
        kernel: Kernel = KERNEL,
        own_kernel: Kernel = KERNEL,
        profile: DropProfile = DropProfile.RENAME,
        pool: WorkPool | None = None,
        optional_sha256: bool = False,
        free_space_bytes: int = 0,
        status_encoding: StatusEncoding = StatusEncoding.UTF_8,
        scan_names: int = 1000,
        scanner: ScannerConfig | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.root = root
        self.wakes: list[str] = []
        self.answers: list[Disposition] = []
        self.answer: tuple[Finding, ...] | Exception = ()
        self.counted = 0
        own = DurableFiles(Volume.OWN, crash, own_kernel)
        self.foreign = DurableFiles(Volume.FOREIGN, crash, kernel)
        agency_root = root / "agency"
        is_new = not agency_root.exists()
        if is_new:
            _make_world(root)
        self.ledger = Ledger(
            root / "node" / "ledger.db", self.clock, on_wake=self.wakes.extend, crash=crash, threaded=False
        )
        self.folders = AgencyFolders(agency_root, self.foreign, node=POLICE)
        self.trust = Trust(root / "node" / "trust", own, make_directory().roots, 2)
        self.trust.load()
        try:
            # A restarted node draws other random bytes than before.
            restarts = self.ledger.write(lambda tx: tx.next_number("test-starts"))
            randomness = FakeRandomness(f"start-{restarts}")
            self.spool = Spool(root / "node" / "spool", own, randomness)
            self.blobs = BlobStore(root / "node" / "blobs", own)
            reconcile(self.ledger, self.spool, self.blobs)
            self.ledger.write(lambda tx: tx.remember("incarnation", "5f3a"))
        except BaseException:
            # A crash on the way up: the dead process holds no lock on its ledger.
            self.ledger.close()
            raise
        backoff = Backoff(first_seconds=1.0, max_seconds=8.0, jitter=0.0)
        # Why the clock cannot be trusted, as the guard of a node would say.
        self.clock_doubt = ""
        self.intake = Intake(
            ledger=self.ledger,
            folders=self.folders,
            spool=self.spool,
            blobs=self.blobs,
            files=own,
            floor=DiskFloor(self.spool, free_space_bytes, free_space_bytes // 2),
            trust=self.trust,
            packs=root / "node" / "packs",
            links=Links({BRIDGE: LINK}),
            pool=pool or InlinePool(),
            seal_key=always(KEYS[POLICE, KeyUse.SEAL]),
            decryption_keys=DecryptionKeys(root / "node" / "keys" / "encrypt.key"),
            dispose=self._dispose,
            clock=self.clock,
            randomness=randomness,
            backoff=backoff,
            settings=IntakeSettings(
                node=POLICE,
                agency=POLICE,
                profile=profile,
                settle_seconds=SETTLE,
                scan_seconds=10.0,
                optional_sha256=optional_sha256,
                scan_names=scan_names,
                scanner=scanner,
            ),
            dating_doubt=lambda: self.clock_doubt,
        )
        self.effects = Effects(
            ledger=self.ledger,
            folders=self.folders,
            files=self.foreign,
            write_counts=self._count,
            clock=self.clock,
            randomness=randomness,
            backoff=backoff,
            settings=EffectSettings(status_encoding=status_encoding, folder_mode=0o2770),
        )

    def close(self) -> None:
        """Let go of the ledger: a clean stop, or the end of a crashed process."""
        self.ledger.close()

    def _dispose(self, _: Transaction, disposition: Disposition) -> tuple[Finding, ...]:
        if isinstance(self.answer, Exception):
            raise self.answer
        if not self.answer:
            self.answers.append(disposition)
        return self.answer

    def _count(self) -> None:
        self.counted += 1

    # --- what the case software does -------------------------------------------------------------

    @property
    def outbox(self) -> Path:
        return self.folders.outbox

    def drop_folder(
        self,
        name: str | bytes = "A",
        files: Mapping[str, bytes] = SMALL,
        *,
        document: bytes | None = None,
        leave_out: tuple[str, ...] = (),
    ) -> Path:
        """A folder drop that appears by one rename."""
        hidden = self.root / "case-software"
        hidden.mkdir()
        (hidden / "packet.xml").write_bytes(packet_xml(files) if document is None else document)
        for file, data in files.items():
            if file not in leave_out:
                (hidden / file).write_bytes(data)
        target = self.outbox / os.fsdecode(name)
        hidden.rename(target)
        return target

    def drop_zip(
        self,
        name: str = "A.zip",
        files: Mapping[str, bytes] = SMALL,
        *,
        top: str = "",
        document: bytes | None = None,
    ) -> Path:
        """A zip drop that appears by one rename."""
        hidden = self.root / "case-software.zip"
        with zipfile.ZipFile(hidden, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(top + "packet.xml", packet_xml(files) if document is None else document)
            for file, data in files.items():
                archive.writestr(top + file, data)
        return hidden.rename(self.outbox / name)

    def drop_xml(self, name: str = "A.xml", document: bytes | None = None) -> Path:
        """A lone XML that appears by one rename."""
        hidden = self.root / "case-software.xml"
        hidden.write_bytes(acceptance_xml() if document is None else document)
        return hidden.rename(self.outbox / name)

    # --- what happens to it --------------------------------------------------------------------

    def run(self, rounds: int = 1) -> None:
        """Scan, then carry out every effect."""
        for _ in range(rounds):
            self.intake.step()
            self.effects.step()

    def settle(self) -> None:
        """The settle time passes, and both stations look again."""
        self.clock.advance(SETTLE)
        self.run()

    def end_packet(self, packet: PacketRow, *events: Event) -> None:
        """Receipts arrive (or an operator acts) about every destination of an own packet."""

        def write(tx: Transaction) -> None:
            for link in (LINK,):
                batches.withdraw(tx, link, ItemKind.PACKET, packet.id)
            for event in events:
                for row in packets.destinations(tx.connection, packet.id):
                    packets.move(tx, packets.get(tx.connection, packet.id), row, event)

        self.ledger.write(write)

    # --- what it shows -------------------------------------------------------------------------

    def rows(self) -> list[DropRow]:
        """Every drop, in the order of first sight."""
        numbers = self.ledger.read().execute('SELECT id FROM "drop" ORDER BY id').fetchall()
        return [drops.get(self.ledger.read(), row["id"]) for row in numbers]

    def packets(self) -> list[PacketRow]:
        """Every packet row."""
        numbers = self.ledger.read().execute("SELECT id FROM packet ORDER BY id").fetchall()
        return [packets.get(self.ledger.read(), row["id"]) for row in numbers]

    def destination_states(self, packet: PacketRow) -> dict[str, DestinationState]:
        return {row.recipient: row.state for row in packets.destinations(self.ledger.read(), packet.id)}

    def open(self, packet: PacketRow) -> tuple[Seal, bytes, dict[str, bytes]]:
        """A sealed packet as a receiver opens it: seal, packet.xml, parts by name (blobs included)."""
        assert packet.bytes_at is not None
        parts: dict[str, bytes] = {}
        with self.spool.open_range(packet.bytes_at) as source:
            reader = PacketReader(source.read)
            seal = reader.open(look_up)
            document = reader.packet_xml()
            for part, blocks in reader.parts():
                parts[part.name.decode("utf-8", "surrogateescape")] = b"".join(blocks)
        for part in seal.parts:
            generation = blobs.live_generation(self.ledger.read(), part.digest)
            if generation is not None:
                data = b"".join(self.blobs.blocks(part.digest, generation))
                parts[part.name.decode("utf-8", "surrogateescape")] = data
        return seal, document, parts

    def status(self, name: str = "A") -> dict[str, object]:
        """A status file as the case software reads it."""
        text = (self.folders.status / f"{name}.status.json").read_text(encoding="utf-8")
        status: dict[str, object] = json.loads(text)
        return status

    def codes(self, name: str = "A") -> list[str]:
        """The finding codes of a status file."""
        findings = self.status(name)["finding"]
        assert isinstance(findings, list)
        return [finding["code"] for finding in findings]

    def events(self, kind: str) -> list[dict[str, object]]:
        rows = self.ledger.read().execute("SELECT detail FROM event WHERE kind = ? ORDER BY id", (kind,))
        return [json.loads(row["detail"]) for row in rows]

    def effects_left(self) -> int:
        return int(self.ledger.read().execute("SELECT count(*) FROM effect").fetchone()[0])


def names_in(folder: Path) -> list[str]:
    """What lies in an agency folder, the daemon's own names left out."""
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(".exchanged"))


def _make_world(root: Path) -> None:
    """The folders, marker and directory of a new front-end, made without crash points."""
    agency_root = root / "agency"
    agency_root.mkdir(parents=True)
    (root / "node").mkdir()
    folders = AgencyFolders(agency_root, DurableFiles(Volume.FOREIGN), node=POLICE)
    folders.ensure()
    write_marker(folders.outbox, POLICE, "ab" * 16)
    own = DurableFiles(Volume.OWN)
    Spool(root / "node" / "spool", own, FakeRandomness()).prepare()
    BlobStore(root / "node" / "blobs", own).prepare()
    directory = make_directory()
    open_agencies = tuple(replace(agency, business_types=(), case_kinds=()) for agency in directory.agencies)
    trust = Trust(root / "node" / "trust", own, directory.roots, 2)
    trust.load()
    trust.offer(sign_directory(encode_directory(replace(directory, agencies=open_agencies)), ROOTS[:2]))
