"""Issue receipts, hop notes and notes between nodes, and send each on its way to those who must read it.

A receipt and the change of state that it speaks of are one transaction; receipts are sent from the
ledger, so they can always be sent again. Who may say what is ``packet_spec.authority`` (C21).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from exchanged.decisions import Held
from exchanged.keyring import KeyAt
from exchanged.ledger import Transaction, batches, notes, statements
from exchanged.routing import (
    Route,
    RouteKind,
    next_hop,
    node_may_come_from,
    origin_of,
    receipt_hop,
    route_to_node,
)
from exchanged.trust import Trust
from packet_spec.errors import AuthorityError
from packet_spec.findings import Finding, Severity
from packet_spec.hop import sign_hop
from packet_spec.identity import PacketKey
from packet_spec.limits import FINDINGS
from packet_spec.model import CheckedScope, HopNote, ItemKind, Receipt, ReceiptKind
from packet_spec.note import Note, note_id_of, sign_note
from packet_spec.receipt import sign_receipt
from packet_spec.sentences import make_finding

URGENT, ORDINARY = 0, 1


@dataclass(frozen=True, slots=True)
class Subject:
    """The packet that a statement is about."""

    key: PacketKey
    attempt: int
    content_digest: str
    seal_digest: str
    business_type: str


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who speaks at this node: ``issuer``, its agency or itself, for a recipient; else ``node``.

    A bridge has no receipt key: it issues no receipts.
    """

    node: str
    issuer: str
    receipt_key: KeyAt | None
    link_key: KeyAt


class Links:
    """Which link leads to which neighbour node."""

    def __init__(self, by_peer: dict[str, str]) -> None:
        self._by_peer = dict(by_peer)
        self._by_name = {name: peer for peer, name in by_peer.items()}

    def name_of(self, peer: str) -> str:
        """The link to ``peer``, or empty."""
        return self._by_peer.get(peer, "")

    def peer_of(self, name: str) -> str:
        """The neighbour at the other end of the link ``name``, or empty."""
        return self._by_name.get(name, "")

    def names(self) -> tuple[str, ...]:
        """All links."""
        return tuple(self._by_name)


class Statements:
    """Issues and forwards signed statements for one node."""

    def __init__(self, speaker: Speaker, trust: Trust, links: Links) -> None:
        self._speaker = speaker
        self._trust = trust
        self._links = links

    def issue(
        self,
        transaction: Transaction,
        kind: ReceiptKind,
        subject: Subject,
        *,
        recipient: str = "",
        findings: tuple[Finding, ...] = (),
        how: str = "",
        by: str = "",
        folder_synced: bool = True,
        scope: CheckedScope | None = None,
    ) -> tuple[int, Receipt]:
        """Sign a receipt now and queue it towards the packet's sender. Returns its row and value.

        Of more findings than a receipt holds the refusals are told first, and the last one counts the rest.
        Raises AuthorityError at a node without a receipt key.
        """
        key = self._speaker.receipt_key
        if key is None:
            raise AuthorityError("a bridge issues no receipts", where=f"packet {subject.key}")
        receipt = Receipt(
            kind=kind,
            key=subject.key,
            attempt=subject.attempt,
            content_digest=subject.content_digest,
            seal_digest=subject.seal_digest,
            business_type=subject.business_type,
            recipient=recipient,
            # Of the whole packet the admitting node speaks, whose name need not be that of an agency (C21).
            issued_by=self._speaker.issuer if recipient else self._speaker.node,
            issued_at=transaction.issue_time(),
            number=transaction.next_number("receipt-number"),
            findings=_as_many_as_fit(findings),
            how=how,
            by=by,
            folder_synced=folder_synced,
            scope=scope,
        )
        document = sign_receipt(receipt, key(receipt.issued_at))
        number = statements.record_receipt(transaction, receipt, document, own=True)
        assert number is not None  # noqa: S101 - number and time make every receipt new
        self.send_to_agency(transaction, ItemKind.RECEIPT, number, subject.key.sender, came_by="")
        return number, receipt

    def peer_of(self, link: str) -> str:
        """The neighbour at the other end of ``link``; empty where the configuration lost or renamed it."""
        return self._links.peer_of(link)

    def is_ours(self, issuer: str) -> bool:
        """Who issued it is this node, under its own name or its agency's."""
        return issuer in (self._speaker.node, self._speaker.issuer)

    def note_hop(
        self,
        transaction: Transaction,
        key: PacketKey,
        seal_digest: str,
        landed_at: datetime,
        next_node: str,
    ) -> None:
        """Sign this node's note of a packet that leaves now, and queue it towards the sender."""
        hop = HopNote(self._speaker.node, key, seal_digest, landed_at, transaction.now, next_node)
        document = sign_hop(hop, self._speaker.link_key(transaction.now))
        number = statements.record_hop(transaction, hop, document)
        if number is not None:
            self.send_to_agency(transaction, ItemKind.HOP, number, key.sender, came_by="")

    def send_note(
        self, transaction: Transaction, kind: str, to_node: str, payload: bytes, *, is_brief: bool = False
    ) -> bool:
        """Sign a note now and queue it towards ``to_node``; a brief one is kept until it was handed over.

        False, and nothing is kept, where no road leads there. Raises FormatError for a payload over its cap.
        """
        node, number = self._speaker.node, transaction.next_number("note-number")
        note = Note(
            kind,
            note_id_of(kind, node, to_node, transaction.now, number, payload),
            node,
            to_node,
            transaction.now,
            payload,
        )
        route = self._note_route(note, came_by="")
        if route.kind is not RouteKind.NEIGHBOUR or not self._links.name_of(route.neighbour):
            return False
        document = sign_note(note, self._speaker.link_key(transaction.now))
        row = notes.record(transaction, note, document, is_brief=is_brief)
        return self._queue(transaction, ItemKind.NOTE, row, route)

    def reaches(self, to_node: str) -> bool:
        """Whether ``send_note`` finds a road to that node."""
        route = route_to_node(self._trust.directory, self._speaker.node, to_node, "")
        return route.kind is RouteKind.NEIGHBOUR and bool(self._links.name_of(route.neighbour))

    def pass_note_on(self, transaction: Transaction, note: Note, document: bytes, *, came_by: str) -> None:
        """Keep a note of another node and queue it on its way, never back over the link it came by.

        The note is not known yet. Raises Held, and keeps nothing, where no road leads on.
        """
        route = self._note_route(note, came_by=came_by)
        if route.kind is not RouteKind.NEIGHBOUR or not self._links.name_of(route.neighbour):
            raise Held(RouteKind.LOOP.value if route.kind is RouteKind.LOOP else RouteKind.UNKNOWN.value)
        self._queue(transaction, ItemKind.NOTE, notes.record(transaction, note, document), route)

    def is_on_its_road(self, note: Note, came_by: str) -> bool:
        """The way from here to the node that the note is from begins with the link that it came by.

        Raises Held for a link that the configuration lost or renamed: nobody can tell whose word it is.
        """
        neighbour = self._links.peer_of(came_by)
        if not neighbour:
            raise Held("link-not-configured")
        return node_may_come_from(self._trust.directory, self._speaker.node, note.from_node, neighbour)

    def _note_route(self, note: Note, *, came_by: str) -> Route:
        neighbour = self._links.peer_of(came_by)
        return route_to_node(self._trust.directory, self._speaker.node, note.to_node, neighbour)

    def send_to_agency(
        self, transaction: Transaction, kind: ItemKind, number: int, agency: str, *, came_by: str
    ) -> bool:
        """Queue a statement on the link towards ``agency``; never back over the link it came by.

        A receipt goes by way of the agency's admitting node, which has to know it as well. What came by a
        link counts among what came there (``turns``): a flood of it is the flooder's own wait.
        False when it stays here: the agency is ours, or no road leads there.
        """
        came_from = self._came_from(agency, came_by)
        hop = next_hop if kind is ItemKind.HOP else receipt_hop
        route = hop(self._trust.directory, self._speaker.node, agency, came_from)
        of = agency
        if came_by:
            of = origin_of(self._trust.directory, came_by, self._links.peer_of(came_by), agency)
        return self._queue(transaction, kind, number, route, of)

    def has_road(self, agency: str, *, came_by: str) -> bool:
        """A receipt about a packet of ``agency`` ends here, or there is a link on its way."""
        route = receipt_hop(
            self._trust.directory, self._speaker.node, agency, self._came_from(agency, came_by)
        )
        if route.kind is RouteKind.NEIGHBOUR:
            return bool(self._links.name_of(route.neighbour))
        return route.kind is not RouteKind.UNKNOWN

    def _came_from(self, agency: str, came_by: str) -> str:
        """The neighbour that it must not go back to. At the admitting node the way turns (C16)."""
        neighbour = self._links.peer_of(came_by)
        listed = self._trust.directory.agency(agency)
        turns = listed is not None and listed.admitting_node == self._speaker.node
        return "" if turns and listed is not None and listed.node != neighbour else neighbour

    def _queue(
        self, transaction: Transaction, kind: ItemKind, number: int, route: Route, of: str = ""
    ) -> bool:
        if route.kind is not RouteKind.NEIGHBOUR:
            return False
        link = self._links.name_of(route.neighbour)
        if not link:
            return False
        batches.enqueue(transaction, link, kind, number, URGENT, of=of)
        return True

    def repeat(self, transaction: Transaction, key: PacketKey) -> None:
        """Send every receipt known here about a packet to its sender again (C12)."""
        for row in statements.summaries_of(transaction.connection, key):
            self.send_to_agency(transaction, ItemKind.RECEIPT, row.id, key.sender, came_by="")


def _as_many_as_fit(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """A verdict may hold as many as a receipt; what the node itself finds, of the case, comes on top."""
    if len(findings) <= FINDINGS:
        return findings
    told = sorted(findings, key=lambda finding: finding.severity is not Severity.REFUSE)[: FINDINGS - 1]
    return (*told, make_finding("findings-cut", found=str(len(findings) - len(told))))
