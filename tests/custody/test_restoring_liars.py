"""C23: what neighbours that lie can and cannot do to a node that was restored, and by saying they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.lab.joints import Joint
from cli.lab.plan import LabPlan, default_plan
from exchanged import forks, restore_portions
from exchanged.acts.values import Act
from exchanged.ledger import Connection, Transaction, answering, batches, restoring
from exchanged.ledger.answering import Entry, Stage
from exchanged.restore_answers import give_again
from packet_spec.identity import PacketKey, sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.note import Note, note_id_of, open_note, sign_note
from packet_spec.note_rules import RESTORE
from packet_spec.restoring import (
    Ask,
    KnownPacket,
    Numbers,
    Page,
    RestoreDocument,
    Stream,
    Want,
    decode_restoring,
    encode_restoring,
)
from packet_spec.seal import encode_seal
from packet_spec.waybill_model import WaybillItem
from tests.support.acting import act, outcomes
from tests.support.bridging import one_for_all, rows
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node
from tests.support.restoring import World, check_books
from tests.support.traffic import drop_packet

LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)


def forget(network: Network, code: str) -> None:
    """The node's ledger counts as restored from now on."""
    now = network.clock.now()
    ledger = network.nodes[code].opened.ledger
    ledger.write(lambda tx: restoring.begin(tx, now - timedelta(hours=1), ()))
    network.nodes[code].close()
    network.nodes[code].open()


def tell(peer: Peer, said: RestoreDocument, to: str = PROVINCE) -> None:
    """A note of that agency's node, well signed, in its mailbox."""
    now, data = peer.network.clock.now(), encode_restoring(said)
    note = Note(
        RESTORE, note_id_of(RESTORE, peer.agency, to, now, peer.number, data), peer.agency, to, now, data
    )
    document = sign_note(note, peer.link_key)
    item = WaybillItem(ItemKind.NOTE, sha256_hex(document), len(document), note.key)
    peer.put(peer.batch([(item, document)]))


@pytest.fixture
def restored(province: Province) -> Iterator[Province]:
    """The province was restored and asks its neighbours, who have not answered yet."""
    province.police.greet()
    province.procuratorate.greet()
    province.run()
    forget(province.network, PROVINCE)
    province.run()
    assert restoring.is_going_on(node(province).opened.ledger.read())
    return province


def answer(province: Province, **changes: object) -> Page:
    page = Page(node(province).opened.incarnation, last=True, final=True, sure=True)
    return replace(page, **changes)  # type: ignore[arg-type]


def skip_others(province: Province) -> None:
    def skip(tx: object) -> None:
        for peer in restoring.peers(node(province).opened.ledger.read()):
            if peer.node != POLICE:
                restoring.set_peer(tx, peer.node, peer.link, restoring.PeerState.SKIPPED)  # type: ignore[arg-type]

    node(province).opened.ledger.write(skip)


def test_c23_a_neighbour_cannot_use_up_the_numbers_and_the_time_of_a_restored_node(
    restored: Province,
) -> None:
    tell(restored.police, answer(restored, numbers=Numbers(2**63 - 1, 2**63 - 1, LAST)))
    skip_others(restored)
    restored.run()
    assert not restoring.is_going_on(node(restored).opened.ledger.read())
    restored.police.send(restored.police.seal(restored.request(seed=1)))
    restored.run()
    (accepted,) = [one for one in restored.receipts(restored.police) if one.kind is ReceiptKind.ACCEPTED]
    assert accepted.issued_at <= restored.network.clock.now()


def test_c23_a_neighbour_cannot_fill_the_ledger_of_a_restored_node_with_lost_batches(
    restored: Province,
) -> None:
    police = restored.police
    link = node(restored).opened.links.name_of(POLICE)
    tell(police, answer(restored, stream=Stream(police.incarnation, 2**40, (1,))))
    restored.run()
    assert [state for state, _ in restored.arrivals()] == ["quarantined"]
    tell(police, answer(restored, stream=Stream(police.incarnation, 2**40, ())))
    restored.run()
    connection = node(restored).opened.ledger.read()
    assert connection.execute("SELECT count(*) FROM batch_in WHERE link = ?", (link,)).fetchone()[0] < 10
    told = batches.acknowledgement(connection, link, POLICE)
    assert told is not None
    assert told.through == 2**40


def test_c23_what_was_lost_in_front_of_and_behind_an_open_batch_counts_as_disposed_of(
    restored: Province,
) -> None:
    police = restored.police
    link = node(restored).opened.links.name_of(POLICE)
    police.number = 9
    tell(police, answer(restored, stream=Stream(police.incarnation, 9, (5, 8))))
    restored.run()
    connection = node(restored).opened.ledger.read()

    def through() -> int:
        told = batches.acknowledgement(connection, link, POLICE)
        assert told is not None
        return told.through

    assert through() == 4
    for number, reached in ((5, 7), (8, 10)):
        police.put(police.batch([], number=number), number=number)
        restored.run()
        assert through() == reached
    assert not forks.marks(connection, link)


@pytest.fixture
def behind_one_bridge(tmp_path: Path) -> Iterator[World]:
    with Network(tmp_path / "lab", one_for_all()) as network:
        network.run()
        yield World(network, 1)


def drop(world: World, reference: str, sender: str, receiver: str) -> None:
    path = drop_packet(
        world.network,
        seed=len(world.dropped) + 1,
        sender=sender,
        receiver=receiver,
        sender_ref=reference,
        business_type="info.share",
    )
    world.dropped[reference] = (sender, path)


def pages_to(world: World, code: str) -> list[Page]:
    """Every page of an answer that came to that node."""
    found = rows(world.network, code, "SELECT document FROM note WHERE kind = 'restore'")
    notes = [open_note(document, world.network.nodes[code].opened.trust.key)[0] for (document,) in found]
    said = [decode_restoring(note.payload) for note in notes if note.to_node == code]
    return [each for each in said if isinstance(each, Page)]


def test_c23_behind_a_bridge_nobody_hears_or_waits_for_what_is_about_others(
    behind_one_bridge: World, tmp_path: Path
) -> None:
    world = behind_one_bridge
    saved = world.snapshot(POLICE, tmp_path / "backup")
    drop(world, "R-1", POLICE, PROCURATORATE)
    drop(world, "R-2", COURT, POLICE)
    drop(world, "R-3", COURT, PROCURATORATE)
    world.drain()
    world.restore(POLICE, saved)
    world.network.nodes[POLICE].open()
    world.drain()
    told = {packet.sender_ref for page in pages_to(world, POLICE) for packet in page.packets}
    assert told == {"R-1", "R-2"}
    assert not restoring.is_going_on(world.network.nodes[POLICE].opened.ledger.read())
    check_books(world)


def told_of(sealed: Sealed, **changes: object) -> KnownPacket:
    """What the court says of somebody else's packet: that it has it from here."""
    seal = sealed.seal
    found = KnownPacket(
        seal.key, seal.attempt, seal.business_type, seal.sender_ref, COURT, (), seal.priority, None,
        seal.sealed_at, seal.incarnation, seal.sequence, "a" * 64, "b" * 64, "", "", "",
        given=False, offered=True, has_bytes=False, destinations=((COURT, "delivered"),),
    )  # fmt: skip
    return replace(found, **changes)  # type: ignore[arg-type]


def packet_rows(province: Province, sealed: Sealed) -> list[tuple[object, ...]]:
    found = (
        node(province)
        .opened.ledger.read()
        .execute(
            "SELECT attempt, content_digest, spool IS NULL, recipient, destination.state FROM packet"
            " JOIN destination ON destination.packet = packet.id WHERE packet_id = ?",
            (sealed.key.packet_id,),
        )
    )
    return [tuple(row) for row in found]


@pytest.mark.parametrize("is_over", [False, True])
def test_c23_nobodys_word_takes_the_place_of_a_packet_that_is_here(
    province: Province, *, is_over: bool
) -> None:
    court = Peer(province.network, COURT)
    for peer in (province.police, province.procuratorate, court):
        peer.greet()
    sealed = province.police.seal(province.request(seed=1))
    province.police.send(sealed)
    province.run()
    forget(province.network, PROVINCE)
    province.run()
    if is_over:
        for peer in (province.police, province.procuratorate, court):
            tell(peer, answer(province))
        province.run()
        assert not restoring.is_going_on(node(province).opened.ledger.read())
    before = packet_rows(province, sealed)
    assert [row[:4] for row in before] == [(1, sealed.seal.content_digest, 0, PROCURATORATE)]
    tell(court, answer(province, packets=(told_of(sealed, attempt=2),)))
    province.run()
    assert packet_rows(province, sealed) == before


def test_c23_what_a_recipient_tells_of_a_packet_does_not_outweigh_its_seal(restored: Province) -> None:
    """Neither is the packet refused for other content, nor its sender held as a fork for its number."""
    court, police = Peer(restored.network, COURT), restored.police
    first, second = (police.seal(restored.request(seed=seed)) for seed in (1, 2))
    other = replace(first.key, packet_id=second.key.packet_id[:-4] + "0000")
    lies = (told_of(first), told_of(second, key=other))
    tell(court, answer(restored, packets=lies))
    for peer in (police, restored.procuratorate):
        tell(peer, answer(restored))
    restored.run()
    assert not restoring.is_going_on(node(restored).opened.ledger.read())
    police.send(first, second)
    restored.run()
    assert {(one.kind, one.key) for one in restored.receipts(police)} == {
        (ReceiptKind.ACCEPTED, first.key),
        (ReceiptKind.ACCEPTED, second.key),
    }
    assert [row[1:4] for row in packet_rows(restored, first)] == [
        (first.seal.content_digest, 0, PROCURATORATE)
    ]
    link = node(restored).opened.links.name_of(POLICE)
    assert not forks.marks(node(restored).opened.ledger.read(), link)


def seal_of(sealed: Sealed) -> str:
    return sha256_hex(encode_seal(sealed.seal))


@pytest.fixture
def with_seals(province: Province) -> Province:
    """The same, and the ledger keeps a seal of the police's, of a packet that the court received."""
    province.police.greet()
    province.procuratorate.greet()
    province.police.send(to_the_court(province, seed=90))
    province.run()
    forget(province.network, PROVINCE)
    province.run()
    assert restoring.is_going_on(node(province).opened.ledger.read())
    return province


def to_the_court(province: Province, seed: int) -> Sealed:
    return province.police.seal(replace(province.request("info.share", seed=seed), receiver=COURT))


def kept_seal(province: Province) -> str:
    ((digest,),) = node(province).opened.ledger.read().execute("SELECT digest FROM seal").fetchall()
    return str(digest)


def test_c23_a_seal_of_another_packet_supports_nothing_that_a_recipient_tells(with_seals: Province) -> None:
    """The packet was refused as one whose id was used again, and the lie stayed for good."""
    province, police = with_seals, with_seals.police
    court, sealed = Peer(province.network, COURT), police.seal(province.request(seed=1))
    tell(court, answer(province, packets=(told_of(sealed, seal_digest=kept_seal(province)),)))
    for peer in (police, province.procuratorate):
        tell(peer, answer(province))
    province.run()
    assert packet_rows(province, sealed) == []
    police.send(sealed)
    province.run()
    said = {one.kind for one in province.receipts(police) if one.key == sealed.key}
    assert said == {ReceiptKind.ACCEPTED}


def test_c23_a_higher_attempt_that_a_recipient_tells_of_keeps_no_sender_from_giving_its_own(
    with_seals: Province,
) -> None:
    """Its bytes were never asked for again, so that they were in nobody's custody."""
    province, police = with_seals, with_seals.police
    court, sealed = Peer(province.network, COURT), police.seal(province.request(seed=1))
    tell(court, answer(province, last=False, packets=(told_of(sealed, attempt=99),)))
    province.run()
    assert [row[0] for row in packet_rows(province, sealed)] == [99]
    about = told_of(
        sealed, receiver=PROCURATORATE, given=True, has_bytes=True, seal_digest=seal_of(sealed),
        content_digest=sealed.seal.content_digest, destinations=((PROCURATORATE, "handed-over"),),
    )  # fmt: skip
    tell(police, answer(province, packets=(about,)))
    province.run()
    assert [key for key, _ in restoring.wanted(node(province).opened.ledger.read())] == [sealed.key]


def test_c23_of_its_own_packets_a_node_hears_from_nobody_who_only_receives(
    behind_one_bridge: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A higher attempt took the place of its packet for ever, and no true receipt fitted any more."""
    world, network = behind_one_bridge, behind_one_bridge.network
    saved = world.snapshot(POLICE, tmp_path / "backup")
    drop(world, "R-1", POLICE, PROCURATORATE)
    world.drain()
    before = rows(network, POLICE, "SELECT attempt, content_digest FROM packet")
    honest, liar = restore_portions._known_packet, network.nodes[PROCURATORATE]
    told: list[KnownPacket] = []

    def tell_lies(connection: Connection, *arguments: Any, **options: Any) -> KnownPacket:
        found = honest(connection, *arguments, **options)
        if connection is not liar.opened.ledger.read():
            return found
        told.append(replace(found, attempt=99, content_digest="a" * 64))
        return told[-1]

    monkeypatch.setattr(restore_portions, "_known_packet", tell_lies)
    world.restore(POLICE, saved)
    network.nodes[POLICE].open()
    world.drain()
    assert [found.given for found in told] == [False]
    assert rows(network, POLICE, "SELECT attempt, content_digest FROM packet") == before
    check_books(world)


@pytest.mark.parametrize("deed", [Act.CANCEL, Act.HOLD])
def test_c23_what_was_taken_back_or_is_on_hold_leaves_for_nobody_who_asks_for_it(
    tmp_path: Path, deed: Act
) -> None:
    """Whoever says that he was restored gets nothing that was never on its way to him."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        police = network.nodes[POLICE]
        link = police.opened.links.name_of(PROVINCE)
        act(police, Act.PAUSE, link)
        drop_packet(network, seed=1)
        network.run()
        ((packet_id,),) = rows(network, POLICE, "SELECT packet_id FROM packet")
        assert outcomes(act(police, deed, packet_id))
        act(police, Act.RESUME, link)
        want = Want("a" * 32, (PacketKey(POLICE, packet_id),))
        assert police.opened.ledger.write(lambda tx: give_again(tx, PROVINCE, link, want)) == 0
        network.run()
        assert rows(network, PROVINCE, "SELECT * FROM packet") == []
        assert rows(network, POLICE, "SELECT * FROM batch_item WHERE kind = 'packet'") == []


def receipts_of_others(province: Province, count: int) -> None:
    """As the province recorded them about packets between two agencies elsewhere, now."""

    def record(tx: Transaction) -> None:
        for number in range(count):
            name = f"{tx.stamp} {number}"
            tx.execute(
                "INSERT INTO receipt (sender, packet_id, kind, recipient, attempt, issued_by, issued_at,"
                " number, content_digest, seal_digest, recorded_at, own, document, digest)"
                " VALUES (?, ?, 'accepted', '', 1, ?, ?, ?, '', '', ?, 1, x'', ?)",
                COURT, name, PROVINCE, tx.stamp, number + 1, tx.stamp, name,
            )  # fmt: skip

    node(province).opened.ledger.write(record)


def test_c23_who_asks_does_not_say_how_much_is_read_of_what_others_exchanged(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By one note it had every receipt read that was ever recorded; only the restore window is."""
    police, clock = province.police, province.network.clock
    police.send(police.seal(province.request(seed=1)))
    province.run()
    receipts_of_others(province, 50)
    clock.advance(timedelta(days=40).total_seconds())
    receipts_of_others(province, 3)
    for peer in (police, province.procuratorate):
        peer.greet()
    province.run()
    taken: list[PacketKey] = []
    recent = answering.recent

    def listened(*arguments: Any) -> tuple[Entry, ...]:
        found = recent(*arguments)
        taken.extend(entry.key for entry in found)
        return found

    monkeypatch.setattr(answering, "recent", listened)
    tell(police, Ask("a" * 32, datetime(1970, 1, 1, tzinfo=UTC)))
    province.run()
    (answered,) = province.events("restore-answered")
    assert len(taken) == 3
    # What concerns it is told, however old it is.
    said = json.loads(str(answered["detail"]))
    assert (said["packets"], said["receipts"]) == (1, 1)


def test_c23_receipts_are_read_by_the_time_of_their_recording(province: Province) -> None:
    connection = node(province).opened.ledger.read()
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    place = answering.first_place(Stage.RECEIPTS, province.network.clock.now())
    assert not answering.recent(connection, place, 9)
    connection.set_trace_callback(None)
    plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert plan == ["SEARCH receipt USING INDEX receipt_recorded (recorded_at>?)"]


def one_between_two() -> LabPlan:
    """Police and court each exchange with the procuratorate, whose packets the police admits."""
    listed = {one.code: replace(one, parent="") for one in default_plan().agencies}
    middle, *ends = (listed[code] for code in (PROCURATORATE, POLICE, COURT))
    return LabPlan(None, (middle, *ends), joints=tuple(Joint(middle.code, end.code) for end in ends))


def test_c23_without_a_province_nobody_hears_of_what_two_others_exchanged(tmp_path: Path) -> None:
    """By saying that it was restored it had the receipts about every packet of its neighbour."""
    with Network(tmp_path / "lab", one_between_two()) as network:
        network.run()
        world = World(network, 1)
        saved = world.snapshot(COURT, tmp_path / "backup")
        drop(world, "R-1", PROCURATORATE, POLICE)
        drop(world, "R-2", COURT, PROCURATORATE)
        world.drain()
        world.restore(COURT, saved)
        network.nodes[COURT].open()
        world.drain()
        told = "SELECT DISTINCT sender, kind, issued_by FROM receipt ORDER BY kind"
        assert rows(network, COURT, told) == [
            (COURT, "accepted", PROCURATORATE),
            (COURT, "delivered", PROCURATORATE),
        ]
        assert not restoring.is_going_on(network.nodes[COURT].opened.ledger.read())
