"""What intake writes into the ledger, and what it needs to find there."""

from __future__ import annotations

import pytest

from packet_spec.errors import ExchangeError
from tests.support.documents import NOW as START
from tests.support.outbox import SendingFrontend


def test_events_name_drops_by_number_and_hold_no_case_data(frontend: SendingFrontend) -> None:
    frontend.drop_folder("虚构甲盗窃案")
    frontend.drop_xml("B.xml", b"<packet></packet>")
    frontend.run()
    details = [row["detail"] for row in frontend.ledger.read().execute("SELECT detail FROM event")]
    assert not any("虚构" in detail or "\\u865a" in detail or "A620199" in detail for detail in details)


def test_a_node_without_an_incarnation_takes_nothing(frontend: SendingFrontend) -> None:
    frontend.ledger.write(lambda tx: tx.execute("DELETE FROM node WHERE name = 'incarnation'"))
    frontend.drop_xml()
    with pytest.raises(ExchangeError, match="incarnation"):
        frontend.intake.step()
    assert frontend.packets() == []
    assert frontend.spool.names() == ()


def test_the_clock_of_a_packet_is_its_seal(frontend: SendingFrontend) -> None:
    frontend.drop_xml()
    frontend.run()
    (packet,) = frontend.packets()
    assert packet.sealed_at == packet.landed_at == START
