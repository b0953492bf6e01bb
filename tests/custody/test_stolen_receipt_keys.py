"""Who stole the receipt key of a node that was disabled or revoked ends no packet with it (C21)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from exchanged.acts.values import Act, Outcome
from exchanged.concerning import TOO_EARLY, WRONG_ROAD
from exchanged.ledger import restoring
from packet_spec.identity import sha256_hex
from packet_spec.model import Directory, ItemKind, KeyUse, Receipt, ReceiptKind
from packet_spec.receipt import sign_receipt
from packet_spec.waybill_model import WaybillItem
from tests.custody.test_disabling import disabled, in_force, take
from tests.support.acting import act, outcomes
from tests.support.bridging import NORTH, one_for_all, send
from tests.support.listing import next_version, with_revoked
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, link_to, node, rows, seal_digest_of

DAY = timedelta(days=1)
Item = tuple[WaybillItem, bytes]


def now(province: Province) -> datetime:
    return province.network.clock.now()


def said(
    packet: Sealed, by: Peer, at: datetime, kind: ReceiptKind = ReceiptKind.DELIVERED, number: int = 1
) -> Item:
    receipt = Receipt(
        kind, packet.key, packet.seal.attempt, packet.seal.content_digest, seal_digest_of(packet),
        packet.seal.business_type, PROCURATORATE, by.agency, at, number,
    )  # fmt: skip
    data = sign_receipt(receipt, by.receipt_key)
    return WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), packet.key), data


def bring(carrier: Peer, *items: Item) -> None:
    carrier.put(carrier.batch([*items]))


def sent(province: Province) -> Sealed:
    packet = province.police.seal(province.request())
    province.police.send(packet)
    province.run()
    return packet


def state(province: Province) -> str:
    ((found,),) = rows(province, "SELECT state FROM destination")
    return str(found)


def kinds(province: Province) -> list[ReceiptKind]:
    return [receipt.kind for receipt in province.receipts(province.police)]


def enabled(province: Province) -> Directory:
    return disabled(in_force(province), PROCURATORATE, is_disabled=False)


def agency_disabled(directory: Directory) -> Directory:
    agencies = tuple(
        replace(each, disabled=each.disabled or each.code == PROCURATORATE) for each in directory.agencies
    )
    return next_version(replace(directory, agencies=agencies))


def land(province: Province, item: Item) -> None:
    """The receipt comes by its own road, and is not judged yet."""
    bring(province.procuratorate, item)
    link_to(province, PROCURATORATE).step()
    assert province.arrivals() == [("landed", "")]


def offer(province: Province, directory: Directory) -> None:
    take(province, directory)
    province.run()


# --- the three ways in which a packet was lost ------------------------------------------------------


@pytest.mark.parametrize("carrier", [POLICE, COURT])
@pytest.mark.parametrize("was_offered", [True, False], ids=["offered", "queued"])
def test_nobody_ends_by_another_account_what_waits_for_a_disabled_node(
    province: Province, carrier: str, was_offered: bool
) -> None:
    if was_offered:
        packet = sent(province)
        offer(province, disabled(in_force(province), PROCURATORATE))
    else:
        offer(province, disabled(in_force(province), PROCURATORATE))
        packet = sent(province)
    before = state(province)
    peer = province.police if carrier == POLICE else Peer(province.network, carrier)
    bring(peer, said(packet, province.procuratorate, now(province)))
    province.run()
    assert state(province) == before
    assert province.arrivals() == [("quarantined", WRONG_ROAD)]
    assert ReceiptKind.DELIVERED not in kinds(province)
    offer(province, enabled(province))
    assert province.procuratorate.items(ItemKind.PACKET) == [packet.data]
    assert state(province) == "offered"


def test_a_stolen_key_that_was_revoked_cannot_date_back(province: Province) -> None:
    province.network.clock.advance(86_400)
    revoked = now(province)
    offer(province, next_version(with_revoked(in_force(province), PROCURATORATE, KeyUse.RECEIPT, revoked)))
    packet = sent(province)
    bring(province.procuratorate, said(packet, province.procuratorate, revoked - timedelta(seconds=1)))
    province.run()
    assert province.arrivals() == [("held", "revoked-since")]
    assert (state(province), kinds(province)) == ("offered", [ReceiptKind.ACCEPTED])


def test_a_receipt_from_before_its_packet_is_set_aside(province: Province) -> None:
    province.network.clock.advance(10 * 86_400)
    packet = sent(province)
    bring(province.procuratorate, said(packet, province.procuratorate, packet.seal.sealed_at - 1.01 * DAY))
    province.run()
    assert province.arrivals() == [("quarantined", TOO_EARLY)]
    assert state(province) == "offered"
    # Clocks may differ by a day.
    bring(province.procuratorate, said(packet, province.procuratorate, packet.seal.sealed_at - DAY))
    province.run()
    assert state(province) == "delivered"


# --- honest receipts --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ReceiptKind.DELIVERED, ReceiptKind.REFUSED, ReceiptKind.UNDELIVERABLE])
@pytest.mark.parametrize("whole", ["node", "agency"])
def test_a_receipt_on_its_way_waits_while_its_issuer_is_disabled_and_then_counts(
    province: Province, kind: ReceiptKind, whole: str
) -> None:
    packet, before = sent(province), in_force(province)
    land(province, said(packet, province.procuratorate, now(province), kind))
    offer(province, disabled(before, PROCURATORATE) if whole == "node" else agency_disabled(before))
    assert province.arrivals() == [("held", "issuer-disabled")]
    assert kind not in kinds(province)
    offer(province, replace(before, version=in_force(province).version + 1))
    assert province.arrivals() == []
    assert kind in kinds(province)


@pytest.mark.parametrize("reason", ["issuer-disabled", "revoked-since"])
def test_an_operator_who_releases_such_a_receipt_lets_it_count(province: Province, reason: str) -> None:
    packet = sent(province)
    land(province, said(packet, province.procuratorate, now(province)))
    province.network.clock.advance(1)
    changed = {
        "issuer-disabled": disabled(in_force(province), PROCURATORATE),
        "revoked-since": next_version(
            with_revoked(in_force(province), PROCURATORATE, KeyUse.RECEIPT, now(province))
        ),
    }[reason]
    offer(province, changed)
    assert province.arrivals() == [("held", reason)]
    # A restart looks at it again, and vouches for nothing.
    node(province).close()
    node(province).open()
    province.run()
    assert province.arrivals() == [("held", reason)]
    assert state(province) == "offered"
    assert outcomes(act(node(province), Act.RELEASE, str(packet.key))) == [Outcome.TO_COUNT]
    province.run()
    assert (province.arrivals(), state(province)) == ([], "delivered")
    assert kinds(province) == [ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED]


def test_what_was_recorded_in_time_stays_good_and_may_come_again(province: Province) -> None:
    packet = sent(province)
    item = said(packet, province.procuratorate, now(province))
    bring(province.procuratorate, item)
    province.run()
    offer(province, disabled(in_force(province), PROCURATORATE))
    court = Peer(province.network, COURT)
    bring(court, item)
    province.run()
    assert (province.arrivals(), state(province)) == ([], "delivered")


def test_receipts_of_a_retired_agency_count(province: Province) -> None:
    packet, before = sent(province), in_force(province)
    agencies = tuple(
        replace(each, retired_at=now(province)) if each.code == PROCURATORATE else each
        for each in before.agencies
    )
    offer(province, next_version(replace(before, agencies=agencies)))
    bring(province.procuratorate, said(packet, province.procuratorate, now(province)))
    province.run()
    assert (province.arrivals(), state(province)) == ([], "delivered")


def test_a_restored_node_takes_back_receipts_from_whoever_has_them(province: Province) -> None:
    """C23: they were recorded here before it forgot, when nobody was disabled."""
    packet = sent(province)
    offer(province, disabled(in_force(province), PROCURATORATE))
    node(province).opened.ledger.write(lambda tx: restoring.begin(tx, now(province), ()))
    bring(province.police, said(packet, province.procuratorate, now(province)))
    for _ in range(3):
        province.network.round()
    assert (province.arrivals(), state(province)) == ([], "delivered")


@pytest.fixture
def behind_a_bridge(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", one_for_all()) as made:
        yield made


def test_a_bridge_that_forgot_a_receipt_passes_it_on_when_the_province_sends_it_again(
    behind_a_bridge: Network,
) -> None:
    """It comes from above then, though its issuer stands below."""
    network = behind_a_bridge
    send(network, "one")
    network.run(120)
    bridge, province = network.nodes[NORTH].opened, network.nodes[PROVINCE].opened
    row = province.ledger.read().execute("SELECT * FROM receipt WHERE kind = 'delivered'").fetchone()

    def forget(transaction: object) -> None:
        transaction.execute("DELETE FROM receipt")  # type: ignore[attr-defined]

    for opened in (bridge, network.nodes[POLICE].opened):
        opened.ledger.write(forget)
    number = int(row["id"])
    province.ledger.write(
        lambda tx: province.statements.send_to_agency(tx, ItemKind.RECEIPT, number, POLICE, came_by="")
    )
    network.run(120)
    for code in (NORTH, POLICE):
        ledger = network.nodes[code].opened.ledger.read()
        assert [each["kind"] for each in ledger.execute("SELECT kind FROM receipt")] == ["delivered"]
        assert ledger.execute("SELECT * FROM arrival").fetchall() == []
