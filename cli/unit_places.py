"""Where the service may write: what systemd/exchanged@.service leaves open, and what it lacks for one node.

Guarantees: names every place of a configuration in /etc/exchanged that the unit keeps read-only, with the
lines that open it; a place that a drop-in of this machine opens already is not named. Looks at paths as they
are written and never at the places themselves, of which one may hang. Known limits: symbolic links are not
followed; a unit of one's own, under another name, is not known.
"""

from __future__ import annotations

import os.path
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.check_values import Check, CheckState
from cli.locale import _
from exchanged.config import Config, LinkTransport

# A machine set up by the book has its configurations here, one for each exchanged@NAME.
SYSTEM: Final = Path("/etc/exchanged")
# Folders of agencies, mailboxes and doors of such a machine.
SERVED: Final = Path("/srv/exchanged")
OPEN: Final = ("/var/lib/exchanged/{name}", "/run/exchanged/{name}", str(SERVED))
"""StateDirectory=, RuntimeDirectory= and ReadWritePaths= of the unit; a test compares them."""

_UNITS: Final = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
_DROP_INS: Final = ("exchanged@.service.d/*.conf", "exchanged@{name}.service.d/*.conf")
_OPENS: Final = re.compile(r"\s*(?:ReadWritePaths|BindPaths)\s*=(.*)")
# Where opening a place for writing is not enough.
_HIDDEN: Final = {
    "ProtectHome=no": ("/home", "/root", "/run/user"),
    "PrivateTmp=no": ("/tmp", "/var/tmp"),  # noqa: S108 - named, not used
}


@dataclass(frozen=True, slots=True)
class Shut:
    """A place of the configuration to which the service may not write; ``key`` is where it is named."""

    key: str
    path: Path


def is_system(config_path: Path) -> bool:
    """The configuration is one of the machine's services."""
    return config_path.parent == SYSTEM


def unit_of(config_path: Path) -> str:
    """The instance of the unit that runs with this configuration."""
    return f"exchanged@{config_path.stem}"


def shut_places(config: Config, config_path: Path) -> tuple[Shut, ...]:
    """What the service could not write to. Nothing for a configuration that no unit runs with."""
    if not is_system(config_path):
        return ()
    name = config_path.stem
    opened = [*(Path(place.format(name=name)) for place in OPEN), *_by_drop_ins(name)]
    return tuple(
        place for place in _written(config) if not any(_lies_in(place.path, each) for each in opened)
    )


def drop_in(shut: Sequence[Shut]) -> tuple[str, ...]:
    """The lines for ``systemctl edit`` that open these places."""
    hidden = [
        line
        for line, places in _HIDDEN.items()
        if any(_lies_in(each.path, Path(place)) for each in shut for place in places)
    ]
    paths = dict.fromkeys(_quoted(f"-{each.path}") for each in shut)
    return ("[Service]", *hidden, *(f"ReadWritePaths={path}" for path in paths)) if shut else ()


def check_unit(config: Config, config_path: Path) -> Iterator[Check]:
    """One warning for each such place; the lines to paste are told apart (``drop_in``)."""
    unit = unit_of(config_path)
    for shut in shut_places(config, config_path):
        yield Check(
            f"unit {shut.key}",
            CheckState.WARNING,
            _("{path} is read-only to the daemon when systemd runs it").format(path=shut.path),
            follows=_("it ends as on a damaged volume (exit code 6), or nothing is taken or delivered there"),
            advice=_("systemctl edit {unit}, and paste the lines below").format(unit=unit),
        )


def _written(config: Config) -> Iterator[Shut]:
    yield Shut("data_dir", config.node.data_dir)
    if not _lies_in(config.node.door, config.node.data_dir) and any(link.account for link in config.links):
        yield Shut("door", config.node.door)
    if not _lies_in(config.control.socket, config.node.data_dir):
        yield Shut("socket", config.control.socket.parent)
    if config.folders is not None:
        yield Shut("root", config.folders.root)
    for link in config.links:
        if link.transport is LinkTransport.FOLDER:
            yield Shut(link.name, Path(link.mailbox))


def _by_drop_ins(name: str) -> Iterator[Path]:
    """What lines of this machine's own open besides."""
    for folder in map(Path, _UNITS):
        for pattern in _DROP_INS:
            for path in folder.glob(pattern.format(name=name)):
                yield from _opened_in(path, name)


def _opened_in(path: Path, name: str) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        if (said := _OPENS.fullmatch(line)) is not None:
            try:
                words = shlex.split(said[1])
            except ValueError:
                continue
            yield from (Path(word.lstrip("+-").replace("%i", name).replace("%%", "%")) for word in words)


def _lies_in(path: Path, folder: Path) -> bool:
    return Path(os.path.normpath(path)).is_relative_to(folder)


def _quoted(word: str) -> str:
    word = word.replace("%", "%%")
    return word if re.fullmatch(r"[^\s\"'\\]+", word) else '"' + re.sub(r'(["\\])', r"\\\1", word) + '"'
