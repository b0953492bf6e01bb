"""Notes between nodes: in custody like everything else, over bridges, once, and nobody speaks for another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from exchanged.applying import Applying, NoteHandler
from exchanged.decisions import Held
from exchanged.judge import Judge
from exchanged.ledger import Transaction
from exchanged.ledger.rows import ArrivalRow
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind
from packet_spec.note import Note, note_id_of, sign_note
from packet_spec.note_rules import KEYS, LOG, RESTORE, may_send_note
from packet_spec.restoring import Ask, encode_restoring
from packet_spec.waybill_model import WaybillItem
from tests.support.bridging import NORTH, SOUTH, held_by, in_a_row, one_for_all, rows
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.peer import Peer
from tests.support.province import Province


@dataclass
class Listener:
    """A handler that remembers; ``holds`` makes it wait. ``handlers`` is the table in which it stands."""

    heard: list[Note] = field(default_factory=list)
    holds: bool = False
    handlers: dict[str, NoteHandler] = field(default_factory=dict)

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> bool:
        del transaction, row
        if self.holds:
            raise Held("not-yet")
        self.heard.append(note)
        return True


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", in_a_row()) as network:
        yield network


def listen(network: Network, code: str) -> Listener:
    listener = Listener()
    parts = network.nodes[code].opened
    (judge,) = (station for station in network.nodes[code].stations if isinstance(station, Judge))
    listener.handlers[LOG] = listener
    judge._statements = Applying(code, parts.trust, parts.statements, listener.handlers)
    return listener


def send_note(network: Network, sender: str, to: str, payload: bytes = b"words", kind: str = LOG) -> bool:
    parts = network.nodes[sender].opened
    return parts.ledger.write(lambda tx: parts.statements.send_note(tx, kind, to, payload))


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
    listener = listen(world, PROVINCE)
    handlers = dict(listener.handlers)
    listener.handlers.clear()
    send_note(world, POLICE, PROVINCE)
    world.run()
    assert held_by(world, PROVINCE) == [("held", "unknown-note-kind")]
    listener.handlers.update(handlers)
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
    note = Note(LOG, note_id_of(LOG, COURT, PROVINCE, now, 1, b""), COURT, PROVINCE, now, b"")
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
    links = tuple(link for link in original.links if link.peer != SOUTH)
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


# Who stands where: police - north - south - province - procuratorate.
MAY_IN_A_ROW = [
    (RESTORE, POLICE, NORTH),
    (RESTORE, NORTH, POLICE),
    (RESTORE, NORTH, PROVINCE),
    (RESTORE, POLICE, PROVINCE),
    (RESTORE, PROVINCE, POLICE),
    (RESTORE, PROVINCE, PROCURATORATE),
    (LOG, PROVINCE, POLICE),
    (LOG, PROCURATORATE, PROVINCE),
    (KEYS, POLICE, PROVINCE),
    (KEYS, PROVINCE, SOUTH),
]


def test_every_kind_of_note_has_its_own_two_ends(world: Network) -> None:
    directory = world.nodes[PROVINCE].opened.trust.directory
    nodes = (POLICE, NORTH, SOUTH, PROVINCE, PROCURATORATE)
    may = {
        (kind, one, other)
        for kind in (KEYS, LOG, RESTORE)
        for one in nodes
        for other in nodes
        if may_send_note(directory, kind, one, other)
    }
    assert may >= set(MAY_IN_A_ROW)
    assert {(one, other) for kind, one, other in may if kind == LOG} == {
        pair for agency in (POLICE, PROCURATORATE) for pair in ((agency, PROVINCE), (PROVINCE, agency))
    }
    others = {(one, other) for one in nodes for other in nodes if one != other}
    over_the_province = {
        pair
        for agency in (POLICE, NORTH, SOUTH)
        for pair in ((agency, PROCURATORATE), (PROCURATORATE, agency))
    }
    assert {(one, other) for kind, one, other in may if kind == RESTORE} == others - over_the_province
    assert {(one, other) for kind, one, other in may if kind == KEYS} == {
        pair for pair in others if PROVINCE in pair
    }
    assert may_send_note(directory, "test", POLICE, PROVINCE) is None


def test_c23_agencies_behind_one_bridge_are_neighbours(tmp_path: Path) -> None:
    """The bridge remembers nothing for long, so they ask each other."""
    with Network(tmp_path / "lab", one_for_all()) as network:
        directory = network.nodes[PROVINCE].opened.trust.directory
        assert may_send_note(directory, RESTORE, POLICE, COURT)
        assert not may_send_note(directory, KEYS, POLICE, COURT)


def bring(province: Province, kind: str, to: str) -> None:
    """The police's mailbox brings a note of theirs, well signed."""
    now = province.network.clock.now()
    note = Note(kind, note_id_of(kind, POLICE, to, now, 1, b"words"), POLICE, to, now, b"words")
    data = sign_note(note, province.police.link_key)
    item = WaybillItem(ItemKind.NOTE, sha256_hex(data), len(data), note.key)
    province.police.put(province.police.batch([(item, data)]))
    province.run()


@pytest.mark.parametrize("kind", [RESTORE, LOG, KEYS])
def test_c23_nobody_in_between_passes_on_what_two_nodes_have_not_to_tell_each_other(
    province: Province, kind: str
) -> None:
    bring(province, kind, PROCURATORATE)
    assert province.arrivals() == [("quarantined", "no-authority")]
    assert len(province.events("security")) == 1
    assert rows(province.network, PROVINCE, "SELECT count(*) FROM outgoing WHERE kind = 'note'") == [(0,)]
    assert rows(province.network, PROVINCE, "SELECT count(*) FROM note WHERE from_node <> to_node") == [(0,)]


@pytest.mark.parametrize("to", [PROVINCE, PROCURATORATE])
def test_a_note_of_a_kind_without_rule_is_held_and_not_passed_on(province: Province, to: str) -> None:
    bring(province, "test", to)
    assert province.arrivals() == [("held", "unknown-note-kind")]
    assert province.events("security") == []
    assert rows(province.network, PROVINCE, "SELECT count(*) FROM outgoing WHERE kind = 'note'") == [(0,)]


def test_c23_a_question_of_a_restored_neighbour_is_answered_to_it_alone(province: Province) -> None:
    """Well signed by the police, in the mailbox of the procuratorate: nobody's question."""
    now = province.network.clock.now()
    said = encode_restoring(Ask("a" * 32, now))
    note = Note(RESTORE, note_id_of(RESTORE, POLICE, PROVINCE, now, 1, said), POLICE, PROVINCE, now, said)
    data = sign_note(note, province.police.link_key)
    item = WaybillItem(ItemKind.NOTE, sha256_hex(data), len(data), note.key)
    province.procuratorate.put(province.procuratorate.batch([(item, data)]))
    province.run()
    assert province.arrivals() == [("quarantined", "note-by-a-wrong-road")]
    assert province.events("restore-asked") == []
    province.police.put(province.police.batch([(item, data)]))
    province.run()
    (asked,) = province.events("restore-asked")
    assert POLICE in str(asked["detail"])
    assert province.police.items(ItemKind.NOTE)
    assert province.procuratorate.items(ItemKind.NOTE) == []
