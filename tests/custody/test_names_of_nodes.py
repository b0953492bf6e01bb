"""C21: a node whose code is not its agency's speaks in its own name where it speaks as the admitting node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bridging import alone, check_books, check_whole, rows, send, status
from tests.support.network import POLICE, PROCURATORATE, Network
from tests.support.renaming import rename_node

NODE = "620199-03-01"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path / "lab", alone())
    rename_node(network, PROCURATORATE, NODE, edit=lambda text: f'{text}\n[rules]\nsequence = "enforce"\n')
    with network:
        yield network


def test_c21_point_to_point_what_a_node_admits_it_accepts_and_refuses_as_the_node(world: Network) -> None:
    send(world, "案件")
    world.run()
    check_whole(world, "案件")
    # The decision that it returns was never made.
    send(world, "回执", seed=2, business_type="arrest.execution.return", extra_documents=())
    world.run()
    assert [status(world, name)["state"] for name in ("案件", "回执")] == ["delivered", "refused"]
    send(world, "还件", sender=PROCURATORATE, receiver=POLICE, business_type="info.share", extra_documents=())
    world.run()
    check_whole(world, "还件", POLICE, sender=PROCURATORATE)
    said = rows(world, POLICE, "SELECT kind, recipient, issued_by FROM receipt ORDER BY id")
    assert said == [
        ("accepted", "", NODE),
        ("delivered", PROCURATORATE, PROCURATORATE),
        ("refused", "", NODE),
        ("accepted", "", POLICE),
        ("delivered", POLICE, POLICE),
    ]
    assert len(rows(world, PROCURATORATE, "SELECT 1 FROM receipt")) == len(said)
    check_books(world)
