"""The commented configuration of a new node, made from the example that documents every key.

``node_template.toml`` is ``examples/exchanged.toml`` itself (a link in the source tree), so a key, default
or reason stands in one place. Guarantees: every value that is set replaces a line of the template, and one
for which the template has no line is an error, which a test finds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

Values = Mapping[str, str | int | Sequence[str]]

_HEADER: Final = re.compile(r"\[{1,2}([a-z_]+)\]{1,2}")
_KEY: Final = re.compile(r"(# )?([a-z][a-z0-9_]*) = .*")
_LINK: Final = "link"


@dataclass(frozen=True, slots=True)
class _Block:
    """One section of the template with the comment above it; ``name`` is empty for what comes first."""

    name: str
    lines: tuple[str, ...]


def render_config(sections: Mapping[str, Values], links: Sequence[Values]) -> str:
    """The text of a configuration. A section that ``sections`` does not name keeps its defaults.

    The section [folders] is left out unless it is named, because only front-ends have one. Raises ValueError
    for a section or key that the template does not have.
    """
    blocks = _blocks(template())
    unknown = set(sections) - {block.name for block in blocks}
    if unknown:
        raise ValueError(f"the template has no section {', '.join(sorted(unknown))}")
    text: list[str] = []
    for block in blocks:
        if block.name == _LINK:
            for number, values in enumerate(links):
                text += _filled(block, values, is_only=True) if number == 0 else _bare(values)
            if not links:
                text += [line if line.startswith("#") or not line else f"# {line}" for line in block.lines]
        elif block.name != "folders" or "folders" in sections:
            text += _filled(block, sections.get(block.name, {}), is_only=False)
    return "\n".join(text).rstrip("\n") + "\n"


def template() -> str:
    """The example configuration."""
    return files("cli").joinpath("node_template.toml").read_text(encoding="utf-8")


def _blocks(text: str) -> list[_Block]:
    """The template cut at its section headers; the comment lines right above one belong to it."""
    blocks: list[_Block] = []
    name, lines = "", list[str]()
    for line in text.splitlines():
        header = _HEADER.fullmatch(line)
        if header is not None:
            start = len(lines)
            while start and lines[start - 1].startswith("# ") and _KEY.fullmatch(lines[start - 1]) is None:
                start -= 1
            blocks.append(_Block(name, tuple(lines[:start])))
            name, lines = header[1], lines[start:]
        lines.append(line)
    blocks.append(_Block(name, tuple(lines)))
    return blocks


def _filled(block: _Block, values: Values, *, is_only: bool) -> list[str]:
    """The block with its values set. ``is_only``: what is not set is commented out, else it stays."""
    left = dict(values)
    lines: list[str] = []
    for line in block.lines:
        match = _KEY.fullmatch(line)
        if match is None:
            lines.append(line)
        elif match[2] in left:
            lines.append(_line(match[2], left.pop(match[2])))
        elif is_only and match[1] is None:
            lines.append(f"# {line}")
        else:
            lines.append(line)
    if left:
        raise ValueError(f"the template has no key {', '.join(sorted(left))} in [{block.name}]")
    return lines


def _bare(values: Values) -> list[str]:
    """A further link: its keys are explained at the first."""
    return ["[[link]]", *(_line(key, value) for key, value in values.items()), ""]


def _line(key: str, value: str | int | Sequence[str]) -> str:
    # The strings of JSON are strings of TOML too.
    shown = value if isinstance(value, str | int) else list(value)
    return f"{key} = {json.dumps(shown, ensure_ascii=False)}"
