"""What commands print: tables, JSON, sizes, ages and times, safe on every terminal.

Guarantees: text that came from outside cannot steer a terminal (control and direction characters are
shown as escapes); columns line up with Chinese text; JSON stays JSON when the terminal's encoding lacks
a character; printing never raises for lack of a character. Times are shown in the machine's zone.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import IO, Any, Final, Protocol

import click

from cli.locale import _

_GAP: Final = "  "
_NARROWEST: Final = 12
_WIDTH: Final = 80
# Cc control, Cf direction and joiners, Cs half characters, Zl and Zp line ends, Cn not assigned.
_UNSAFE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})
# Marks that are drawn over the character before them.
_NO_WIDTH: Final = frozenset({"Mn", "Me"})
# A packet, or the beginning of its id, at the beginning of a cell: broken, it could not be copied.
_PACKET: Final = re.compile(r"(?:\d{6}-\d\d-\d\d/)?[0-9a-f]{8}-[0-9a-f]{4}[0-9a-f-]*")
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


class Progress(Protocol):
    """A bar that moves."""

    def update(self, n_steps: int) -> None:
        """Move by ``n_steps``."""


def say(text: str = "") -> None:
    """Print one line to standard output."""
    print(text)


def say_json(value: object) -> None:
    """Print ``value`` as JSON: keys sorted, readable characters where the terminal has them."""
    text = to_json(value)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        text = to_json(value, ascii_only=True)
    print(text)


def ask(question: str) -> None:
    """Ask on standard error whether to go on. Raises click.Abort unless the answer is yes."""
    click.confirm(encodable(question, sys.stderr), abort=True, err=True)


def to_json(value: object, *, ascii_only: bool = False) -> str:
    """``value`` as JSON. Takes data classes, enums, times, dates, paths, bytes (as hex) and tuples."""
    return json.dumps(_plain(value), ensure_ascii=ascii_only, sort_keys=True, indent=2)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], width: int | None = None) -> str:
    """Rows under headers, in aligned columns.

    A state, kind or other enum value is shown in the operator's language.
    Columns wider than ``width`` together (default: the terminal's columns, at least 80) are wrapped, the
    widest first; nothing is cut off, and the id of a packet stands in one piece.
    """
    cells = [[_shown(cell) for cell in row] for row in rows]
    titles = [encodable(header, sys.stdout) for header in headers]
    lines = [titles, *cells]
    widths = _column_widths(lines, width or max(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))
    rule = ["-" * column for column in widths]
    return "\n".join(_row(line, widths) for line in [titles, rule, *cells])


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """``name: value`` lines with the values in one column; empty values are left out."""
    filled = ((name, value) for name, value in pairs if value not in {None, "", ()})
    shown = [(encodable(name, sys.stdout), _shown(value)) for name, value in filled]
    widest = max((display_width(name) for name, _value in shown), default=0)
    return "\n".join(f"{name}:{' ' * (widest - display_width(name) + 1)}{value}" for name, value in shown)


def display_width(text: str) -> int:
    """How many terminal columns ``text`` takes: two for wide characters, none for combining ones."""
    return sum(_character_width(character) for character in text)


def printable(text: str) -> str:
    """``text`` with everything that could steer a terminal written as an escape."""
    return "".join(
        character if unicodedata.category(character) not in _UNSAFE else _escape(character)
        for character in text
    )


def word(value: object) -> str:
    """A value for people: that of an enum in their language, anything else as it is written."""
    return _(str(value.value)) if isinstance(value, Enum) else str(value)


def encodable(text: str, stream: IO[str] | None) -> str:
    """``text`` with escapes for what the encoding of ``stream`` lacks."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def make_printable(stream: object) -> None:
    """Let ``stream`` show an escape for a character that its encoding lacks, instead of raising."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def local_time(moment: datetime | None) -> str:
    """An aware time in the machine's zone, to the second: ``2026-07-15 09:30:00 +0800``; ``-`` for None."""
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %z")


def size(count_bytes: int) -> str:
    """A number of bytes: ``512 B``, ``1.5 MiB``."""
    amount = float(count_bytes)
    for unit in _UNITS[:-1]:
        if amount < 1024:
            return f"{count_bytes} B" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} {_UNITS[-1]}"


def age(seconds: float) -> str:
    """A time span in its two largest units: ``45s``, ``3m 20s``, ``2d 5h``."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        amount, rest = divmod(rest, length)
        if amount or (unit == "s" and not parts):
            parts.append(f"{amount}{unit}")
        elif parts:
            break
    return " ".join(parts[:2])


@contextmanager
def progress(label: str, length: int) -> Iterator[Progress]:
    """A progress bar on standard error while the block runs; nothing where that is no terminal."""
    with click.progressbar(
        length=length, label=encodable(label, sys.stderr), file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        yield bar


@contextmanager
def counting(label: str, count: Callable[[], int]) -> Iterator[Progress]:
    """The same for ``count()`` things, which are counted only where somebody watches; no bar for one."""
    length = count() if sys.stderr.isatty() else 0
    if length < 2:
        yield _NoProgress()
        return
    with click.progressbar(length=length, label=encodable(label, sys.stderr), file=sys.stderr) as bar:
        yield bar


class _NoProgress:
    """A bar that nobody sees."""

    def update(self, n_steps: int) -> None:
        """Nothing."""


def say_above(text: str) -> None:
    """Print one line where a bar may stand: the bar goes, and comes back when it moves."""
    if sys.stdout.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"\r{' ' * (shutil.get_terminal_size((_WIDTH, 24)).columns - 1)}\r")
        sys.stderr.flush()
    print(text, flush=True)


def _shown(value: object) -> str:
    """A value as the terminal will show it, so that escapes are measured too."""
    return encodable(printable(word(value)), sys.stdout)


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value) if not field.name.startswith("_"))
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _character_width(character: str) -> int:
    if unicodedata.category(character) in _NO_WIDTH:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _escape(character: str) -> str:
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _column_widths(lines: Sequence[Sequence[str]], width: int) -> list[int]:
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(lines[0]))]
    least = [max(_least_width(line[column]) for line in lines) for column in range(len(widths))]
    too_much = sum(widths) + len(_GAP) * (len(widths) - 1) - width
    while too_much > 0:
        yielding = [column for column, taken in enumerate(widths) if taken > least[column]]
        if not yielding:
            break
        widest = max(yielding, key=widths.__getitem__)
        widths[widest] -= 1
        too_much -= 1
    return widths


def _least_width(cell: str) -> int:
    packet = _PACKET.match(cell)
    return max(_NARROWEST, len(packet[0]) if packet else 0)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    wrapped = [wrap(cell, column) for cell, column in zip(cells, widths, strict=True)]
    height = max(len(lines) for lines in wrapped)
    rows = (
        _GAP.join(
            _padded(lines[index] if index < len(lines) else "", column)
            for lines, column in zip(wrapped, widths, strict=True)
        )
        for index in range(height)
    )
    return "\n".join(row.rstrip() for row in rows)


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns, broken at a space where one stands in the second half."""
    lines: list[str] = []
    while display_width(text) > width:
        taken, used = 0, 0
        while used + _character_width(text[taken]) <= width:
            used += _character_width(text[taken])
            taken += 1
        space = text.rfind(" ", taken // 2, taken + 1)
        end = space if space > 0 else max(taken, 1)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, text]
