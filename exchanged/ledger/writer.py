"""One writer thread, group commits, and the rule that a failing volume ends the process.

Functions handed to ``Ledger.write`` are run one after the other, several in one SQLite transaction
(each in its own savepoint, so that one that raises undoes only itself), and all of them hear of the
commit together. ``synchronous=FULL`` makes a commit durable before anybody hears of it. A failing
commit is ``VolumeDamagedError``: the process must exit with code 6, for nothing after a failed fsync
can be trusted. Known limit: a full disk is reported as ``NoSpaceError`` and the work is undone.
"""

from __future__ import annotations

import errno
import os
import queue
import sqlite3
import stat
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from exchanged.clock import Clock
from exchanged.errors import (
    FileOperationError,
    LedgerAheadError,
    LedgerBehindError,
    LedgerDamagedError,
    NoSpaceError,
    NotFoundError,
    VolumeDamagedError,
)
from exchanged.exhausted import exhausted
from exchanged.ledger import forms
from exchanged.ledger.damage import UNREADABLE, damage_by_name, name_busy, text_of
from exchanged.ledger.transaction import Transaction
from exchanged.notify import longer_start, sd_notify
from exchanged.volume import NO_CRASH, CrashPoints
from packet_spec.errors import ExchangeError

# For so long a lock of somebody else is waited for.
LOCK_SECONDS: Final = 30.0

T = TypeVar("T")

_GROUP: Final = 256
# While the form changes: after so many instructions of the engine the clock is read, so often the
# service manager is told (seconds), and so long the engine may sort without an instruction (seconds).
_INSTRUCTIONS: Final = 1_000
_TELL_SECONDS: Final = 30.0
_STEP_SECONDS: Final = 600.0
# More than there are: preparing one anew takes several times as long as most of them run.
_STATEMENTS: Final = 1024

# What the engine says where it can neither use nor make them.
_NO_SIDE_FILES: Final = frozenset({sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


@dataclass(slots=True)
class _Work:
    function: Callable[[Transaction], Any]
    answer: Future[Any]


class Ledger:
    """The ledger of a running node. Opened by the daemon only, under the node's lock."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        *,
        on_wake: Callable[[frozenset[str]], None],
        crash: CrashPoints = NO_CRASH,
        threaded: bool = True,
    ) -> None:
        self.path = path
        self._clock = clock
        self._on_wake = on_wake
        self._crash = crash
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._readers = threading.local()
        self._all_readers: list[tuple[threading.Thread, sqlite3.Connection]] = []
        self._guard = threading.Lock()
        self._broken: VolumeDamagedError | None = None
        with damage_by_name(path.name):
            self._connection = _open(path)
            try:
                _refuse_newer_form(self._connection, str(path))
            except LedgerAheadError:
                self._connection.close()
                raise
            _migrate(self._connection, clock)
            # Only now: the index of a large old ledger is not to be built in memory.
            _keep_to_itself(self._connection)
        self._thread = threading.Thread(target=self._run, name="ledger", daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    def write(self, function: Callable[[Transaction], T]) -> T:
        """Run ``function`` in a transaction and return its value once it is durable.

        Raises what ``function`` raises (its changes are undone), NoSpaceError on a full disk, and
        VolumeDamagedError when the volume failed.
        """
        if self._thread is None:
            return self._write_here(function)
        answer: Future[T] = Future()
        self._queue.put(_Work(function, answer))
        return answer.result()

    def write_each(self, functions: Sequence[Callable[[Transaction], object]]) -> None:
        """Run each function in a savepoint of its own; they share commits, in order.

        One that raises undoes only itself; the first such error is raised after all have run.
        """
        works: list[_Work] = [_Work(function, Future()) for function in functions]
        if self._thread is None:
            with self._guard:
                for start in range(0, len(works), _GROUP):
                    self._commit(works[start : start + _GROUP])
        else:
            for work in works:
                self._queue.put(work)
        errors = [error for work in works if (error := work.answer.exception()) is not None]
        if errors:
            raise errors[0]

    def read(self) -> sqlite3.Connection:
        """This thread's read-only connection. It sees what was committed."""
        connection: sqlite3.Connection | None = getattr(self._readers, "connection", None)
        if connection is None:
            connection = _read_only(self.path, "mode=ro")
            self._readers.connection = connection
            with self._guard:
                self._close_readers(of_the_living=False)
                self._all_readers.append((threading.current_thread(), connection))
        return connection

    def fold(self) -> None:
        """Fold the write-ahead log into the file, which then is the whole ledger. Only without other work."""
        with self._guard, damage_by_name(self.path.name):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """Stop the writer after the work in hand and close every connection."""
        if self._thread is not None and self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        with self._guard:
            self._close_readers(of_the_living=True)
        with suppress(sqlite3.Error):
            self._connection.close()

    def _close_readers(self, *, of_the_living: bool) -> None:
        """Those of threads that ended, such as came back from a long step, or all of them."""
        kept = []
        for thread, reader in self._all_readers:
            if thread.is_alive() and not of_the_living:
                kept.append((thread, reader))
                continue
            with suppress(sqlite3.Error):
                reader.close()
        self._all_readers = kept

    def _write_here(self, function: Callable[[Transaction], T]) -> T:
        answer: Future[T] = Future()
        with self._guard:
            self._commit([_Work(function, answer)])
        return answer.result()

    def _run(self) -> None:
        while True:
            first = self._queue.get()
            if first is None:
                return
            group = [first]
            stop = False
            while len(group) < _GROUP:
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    stop = True
                    break
                group.append(more)
            self._commit(group)
            if stop:
                return

    def _commit(self, group: list[_Work]) -> None:
        """Run a group in one transaction; every answer is set only after the commit."""
        answers: list[tuple[_Work, Any, Exception | None]] = []
        wakes: set[str] = set()
        try:
            if self._broken is not None:
                raise self._broken
            with damage_by_name(self.path.name):
                self._connection.execute("BEGIN IMMEDIATE")
                transaction = Transaction(self._connection, self._clock.now())
                answers.extend(self._one(transaction, work) for work in group)
                self._crash.point("ledger:before-commit")
                self._connection.execute("COMMIT")
                self._crash.point("ledger:after-commit")
            wakes = transaction.wakes
        except ExchangeError as error:
            if isinstance(error, VolumeDamagedError):
                self._broken = error
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            for work in group:
                work.answer.set_exception(error)
            return
        if wakes:
            self._on_wake(frozenset(wakes))
        for work, value, raised in answers:
            if raised is None:
                work.answer.set_result(value)
            else:
                work.answer.set_exception(raised)

    def _one(self, transaction: Transaction, work: _Work) -> tuple[_Work, Any, Exception | None]:
        try:
            with transaction.part():
                return work, work.function(transaction), None
        except sqlite3.IntegrityError as error:
            raised: Exception = LedgerDamagedError(f"the ledger refused a row: {error}", where=self.path.name)
        except sqlite3.DatabaseError:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller, whose work is undone
            raised = error
        return work, None, raised


def _require_writable(path: Path) -> None:
    """The engine calls a file of another user damaged, and a full volume unreadable.

    Raises FileOperationError, NoSpaceError or VolumeDamagedError.
    """
    try:
        if path.exists():
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except PermissionError as error:
        expected, found, hint = f"user id {os.geteuid()}", "", f"run as root: chown {os.geteuid()} {path}*"
        # Who may not even look into its folder cannot say whose it is.
        with suppress(OSError):
            status = path.stat()
            found = f"user id {status.st_uid}"
            if status.st_uid == os.geteuid():
                expected, found = "mode 0640", f"mode {stat.S_IMODE(status.st_mode):04o}"
                hint = f"run: chmod 640 {path}*"
        raise FileOperationError(
            "the ledger may not be written by this user", where=str(path),
            expected=expected, found=found, hint=hint,
        ) from error  # fmt: skip
    except OSError as error:
        if error.errno == errno.EROFS:
            raise VolumeDamagedError("the ledger's volume is read-only", where=str(path)) from error
        raise exhausted(error, str(path)) or FileOperationError(
            "the ledger cannot be opened", where=str(path), found=error.strerror or ""
        ) from error
    volume = os.statvfs(path.parent)
    if volume.f_files and not volume.f_favail:
        raise NoSpaceError("no room for another file beside the ledger", where=str(path.parent))


def _open(path: Path) -> sqlite3.Connection:
    _require_writable(path)
    connection = sqlite3.connect(
        path,
        timeout=LOCK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    connection.row_factory = sqlite3.Row
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        # The engine tells a failed flush or a file system without shared memory only by staying as it was.
        connection.close()
        raise VolumeDamagedError("the volume does not take the ledger's write-ahead log", where=path.name)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA wal_autocheckpoint = 2000")
    return connection


def _read_only(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        timeout=LOCK_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    connection.row_factory = sqlite3.Row
    _keep_to_itself(connection)
    return connection


def _keep_to_itself(connection: sqlite3.Connection) -> None:
    """What a statement keeps aside are rows of the ledger: never in a folder for temporary files (I11)."""
    connection.execute("PRAGMA temp_store = MEMORY")


def open_read_only(path: Path) -> sqlite3.Connection:
    """A read-only connection for the command line, with or without a running daemon.

    A daemon that starts meanwhile changes nothing of a transaction that is read, except where
    ``open_to_read`` says so. Raises NotFoundError when there is no ledger, FileOperationError when the caller
    may not read it, and LedgerBusyError when somebody else keeps it locked, and LedgerDamagedError when it
    cannot be read for any other reason.
    """
    return open_to_read(path)[0]


def open_to_read(path: Path) -> tuple[sqlite3.Connection, bool]:
    """The same, and whether it is guarded against whoever writes meanwhile.

    It is not where the side files, in which readers and writer of a WAL ledger heed each other, are not
    there and cannot be made: on a read-only medium, or by somebody who may only read.
    """
    try:
        with path.open("rb"):
            # Who may not read it must not be told that it is damaged.
            pass
    except FileNotFoundError as error:
        raise NotFoundError(
            "there is no ledger here", where=str(path), hint="check --config, or start the node once"
        ) from error
    except OSError as error:
        raise FileOperationError(
            "the ledger cannot be opened",
            where=str(path),
            found=error.strerror or "",
            hint="run this as root or as the daemon's user",
        ) from error
    try:
        try:
            return _looked_at(path, "mode=ro"), True
        except sqlite3.OperationalError as raised:
            if raised.sqlite_errorcode & 0xFF not in _NO_SIDE_FILES or _has_log(path):
                raise
            return _looked_at(path, "mode=ro&immutable=1"), False
    except UNREADABLE as raised:
        raise name_busy(raised, str(path)) or _unreadable(text_of(raised), path) from raised


def has_begun(path: Path) -> bool:
    """Its first form was made; one that cannot be read has begun as well."""
    if not path.exists():
        return False
    try:
        with closing(_read_only(path, "mode=ro")) as connection:
            return forms.lacks(connection) != forms.STEPS
    except (*UNREADABLE, LedgerDamagedError):
        return True


def _looked_at(path: Path, mode: str) -> sqlite3.Connection:
    """Opening alone reads nothing: the first statement says whether it can be read."""
    connection = _read_only(path, mode)
    try:
        connection.execute("SELECT 1 FROM event LIMIT 1").fetchone()
    except UNREADABLE:
        connection.close()
        raise
    return connection


def _has_log(path: Path) -> bool:
    """There are transactions beside the ledger's file: without them it would be an older one."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def _unreadable(error: str, path: Path) -> LedgerDamagedError:
    return LedgerDamagedError(f"the ledger cannot be read: {error}", where=str(path))


def _migrate(connection: sqlite3.Connection, clock: Clock) -> None:
    """Take the steps that the ledger lacks.

    While one of them gets on, a service manager gives more time: a start that it ends would begin the same
    step again, for ever where the ledger is large.
    """
    from sqlite_utils import Database  # noqa: PLC0415 - who only reads a ledger need not wait for it

    from exchanged.ledger.schema import migrate  # noqa: PLC0415 - likewise

    told_at = -_TELL_SECONDS

    def gets_on() -> int:
        nonlocal told_at
        if clock.monotonic() - told_at >= _TELL_SECONDS:
            told_at = clock.monotonic()
            sd_notify(longer_start(_STEP_SECONDS))
        return 0

    if forms.lacks(connection):
        connection.set_progress_handler(gets_on, _INSTRUCTIONS)
    try:
        migrate(Database(connection))
    finally:
        connection.set_progress_handler(None, 0)


def _refuse_newer_form(connection: sqlite3.Connection, where: str = "") -> None:
    """Raises LedgerAheadError when a newer program has changed the ledger's form."""
    if strange := forms.strange(connection):
        raise LedgerAheadError(
            "the ledger was written by a newer version of this program",
            where=where,
            found=f"with {', '.join(strange)}",
        )


def require_verifiable_form(connection: sqlite3.Connection, where: str = "") -> None:
    """Raises LedgerAheadError for a ledger of a newer version: what belongs into it is not known here.

    A newer version has taken all of our steps too. A list of steps that lacks one, or cannot be read, is for
    verifying to judge.
    """
    with suppress(*UNREADABLE, LedgerDamagedError):
        if not forms.lacks(connection):
            _refuse_newer_form(connection, where)


def require_newest_form(connection: sqlite3.Connection) -> None:
    """Raises LedgerBehindError for a ledger of an older version: most questions cannot be asked of it.

    Raises LedgerAheadError for one of a newer version.
    """
    _refuse_newer_form(connection)
    lacking = forms.lacks(connection)
    if lacking:
        raise LedgerBehindError(
            "the ledger was written by an older version and was not brought up to this one yet",
            found=f"without {', '.join(lacking)}",
        )
