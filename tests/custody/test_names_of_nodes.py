"""C21: a node whose code is not its agency's speaks in its own name where it speaks as the admitting node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exchanged.config import load_config
from exchanged.places import DOOR_FOLDER
from frontend_server.folders import INBOX, MARKER_NAME, OUTBOX, write_marker
from packet_spec.directory import open_directory
from packet_spec.model import Directory
from tests.support.bridging import alone, check_books, check_whole, rows, send, status
from tests.support.network import POLICE, PROCURATORATE, Network
from tests.support.publishing import signed

NODE = "620199-03-01"


def with_a_node_of_another_name(directory: Directory) -> Directory:
    """The procuratorate's node is called NODE, wherever it stands."""
    nodes = [
        replace(node, code=NODE if node.code == PROCURATORATE else node.code) for node in directory.nodes
    ]
    nodes = [replace(node, parent=NODE if node.parent == PROCURATORATE else node.parent) for node in nodes]
    agencies = [
        replace(
            agency,
            node=NODE if agency.node == PROCURATORATE else agency.node,
            admitting_node=NODE if agency.admitting_node == PROCURATORATE else agency.admitting_node,
        )
        for agency in directory.agencies
    ]
    return replace(directory, nodes=tuple(nodes), agencies=tuple(agencies))


def rename(network: Network) -> None:
    """Before any node was opened."""
    layout = network.layout
    for folder in (OUTBOX, INBOX):
        place = layout.agency(PROCURATORATE) / folder
        (place / MARKER_NAME).unlink()
        write_marker(place, NODE, "a" * 32)
    for code, node in network.nodes.items():
        path = layout.config(code)
        text = path.read_text("utf-8").replace(f'peer = "{PROCURATORATE}"', f'peer = "{NODE}"')
        text = text.replace(f'code = "{PROCURATORATE}"', f'code = "{NODE}"\nagency = "{PROCURATORATE}"')
        path.write_text(f'{text}\n[rules]\nsequence = "enforce"\n', "utf-8")
        node.config = load_config(path)
        for folder in ("directory", DOOR_FOLDER):
            published = layout.data(code) / folder / "directory-1.xml"
            if published.exists():
                directory = open_directory(published.read_bytes(), node.config.keys.roots, 1)
                published.write_bytes(signed(network, with_a_node_of_another_name(directory)))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path / "lab", alone())
    rename(network)
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
