"""Every command that a page, a hint or a message of the command line names can be called."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from cli.main import NAME, NOUNS, exchangectl

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = (
    "README*.md", "CONTRIBUTING.md", "SECURITY.md", "docs/architecture.md", "docs/packet-format.md",
    "docs/glossary.md", "docs/operating.md", "docs/vendor.md", "docs/adr/*.md", "examples/*.toml",
    "examples/vendor/*.md", "cli/**/*.py", "cli/kit/text/**/*.md", "frontend_server/*.py",
    "exchanged/**/*.py", "packet_spec/**/*.py",
)  # fmt: skip
# Noun and verb. A noun alone is named too, and "exchangectl demo" has no verb.
_NAMED = re.compile(r"exchangectl (?:--config [^ ]+ )?([a-z]+)(?: ([a-z]+(?:-[a-z]+)*))?")


def commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group, info_name=NAME)
    for name in group.list_commands(context):
        member = group.get_command(context, name)
        if isinstance(member, click.Group):
            yield from commands(member, (*before, name))
        else:
            yield (*before, name)


def text_of(file: Path) -> str:
    """What a file says; of a program its texts, each put together from the lines that it stands on."""
    text = file.read_text(encoding="utf-8")
    if file.suffix != ".py":
        return text
    nodes = ast.walk(ast.parse(text))
    return "\n".join(
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_every_command_has_help_with_an_example_and_json() -> None:
    found = sorted(commands(exchangectl))
    assert len(found) > 20
    for path in found:
        member: click.Command = exchangectl
        for name in path:
            assert isinstance(member, click.Group)
            following = member.get_command(click.Context(member), name)
            assert following is not None
            member = following
        assert "--json" in [option for each in member.params for option in each.opts], path
        assert f"{NAME} " in (member.help or "").partition("\b")[2], path


@pytest.mark.parametrize("pattern", WRITTEN)
def test_a_command_that_is_named_exists(pattern: str) -> None:
    known = set(commands(exchangectl))
    files = sorted(ROOT.glob(pattern))
    assert files
    for file in files:
        for noun, verb in _NAMED.findall(text_of(file)):
            if noun in NOUNS and verb:
                assert (noun,) in known or (noun, verb) in known, f"{file.name}: exchangectl {noun} {verb}"
