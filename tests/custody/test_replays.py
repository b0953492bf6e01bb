"""The same packets again and again, by their own road and by others, at once and after a year (C11, C12, I2).

The province and the receiving front-end are real, the police are driven by hand and send the very bytes once
more, thousands of times, in new and rightly signed batches: at once, after the reader took everything out of
the inbox, after restarts, a day later, a year later, and by the account of somebody else. Nothing may appear
again, and every time the sender is told once more what was decided.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from packet_spec.model import ItemKind, ReceiptKind
from packet_spec.receipt import open_receipt
from tests.custody.test_front_ends import inbox
from tests.support.network import COURT, POLICE, PROCURATORATE, PROVINCE, Network, small_plan
from tests.support.peer import Peer, Sealed
from tests.support.province import Province, publish

DAY = 86_400


@dataclass
class Replayer:
    """The police, and what they sent once."""

    network: Network
    packets: list[Sealed] = field(default_factory=list)
    replays: int = 0
    told: Counter[tuple[str, ReceiptKind]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.police = Peer(self.network, POLICE)
        self.province = Province(self.network, self.police, self.police)

    def rest(self) -> None:
        """Until nothing moves; then the police take and acknowledge what came for them."""
        self.network.run(rounds=200)
        trust = self.network.nodes[PROVINCE].opened.trust
        for data in self.police.items(ItemKind.RECEIPT):
            receipt = open_receipt(data, trust.key)[0]
            self.told[receipt.key.packet_id, receipt.kind] += 1
        self.police.acknowledge()
        self.network.run(rounds=200)

    def replay(self, times: int) -> None:
        """Everything once more, so many times; told again each time it was looked at."""
        before = self.told.copy()
        for _ in range(times):
            self.police.send(*self.packets)
            self.replays += len(self.packets)
        self.rest()
        for packet in self.packets:
            again = (packet.key.packet_id, ReceiptKind.ACCEPTED)
            assert self.told[again] > before[again]

    def renew(self) -> None:
        """A directory that is good for another two years."""
        trust = self.network.nodes[PROVINCE].opened.trust
        now = self.network.clock.now()
        later = replace(
            trust.directory, version=trust.version + 1, issued_at=now, expires_at=now + timedelta(days=730)
        )
        (trust.incoming / "next.xml").write_bytes(publish(self.province, later))


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE, COURT)) as made:
        made.only(PROVINCE, PROCURATORATE)
        yield made


@pytest.mark.parametrize(
    ("packets", "times"), [(5, 2), pytest.param(50, 34, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_f80_what_came_once_never_comes_again(
    network: Network, packets: int, times: int, record_property: Any
) -> None:
    world = Replayer(network)
    world.packets = [world.police.seal(world.province.request(seed=seed)) for seed in range(1, packets + 1)]
    world.police.send(*world.packets)
    world.rest()
    came = {folder.name for folder in inbox(network)}
    assert len(came) == packets
    assert {kind for _, kind in world.told} == {ReceiptKind.ACCEPTED, ReceiptKind.DELIVERED}

    world.replay(times)
    assert {folder.name for folder in inbox(network)} == came
    # The reader takes everything out; nothing that has been there comes back.
    for folder in inbox(network):
        shutil.rmtree(folder)
    world.replay(times)
    for node in network.nodes.values():
        node.die()
        node.open()
    world.replay(times)
    network.clock.advance(DAY)
    world.replay(times)
    world.renew()
    network.clock.advance(366 * DAY)
    network.run(rounds=200)
    world.replay(times)
    assert inbox(network) == []
    # By the account of another agency.
    court = Peer(network, COURT)
    for _ in range(times):
        court.send(*world.packets)
        world.replays += packets
    network.run(rounds=200)
    assert inbox(network) == []
    # And an honest one passes.
    world.police.send(world.police.seal(world.province.request(seed=9_999)))
    network.run(rounds=200)
    assert len(inbox(network)) == 1
    record_property("replays", world.replays)
