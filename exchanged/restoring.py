"""A node that was restored from a backup: it takes back what others know before it sends anything (C23).

Guarantees: while this goes on no packet is sealed, judged, offered or delivered here but those that came
back, and no folder counts as collected; it ends when everybody asked has answered and everything promised and
wanted is here, or when an operator says to go on without somebody. Bridges remember nothing for long, and
provincial nodes little of what they only pass on: those past them are asked as well. A crash at any point
goes on where it was; the ledger says how far it is.

Leaves to others: marking the ledger (``restore_node``), answers (``restore_answers``), what is taken
(``restore_taking``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from exchanged.ledger import Ledger, Transaction, arrivals, packets, restoring
from exchanged.ledger.restoring import OVER, Peer, PeerState
from exchanged.log import event_line
from exchanged.parts import Parts
from exchanged.restore_taking import RestoreNotes
from exchanged.routing import way_to
from exchanged.states import ArrivalState, PacketState
from exchanged.station import NOW, Station
from packet_spec.identity import PacketKey
from packet_spec.model import Directory, ItemKind, NodeRole
from packet_spec.note_rules import RESTORE, has_to_be_asked
from packet_spec.restoring import Ask, encode_restoring

_LOOK_SECONDS = 5.0
_NAME = "restoring"


def whom_to_ask(directory: Directory, node: str, neighbours: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """(node, neighbour on the way): every neighbour, and past those that only pass on whoever keeps bytes."""
    for neighbour in neighbours:
        yield neighbour, neighbour
    for one in directory.nodes:
        if one.code in {node, *neighbours} or one.role is NodeRole.BRIDGE or one.disabled:
            continue
        way = way_to(directory, node, one.code)
        if way and has_to_be_asked(directory, node, one.code):
            yield one.code, way[0]


def _nothing() -> bool:
    """A node without folders of an agency."""
    return True


class Restoring:
    """The station ``restoring``.

    ``before`` is asked before anybody else is, ``ready`` once all is back; False: it has more to do first.
    """

    name = _NAME

    def __init__(
        self, parts: Parts, before: Callable[[], bool] = _nothing, ready: Callable[[], bool] = _nothing
    ) -> None:
        self._before = before
        self._parts = parts
        self._ledger = parts.ledger
        self._ready = ready

    def step(self) -> float | None:
        """Ask, look what is back, and end it. None: this node is not restoring."""
        connection = self._ledger.read()
        if not restoring.is_going_on(connection):
            return None
        if not self._parts.trust.version:
            return _LOOK_SECONDS
        known = {peer.node: peer for peer in restoring.peers(connection)}
        due = [
            (node, self._parts.links.name_of(neighbour))
            for node, neighbour in whom_to_ask(
                self._parts.trust.directory, self._parts.config.node.code, self._neighbours()
            )
            if node not in known or known[node].state is PeerState.WAITING
        ]
        if due:
            if not known and not self._before():
                return _LOOK_SECONDS
            self._ledger.write(lambda tx: self._ask(tx, due))
            return NOW
        return self._look(tuple(known.values()))

    def _neighbours(self) -> tuple[str, ...]:
        links = self._parts.links
        return tuple(links.peer_of(name) for name in links.names())

    def _ask(self, transaction: Transaction, due: list[tuple[str, str]]) -> None:
        since = restoring.forgotten_since(transaction.connection)
        assert since is not None  # noqa: S101 - set with the mark of the restore
        said = encode_restoring(Ask(self._parts.incarnation, since))
        for node, link in due:
            sent = self._parts.statements.send_note(transaction, RESTORE, node, said)
            # Without a road in the directory nobody there ever had anything from here.
            restoring.set_peer(transaction, node, link, PeerState.ASKED if sent else PeerState.DONE)
            transaction.event("restore-asks", detail={"node": node, "link": link})

    def _look(self, peers: tuple[Peer, ...]) -> float | None:
        connection = self._ledger.read()
        came = [key for key, _ in restoring.wanted(connection) if self._has_come(key)]
        waiting = {node for key, node in restoring.wanted(connection) if key not in came}
        done = [
            peer
            for peer in peers
            if peer.state is PeerState.LISTED
            and peer.node not in waiting
            and not restoring.has_broken_promises(connection, peer.node)
        ]
        if came or done:
            self._ledger.write(lambda tx: _note(tx, came, done))
            return NOW
        if not all(peer.state in OVER for peer in peers) or not self._ready():
            return _LOOK_SECONDS
        self._ledger.write(self._finish)
        event_line("restore-finished", node=self._parts.config.node.code)
        return None

    def _has_come(self, key: PacketKey) -> bool:
        connection = self._ledger.read()
        packet = packets.find(connection, key)
        if packet is not None and (packet.bytes_at is not None or packet.state is not PacketState.ACTIVE):
            return True
        set_aside = (ArrivalState.HELD, ArrivalState.QUARANTINED)
        return any(
            row.kind is ItemKind.PACKET and row.state in set_aside
            for row in arrivals.of_packet(connection, key)
        )

    def _finish(self, transaction: Transaction) -> None:
        restoring.finish(transaction)
        for name in ("judge", "intake", "delivery", "collected", "effects", "notices"):
            transaction.wake(name)
        for name in self._parts.links.names():
            transaction.wake(f"link:{name}")


def _note(transaction: Transaction, came: list[PacketKey], done: list[Peer]) -> None:
    for key in came:
        restoring.no_longer_wanted(transaction, key)
    for peer in done:
        restoring.set_peer(transaction, peer.node, peer.link, PeerState.DONE)
        transaction.event("restore-took-back", detail={"node": peer.node})


class AfterRestoring:
    """A station that rests while the node is restoring."""

    def __init__(self, ledger: Ledger, station: Station) -> None:
        self._ledger = ledger
        self._station = station

    @property
    def name(self) -> str:
        """That of the station."""
        return self._station.name

    def step(self) -> float | None:
        """One step, if its time has come."""
        if restoring.is_going_on(self._ledger.read()):
            return _LOOK_SECONDS
        return self._station.step()


def restore_notes(parts: Parts) -> RestoreNotes:
    """The handler of notes of kind ``restore``."""
    return RestoreNotes(
        parts.config.node.code,
        parts.config.node.agency,
        parts.incarnation,
        parts.trust,
        parts.links,
        parts.statements,
    )
