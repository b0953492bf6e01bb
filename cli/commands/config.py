"""``exchangectl config``: whether a node can run with its configuration."""

from __future__ import annotations

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, json_option
from cli.locale import _, told
from cli.render import say, say_json, table


@click.group("config")
def config() -> None:
    """Check the configuration of a node."""


@config.command("check")
@json_option
@click.pass_obj
def check(settings: Settings, *, as_json: bool) -> int:
    """Load the configuration and look whether all that it names can be used.

    Looks at keys, folders, mailboxes and the installed directory; changes nothing. Run it as the
    daemon's user. Exit code 0: all good, 1: warnings, 2: the node would not work.

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml config check
    """
    from cli.checks import CheckState, check_node
    from exchanged.clock import SystemClock

    checks = check_node(settings.load(), SystemClock().now())
    states = {found.state for found in checks}
    if as_json:
        say_json({"config": settings.config_path, "checks": checks})
    else:
        rows = [(told(found.name, "value"), found.state, told(found.detail)) for found in checks]
        say(table((_("check"), _("state"), _("detail")), rows))
    if CheckState.PROBLEM in states:
        return ExitCode.USAGE
    return ExitCode.FINDINGS if CheckState.WARNING in states else ExitCode.DONE
