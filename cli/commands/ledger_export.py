"""``exchangectl ledger export``: the ledger as lines, to be held against other books."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.locale import _


@click.command("export")
@click.argument("file", required=False, metavar="[FILE]", type=click.Path(path_type=Path))
@click.option("--events", "events", is_flag=True, help="Also every event with its link of the chain.")
@json_option
@click.pass_obj
def ledger_export(settings: Settings, file: Path | None, *, events: bool, as_json: bool) -> None:
    """Write what the ledger knows as lines of JSON, to FILE or to the screen.

    For auditors and for other programs: packets, destinations, receipts with their documents, drops, what
    waits, batches and heads, all of one moment. Reads only, beside a running daemon or without one. The first
    line holds the head of the chain, the last the number of lines: without it the export is not whole. It
    names packets and agencies and holds no content of any packet; findings in receipts may quote values.

    \b
    Example:
      exchangectl ledger export books.jsonl
    """
    import json
    from collections.abc import Iterator
    from contextlib import closing

    from cli.node_view import open_view
    from cli.render import say, say_json
    from exchanged.durable import DurableFiles, Volume
    from exchanged.ledger.exporting import export

    # Closed before the ledger is, also where the file takes no more.
    with open_view(settings) as view, closing(export(view.connection, events=events)) as found:
        code = view.config.node.code

        def lines() -> Iterator[str]:
            for line in found:
                said = {**line, "node": code} if line["line"] == "ledger" else line
                yield json.dumps(said, ensure_ascii=True)

        if file is None:
            for text in lines():
                click.echo(text)
            return
        blocks = (text.encode("ascii") + b"\n" for text in lines())
        size, digest = DurableFiles(Volume.OUTPUT).write_file(file, blocks, mode=0o600)
    if as_json:
        say_json({"file": str(file), "size": size, "sha256": digest})
        return
    said = _("{size} bytes are in {file}; SHA-256 {digest}")
    say(said.format(size=size, file=file, digest=digest))
