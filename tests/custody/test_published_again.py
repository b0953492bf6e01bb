"""A directory or pack that was damaged in the mailbox, or wrongly read, comes all the same (C24)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.pack.source import build_pack
from exchanged.folder_transport import FolderTransport
from exchanged.hourly import AN_HOUR
from exchanged.published import DIRECTORIES_A_STEP
from exchanged.transport import Fetched, Source
from packet_spec.model import PackReference
from packet_spec.pack import read_pack, shipped_pack
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, Network, SimulatedNode, small_plan
from tests.support.province import Province, link_to, node, publish
from tests.support.publishing import signed

LOCAL = build_pack(Path(__file__).resolve().parents[2] / "examples" / "local-pack")
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as network:
        network.run()
        yield network


def test_c24_a_directory_that_was_damaged_in_the_mailbox_is_put_again(network: Network) -> None:
    province, reader = network.nodes[PROVINCE], network.nodes[PROCURATORATE]
    newer = replace(province.opened.trust.directory, version=2)
    province.opened.trust.offer(signed(network, newer))
    step_link(province, PROCURATORATE)
    damage(network.mailbox(PROCURATORATE) / "down" / "directory-2.xml")
    two_hours(network)
    assert reader.opened.trust.version == 2
    assert not (network.mailbox(PROCURATORATE) / "down" / "directory-2.xml").exists()


def test_c24_a_pack_that_was_damaged_in_the_mailbox_is_put_again(network: Network) -> None:
    province, reader = network.nodes[PROVINCE], network.nodes[PROCURATORATE]
    local, shipped = read_pack(LOCAL), shipped_pack()
    packs = tuple(
        PackReference(each.name, each.version, each.digest, LONG_AGO) for each in (shipped, local)
    )
    newer = replace(province.opened.trust.directory, version=2, packs=packs)
    province.opened.trust.offer(signed(network, newer))
    province.opened.packs.offer(LOCAL, newer)
    lying = network.mailbox(PROCURATORATE) / "down" / f"{local.digest}.pack"
    for _ in range(10):
        reader.step()
        province.step()
        network.clock.advance(1.0)
        if lying.exists():
            break
    damage(lying)
    two_hours(network)
    assert reader.opened.packs.has(local.digest)
    assert not lying.exists()


@pytest.mark.parametrize("waits", [0.0, 20 * MINUTE], ids=["replaced", "wrongly read"])
def test_c24_what_was_refused_is_read_again(
    province: Province, monkeypatch: pytest.MonkeyPatch, waits: float
) -> None:
    """At once when another file lies there, and after a while when it is the same."""
    good = publish(province, replace(node(province).opened.trust.directory, version=2))
    path = province.police.mailbox / "up" / "directory-2.xml"
    path.write_bytes(good if waits else flipped(good))
    with monkeypatch.context() as patch:
        if waits:
            patch.setattr(FolderTransport, "fetch", wrongly(FolderTransport.fetch))
        look(province)
    look(province)
    assert node(province).opened.trust.version == 1
    if not waits:
        beside = path.with_name(".directory-2.xml.part")
        beside.write_bytes(good)
        beside.rename(path)
    province.network.clock.advance(waits)
    look(province)
    assert node(province).opened.trust.version == 2


def test_what_stays_bad_is_read_a_few_times_a_day(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = province.police.mailbox / "up" / "directory-2.xml"
    path.write_bytes(b"no directory")
    read = counted(monkeypatch)
    for _ in range(int(2 * DAY / (10 * MINUTE))):
        look(province)
        province.network.clock.advance(10 * MINUTE)
    assert 2 <= read.count(path.name) <= 9
    assert len(province.events("mailbox-file-refused")) == 1


def test_who_lays_ever_other_files_is_read_a_few_at_a_look(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = counted(monkeypatch)
    for turn in range(1, 6):
        for version in range(2, 2 + 3 * DIRECTORIES_A_STEP):
            path = province.police.mailbox / "up" / f"directory-{version}.xml"
            path.write_bytes(b"no directory" * turn)
        look(province)
        assert len(read) == turn * DIRECTORIES_A_STEP
    assert len(province.events("mailbox-file-refused")) == AN_HOUR


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read from now on."""
    read: list[str] = []
    fetch = FolderTransport.fetch

    def count(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        read.append(name)
        return fetch(self, name, target, limit_bytes=limit_bytes)

    monkeypatch.setattr(FolderTransport, "fetch", count)
    return read


def test_a_neighbour_that_never_takes_a_directory_has_it_put_a_few_times_a_day(
    province: Province, monkeypatch: pytest.MonkeyPatch
) -> None:
    put: list[str] = []
    whole = FolderTransport.put

    def count(self: FolderTransport, name: str, source: Source) -> bool:
        put.append(name)
        return whole(self, name, source)

    monkeypatch.setattr(FolderTransport, "put", count)
    trust = node(province).opened.trust
    trust.offer(publish(province, replace(trust.directory, version=2)))
    police = province.police
    for _ in range(int(2 * DAY / (10 * MINUTE))):
        police.greet()
        link_to(province, POLICE).step()
        province.network.clock.advance(10 * MINUTE)
    assert 2 <= put.count("directory-2.xml") <= 9
    # Of one that says nothing nothing is concluded.
    put.clear()
    for _ in range(20):
        link_to(province, POLICE).step()
        province.network.clock.advance(HOUR)
    assert put.count("directory-2.xml") <= 1


def step_link(simulated: SimulatedNode, agency: str) -> None:
    name = f"link:{simulated.opened.links.name_of(agency)}"
    next(each for each in simulated.stations if each.name == name).step()


def look(province: Province) -> None:
    link_to(province, POLICE).step()


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def damage(path: Path) -> None:
    """One bit, where it lies."""
    path.write_bytes(flipped(path.read_bytes()))


def wrongly(fetch: Callable[..., Fetched]) -> Callable[..., Fetched]:
    """The file is whole, and what is read of a directory is not."""

    def read(self: FolderTransport, name: str, target: Path, *, limit_bytes: int) -> Fetched:
        fetched = fetch(self, name, target, limit_bytes=limit_bytes)
        if name.startswith("directory-"):
            damage(target)
        return fetched

    return read


def two_hours(network: Network) -> None:
    """With some traffic in them."""
    for seed in range(1, 5):
        created = network.clock.now()
        request = DropRequest("info.share", POLICE, PROCURATORATE, created, seed=seed, name=f"drop-{seed}")
        write_drop(make_drop(request), network.agency(POLICE) / "outbox")
        network.run()
        network.clock.advance(30 * MINUTE)
