"""``exchangectl node``: make a node from nothing, see how it is, put a backup in its place."""

from __future__ import annotations

import click

from cli.frame import NounGroup

_MEMBERS = {
    "init": "node_init",
    "enrol": "node_enrol",
    "status": "node_status",
    "restore": "node_restore",
    "confirm-clock": "node_confirm_clock",
}


@click.group("node", cls=NounGroup, members=_MEMBERS)
def node() -> None:
    """Make a node, see how it is, put a backup in its place."""
