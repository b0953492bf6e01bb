"""C23: what a ledger remembers of a packet that it had forgotten takes no room of what it knew before."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from exchanged.ledger import Ledger, Transaction, packets, restoring, spool
from exchanged.ranges import SpoolRange
from exchanged.states import PacketState
from packet_spec.identity import PacketKey
from packet_spec.model import PackStamp, Priority, Seal
from packet_spec.restoring import KnownPacket
from tests.support.clock import FakeClock

KEY = PacketKey("620199-01-00", "01980000-0000-7000-8000-000000000001")
OTHER = "620199-03-00"


def test_the_bytes_of_a_lower_attempt_are_let_go(tmp_path: Path) -> None:
    clock = FakeClock()
    seal = Seal(
        key=KEY, attempt=1, receiver=OTHER, copy_to=(), business_type="case.report", sender_ref="R",
        priority=Priority.NORMAL, expires_at=None, sealed_at=clock.now(), key_id="0" * 16, suite="ed25519",
        incarnation="1", sequence=1, pack=PackStamp("", "", ""), encoding="utf-8", packet_size=1,
        packet_digest="1" * 64, content_digest="1" * 64, parts=(),
    )  # fmt: skip
    known = KnownPacket(
        key=KEY, attempt=2, business_type="case.report", sender_ref="R", receiver=OTHER, copy_to=(),
        priority=Priority.NORMAL, expires_at=None, sealed_at=clock.now() + timedelta(hours=1),
        incarnation="1", sequence=2, content_digest="2" * 64, seal_digest="2" * 64, in_reply_to="",
        supersedes="", case_key="", given=False, offered=True, has_bytes=False, destinations=(),
    )  # fmt: skip

    def insert(tx: Transaction) -> None:
        where = SpoolRange(spool.adopt(tx, "1.group", 1, 1), "1.group", 0, 1)
        packets.insert(
            tx, seal, seal_digest="1" * 64, landed_at=tx.now, came_by="", bytes_at=where,
            relations=("", "", ""),
        )  # fmt: skip

    with closing(Ledger(tmp_path / "l.sqlite3", clock, on_wake=lambda _: None, threaded=False)) as ledger:
        ledger.write(insert)
        assert spool.unneeded(ledger.read()) == ()
        for _ in range(2):
            ledger.write(
                lambda tx: restoring.remember_packet(tx, known, came_by="", state=PacketState.ACTIVE)
            )
        assert [name for _, name in spool.unneeded(ledger.read())] == ["1.group"]
        found = packets.find(ledger.read(), KEY)
        assert found is not None
        assert (found.attempt, found.bytes_at) == (2, None)
