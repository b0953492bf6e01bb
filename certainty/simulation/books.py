"""The books of one world: what must hold of ledgers and folders while it runs, and when all is at rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lxml import etree

from certainty.simulation.drops import End, Sample
from certainty.simulation.ends import DELIVERED, Ending, wrong_end
from certainty.simulation.node import SimNode
from certainty.simulation.people import Dropped, People
from certainty.simulation.world import World
from exchanged.ledger import open_read_only
from exchanged.ledger.verify import examine_ledger
from exchanged.places import LEDGER_FILE
from packet_spec.errors import ExchangeError
from packet_spec.model import Receipt, ReceiptKind
from packet_spec.names import status_name
from packet_spec.receipt import open_receipt
from packet_spec.status import decode_status_xml
from packet_spec.told import Status

_AFTER_DELIVERY: Final = (ReceiptKind.DELIVERED, ReceiptKind.COLLECTED, ReceiptKind.SIGNED)


@dataclass
class Books:
    """Looks at what every step changed, and at everything in the end."""

    world: World
    people: People
    # Receipts that were verified, with their bytes; those of an agency are forgotten when its power is cut.
    _seen: dict[Path, bytes] = field(default_factory=dict)

    # --- all the time ------------------------------------------------------------------------------

    def after_step(self, node: SimNode, station: str) -> None:
        """New receipts in the sender's folder must tell what happened (I7)."""
        if station in ("effects", "start") and node.is_up and node.code in self.world.inboxes:
            for path in self._shown(node.code, "receipts/*/*.xml"):
                if path not in self._seen:
                    self._seen[path] = path.read_bytes()
                    self._receipt(node, path, self._seen[path])

    def after_cut(self, node: SimNode) -> None:
        """What case software sees after a power cut is whole, and every receipt has to prove itself anew."""
        if node.code not in self.world.inboxes:
            return
        for path in self._shown(node.code, "receipts/*/*.xml", "status/*.xml", "status/by-id/*"):
            data = path.read_bytes()
            if self._seen.pop(path, data) != data:
                self.world.broken("I3", f"{node.code}: {path.name} has other bytes after the power cut")
            elif not _is_whole(data):
                self.world.broken("I3", f"{node.code}: {path.name} is torn after the power cut")
        root = self.world.layout.agency(node.code)
        self._seen = {path: data for path, data in self._seen.items() if not path.is_relative_to(root)}

    def _shown(self, agency: str, *patterns: str) -> list[Path]:
        root = self.world.layout.agency(agency)
        found = [path for pattern in patterns for path in root.glob(pattern)]
        return sorted(path for path in found if not path.name.startswith(".") and path.suffix == ".xml")

    def _receipt(self, node: SimNode, path: Path, data: bytes) -> None:
        try:
            receipt, _ = open_receipt(data, node.opened.trust.key)
        except ExchangeError as error:
            self.world.broken("I7", f"{node.code}: receipt {path.name} proves nothing: {error}")
            return
        if receipt.key.packet_id != path.parent.name:
            self.world.broken("I7", f"{node.code}: {path.parent.name}/{path.name} is of another packet")
        if receipt.kind in _AFTER_DELIVERY:
            self._delivery(node, path, receipt)
        elif receipt.kind is not ReceiptKind.ACCEPTED:
            self._refusal(node, path, receipt)

    def _refusal(self, node: SimNode, path: Path, receipt: Receipt) -> None:
        """Refused is what had to be, or what a reader refused; nothing here expires or is given up."""
        sample = self._sample(node, receipt.key.packet_id)
        watch = self.world.inboxes.get(receipt.recipient)
        by_reader = (
            watch is not None
            and receipt.issued_by == receipt.recipient
            and receipt.key.packet_id in watch.refused
        )
        is_due = sample is not None and sample.end is End.REFUSED
        if receipt.kind is not ReceiptKind.REFUSED or not (by_reader or is_due):
            codes = ", ".join(each.code for each in receipt.findings)
            what = f"{node.code} has {path.name} of {receipt.issued_by} for {receipt.key} ({codes})"
            self.world.broken("I7", f"{what}: nothing in this world was a reason")

    def _sample(self, node: SimNode, packet_id: str) -> Sample | None:
        row = node.opened.ledger.read().execute(
            "SELECT sender_ref FROM packet WHERE own = 1 AND packet_id = ?", (packet_id,)
        ).fetchone()
        found = "" if row is None else row["sender_ref"]
        every = (each.sample for each in self.people.dropped)
        return next((each for each in every if each.sender_ref == found), None)

    def _delivery(self, node: SimNode, path: Path, receipt: Receipt) -> None:
        if receipt.issued_by != receipt.recipient:
            self.world.broken("I7", f"{node.code}: {path.name} is said by {receipt.issued_by}")
        watch = self.world.inboxes.get(receipt.recipient)
        every = [] if watch is None else [a for a in watch.every if a.packet_id == receipt.key.packet_id]
        if not every:
            self.world.broken(
                "I7", f"{node.code} has a receipt {path.name} for {receipt.key}, which nobody was shown"
            )
        elif receipt.kind is ReceiptKind.COLLECTED and not any(each.was_taken for each in every):
            self.world.broken("I7", f"{node.code} has {path.name} for {receipt.key}, which nobody took")
        if receipt.kind is ReceiptKind.SIGNED:
            said = self.people.answered.get((receipt.recipient, receipt.key.packet_id))
            if said != "signed":
                self.world.broken("I7", f"{node.code} has {path.name} for {receipt.key}, which nobody signed")

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
        for folder in ("outbox", "sent", "refused"):
            for path in (root / folder).iterdir():
                files = each.sample.files.items()
                if all(_holds(path if each.sample.is_lone else path / name, data) for name, data in files):
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
        try:
            return decode_status_xml(data)
        except ExchangeError as error:
            self.world.broken("I3", f"{each.sample.sender}: {name} cannot be read: {error}")
            return None

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
        for watch in self.world.inboxes.values():
            watch.judge_again()
        self._destinations()
        self._seen.clear()
        for node in self.world.nodes.values():
            self.after_step(node, "effects")
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
        packet, states = self._states(each)
        for recipient in sample.recipients:
            wrong = wrong_end(Ending(
                each.name, sample.sender, recipient, sample.end, states.get(recipient, ""),
                found if is_told else "", shown.get(recipient, 0),
                reader_refused=recipient in world.inboxes and packet in world.inboxes[recipient].refused,
                operator_cancelled=(sample.sender, packet) in self.people.cancelled,
            ))  # fmt: skip
            if wrong is not None:
                world.broken(*wrong)

    def _states(self, each: Dropped) -> tuple[str, dict[str, str]]:
        """The packet and the state of each recipient in the sender's ledger; one drop is one packet."""
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
        states = {row["recipient"]: row["state"] for row in rows}
        return (ids[0]["packet_id"] if ids else ""), states

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
            if states.get(recipient) in DELIVERED and sender not in states:
                what = f"{recipient} has {sender}/{packet[-6:]}, which {sender} does not know"
                self.world.broken("I16", what)

    def _receipts(self) -> None:
        """Every receipt that was issued lies in the sender's folder, as its issuer's ledger has it."""
        for code, node in self.world.nodes.items():
            rows = node.opened.ledger.read().execute(
                "SELECT sender, packet_id, kind, recipient, issued_by, attempt, document FROM receipt"
                " WHERE own = 1"
            )
            for row in rows:
                if row["sender"] not in self.world.inboxes:
                    continue
                folder = self.world.layout.agency(row["sender"]) / "receipts" / row["packet_id"]
                name = f"{row['kind']}-{row['recipient'] or row['issued_by']}-{row['attempt']}"
                # A further one of the same name has a number behind it.
                if not any(_holds(path, row["document"]) for path in folder.glob(f"{name}*.xml")):
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


def _holds(path: Path, data: bytes) -> bool:
    """That file is there and has exactly these bytes."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _is_whole(data: bytes) -> bool:
    """An XML document from its first to its last byte."""
    try:
        etree.fromstring(data)
    except etree.XMLSyntaxError:
        return False
    return True
