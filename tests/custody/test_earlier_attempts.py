"""What is said of an attempt after a higher one has taken its place (C5, C12)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from packet_spec.model import Receipt, ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.encrypted_lab import drop, encrypting_plan, inbox, status
from tests.support.network import COURT, POLICE, PROCURATORATE, Network, small_plan

PLAIN = small_plan(POLICE, PROCURATORATE, COURT)


def said(network: Network, packet_id: str) -> dict[str, Receipt]:
    """The receipts in the sender's folder by file name, verified with the directory's keys."""
    trust = network.nodes[POLICE].opened.trust
    folder = network.agency(POLICE) / "receipts" / packet_id
    return {path.stem: open_receipt(path.read_bytes(), trust.key)[0] for path in folder.iterdir()}


def refuse(network: Network, packet_id: str) -> None:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<disposition xmlns="urn:exchanged:disposition:1" packetId="{packet_id}" sender="{POLICE}"'
        ' kind="refused" by="收案人员" at="2026-07-15T10:00:00+08:00">'
        '<finding code="wrong-agency"><zh>不属本单位管辖</zh></finding></disposition>\n'
    )
    (network.agency(PROCURATORATE) / "outbox" / "退回.xml").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("plan", [PLAIN, encrypting_plan()], ids=["plain", "encrypted"])
def test_c12_a_refused_delivery_that_is_opened_after_the_next_attempt_was_sealed_is_told_to_its_sender(
    tmp_path: Path, plan
) -> None:
    with Network(tmp_path / "lab", plan) as network:
        drop(network, "甲", sender_ref="F-1")
        network.run()
        packet_id = status(network, "甲")["packetId"]
        refuse(network, packet_id)
        network.run()
        assert status(network, "甲")["state"] == "refused"
        # The sender is away while the refused delivery is opened, and comes back with a drop of the same.
        network.nodes[POLICE].die()
        (folder,) = inbox(network)
        (folder / "collected").touch()
        for _ in range(4):
            network.clock.advance(30)
            network.run()
        shutil.copytree(network.agency(POLICE) / "sent" / "甲", network.agency(POLICE) / "outbox" / "乙")
        network.nodes[POLICE].open()
        for _ in range(4):
            network.clock.advance(30)
            network.run()
        again = status(network, "乙")
        assert (again["state"], again["attempt"], again["packetId"]) == ("delivered", 2, packet_id)
        told = said(network, packet_id)
        late = told[f"collected-{PROCURATORATE}-1"]
        assert (late.kind, late.attempt) == (ReceiptKind.COLLECTED, 1)
        assert f"delivered-{PROCURATORATE}-2" in told
        rows = network.nodes[POLICE].opened.ledger.read().execute("SELECT kind FROM event").fetchall()
        assert [row["kind"] for row in rows].count("receipt-of-earlier-attempt") == 1
        assert status(network, "甲")["state"] == "refused"
