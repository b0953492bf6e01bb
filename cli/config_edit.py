"""Set keys of a configuration that a person may have edited, and leave every other line as it is.

Guarantees: what comes out says exactly what went in but for the keys that were set; where a line is written
in a way that this does not read, it gives up and changes nothing. Leaves to others: writing the file.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from exchanged.errors import ConfigurationError

Values = Mapping[str, str | int | Sequence[str]]

_HEADER: Final = re.compile(r"\s*(\[{1,2})\s*([a-z_]+)\s*\]{1,2}\s*(?:#.*)?")
_KEY: Final = re.compile(r"(?:# )?([a-z][a-z0-9_]*) = .*")


def edit_config(text: str, sections: Mapping[str, Values], links: Mapping[str, Values]) -> str:
    """``text`` with keys of sections, and of the links to the named peers, set.

    Raises ConfigurationError when a section or link is not there, or cannot be edited without changing more.
    """
    lines = text.split("\n")
    before = tomllib.loads(text)
    wanted = _applied(before, sections, links)
    # From the end, so that the numbers of lines before stay true.
    for first, last, name, number in reversed(_blocks(lines)):
        values = sections.get(name, {})
        if name == "link":
            values = links.get(str(before["link"][number].get("peer", "")), {})
        if values:
            lines[first:last] = _filled(lines[first:last], values)
    edited = "\n".join(lines)
    try:
        after = tomllib.loads(edited)
    except tomllib.TOMLDecodeError:
        after = {}
    if after != wanted:
        raise ConfigurationError(
            ("it is written in a way that this command cannot edit: put the values in by hand",)
        )
    return edited


def _applied(
    before: dict[str, Any], sections: Mapping[str, Values], links: Mapping[str, Values]
) -> dict[str, Any]:
    wanted: dict[str, Any] = dict(before)
    for name, values in sections.items():
        if not isinstance(before.get(name), dict):
            raise ConfigurationError((f"[{name}]: the section is not there",))
        wanted[name] = before[name] | _plain(values)
    entries = [dict(entry) for entry in before.get("link", ())]
    for peer, values in links.items():
        meant = [entry for entry in entries if entry.get("peer") == peer]
        if len(meant) != 1:
            raise ConfigurationError(
                (f"[[link]]: expected one link with the peer {peer}, found {len(meant)}",)
            )
        meant[0].update(_plain(values))
    if entries:
        wanted["link"] = entries
    return wanted


def _plain(values: Values) -> dict[str, Any]:
    return {key: value if isinstance(value, str | int) else list(value) for key, value in values.items()}


def _blocks(lines: Sequence[str]) -> list[tuple[int, int, str, int]]:
    """First and last line of each section's body, its name, and which of that name it is."""
    heads = [(at, match) for at, line in enumerate(lines) if (match := _HEADER.fullmatch(line))]
    ends = [at for at, _match in heads[1:]] + [len(lines)]
    seen: dict[str, int] = {}
    blocks = []
    for (at, match), end in zip(heads, ends, strict=True):
        number = seen.get(match[2], 0)
        seen[match[2]] = number + 1
        blocks.append((at + 1, end, match[2], number))
    return blocks


def _filled(lines: list[str], values: Values) -> list[str]:
    """A value replaces its line, set or commented out; one that has no line stands at the top."""
    left = dict(values)
    filled: list[str] = []
    set_here = {match[1] for line in lines if not line.startswith("#") and (match := _KEY.fullmatch(line))}
    for line in lines:
        match = _KEY.fullmatch(line)
        is_meant = (
            match is not None and match[1] in left and not (line.startswith("#") and match[1] in set_here)
        )
        filled.append(_line(match[1], left.pop(match[1])) if match is not None and is_meant else line)
    return [*(_line(key, value) for key, value in left.items()), *filled]


def _line(key: str, value: str | int | Sequence[str]) -> str:
    # The strings of JSON are strings of TOML too.
    shown = value if isinstance(value, str | int) else list(value)
    return f"{key} = {json.dumps(shown, ensure_ascii=False)}"
