"""``exchangectl backup``: take backups of a node, and see whether one is whole."""

from __future__ import annotations

import click

from cli.frame import NounGroup


@click.group("backup", cls=NounGroup, members={"create": "backup_create", "verify": "backup_verify"})
def backup() -> None:
    """Take backups, and see whether one is whole."""
