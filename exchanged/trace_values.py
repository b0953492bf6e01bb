"""What a trace says: steps, who holds a packet now, and how that is known (``exchanged.trace`` makes it)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exchanged.routing import route_to_node
from exchanged.standstill import Stop, StopKind
from packet_spec.identity import PacketKey
from packet_spec.model import Directory


class Evidence(StrEnum):
    """How a step is known."""

    OWN_LEDGER = "own-ledger"
    HOP_NOTE = "hop-note"
    RECEIPT = "receipt"
    SEAL = "seal"


class StepKind(StrEnum):
    """What happened at a node."""

    SEALED = "sealed"
    LANDED = "landed"
    NEEDING = "needing"
    HELD = "held"
    RELEASED = "released"
    QUARANTINED = "quarantined"
    ADMITTED = "admitted"
    REMEMBERED = "remembered"
    OFFERED = "offered"
    BATCH_BAD = "batch-bad"
    HANDED_OVER = "handed-over"
    STAGED = "staged"
    PLACED = "placed"
    CANCELLED = "cancelled"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    COLLECTED = "collected"
    SIGNED = "signed"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    DISCARDED = "discarded"


class Holding(StrEnum):
    """In which way the packet is with its holder."""

    HERE = "here"
    """In this node's own custody: certain."""
    LAST_KNOWN = "last-known"
    """Custody passed to the holder; nothing is known beyond it."""
    INBOX = "inbox"
    """Whole and durable in the recipient's inbox."""
    CASE_SOFTWARE = "case-software"
    """Taken by the recipient's case software, or signed for."""
    NOBODY = "nobody"
    """Ended: refused, undeliverable, expired, cancelled or given up; the holder is who said so."""


class Because(StrEnum):
    """Why the holder is known to hold it."""

    NOT_OFFERED = "not-offered"
    ON_HOLD = "on-hold"
    NOT_ACKNOWLEDGED = "not-acknowledged"
    NOT_JUDGED = "not-judged"
    LACKS_BLOBS = "lacks-blobs"
    BEING_DELIVERED = "being-delivered"
    PLACED_HERE = "placed-here"
    ACKNOWLEDGED = "acknowledged"
    HOP_NOTE = "hop-note"
    RECEIPT = "receipt"
    ENDED_HERE = "ended-here"
    REMEMBERED = "remembered"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to the packet on its way. ``to`` is the node (or link) that it went to.

    ``detail`` is a batch number, a reason, or who signed; empty where there is nothing to add.
    """

    at: datetime
    node: str
    kind: StepKind
    known_by: Evidence
    to: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the packet now, since when, and how that is known.

    ``unknown_beyond`` is the node behind which nothing is known, empty where all is known. ``stop`` is why it
    does not go on from this node, where something keeps it.
    """

    node: str
    since: datetime
    holding: Holding
    because: Because
    unknown_beyond: str = ""
    stop: Stop | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """The packet's way to one recipient. ``state`` is that of the destination, or of the arrival."""

    recipient: str
    state: str
    steps: tuple[Step, ...]
    holder: Holder


@dataclass(frozen=True, slots=True)
class Trace:
    """The answer. ``asked`` is the node whose ledger was asked.

    ``set_aside`` counts receipts and notes about another seal or content under the same identity.
    """

    key: PacketKey
    asked: str
    attempt: int | None
    ways: tuple[Way, ...]
    set_aside: int = 0


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """The node that is asked: its code, its links' peers, and the directory in force if there is one.

    ``stops`` are the links that stand still.
    """

    node: str
    peers: Mapping[str, str]
    directory: Directory | None = None
    stops: Mapping[str, Stop] = field(default_factory=dict)

    def stop(self, link: str) -> Stop | None:
        """Why nothing goes over ``link``; None where it goes, or there is none."""
        if not link:
            return None
        return self.stops.get(link) if link in self.peers else Stop(StopKind.GONE, link)

    def peer(self, link: str) -> str:
        """The node at the other end of ``link``; the link's own name where it is no longer configured."""
        return self.peers.get(link) or f"link {link or '?'}"

    def admitting_node_behind(self, peer: str, sender: str) -> str:
        """The sender's admitting node, where the way to it begins with ``peer``; else empty."""
        listed = None if self.directory is None else self.directory.agency(sender)
        if self.directory is None or listed is None:
            return ""
        route = route_to_node(self.directory, self.node, listed.admitting_node, came_from="")
        return listed.admitting_node if route.neighbour == peer else ""

    def node_of(self, agency: str) -> str:
        """The node that serves ``agency``; most nodes serve one agency and bear its code."""
        listed = None if self.directory is None else self.directory.agency(agency)
        return agency if listed is None else listed.node
