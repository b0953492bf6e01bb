"""A province whose routes want encrypted parts, and what its agencies find in their folders."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import DropFormat, write_drop
from cli.lab.plan import LabPlan, Standard
from exchanged.keys import load_key
from packet_spec.directory import encode_directory, sign_directory
from packet_spec.model import Directory, KeyUse, Receipt
from packet_spec.receipt import open_receipt
from packet_spec.sequence_policy import SequencePolicy
from tests.support.encrypting import ROUTES
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

VIDEO_BYTES = 1_500_000


def encrypting_plan() -> LabPlan:
    """Police, procuratorate and court; whatever any of them sends to another is encrypted."""
    plan = small_plan(POLICE, PROCURATORATE, COURT)
    return replace(plan, standard=Standard(routes=ROUTES), sequence=SequencePolicy.OFF)



def drop(
    network: Network, name: str, sender: str = POLICE, receiver: str = PROCURATORATE, **changes: Any
) -> Path:
    """A transfer for prosecution with a video, which is carried as a blob."""
    changes = {"extra_documents": ("EVD-015",), "video_bytes": VIDEO_BYTES, **changes}
    request = DropRequest("prosecution.transfer", sender, receiver, network.clock.now(), name=name, **changes)
    return write_drop(make_drop(request), network.agency(sender) / "outbox", drop_format=DropFormat.FOLDER)


def status(network: Network, name: str, agency: str = POLICE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (network.agency(agency) / "status" / f"{name}.status.json").read_text()
    )
    return found


def inbox(network: Network, agency: str = PROCURATORATE) -> list[Path]:
    return sorted((network.agency(agency) / "inbox").glob("*/*/"))


def receipts(network: Network, agency: str = POLICE) -> list[Receipt]:
    trust = network.nodes[agency].opened.trust
    found = [
        open_receipt(path.read_bytes(), trust.key)[0]
        for path in network.agency(agency).glob("receipts/*/*.xml")
    ]
    return sorted(found, key=lambda one: (one.issued_at, one.kind))


def documents(folder: Path) -> dict[str, bytes]:
    """What the case software wrote or reads, but for what is ours."""
    ours = {"packet.xml", "packet.utf8.xml", "delivery.xml", "seal.xml", "seal.sig", "accepted.xml"}
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in ours}


def holders(root: Path, content: bytes) -> list[Path]:
    """Files below ``root`` that hold a piece of ``content`` somewhere."""
    # Not the first bytes: XML documents of ours begin alike.
    canaries = [content[start : start + 80] for start in (150, len(content) // 2, len(content) - 300)]
    return [
        path
        for path in root.rglob("*")
        if path.is_file() and any(canary in path.read_bytes() for canary in canaries)
    ]


def publish(network: Network, **changes: Any) -> None:
    """A newer directory for everybody."""
    current = network.nodes[PROVINCE].opened.trust.directory
    newer: Directory = replace(current, version=current.version + 1, **changes)
    root = load_key(network.layout.root_key)
    network.nodes[PROVINCE].opened.trust.offer(sign_directory(encode_directory(newer), [root]))


def without_keys(network: Network, code: str) -> dict[str, Any]:
    nodes = network.nodes[PROVINCE].opened.trust.directory.nodes
    return {
        "nodes": tuple(
            replace(node, keys=tuple(key for key in node.keys if KeyUse.ENCRYPT not in key.uses))
            if node.code == code
            else node
            for node in nodes
        )
    }


def rows(node: SimulatedNode, statement: str, *values: object) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in node.opened.ledger.read().execute(statement, values)]


# --- the plain way -------------------------------------------------------------------------------
