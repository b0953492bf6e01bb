"""Try a link now, step by step, and say where it ends. Changes nothing on either side.

Guarantees: dials with the daemon's own code, keys and settings; puts, takes and removes nothing; the
first step that fails is the last one, with its error. Leaves to others: whether what lies in the mailbox
is any good (landing says that). Known limit: an account that may have one connection only refuses this one
while the daemon is connected.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from exchanged.clock import Clock
from exchanged.config import LinkConfig, LinkSide, LinkTransport
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import MailboxUnusableError, TransportError
from exchanged.link_health import Fault, fault_of
from exchanged.mailbox import BELL_NAME, DIRECTIONS, Direction, scan_directory, written_by
from exchanged.parts import sftp_settings
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_transport import SftpTransport
from exchanged.transport import Listing
from packet_spec.errors import ExchangeError
from packet_spec.limits import MIB
from packet_spec.ssh_keys import SshKeys


@dataclass(frozen=True, slots=True)
class ProbeStep:
    """One step: its name, how long it took, what was found; ``error`` and ``fault`` where it failed.

    Names: resolve, connect, host-key, login, list-down, list-up, bell, space for ``sftp``; folder, list-up,
    list-down, bell for ``folder``.
    """

    name: str
    seconds: float
    found: str = ""
    error: ExchangeError | None = None
    fault: Fault | None = None


class _Watch:
    """Steps and the time each took."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()
        self.steps: list[ProbeStep] = []

    def note(self, name: str, found: str = "") -> None:
        self.steps.append(ProbeStep(name, self._lap(), found))

    def fail(self, name: str, error: ExchangeError) -> None:
        self.steps.append(ProbeStep(name, self._lap(), error=error, fault=fault_of(error)))

    def _lap(self) -> float:
        now = self._clock.monotonic()
        took, self._began = now - self._began, now
        return took


def probe(
    link: LinkConfig,
    clock: Clock,
    listed: Callable[[], SshKeys] = SshKeys,
    logins: Callable[[], Sequence[bytes]] = tuple,
) -> tuple[ProbeStep, ...]:
    """Every step that was taken, in order; the link works when none has an error.

    ``listed`` says what the directory lists as the host keys of the node at the other end; ``logins`` gives
    the seeds to log in with, where others than the configured key count.
    """
    watch = _Watch(clock)
    is_sftp = link.transport is LinkTransport.SFTP
    steps = _sftp_steps(link, watch, listed, logins) if is_sftp else _folder_steps(link, watch)
    for name, act in steps:
        try:
            act()
        except ExchangeError as error:
            watch.fail(_stage(watch, name), error)
            break
    return tuple(watch.steps)


_Steps = Iterator[tuple[str, Callable[[], None]]]
_CONNECTING = ("connect", "host-key", "login")


def _stage(watch: _Watch, name: str) -> str:
    """Connecting is one act of several steps: the one after the last that went well has failed."""
    done = {step.name for step in watch.steps}
    return next(stage for stage in _CONNECTING if stage not in done) if name == "connect" else name


def _sftp_steps(
    link: LinkConfig,
    watch: _Watch,
    listed: Callable[[], SshKeys],
    logins: Callable[[], Sequence[bytes]],
) -> _Steps:
    yield "resolve", lambda: watch.note("resolve", _addresses(link))
    made: list[SftpConnection] = []

    def connect() -> None:
        made.append(SftpConnection(sftp_settings(link), reached=watch.note, listed=listed, logins=logins))
        made[0].open_window().close()

    # An error of the constructor (the login key) stands before the first byte is sent.
    yield "connect", connect
    connection = made[0]
    with closing(connection):
        transport = SftpTransport(connection, DurableFiles(Volume.FOREIGN))
        yield "list-down", lambda: watch.note("list-down", _listed(transport.list_names()))
        yield "list-up", lambda: watch.note("list-up", _listed(transport.list_own()))
        mailbox = link.mailbox.rstrip("/")

        def bell() -> None:
            with closing(connection.open_window()) as window:
                found = window.lstat(f"{mailbox}/{BELL_NAME}")
            watch.note("bell", "missing: news come with the slow scan only" if found is None else "there")

        def space() -> None:
            with closing(connection.open_window()) as window:
                free = window.free_space(f"{mailbox}/{Direction.UP}")
            told = "the server does not tell" if free is None else f"{free.size_bytes // MIB} MiB free"
            watch.note("space", told)

        yield "bell", bell
        yield "space", space


def _folder_steps(link: LinkConfig, watch: _Watch) -> _Steps:
    mailbox = Path(link.mailbox)
    writes = written_by(link.side)
    yield "folder", lambda: watch.note("folder", _owner_and_mode(mailbox))
    for direction in DIRECTIONS:
        path = mailbox / direction.value

        def look(path: Path = path, direction: Direction = direction) -> None:
            owner = _owner_and_mode(path)
            if direction is writes and not os.access(path, os.W_OK | os.X_OK):
                raise MailboxUnusableError(
                    "the mailbox folder cannot be written by whoever runs this", where=str(path), found=owner
                )
            watch.note(f"list-{direction}", f"{_listed(scan_directory(path))}; {owner}")

        yield f"list-{direction}", look
    if link.side is LinkSide.SERVE:
        path = mailbox / BELL_NAME
        yield "bell", lambda: watch.note("bell", _owner_and_mode(path, stat.S_ISFIFO, "a FIFO"))


def _addresses(link: LinkConfig) -> str:
    try:
        found = socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        # A name that cannot be one at all is a UnicodeError of the codec for domain names.
        raise TransportError(
            "the host name cannot be resolved",
            where=link.host,
            found=getattr(error, "strerror", None) or "no host name",
            hint="check [[link]] host, or write the address into /etc/hosts",
        ) from error
    return ", ".join(dict.fromkeys(str(entry[4][0]) for entry in found))


def _listed(listing: Listing) -> str:
    text = f"{len(listing.files)} files"
    return f"{text}, {listing.strangers} strangers" if listing.strangers else text


def _owner_and_mode(
    path: Path, is_wanted: Callable[[int], bool] = stat.S_ISDIR, wanted: str = "a folder"
) -> str:
    """Owner, group and mode. Raises MailboxUnusableError for what is missing or something else."""
    try:
        found = path.lstat()
    except OSError as error:
        raise MailboxUnusableError(
            "the mailbox is not there", where=str(path), expected=wanted, found=error.strerror or ""
        ) from error
    if not is_wanted(found.st_mode):
        raise MailboxUnusableError("the mailbox is not what it should be", where=str(path), expected=wanted)
    mode = f"{_user(found.st_uid)}:{_group(found.st_gid)} {stat.S_IMODE(found.st_mode):04o}"
    # A jail's own top folder is open to all by its nature, and nothing lies in it but folders.
    return f"{mode}, others may write" if found.st_mode & stat.S_IWOTH else mode


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
