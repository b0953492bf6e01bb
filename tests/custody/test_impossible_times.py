"""C18: what a neighbour says of times that no clock shows costs nobody but itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchanged.ledger import spool
from exchanged.sweep import Sweep
from packet_spec.waybill_model import ExceptionKind
from tests.custody.test_attackers import assert_next_packet_passes
from tests.support.province import Province, node

FIRST_YEAR = datetime(1, 1, 1, tzinfo=UTC)


def test_a_neighbour_in_the_first_year_keeps_no_file_here(province: Province) -> None:
    """Its word is not counted back from: what nothing needs goes, and everything else goes on."""
    hostile = province.police.batch([], bare=True, sent_at=FIRST_YEAR)
    province.police.put(hostile, name="ack.batch")
    province.run()
    (refused,) = province.events("mailbox-file-refused")
    assert '"schema-violated"' in str(refused["detail"])
    assert_next_packet_passes(province)
    assert spool.unneeded(node(province).opened.ledger.read(), 1) == ()


def test_a_batch_of_the_first_year_is_bad(province: Province) -> None:
    province.police.greet()
    packet = province.police.seal(province.request())
    province.police.put(province.police.batch([(packet.item(), packet.data)], sent_at=FIRST_YEAR))
    province.run()
    told = province.police.acknowledgement()
    assert told is not None
    assert [one.kind for one in told.exceptions] == [ExceptionKind.BAD]
    assert province.arrivals() == []


def test_files_go_whatever_keeps_the_rest_of_the_sweep(province: Province) -> None:
    running = node(province)
    running.stations = [station for station in running.stations if station.name != "sweep"]
    province.police.put(province.police.batch([]))
    province.run()
    parts = running.opened
    assert spool.unneeded(parts.ledger.read(), 1)

    def proven() -> datetime | None:
        raise OverflowError

    sweep = Sweep(parts.ledger, parts.spool, parts.blobs, running.clock, proven, parts.config.retention)
    with pytest.raises(OverflowError):
        sweep.step()
    assert spool.unneeded(parts.ledger.read(), 1) == ()
