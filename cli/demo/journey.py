"""One drop of the demo on its way: what was dropped, and what was seen of it since.

Guarantees: what a journey knows comes from the folders that case software sees (``watch``). A destination
has the packet only when the sender's status says so, the receiver's folder is there and whole, and the
verified receipt lies with the sender.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Final

from cli.demo.case_data import DemoRow
from cli.demo.watch import Agency, Original, Proofs, read_delivery
from exchanged.states import DestinationState, DropState
from packet_spec.identity import PacketKey
from packet_spec.model import Receipt, ReceiptKind
from packet_spec.told import Status

_AT_LEAST_ACCEPTED: Final = frozenset(
    {
        DestinationState.ACCEPTED,
        DestinationState.DELIVERED,
        DestinationState.COLLECTED,
        DestinationState.SIGNED,
    }
)
_AT_LEAST_DELIVERED: Final = _AT_LEAST_ACCEPTED - {DestinationState.ACCEPTED}


class Act(StrEnum):
    """What the receiver's case software does with a delivered folder."""

    NOTHING = "nothing"
    MARK = "mark"
    """Put the file ``collected`` into it."""
    REMOVE = "remove"
    """Take the folder out of the inbox."""
    SIGN = "sign"
    """Answer with a disposition (签收)."""


class Ending(StrEnum):
    """How a journey is meant to end."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


RECEIPT_OF_ACT: Final = MappingProxyType(
    {Act.MARK: ReceiptKind.COLLECTED, Act.REMOVE: ReceiptKind.COLLECTED, Act.SIGN: ReceiptKind.SIGNED}
)

Expected = tuple[ReceiptKind, str]


@dataclass(slots=True)
class Journey:
    """A drop on its way. ``label`` is the row's number or the fault's; times are of this machine's clock.

    ``acts`` say what each recipient does. ``key`` is what the sender's status calls it, ``reply_key`` what
    the receiver's delivery.xml says to use in inReplyTo. ``received`` holds the verified receipts by kind and
    recipient, ``problems`` what should not have been, in words.
    """

    label: str
    row: DemoRow
    name: str
    original: Original
    dropped_at: datetime
    dropped: float
    ending: Ending = Ending.DELIVERED
    acts: dict[str, Act] = field(default_factory=dict)
    status: Status | None = None
    key: PacketKey | None = None
    reply_key: PacketKey | None = None
    folders: dict[str, Path] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    received: dict[Expected, Receipt] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    _files: set[Path] = field(default_factory=set)

    @property
    def sender(self) -> str:
        """The code of the agency that dropped it."""
        return self.original.envelope.sender

    @property
    def recipients(self) -> tuple[str, ...]:
        """The receiver, then every copy."""
        return self.original.recipients

    @property
    def wanted(self) -> frozenset[Expected]:
        """The receipts that the sender is to get: all of them, each once."""
        if self.ending is not Ending.DELIVERED:
            return frozenset()
        expected = {(ReceiptKind.ACCEPTED, "")}
        expected |= {(ReceiptKind.DELIVERED, recipient) for recipient in self.recipients}
        acted = ((RECEIPT_OF_ACT.get(act), agency) for agency, act in self.acts.items())
        return frozenset(expected | {(kind, agency) for kind, agency in acted if kind is not None})

    @property
    def is_taken(self) -> bool:
        """The exchange has taken the drop as a packet, says the sender's status."""
        return self.key is not None and bool(self.open_destinations or self.is_past(_AT_LEAST_DELIVERED))

    @property
    def open_destinations(self) -> tuple[str, ...]:
        """The recipients that the sender's status does not yet call delivered. Empty before it is taken."""
        destinations = () if self.status is None else self.status.destinations
        return tuple(each.agency for each in destinations if each.state not in _AT_LEAST_DELIVERED)

    @property
    def is_accepted(self) -> bool:
        """The province has all of it, says the sender's status."""
        return self.is_past(_AT_LEAST_ACCEPTED)

    @property
    def is_delivered(self) -> bool:
        """Every recipient has it: by status, by folder, by receipt."""
        return (
            self.is_past(_AT_LEAST_DELIVERED)
            and len(self.folders) == len(self.recipients)
            and all((ReceiptKind.DELIVERED, recipient) in self.received for recipient in self.recipients)
        )

    @property
    def is_complete(self) -> bool:
        """Nothing more will happen to it: all receipts are in, or it ended as refused or duplicate."""
        if self.ending is Ending.DELIVERED:
            return self.is_delivered and self.wanted <= self.received.keys()
        return self.status is not None and self.status.final and self.status.state == self.ending.value

    @property
    def went_wrong(self) -> bool:
        """It ended, but not as it was meant to."""
        if self.status is None:
            return False
        is_refused = self.status.state in {DropState.REFUSED, DropState.DUPLICATE, DropState.WITHDRAWN}
        if self.ending is Ending.DELIVERED:
            return is_refused or (self.status.final and not self.is_past(_AT_LEAST_DELIVERED))
        return self.status.final and self.status.state != self.ending.value

    def is_past(self, states: frozenset[DestinationState]) -> bool:
        """Every destination is in one of ``states``, says the sender's status."""
        destinations = () if self.status is None else self.status.destinations
        return len(destinations) == len(self.recipients) and all(
            each.state in states for each in destinations
        )

    def look(self, agencies: Callable[[str], Agency], proofs: Proofs, moment: datetime) -> None:
        """Take note of what lies in the folders now.

        Raises SignatureError or FormatError leaves for a receipt that does not prove itself.
        """
        sender = agencies(self.sender)
        self.status = sender.status(self.name) or self.status
        if self.ending is not Ending.DELIVERED or self.status is None or self.status.packet_id is None:
            return
        self.key = PacketKey(self.sender, self.status.packet_id)
        for path in sender.receipt_files(self.key.packet_id):
            if path not in self._files:
                self._file(proofs.receipt(path.read_bytes(), moment))
                self._files.add(path)
        for recipient in self.recipients:
            self._find_folder(agencies(recipient), proofs, moment)

    def _file(self, receipt: Receipt) -> None:
        expected = (receipt.kind, receipt.recipient)
        if expected in self.received:
            self.problems.append(f"a second receipt: {receipt.kind} of {receipt.issued_by}")
        self.received[expected] = receipt
        if receipt.key != self.key or receipt.content_digest != self.original.content_digest:
            self.problems.append(f"a receipt speaks of another packet: {receipt.kind} {receipt.key}")

    def _find_folder(self, agency: Agency, proofs: Proofs, moment: datetime) -> None:
        """A folder appears whole or not at all, so the first sight of it is judged (custody C19)."""
        if self.key is None or agency.code in self.folders:
            return
        folder = agency.folder(self.key, self.row.business_type)
        if folder is None:
            return
        self.problems += proofs.problems_of(folder, self.original, agency.code, moment)
        self.folders[agency.code] = folder
        self.reply_key = read_delivery(folder).key
        if self.reply_key != self.key:
            self.problems.append(f"{folder.name}: delivery.xml names another packet")
