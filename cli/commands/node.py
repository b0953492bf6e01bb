"""``exchangectl node``: make a node from nothing, see how it is, put a backup in its place."""

from __future__ import annotations

import click

from cli.frame import NounGroup


@click.group(
    "node",
    cls=NounGroup,
    members={"init": "node_init", "status": "node_status", "restore": "node_restore"},
)
def node() -> None:
    """Make a node, see how it is, put a backup in its place."""
