"""Labs with nodes in between, what is sent through them, and what their ledgers then say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.plan import LabPlan, parse_plan
from exchanged.ledger.questions import facts
from exchanged.ledger.verify import examine_ledger
from exchanged.trace import trace
from exchanged.trace_values import Viewpoint, Way
from packet_spec.identity import PacketKey, sha256_hex
from tests.support.network import COURT, POLICE, PROCURATORATE, Network

NORTH, SOUTH = "bridge-north", "bridge-south"


def agencies(*codes: str) -> list[dict[str, Any]]:
    return [{"code": code} for code in codes]


def in_a_row() -> LabPlan:
    """police - north - south - province - procuratorate."""
    return parse_plan(
        {
            "agency": agencies(POLICE, PROCURATORATE),
            "bridge": [
                {"name": "north", "between": [POLICE, "bridge-south"]},
                {"name": "south", "between": ["province"]},
            ],
        }
    )


def one_for_all() -> LabPlan:
    """Police, procuratorate and court behind one bridge."""
    return parse_plan(
        {
            "agency": [{"code": code, "via": NORTH} for code in (POLICE, PROCURATORATE, COURT)],
            "bridge": [{"name": "north", "between": ["province"]}],
        }
    )


def point_to_point(*bridges: str) -> LabPlan:
    ends = [POLICE, PROCURATORATE]
    between = {"bridge": [{"name": name, "between": ends} for name in bridges]} if bridges else {}
    links = {} if bridges else {"link": [{"between": ends}]}
    return parse_plan({"province": {"present": False}, "agency": agencies(*ends), **between, **links})


def send(network: Network, name: str, **changes: Any) -> None:
    request = DropRequest(
        changes.pop("business_type", "prosecution.transfer"),
        changes.pop("sender", POLICE),
        changes.pop("receiver", PROCURATORATE),
        changes.pop("created_at", network.clock.now()),
        extra_documents=changes.pop("extra_documents", ("EVD-024",)),
        video_bytes=1_200_000,
        name=name,
        **changes,
    )
    write_drop(make_drop(request), network.agency(request.sender) / "outbox")


def status(network: Network, name: str, sender: str = POLICE) -> dict[str, Any]:
    return json.loads((network.agency(sender) / "status" / f"{name}.status.json").read_text("utf-8"))


def delivered(network: Network, receiver: str) -> list[Path]:
    inbox = network.agency(receiver) / "inbox"
    return sorted(folder for kind in inbox.iterdir() if kind.is_dir() for folder in kind.iterdir())


def rows(network: Network, node: str, statement: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in network.nodes[node].opened.ledger.read().execute(statement)]


def traced(network: Network, node: str, recipient: str) -> Way:
    """The way to a recipient of the only packet, as ``node`` knows it."""
    parts = network.nodes[node].opened
    connection = parts.ledger.read()
    (row,) = connection.execute("SELECT sender, packet_id FROM packet").fetchall()
    peers = {link.name: link.peer for link in parts.config.links}
    seen_from = Viewpoint(node, peers, parts.trust.directory)
    found = trace(facts(connection, PacketKey(row["sender"], row["packet_id"])), seen_from)
    return next(way for way in found.ways if way.recipient == recipient)


def count(network: Network, node: str, table: str) -> int:
    return int(rows(network, node, f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608 - our own names


def check_books(network: Network) -> None:
    """Nothing waits anywhere, and every ledger agrees with its bytes."""
    for code, node in network.nodes.items():
        verified = examine_ledger(node.opened.ledger.read(), node.config.node.data_dir)
        assert (verified.problems, verified.spares) == ((), 0), code
        for table in ("arrival", "outgoing", "effect"):
            assert count(network, code, table) == 0, (code, table)


def check_whole(network: Network, name: str, receiver: str = PROCURATORATE, *, sender: str = POLICE) -> None:
    """What lies in the inbox is what was dropped, once."""
    (folder,) = delivered(network, receiver)
    for original in (network.agency(sender) / "sent" / name).iterdir():
        assert sha256_hex((folder / original.name).read_bytes()) == sha256_hex(original.read_bytes())
    assert (folder / "accepted.xml").is_file()


def held_by(world: Network, node: str) -> list[tuple[Any, ...]]:
    return rows(world, node, "SELECT state, reason FROM arrival")


def alone() -> LabPlan:
    return point_to_point()


def alone_with_bridge() -> LabPlan:
    return point_to_point("north")
