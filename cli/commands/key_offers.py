"""``exchangectl key offers``: which new keys nodes have ready for the next directory."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.locale import _
from cli.node_view import open_view
from cli.render import local_time, say, say_json, table


@click.command("offers")
@click.option(
    "--output", type=click.Path(path_type=Path), help="Write them into this file, for directory next."
)
@json_option
@click.pass_obj
def key_offers(settings: Settings, output: Path | None, *, as_json: bool) -> None:
    """List the new keys that nodes have offered and that the directory does not list yet.

    At the provincial node, where the offers of all nodes come in. A node offers keys by itself when the
    directory asks for them (key rotate) and 60 days before its keys end. What it offered before one of its
    keys was revoked, or before it was disabled, is not listed: a thief may have offered it.

    \b
    Example:
      exchangectl key offers --output offers.json
    """
    from cli.key_offer_file import write_offers
    from exchanged.ledger.key_offers import every

    with open_view(settings) as view:
        directory = view.directory()
        listed = {key.key_id for node in (directory.nodes if directory else ()) for key in node.keys}
        rows = [
            row
            for row in every(view.connection)
            if row.key.key_id not in listed and (directory is None or row.is_good(directory))
        ]
    if output is not None:
        write_offers(output, ((row.node, row.key, row.revoked) for row in rows))
    if as_json:
        say_json(
            [{"node": row.node, "use": row.key.use, "key_id": row.key.key_id, "at": row.at} for row in rows]
        )
    elif rows:
        headers = (_("node"), _("use"), _("key id"), _("offered"))
        say(
            table(
                headers, [(row.node, row.key.use.value, row.key.key_id, local_time(row.at)) for row in rows]
            )
        )
    else:
        say(_("no node offers a key that is not listed yet"))
