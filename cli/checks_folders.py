"""``config check`` on folders: every folder that the node uses is tried, by the daemon's own operations.

Guarantees: the folders are tried as whoever calls (the command sees to it that this is the daemon's user);
a share that hangs costs one finding, not the answer; nothing is left behind (``exchanged.probe``). A trait
that several folders share is told once, with the folders' names.
Leaves to others: what each trait means (``cli.check_traits``).
"""

from __future__ import annotations

import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cli import check_traits, check_words
from cli.check_values import Check, CheckState, seen_mode
from cli.locale import _
from cli.service_user import group_name, has_group, user_name
from exchanged.clock import Randomness
from exchanged.config import Config, FoldersConfig, LinkConfig, LinkSide, LinkTransport
from exchanged.mounts import mount_of
from exchanged.places import BLOB_FOLDER, DIRECTORY_FOLDER, SPOOL_FOLDER
from exchanged.probe import FolderFacts, FolderProbe
from frontend_server.folders import FOLDERS, INBOX, MARKER_NAME, OUTBOX, STAGING, STAGING_MODE

# A slow share answers a probe within a second or two; a provincial node has hundreds of mailboxes.
_PATIENCE_SECONDS: Final = 15.0
# Renames between folders that the daemon relies on: taking an original, refusing it, delivering.
_MOVES: Final = ((OUTBOX, "sent"), (OUTBOX, "refused"), (STAGING, INBOX))

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """One folder to try. ``flat``: no folders may be made in it; ``mode`` and ``group``: as it should be."""

    name: str
    path: Path
    flat: bool = False
    mode: int = 0o700
    group: str = ""
    events: bool = False


@dataclass(slots=True)
class _Looked:
    """What came of one group of places: facts by name, and findings that need no facts."""

    facts: dict[str, FolderFacts] = field(default_factory=dict)
    found: list[Check] = field(default_factory=list)


def check_data_folders(config: Config, randomness: Randomness) -> Iterator[Check]:
    """Ledger, spool, blobs and directory: on a local disk, and every operation works."""
    root = config.node.data_dir
    places = [Place("data_dir", root)]
    # Every name in these is taken for a file of the daemon's own; before the first start there are none.
    flat = (SPOOL_FOLDER, BLOB_FOLDER, DIRECTORY_FOLDER)
    places += [Place(name, root / name, flat=True) for name in flat if stat.S_ISDIR(seen_mode(root / name))]
    looked = within(root, lambda: _look(places, randomness))
    if looked is None:
        yield check_words.hangs("data_dir", root)
        return
    yield from looked.found
    if looked.facts:
        yield from check_traits.about_own_volume(looked.facts, config.limits.free_space_bytes)


def check_agency_folders(config: Config, folders: FoldersConfig, randomness: Randomness) -> Iterator[Check]:
    """What the case software sees, with staging: there, marked, of the right owner, and every operation."""
    if folders.group and not has_group(folders.group):
        detail = _("this machine has no group {name}").format(name=folders.group)
        yield Check(
            "folders group",
            CheckState.PROBLEM,
            detail,
            follows=_("the daemon does not start"),
            advice=_("make the group, or mend [folders] group"),
        )
    looked = within(folders.root, lambda: _look_at_agency(folders, randomness))
    if looked is None:
        yield check_words.hangs("agency folders", folders.root)
        return
    yield from looked.found
    if looked.facts:
        floor = config.limits.free_space_bytes
        yield from check_traits.about_agency_volume(looked.facts, folders, floor)


def check_mailbox(link: LinkConfig, config: Config, randomness: Randomness) -> Iterator[Check]:
    """A local mailbox: the direction that this node writes is tried, the other one looked at."""
    mailbox = Path(link.mailbox)
    outgoing, incoming = ("down", "up") if link.side is LinkSide.SERVE else ("up", "down")
    name = f"link {link.name}"

    def look() -> _Looked:
        looked = _look([Place(name, mailbox / outgoing)], randomness)
        looked.found += [found for found in [unreadable(name, mailbox / incoming)] if found is not None]
        return looked

    looked = within(mailbox, look)
    if looked is None:
        yield check_words.hangs(name, mailbox)
        return
    yield from looked.found
    yield from check_traits.about_mailbox(looked.facts, config.limits)
    if not any(found.state is CheckState.PROBLEM for found in looked.found):
        yield Check(name, CheckState.GOOD, link.mailbox)


def check_folders(config: Config, randomness: Randomness) -> Iterator[Check]:
    """Every folder of a node but those of its links."""
    yield from check_data_folders(config, randomness)
    if config.folders is not None:
        yield from check_agency_folders(config, config.folders, randomness)


def is_local(link: LinkConfig) -> bool:
    """The link's mailbox is a folder of this machine."""
    return link.transport is LinkTransport.FOLDER


# --- looking ----------------------------------------------------------------------------------------


def _look(places: list[Place], randomness: Randomness) -> _Looked:
    looked = _Looked()
    probe = FolderProbe(randomness)
    for place in places:
        try:
            problem = _standing(place)
            if problem is None:
                facts = probe.look(place.path, mode=place.mode, events=place.events, flat=place.flat)
                problem = check_words.failed(place.name, facts) if facts.failure else None
                if problem is None:
                    looked.facts[place.name] = facts
                    continue
            looked.found.append(problem)
        except OSError as error:
            looked.found.append(check_words.unusable(place.name, place.path, error.strerror or ""))
    return looked


def _look_at_agency(folders: FoldersConfig, randomness: Randomness) -> _Looked:
    root, group = folders.root, folders.group
    places = [
        Place(f"folder {name}", root / name, mode=folders.mode, group=group, events=name == OUTBOX)
        for name in FOLDERS
    ]
    if seen_mode(root / STAGING) or not stat.S_ISDIR(seen_mode(root)):
        # Before the first start there is none; the daemon makes it.
        places.append(Place("staging", root / STAGING, mode=STAGING_MODE, group=group))
    if not any(seen_mode(root / name) for name in FOLDERS):
        return _Looked(found=[check_words.nothing_there(root)])
    looked = _look(places, randomness)
    looked.found += check_markers(root)
    good = {facts.path.name for facts in looked.facts.values()}
    for place in places:
        facts = looked.facts.get(place.name)
        if facts is None:
            continue
        wrong = _rights(place, facts)
        if wrong is not None:
            looked.found.append(wrong)
        else:
            looked.found.append(Check(place.name, CheckState.GOOD, check_words.lies_on(facts)))
    probe = FolderProbe(randomness)
    for source, target in _MOVES:
        if {source, target} <= good:
            reason = probe.moves(root / source, root / target)
            if reason:
                looked.found.append(check_words.cannot_move(source, target, reason))
    return looked


def check_markers(root: Path) -> Iterator[Check]:
    """Outbox and inbox hold a marker."""
    for name in (OUTBOX, INBOX):
        try:
            is_there = stat.S_ISREG((root / name / MARKER_NAME).stat().st_mode)
        except (FileNotFoundError, NotADirectoryError):
            is_there = False
        except OSError as error:
            # Whoever may not look must not be sent to make another marker.
            yield check_words.unusable(f"marker of {name}", root / name, error.strerror or "")
            continue
        if not is_there:
            yield Check(
                f"marker of {name}",
                CheckState.PROBLEM,
                _("missing"),
                follows=_("the daemon leaves the folder alone: it may be a share that is not mounted"),
                advice=_("if it is the right place: exchangectl folder init; --accept if it had one before"),
            )


def _standing(place: Place) -> Check | None:
    """A finding when the place is no folder."""
    try:
        mode = place.path.lstat().st_mode
    except FileNotFoundError:
        return check_words.missing(place.name, place.path)
    except OSError as error:
        return check_words.unusable(place.name, place.path, error.strerror or "")
    return None if stat.S_ISDIR(mode) else check_words.no_folder(place.name, place.path)


def _rights(place: Place, facts: FolderFacts) -> Check | None:
    """A finding when a folder for case software has another group or mode than configured."""
    found = place.path.lstat()
    mode = stat.S_IMODE(found.st_mode)
    group = group_name(found.st_gid)
    if mode == place.mode and place.group in {"", group}:
        return None
    by_mount = facts.mount is not None and facts.mount.fixes_modes
    if by_mount and place.path.name == STAGING:
        # One mode for all folders of such a mount: staging cannot be more private than the others.
        return check_words.open_staging(place.name, f"{mode:04o}")
    expected = f"{place.mode:04o} {place.group or group}"
    return check_words.other_rights(
        place.name, expected=expected, found=f"{mode:04o} {user_name(found.st_uid)}:{group}"
    )


def unreadable(name: str, path: Path) -> Check | None:
    """A finding when ``path`` is no folder that can be listed."""
    try:
        if not stat.S_ISDIR(path.lstat().st_mode):
            return check_words.no_folder(name, path)
        next(path.iterdir(), None)
    except FileNotFoundError:
        return check_words.missing(name, path)
    except OSError as error:
        return check_words.unusable(name, path, error.strerror or "")
    return None


def answers(path: Path) -> bool:
    """False for a folder on a share that hangs. Asked from another process, which is left behind then.

    A call into a share that hangs may not even be killed, and a process with such a thread never ends:
    the one that is left behind must not be the operator's own.
    """
    mount = mount_of(path, follow=False)
    if mount is None or not mount.is_shared:
        return True
    asked = subprocess.Popen(
        ["stat", "--file-system", "--", str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        asked.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        asked.kill()
        # It may be dead only when the share answers; nobody waits for that.
        asked.returncode = -signal.SIGKILL
        return False
    return True


def within(path: Path, work: Callable[[], T]) -> T | None:
    """What ``work`` on the folder ``path`` gives, or None when a share hangs. Raises what ``work`` raises."""
    if not answers(path):
        return None
    result: list[T] = []
    error: list[BaseException] = []

    def run() -> None:
        try:
            result.append(work())
        except BaseException as raised:  # noqa: BLE001 - handed over to the caller
            error.append(raised)

    thread = threading.Thread(target=run, name="probe", daemon=True)
    thread.start()
    thread.join(_PATIENCE_SECONDS)
    if error:
        raise error[0]
    return result[0] if result else None
