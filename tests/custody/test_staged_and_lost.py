"""What was staged and is checked for long is looked at again before it counts (C19, ADR 13)."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.request import DropRequest
from exchanged.errors import CheckTakesLongError
from exchanged.pool import InlinePool
from frontend_server.opened import OpenedWork
from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.receipt import open_receipt
from tests.support.encrypted_lab import documents, drop, encrypting_plan, inbox, rows, status
from tests.support.encrypting import EncryptingPeer
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network


class SlowLane(InlinePool):
    """Opened packets are told once it is no longer busy; known by what is asked, as the slow lane does.

    ``is_quick``: what it finds is found at once, and told later.
    """

    def __init__(self) -> None:
        self.is_busy = self.is_quick = True
        self.answers: dict[OpenedWork, Any] = {}

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        return [
            self._one(function, work)
            if isinstance(work, OpenedWork)
            else super(SlowLane, self).run(function, [work])[0]
            for work in works
        ]

    def _one(self, function: Callable[[Any], Any], work: OpenedWork) -> Any:
        if work not in self.answers and (self.is_quick or not self.is_busy):
            (self.answers[work],) = super().run(function, [work])
        return CheckTakesLongError("a check takes long") if self.is_busy else self.answers.pop(work)


@pytest.fixture
def lane() -> SlowLane:
    return SlowLane()


@pytest.fixture
def network(tmp_path: Path, lane: SlowLane) -> Iterator[Network]:
    made = Network(tmp_path / "lab", encrypting_plan())
    made.nodes[PROCURATORATE].pool = lane
    with made:
        yield made


def staged(network: Network) -> list[Path]:
    """The folders of packets in the private folder beside the inbox."""
    return [path for path in (network.agency(PROCURATORATE) / ".exchanged").iterdir() if path.is_dir()]


def later(network: Network, times: int = 3) -> None:
    for _ in range(times):
        network.clock.advance(300)
        network.run()


@pytest.mark.parametrize("is_quick", [True, False], ids=["checked before", "checked after"])
def test_c19_what_went_away_while_it_was_checked_is_staged_anew(
    network: Network, lane: SlowLane, *, is_quick: bool
) -> None:
    """The share was rolled back, or somebody cleaned up: nothing is concluded from a folder that is gone."""
    lane.is_quick = is_quick
    path = drop(network, "A")
    original = documents(path)
    network.run()
    for folder in staged(network):
        shutil.rmtree(folder)
    lane.is_busy = False
    later(network)
    (folder,) = inbox(network)
    assert documents(folder) == original
    assert status(network, "A")["state"] == "delivered"
    assert staged(network) == []


def test_c19_what_is_another_packet_by_now_is_staged_anew(network: Network, lane: SlowLane) -> None:
    """A share that was rolled back may show what lay there before."""
    original = documents(drop(network, "A"))
    network.run()
    (folder,) = staged(network)
    for path in folder.iterdir():
        path.write_bytes(b"of another day")
    lane.is_busy = False
    later(network)
    (folder,) = inbox(network)
    assert documents(folder) == original


def test_what_was_opened_lies_nowhere_once_its_packet_waits_for_another_reason(
    network: Network, lane: SlowLane
) -> None:
    drop(network, "A")
    network.run()
    (folder,) = staged(network)
    (folder / "packet.xml").unlink()
    lane.is_busy, lane.answers = False, {}
    network.clock.advance(300)
    network.round()
    assert staged(network) == []
    assert rows(network.nodes[PROCURATORATE], "SELECT state FROM destination") == [("arrived",)]
    assert status(network, "A", POLICE)["state"] == "accepted"
    later(network)
    assert status(network, "A")["state"] == "delivered"


def test_what_was_found_of_one_attempt_says_nothing_of_the_next(network: Network, lane: SlowLane) -> None:
    """The parts are the same, packet.xml is another: what it lists is no longer what lies there."""
    network.only(PROVINCE, PROCURATORATE)
    peer = EncryptingPeer(network, POLICE)
    moment = network.clock.now()
    request = DropRequest("prosecution.transfer", POLICE, PROCURATORATE, moment, name="A")
    limit = (moment + timedelta(seconds=60)).isoformat()
    first = peer.seal(replace(request, set_fields={"expires_at": limit}))
    peer.send(first)
    network.run()
    assert len(lane.answers) == 1
    network.clock.advance(90)
    network.run()
    second = peer.seal(
        request,
        attempt=2,
        packet_id=first.key.packet_id,
        edit=lambda data: re.sub(rb'sha256="[0-9a-f]{64}"', b'sha256="%s"' % (b"0" * 64), data, count=1),
    )
    peer.send(second)
    later(network)
    lane.is_busy = False
    later(network)
    trust = network.nodes[PROVINCE].opened.trust
    found = [open_receipt(data, trust.key)[0] for data in peer.items(ItemKind.RECEIPT)]
    assert [(each.kind, each.attempt) for each in found] == [
        (ReceiptKind.ACCEPTED, 1),
        (ReceiptKind.EXPIRED, 1),
        (ReceiptKind.ACCEPTED, 2),
        (ReceiptKind.REFUSED, 2),
    ]
    assert inbox(network) == staged(network) == []
