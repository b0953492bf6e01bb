"""``exchangectl node``: make a node from nothing, and see how it is."""

from __future__ import annotations

import click

from cli.frame import NounGroup

_MEMBERS = {"init": "node_init", "enrol": "node_enrol", "status": "node_status"}


@click.group("node", cls=NounGroup, members=_MEMBERS)
def node() -> None:
    """Make a node, and see how it is."""
