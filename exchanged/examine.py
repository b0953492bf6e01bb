"""What a worker process does with one sealed packet: read all of it and say what it found.

No keys, no ledger, no network: a range of a spool file in, a value out. Whatever cannot be decided
raises, and the judge holds the packet; the verdict is never a guess.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from exchanged.config_values import ScannerConfig
from exchanged.inspecting import (
    Document,
    Inspection,
    findings_of,
    inspect_documents,
    require_stored,
    scan_allowance,
)
from exchanged.packs import find_pack
from exchanged.ranges import RangeReader
from packet_spec.binding import check_parts_against_attachments, check_seal_against_packet
from packet_spec.check import check_packet
from packet_spec.directory import find_key_owner, open_directory
from packet_spec.documents.check import longest_seconds
from packet_spec.encoding import reading
from packet_spec.encryption import require_known_suite
from packet_spec.envelope import parse_packet
from packet_spec.errors import ValidatorError
from packet_spec.findings import Finding, Outcome, Severity, Verdict, verdict_of
from packet_spec.limits import FINDINGS, MIB
from packet_spec.model import Carriage, Directory, Packet, RootKey, Seal
from packet_spec.pack_choice import pack_of_seal
from packet_spec.seal import PacketReader, blob_parts
from packet_spec.signing import PublicKey

CHECKED_A_SECOND: Final = 4 * MIB
"""Bytes of a packet that are surely checked in a second: far less than a machine does."""


class Scope(StrEnum):
    """How much of a packet a node looks at.

    ``standard``: everything, where it is admitted. ``envelope``: seal, envelope and digests, where it is
    received. ``seal``: the seal and the digests that it names, where it only passes through (C14).
    """

    STANDARD = "standard"
    ENVELOPE = "envelope"
    SEAL = "seal"


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A large part that lies here: its digest, where, and its size in bytes."""

    digest: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class ExamineWork:
    """One sealed packet to look at, as far as ``scope``.

    ``directory`` is the file of the directory in force, proved again here by ``roots``. ``origin`` says whose
    packets have to wait when this one takes long. ``packs`` (the folder of the packs), ``blobs`` and
    ``scanner`` serve ``standard`` alone.
    """

    path: str
    start: int
    length: int
    directory: str
    roots: tuple[RootKey, ...]
    threshold: int
    scope: Scope
    origin: str = ""
    packs: str = ""
    blobs: tuple[StoredBlob, ...] = ()
    scanner: ScannerConfig | None = None

    @property
    def allowance_seconds(self) -> float:
        """What it may take beyond the patience with a small packet; formats are not known yet."""
        if self.scope is not Scope.STANDARD:
            return self.length / CHECKED_A_SECOND
        sizes = (self.length, *(blob.size for blob in self.blobs))
        scans = (scan_allowance(size) for size in sizes) if self.scanner else ()
        return longest_seconds(sum(sizes)) + sum(scans)


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found. ``packet`` is None when packet.xml could not be read, or was none of our business.

    ``unseen`` are digests of large parts that were not there to be looked at; ``signature`` is seal.sig.
    """

    seal: Seal
    seal_digest: str
    key_id: str
    verdict: Verdict
    packet: Packet | None
    scope: Scope = Scope.SEAL
    unseen: tuple[str, ...] = ()
    seal_bytes: bytes = b""
    signature: bytes = b""


def examine(work: ExamineWork) -> Examined:
    """Verify signature, layout and digests, then check the content.

    Raises UnknownKeyError and PackUnknownError (hold), SignatureError and FormatError leaves (not what it
    claims to be); ValidatorError and ScannerFailedError (hold) when a document cannot be judged,
    StoredPartRottenError (hold) where a stored part would be to blame for that, or for a refusal.
    """
    directory = _directory(work.directory, work.roots, work.threshold)
    with RangeReader(Path(work.path), work.start, work.length) as source:
        reader = PacketReader(source.read)
        seal = reader.open(_lookup(work))
        if work.scope is not Scope.SEAL:
            require_known_suite(seal)
        packet_xml = reader.packet_xml()
        inline: dict[int, bytes] = {}
        for part, blocks in reader.parts():
            if work.scope is Scope.STANDARD and seal.encryption is None:
                inline[part.index] = b"".join(blocks)
    if work.scope is Scope.SEAL:
        return _seal_alone(seal, reader)
    verdict, packet = _judge(packet_xml, seal, directory, work)
    unseen: tuple[str, ...] = ()
    # Nobody but the receivers can look into encrypted documents.
    is_in_clear = seal.encryption is None
    if work.scope is Scope.STANDARD and is_in_clear and packet is not None and _fits(seal, packet):
        stored = {blob.digest: blob.path for blob in work.blobs}
        if verdict.outcome is not Outcome.HELD:
            documents = _documents(seal, packet, inline, stored)
            verdict = _with_documents(verdict, packet, documents, work, seal.pack.digest)
        unseen = tuple(part.digest for part in blob_parts(seal) if part.digest not in stored)
    return Examined(
        seal, reader.seal_digest, reader.key_id, verdict, packet, work.scope, unseen,
        reader.seal_bytes, reader.signature,
    )  # fmt: skip


def examine_seal(work: ExamineWork) -> Examined:
    """Verify the seal's signature and read nothing else: what is sealed may be what hurt the judge.

    Raises as ``examine``. The verdict says nothing.
    """
    with RangeReader(Path(work.path), work.start, work.length) as source:
        reader = PacketReader(source.read)
        seal = reader.open(_lookup(work))
    return _seal_alone(seal, reader)


def _seal_alone(seal: Seal, reader: PacketReader) -> Examined:
    verdict = verdict_of(())
    return Examined(
        seal, reader.seal_digest, reader.key_id, verdict, None,
        seal_bytes=reader.seal_bytes, signature=reader.signature,
    )  # fmt: skip


def _lookup(work: ExamineWork) -> Callable[[str], PublicKey | None]:
    directory = _directory(work.directory, work.roots, work.threshold)

    def lookup(key_id: str) -> PublicKey | None:
        owner = find_key_owner(directory, key_id)
        return None if owner is None else PublicKey(owner[1].suite, owner[1].public)

    return lookup


def _judge(
    packet_xml: bytes, seal: Seal, directory: Directory, work: ExamineWork
) -> tuple[Verdict, Packet | None]:
    if work.scope is Scope.STANDARD:
        pack, findings = pack_of_seal(seal, directory, partial(find_pack, Path(work.packs)))
        result = check_packet(
            packet_xml, directory=directory, pack=pack, encoding=seal.encoding, moment=seal.sealed_at
        )
        verdict, packet = result.verdict, result.packet
        if findings and verdict.outcome is not Outcome.HELD:
            verdict = verdict_of((*findings, *verdict.findings))
    else:
        packet, findings = parse_packet(reading(packet_xml, seal.encoding))
        verdict = verdict_of(findings)
    if packet is None:
        return verdict, None
    mismatches: tuple[Finding, ...] = check_seal_against_packet(seal, packet)
    if mismatches and not verdict.held_because:
        verdict = verdict_of((*verdict.findings, *mismatches))
    return verdict, packet


def _fits(seal: Seal, packet: Packet) -> bool:
    """The sealed parts are those listed; else the packet is refused for that, and nothing can be named."""
    return bool(seal.parts) and not check_parts_against_attachments(seal, packet.attachments)


def _documents(
    seal: Seal, packet: Packet, inline: Mapping[int, bytes], blobs: Mapping[str, str]
) -> tuple[Document, ...]:
    """The documents of a packet; large ones that are not stored here are left out."""
    return tuple(
        Document(
            replace(listed, size=part.size, sha256=part.digest),
            part.size,
            blobs.get(part.digest, ""),
            inline.get(part.index, b""),
        )
        for part, listed in zip(seal.parts, packet.attachments, strict=True)
        if part.carriage is Carriage.INLINE or part.digest in blobs
    )


def _with_documents(
    verdict: Verdict, packet: Packet, documents: tuple[Document, ...], work: ExamineWork, pack: str
) -> Verdict:
    try:
        reports = inspect_documents(Inspection(documents, work.scanner, work.packs, pack))
    except ValidatorError:
        require_stored(documents)
        raise
    found = findings_of(documents, reports, is_whole=len(documents) == len(packet.attachments))
    if any(finding.severity is Severity.REFUSE for finding in found):
        # Verified when it came, perhaps long ago: its sender is not blamed for what this disk did since.
        require_stored(documents)
    ordered = sorted((*verdict.findings, *found), key=lambda finding: finding.severity is not Severity.REFUSE)
    return verdict_of(tuple(ordered[:FINDINGS]))


@lru_cache(maxsize=2)
def _directory(path: str, roots: tuple[RootKey, ...], threshold: int) -> Directory:
    return open_directory(Path(path).read_bytes(), roots, threshold)
