"""What operators do: C14, C15, C18, C21 and C22 hold, nothing is lost or doubled, and it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchanged.acts.rules import Standpoint, allowed
from exchanged.acts.values import Act, Filter, Target
from exchanged.ledger import batches, packets
from exchanged.ledger.verify import verify_ledger
from exchanged.states import DestinationState
from packet_spec.errors import ExchangeError
from packet_spec.model import ReceiptKind
from tests.custody.test_front_ends import drop, inbox, receipts, status
from tests.support.acting import LI, act, desk, outcomes, recorded, request
from tests.support.crash import SimulatedCrash
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan

LINK = "province"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """Police, procuratorate and the province."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        yield made


def link_of(node: SimulatedNode, peer: str) -> str:
    """The node's link to a neighbour."""
    return node.opened.links.name_of(peer)


def packet_of(network: Network, name: str) -> str:
    """The id that a drop got."""
    return str(status(network, name)["packetId"])


def states(node: SimulatedNode) -> list[str]:
    rows = node.opened.ledger.read().execute("SELECT state FROM destination ORDER BY packet, recipient")
    return [row["state"] for row in rows]


def pause(network: Network, node: SimulatedNode, peer: str) -> None:
    assert outcomes(act(node, Act.PAUSE, link_of(node, peer))) == ["paused"]


def test_c18_a_packet_is_cancelled_only_where_it_provably_has_not_left(network: Network) -> None:
    police, province = network.nodes[POLICE], network.nodes[PROVINCE]
    pause(network, police, PROVINCE)
    drop(network, name="first")
    network.run()
    packet_id = packet_of(network, "first")
    answer = act(police, Act.CANCEL, packet_id[:13])
    network.run()
    assert outcomes(answer) == ["cancelled"]
    assert status(network, "first")["state"] == "cancelled"
    assert status(network, "first")["final"] is True
    found = packets.find(police.opened.ledger.read(), answer_key(police, packet_id))
    assert found is not None
    assert found.bytes_at is None
    # Nothing of it is ever sent; the next one goes as if it had never been.
    assert outcomes(act(police, Act.RESUME, link_of(police, PROVINCE))) == ["resumed"]
    network.run()
    assert states(province) == []
    drop(network, name="second")
    network.run()
    packet_id = packet_of(network, "second")
    assert len(inbox(network)) == 1
    # Now it has left: refused at its sender, and everywhere else always.
    again = act(police, Act.CANCEL, packet_id)
    assert outcomes(again) == ["ended"]
    assert outcomes(act(province, Act.CANCEL, packet_id)) == ["not-own"]
    assert outcomes(act(network.nodes[PROCURATORATE], Act.CANCEL, packet_id)) == ["not-own"]


def answer_key(node: SimulatedNode, packet_id: str) -> Any:
    from exchanged.ledger.questions import find_keys

    return find_keys(node.opened.ledger.read(), packet_id)[0]


def test_c18_what_stood_in_a_batch_may_have_left(network: Network) -> None:
    police = network.nodes[POLICE]
    network.only(POLICE)
    drop(network, name="offered")
    network.run()
    packet_id = packet_of(network, "offered")
    answer = act(police, Act.CANCEL, packet_id)
    assert outcomes(answer) == ["has-left"]
    assert "offered since" in answer.not_done[0].fields["state"]
    # Given back by the neighbour it is queued again, and still may have left.
    connection = police.opened.ledger.read()
    link = link_of(police, PROVINCE)
    batch = batches.open_batches(connection, link)[0]
    police.opened.ledger.write(lambda tx: batches.give_back(tx, batch.id))
    police.opened.ledger.write(
        lambda tx: tx.execute("UPDATE destination SET state = ?", DestinationState.QUEUED.value)
    )
    assert outcomes(act(police, Act.CANCEL, packet_id)) == ["may-have-left"]
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["on-hold"]
    assert recorded(police)[-1][0] == packet_id


def test_a_packet_on_hold_waits_at_every_node_also_after_a_restart(network: Network) -> None:
    """C14, C19: held where it is queued and where it arrived; released it goes on, once."""
    police, procuratorate = network.nodes[POLICE], network.nodes[PROCURATORATE]
    pause(network, police, PROVINCE)
    drop(network, name="kept")
    network.run()
    packet_id = packet_of(network, "kept")
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["on-hold"]
    assert outcomes(act(police, Act.HOLD, packet_id)) == ["already-held"]
    act(police, Act.RESUME, link_of(police, PROVINCE))
    police.die()
    police.open()
    network.run()
    assert status(network, "kept")["state"] == "on-hold"
    assert states(police) == ["on-hold"]
    # Arrived at the receiver, and held there before it is staged.
    stations = {station.name: station for station in procuratorate.stations}
    procuratorate.stations = [station for name, station in stations.items() if name != "delivery"]
    assert outcomes(act(police, Act.RELEASE, packet_id)) == ["to-link"]
    network.run()
    assert states(procuratorate) == ["arrived"]
    assert outcomes(act(procuratorate, Act.HOLD, packet_id)) == ["on-hold"]
    procuratorate.die()
    procuratorate.open()
    network.run()
    assert inbox(network) == []
    assert outcomes(act(procuratorate, Act.RELEASE, packet_id)) == ["to-inbox"]
    network.run()
    assert len(inbox(network)) == 1
    assert receipts(network, packet_id) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]


def test_c15_later_packets_of_a_case_wait_for_one_on_hold(network: Network) -> None:
    police = network.nodes[POLICE]
    network.only(POLICE)
    pause(network, police, PROVINCE)
    for name in ("one", "two"):
        drop(network, name=name)
        network.round()
        network.round()
    same_case = "UPDATE packet SET case_key = 'local:fictional'"
    police.opened.ledger.write(lambda tx: tx.execute(same_case))
    act(police, Act.HOLD, packet_of(network, "one"))
    act(police, Act.RESUME, link_of(police, PROVINCE))
    network.round()
    assert states(police) == ["on-hold", "queued"]
    act(police, Act.RELEASE, packet_of(network, "one"))
    network.round()
    first = batches.batch_items(police.opened.ledger.read(), 1)
    assert [reference for _, reference in first] == [1, 2]


def test_a_paused_link_neither_lands_nor_offers(network: Network) -> None:
    province = network.nodes[PROVINCE]
    pause(network, province, POLICE)
    drop(network, name="waits")
    network.run()
    assert states(province) == []
    province.die()
    province.open()
    network.run()
    assert states(province) == []
    assert outcomes(act(province, Act.PAUSE, link_of(province, POLICE))) == ["paused-already"]
    act(province, Act.RESUME, link_of(province, POLICE))
    network.run()
    assert len(inbox(network)) == 1
    assert outcomes(act(province, Act.RESUME, link_of(province, POLICE))) == ["not-paused"]
    with pytest.raises(ExchangeError, match="no such link"):
        act(province, Act.PAUSE, "nowhere")


def test_c22_a_person_signs_for_a_packet_or_refuses_it_once(network: Network) -> None:
    procuratorate = network.nodes[PROCURATORATE]
    drop(network, name="good")
    drop(network, "prosecution.transfer", name="wrong")
    network.run()
    good, wrong = packet_of(network, "good"), packet_of(network, "wrong")
    assert outcomes(act(procuratorate, Act.SIGN, good, by="收案人员甲")) == ["signed"]
    refused = act(procuratorate, Act.SIGN, wrong, by="B", refuses=True, findings=("不属本单位管辖",))
    assert outcomes(refused) == ["refused"]
    assert outcomes(act(procuratorate, Act.SIGN, good, by="again")) == ["answered"]
    assert outcomes(act(network.nodes[POLICE], Act.SIGN, good, by="A")) == ["no-recipient"]
    assert outcomes(act(network.nodes[PROVINCE], Act.SIGN, good, by="A")) == ["no-recipient"]
    network.run()
    assert receipts(network, good)[-1] is ReceiptKind.SIGNED
    assert status(network, "wrong")["state"] == "refused"
    assert "不属本单位管辖" in str(status(network, "wrong")["finding"])
    act_row = recorded(procuratorate)[-1]
    assert act_row[0] == wrong
    assert act_row[1]["operator"] == "li"


def test_receipts_are_sent_again_and_change_nothing(network: Network) -> None:
    province = network.nodes[PROVINCE]
    drop(network, name="told")
    network.run()
    packet_id = packet_of(network, "told")
    before = receipts(network, packet_id)
    answer = act(province, Act.RESEND, packet_id)
    assert outcomes(answer) == ["resent"]
    # To the sender, and accepted to the receiver too.
    rows = province.opened.ledger.read().execute("SELECT DISTINCT link FROM outgoing WHERE kind = 'receipt'")
    assert len(rows.fetchall()) == 2
    network.run()
    assert receipts(network, packet_id) == before
    assert len(inbox(network)) == 1
    assert outcomes(act(network.nodes[POLICE], Act.RESEND, packet_id)) == ["none-issued"]


def test_a_request_is_done_once_though_the_daemon_died_before_it_answered(network: Network) -> None:
    """The same number asked again gets the same answer, and the chain shows one act."""

    class AfterCommit:
        armed = False

        def point(self, name: str) -> None:
            if self.armed and name == "ledger:after-commit":
                raise SimulatedCrash(name)

    procuratorate, crash = network.nodes[PROCURATORATE], AfterCommit()
    procuratorate.die()
    procuratorate.crash = crash
    procuratorate.open()
    drop(network, name="signed")
    network.run()
    packet_id = packet_of(network, "signed")
    asked = request(Act.SIGN, packet_id, by="A")
    crash.armed = True
    with pytest.raises(SimulatedCrash):
        desk(procuratorate).handle(asked, LI)
    procuratorate.die()
    crash.armed = False
    procuratorate.open()
    answer = desk(procuratorate).handle(asked, LI)
    assert outcomes(answer) == ["signed"]
    assert [key for key, _ in recorded(procuratorate)] == ["", packet_id]
    network.run()
    assert receipts(network, packet_id).count(ReceiptKind.SIGNED) == 1


def test_many_are_done_as_they_were_seen_and_each_is_recorded(network: Network) -> None:
    police = network.nodes[POLICE]
    pause(network, police, PROVINCE)
    network.only(POLICE)
    for name in ("one", "two", "three"):
        drop(network, name=name)
        network.clock.advance(1.0)
    network.round()
    network.round()
    seen = act(police, Act.HOLD, filter=Filter(recipient=PROCURATORATE), preview=True)
    assert outcomes(seen) == ["on-hold"] * 3
    assert act(police, Act.HOLD, filter=Filter(recipient=COURT), preview=True).done == ()
    assert act(police, Act.HOLD, filter=Filter(limit=2), preview=True).more
    assert states(police) == ["queued"] * 3
    act(police, Act.CANCEL, packet_of(network, "two"))
    targets = tuple(Target(entry.token, entry.state, entry.since) for entry in seen.done)
    done = act(police, Act.HOLD, targets=targets)
    assert sorted(outcomes(done)) == ["changed", "on-hold", "on-hold"]
    assert sorted(states(police)) == ["cancelled", "on-hold", "on-hold"]
    kept = recorded(police)[-3:]
    assert {detail["act"] for _, detail in kept} == {"queue-hold"}
    assert kept[0][1]["count"] == 2
    assert {key for key, _ in kept[1:]} == {packet_of(network, "one"), packet_of(network, "three")}
    assert all(
        (detail["operator"], detail["account"], detail["login_uid"], detail["reason"])
        == ("li", "root", 1000, "a fictional reason")
        for _, detail in kept
    )
    verify_ledger(police.opened.ledger.read())
    # What is possible now is what the acts would say.
    here = Standpoint(police.opened.links.names())
    key = answer_key(police, packet_of(network, "one"))
    assert [what for what, _ in allowed(police.opened.ledger.read(), key, here)] == [Act.CANCEL, Act.RELEASE]
