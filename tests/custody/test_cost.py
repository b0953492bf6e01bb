"""The cost of a packet does not grow with the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from packet_spec.model import Priority
from tests.support.inbox import Arrival, ReceivingFrontend
from tests.support.peer import Sealed
from tests.support.province import Province, node

# A backlog of these must cost nobody more who comes later.
WAITING = ("state = 'landed'", "FROM outgoing", "JOIN outgoing")
GROWING = ("batch_in", "batch_out", "batch_blob", "packet", "destination", "case_history", "event", "receipt")


def plans(connection: sqlite3.Connection, statements: Iterable[str]) -> list[str]:
    found = []
    for statement in statements:
        if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE", "INSERT"):
            found += [
                f"{row[3]} <- {statement}" for row in connection.execute("EXPLAIN QUERY PLAN " + statement)
            ]
    return found


def urgent_packet_of_a_case(province: Province) -> Sealed:
    """It is asked whether earlier ones of its case wait, which it must not overtake (C15)."""
    return province.police.seal(
        province.request(seed=2),
        edit=lambda xml: xml.replace(b"<priority>normal<", b"<priority>urgent<"),
        change={"priority": Priority.URGENT},
    )


def statements_of_a_packet(province: Province) -> tuple[sqlite3.Connection, list[str]]:
    """Everything that the ledger was asked for one packet from landing to the receipt."""
    province.police.greet()
    province.run()
    ledger = node(province).opened.ledger
    seen: set[str] = set()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(seen.add)
    province.police.send(province.police.seal(province.request()), urgent_packet_of_a_case(province))
    province.run()
    province.procuratorate.acknowledge()
    province.run()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(None)
    urgent = ledger.read().execute("SELECT case_key FROM packet WHERE priority = 'urgent'").fetchall()
    assert [row["case_key"] != "" for row in urgent] == [True]
    return ledger.read(), sorted(seen)


def test_the_cost_of_a_packet_does_not_grow_with_the_ledger(province: Province) -> None:
    """No statement of landing, judging and offering walks a table that keeps every packet for ever."""
    connection, seen = statements_of_a_packet(province)
    # All that a link ever carried, where only what is open was meant.
    whole_links = (
        "SEARCH batch_in USING INDEX batch_in_name (link=?) ",
        "SEARCH batch_out USING INDEX sqlite_autoindex_batch_out_1 (link=?) ",
    )
    walks = [
        plan
        for plan in plans(connection, seen)
        for table in GROWING
        if plan.startswith((f"SCAN {table} <-", *whole_links))
        and not plan.endswith(" ORDER BY id DESC LIMIT 1")
    ]
    assert walks == []


def test_the_cost_of_a_packet_does_not_grow_with_those_that_wait(province: Province) -> None:
    """Nobody reads or sorts all that waits to be judged or offered, for one packet or a few."""
    connection, seen = statements_of_a_packet(province)
    found = plans(connection, seen)
    assert any("INDEX arrival_turn" in plan for plan in found)
    assert any("INDEX outgoing_turn" in plan for plan in found)
    assert any("SEARCH outgoing USING INDEX outgoing_stream (link=? AND stream=?)" in plan for plan in found)
    assert any("INDEX arrival_retry" in plan for plan in found)
    # One agency can make thousands of rows that are held, or lack a blob.
    assert any("SEARCH awaited USING PRIMARY KEY (about=?)" in plan for plan in found)
    aside = [plan for plan in found if "state = 'held'" in plan or "state = 'needing'" in plan]
    assert [plan for plan in aside if "arrival_state" in plan.partition(" <- ")[0]] == []
    # Nor all packets of an agency that are not finished: a packet is found by its number or its name.
    for plan in found:
        assert "INDEX packet_open" not in plan
        assert "INDEX packet_active" not in plan
    waiting = [plan for plan in found if any(words in plan for words in WAITING)]
    all_of_them = ("USE TEMP B-TREE FOR ORDER", "INDEX arrival_state", "INDEX arrival_due", "AND kind=?)")
    assert [plan for plan in waiting for step in all_of_them if step in plan.partition(" <- ")[0]] == []


def test_a_step_of_delivery_does_not_read_or_sort_its_backlog(tmp_path: Path) -> None:
    with closing(ReceivingFrontend(tmp_path)) as frontend:
        for number in range(1, 4):
            frontend.arrive(Arrival(number, blobs={}))
        seen: set[str] = set()
        frontend.ledger.read().set_trace_callback(seen.add)
        frontend.delivery.step()
        frontend.ledger.read().set_trace_callback(None)
        asked = [text for text in seen if "FROM destination" in text and "ORDER BY packet" in text]
        found = {plan.partition(" <- ")[0] for plan in plans(frontend.ledger.read(), asked)}
    ours = ("destination_arrived", "destination_delivering")
    assert found == {f"SCAN destination USING INDEX {index}" for index in ours}
