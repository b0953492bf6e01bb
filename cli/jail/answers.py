"""The answers of the SSH server's key command, for every account of a node at once.

Leaves to others: which key counts (``exchanged.doors``), and keeping the answers (``cli.keys_command``).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cli.directory_trusted import anchor_of
from cli.keys_command import mark_of
from exchanged.clock import Clock, SystemClock
from exchanged.config import Config, load_config
from exchanged.doors import DoorAnswer, answer_for, read_copy, served, who_may_enter
from packet_spec.model import Directory

_KEYS_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """``until`` in seconds since the epoch, or None; ``keys_mark`` tells which keys file was read."""

    lines: tuple[str, ...]
    until: float | None
    keys_mark: list[int] | None


def answers_of(config_path: Path, keys_folder: str, clock: Clock | None = None) -> dict[str, Answer]:
    """Account -> answer, for every account that the configuration names. Raises ConfigurationError."""
    config = load_config(config_path)
    now = (clock or SystemClock()).now()
    directory = copy_of(config)
    found: dict[str, Answer] = {}
    for link in served(config):
        if link.account:
            path = Path(keys_folder) / link.account if keys_folder else None
            mark = None if path is None else mark_of(str(path))
            answer = who_may_enter(config, directory, link.account, installed_lines(path), now)
            until = None if answer.until is None else answer.until.timestamp()
            found[link.account] = Answer(answer.lines, until, mark)
    return found


def every_line(config_paths: list[Path], clock: Clock | None = None) -> list[str]:
    """The keys of every node that these nodes serve: where all of them log in as one user (a lab)."""
    now = (clock or SystemClock()).now()
    lines: dict[str, None] = {}
    for config in map(load_config, config_paths):
        directory = copy_of(config)
        for link in served(config):
            lines.update(dict.fromkeys(answer_for(directory, link.peer, (), now).lines))
    return list(lines)


def answer_of(config: Config, account: str, keys: Path | None, clock: Clock | None = None) -> DoorAnswer:
    """The answer for one account, and why."""
    now = (clock or SystemClock()).now()
    return who_may_enter(config, copy_of(config), account, installed_lines(keys), now)


def copy_of(config: Config) -> Directory | None:
    """The directory that the SSH server's key command goes by."""
    return read_copy(config.node.door, anchor_of(config))


def installed_lines(path: Path | None) -> tuple[str, ...]:
    """The lines of a keys file; none where there is none."""
    if path is None:
        return ()
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return tuple(file.read(_KEYS_BYTES).splitlines())
    except OSError:
        return ()
