"""A node that begins with an empty ledger counts its drops from 1 again: what lies there is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from frontend_server.originals import IN_TRANSIT
from tests.support.cleaning import Keeper
from tests.support.outbox import SendingFrontend, acceptance_xml, names_in


@pytest.mark.parametrize("mark", ["1", "1-0123456789ab"])
def test_c13_what_a_crash_left_in_transit_is_nothing_to_a_ledger_that_begins_anew(
    frontend: SendingFrontend, mark: str
) -> None:
    """Its first drop has the number of the first of the old one, whose original was sent long ago."""
    # The ledger knows the folders by now: they were made known to it.
    frontend.run()
    left = frontend.folders.sent / f"{IN_TRANSIT}{mark}"
    left.write_bytes(acceptance_xml())
    frontend.drop_xml("B.xml", acceptance_xml(senderRef="R-2"))
    for _ in range(3):
        frontend.run()
        frontend.settle()
    assert [packet.sender_ref for packet in frontend.packets()] == ["R-2"]
    assert (names_in(frontend.outbox), names_in(frontend.folders.sent)) == ([], ["B.xml"])
    assert left.read_bytes() == acceptance_xml()


@pytest.mark.parametrize("left", ["checking-1", "retired-1"])
def test_c13_what_a_crash_left_half_removed_is_nothing_to_a_ledger_that_begins_anew(
    tmp_path: Path, left: str
) -> None:
    """Its first drop has the number of the first of the old one, and goes in its own time all the same."""
    keeper = Keeper(tmp_path)
    staging = keeper.frontend.folders.staging
    staging.mkdir(exist_ok=True)
    (staging / left).write_bytes(b"an original of long ago")
    keeper.sent()
    keeper.after()
    keeper.after(91)
    assert keeper.lies()["sent"] == []
    assert (staging / left).exists()
    keeper.frontend.close()
