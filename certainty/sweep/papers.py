"""Whether papers prove what they say: delivered folders, receipts, status files, and the originals.

Judged by people outside, who have the directory and the root keys of one node, and who wrote down what was
dropped. A signature is verified once for the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from certainty.sweep.reader import digests
from cli.demo.watch import Original, Proofs
from cli.directory_trusted import find_directory
from exchanged.config import load_config
from exchanged.places import DIRECTORY_FOLDER
from packet_spec.errors import ExchangeError
from packet_spec.identity import sha256_hex
from packet_spec.status import decode_status_xml

# The proofs of every directory that was seen in this process.
_KNOWN: Final[dict[str, Proofs]] = {}


@dataclass
class Dropped:
    """What case software put into outboxes: by the name of the drop the digests of its files, and by the
    digest of packet.xml what it asks for.
    """

    files: dict[str, dict[str, str]] = field(default_factory=dict)
    originals: dict[str, Original] = field(default_factory=dict)


def proofs_of(config: Path) -> Proofs:
    """What the node of that configuration verifies with."""
    loaded = load_config(config)
    folder = loaded.node.data_dir / DIRECTORY_FOLDER
    known = repr((sha256_hex(config.read_bytes()), sorted(digests(folder).items())))
    if known not in _KNOWN:
        directory, check = find_directory(loaded)
        if directory is None:
            raise LookupError(f"the node trusts no directory: {check.detail}")
        _KNOWN[known] = Proofs(directory)
    return _KNOWN[known]


def folder_problems(
    proofs: Proofs, dropped: Dropped, recipient: str, moment: datetime, folder: Path
) -> list[str]:
    """What is wrong with a folder in an inbox: its papers, its name, and every byte of the sender's files."""
    try:
        digest = sha256_hex((folder / "packet.xml").read_bytes())
    except OSError:
        return [f"{folder.name}: no packet.xml"]
    original = dropped.originals.get(digest)
    if original is None:
        return [f"{folder.name}: nobody dropped that packet.xml"]
    return proofs.problems_of(folder, original, recipient, moment)


def receipt_problems(proofs: Proofs, dropped: Dropped, agency: Path, moment: datetime) -> Iterator[str]:
    """What is wrong with the receipts and status files in the sender's folders."""
    known: dict[str, Mapping[str, object]] = {}
    for path in sorted((agency / "status").glob("*.status.json")):
        try:
            status = json.loads(path.read_text("utf-8"))
            yield from _other_status(agency, path, status)
        except (OSError, ValueError, ExchangeError) as error:
            yield f"{path.name}: {error}"
            continue
        known[str(status.get("packetId"))] = status
    originals = {original.envelope.sender_ref: original for original in dropped.originals.values()}
    seals: dict[str, set[str]] = {}
    for path in sorted((agency / "receipts").rglob("*")):
        if path.is_dir():
            continue
        packet = path.parent.name
        status = known.get(packet, {})
        original = originals.get(str(status.get("senderRef")))
        try:
            receipt = proofs.receipt(path.read_bytes(), moment)
        except ExchangeError as error:
            yield f"receipt {path.name} proves nothing: {error}"
            continue
        seals.setdefault(packet, set()).add(receipt.seal_digest)
        for what, found, wanted in (
            ("is called", path.name, f"{receipt.kind}-{receipt.issued_by}-{receipt.attempt}.xml"),
            ("is filed under", packet, receipt.key.packet_id),
            ("names the sender", receipt.key.sender, agency.name),
            ("names the attempt", receipt.attempt, status.get("attempt")),
            ("names the content", receipt.content_digest, original and original.content_digest),
        ):
            if found != wanted:
                yield f"receipt {path.name} {what} {found}, not {wanted}"
    several = sorted(packet for packet, found in seals.items() if len(found) > 1)
    yield from (f"receipts of {packet} name several seals" for packet in several)


def _other_status(agency: Path, path: Path, told: Mapping[str, object]) -> Iterator[str]:
    """The same status stands in XML, and once more under the packet's id."""
    paper = path.with_suffix(".xml")
    data = paper.read_bytes()
    status = decode_status_xml(data)
    by_json = (told["drop"], told["state"], told["final"], told.get("packetId"), told.get("senderRef"))
    by_xml = (status.drop, status.state, status.final, status.packet_id, status.sender_ref)
    if by_json != by_xml:
        yield f"{paper.name} says {by_xml}, {path.name} says {by_json}"
    if status.packet_id is not None:
        other = agency / "status" / "by-id" / f"{status.packet_id}.status.xml"
        if not other.exists() or other.read_bytes() != data:
            yield f"by-id/{other.name} is not {paper.name}"


def original_problems(dropped: Dropped, agency: Path) -> Iterator[str]:
    """Which originals are not to the byte what was dropped, wherever they lie."""
    for name, files in dropped.files.items():
        for place in ("outbox", "sent", "refused"):
            lies = agency / place / name
            if lies.is_dir() and digests(lies) != files:
                yield f"{place}/{name} is not what was dropped"
