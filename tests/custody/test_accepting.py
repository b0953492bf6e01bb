"""C15: what an operator said of a neighbour's incarnation can be seen, and corrected."""

from __future__ import annotations

import pytest

from exchanged import forks
from exchanged.acts.values import Act
from exchanged.forks import Conflict
from packet_spec.model import ReceiptKind
from tests.support.acting import act, outcomes
from tests.support.asking import Operator, operator
from tests.support.network import POLICE, PROVINCE
from tests.support.province import Province, node

CLONE, MISTYPED = "f" * 32, "e" * 32


@pytest.fixture
def link(province: Province) -> str:
    """A clone spoke, then the police again: the link is held."""
    police = province.police
    police.greet()
    province.run()
    police.put(police.batch([], bare=True, incarnation=CLONE), name="ack.batch")
    province.run()
    # Later than what was written before a restore may seem to be.
    province.network.clock.advance(1000.0)
    police.greet()
    province.run()
    name = node(province).opened.links.name_of(POLICE)
    assert forks.marks(node(province).opened.ledger.read(), name).forked == Conflict.EARLIER
    return name


@pytest.fixture
def asked(province: Province, capsys: pytest.CaptureFixture[str]) -> Operator:
    return operator(province.network.layout.config(PROVINCE), capsys)


def accept(province: Province, link: str, incarnation: str) -> list[str]:
    return outcomes(act(node(province), Act.ACCEPT, link, incarnation=incarnation))


def test_a_mistyped_incarnation_shows_and_is_corrected(
    province: Province, link: str, asked: Operator
) -> None:
    police = province.police
    assert accept(province, link, MISTYPED) == ["accepted-unheard"]
    # Another slip does not close more than the first one did.
    assert accept(province, link, MISTYPED) == ["not-forked"]
    police.put(police.batch([], bare=True), name="ack.batch")
    packet = police.seal(province.request())
    police.send(packet)
    province.run()
    assert province.receipts(police) == []
    (shown,) = (each for each in asked.json("link", "list")["links"] if each["name"] == link)
    assert (shown["state"], shown["reason"]) == ("held", "incarnation-closed")
    assert "exchangectl link accept" in " ".join(asked.text("link", "show", link).split())
    assert accept(province, link, police.incarnation) == ["accepted"]
    province.run()
    assert [receipt.kind for receipt in province.receipts(police)] == [ReceiptKind.ACCEPTED]
    (shown,) = (each for each in asked.json("link", "list")["links"] if each["name"] == link)
    assert shown["state"] != "held"
    # Nothing is to be decided any more about it; what speaks in the other one is not heard.
    assert accept(province, link, police.incarnation) == ["not-forked"]
    police.put(police.batch([], bare=True, incarnation=CLONE), name="ack.batch")
    province.run()
    assert forks.marks(node(province).opened.ledger.read(), link).forked == ""


def test_files_that_a_closed_incarnation_left_lying_hold_nothing(
    province: Province, link: str, asked: Operator
) -> None:
    police = province.police
    assert accept(province, link, police.incarnation) == ["accepted"]
    police.put(police.batch([], number=1, incarnation=CLONE), number=1)
    police.put(police.batch([], bare=True), name="ack.batch")
    province.run()
    (shown,) = (each for each in asked.json("link", "list")["links"] if each["name"] == link)
    assert shown["state"] == "up"
