"""A packet that comes alone leaves before its link has looked at anything else (C4, C15, C24)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from exchanged.errors import TransportError
from exchanged.folder_transport import FolderTransport
from exchanged.keys import load_key
from exchanged.link import LinkStation
from exchanged.mailbox import ACKNOWLEDGEMENT_NAME
from exchanged.transport import Listing, Source
from packet_spec.directory import encode_directory, sign_directory
from tests.support.network import POLICE, PROCURATORATE, Network, small_plan

LOOK = "look"


@pytest.fixture
def network(tmp_path: Path) -> Iterator[Network]:
    """The police dials its province; nothing is under way."""
    with Network(tmp_path / "lab", small_plan(POLICE, PROCURATORATE)) as made:
        made.run()
        yield made


@pytest.fixture
def done(network: Network, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the police does at its mailbox, in order: looks, and the names that it puts."""
    found: list[str] = []
    mailbox = network.mailbox(POLICE)
    look, put = FolderTransport.list_names, FolderTransport.put

    def is_ours(transport: FolderTransport) -> bool:
        return (transport._mailbox, transport._outgoing) == (mailbox, "up")

    def looking(self: FolderTransport) -> Listing:
        if is_ours(self):
            found.append(LOOK)
        return look(self)

    def putting(self: FolderTransport, name: str, source: Source) -> bool:
        if is_ours(self):
            found.append(name)
        return put(self, name, source)

    monkeypatch.setattr(FolderTransport, "list_names", looking)
    monkeypatch.setattr(FolderTransport, "put", putting)
    return found


def step_of_link(network: Network, done: list[str]) -> list[str]:
    """The next step of the police's link, when everything else at the police has had its time."""
    node = network.nodes[POLICE]
    for _ in range(5):
        network.clock.advance(1)
        for station in node.stations:
            if not isinstance(station, LinkStation):
                station.step()
    done.clear()
    for station in node.stations:
        if isinstance(station, LinkStation):
            station.step()
    return ["batch" if what.endswith(".batch") else what for what in done if what != ACKNOWLEDGEMENT_NAME]


def drop(network: Network, name: str) -> None:
    request = DropRequest("case.report", POLICE, PROCURATORATE, network.clock.now(), name=name)
    write_drop(make_drop(request), network.agency(POLICE) / "outbox")


def test_c4_a_packet_that_comes_alone_goes_before_the_look(network: Network, done: list[str]) -> None:
    """On a far mailbox the look takes longer than the packet."""
    drop(network, "first")
    assert step_of_link(network, done) == ["batch", LOOK]
    network.run()
    assert len([*(network.agency(PROCURATORATE) / "inbox").glob("*/*/")]) == 1
    drop(network, "second")
    assert step_of_link(network, done) == ["batch", LOOK]


def test_c4_behind_what_is_under_way_the_look_comes_first(network: Network, done: list[str]) -> None:
    """What comes in crowds goes in fewer batches, and what lies there makes room."""
    drop(network, "first")
    step_of_link(network, done)
    drop(network, "second")
    assert step_of_link(network, done) == [LOOK, "batch"]


def test_c15_after_a_start_the_look_comes_first(network: Network, done: list[str]) -> None:
    """What lies there may say that this ledger is an old copy; then nothing may go out under its numbers."""
    drop(network, "first")
    network.nodes[POLICE].die()
    network.nodes[POLICE].open()
    assert step_of_link(network, done) == [LOOK, "batch"]


def test_c4_after_a_failure_the_look_comes_first(
    network: Network, done: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mailbox that takes nothing must not keep what lies there from being landed."""
    put = FolderTransport.put

    def broken(self: FolderTransport, name: str, source: Source) -> bool:
        raise TransportError("cut")

    drop(network, "first")
    monkeypatch.setattr(FolderTransport, "put", broken)
    with pytest.raises(TransportError):
        step_of_link(network, done)
    monkeypatch.setattr(FolderTransport, "put", put)
    assert step_of_link(network, done) == [LOOK, "batch"]


def test_c24_a_newer_directory_goes_before_the_packet(network: Network, done: list[str]) -> None:
    node = network.nodes[POLICE].opened
    newer = replace(node.trust.directory, version=2)
    assert node.trust.offer(sign_directory(encode_directory(newer), [load_key(network.layout.root_key)]))
    drop(network, "first")
    assert step_of_link(network, done) == [LOOK, "directory-2.xml", "batch"]
