"""Real processes: started apart from the terminal, recognised again later, stopped for certain.

Guarantees: a process is known by its number, the boot and the moment it started, and by a word of its
command line, so that a number given to somebody else's process is never signalled; what a process
started is known by a random token in its environment; signals go through a pidfd, which cannot change
hands; waiting is waiting for the kernel, never sleeping.
Known limit: Linux only (/proc, pidfd).
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from cli.lab.errors import LabError
from exchanged.clock import Clock
from exchanged.durable import DurableFiles, Volume

_PROC: Final = Path("/proc")
_BOOT: Final = _PROC / "sys/kernel/random/boot_id"
# The pidfd of a process that has ended is readable.
_ENDED: Final = select.POLLIN
# Zombie and dead, in the words of proc(5).
_ENDED_STATES: Final = frozenset({"Z", "X"})
_VARIABLE: Final = "EXCHANGED_LAB_VARIABLE"


@dataclass(frozen=True, slots=True)
class Process:
    """A process as it was started.

    ``mark`` is a text that its command line must show; ``token`` stands in its environment and in that
    of everything it starts, unless that clears its environment (as sshd does).
    """

    pid: int
    started: int
    boot: str
    mark: str
    token: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """What /proc says of a process: state, parent, and the ticks since boot when it started."""

    pid: int
    state: str
    parent: int
    started: int


def spawn(
    command: Sequence[str], environment: Mapping[str, str], log: Path, mark: str, token: str
) -> Process:
    """Start ``command`` in a session of its own, writing to the end of ``log``.

    Raises LabError when the program cannot be started.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        try:
            pid = os.posix_spawn(
                command[0],
                list(command),
                {**environment, _VARIABLE: token},
                file_actions=(
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ),
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGINT, signal.SIGHUP),
            )
        except OSError as error:
            raise LabError(f"a program cannot be started: {error.strerror}", where=command[0]) from error
    entry = _read_entry(pid)
    return Process(pid, entry.started if entry else 0, _boot(), mark, token)


def is_running(process: Process) -> bool:
    """That very process still runs; a zombie does not."""
    reap(process.pid)
    entry = _read_entry(process.pid)
    return (
        entry is not None
        and entry.state not in _ENDED_STATES
        and entry.started == process.started
        and process.boot == _boot()
        and process.mark.encode() in _command_line(process.pid)
    )


def send(process: Process, number: signal.Signals) -> bool:
    """Signal that very process; False when it has gone."""
    with ExitStack() as stack:
        descriptor = _open_pidfd(process.pid, stack)
        # Checked after the pidfd is open: from here on it cannot mean another process.
        if descriptor is None or not is_running(process):
            return False
        try:
            signal.pidfd_send_signal(descriptor, number)
        except ProcessLookupError:
            # It ended after the look.
            return False
        return True


def family(process: Process) -> tuple[Process, ...]:
    """What a process started, also after it died itself: everything that bears its token."""
    bearing = f"{_VARIABLE}={process.token}".encode()
    boot = _boot()
    return tuple(
        Process(entry.pid, entry.started, boot, "", process.token)
        for entry in _all_entries()
        if entry.pid != process.pid and bearing in _environment(entry.pid).split(b"\0")
    )


def descendants(process: Process) -> tuple[Process, ...]:
    """The children of a running process, and theirs. Empty when it does not run."""
    before: tuple[Process, ...] | None = None
    while is_running(process):
        found = _below(process)
        if found == before:
            return found
        # A parent that ends while /proc is read hides its children; they show at the next look.
        before = found
    return ()


def end(processes: Iterable[Process], seconds: float, clock: Clock) -> None:
    """Ask processes to end, wait ``seconds`` for all of them together, then kill what is left.

    Returns when none of them runs any more. Raises LabError if one survives being killed for 10 s.
    """
    chosen = tuple(processes)
    left = _signal_and_wait(chosen, signal.SIGTERM, seconds, clock)
    kill(left, clock)


def kill(processes: Iterable[Process], clock: Clock) -> None:
    """Kill processes as a power cut would. Raises LabError as ``end``."""
    left = _signal_and_wait(tuple(processes), signal.SIGKILL, 10.0, clock)
    if left:
        raise LabError("processes do not end", found=", ".join(str(process.pid) for process in left))


def write_record(path: Path, process: Process) -> None:
    """Keep ``process`` for a later call of the lab."""
    path.parent.mkdir(parents=True, exist_ok=True)
    DurableFiles(Volume.OWN).write_file(path, (json.dumps(asdict(process)).encode(),))


def read_record(path: Path) -> Process | None:
    """The process kept in ``path``; None when there is none or the record is not one."""
    try:
        return Process(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def reap(pid: int) -> None:
    """Collect a child that ended, so that it does not linger as a zombie; others' children are left."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _below(process: Process) -> tuple[Process, ...]:
    entries = [entry for entry in _all_entries() if entry.state not in _ENDED_STATES]
    found = {process.pid}
    grown = True
    while grown:
        children = {entry.pid for entry in entries if entry.parent in found}
        grown = not children <= found
        found |= children
    boot = _boot()
    return tuple(
        Process(entry.pid, entry.started, boot, "", "")
        for entry in entries
        if entry.pid in found and entry.pid != process.pid
    )


def _signal_and_wait(
    processes: Sequence[Process], number: signal.Signals, seconds: float, clock: Clock
) -> tuple[Process, ...]:
    with ExitStack() as stack:
        poll = select.poll()
        waiting: dict[int, Process] = {}
        for process in processes:
            descriptor = _open_pidfd(process.pid, stack)
            if descriptor is not None and send(process, number):
                waiting[descriptor] = process
                poll.register(descriptor, _ENDED)
        deadline = clock.monotonic() + seconds
        while waiting and (rest := deadline - clock.monotonic()) > 0:
            for descriptor, _event in poll.poll(rest * 1000):
                poll.unregister(descriptor)
                reap(waiting.pop(descriptor).pid)
        return tuple(waiting.values())


def _open_pidfd(pid: int, stack: ExitStack) -> int | None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    stack.callback(os.close, descriptor)
    return descriptor


def _boot() -> str:
    return _BOOT.read_text(encoding="ascii").strip()


def _command_line(pid: int) -> bytes:
    return _read(pid, "cmdline")


def _environment(pid: int) -> bytes:
    return _read(pid, "environ")


def _read(pid: int, name: str) -> bytes:
    """A file of /proc; empty for a process that has gone, or is none of our business."""
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _all_entries() -> tuple[_Entry, ...]:
    pids = (int(child.name) for child in _PROC.iterdir() if child.name.isdigit())
    return tuple(entry for entry in map(_read_entry, pids) if entry is not None)


def _read_entry(pid: int) -> _Entry | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything; the fields after its end are numbers (proc(5)).
    fields = text.rpartition(")")[2].split()
    return _Entry(pid, fields[0], int(fields[1]), int(fields[19]))
