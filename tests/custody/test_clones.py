"""C15.

Two nodes under one name, and nodes that were set back, are held and named at the first contradiction.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged import forks
from exchanged.forks import Conflict
from exchanged.ledger import batches, spoken
from exchanged.ledger.questions_link import link_facts
from exchanged.link_health import HEARD_AT
from packet_spec.model import ItemKind
from packet_spec.waybill_model import Acknowledgement, ExceptionKind
from tests.support.clock import FakeRandomness
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, node
from tests.support.traffic import drop_packet

# Longer than what was written before a restore may seem to be younger.
A_QUARTER = 1000.0


@pytest.fixture
def network(tmp_path: Path):
    with Network(tmp_path, small_plan(POLICE, PROCURATORATE)) as running:
        running.run()
        yield running


def copy_of(network: Network, code: str, to: Path) -> SimulatedNode:
    """A second node with the identity of the first.

    Its whole data directory, the same mailbox and folders.
    """
    first = network.nodes[code]
    ledger = first.opened.ledger
    ledger.write(lambda tx: None)
    data = first.config.node.data_dir
    shutil.copytree(data, to, ignore=shutil.ignore_patterns("lock", "*.sock"))
    node = replace(first.config.node, data_dir=to)
    return SimulatedNode(code, replace(first.config, node=node), network.clock, FakeRandomness("clone"))


def marked(node: SimulatedNode) -> list[str]:
    """What is marked on each link."""
    parts = node.opened
    return [
        found.forked or ("set-back" if found.set_back else "")
        for name in sorted(parts.links.names())
        if (found := forks.marks(parts.ledger.read(), name)) is not None
    ]


def accused(node: SimulatedNode) -> list[str]:
    parts = node.opened
    return [
        link_facts(parts.ledger.read(), name).memory.get(forks.ACCUSED, "") for name in parts.links.names()
    ]


def mark_of(network: Network, peer: str) -> str:
    parts = network.nodes[PROVINCE].opened
    return forks.marks(parts.ledger.read(), parts.links.name_of(peer)).forked


def run_both(network: Network, clone: SimulatedNode, rounds: int = 25) -> None:
    """The original and its copy, turn about."""
    for number in range(rounds):
        for one in (clone, network.nodes[clone.code])[:: 1 if number % 2 else -1]:
            one.step()
        network.nodes[PROVINCE].step()
        network.nodes[PROCURATORATE if clone.code == POLICE else POLICE].step()
        network.clock.advance(1.0)


@pytest.mark.parametrize("code", [POLICE, PROCURATORATE])
def test_c15_a_cloned_node_and_its_copy_are_both_held_and_told(
    network: Network, tmp_path: Path, code: str
) -> None:
    """The sender of what flows, and its receiver, which sends nothing but acknowledgements and receipts."""
    clone = copy_of(network, code, tmp_path / "clone")
    clone.open()
    try:
        for seed in (1, 2):
            drop_packet(network, seed=seed)
            run_both(network, clone)
        assert mark_of(network, code) in set(Conflict)
        both = (clone, network.nodes[code])
        assert all(any((*marked(one), *accused(one))) for one in both), [
            (marked(o), accused(o)) for o in both
        ]
        # Nothing more of either is taken: the province's view of that link stands still.
        link = network.nodes[PROVINCE].opened.links.name_of(code)
        before = rows_of(network, link)
        drop_packet(network, seed=3)
        run_both(network, clone)
        assert rows_of(network, link) == before
    finally:
        clone.die()


def test_c15_two_copies_whose_acknowledgements_replace_each_other_unread_are_seen_soon(
    network: Network, tmp_path: Path
) -> None:
    """Nothing is sent; the neighbour reads what the second one put, and the next word is an hour away."""
    network.nodes[POLICE].close()
    network.nodes[POLICE].open()
    clone = copy_of(network, POLICE, tmp_path / "clone")
    network.nodes[POLICE].die()
    network.clock.advance(1)
    network.nodes[POLICE].open()
    network.clock.advance(1)
    clone.open()
    try:
        assert mark_of(network, POLICE) == ""
        for _ in range(30):
            for one in (network.nodes[POLICE], clone, network.nodes[PROVINCE]):
                one.step()
            network.clock.advance(5)
        assert mark_of(network, POLICE) in set(Conflict)
    finally:
        clone.die()


def test_c5_an_acknowledgement_is_said_twice_and_then_once_an_hour(network: Network) -> None:
    police = network.nodes[POLICE]
    path = network.mailbox(POLICE) / "up" / "ack.batch"
    said: list[bytes] = []
    for _ in range(360):
        police.step()
        if said[-1:] != [path.read_bytes()]:
            said.append(path.read_bytes())
        network.clock.advance(30)
    # Three hours: what lay there, its second time, and two for each hour.
    assert 7 <= len(said) <= 8


def rows_of(network: Network, link: str) -> list[tuple[object, ...]]:
    connection = network.nodes[PROVINCE].opened.ledger.read()
    found = connection.execute("SELECT number, incarnation, name FROM batch_in WHERE link = ?", (link,))
    return [tuple(row) for row in found]


def test_c23_a_node_on_an_older_copy_of_its_ledger_says_so_and_stops(
    network: Network, tmp_path: Path
) -> None:
    police = network.nodes[POLICE]
    police.close()
    data = police.config.node.data_dir
    shutil.copytree(data, tmp_path / "older")
    police.open()
    drop_packet(network, seed=1)
    network.run()
    police.die()
    shutil.rmtree(data)
    shutil.copytree(tmp_path / "older", data)
    police.open()
    for _ in range(10):
        network.round()
    assert marked(police) == ["set-back"]
    assert mark_of(network, POLICE)
    # Its next seal would bear a number that is used already.
    sealed = "SELECT count(*) FROM packet"
    before = police.opened.ledger.read().execute(sealed).fetchone()[0]
    drop_packet(network, seed=2)
    for _ in range(10):
        network.round()
    assert police.opened.ledger.read().execute(sealed).fetchone()[0] == before
    held = police.opened.ledger.read().execute("SELECT reason FROM \"drop\" WHERE state = 'held'")
    assert [tuple(row) for row in held] == [("node-set-back",)]


def test_c15_a_number_with_two_batches_is_a_fork_until_an_operator_decides(province: Province) -> None:
    first = province.police.seal(province.request(seed=1))
    province.police.send(first)
    province.run()
    assert len(province.procuratorate.items(ItemKind.PACKET)) == 1
    province.police.number = 0
    packet = province.police.seal(province.request(seed=2))
    path = province.police.send(packet)
    province.run()
    link = node(province).opened.links.name_of(POLICE)
    ledger = node(province).opened.ledger
    assert forks.marks(ledger.read(), link).forked == Conflict.NUMBER
    assert len(province.events("neighbour-forked")) == 1
    assert path.exists()
    acknowledged = province.police.acknowledgement()
    assert acknowledged is not None
    assert [(one.kind, one.detail) for one in acknowledged.exceptions] == [
        (ExceptionKind.HELD, "forked batch-number-used-twice")
    ]
    # Other links work on.
    assert forks.marks(ledger.read(), node(province).opened.links.name_of(PROCURATORATE)).forked == ""


def test_c15_two_heads_for_one_count_of_events_are_a_fork(province: Province) -> None:
    police, province_link = province.police, node(province).opened.links.name_of(POLICE)
    police.greet()
    province.run()
    told = answer_of(police)
    police.put(
        police.batch([], bare=True, acknowledgement=told(1), events=7, ledger_head="a" * 64), name="ack.batch"
    )
    province.run()
    police.put(
        police.batch([], bare=True, acknowledgement=told(2), events=7, ledger_head="a" * 64), name="ack.batch"
    )
    province.run()
    connection = node(province).opened.ledger.read()
    assert forks.marks(connection, province_link).forked == ""
    police.put(
        police.batch([], bare=True, acknowledgement=told(3), events=7, ledger_head="b" * 64), name="ack.batch"
    )
    province.run()
    assert forks.marks(connection, province_link).forked == Conflict.HEADS


def test_c15_a_ledger_with_fewer_events_than_before_was_set_back(province: Province) -> None:
    police, province_link = province.police, node(province).opened.links.name_of(POLICE)
    police.greet()
    province.run()
    told = answer_of(police)
    for counter, events, head in ((1, 7, "a"), (3, 20, "c"), (2, 9, "b")):
        data = police.batch(
            [], bare=True, acknowledgement=told(counter), events=events, ledger_head=head * 64
        )
        police.put(data, name="ack.batch")
        province.run()
    connection = node(province).opened.ledger.read()
    assert forks.marks(connection, province_link).forked == ""
    data = police.batch([], bare=True, acknowledgement=told(4), events=12, ledger_head="d" * 64)
    police.put(data, name="ack.batch")
    province.run()
    assert forks.marks(connection, province_link).forked == Conflict.BACK


def test_c15_an_earlier_incarnation_that_speaks_again_is_a_fork(province: Province) -> None:
    police, province_link = province.police, node(province).opened.links.name_of(POLICE)
    police.greet()
    province.run()
    police.put(police.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    province.run()
    connection = node(province).opened.ledger.read()
    assert forks.marks(connection, province_link).forked == ""
    province.network.clock.advance(A_QUARTER)
    police.greet()
    province.run()
    assert forks.marks(connection, province_link).forked == Conflict.EARLIER


def test_c5_a_word_that_is_put_back_into_the_mailbox_says_nothing(province: Province) -> None:
    """Whoever carries it has old ones: they announce no clone, and make no dead neighbour look alive."""
    police, link = province.police, node(province).opened.links.name_of(POLICE)
    connection = node(province).opened.ledger.read()
    first = police.batch([], bare=True, acknowledgement=Acknowledgement(PROVINCE, "x" * 32, 0, 1))
    police.put(first, name="ack.batch")
    province.run()
    police.put(police.batch([], bare=True, acknowledgement=Acknowledgement(PROVINCE, "x" * 32, 0, 2)),
               name="ack.batch")  # fmt: skip
    province.run()
    heard = batches.recall(connection, link, HEARD_AT)
    province.network.clock.advance(A_QUARTER)
    police.put(first, name="ack.batch")
    province.run()
    assert batches.recall(connection, link, HEARD_AT) == heard
    # After a restore of the neighbour it still tells nothing.
    police.put(police.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    province.run()
    heard = batches.recall(connection, link, HEARD_AT)
    province.network.clock.advance(A_QUARTER)
    police.put(first, name="ack.batch")
    province.run()
    assert forks.marks(connection, link).forked == ""
    assert batches.recall(connection, link, HEARD_AT) == heard


def test_c23_a_node_that_was_restored_twice_unseen_is_no_fork(province: Province) -> None:
    """Its first restore left a batch in the mailbox, under an incarnation that nobody met."""
    police, province_link = province.police, node(province).opened.links.name_of(POLICE)
    police.greet()
    province.run()
    left = police.batch([], incarnation="e" * 32)
    province.network.clock.advance(3600.0)
    police.put(police.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    police.put(left)
    province.run()
    police.put(police.batch([], number=1, incarnation="f" * 32), number=1)
    province.run()
    police.put(police.batch([], bare=True, incarnation="f" * 32), name="ack.batch")
    province.run()
    connection = node(province).opened.ledger.read()
    assert forks.marks(connection, province_link).forked == ""
    acknowledged = police.acknowledgement()
    assert acknowledged is not None
    assert (acknowledged.incarnation, acknowledged.through) == ("f" * 32, 1)
    # If the first one still runs, that shows.
    province.network.clock.advance(A_QUARTER)
    police.put(police.batch([], bare=True, incarnation="e" * 32), name="ack.batch")
    province.run()
    assert forks.marks(connection, province_link).forked == Conflict.EARLIER


def test_c15_more_new_incarnations_than_a_day_has_restores_are_a_fork(province: Province) -> None:
    """Each is kept for ever, and every look at a link asks for the newest."""
    police, province_link = province.police, node(province).opened.links.name_of(POLICE)
    connection = node(province).opened.ledger.read()

    def speak(number: int) -> str:
        province.network.clock.advance(1.0)
        police.put(police.batch([], bare=True, incarnation=f"{number:032x}"), name="ack.batch")
        province.run()
        return forks.marks(connection, province_link).forked

    many = forks.INCARNATIONS_A_DAY
    assert [speak(number) for number in range(many)] == [""] * many
    province.network.clock.advance(86_400.0)
    assert [speak(number) for number in range(many, 2 * many)] == [""] * many
    assert speak(2 * many) == Conflict.MANY
    # The operator finds that it is the node after all.
    ledger = node(province).opened.ledger
    ledger.write(lambda tx: spoken.accept(tx, province_link, f"{2 * many:032x}"))
    ledger.write(lambda tx: forks.clear(tx, province_link))
    assert speak(2 * many) == ""
    assert batches.current_incarnation(connection, province_link) == f"{2 * many:032x}"
    plan = connection.execute(
        "EXPLAIN QUERY PLAN SELECT incarnation FROM stream_in WHERE link = ? ORDER BY current DESC LIMIT 1",
        ("",),
    ).fetchall()
    assert [row[3] for row in plan] == ["SEARCH stream_in USING COVERING INDEX stream_in_current (link=?)"]


def answer_of(peer):
    """An acknowledgement of the province's stream with a given counter."""
    base = answer_or_empty(peer)
    return lambda counter: replace(base, counter=counter)


def answer_or_empty(peer):
    from packet_spec.waybill_model import Acknowledgement  # noqa: PLC0415

    return Acknowledgement(PROVINCE, peer.waybills()[-1].incarnation, 0, 0)
