"""What the exit status of both programs says, in one table."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from cli.frame import InputFileError
from cli.jail.errors import JailPlanError
from cli.kit.errors import KitFolderError
from cli.lab.errors import LabFolderError
from exchanged import errors
from packet_spec.errors import (
    CatalogueError,
    ExchangeError,
    FormatError,
    NameRefusedError,
    SignatureError,
    UnknownKeyError,
    VersionError,
)


class ExitCode(IntEnum):
    """The codes that scripts and units rely on. A unit does not restart on 2 and 6."""

    DONE = 0
    FINDINGS = 1
    """Done, and there are findings to look at."""
    USAGE = 2
    """Usage, configuration or key files: nothing changes until a person does."""
    TEMPORARY = 3
    """Try later; also what an error that nobody foresaw is taken for."""
    NOT_FOUND = 4
    """No such packet, key or receipt."""
    REFUSED = 5
    """Refused by a state or by trust."""
    DAMAGED = 6
    """Ledger or spool damaged; a person confirms the volume first."""
    LOCKED = 7
    """Another daemon holds the lock."""
    INTERRUPTED = 130
    """128 + SIGINT."""
    PIPE_CLOSED = 141
    """128 + SIGPIPE: whoever read our output has gone."""


# The first class that fits decides, so a special error stands before the kind it belongs to.
_CODES: Final[tuple[tuple[type[ExchangeError], ExitCode], ...]] = (
    (errors.ConfigurationError, ExitCode.USAGE),
    (errors.LinkPeerError, ExitCode.USAGE),
    (errors.KeyFileError, ExitCode.USAGE),
    (errors.NameTakenError, ExitCode.USAGE),
    (NameRefusedError, ExitCode.USAGE),
    (InputFileError, ExitCode.USAGE),
    (LabFolderError, ExitCode.USAGE),
    (JailPlanError, ExitCode.USAGE),
    (KitFolderError, ExitCode.USAGE),
    (CatalogueError, ExitCode.USAGE),
    (errors.RequestError, ExitCode.USAGE),
    (errors.AmbiguousError, ExitCode.USAGE),
    (errors.DependencyError, ExitCode.USAGE),
    (errors.LedgerAheadError, ExitCode.USAGE),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.ActNotWithdrawnError, ExitCode.INTERRUPTED),
    (errors.VolumeDamagedError, ExitCode.DAMAGED),
    (errors.LedgerDamagedError, ExitCode.DAMAGED),
    (errors.BackupUnusableError, ExitCode.USAGE),
    (errors.AlreadyRunningError, ExitCode.LOCKED),
    (errors.HostKeyError, ExitCode.REFUSED),
    (errors.IllegalTransitionError, ExitCode.REFUSED),
    (VersionError, ExitCode.TEMPORARY),
    (UnknownKeyError, ExitCode.TEMPORARY),
    (SignatureError, ExitCode.REFUSED),
    (FormatError, ExitCode.REFUSED),
)


def exit_code_of(error: ExchangeError) -> ExitCode:
    """The exit code that an error of ours ends a program with."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.TEMPORARY if error.temporary else ExitCode.REFUSED
