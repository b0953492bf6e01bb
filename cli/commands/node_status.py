"""``exchangectl node status``: how a node is, on one screen."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from cli.frame import Settings, as_called, json_option
from cli.locale import _
from cli.render import display_width, printable, say, say_json, wrap

if TYPE_CHECKING:
    from pathlib import Path

    from cli.node_status import NodeStatus
    from cli.status_lines import StatusLine

# One screen of 24 lines: a heading, a last line and the prompt leave this many.
_LINES: Final = 20
_COLUMNS: Final = 80
_LINKS: Final = 5
_RANK: Final = {"problem": 0, "warning": 1, "good": 2}
_MARKS: Final = {"good": " ", "warning": "?", "problem": "!"}


@click.command("status")
@click.option("--all", "show_all", is_flag=True, help="Every line, however many links there are.")
@json_option
@click.pass_obj
def node_status(settings: Settings, *, show_all: bool, as_json: bool) -> int:
    """Tell on one screen how this node is: daemon, disk, clock, folders, links, ledger, queue, keys.

    A line that begins with ! does not work, one with ? is worth a look. For a monitoring program the
    exit code says the gravest: 0 all good, 1 warnings, 3 something does not work that may come back
    (daemon, link, disk, clock), 2 something that a person must put right (folder, key, directory,
    configuration), 6 ledger or volume damaged. Run it as root or as the daemon's user.

    \b
    Example:
      exchangectl node status
    """
    from cli.node_status import look_at
    from exchanged.clock import SystemClock

    status = look_at(settings.load(), SystemClock().now())
    if as_json:
        say_json({"exit_code": int(status.exit_code), "status": status})
    else:
        _tell(status, settings.config_path, show_all=show_all)
    return status.exit_code


def _tell(status: NodeStatus, config_path: Path, *, show_all: bool) -> None:
    who = f"{status.node} ({_(status.role)})"
    say(_("node {who} at {at}").format(who=who, at=status.at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")))
    widest = _widest(status.lines)
    blocks = [
        (line.state.value, _block(replace(line, detail=as_called(line.detail, config_path)), widest))
        for line in _gathered(status, show_all)
    ]
    hidden: set[int] = set() if show_all else _too_many(blocks)
    for number, (_state, block) in enumerate(blocks):
        if number not in hidden:
            say(block)
    if hidden:
        say(_("{count} more lines, no worse than these: --all shows them").format(count=len(hidden)))


def _gathered(status: NodeStatus, show_all: bool) -> tuple[StatusLine, ...]:
    """Many good links are one line, in the place of the first."""
    from cli.status_lines import good

    fine = [line for line in status.lines if line.of_link and line.state.value == "good"]
    if show_all or len(fine) <= _LINKS:
        return status.lines
    one = good(_("links"), _("{count} are good: exchangectl link list").format(count=len(fine)))
    return tuple(one if line is fine[0] else line for line in status.lines if line not in fine[1:])


def _widest(lines: tuple[StatusLine, ...]) -> int:
    return max(display_width(line.name) for line in lines)


def _block(line: StatusLine, widest: int) -> str:
    """A line, wrapped under its own text where it is longer than the screen is wide."""
    gap = " " * (widest - display_width(line.name))
    rows = wrap(printable(line.detail), _COLUMNS - widest - 4)
    below = (" " * (widest + 4) + row for row in rows[1:])
    return "\n".join([f"{_MARKS[line.state.value]} {line.name}{gap}  {rows[0]}", *below])


def _too_many(blocks: list[tuple[str, str]]) -> set[int]:
    """Which blocks do not fit the screen: what is good goes first, problems stay, the last ones go first."""
    order = sorted(range(len(blocks)), key=lambda number: (_RANK[blocks[number][0]], number))
    room, kept = _LINES, set()
    for number in order:
        room -= blocks[number][1].count("\n") + 1
        if room < 0:
            break
        kept.add(number)
    return set(range(len(blocks))) - kept
