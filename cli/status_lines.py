"""The lines of ``node status`` that files and folders tell: volumes, markers, keys, directory, isolation.

Guarantees: looks only. Leaves to others: what the ledger tells, and the order of the screen
(``cli.node_status``).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cli.checks import CheckState, check_node
from cli.checks_folders import answers
from cli.directory_trusted import find_directory
from cli.exit_codes import ExitCode
from cli.locale import _, told
from cli.render import age, size
from cli.service_user import acting_as, owner_of
from exchanged.config import Config, LinkSide
from exchanged.durable import DurableFiles, Volume
from exchanged.key_files import key_ids_here, key_in_use
from exchanged.ledger.questions_node import NodeFacts
from exchanged.places import DAMAGE_FILE
from frontend_server.folders import INBOX, OUTBOX, AgencyFolders, MarkerState
from packet_spec.errors import ExchangeError
from packet_spec.model import Directory

# A month is enough for the province to sign anew and for it to arrive by any road.
EXPIRY_WARNING: Final = timedelta(days=30)
# What config check tells and status tells better, or again.
_TOLD_HERE: Final = ("link ", "folder ", "marker of ", "directory expiry", "ledger lost")


@dataclass(frozen=True, slots=True)
class StatusLine:
    """One thing: good, warning or problem; ``code`` is the exit code of a problem.

    ``of_link``: a screen may tell many good ones in one line.
    """

    name: str
    state: CheckState
    detail: str
    code: ExitCode = ExitCode.DONE
    of_link: bool = False


def good(name: str, detail: str) -> StatusLine:
    """Nothing to do."""
    return StatusLine(name, CheckState.GOOD, detail)


def warning(name: str, detail: str) -> StatusLine:
    """It works, and a person should look."""
    return StatusLine(name, CheckState.WARNING, detail)


def problem(name: str, detail: str, code: ExitCode) -> StatusLine:
    """It does not work."""
    return StatusLine(name, CheckState.PROBLEM, detail, code)


def without_what_hangs(config: Config) -> tuple[Config, tuple[StatusLine, ...]]:
    """The configuration to ask the other questions of: without folders on a share that does not answer.

    Who asked such a share would wait as long as it hangs, and could not even be ended.
    """
    if config.folders is None or answers(config.folders.root):
        return config, ()
    text = _("{path} does not answer").format(path=config.folders.root)
    return replace(config, folders=None), (problem(_("folders"), text, ExitCode.TEMPORARY),)


def disks(config: Config) -> Iterator[StatusLine]:
    """Free room on each volume against the floor below which nothing large is taken in.

    Only that of data_dir stops intake; on that of the agency a full disk stops deliveries.
    """
    places = {_("disk data"): config.node.data_dir}
    if config.folders is not None:
        places[_("disk agency")] = config.folders.root
    floor = config.limits.free_space_bytes
    for name, path in places.items():
        try:
            free = DurableFiles(Volume.OWN).free_bytes(path)
        except ExchangeError as error:
            why = told(error.found, "value") or told(error.summary)
            yield problem(name, f"{path}: {why}", ExitCode.USAGE)
            continue
        text = _("{free} free, floor {floor}").format(free=size(free), floor=size(floor))
        if free < floor and not _is_same_volume(path, config.node.data_dir):
            yield warning(name, _("{text}: deliveries may not fit").format(text=text))
        elif free < floor:
            yield problem(name, _("{text}: nothing large is taken in").format(text=text), ExitCode.TEMPORARY)
        elif free < 2 * floor:
            yield warning(name, text)
        else:
            yield good(name, text)


def markers(config: Config, facts: NodeFacts | None) -> Iterator[StatusLine]:
    """Whether outbox and inbox are the folders that the ledger remembers (C19)."""
    if config.folders is None:
        return
    folders = AgencyFolders(
        config.folders.root, DurableFiles(Volume.FOREIGN), node=config.node.code, mode=config.folders.mode
    )
    for folder in (OUTBOX, INBOX):
        known = facts.memory.get(f"marker:{folder}") if facts is not None else None
        state = folders.compare_marker(folder, known)
        name = _("folder {name}").format(name=folder)
        if state is MarkerState.MISSING and not _may_look(config.folders.root / folder):
            # Whoever may not look must not be sent to make another marker.
            text = _("cannot be looked at; run this as root or as the daemon's user")
            yield problem(name, text, ExitCode.USAGE)
        elif state is MarkerState.GOOD:
            yield good(name, str(config.folders.root / folder))
        elif state is MarkerState.MISSING:
            text = _("no marker: not mounted, or, with the daemon stopped: exchangectl folder init --accept")
            yield problem(name, text, ExitCode.USAGE)
        elif state is MarkerState.READ_ONLY:
            yield problem(name, _("mounted read-only: nothing is taken or delivered"), ExitCode.USAGE)
        else:
            text = _(
                "another marker than the ledger remembers: check the mount; .exchanged-marker there says"
                " whose it is"
            )
            yield problem(name, text, ExitCode.USAGE)


def damage(config: Config) -> Iterator[StatusLine]:
    """The mark that an earlier run left because the volume failed."""
    try:
        is_marked = (config.node.data_dir / DAMAGE_FILE).exists()
    except OSError:
        # Whoever may not look is told so by the line about the ledger.
        return
    if is_marked:
        text = _("the volume failed; check the disk, then: exchanged --recover")
        yield problem(_("volume"), text, ExitCode.DAMAGED)


def configured(config: Config, now: datetime) -> Iterator[StatusLine]:
    """Keys, directory and rights, as ``config check`` finds them; what is good there is told in one line.

    As root, with the rights of the daemon's user: what root may says nothing.
    """
    with acting_as(owner_of(config.node.data_dir)):
        found = [*_configured(config, now)]
    yield from found


def _configured(config: Config, now: datetime) -> Iterator[StatusLine]:
    checks = [check for check in check_node(config, now) if not check.name.startswith(_TOLD_HERE)]
    for check in checks:
        name, detail = told(check.name, "value"), told(check.detail)
        if check.state is CheckState.PROBLEM:
            yield problem(name, detail, ExitCode.USAGE)
        elif check.state is CheckState.WARNING:
            yield warning(name, detail)
    directory = find_directory(config)[0]
    if directory is not None:
        yield _directory(directory, now)
        yield from _own_keys(config, directory, now)
    yield from _isolation(config)


def _directory(directory: Directory, now: datetime) -> StatusLine:
    name, left = _("directory"), directory.expires_at - now
    if left <= timedelta(0):
        text = _("version {version} expired {ago} ago: new packets are held").format(
            version=directory.version, ago=age(-left.total_seconds())
        )
        return problem(name, text, ExitCode.USAGE)
    text = _("version {version}, expires in {left}").format(
        version=directory.version, left=age(left.total_seconds())
    )
    return warning(name, text) if left <= EXPIRY_WARNING else good(name, text)


def _own_keys(config: Config, directory: Directory, now: datetime) -> Iterator[StatusLine]:
    """The keys that this node signs with, by the directory's dates."""
    # Files that cannot be read are told among the checks.
    found = (
        key_in_use(directory, config.node.code, use, ids, now) for use, ids in key_ids_here(config).items()
    )
    mine = [key for key in found if key is not None]
    if not mine:
        return
    name = _("keys")
    revoked = [key for key in mine if key.revoked_at is not None and key.revoked_at <= now]
    first = min(mine, key=lambda key: key.not_after)
    left = first.not_after - now
    if revoked:
        yield problem(name, _("{key} is revoked").format(key=revoked[0].key_id), ExitCode.USAGE)
    elif left <= timedelta(0):
        yield problem(name, _("{key} has expired").format(key=first.key_id), ExitCode.USAGE)
    elif left <= EXPIRY_WARNING:
        text = _("{key} expires in {left}").format(key=first.key_id, left=age(left.total_seconds()))
        yield warning(name, text)
    else:
        yield good(name, _("the first expires in {left}").format(left=age(left.total_seconds())))


def _isolation(config: Config) -> Iterator[StatusLine]:
    """A neighbour that can fill the volume of our ledger stops us (C2)."""
    device = _device(config.node.data_dir)
    served = (Path(link.mailbox) / "up" for link in config.links if link.side is LinkSide.SERVE)
    same = [path for path in served if device is not None and _device(path) == device]
    if same:
        text = _("mailboxes on the ledger's volume: {count}; a neighbour can fill it").format(count=len(same))
        yield warning(_("isolation"), text)


def _may_look(folder: Path) -> bool:
    """False where it is there and this user may not look into it."""
    try:
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _is_same_volume(path: Path, other: Path) -> bool:
    return _device(path) == _device(other)


def _device(path: Path) -> int | None:
    """The volume that ``path`` lies on; None where it cannot be looked at, which is told elsewhere."""
    try:
        return path.stat().st_dev
    except OSError:
        return None
