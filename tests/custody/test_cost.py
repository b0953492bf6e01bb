"""The cost of a packet does not grow with the ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from tests.support.province import Province, node

GROWING = ("batch_in", "batch_out", "batch_blob", "packet", "destination", "case_history", "event", "receipt")


def plans(connection: sqlite3.Connection, statements: Iterable[str]) -> list[str]:
    found = []
    for statement in statements:
        if statement.split(maxsplit=1)[0] in ("SELECT", "UPDATE", "DELETE"):
            found += [
                f"{row[3]} <- {statement}" for row in connection.execute("EXPLAIN QUERY PLAN " + statement)
            ]
    return found


def test_the_cost_of_a_packet_does_not_grow_with_the_ledger(province: Province) -> None:
    """No statement of landing, judging and offering walks a table that keeps every packet for ever."""
    province.police.greet()
    province.run()
    ledger = node(province).opened.ledger
    seen: set[str] = set()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(seen.add)
    province.police.send(province.police.seal(province.request()))
    province.run()
    province.procuratorate.acknowledge()
    province.run()
    for connection in (ledger._connection, ledger.read()):
        connection.set_trace_callback(None)
    # All that a link ever carried, where only what is open was meant.
    whole_links = (
        "SEARCH batch_in USING INDEX batch_in_name (link=?) ",
        "SEARCH batch_out USING INDEX sqlite_autoindex_batch_out_1 (link=?) ",
    )
    walks = [
        plan
        for plan in plans(ledger.read(), sorted(seen))
        for table in GROWING
        if plan.startswith((f"SCAN {table} <-", *whole_links))
        and not plan.endswith(" ORDER BY id DESC LIMIT 1")
    ]
    assert walks == []
