"""What operators do: C14, C15, C18, C21 and C22 hold, nothing is lost or doubled, and it is recorded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exchanged.acts.rules import Standpoint, allowed
from exchanged.acts.values import Act, Filter, Target
from exchanged.applying import let_go_on
from exchanged.ledger import arrivals, batches, packets
from exchanged.ledger.questions import find_keys
from exchanged.ledger.verify import verify_ledger
from exchanged.states import Event
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.model import ItemKind, ReceiptKind
from tests.custody.test_front_ends import drop, inbox, receipts, status
from tests.support.acting import LI, act, desk, outcomes, recorded, request
from tests.support.crash import SimulatedCrash
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """Police, procuratorate and the province, shared: every test drops packets of its own."""
    with Network(tmp_path_factory.mktemp("acts") / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    """The police, whose neighbour never reads anything."""
    with Network(tmp_path_factory.mktemp("acts") / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        made.only(POLICE)
        yield made


def link_of(node: SimulatedNode, peer: str) -> str:
    """The node's link to a neighbour."""
    return node.opened.links.name_of(peer)


def packet_of(network: Network, name: str) -> str:
    """The id that a drop got."""
    return str(status(network, name)["packetId"])


def state(node: SimulatedNode, packet_id: str) -> str:
    """The state of the packet's one destination at a node; empty where it is not known."""
    row = (
        node.opened.ledger.read()
        .execute("SELECT destination.state FROM destination JOIN packet ON packet.id = destination.packet"
                 " WHERE packet_id = ?", (packet_id,))
        .fetchone()
    )  # fmt: skip
    return "" if row is None else str(row["state"])


def key_of(node: SimulatedNode, packet_id: str) -> PacketKey:
    return find_keys(node.opened.ledger.read(), packet_id)[0]


def restart(node: SimulatedNode) -> None:
    node.die()
    node.open()


def drop_one(network: Network, name: str, rounds: int = 2, **changes: str) -> str:
    """Drop a packet and let it be sealed. Its id."""
    drop(network, name=name, **changes)
    for _ in range(rounds):
        network.round()
    return packet_of(network, name)


def test_c18_a_packet_is_cancelled_only_where_it_provably_has_not_left(network: Network) -> None:
    police, province = network.nodes[POLICE], network.nodes[PROVINCE]
    link = link_of(police, PROVINCE)
    assert outcomes(act(police, Act.PAUSE, link)) == ["paused"]
    packet_id = drop_one(network, "taken back")
    assert outcomes(act(police, Act.CANCEL, packet_id)) == ["cancelled"]
    assert outcomes(act(police, Act.CANCEL, packet_id)) == ["ended"]
    assert outcomes(act(police, Act.RESUME, link)) == ["resumed"]
    network.run()
    told = status(network, "taken back")
    assert (told["state"], told["final"]) == ("cancelled", True)
    found = packets.find(police.opened.ledger.read(), key_of(police, packet_id))
    assert found is not None
    assert found.bytes_at is None
    assert state(province, packet_id) == ""


def test_c18_what_stood_in_a_batch_may_have_left(alone: Network) -> None:
    police = alone.nodes[POLICE]
    packet_id = drop_one(alone, "offered")
    answer = act(police, Act.CANCEL, packet_id)
    assert outcomes(answer) == ["has-left"]
    assert "offered since" in answer.not_done[0].fields["state"]
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["in-batch"]
    # Given back by the neighbour it is queued again, and still may have left.
    batch = batches.open_batches(police.opened.ledger.read(), link_of(police, PROVINCE))[-1]
    police.opened.ledger.write(lambda tx: batches.give_back(tx, batch.id))
    police.opened.ledger.write(
        lambda tx: tx.execute("UPDATE destination SET state = ? WHERE state = 'offered'", "queued")
    )
    assert outcomes(act(police, Act.CANCEL, packet_id)) == ["may-have-left"]
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["on-hold"]
    # A receipt that is still on its way overtakes the hold: nothing may stay that cannot be released, and
    # nothing may go that somebody else behind the same link has to wait for.
    ledger = police.opened.ledger
    packet = packets.find(ledger.read(), key_of(police, packet_id))
    assert packet is not None
    held = "SELECT held FROM outgoing WHERE kind = 'packet' AND reference = ?"
    ledger.write(lambda tx: let_go_on(tx, packet))
    assert ledger.read().execute(held, (packet.id,)).fetchone()[0] == 1
    accept = "UPDATE destination SET state = 'accepted' WHERE packet = ?"
    ledger.write(lambda tx: tx.execute(accept, packet.id))
    ledger.write(lambda tx: let_go_on(tx, packet))
    assert ledger.read().execute(held, (packet.id,)).fetchone()[0] == 0


def test_a_packet_on_hold_waits_at_every_node_also_after_a_restart(network: Network) -> None:
    """C14, C19: held where it is queued and where it arrived; released it goes on, once."""
    police, procuratorate = network.nodes[POLICE], network.nodes[PROCURATORATE]
    before = len(inbox(network))
    act(police, Act.PAUSE, link_of(police, PROVINCE))
    packet_id = drop_one(network, "kept")
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["on-hold"]
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["already-held"]
    act(police, Act.RESUME, link_of(police, PROVINCE))
    restart(police)
    network.run()
    assert (status(network, "kept")["state"], state(police, packet_id)) == ("on-hold", "on-hold")
    # Arrived at the receiver, and held there before it is staged.
    procuratorate.stations = [each for each in procuratorate.stations if each.name != "delivery"]
    assert outcomes(act(police, Act.RELEASE, packet_id)) == ["to-link"]
    network.run()
    assert state(procuratorate, packet_id) == "arrived"
    assert outcomes(act(procuratorate, Act.HOLD, packet_id)) == ["on-hold"]
    restart(procuratorate)
    network.run()
    assert len(inbox(network)) == before
    assert outcomes(act(procuratorate, Act.RELEASE, packet_id)) == ["to-inbox"]
    network.run()
    assert len(inbox(network)) == before + 1
    assert receipts(network, packet_id) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]


def test_a_paused_link_neither_lands_nor_offers(network: Network) -> None:
    province = network.nodes[PROVINCE]
    link = link_of(province, POLICE)
    act(province, Act.PAUSE, link)
    restart(province)
    packet_id = drop_one(network, "waits", rounds=4)
    assert (state(province, packet_id), province.errors) == ("", [])
    assert outcomes(act(province, Act.PAUSE, link)) == ["paused-already"]
    act(province, Act.RESUME, link)
    network.run()
    assert status(network, "waits")["state"] == "delivered"
    assert outcomes(act(province, Act.RESUME, link)) == ["not-paused"]
    with pytest.raises(ExchangeError, match="no such link"):
        act(province, Act.PAUSE, "nowhere")


class AfterCommit:
    """Dies between the commit of an act and its answer, once it is armed."""

    armed = False

    def point(self, name: str) -> None:
        if self.armed and name == "ledger:after-commit":
            raise SimulatedCrash(name)


def test_c22_a_person_answers_a_packet_once_whatever_dies_and_it_is_told_again(network: Network) -> None:
    police, province, procuratorate = (network.nodes[code] for code in (POLICE, PROVINCE, PROCURATORATE))
    procuratorate.crash = crash = AfterCommit()
    restart(procuratorate)
    for name in ("good", "wrong"):
        drop(network, name=name)
        network.round()
    network.run()
    good, wrong = packet_of(network, "good"), packet_of(network, "wrong")
    # The daemon dies just after the commit: the same request asked again is answered, and not done again.
    asked, acts = request(Act.SIGN, good, by="收案人员甲"), len(recorded(procuratorate))
    crash.armed = True
    with pytest.raises(SimulatedCrash):
        desk(procuratorate).handle(asked, LI)
    crash.armed = False
    restart(procuratorate)
    assert outcomes(desk(procuratorate).handle(asked, LI)) == ["signed"]
    assert [key for key, _ in recorded(procuratorate)[acts:]] == ["", good]
    assert outcomes(act(procuratorate, Act.SIGN, good, by="again")) == ["answered"]
    refused = act(procuratorate, Act.SIGN, wrong, by="B", refuses=True, findings=("不属本单位管辖",))
    assert outcomes(refused) == ["refused"]
    assert outcomes(act(police, Act.SIGN, good, by="A")) == ["no-recipient"]
    assert outcomes(act(province, Act.SIGN, good, by="A")) == ["no-recipient"]
    # Receipts sent again by whoever issued them change nothing for whoever has them.
    assert outcomes(act(province, Act.RESEND, good)) == ["resent"]
    rows = province.opened.ledger.read().execute("SELECT DISTINCT link FROM outgoing WHERE kind = 'receipt'")
    assert len(rows.fetchall()) == 2
    network.run()
    told = [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED, ReceiptKind.SIGNED]
    assert receipts(network, good) == told
    assert status(network, "wrong")["state"] == "refused"
    assert "不属本单位管辖" in str(status(network, "wrong")["finding"])
    assert outcomes(act(police, Act.RESEND, good)) == ["none-issued"]
    # C18: what has left is not cancelled, not by its sender, and by nobody else at any time.
    assert outcomes(act(police, Act.CANCEL, good)) == ["ended"]
    assert outcomes(act(province, Act.CANCEL, good)) == ["not-own"]
    assert outcomes(act(procuratorate, Act.CANCEL, good)) == ["not-own"]


def test_c21_the_receivers_node_gives_up_for_its_own_agency(network: Network) -> None:
    """In quarantine at the receiver: the sender is told by the receiver, and nothing enters the inbox."""
    police, province, procuratorate = (network.nodes[code] for code in (POLICE, PROVINCE, PROCURATORATE))
    before = len(inbox(network))
    procuratorate.stations = [each for each in procuratorate.stations if each.name != "judge"]
    drop(network, name="given up")
    network.run()
    packet_id = packet_of(network, "given up")
    ledger = procuratorate.opened.ledger
    for row in arrivals.of_packet(ledger.read(), key_of(police, packet_id)):
        if row.kind is ItemKind.PACKET:
            ledger.write(lambda tx, row=row: arrivals.keep(tx, row, Event.QUARANTINE, "crashed-three-times"))
    assert outcomes(act(procuratorate, Act.DISCARD, packet_id)) == ["discarded-told"]
    restart(procuratorate)
    network.run()
    assert status(network, "given up")["state"] == "undeliverable"
    assert [state(police, packet_id), state(province, packet_id)] == ["undeliverable"] * 2
    assert receipts(network, packet_id) == [ReceiptKind.ACCEPTED, ReceiptKind.UNDELIVERABLE]
    assert len(inbox(network)) == before
    verify_ledger(procuratorate.opened.ledger.read())


def test_c15_later_packets_of_a_case_wait_for_one_on_hold(alone: Network) -> None:
    police = alone.nodes[POLICE]
    act(police, Act.PAUSE, link_of(police, PROVINCE))
    one, two = drop_one(alone, "before"), drop_one(alone, "after")
    same_case = "UPDATE packet SET case_key = 'local:fictional' WHERE packet_id IN (?, ?)"
    police.opened.ledger.write(lambda tx: tx.execute(same_case, one, two))
    act(police, Act.HOLD, one)
    act(police, Act.RESUME, link_of(police, PROVINCE))
    alone.round()
    assert (state(police, one), state(police, two)) == ("on-hold", "queued")
    act(police, Act.RELEASE, one)
    alone.round()
    connection = police.opened.ledger.read()
    last = batches.open_batches(connection, link_of(police, PROVINCE))[-1]
    both = [packets.find(connection, key_of(police, each)) for each in (one, two)]
    assert [number for _, number in batches.batch_items(connection, last.id)][-2:] == [
        packet.id for packet in both if packet is not None
    ]


def test_many_are_done_as_they_were_seen_and_each_is_recorded(alone: Network) -> None:
    police = alone.nodes[POLICE]
    act(police, Act.PAUSE, link_of(police, PROVINCE))
    ids = [drop_one(alone, name) for name in ("one", "two", "three")]
    seen = act(police, Act.HOLD, filter=Filter(recipient=PROCURATORATE, state="queued"), preview=True)
    assert {entry.name.partition("/")[2] for entry in seen.done} >= set(ids)
    assert act(police, Act.HOLD, filter=Filter(recipient=COURT), preview=True).done == ()
    assert act(police, Act.HOLD, filter=Filter(limit=2), preview=True).more
    assert [state(police, each) for each in ids] == ["queued"] * 3
    act(police, Act.CANCEL, ids[1])
    wanted = [entry for entry in seen.done if entry.name.partition("/")[2] in ids]
    targets = tuple(Target(entry.token, entry.state, entry.since) for entry in wanted)
    assert sorted(outcomes(act(police, Act.HOLD, targets=targets))) == ["changed", "on-hold", "on-hold"]
    assert [state(police, each) for each in ids] == ["on-hold", "cancelled", "on-hold"]
    kept = recorded(police)[-3:]
    assert {detail["act"] for _, detail in kept} == {"queue-hold"}
    assert kept[0][1]["count"] == 2
    assert {key for key, _ in kept[1:]} == {ids[0], ids[2]}
    assert all(
        (detail["operator"], detail["account"], detail["login_uid"], detail["reason"])
        == ("li", "root", 1000, "a fictional reason")
        for _, detail in kept
    )
    verify_ledger(police.opened.ledger.read())
    # What is possible now is what the acts would say.
    here = Standpoint(police.opened.links.names())
    possible = allowed(police.opened.ledger.read(), key_of(police, ids[0]), here)
    assert [what for what, _ in possible] == [Act.CANCEL, Act.RELEASE]
