"""``exchangectl link``: the links of a node, acts on them, and the jail of an account."""

from __future__ import annotations

import click

from cli.frame import NounGroup


@click.group(
    "link",
    cls=NounGroup,
    members={
        "list": "link_list",
        "show": "link_show",
        "test": "link_test",
        "pause": "link_pause",
        "resume": "link_resume",
        "accept": "link_accept",
        "skip": "link_skip",
        "jail": "link_jail",
        "doors": "link_doors",
        "authorized-keys": "link_authorized_keys",
    },
)
def link() -> None:
    """Links: their state, acts on them, and the jail of an account."""
