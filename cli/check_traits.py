"""What the facts about a file system mean for the node: findings of ``config check`` in words.

Each says what was found, what the daemon relies on, what follows and what to do. ``problem`` is for what
does not work, ``warning`` for what can be mended, ``note`` for what a share cannot do and the daemon copes
with: then a promise is different, and docs/operating.md says how.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping

from cli.check_values import Check, CheckState
from cli.check_words import lies_on
from cli.locale import _
from cli.render import size
from exchanged.config import FoldersConfig, LimitsConfig
from exchanged.mounts import Mount
from exchanged.probe import FolderFacts, NameKind

Facts = Mapping[str, FolderFacts]

_FEW_NAMES = 1000
_COARSE_NS = 10**9


def about_own_volume(facts: Facts, floor_bytes: int) -> Iterator[Check]:
    """The volume of ledger and spool: local, lasting, and able to flush a folder."""
    first = next(iter(facts.values()))
    yield Check("data_dir", CheckState.GOOD, f"{first.path}; {lies_on(first)}")
    names = [name for name, found in facts.items() if not found.syncs_folder]
    if names:
        yield Check(
            "folder sync",
            CheckState.PROBLEM,
            _("the file system of {names} cannot flush a folder").format(names=", ".join(names)),
            follows=_("a packet could be lost in a power cut, so the daemon does not work there"),
            advice=_("put data_dir on a local disk (ext4, xfs)"),
        )
    mount = first.mount
    if mount is not None and mount.is_shared:
        yield Check(
            "data_dir",
            CheckState.PROBLEM,
            _("it lies on a share ({kind})").format(kind=mount.kind),
            follows=_("the ledger's locks and memory maps do not hold there"),
            advice=_("put data_dir on a local disk; only agency folders and mailboxes may be shares"),
        )
    if mount is not None and mount.is_memory:
        yield Check(
            "data_dir",
            CheckState.NOTE,
            _("it lies in memory ({kind})").format(kind=mount.kind),
            follows=_("ledger, packets and keys are gone after a restart of the machine"),
            advice=_("for anything but a rehearsal, put data_dir on a disk"),
        )
    yield from _dangerous_renames(facts)
    yield from _room("data_dir", first, floor_bytes)


def about_agency_volume(facts: Facts, folders: FoldersConfig, floor_bytes: int) -> Iterator[Check]:
    """The volume of the case software's folders, which may be a share."""
    first = next(iter(facts.values()))
    if len({found.device for found in facts.values()}) > 1:
        yield Check(
            "folders",
            CheckState.PROBLEM,
            _("they lie on several file systems, but packets move between them by renaming"),
            follows=_("the daemon does not start"),
            advice=_("mount one share at [folders] root, with all folders in it"),
        )
    yield from _events(facts, folders.scan_seconds)
    yield from _folder_sync(facts)
    yield from _dangerous_renames(facts)
    yield from _renames(facts)
    yield from _case(facts)
    yield from _times(facts)
    yield from _names(facts)
    yield from _inodes(facts)
    yield from _setgid(facts, folders)
    if first.mount is not None:
        yield from _options(first.mount)
    yield from _room("folders", first, floor_bytes)


def about_mailbox(facts: Facts, limits: LimitsConfig) -> Iterator[Check]:
    """The volume of a local mailbox. Names there are ours: small letters, digits, dots."""
    for name, found in facts.items():
        if found.mount is not None and found.mount.is_shared:
            yield Check(
                name,
                CheckState.NOTE,
                _("the mailbox lies on a share ({kind})").format(kind=found.mount.kind),
                follows=_(
                    "what the other side puts there is found by looking, every {seconds:g} seconds"
                ).format(seconds=limits.link_scan_seconds),
                advice=_("nothing to mend; [limits] link_scan_seconds sets how often"),
            )
            yield from _options(found.mount)
        yield from _dangerous_renames({name: found})
        yield from _room(name, found, 0)


def _events(facts: Facts, scan_seconds: float) -> Iterator[Check]:
    first = next(iter(facts.values()))
    advice = _("nothing to mend; [folders] scan_seconds sets how often the daemon looks")
    follows = _("a drop is picked up by looking, within {seconds:g} seconds").format(seconds=scan_seconds)
    if first.mount is not None and first.mount.is_shared:
        yield Check(
            "events",
            CheckState.NOTE,
            _("{kind}: what another machine changes raises no event here").format(kind=first.mount.kind),
            expected=_("file-system events"),
            follows=follows,
            advice=advice,
        )
    elif any(found.sees_events is False for found in facts.values()):
        yield Check(
            "events",
            CheckState.WARNING,
            _("no file-system event came for a change made here"),
            expected=_("file-system events"),
            follows=follows,
            advice=_("look at the sysctl values fs.inotify.max_user_instances and max_user_watches"),
        )


def _folder_sync(facts: Facts) -> Iterator[Check]:
    names = _which(facts, [name for name, found in facts.items() if not found.syncs_folder])
    if names:
        yield Check(
            "folder sync",
            CheckState.NOTE,
            _("folders cannot be flushed ({names})").format(names=names),
            expected=_("fsync of a folder"),
            follows=_(
                "delivered receipts say so (folderSynced); after a power cut of the file server a packet may"
                " appear twice in the inbox under one id"
            ),
            advice=_("nothing to mend; readers key on sender and packet id"),
        )


def _dangerous_renames(facts: Facts) -> Iterator[Check]:
    names = _which(facts, [name for name, found in facts.items() if not found.keeps_taken])
    if names:
        yield Check(
            "rename",
            CheckState.PROBLEM,
            _("renaming without replacing replaced a file ({names})").format(names=names),
            expected=_("renameat2 with RENAME_NOREPLACE refuses a taken name, or says that it cannot"),
            follows=_("an original or a delivered packet could be overwritten"),
            advice=_("do not use this file system"),
        )


def _renames(facts: Facts) -> Iterator[Check]:
    names = _which(facts, [name for name, found in facts.items() if not found.renames_new])
    if not names:
        return
    if all(found.links for found in facts.values()):
        detail = _("no renaming without replacing; files go by a second name instead ({names})")
    else:
        detail = _("neither renaming without replacing nor second names ({names})")
    yield Check(
        "rename",
        CheckState.NOTE,
        detail.format(names=names),
        expected=_("renameat2 with RENAME_NOREPLACE"),
        follows=_(
            "the daemon looks whether a name is free and renames then; what somebody else puts under that"
            " very name in between is replaced"
        ),
        advice=_("let nobody but the daemon write to inbox, sent, refused, receipts and status"),
    )


def _case(facts: Facts) -> Iterator[Check]:
    names = _which(facts, [name for name, found in facts.items() if not found.knows_case])
    if names:
        yield Check(
            "case",
            CheckState.NOTE,
            _("capital and small letters are one ({names})").format(names=names),
            expected=_("names that differ in one capital letter are two names"),
            follows=_("of two drops A and a the second is put away as a~2, and their status files are one"),
            advice=_("let the case software use names that differ in more than capital letters"),
        )


def _times(facts: Facts) -> Iterator[Check]:
    step = max(found.time_step_ns for found in facts.values())
    if step >= _COARSE_NS:
        yield Check(
            "times",
            CheckState.NOTE,
            _("times are kept in steps of {seconds:g} seconds").format(seconds=step / 10**9),
            expected=_("steps below a second"),
            follows=_(
                "a file that is written again with the same size within one step looks unchanged;"
                " the profile settled is unsafe below that"
            ),
            advice=_("use the profile rename or marker; with settled, settle_seconds well above the step"),
        )


def _names(facts: Facts) -> Iterator[Check]:
    lost = {kind for found in facts.values() for kind in found.lost_names}
    if NameKind.CHINESE in lost:
        yield Check(
            "names",
            CheckState.PROBLEM,
            _("a Chinese file name cannot be kept"),
            expected=_("names in UTF-8"),
            follows=_("drops with Chinese names cannot be put away, packets with such files not delivered"),
            advice=_("mount with iocharset=utf8 (SMB), or on a file system with UTF-8 names"),
        )
    if NameKind.DECOMPOSED in lost:
        yield Check(
            "names",
            CheckState.WARNING,
            _("the file system changes names to another Unicode form"),
            expected=_("names come back byte by byte"),
            follows=_("an attachment may not be found under the name that its packet.xml lists"),
            advice=_("turn normalisation off on the server, or use plain names"),
        )
    if NameKind.GBK in lost:
        yield Check(
            "names",
            CheckState.NOTE,
            _("names in GBK bytes are refused or changed"),
            expected=_("names are bytes"),
            follows=_("old programs must write names that the server shows in UTF-8"),
            advice=_("nothing to mend where the case software runs on Windows: the server translates"),
        )
    if NameKind.LONG in lost:
        yield Check(
            "names",
            CheckState.NOTE,
            _("names of 255 bytes are refused"),
            expected=_("names of up to 255 bytes"),
            follows=_("a drop or an attachment with a very long name waits with a named reason"),
            advice=_("keep names short"),
        )


def _inodes(facts: Facts) -> Iterator[Check]:
    names = _which(facts, [name for name, found in facts.items() if not found.keeps_inode])
    if names:
        yield _changing_numbers(_("a file's number changes when it is renamed ({names})").format(names=names))


def _changing_numbers(detail: str) -> Check:
    return Check(
        "file numbers",
        CheckState.WARNING,
        detail,
        expected=_("a file keeps its number (inode) as long as it exists"),
        follows=_("a drop that was taken is not recognised as the same file and is left in the outbox"),
        advice=_("SMB: mount with serverino, from a server that has file numbers"),
    )


def _setgid(facts: Facts, folders: FoldersConfig) -> Iterator[Check]:
    if not folders.mode & stat.S_ISGID:
        return
    wrong = [
        name
        for name, found in facts.items()
        if not found.keeps_group or (found.wanted_mode & stat.S_ISGID and not found.mode & stat.S_ISGID)
    ]
    names = _which(facts, wrong)
    if names:
        yield Check(
            "group",
            CheckState.WARNING,
            _("what is made in a folder does not get its group or mode ({names})").format(names=names),
            expected=f"{folders.mode:04o}",
            follows=_("case software may be unable to read packets, or the daemon to read drops"),
            advice=_(
                "SMB: set gid, dir_mode and file_mode in the mount line and [folders] mode to the same;"
                " else check the mount option nosuid, grpid or nogrpid"
            ),
        )


def _options(mount: Mount) -> Iterator[Check]:
    """Mount options that are wrong for us."""
    kind = mount.kind
    if kind in {"cifs", "smb3"}:
        yield from _smb_options(mount)
    if kind in {"nfs", "nfs4"} and any(mount.option(name) is not None for name in ("soft", "softerr")):
        yield _soft()


def _smb_options(mount: Mount) -> Iterator[Check]:
    # The kernel shows hard or soft; soft is the default of SMB mounts.
    if mount.option("hard") is None:
        yield _soft()
    # Shown when it is on; the kernel turns it off by itself where the server's numbers are not unique.
    if mount.option("serverino") is None:
        yield _changing_numbers(_("mounted without serverino: file numbers are made up by this machine"))
    if mount.option("cache") == "loose":
        yield Check(
            "mount",
            CheckState.WARNING,
            _("mounted with cache=loose"),
            expected="cache=strict",
            follows=_("what the case software wrote may be read in an older state"),
            advice=_("mount with cache=strict"),
        )


def _soft() -> Check:
    return Check(
        "mount",
        CheckState.WARNING,
        _("mounted soft: operations fail when the server is slow"),
        expected="hard",
        follows=_("packets are put off instead of waiting, and half-written files must be redone"),
        advice=_("mount with hard"),
    )


def _room(name: str, facts: FolderFacts, floor_bytes: int) -> Iterator[Check]:
    least = max(floor_bytes, facts.total_bytes // 100)
    if facts.free_bytes < least:
        yield Check(
            "space",
            CheckState.WARNING,
            _("{name}: only {free} are free").format(name=name, free=size(facts.free_bytes)),
            expected=_("at least {least}").format(least=size(least)),
            follows=_("what needs room waits while it is full; nothing is lost"),
            advice=_("make room, or enlarge the volume"),
        )
    if 0 <= facts.free_names < _FEW_NAMES and facts.total_bytes:
        yield Check(
            "space",
            CheckState.WARNING,
            _("{name}: only {count} more files can be made").format(name=name, count=facts.free_names),
            follows=_("what needs a file waits when none is left; nothing is lost"),
            advice=_("remove files, or make a file system with more inodes"),
        )


def _which(facts: Facts, names: list[str]) -> str:
    """The names of the folders that have a trait; a word for all of them."""
    if names and len(names) == len(facts) and len(names) > 1:
        return _("all folders")
    return ", ".join(names)
