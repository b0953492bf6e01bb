"""The books of one world: what must hold of ledgers and folders while it runs, and when all is at rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from certainty.simulation.drops import End
from certainty.simulation.node import SimNode
from certainty.simulation.people import Dropped, People
from certainty.simulation.watch import Appearance
from certainty.simulation.world import World
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import examine_ledger
from exchanged.places import LEDGER_FILE
from packet_spec.errors import ExchangeError
from packet_spec.model import ReceiptKind
from packet_spec.names import status_name
from packet_spec.receipt import open_receipt
from packet_spec.status import decode_status_xml
from packet_spec.told import Status

_DELIVERED: Final = frozenset({"delivered", "collected", "signed"})
_AFTER_DELIVERY: Final = (ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED)


@dataclass
class Books:
    """Looks at what every step changed, and at everything in the end."""

    world: World
    people: People
    # Receipts that were looked at: (agency, packet, file).
    _seen: set[Path] = field(default_factory=set)

    # --- all the time ------------------------------------------------------------------------------

    def after_step(self, node: SimNode, station: str) -> None:
        """New receipts in the sender's folder must tell what happened (I7)."""
        if station == "effects" and node.is_up and node.code in self.world.inboxes:
            for path in sorted((self.world.layout.agency(node.code) / "receipts").glob("*/*.xml")):
                if path not in self._seen and not path.name.startswith("."):
                    self._seen.add(path)
                    self._receipt(node, path)

    def _receipt(self, node: SimNode, path: Path) -> None:
        try:
            receipt, _ = open_receipt(path.read_bytes(), node.opened.trust.key)
        except ExchangeError as error:
            self.world.broken("I7", f"{node.code}: receipt {path.name} proves nothing: {error}")
            return
        if receipt.kind not in _AFTER_DELIVERY:
            return
        watch = self.world.inboxes.get(receipt.recipient)
        every = [] if watch is None else [a for a in watch.every if a.packet_id == receipt.key.packet_id]
        if not every:
            self.world.broken(
                "I7", f"{node.code} has a receipt {path.name} for {receipt.key}, which nobody was shown"
            )
        elif receipt.kind is ReceiptKind.COLLECTED and not any(self._was_taken(each) for each in every):
            self.world.broken("I7", f"{node.code} has {path.name} for {receipt.key}, which nobody took")
        if receipt.kind is ReceiptKind.SIGNED:
            said = self.people.answered.get((receipt.recipient, receipt.key.packet_id))
            if said != "signed":
                self.world.broken("I7", f"{node.code} has {path.name} for {receipt.key}, which nobody signed")

    def _was_taken(self, each: Appearance) -> bool:
        watch = self.world.inboxes
        for inbox in watch.values():
            if each in inbox.every:
                return each.gone != "" or (inbox.inbox / each.folder / "collected").exists()
        return False

    # --- at the end, whatever was broken --------------------------------------------------------------

    def keeps_everything(self) -> None:
        """Nothing that was dropped is lost, and no ledger contradicts itself or its files (I1, I8)."""
        for each in self.people.dropped:
            if not self._lies_somewhere(each):
                self.world.broken("I1", f"{each.name} of {each.sample.sender} lies nowhere any more")
        for code, node in self.world.nodes.items():
            connection = open_read_only(node.data_dir / LEDGER_FILE)
            try:
                verified = examine_ledger(connection, node.data_dir)
            finally:
                connection.close()
            for problem in verified.problems:
                self.world.broken("I8", f"{code}: {problem.what} {problem.where} {problem.found}")

    def _lies_somewhere(self, each: Dropped) -> bool:
        root = self.world.layout.agency(each.sample.sender)
        data = each.sample.files["packet.xml"]
        for folder in ("outbox", "sent", "refused"):
            for path in (root / folder).iterdir():
                packet = path / "packet.xml" if path.is_dir() else path
                if packet.is_file() and packet.stat().st_size == len(data) and packet.read_bytes() == data:
                    return True
        return False

    # --- at rest ---------------------------------------------------------------------------------------

    def is_at_rest(self) -> bool:
        """Every drop is final for its sender, and nothing is under way at any node."""
        for each in self.people.dropped:
            status = self._status(each)
            if status is None or not status.final:
                return False
        return not any(not node.is_up or self._under_way(node) for node in self.world.nodes.values())

    def _under_way(self, node: SimNode) -> str:
        connection = node.opened.ledger.read()
        for table in ("arrival", "outgoing", "effect"):
            count = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            if count:
                return f"{count} rows in {table}"
        return ""

    def _status(self, each: Dropped) -> Status | None:
        name = status_name(each.name.encode(), ".status.xml")
        try:
            data = (self.world.layout.agency(each.sample.sender) / "status" / name).read_bytes()
        except FileNotFoundError:
            return None
        return decode_status_xml(data)

    def at_rest(self) -> None:
        """Everything healed: all is final, and every ledger and folder agree (I1, I2, I16)."""
        for node in self.world.nodes.values():
            what = self._under_way(node) if node.is_up else "the node is down"
            if what:
                self.world.broken("I16", f"{node.code} has not come to rest: {what}")
        named = Counter((each.sample.sender, each.name) for each in self.people.dropped)
        for each in self.people.dropped:
            # Of several drops under one name the status file tells of the last.
            self._drop(each, is_told=named[each.sample.sender, each.name] == 1)
        self._destinations()
        self._receipts()
        self._spares()

    def _drop(self, each: Dropped, *, is_told: bool) -> None:
        sample, world = each.sample, self.world
        status = self._status(each)
        found = "nothing" if status is None else status.state
        if is_told and (status is None or not status.final):
            world.broken("I1", f"{each.name} of {sample.sender} did not come to an end: {found}")
        shown = {
            code: sum(a.sample is sample for a in watch.every) for code, watch in world.inboxes.items()
        }
        states = self._states(each)
        for recipient in sample.recipients:
            state = states.get(recipient, "")
            count = shown.get(recipient, 0)
            if sample.end is not End.DELIVERED:
                if count or state in _DELIVERED:
                    world.broken("I13", f"{each.name}, which must be refused, was shown to {recipient}")
            elif state in _DELIVERED and not count:
                what = f"{each.name} is {state} at {sample.sender}, and {recipient} never saw it"
                world.broken("I7", what)
            elif state == "cancelled" and count:
                world.broken("I1", f"{each.name} was cancelled, and {recipient} saw it")
            elif state not in _DELIVERED | {"cancelled", "refused"}:
                world.broken("I1", f"{each.name} for {recipient} ended as {state or found}")

    def _states(self, each: Dropped) -> dict[str, str]:
        """The state of each recipient in the sender's ledger; one drop is one packet."""
        connection = self.world.nodes[each.sample.sender].opened.ledger.read()
        reference = each.sample.sender_ref
        ids = connection.execute(
            "SELECT packet_id FROM packet WHERE own = 1 AND sender_ref = ?", (reference,)
        ).fetchall()
        if len(ids) > 1:
            self.world.broken("I2", f"{each.name} of {each.sample.sender} was sealed {len(ids)} times")
        rows = connection.execute(
            "SELECT recipient, destination.state FROM destination JOIN packet ON packet.id = packet"
            " WHERE own = 1 AND sender_ref = ?",
            (reference,),
        )
        return {row["recipient"]: row["state"] for row in rows}

    def _destinations(self) -> None:
        """What the sender's and the receiver's ledger say of one packet is the same."""
        told: dict[tuple[str, str, str], dict[str, str]] = {}
        for code, node in self.world.nodes.items():
            if not node.is_up or code not in self.world.inboxes:
                continue
            rows = node.opened.ledger.read().execute(
                "SELECT sender, packet_id, recipient, destination.state FROM destination"
                " JOIN packet ON packet.id = packet"
            )
            for row in rows:
                if code in (row["sender"], row["recipient"]):
                    key = (row["sender"], row["packet_id"], row["recipient"])
                    told.setdefault(key, {})[code] = row["state"]
        for (sender, packet, recipient), states in sorted(told.items()):
            if len(set(states.values())) > 1:
                self.world.broken("I16", f"{sender}/{packet[-6:]} to {recipient}: {states}")
            if states.get(recipient) in _DELIVERED and sender not in states:
                what = f"{recipient} has {sender}/{packet[-6:]}, which {sender} does not know"
                self.world.broken("I16", what)

    def _receipts(self) -> None:
        """Every receipt that was issued lies in the sender's folder."""
        for code, node in self.world.nodes.items():
            rows = node.opened.ledger.read().execute(
                "SELECT sender, packet_id, kind, recipient, issued_by, attempt FROM receipt WHERE own = 1"
            )
            for row in rows:
                if row["sender"] not in self.world.inboxes:
                    continue
                folder = self.world.layout.agency(row["sender"]) / "receipts" / row["packet_id"]
                name = f"{row['kind']}-{row['recipient'] or row['issued_by']}-{row['attempt']}.xml"
                if not (folder / name).is_file():
                    self.world.broken("I16", f"{name} of {code} did not come to {row['sender']}")

    def _spares(self) -> None:
        for code, node in self.world.nodes.items():
            if not node.is_up:
                continue
            verified = examine_ledger(node.opened.ledger.read(), node.data_dir)
            if verified.spares:
                self.world.broken("I10", f"{code}: {verified.spares} spare files after a clean start")
            staging = self.world.layout.agency(code) / ".exchanged"
            if code in self.world.inboxes and (left := sorted(each.name for each in staging.iterdir())):
                self.world.broken("I10", f"{code}: {left} lies in the staging folder")
