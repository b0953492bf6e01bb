"""``exchangectl link authorized-keys``: what the SSH server is told about one account."""

from __future__ import annotations

from pathlib import Path

import click

from cli.frame import Settings, json_option
from cli.render import say, say_json


@click.command("authorized-keys")
@click.argument("account", metavar="ACCOUNT")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The account's keys file, which counts until the directory lists a login key.",
)
@json_option
@click.pass_obj
def link_authorized_keys(settings: Settings, account: str, keys: Path | None, *, as_json: bool) -> None:
    """Print the lines of authorized_keys that open ACCOUNT now; none when it is closed.

    The SSH server asks this of the small program exchanged-keys, which starts faster. Why an account
    is closed says: exchangectl link doors

    \b
    Example:
      exchangectl link authorized-keys ex-620199-01-00
    """
    from cli.jail.answers import answer_of

    answer = answer_of(settings.load(), account, keys)
    if as_json:
        said = {"account": account, "why": answer.why.value, "until": answer.until}
        say_json(said | {"keys": list(answer.lines)})
        return
    for line in answer.lines:
        say(line)
