"""What the two halves of a link share: who talks with whom, over what, with which limits."""

from __future__ import annotations

from dataclasses import dataclass

from exchanged.blobs import BlobStore
from exchanged.clock import Clock, Randomness
from exchanged.disk_floor import DiskFloor
from exchanged.durable import DurableFiles
from exchanged.keyring import KeyAt
from exchanged.ledger import Ledger
from exchanged.pack_store import PackStore
from exchanged.receipts import Statements
from exchanged.soundness import ClockGuard
from exchanged.spool import Spool
from exchanged.transport import Transport
from exchanged.trust import Trust


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bounds of one link. Sizes in bytes, times in seconds; ``restore_days`` 0 is without bound."""

    batch_bytes: int
    batch_items: int
    open_batches: int
    scan_names: int
    order_wait_seconds: float
    scan_seconds: float
    restore_days: float


@dataclass(frozen=True, slots=True)
class LinkContext:
    """One link of this node. ``node`` and ``peer`` are node codes; ``incarnation`` is this node's."""

    name: str
    node: str
    peer: str
    incarnation: str
    limits: LinkLimits
    ledger: Ledger
    spool: Spool
    blobs: BlobStore
    files: DurableFiles
    transport: Transport
    trust: Trust
    packs: PackStore
    statements: Statements
    link_key: KeyAt
    clock: Clock
    clock_guard: ClockGuard
    floor: DiskFloor
    randomness: Randomness

    @property
    def peer_is_disabled(self) -> bool:
        """The directory in force says that nobody exchanges with the neighbour now."""
        node = self.trust.directory.node(self.peer) if self.trust.version else None
        return node is not None and node.disabled
