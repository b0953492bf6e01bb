"""Labs whose nodes have other names and roles than a plan can give them, changed before any was opened."""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace

from exchanged.config import load_config
from exchanged.places import DOOR_FOLDER
from frontend_server.folders import INBOX, MARKER_NAME, OUTBOX, write_marker
from packet_spec.directory import open_directory
from packet_spec.model import Directory, DirectoryNode
from tests.support.network import Network
from tests.support.publishing import signed


def rename_node(
    network: Network,
    old: str,
    new: str,
    change: Callable[[DirectoryNode], DirectoryNode] = lambda node: node,
    edit: Callable[[str], str] = lambda text: text,
    admits: Container[str] = (),
) -> None:
    """The node ``old`` is called ``new`` in the directory and in every configuration.

    ``change`` is made in its entry, ``edit`` in its configuration; it ``admits`` these agencies from now on.
    ``network.nodes`` keeps the old name.
    """
    layout = network.layout
    for code, node in network.nodes.items():
        path = layout.config(code)
        text = path.read_text("utf-8").replace(f'peer = "{old}"', f'peer = "{new}"')
        if code == old:
            agency = f'\nagency = "{old}"' if node.config.node.agency else ""
            text = edit(text.replace(f'code = "{old}"', f'code = "{new}"{agency}'))
        path.write_text(text, "utf-8")
        node.config = load_config(path)
        for folder in ("directory", DOOR_FOLDER):
            published = layout.data(code) / folder / "directory-1.xml"
            if published.exists():
                directory = open_directory(published.read_bytes(), node.config.keys.roots, 1)
                published.write_bytes(signed(network, _renamed(directory, old, new, change, admits)))
    for folder in (OUTBOX, INBOX):
        place = layout.agency(old) / folder
        if place.exists():
            (place / MARKER_NAME).unlink()
            write_marker(place, new, "a" * 32)


def _renamed(
    directory: Directory,
    old: str,
    new: str,
    change: Callable[[DirectoryNode], DirectoryNode],
    admits: Container[str],
) -> Directory:
    names = {old: new}
    return replace(
        directory,
        nodes=tuple(
            replace(
                change(node) if node.code == old else node,
                code=names.get(node.code, node.code),
                parent=names.get(node.parent, node.parent),
            )
            for node in directory.nodes
        ),
        agencies=tuple(
            replace(
                agency,
                node=names.get(agency.node, agency.node),
                admitting_node=new
                if agency.code in admits
                else names.get(agency.admitting_node, agency.admitting_node),
            )
            for agency in directory.agencies
        ),
    )
