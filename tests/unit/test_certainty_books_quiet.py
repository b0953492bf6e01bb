"""A world is at rest when nothing is on its way, also nothing of which no particular end is expected."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from certainty.books import World, unsettled
from certainty.books.driver import Driver
from cli.fiction.writer import DropFormat
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan


@pytest.mark.parametrize("expects", ["delivered", "any"])
def test_a_drop_is_on_its_way_from_the_outbox_to_its_last_receipt(tmp_path: Path, expects: str) -> None:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        (tmp_path / "history").mkdir()
        agencies = {code: network.agency(code) for code in (POLICE, PROCURATORATE)}
        configs = {code: network.layout.config(code) for code in (*agencies, PROVINCE)}
        world = World(tmp_path / "history", agencies, configs)
        driver = Driver(world, 1)
        request = driver.request(POLICE, receiver=PROCURATORATE, business_type="interrogation.cancel")
        driver.drop(replace(request, extra_documents=()), drop_format=DropFormat.XML, expects=expects)
        outbox, filed = agencies[POLICE] / "outbox", agencies[POLICE] / "receipts"
        before = {True: 0, False: 0}

        def look() -> None:
            is_over = any(filed.glob("*/delivered-*.xml"))
            if not is_over:
                assert len(unsettled(world)) == 1
                before[any(outbox.glob("*.xml"))] += 1

        network.before_round = look
        network.run()
        assert min(before.values()) > 0
        assert unsettled(world) == ()


def test_what_was_replaced_in_the_outbox_before_it_was_taken_is_waited_for_no_longer(tmp_path: Path) -> None:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        (tmp_path / "history").mkdir()
        agencies = {code: network.agency(code) for code in (POLICE, PROCURATORATE)}
        world = World(tmp_path / "history", agencies, {})
        driver = Driver(world, 1)
        for expects in ("any", "delivered"):
            request = driver.request(POLICE, receiver=PROCURATORATE, business_type="interrogation.cancel")
            request = replace(request, name="one", extra_documents=())
            driver.drop(request, drop_format=DropFormat.XML, expects=expects)
        network.run()
        assert unsettled(world) == ()
