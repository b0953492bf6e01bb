"""What a worker process does with one sealed packet: read all of it and say what it found.

No keys, no ledger, no network: a range of a spool file in, a value out. Whatever cannot be decided
raises, and the judge holds the packet; the verdict is never a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Final

from exchanged.ranges import RangeReader
from packet_spec.binding import check_seal_against_packet
from packet_spec.catalogue import load_catalogue
from packet_spec.check import check_packet
from packet_spec.directory import find_key_owner, open_directory
from packet_spec.encoding import reading
from packet_spec.envelope import parse_packet
from packet_spec.findings import Finding, Verdict, verdict_of
from packet_spec.limits import MIB
from packet_spec.model import Directory, Packet, RootKey, Seal
from packet_spec.seal import PacketReader
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
class ExamineWork:
    """One sealed packet to look at, as far as ``scope``.

    ``directory`` is the file of the directory in force, proved again here by ``roots``. ``origin`` says whose
    packets have to wait when this one takes long.
    """

    path: str
    start: int
    length: int
    directory: str
    roots: tuple[RootKey, ...]
    threshold: int
    scope: Scope
    origin: str = ""

    @property
    def allowance_seconds(self) -> float:
        """What reading it may take beyond the patience with a small packet."""
        return self.length / CHECKED_A_SECOND


@dataclass(frozen=True, slots=True)
class Examined:
    """What was found. ``packet`` is None when packet.xml could not be read, or was none of our business."""

    seal: Seal
    seal_digest: str
    key_id: str
    verdict: Verdict
    packet: Packet | None
    scope: Scope = Scope.SEAL


def examine(work: ExamineWork) -> Examined:
    """Verify signature, layout and digests, then check the content.

    Raises UnknownKeyError (hold), SignatureError and FormatError leaves (not what it claims to be).
    """
    directory = _directory(work.directory, work.roots, work.threshold)
    with RangeReader(Path(work.path), work.start, work.length) as source:
        reader = PacketReader(source.read)
        seal = reader.open(_lookup(work))
        packet_xml = reader.packet_xml()
        reader.drain()
    if work.scope is Scope.SEAL:
        return Examined(seal, reader.seal_digest, reader.key_id, verdict_of(()), None)
    verdict, packet = _judge(packet_xml, seal, directory, work.scope)
    return Examined(seal, reader.seal_digest, reader.key_id, verdict, packet, work.scope)


def examine_seal(work: ExamineWork) -> Examined:
    """Verify the seal's signature and read nothing else: what is sealed may be what hurt the judge.

    Raises as ``examine``. The verdict says nothing.
    """
    with RangeReader(Path(work.path), work.start, work.length) as source:
        reader = PacketReader(source.read)
        seal = reader.open(_lookup(work))
    return Examined(seal, reader.seal_digest, reader.key_id, verdict_of(()), None)


def _lookup(work: ExamineWork) -> Callable[[str], PublicKey | None]:
    directory = _directory(work.directory, work.roots, work.threshold)

    def lookup(key_id: str) -> PublicKey | None:
        owner = find_key_owner(directory, key_id)
        return None if owner is None else PublicKey(owner[1].suite, owner[1].public)

    return lookup


def _judge(
    packet_xml: bytes, seal: Seal, directory: Directory, scope: Scope
) -> tuple[Verdict, Packet | None]:
    if scope is Scope.STANDARD:
        result = check_packet(
            packet_xml, directory=directory, catalogue=load_catalogue(), encoding=seal.encoding
        )
        verdict, packet = result.verdict, result.packet
    else:
        packet, findings = parse_packet(reading(packet_xml, seal.encoding))
        verdict = verdict_of(findings)
    if packet is None:
        return verdict, None
    mismatches: tuple[Finding, ...] = check_seal_against_packet(seal, packet)
    if mismatches and not verdict.held_because:
        verdict = verdict_of((*verdict.findings, *mismatches))
    return verdict, packet


@lru_cache(maxsize=2)
def _directory(path: str, roots: tuple[RootKey, ...], threshold: int) -> Directory:
    return open_directory(Path(path).read_bytes(), roots, threshold)
