"""``exchangectl node``: make a node from nothing, and see how it is."""

from __future__ import annotations

import click

from cli.frame import NounGroup


@click.group("node", cls=NounGroup, members={"init": "node_init", "status": "node_status"})
def node() -> None:
    """Make a node, and see how it is."""
