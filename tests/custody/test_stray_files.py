"""A stray file under a number that its writer has not used yet stops no link (C5, C15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, small_plan

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        yield network


def send(world: Network, seed: int) -> None:
    created = world.clock.now() - timedelta(seconds=1)
    request = DropRequest("info.share", POLICE, PROCURATORATE, created, seed=seed, name=f"drop-{seed}")
    write_drop(make_drop(request), world.agency(POLICE) / "outbox")
    for _ in range(30):
        world.round()


def delivered(world: Network) -> int:
    return len(list((world.agency(PROCURATORATE) / "inbox" / "info.share").iterdir()))


@pytest.mark.parametrize(
    ("node", "mailbox", "direction"), [(POLICE, POLICE, "up"), (PROVINCE, PROCURATORATE, "down")]
)
def test_c15_a_stray_file_under_the_next_numbers_is_told_and_stops_nothing(
    world: Network, node: str, mailbox: str, direction: str
) -> None:
    send(world, 1)
    link = "province" if node == POLICE else PROCURATORATE
    ledger = world.nodes[node].opened.ledger
    last = ledger.read().execute("SELECT max(number) FROM batch_out WHERE link = ?", (link,)).fetchone()[0]
    for ahead in (1, 2):
        path = world.mailbox(mailbox) / direction / f"{last + ahead:08d}-0123456789abcdef.batch"
        path.write_bytes(b"not a batch at all")
    # Its reader comes first: who writes there removes what is not its own.
    world.nodes[PROVINCE if node == POLICE else PROCURATORATE].step()
    send(world, 2)
    send(world, 3)
    assert delivered(world) == 3
    events = {row[0] for code in world.nodes for row in _kinds(world, code)}
    assert "mailbox-file-refused" in events
    assert not events & {"node-set-back", "neighbour-forked"}


def _kinds(world: Network, code: str) -> list[tuple[str]]:
    return list(world.nodes[code].opened.ledger.read().execute("SELECT DISTINCT kind FROM event"))
