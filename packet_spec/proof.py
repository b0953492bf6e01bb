"""Verify a proof: one file that shows what was sent, by whom, and when it arrived (docs/proof-format.md).

Guarantees: pure. Needs nothing but the file and, by another road, the fingerprint of the roots; without it
the verdict is at best ``held``. Doubt holds. Hostile files end with a verdict, never with an error.

Leaves to others: building one (``exchanged.proving``) and telling it (``cli``). Known limit: what happened
after the newest directory and receipt of the file is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Final

from packet_spec.encoding import reading
from packet_spec.errors import ExchangeError
from packet_spec.identifiers import canonical_case_number
from packet_spec.limits import PACKET_XML_BYTES
from packet_spec.proof_chain import Chain
from packet_spec.proof_file import Folder, ProofFile, Read, read_proof
from packet_spec.proof_packet import PacketProof
from packet_spec.proof_values import CODES, Answer, Claim, Fault, Proven, State, require
from packet_spec.xml import child, children, namespace_of, parse_document

_GROWTH: Final = 2
_NO_FINGERPRINT: Final = "proof-roots-not-compared"
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")


def verify_proof(read: Read, fingerprint: str = "") -> Answer:
    """The verdict on the proof that ``read`` gives.

    ``fingerprint`` are the 64 hexadecimal digits that the province published (``roots_fingerprint``); empty
    where nobody compares. Raises ValueError for another form of it.
    """
    if fingerprint and _FINGERPRINT.fullmatch(fingerprint) is None:
        raise ValueError(fingerprint)
    try:
        proof = read_proof(read)
        chain = Chain(proof.directories, fingerprint)
    except Fault as fault:
        is_held = CODES[fault.code] is State.HELD
        return Answer(Proven.HELD if is_held else Proven.REFUSED, fault.code)
    packets = [PacketProof(chain, proof.heads, folder) for folder in proof.packets]
    if proof.case:
        _judge_case(proof, packets)
    answers = tuple(packet.answer() for packet in packets)
    verdict, code = _verdict([claim for answer in answers for claim in answer.claims])
    if verdict is Proven.PROVEN and not fingerprint:
        verdict, code = Proven.HELD, _NO_FINGERPRINT
    return Answer(verdict, code, chain.fingerprint, proof.case, answers)


def _verdict(claims: Iterable[Claim]) -> tuple[Proven, str]:
    found = list(claims)
    for state, verdict in ((State.BAD, Proven.REFUSED), (State.HELD, Proven.HELD)):
        code = next((claim.code for claim in found if claim.state is state), None)
        if code is not None:
            return verdict, code
    return Proven.PROVEN, ""


def _judge_case(proof: ProofFile, packets: list[PacketProof]) -> None:
    """One more claim for each packet: it bears the case number that the file names."""
    for folder, packet in zip(proof.packets, packets, strict=True):
        if packet.seal is not None:
            packet.add("case", proof.case, partial(_check_case, folder, packet, proof.case))


def _check_case(folder: Folder, packet: PacketProof, wanted: str) -> None:
    numbers = _case_numbers(folder, packet) if packet.has_content else None
    if numbers is None:
        raise Fault("proof-case-not-shown")
    require(wanted in numbers, "proof-other-case")


def _case_numbers(folder: Folder, packet: PacketProof) -> frozenset[str] | None:
    """The one form of each case number; None where packet.xml cannot be read."""
    if packet.seal is None or folder.packet_xml is None:
        return None
    try:
        data = reading(folder.packet_xml, packet.seal.encoding)
        root = parse_document(data, limit_bytes=_GROWTH * PACKET_XML_BYTES)
    except ExchangeError:
        return None
    if b"<!DOCTYPE" in data or namespace_of(root) != "urn:exchanged:packet:1":
        return None
    envelope = child(root, "envelope")
    case = None if envelope is None else child(envelope, "case")
    numbers = [] if case is None else children(case, "number")
    return frozenset(canonical_case_number(number.text or "") for number in numbers)
