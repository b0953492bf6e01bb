"""A simulated province under traffic, nodes put back to older backups, and books that must balance."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from exchanged import backup, restore_node
from exchanged.ledger import restoring
from exchanged.ledger.verify import examine_ledger
from packet_spec.delivery import decode_delivery
from packet_spec.model import ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode
from tests.support.traffic import drop_packet

AGENCIES = (POLICE, PROCURATORATE, COURT)


@dataclass
class Seen:
    """What lay in inboxes at any time: sender's reference -> folders, each with whether it was flagged.

    A folder is known by its place and the time at which it was delivered, as its delivery.xml says.
    """

    folders: dict[str, dict[tuple[str, datetime], bool]] = field(default_factory=dict)

    def look(self, network: Network) -> None:
        """Note what lies there now."""
        for agency in AGENCIES:
            for path in (network.agency(agency) / "inbox").glob("*/*/delivery.xml"):
                found = decode_delivery(path.read_bytes())
                folder = path.parent
                self.folders.setdefault(found.sender_ref, {})[str(folder), found.delivered_at] = (
                    found.maybe_duplicate
                )


class World:
    """One network, one random source; ``dropped`` are sender's references and their senders."""

    def __init__(self, network: Network, seed: int) -> None:
        self.network = network
        self.random = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.dropped: dict[str, tuple[str, Path]] = {}
        self.seen = Seen()
        self._number = seed * 1000
        network.before_round = self._before_round

    def drop(self) -> None:
        """One more packet from one agency to another."""
        sender, receiver = self.random.sample(AGENCIES, 2)
        self._number += 1
        path = drop_packet(
            self.network,
            seed=self._number,
            sender=sender,
            receiver=receiver,
            sender_ref=f"R-{self._number}",
            **self._kind(sender, receiver),
        )
        self.dropped[f"R-{self._number}"] = (sender, path)

    def _kind(self, sender: str, receiver: str) -> dict[str, Any]:
        """Mostly small ones; some from police to procuratorate belong to a case and has a large part."""
        if (sender, receiver) != (POLICE, PROCURATORATE) or self.random.random() > 0.4:
            return {"business_type": "info.share"}
        return {
            "business_type": "prosecution.transfer",
            "extra_documents": ("EVD-024",),
            "video_bytes": 1_100_000,
        }

    def collect(self) -> None:
        """Some case software takes something."""
        for agency in AGENCIES:
            for folder in (self.network.agency(agency) / "inbox").glob("*/*/"):
                if self.random.random() < 0.3:
                    self.seen.look(self.network)
                    shutil.rmtree(folder)
                    return

    def traffic(self, rounds: int, most: int) -> None:
        """Rounds with drops and collecting at random times, not to the end of anything."""
        for _ in range(rounds):
            if self.random.random() < most / rounds:
                self.drop()
            if self.random.random() < 0.2:
                self.collect()
            self.round()

    def round(self) -> None:
        """One round in which some nodes are slow: what is under way stands at every stage."""
        self._before_round()
        for code in sorted(self.network.nodes):
            node = self.network.nodes[code]
            if node.parts is not None and self.random.random() < 0.7:
                node.step()
        self.network.clock.advance(1.0)

    def snapshot(self, code: str, target: Path) -> Path:
        """A backup of a running node, as the command makes it."""
        config = self.network.nodes[code].config
        backup.create(config, self.network.layout.config(code), target, self.network.clock.now())
        return target

    def restore(self, code: str, source: Path) -> None:
        """The node dies, and its data directory is lost; the backup takes its place."""
        node = self.network.nodes[code]
        node.die()
        lost = node.config.node.data_dir
        keys = lost.with_name(f"{lost.name}.keys")
        shutil.copytree(lost / "keys", keys)
        shutil.rmtree(lost)
        lost.mkdir()
        shutil.move(keys, lost / "keys")
        made = restore_node.plan(node.config, source, self.network.clock.now())
        restore_node.restore(node.config, source, made, self.network.clock)

    def drain(self, rounds: int = 400, quiet: int = 12) -> None:
        """Until nothing happens any more."""
        self.network.run(rounds=rounds, quiet=quiet)

    def _before_round(self) -> None:
        self.seen.look(self.network)


def check_books(world: World) -> None:
    """Nothing lost, nothing doubled unflagged, every status final, every ledger sound and at rest."""
    world.seen.look(world.network)
    for reference, (sender, path) in world.dropped.items():
        folders = world.seen.folders.get(reference, {})
        assert folders, f"{reference} of {sender} was lost"
        unflagged = [where for where, is_flagged in folders.items() if not is_flagged]
        assert len(unflagged) <= 1, f"{reference} was doubled: {folders}"
        status = world.network.agency(sender) / "status" / f"{path.name}.status.json"
        said = json.loads(status.read_text("utf-8"))
        assert said["final"], f"{reference}: {said}"
        assert said["state"] in {"delivered", "collected"}, f"{reference}: {said}"
        accepted = accepted_times(world.network, sender, said["packetId"])
        assert len(accepted) == 1, f"{reference} was accepted at {accepted}"
    for node in world.network.nodes.values():
        check_node(node)


def accepted_times(network: Network, sender: str, packet_id: str) -> set[str]:
    trust = network.nodes[PROVINCE].opened.trust
    found: set[str] = set()
    for path in (network.agency(sender) / "receipts" / packet_id).glob("accepted-*.xml"):
        receipt, _ = open_receipt(path.read_bytes(), trust.key)
        assert receipt.kind is ReceiptKind.ACCEPTED
        found.add(str(receipt.issued_at))
    return found


def check_node(node: SimulatedNode) -> None:
    connection = node.opened.ledger.read()
    assert not restoring.is_going_on(connection), f"{node.code}: {restoring.peers(connection)}"
    verified = examine_ledger(connection, node.config.node.data_dir)
    assert verified.problems == (), f"{node.code}: {verified.problems}"
    counts = {
        "arrival": "SELECT kind, state, reason, packet_id FROM arrival",
        "outgoing": "SELECT link, kind, reference, batch FROM outgoing",
        "destination": "SELECT packet, recipient, state FROM destination WHERE state IN"
        " ('queued', 'on-hold', 'offered', 'handed-over', 'accepted', 'arrived', 'delivering')",
        "packet": "SELECT id, sender, packet_id FROM packet WHERE state = 'active'",
    }
    for table, statement in counts.items():
        rows = [tuple(row) for row in connection.execute(statement)]
        assert rows == [], f"{node.code} {table}: {rows}"
