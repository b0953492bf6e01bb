"""TOML files: plans that people write, and paths that a configuration of our own can name."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from cli.frame import PlanError

_UNQUOTABLE: Final = frozenset('"\\\n\r\x7f')

_T = TypeVar("_T")


def load_plan_file(path: Path, parse: Callable[[dict[str, Any]], _T]) -> _T:
    """What ``parse`` makes of the TOML in ``path``. Raises PlanError with every problem, naming the file."""
    try:
        # Windows Notepad sets a byte order mark before it.
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise PlanError((f"the plan cannot be read: {error.strerror}",), where=str(path)) from error
    except UnicodeDecodeError as error:
        raise PlanError((f"the plan is not UTF-8 at byte {error.start}",), where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError((f"the plan is not TOML: {error}",), where=str(path)) from error
    try:
        return parse(data)
    except PlanError as error:
        raise PlanError(error.problems, where=str(path)) from error


def is_quotable(path: Path) -> bool:
    """A basic string of TOML can hold it as it is: UTF-8, no quotes, back-slashes, line ends, DEL."""
    text = str(path)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return not _UNQUOTABLE.intersection(text)
