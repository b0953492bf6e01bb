"""C16, C17, C21, C23: what a restored admitting node never decided about is judged, whoever speaks of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.ledger import restoring
from packet_spec.identity import sha256_hex
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.sequence_policy import SequencePolicy
from packet_spec.waybill_model import WaybillItem
from tests.custody.test_restoring_liars import answer, tell, told_of
from tests.support.bridging import NORTH, one_for_all, rows
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, node, receipt_item
from tests.support.restoring import World
from tests.support.traffic import drop_packet

CASE = "filing:虚构立字〔2026〕1号"


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[World]:
    """Police, procuratorate and court behind one bridge; the province enforces the order of a case."""
    with Network(tmp_path / "lab", replace(one_for_all(), sequence=SequencePolicy.ENFORCE)) as network:
        network.run()
        yield World(network, 1)


def test_c23_what_had_landed_unjudged_before_a_bridge_is_judged_after_a_restore(
    strict: World, tmp_path: Path
) -> None:
    """The bridge says that it gave it to the province: of an admission it knows nothing."""
    network, province = strict.network, strict.network.nodes[PROVINCE]
    saved = strict.snapshot(PROVINCE, tmp_path / "backup")
    path = drop_packet(network, seed=1, business_type="arrest.execution.return")
    for _ in range(40):
        for code in (POLICE, NORTH, PROVINCE):
            network.nodes[code].step()
        network.clock.advance(1.0)
        if rows(network, PROVINCE, "SELECT 1 FROM arrival WHERE kind = 'packet'"):
            break
    province.acknowledge()
    province.die()
    for _ in range(3):
        network.nodes[NORTH].step()
    assert rows(network, NORTH, "SELECT state FROM destination") == [("passed-on",)]
    strict.restore(PROVINCE, saved)
    province.open()
    strict.drain()
    told = json.loads((network.agency(POLICE) / "status" / f"{path.name}.status.json").read_text("utf-8"))
    assert told["state"] == "refused"
    assert rows(network, POLICE, "SELECT kind FROM receipt") == [("refused",)]
    assert rows(network, PROVINCE, "SELECT state FROM packet") == [("refused",)]


def restore(province: Province, saved: Path) -> None:
    """The province comes back from its backup and asks."""
    World(province.network, 1).restore(PROVINCE, saved)
    node(province).open()
    province.run()
    assert restoring.is_going_on(node(province).opened.ledger.read())


@pytest.fixture
def saved(province: Province, tmp_path: Path) -> Path:
    """A backup of the province; its neighbours have greeted it."""
    for peer in (province.police, province.procuratorate, court(province)):
        peer.greet()
    province.run()
    return World(province.network, 1).snapshot(PROVINCE, tmp_path / "backup")


def court(province: Province) -> Peer:
    return Peer(province.network, COURT)


def finish(province: Province, *peers: Peer) -> None:
    """These answer that there is nothing else."""
    for peer in peers:
        tell(peer, answer(province))
    province.run()
    assert not restoring.is_going_on(node(province).opened.ledger.read())


def found(province: Province, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in node(province).opened.ledger.read().execute(statement)]


@pytest.mark.parametrize("given", [True, False])
def test_c17_c23_nobody_becomes_party_to_a_case_by_what_he_says_of_his_packets(
    province: Province, saved: Path, *, given: bool
) -> None:
    """Neither as a sender, of what it says it had handed in, nor as a receiver, of what it says it got."""
    restore(province, saved)
    judges, procuratorate = court(province), province.procuratorate
    liar = judges if given else procuratorate
    sealed = judges.seal(replace(province.request("info.share", seed=7), sender=COURT))
    states = ((PROCURATORATE, "handed-over"),) if given else ((PROCURATORATE, "delivered"),)
    lie = told_of(
        sealed, receiver=PROCURATORATE, given=given, case_key=CASE, destinations=states,
        content_digest=sealed.seal.content_digest,
    )  # fmt: skip
    tell(liar, answer(province, packets=(lie,)))
    finish(province, *(peer for peer in (judges, procuratorate, province.police) if peer is not liar))
    assert found(province, "SELECT agency FROM case_party") == []
    assert found(province, "SELECT packet_id FROM packet") == []


def unlawful(province: Province) -> Sealed:
    """A packet without the document that its type demands."""
    return province.police.seal(province.request(seed=3, omit_documents=frozenset({"POL-002"})))


@pytest.mark.parametrize("while_restoring", [True, False])
def test_c16_c23_what_its_sender_calls_handed_in_is_judged_when_it_comes(
    province: Province, saved: Path, *, while_restoring: bool
) -> None:
    restore(province, saved)
    police, sealed = province.police, unlawful(province)
    about = told_of(
        sealed, receiver=PROCURATORATE, given=True, content_digest=sealed.seal.content_digest,
        destinations=((PROCURATORATE, "handed-over"),),
    )  # fmt: skip
    tell(police, answer(province, last=False, packets=(about,)))
    if while_restoring:
        tell(police, answer(province, packets=(replace(about, has_bytes=True),)))
        province.run()
        police.send(sealed)
        finish(province, province.procuratorate, court(province))
    else:
        finish(province, police, province.procuratorate, court(province))
        police.send(sealed)
        province.run()
    assert [one.kind for one in province.receipts(police)] == [ReceiptKind.REFUSED]
    assert found(province, "SELECT state FROM packet") == [("refused",)]
    assert found(province, "SELECT * FROM case_party") == []


def own_receipts(province: Province) -> list[tuple[WaybillItem, bytes]]:
    """What the province said to the police, as items that give it back."""
    said = zip(province.police.items(ItemKind.RECEIPT), province.receipts(province.police), strict=True)
    return [
        (WaybillItem(ItemKind.RECEIPT, sha256_hex(data), len(data), receipt.key), data)
        for data, receipt in said
    ]


@pytest.mark.parametrize("receipt_first", [True, False])
def test_c17_c23_with_its_own_accepted_receipt_a_case_is_known_again_whatever_comes_first(
    province: Province, saved: Path, *, receipt_first: bool
) -> None:
    police, procuratorate = province.police, province.procuratorate
    sealed = police.seal(province.request(seed=3))
    police.send(sealed)
    province.run()
    (case_key,) = found(province, "SELECT case_key FROM packet")
    parties = found(province, "SELECT agency FROM case_party ORDER BY agency")
    assert parties == [(POLICE,), (PROCURATORATE,)]
    given_back = own_receipts(province)
    restore(province, saved)
    assert found(province, "SELECT * FROM case_party") == []
    about = told_of(
        sealed, receiver=PROCURATORATE, case_key=str(case_key[0]), destinations=(),
        content_digest=sealed.seal.content_digest, business_type=sealed.seal.business_type,
    )  # fmt: skip
    digests = tuple(item.digest for item, _ in given_back)
    if receipt_first:
        procuratorate.put(procuratorate.batch(given_back))
        province.run()
    tell(procuratorate, answer(province, packets=(about,), receipts=digests))
    province.run()
    if not receipt_first:
        procuratorate.put(procuratorate.batch(given_back))
        province.run()
    finish(province, police, court(province))
    assert found(province, "SELECT agency FROM case_party ORDER BY agency") == parties
    assert found(province, "SELECT state FROM destination") == [("handed-over",)]


def told_by_both(province: Province, sealed: Sealed, *, is_delivered: bool) -> None:
    """The receiver has it, they say, the sender can give it; nobody has an ``accepted`` receipt."""
    police, procuratorate = province.police, province.procuratorate
    about = told_of(
        sealed, receiver=PROCURATORATE, content_digest=sealed.seal.content_digest, destinations=()
    )
    if is_delivered:
        item = receipt_item(province, sealed, ReceiptKind.DELIVERED, PROCURATORATE, procuratorate)
        procuratorate.put(procuratorate.batch([item]))
    tell(procuratorate, answer(province, packets=(about,)))
    tell(police, answer(province, packets=(replace(about, given=True, has_bytes=True),)))
    province.run()


def own_kinds(province: Province) -> list[ReceiptKind]:
    return [one.kind for one in province.receipts(province.police) if one.issued_by == PROVINCE]


@pytest.mark.parametrize("is_delivered", [True, False])
def test_c23_only_recipients_signatures_stand_for_an_accepted_receipt_that_nobody_has(
    province: Province, saved: Path, *, is_delivered: bool
) -> None:
    restore(province, saved)
    sealed = unlawful(province)
    told_by_both(province, sealed, is_delivered=is_delivered)
    province.police.send(sealed)
    finish(province, court(province))
    assert own_kinds(province) == [ReceiptKind.ACCEPTED if is_delivered else ReceiptKind.REFUSED]


def test_c18_c23_for_what_is_delivered_a_doubtful_clock_issues_no_accepted_either(
    province: Province, saved: Path
) -> None:
    restore(province, saved)
    sealed = unlawful(province)
    told_by_both(province, sealed, is_delivered=True)
    finish(province, court(province))
    province.police.send(sealed)
    province.network.clock.jump(7200)
    node(province).step()
    node(province).step()
    assert [reason for _, reason in province.arrivals()] == ["clock-jumped"]
    assert own_kinds(province) == []


def test_c23_what_it_accepted_goes_to_those_whom_its_seal_names_whoever_told_of_it(
    province: Province, saved: Path
) -> None:
    """Another called himself its recipient, and whoever is one never got it."""
    police = province.police
    sealed = police.seal(province.request("info.share", seed=3))
    police.send(sealed)
    province.run()
    given_back = own_receipts(province)
    restore(province, saved)
    lie = told_of(sealed, content_digest=sealed.seal.content_digest, destinations=())
    police.put(police.batch(given_back))
    province.run()
    tell(court(province), answer(province, packets=(lie,)))
    province.run()
    assert found(province, "SELECT recipient FROM destination") == [(COURT,)]
    finish(province, police, province.procuratorate)
    police.send(sealed)
    province.run()
    assert found(
        province,
        "SELECT recipient, spool IS NULL FROM destination JOIN packet ON packet.id = destination.packet",
    ) == [(PROCURATORATE, 0)]
