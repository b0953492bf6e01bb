"""Looking at folders without writing, for answers that are asked for often (``node status``).

Says less than ``cli.checks_folders``: that a folder is there and that the rights of whoever asks suffice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from cli import check_words
from cli.check_values import Check, CheckState, seen_mode
from cli.checks_folders import check_markers, unreadable, within
from cli.locale import _
from exchanged.config import Config, LinkConfig
from frontend_server.folders import FOLDERS


def look_at_folders(config: Config) -> Iterator[Check]:
    """The data folder, and a front-end's folders with their markers."""
    data_dir = config.node.data_dir
    yield from _guarded("data_dir", data_dir, lambda: [_look("data_dir", data_dir)])
    if config.folders is not None:
        root = config.folders.root
        yield from _guarded("agency folders", root, lambda: _look_at_agency(root))


def look_at_mailbox(link: LinkConfig) -> Iterator[Check]:
    """Both directions of a local mailbox."""
    name, mailbox = f"link {link.name}", Path(link.mailbox)

    def look() -> list[Check]:
        found = [_look(name, mailbox / direction) for direction in ("up", "down")]
        wrong = [check for check in found if check.state is not CheckState.GOOD]
        return wrong or [Check(name, CheckState.GOOD, link.mailbox)]

    yield from _guarded(name, mailbox, look)


def _look_at_agency(root: Path) -> list[Check]:
    if os.access(root, os.X_OK) and not any(seen_mode(root / name) for name in FOLDERS):
        return [check_words.nothing_there(root)]
    return [*(_look(f"folder {name}", root / name) for name in FOLDERS), *check_markers(root)]


def _look(name: str, path: Path) -> Check:
    wrong = unreadable(name, path)
    if wrong is not None:
        return wrong
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return check_words.unusable(name, path, _("no right to read and write"))
    return Check(name, CheckState.GOOD, str(path))


def _guarded(name: str, path: Path, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        found = within(path, look)
    except OSError as error:
        return [check_words.unusable(name, path, error.strerror or "")]
    return [check_words.hangs(name, path)] if found is None else found
