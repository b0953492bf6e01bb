"""A stray file under a number that its writer has not used yet stops no link (C5, C15)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.errors import TransportError
from exchanged.folder_transport import FolderTransport
from exchanged.mailbox import Direction
from exchanged.transport import Source
from packet_spec.ustar import END, encode_header
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


def of_another_format() -> bytes:
    members = {"waybill": b"exchanged-waybill-9\n<x/>", "waybill.sig": b"12345"}
    parts = (encode_header(name, len(data)) + data.ljust(512, b"\0") for name, data in members.items())
    return b"".join(parts) + END


@pytest.mark.parametrize("is_under_way", [False, True], ids=["number to come", "batch under way"])
def test_c5_what_a_start_reads_again_is_not_acknowledged_before_it_landed(
    world: Network, monkeypatch: pytest.MonkeyPatch, is_under_way: bool
) -> None:
    """Else the sender lets go of what never arrived, or takes itself for a node that was set back."""
    send(world, 1)
    ledger = world.nodes[POLICE].opened.ledger
    number = ledger.read().execute("SELECT max(number) + 1 FROM batch_out").fetchone()[0]
    stray = world.mailbox(POLICE) / "up" / f"{number:08d}-0123456789abcdef.batch"
    stray.write_bytes(of_another_format())
    world.nodes[PROVINCE].step()
    stray.unlink()
    for _ in range(3):
        world.round()
    found = world.nodes[PROVINCE].opened.ledger.read().execute("SELECT number, exception FROM batch_in")
    assert (number, "held") in {tuple(row) for row in found}
    put = FolderTransport.put

    def cut(self: FolderTransport, name: str, source: Source) -> bool:
        if self._outgoing is Direction.UP and name.startswith(f"{number:08d}"):
            raise TransportError("the connection was lost")
        return put(self, name, source)

    if is_under_way:
        monkeypatch.setattr(FolderTransport, "put", cut)
        request = DropRequest("info.share", POLICE, PROCURATORATE, world.clock.now(), seed=2, name="drop-2")
        write_drop(make_drop(request), world.agency(POLICE) / "outbox")
        for _ in range(12):
            world.nodes[POLICE].step()
            world.clock.advance(1.0)
    world.nodes[PROVINCE].close()
    world.nodes[PROVINCE].open()
    world.nodes[PROVINCE].step()
    for _ in range(10):
        world.round()
    monkeypatch.setattr(FolderTransport, "put", put)
    send(world, 3)
    assert delivered(world) == (3 if is_under_way else 2)
    assert ("node-set-back",) not in _kinds(world, POLICE)
