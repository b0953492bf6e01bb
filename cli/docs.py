"""The generated pages of docs/: ``python -m cli.docs`` writes them anew, ``--check`` compares.

Guarantees: states, commands, errors, findings and configuration keys are described where they are
defined and nowhere else; the pages are the same on every machine. Runs in a checkout only. Leaves to
others: every other page of docs/.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from cli.docs_errors import errors_page, findings_page
from cli.docs_text import page, plain, table
from cli.exit_codes import ExitCode
from exchanged.states import (
    FINAL_DESTINATIONS,
    TRANSITIONS,
    ArrivalState,
    DestinationState,
    DropState,
    PacketState,
    Transition,
)

ROOT: Final = Path(__file__).resolve().parents[1]

_COLUMNS: Final = 100
# "key = value", also behind the mark of a comment: a default.
_KEY: Final = re.compile(r"(# )?([a-z_0-9]+) = (.+)")
_SECTION: Final = re.compile(r"\[\[?([a-z_]+)\]\]?")


def generate() -> dict[str, str]:
    """Every generated page: name in docs/ -> text. Raises DocumentationError."""
    return {name: make() for name, make in _PAGES.items()}


def check(pages: Mapping[str, str], folder: Path) -> list[str]:
    """The pages in ``folder`` that are missing or differ."""
    return [name for name, text in pages.items() if _read(folder / name) != text]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


# --- states -------------------------------------------------------------------------------------

_MACHINES: Final = (
    (ArrivalState, "Arrival", "One item that a link brought, until it is judged."),
    (PacketState, "Packet", "A packet as a whole, once it was sealed or judged at this node."),
    (
        DestinationState,
        "Destination",
        "A packet for one recipient. In a final state nothing more is owed; a later receipt may tell more.",
    ),
    (DropState, "Drop", "What case software put into the outbox."),
)
_ABOUT_STATES: Final = """\
States, events and transitions are one table, `exchanged/states.py`; an event that it does not allow raises
`illegal-transition`. C numbers name rules of custody."""


def _state_machine() -> str:
    parts = [_ABOUT_STATES]
    for states, title, meaning in _MACHINES:
        transitions = [line for line in TRANSITIONS if isinstance(line.source, states)]
        final = [state.value for state in states if all(line.source is not state for line in transitions)]
        if states is DestinationState:
            final = sorted(state.value for state in FINAL_DESTINATIONS)
        ends = ", ".join(f"`{state}`" for state in final) or "none, because a higher attempt may follow"
        rows = [(line.source, line.event, line.target, line.meaning) for line in transitions]
        parts += [
            f"## {title}",
            meaning,
            f"Final: {ends}.",
            _diagram(transitions),
            table(("From", "Event", "To", "Meaning"), rows),
        ]
    return page("States", "exchanged/states.py", *parts)


def _diagram(transitions: Sequence[Transition]) -> str:
    """A picture with one arrow for each pair of states, whatever the number of events."""
    names = dict.fromkeys(str(state) for line in transitions for state in (line.source, line.target))
    arrows: dict[tuple[str, str], list[str]] = {}
    for line in transitions:
        arrows.setdefault((str(line.source), str(line.target)), []).append(str(line.event))
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{name}" as {_identifier(name)}' for name in names]
    lines += [
        f"    {_identifier(source)} --> {_identifier(target)}: {', '.join(events)}"
        for (source, target), events in arrows.items()
    ]
    return "\n".join([*lines, "```"])


def _identifier(name: str) -> str:
    return name.replace("-", "_")


# --- commands -----------------------------------------------------------------------------------

_ABOUT_COMMANDS: Final = """\
Two programs: `exchangectl` is the operator's tool, `exchanged` the daemon. Every command that tells something
can tell it as JSON (`--json`), and every one explains itself (`--help`)."""


def _commands() -> str:
    from cli.daemon import exchanged  # noqa: PLC0415 - the daemon's libraries, for its help only
    from cli.main import NAME, exchangectl  # noqa: PLC0415

    parts = [
        _ABOUT_COMMANDS,
        "## Exit codes",
        table(("Code", "Name", "Says"), [*_exit_codes()]),
        *_helps(
            click.Context(
                exchangectl, info_name=NAME, terminal_width=_COLUMNS, **exchangectl.context_settings
            )
        ),
        *_helps(click.Context(exchanged, info_name="exchanged", terminal_width=_COLUMNS)),
    ]
    return page("Commands", "the help of each command", *parts)


def _exit_codes() -> Iterator[tuple[str, str, str]]:
    """Each code with the text that stands under it in the source: enums keep no docstrings of members."""
    (definition,) = ast.parse(inspect.getsource(ExitCode)).body
    statements = definition.body if isinstance(definition, ast.ClassDef) else []
    said: dict[str, str] = {}
    for member, text in pairwise(statements):
        if isinstance(member, ast.Assign) and isinstance(member.targets[0], ast.Name):
            said[member.targets[0].id] = "Done."
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                said[member.targets[0].id] = str(text.value.value)
    for code in ExitCode:
        yield str(int(code)), code.name.lower().replace("_", " "), said[code.name]


def _helps(context: click.Context) -> Iterator[str]:
    """The help of a command, then of its members."""
    command = context.command
    yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            member = command.get_command(context, name)
            if member is not None and not member.hidden:
                yield from _helps(
                    click.Context(member, info_name=name, parent=context, terminal_width=_COLUMNS)
                )


# --- configuration ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Section:
    """One section of the example: its heading as written, what is said of it, its keys."""

    heading: str
    about: list[str]
    rows: list[tuple[str, str, str]] = field(default_factory=list)


def _configuration() -> str:
    example = (ROOT / "examples" / "exchanged.toml").read_text(encoding="utf-8")
    head, sections = _read_example(example)
    parts = [plain(" ".join(head))]
    for section in sections:
        parts.append(f"## {section.heading}")
        if section.about:
            parts.append(plain(" ".join(section.about)))
        parts.append(table(("Key", "Default", "Meaning"), section.rows))
    return page("Configuration", "examples/exchanged.toml", *parts)


def _read_example(text: str) -> tuple[list[str], list[_Section]]:
    """What stands before the first section, and the sections. A commented key shows its default."""
    head: list[str] = []
    sections: list[_Section] = []
    said: list[str] = []
    for line in text.splitlines():
        key, section = _KEY.fullmatch(line), _SECTION.fullmatch(line)
        if section is not None:
            sections.append(_Section(f"`{line}`", said))
            said = []
        elif key is not None and sections:
            default = f"`{key[3]}`" if key[1] else f"required, e.g. `{_shortened(key[3])}`"
            sections[-1].rows.append((f"`{key[2]}`", default, " ".join(said)))
            said = []
        elif line.startswith("#"):
            said.append(line.removeprefix("#").strip())
        elif not line and not sections:
            head, said = head + said, []
    return head, sections


def _shortened(value: str) -> str:
    return value if len(value) <= 60 else f"{value[:57]}..."


_PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "state-machine.md": _state_machine,
        "cli.md": _commands,
        "errors.md": errors_page,
        "findings.md": findings_page,
        "configuration.md": _configuration,
    }
)


@click.command()
@click.option("--check", "only_check", is_flag=True, help="Only compare; exit code 1 when a page differs.")
def main(only_check: bool) -> None:
    """Write the generated pages of docs/ anew."""
    folder = ROOT / "docs"
    pages = generate()
    differing = check(pages, folder)
    if not only_check:
        folder.mkdir(exist_ok=True)
        for name in differing:
            (folder / name).write_text(pages[name], encoding="utf-8")
    for name in differing:
        click.echo(f"docs/{name}: {'differs; run: ./run docs' if only_check else 'written'}")
    sys.exit(ExitCode.FINDINGS if only_check and differing else ExitCode.DONE)


if __name__ == "__main__":
    # The pages are in English whoever writes them; help texts are translated when they are loaded.
    os.environ["EXCHANGED_LOCALE"] = "en"
    main()
