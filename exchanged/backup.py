"""A backup of a node: the ledger as of one moment, all that it names, directory, packs, configuration.

    DEST/manifest.json     last of all: without it the backup was not finished
    DEST/exchanged.toml
    DEST/data/ledger.sqlite3  spool/  blobs/  directory/  packs/

Guarantees: taken beside a running daemon or without one, it is to the daemon as good as a power cut of that
moment; every file is flushed before the manifest names it with its size and SHA-256; keys are apart, in a
folder of their own, and only when asked for. ``verify`` reads every byte and the whole chain of events.

Leaves to others: putting it back (``restore_node``), the agency's folders, mailboxes, and where backups are
kept.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from exchanged.config import Config
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import BackupUnusableError, FileOperationError, LedgerAheadError
from exchanged.held_files import HeldFiles, Outcome
from exchanged.key_files import key_files_here
from exchanged.keys import check_private_file
from exchanged.ledger import blobs, open_read_only, require_verifiable_form, spool
from exchanged.ledger.copying import LedgerFacts, copy_ledger, facts_of
from exchanged.ledger.times import moment, stamp
from exchanged.ledger.verify import Problem, examine_ledger
from exchanged.own_ledger import require_same_node
from exchanged.places import BLOB_FOLDER, DIRECTORY_FOLDER, LEDGER_FILE, PACK_FOLDER, SPOOL_FOLDER
from packet_spec.model import KeyUse

MANIFEST: Final = "manifest.json"
DATA: Final = "data"
CONFIGURATION: Final = "exchanged.toml"
_FORMAT: Final = "exchanged-backup-1"
_BLOCK: Final = 1 << 20
# A running daemon lets go of files; what the ledger names at one moment may be gone before it was held.
_ROUNDS: Final = 20
_MANIFEST_BYTES: Final = 256 * 1024 * 1024

Moved = Callable[[int], None]
"""Hears how many further bytes were copied or read."""


def nobody_looks(_bytes: int) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True, slots=True)
class BackedUp:
    """One file of a backup: its path below the backup, size in bytes, SHA-256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of.

    ``events`` and ``head`` are those of its ledger; ``last_at`` when that last changed.
    """

    node: str
    role: str
    made_at: datetime
    incarnation: str
    events: int
    head: str
    last_at: datetime | None
    files: tuple[BackedUp, ...]

    @property
    def size(self) -> int:
        """Bytes altogether."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found. ``problems`` empty: the backup is whole."""

    manifest: Manifest | None
    problems: tuple[Problem, ...]

    @property
    def is_whole(self) -> bool:
        """Nothing is missing or changed."""
        return not self.problems


def create(
    config: Config,
    configuration: Path,
    target: Path,
    now: datetime,
    *,
    keys: Path | None = None,
    moved: Moved = nobody_looks,
) -> Manifest:
    """Write a backup into the folder ``target``, and the keys into ``keys`` if given; both new or empty.

    Raises BackupUnusableError where a folder is not empty or lies in the data directory (a restore moves all
    that lies there aside), or files vanish faster than they are copied, ConfigurationError where the ledger
    belongs to another node than the manifest would name, FileOperationError where the folder above is not
    there or nothing can be written, NoSpaceError, and what reading the ledger raises.
    """
    files = DurableFiles(Volume.OUTPUT)
    folders = [folder for folder in (target, keys) if folder is not None]
    for folder in folders:
        if places_in(config.node.data_dir, folder):
            raise BackupUnusableError(
                "the folder for the backup lies in the data directory of the node",
                where=str(folder),
                hint="name a folder outside data_dir, best on another volume",
            )
    for folder in folders:
        _make_empty(files, folder)
    data = target / DATA
    for folder in (
        data,
        *(data / each for each in (SPOOL_FOLDER, BLOB_FOLDER, DIRECTORY_FOLDER, PACK_FOLDER)),
    ):
        files.make_dir(folder, mode=0o700)
    written: dict[str, BackedUp] = {}
    source = config.node.data_dir
    with closing(open_read_only(source / LEDGER_FILE)) as connection:
        require_same_node(connection, config.node)
    facts = _copy_ledger_and_files(files, source, data, written, moved)
    for name in (DIRECTORY_FOLDER, PACK_FOLDER):
        for file in _plain_files(source / name):
            _copy(files, source, data, f"{name}/{file.name}", written, moved)
    _take_in(files, data / LEDGER_FILE, LEDGER_FILE, written, moved)
    listed = [BackedUp(f"{DATA}/{file.path}", file.size, file.sha256) for file in written.values()]
    size, digest = files.write_file(target / CONFIGURATION, (configuration.read_bytes(),), mode=0o600)
    listed.append(BackedUp(CONFIGURATION, size, digest))
    if keys is not None:
        _copy_keys(files, config, keys)
    manifest = Manifest(
        node=config.node.code,
        role=config.node.role.value,
        made_at=now,
        incarnation=facts.incarnation,
        events=facts.events,
        head=facts.head,
        last_at=facts.last_at,
        files=tuple(sorted(listed, key=lambda file: file.path)),
    )
    files.sync_dir(data)
    files.write_file(target / MANIFEST, (_encode(manifest),), mode=0o600)
    return manifest


def size_of(config: Config) -> int:
    """About how many bytes a backup takes; for a progress bar."""
    data = config.node.data_dir
    folders = (SPOOL_FOLDER, BLOB_FOLDER, DIRECTORY_FOLDER, PACK_FOLDER)
    sizes = [path.stat().st_size for folder in folders for path in _plain_files(data / folder)]
    ledger = data / LEDGER_FILE
    return sum(sizes) + (ledger.stat().st_size if ledger.exists() else 0)


def read_manifest(backup: Path) -> Manifest:
    """The manifest of a finished backup. Raises BackupUnusableError."""
    path = backup / MANIFEST
    try:
        if path.stat().st_size > _MANIFEST_BYTES:
            raise ValueError
        said = json.loads(path.read_text("utf-8"))
        if said["format"] != _FORMAT:
            raise ValueError
        return _decode(said)
    except FileNotFoundError as error:
        raise BackupUnusableError(
            "this is no finished backup: it has no manifest",
            where=str(backup),
            expected=MANIFEST,
            hint="name a folder that backup create wrote to its end; one without a manifest was broken off",
        ) from error
    except OSError as error:
        raise FileOperationError(
            "the backup cannot be read", where=str(path), found=error.strerror or ""
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupUnusableError(
            "the manifest of the backup cannot be read", where=str(path), expected=_FORMAT
        ) from error


def verify(backup: Path, moved: Moved = nobody_looks) -> Verdict:
    """Read everything: digests, the ledger's chain, and that every range and blob that it needs is there.

    Raises BackupUnusableError without a manifest, FileOperationError for a backup that cannot be read,
    LedgerAheadError for one of a newer version, of which nothing but its digests can be judged here.
    """
    manifest = read_manifest(backup)
    problems: list[Problem] = []
    for file in manifest.files:
        found = _digest(backup / file.path, moved)
        if found is None:
            problems.append(Problem("backup-file-missing", file.path, f"{file.size} bytes", "no file"))
        elif found != (file.size, file.sha256):
            problems.append(Problem("backup-file-differs", file.path, file.sha256, found[1]))
    ledger = backup / DATA / LEDGER_FILE
    if not any(problem.where == f"{DATA}/{LEDGER_FILE}" for problem in problems):
        with closing(open_read_only(ledger)) as connection:
            try:
                require_verifiable_form(connection)
            except LedgerAheadError as error:
                if problems:
                    # A file that is missing or differs is that in every version.
                    return Verdict(manifest, tuple(problems))
                raise LedgerAheadError(
                    "the ledger of the backup was written by a newer version of this program",
                    where=str(backup),
                    found=error.found,
                    hint="verify and restore it with the version that wrote it, or a newer one",
                ) from error
            verified = examine_ledger(connection, backup / DATA)
        problems += verified.problems
        if (verified.events, verified.head) != (manifest.events, manifest.head):
            problems.append(Problem("backup-ledger-differs", LEDGER_FILE, manifest.head, verified.head))
    return Verdict(manifest, tuple(problems))


def _copy_ledger_and_files(
    files: DurableFiles, source: Path, data: Path, written: dict[str, BackedUp], moved: Moved
) -> LedgerFacts:
    """The ledger and what it names, which a running daemon may let go of long before it is copied.

    So files are held first, those that the ledger names in the transaction that is copied; only what came
    and went within that moment asks for another one.
    """
    with HeldFiles(source, files) as held:

        def keep(path: str, size: int) -> bool:
            # A file that still grew when it was copied is copied again.
            if path in written and written[path].size >= size:
                return True
            outcome = held.hold(path)
            if outcome is Outcome.NOT_POSSIBLE:
                return _copy(files, source, data, path, written, moved)
            return outcome is Outcome.HELD

        for folder in (SPOOL_FOLDER, BLOB_FOLDER):
            for file in _plain_files(source / folder):
                keep(f"{folder}/{file.name}", 0)
        named: dict[str, int] = {}

        def keep_named(connection: Any) -> bool:
            named.clear()
            named.update(_named(connection))
            gone = [path for path, size in named.items() if not keep(path, size)]
            return not gone

        for _ in range(_ROUNDS):
            if copy_ledger(source / LEDGER_FILE, data / LEDGER_FILE, keep_named):
                break
        else:
            raise _vanishing(source)
        for path in named:
            if path not in written and not _copy(files, held.folder, data, path, written, moved):
                raise _vanishing(source)
    for path in [path for path in written if path not in named]:
        files.unlink(data / path)
        del written[path]
    with closing(open_read_only(data / LEDGER_FILE)) as connection:
        return facts_of(connection)


def _vanishing(source: Path) -> BackupUnusableError:
    return BackupUnusableError(
        "files of the node vanish faster than they can be copied",
        where=str(source),
        hint="give the command again; if it lasts: exchangectl ledger verify",
    )


# --- files --------------------------------------------------------------------------------------------


def places_in(folder: Path, path: Path) -> set[Path]:
    """Where in ``folder`` (relative to it) ``path`` lies, by name and by where links lead; none: outside."""
    ways, tops = _ways_to(path), _ways_to(folder)
    return {way.relative_to(top) for way in ways for top in tops if way.is_relative_to(top)}


def _ways_to(path: Path) -> tuple[Path, Path]:
    return Path(os.path.normpath(path.absolute())), Path(os.path.realpath(path))


def _make_empty(files: DurableFiles, folder: Path) -> None:
    try:
        if any(folder.iterdir()):
            raise BackupUnusableError(
                "the folder for the backup is not empty", where=str(folder), hint="name a new folder"
            )
    except FileNotFoundError:
        if not folder.parent.exists():
            # Made here, it would hide that a share is not mounted, and fill the system's disk.
            raise FileOperationError(
                "the folder above that of the backup is not there",
                where=str(folder.parent),
                hint="is its volume mounted? if it is, make that folder with: install -d -m 0700",
            ) from None
        files.make_dir(folder, mode=0o700)
    except OSError as error:
        raise FileOperationError(
            "the folder for the backup cannot be used", where=str(folder), found=error.strerror or ""
        ) from error


def _named(connection: Any) -> dict[str, int]:
    """Spool files and blobs that the ledger names, below the data directory, with their sizes."""
    found = {f"{SPOOL_FOLDER}/{name}": size for name, size in spool.names(connection).items()}
    stored = blobs.all_files(connection).items()
    return found | {f"{BLOB_FOLDER}/{digest}.{number}": size for (digest, number), size in stored}


def _copy(
    files: DurableFiles,
    source: Path,
    target: Path,
    path: str,
    written: dict[str, BackedUp],
    moved: Moved,
) -> bool:
    """Copy one file, flushed. False: it is not there."""
    if not (source / path).is_file():
        return False
    try:
        size, digest = files.write_file(target / path, blocks_of(source / path, moved), mode=0o600)
    except FileOperationError:
        if (source / path).exists():
            raise
        return False
    written[path] = BackedUp(path, size, digest)
    return True


def _take_in(
    files: DurableFiles, ledger: Path, name: str, written: dict[str, BackedUp], moved: Moved
) -> None:
    """The copied ledger, flushed under its name like every other file."""
    size, digest = files.write_file(ledger, blocks_of(ledger, moved), mode=0o600)
    written[name] = BackedUp(name, size, digest)


def _copy_keys(files: DurableFiles, config: Config, target: Path) -> None:
    """Private keys, by their names, and earlier and next ones beside them.

    Whoever has them can speak for this node and read what was encrypted to it.
    """
    here = key_files_here(config)
    # A node without one cannot speak: then something is wrong, and a copy of the rest would look whole.
    link = here.get(KeyUse.LINK) or (config.keys.link,)
    for path in dict.fromkeys((*link, *(path for found in here.values() for path in found))):
        check_private_file(path)
        files.write_new(target / path.name, (path.read_bytes(),), mode=0o600)


def _plain_files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except FileNotFoundError:
        return []


def blocks_of(path: Path, moved: Moved = nobody_looks) -> Iterator[bytes]:
    """The bytes of a file. Raises FileOperationError."""
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                moved(len(block))
                yield block
    except OSError as error:
        raise FileOperationError(
            "a file cannot be read", where=str(path), found=error.strerror or ""
        ) from error


def _digest(path: Path, moved: Moved) -> tuple[int, str] | None:
    if not path.is_file() or path.is_symlink():
        return None
    hasher, size = hashlib.sha256(), 0
    for block in blocks_of(path, moved):
        hasher.update(block)
        size += len(block)
    return size, hasher.hexdigest()


# --- the manifest --------------------------------------------------------------------------------------


def _encode(manifest: Manifest) -> bytes:
    said = asdict(manifest) | {
        "format": _FORMAT,
        "made_at": stamp(manifest.made_at),
        "last_at": stamp(manifest.last_at) if manifest.last_at else None,
    }
    return (json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def _decode(said: dict[str, Any]) -> Manifest:
    files = tuple(BackedUp(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in said["files"])
    for file in files:
        if file.path.startswith("/") or ".." in file.path.split("/"):
            raise ValueError(file.path)
    return Manifest(
        node=str(said["node"]),
        role=str(said["role"]),
        made_at=moment(said["made_at"]),
        incarnation=str(said["incarnation"]),
        events=int(said["events"]),
        head=str(said["head"]),
        last_at=moment(said["last_at"]) if said["last_at"] else None,
        files=files,
    )
