"""C18, C20, C23 at real nodes: what is late is told, and what is old goes, by confirmed days."""

from __future__ import annotations

from pathlib import Path

from exchanged.ledger import keeping
from packet_spec.notice import Notice, decode_notice
from tests.custody.test_front_ends import drop, inbox
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan

DAY = 86_400.0


def told(folder: Path) -> set[tuple[str, str]]:
    notices: list[Notice] = [decode_notice(path.read_bytes()) for path in folder.glob("*.xml")]
    return {(notice.reference, notice.subject) for notice in notices if notice.over_at is None}


def test_what_is_not_collected_is_told_and_what_was_sent_goes_after_its_days(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        sent, police = network.agency(POLICE) / "sent", network.nodes[POLICE]

        def after(days: float) -> None:
            network.clock.advance(days * DAY)
            network.run()

        drop(network, name="A", seed=1)
        network.run()
        assert len(inbox(network)) == 1
        after(0.1)
        after(8)
        overdue = {("receipt-overdue", f"collected {PROCURATORATE}")}
        assert told(network.agency(POLICE) / "notices") == overdue
        assert told(police.config.node.data_dir / "notices") == overdue
        # The receiver's staff is told as well; the province owes nothing here.
        assert told(network.agency(PROCURATORATE) / "notices") == overdue
        assert told(network.nodes[PROVINCE].config.node.data_dir / "notices") == set()
        after(92)
        # Nobody was heard for all that time: our own clock alone makes nothing old.
        assert [path.name for path in sent.iterdir()] == ["A"]
        drop(network, name="B", seed=2)
        network.run()
        after(0.1)
        assert [path.name for path in sent.iterdir()] == ["B"]
        connection = police.opened.ledger.read()
        assert keeping.kept_bytes(connection, 2, 1) is not None
        # Delivered packets are the receiver's: nobody removes what the case software did not take.
        assert len(inbox(network)) == 2
