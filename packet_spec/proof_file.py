"""The proof as one file: a strict tar with fixed members in a fixed order (docs/proof-format.md, the file).

Guarantees: what is written can be read; what is read is exactly this layout, byte for byte; parts stream, of
which only size and digest are kept, and everything else together is capped. Nothing is verified here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from packet_spec.errors import LayoutError
from packet_spec.identifiers import canonical_case_number
from packet_spec.limits import (
    DIRECTORY_BYTES,
    HOP_BYTES,
    KIB,
    LOG_HEAD_BYTES,
    PACKET_XML_BYTES,
    PROOF_BYTES,
    RECEIPT_BYTES,
    SEAL_XML_BYTES,
)
from packet_spec.log_entry import EntryKind
from packet_spec.proof_values import Fault, require
from packet_spec.signing import new_hasher
from packet_spec.ustar import BLOCK, END, SIZE_LIMIT, decode_header, encode_header, padding

FIRST: Final = b"exchanged-proof-1\n"
_OTHER_VERSION: Final = re.compile(rb"exchanged-proof-[1-9][0-9]{0,8}\n")
_STREAM_BYTES: Final = 256 * KIB
# One line of signature beside the document.
_SIGNATURE_BYTES: Final = 1 * KIB
# Kind of a member, as its name without numbers has it -> at most how many bytes.
_LIMITS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "proof": 64,
        "case": 512,
        "directory/.xml": DIRECTORY_BYTES,
        "head/.xml": LOG_HEAD_BYTES + _SIGNATURE_BYTES,
        "packet//seal.xml": SEAL_XML_BYTES,
        "packet//seal.sig": _SIGNATURE_BYTES,
        "packet//receipt/.xml": RECEIPT_BYTES + _SIGNATURE_BYTES,
        "packet//hop/.xml": HOP_BYTES + _SIGNATURE_BYTES,
        "packet//log/": 16 * KIB,
        "packet//packet.xml": PACKET_XML_BYTES,
        "packet//part/": SIZE_LIMIT - 1,
    }
)
_NUMBER: Final = re.compile(r"(?<=/)[0-9]{4}(?=[./]|$)")
_LOG: Final = re.compile(
    rb"exchanged-inclusion-1\nhead ([0-9]{4})\nentry (seal|receipt) ([0-9a-f]{64})\n"
    rb"index (0|[1-9][0-9]{0,17})\n((?:path [0-9a-f]{64}\n){0,64})"
)

Read = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That an entry stands at ``index`` of the log under the head of that number. ``path``: raw hashes."""

    head: int
    kind: EntryKind
    digest: str
    index: int
    path: tuple[bytes, ...]

    def encode(self) -> bytes:
        """The member of log/."""
        lines = [f"head {self.head:04d}", f"entry {self.kind.value} {self.digest}", f"index {self.index}"]
        lines += [f"path {step.hex()}" for step in self.path]
        return "".join(f"{line}\n" for line in ["exchanged-inclusion-1", *lines]).encode()


@dataclass(frozen=True, slots=True)
class Part:
    """A part as it was carried. ``blocks`` are its bytes for a writer; a reader gives none."""

    size: int
    digest: str
    blocks: Iterable[bytes] = ()


@dataclass(slots=True)
class Folder:
    """Everything about one attempt of one packet. ``packet_xml`` is None where the content was left out."""

    seal: bytes = b""
    signature: bytes = b""
    receipts: list[bytes] = field(default_factory=list)
    hops: list[bytes] = field(default_factory=list)
    log: list[Inclusion] = field(default_factory=list)
    packet_xml: bytes | None = None
    parts: list[Part] = field(default_factory=list)


@dataclass(slots=True)
class ProofFile:
    """The members of a proof. ``case`` is a case number in its one form, or empty."""

    directories: list[bytes] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    packets: list[Folder] = field(default_factory=list)
    case: str = ""


def proof_blocks(proof: ProofFile) -> Iterator[bytes]:
    """The bytes of ``proof``. Raises LayoutError where a member does not fit: then all is worthless."""
    for name, size, blocks in _members(proof):
        _require_written(size <= _LIMITS[_kind_of(name)], name)
        yield encode_header(name, size)
        written = 0
        for block in blocks:
            written += len(block)
            yield block
        _require_written(written == size, name)
        yield bytes(padding(size))
    yield END


def _require_written(condition: bool, name: str) -> None:
    if not condition:
        raise LayoutError("a member of the proof has not the size that it may or must have", where=name)


def _members(proof: ProofFile) -> Iterator[tuple[str, int, Iterable[bytes]]]:
    yield "proof", len(FIRST), (FIRST,)
    if proof.case:
        case = f"{proof.case}\n".encode()
        yield "case", len(case), (case,)
    yield from _numbered("directory/{:04d}.xml", proof.directories)
    yield from _numbered("head/{:04d}.xml", proof.heads)
    for number, folder in enumerate(proof.packets, start=1):
        at = f"packet/{number:04d}"
        yield f"{at}/seal.xml", len(folder.seal), (folder.seal,)
        yield f"{at}/seal.sig", len(folder.signature), (folder.signature,)
        yield from _numbered(at + "/receipt/{:04d}.xml", folder.receipts)
        yield from _numbered(at + "/hop/{:04d}.xml", folder.hops)
        yield from _numbered(at + "/log/{:04d}", [each.encode() for each in folder.log])
        if folder.packet_xml is not None:
            yield f"{at}/packet.xml", len(folder.packet_xml), (folder.packet_xml,)
        for index, part in enumerate(folder.parts, start=1):
            yield f"{at}/part/{index:04d}", part.size, part.blocks


def _numbered(pattern: str, documents: Iterable[bytes]) -> Iterator[tuple[str, int, Iterable[bytes]]]:
    for number, data in enumerate(documents, start=1):
        yield pattern.format(number), len(data), (data,)


def read_proof(read: Read) -> ProofFile:
    """The members of a proof. Raises Fault: ``proof-layout``, ``proof-version`` or ``proof-packet-twice``."""
    try:
        return _Reader(read).read()
    except LayoutError:
        raise Fault("proof-layout") from None


class _Reader:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._proof = ProofFile()
        self._names: list[str] = []
        self._total = 0

    def read(self) -> ProofFile:
        while (block := self._exactly(BLOCK)) != bytes(BLOCK):
            name, size = decode_header(block)
            kind = _kind_of(name)
            require(size <= _LIMITS.get(kind, -1), "proof-layout")
            self._names.append(name)
            if kind == "packet//part/":
                self._folder().parts.append(self._part(size))
            else:
                self._total += size
                require(self._total <= PROOF_BYTES, "proof-layout")
                self._take(kind, self._exactly(size))
            require(not any(self._exactly(padding(size))), "proof-layout")
        require(not any(self._exactly(BLOCK)) and not self._read(1), "proof-layout")
        self._check()
        return self._proof

    def _check(self) -> None:
        """Written again, the members have the same names in the same order, or the layout is another."""
        proof = self._proof
        require(proof.directories and proof.packets, "proof-layout")
        has_document = all(folder.packet_xml is not None or not folder.parts for folder in proof.packets)
        require(has_document, "proof-layout")
        require(self._names == [name for name, _, _ in _members(proof)], "proof-layout")
        named = {each.head for folder in proof.packets for each in folder.log}
        require(named == set(range(1, len(proof.heads) + 1)), "proof-layout")
        require(len({folder.seal for folder in proof.packets}) == len(proof.packets), "proof-packet-twice")

    def _folder(self) -> Folder:
        require(self._proof.packets, "proof-layout")
        return self._proof.packets[-1]

    def _take(self, kind: str, data: bytes) -> None:
        proof = self._proof
        match kind:
            case "proof":
                require(data == FIRST or not _OTHER_VERSION.fullmatch(data), "proof-version")
                require(data == FIRST, "proof-layout")
            case "case":
                proof.case = _case_number(data)
            case "directory/.xml":
                proof.directories.append(data)
            case "head/.xml":
                proof.heads.append(data)
            case "packet//seal.xml":
                proof.packets.append(Folder(seal=data))
            case "packet//seal.sig":
                self._folder().signature = data
            case "packet//receipt/.xml":
                self._folder().receipts.append(data)
            case "packet//hop/.xml":
                self._folder().hops.append(data)
            case "packet//log/":
                self._folder().log.append(_inclusion(data))
            case _:
                self._folder().packet_xml = data

    def _part(self, size: int) -> Part:
        hasher, left = new_hasher(), size
        while left:
            block = self._exactly(min(left, _STREAM_BYTES))
            hasher.update(block)
            left -= len(block)
        return Part(size, hasher.hexdigest())

    def _exactly(self, size: int) -> bytes:
        data = self._read(size)
        while len(data) < size:
            more = self._read(size - len(data))
            require(more, "proof-layout")
            data += more
        return data


def _kind_of(name: str) -> str:
    return _NUMBER.sub("", name)


def _case_number(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    require(text.endswith("\n") and len(text) > 1, "proof-layout")
    require(canonical_case_number(text) == text[:-1], "proof-layout")
    require(text.encode() == data, "proof-layout")
    return text[:-1]


def _inclusion(data: bytes) -> Inclusion:
    match = _LOG.fullmatch(data)
    if match is None:
        raise Fault("proof-layout")
    path = tuple(bytes.fromhex(line[5:].decode()) for line in match[5].splitlines())
    kind = EntryKind(match[2].decode())
    return Inclusion(int(match[1]), kind, match[3].decode(), int(match[4]), path)
