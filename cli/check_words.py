"""Findings of ``config check`` about one folder: missing, not to be written, hanging, of other rights.

Each says what was found, what the daemon relies on, what follows and what to do.
"""

from __future__ import annotations

from pathlib import Path

from cli.check_values import Check, CheckState
from cli.locale import _, told
from exchanged.probe import FolderFacts
from frontend_server.folders import STAGING, STAGING_MODE


def lies_on(facts: FolderFacts) -> str:
    """Which file system a folder lies on, for people."""
    if facts.mount is None:
        return _("writable")
    return _("writable; {kind} at {point}").format(kind=facts.mount.kind, point=facts.mount.point)


def missing(name: str, path: Path) -> Check:
    """There is nothing at ``path``."""
    advice = {
        "data_dir": _("run: exchangectl node init"),
        "folder": _("look whether the share is mounted, then run: exchangectl folder init"),
        "staging": _("look whether the share is mounted, then run: exchangectl folder init"),
        "link": _("run what exchangectl link jail prints, or mend mailbox in the configuration"),
    }.get(name.split(" ", maxsplit=1)[0], "")
    return Check(name, CheckState.PROBLEM, _("{path} is missing").format(path=path), advice=advice)


def nothing_there(root: Path) -> Check:
    """None of the agency's folders exists: not made yet, or a share that is not mounted."""
    return Check(
        "folders",
        CheckState.PROBLEM,
        _("none of the agency's folders is in {path}").format(path=root),
        follows=_("the daemon leaves the folder alone: it may be a share that is not mounted"),
        advice=_("look whether the share is mounted, then run: exchangectl folder init"),
    )


def no_folder(name: str, path: Path) -> Check:
    """Something else than a folder stands at ``path``."""
    return Check(
        name,
        CheckState.PROBLEM,
        _("{path} is not a folder").format(path=path),
        expected=_("a folder, and no link to one"),
        advice=_("move it away, or mend the path in the configuration"),
    )


def unusable(name: str, path: Path, reason: str) -> Check:
    """The folder cannot be looked at."""
    return Check(
        name,
        CheckState.PROBLEM,
        _("{path} cannot be used: {reason}").format(path=path, reason=told(reason, "value")),
        advice=_("check the mount, and owner and mode of every folder above"),
    )


def failed(name: str, facts: FolderFacts) -> Check:
    """One of the daemon's operations did not work."""
    if facts.failure == "read-only":
        detail = _("{path} can only be read").format(path=facts.path)
        advice = _("mount it read-write; after a disk error look into the kernel's log first")
    else:
        reason = told(facts.failure, "value")
        detail = _("{path} cannot be written: {reason}").format(path=facts.path, reason=reason)
        advice = _("check owner, mode, mount options (uid, gid) and free space")
    return Check(
        name,
        CheckState.PROBLEM,
        detail,
        expected=_("create, write, flush, rename and remove"),
        follows=_("the daemon cannot work there"),
        advice=advice,
    )


def hangs(name: str, path: Path) -> Check:
    """A file system that does not answer."""
    return Check(
        name,
        CheckState.PROBLEM,
        _("{path} does not answer").format(path=path),
        expected=_("an answer within 15 seconds"),
        follows=_("packets wait; the links of this node go on"),
        advice=_("check file server and network; when it answers again, the daemon goes on by itself"),
    )


def cannot_move(source: str, target: str, reason: str) -> Check:
    """A rename between two folders did not work."""
    return Check(
        "folders",
        CheckState.PROBLEM,
        _("nothing can be renamed from {source} into {target}: {reason}").format(
            source=source, target=target, reason=told(reason, "value")
        ),
        expected=_("one file system, mounted once"),
        follows=_("packets are neither put away nor delivered"),
        advice=_("mount one share at [folders] root, with all folders in it"),
    )


def other_rights(name: str, *, expected: str, found: str) -> Check:
    """A folder has another mode or group than configured."""
    return Check(
        name,
        CheckState.WARNING,
        _("mode and owner are {found}").format(found=found),
        expected=expected,
        follows=_("case software may be unable to write or read there, or others may be able to"),
        advice=_("run: exchangectl folder init; on a share, mend dir_mode, uid and gid of its mount"),
    )


def open_staging(name: str, mode: str) -> Check:
    """The private folder beside the inbox has the mode of the mount."""
    return Check(
        name,
        CheckState.NOTE,
        _("its mode is that of the mount, {mode}").format(mode=mode),
        expected=f"{STAGING_MODE:04o}",
        follows=_("case software could see packets before they are delivered"),
        advice=_("on the server, deny {name} to all but the daemon's account").format(name=STAGING),
    )
