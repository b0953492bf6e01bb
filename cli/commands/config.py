"""``exchangectl config``: whether a node can run with its configuration."""

from __future__ import annotations

import click

from cli.exit_codes import ExitCode
from cli.frame import Settings, as_called, json_option
from cli.locale import _, told
from cli.render import printable, say, say_json, table


@click.group("config")
def config() -> None:
    """Check the configuration of a node."""


@config.command("check")
@json_option
@click.pass_obj
def check(settings: Settings, *, as_json: bool) -> int:
    """Load the configuration and try whether all that it names can be used.

    In every folder that the node uses, files are made, flushed, renamed and removed; nothing is left
    there, and it may be done beside the running daemon. What a share cannot do is named, with what
    follows from it. As root it acts as the owner of data_dir, as the daemon does.

    A note is no fault: it tells what is different there. Exit code 0: all good, 1: warnings, 2: the node
    would not work.

    \b
    Example:
      exchangectl --config /etc/exchanged/exchanged.toml config check
    """
    from cli.checks import CheckState, check_node
    from cli.service_user import call_as_owner
    from cli.unit_places import check_unit, drop_in, shut_places
    from exchanged.clock import SystemClock, SystemRandomness

    loaded = settings.load()
    words = ["config", "check", *(["--json"] if as_json else [])]
    done = call_as_owner(loaded.node.data_dir, settings.config_path, words)
    if done is not None:
        return done
    path = settings.config_path.absolute()
    checks = (*check_node(loaded, SystemClock().now(), SystemRandomness()), *check_unit(loaded, path))
    lines = drop_in(shut_places(loaded, path))
    states = {found.state for found in checks}
    if as_json:
        say_json({"config": settings.config_path, "checks": checks, "drop_in": lines})
    else:
        rows = [(told(each.name, "value"), each.state, as_called(told(each.text), path)) for each in checks]
        say(table((_("check"), _("state"), _("detail")), rows))
        if lines:
            say()
        for line in lines:
            say(printable(line))
    if CheckState.PROBLEM in states:
        return ExitCode.USAGE
    return ExitCode.FINDINGS if CheckState.WARNING in states else ExitCode.DONE
