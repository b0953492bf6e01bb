"""Notes between nodes: in custody like everything else, over bridges, once, and nobody speaks for another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from exchanged.applying import Applying
from exchanged.decisions import Held
from exchanged.judge import Judge
from exchanged.ledger import Transaction
from exchanged.ledger.rows import ArrivalRow
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.note import Note, note_id_of, sign_note
from packet_spec.waybill_model import WaybillItem
from tests.support.bridging import NORTH, SOUTH, held_by, in_a_row, rows
from tests.support.network import COURT, POLICE, PROVINCE, Network
from tests.support.peer import Peer
from tests.support.province import Province


@dataclass
class Listener:
    """A handler that remembers; ``holds`` makes it wait."""

    heard: list[Note] = field(default_factory=list)
    holds: bool = False

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> None:
        del transaction, row
        if self.holds:
            raise Held("not-yet")
        self.heard.append(note)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", in_a_row()) as network:
        yield network


def listen(network: Network, code: str) -> Listener:
    listener = Listener()
    parts = network.nodes[code].opened
    (judge,) = (station for station in network.nodes[code].stations if isinstance(station, Judge))
    judge._statements = Applying(code, parts.trust, parts.statements, {"test": listener})
    return listener


def send_note(network: Network, sender: str, to: str, payload: bytes = b"words") -> bool:
    parts = network.nodes[sender].opened
    return parts.ledger.write(lambda tx: parts.statements.send_note(tx, "test", to, payload))


def test_a_note_passes_bridges_and_arrives_once(world: Network) -> None:
    listener = listen(world, PROVINCE)
    assert send_note(world, POLICE, PROVINCE)
    world.run()
    (note,) = listener.heard
    assert (note.from_node, note.to_node, note.payload) == (POLICE, PROVINCE, b"words")
    for bridge in (NORTH, SOUTH):
        assert rows(world, bridge, "SELECT from_node, to_node FROM note") == [(POLICE, PROVINCE)]
    # The same bytes again, as after a restore, change nothing.
    for code in (POLICE, NORTH):
        parts = world.nodes[code].opened
        parts.ledger.write(lambda tx: tx.execute("UPDATE outgoing SET batch = NULL WHERE kind = 'note'"))
    world.run()
    assert listener.heard == [note]


def test_a_note_waits_until_somebody_understands_it(world: Network) -> None:
    send_note(world, POLICE, PROVINCE)
    world.run()
    assert held_by(world, PROVINCE) == [("held", "unknown-note-kind")]
    listener = listen(world, PROVINCE)
    listener.holds = True
    parts = world.nodes[PROVINCE].opened
    parts.ledger.write(lambda tx: tx.execute("UPDATE arrival SET state = 'landed', retry_at = NULL"))
    world.run()
    assert [state for state, _ in held_by(world, PROVINCE)] == ["held"]
    listener.holds = False
    parts.ledger.write(lambda tx: tx.execute("UPDATE arrival SET state = 'landed', retry_at = NULL"))
    world.run()
    assert [note.payload for note in listener.heard] == [b"words"]


def test_without_a_road_nothing_is_kept(world: Network) -> None:
    assert not send_note(world, POLICE, "999999-99-99")
    assert rows(world, POLICE, "SELECT count(*) FROM note") == [(0,)]


@pytest.mark.parametrize("by", ["police", "court"])
def test_nobody_sends_notes_in_the_name_of_another(province: Province, by: str) -> None:
    listener = listen(province.network, PROVINCE)
    now = province.network.clock.now()
    # The police's mailbox brings what the court is said to have written, under either key.
    key = province.police.link_key if by == "police" else Peer(province.network, COURT).link_key
    note = Note("test", note_id_of("test", COURT, PROVINCE, now, 1, b""), COURT, PROVINCE, now, b"")
    data = sign_note(note, key)
    item = WaybillItem(ItemKind.NOTE, sha256_hex(data), len(data), note.key)
    province.police.put(province.police.batch([(item, data)]))
    province.run()
    assert [state for state, _ in province.arrivals()] == ["quarantined"]
    assert listener.heard == []


def test_c16_a_note_over_a_link_that_is_no_longer_configured_is_held_and_nobody_is_blamed(
    world: Network,
) -> None:
    send_note(world, POLICE, PROVINCE)
    world.run()
    province = world.nodes[PROVINCE]
    province.die()
    original = province.config
    links = tuple(replace(link, name=f"new-{link.name}") for link in original.links)
    province.config = replace(original, links=links)
    province.open()
    world.run()
    assert held_by(world, PROVINCE) == [("held", "link-not-configured")]
    province.die()
    province.config = original
    province.open()
    listener = listen(world, PROVINCE)
    world.run()
    assert [note.payload for note in listener.heard] == [b"words"]
