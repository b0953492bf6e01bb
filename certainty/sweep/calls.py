"""System calls of a process seen from outside, one by one: let through, answered with an error, or its death.

A process that calls ``trap`` hands the kernel a filter (seccomp, user notification): from then on each system
call of the table that it or any of its threads and children makes waits until ``Listener`` has answered.
What is done is what strace's injection does, with one counter over all threads, at a cost that allows
hundreds of full runs. A call that is killed or failed was not carried out at all; a short write carried out
half of it.

Known limits: x86-64 only; no more than one listener per process. What is written through a memory map
(the ledger's ``-shm``) makes no call; it is no file that anything durable rests on.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import signal
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

# What changes a file, a name or a folder, and what makes it durable. openat only where it may create.
CHANGES: Final = {
    "write": 1, "pwrite64": 18, "writev": 20, "pwritev": 296, "sendfile": 40, "copy_file_range": 326,
    "open": 2, "openat": 257, "ftruncate": 77, "truncate": 76, "fallocate": 285,
    "fsync": 74, "fdatasync": 75, "sync_file_range": 277, "msync": 26,
    "rename": 82, "renameat": 264, "renameat2": 316, "link": 86, "linkat": 265, "symlink": 88,
    "unlink": 87, "unlinkat": 263, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "mknod": 133, "mknodat": 259,
    "chmod": 90, "fchmod": 91, "fchmodat": 268, "chown": 92, "fchown": 93,
}  # fmt: skip
SYNCS: Final = {name: CHANGES[name] for name in ("fsync", "fdatasync")}
READS: Final = {"read": 0, "pread64": 17}
_WITH_DESCRIPTOR: Final = frozenset({
    "write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate", "fsync", "fdatasync", "fchmod",
    "fchown", "read", "pread64", "sync_file_range", "sendfile",
})  # fmt: skip
_AT: Final = frozenset({
    "openat", "renameat", "renameat2", "linkat", "unlinkat", "mkdirat", "mknodat", "fchmodat",
})  # fmt: skip
_OPENS: Final = {"open": 1, "openat": 2}
_O_CREATES: Final = os.O_CREAT | os.O_TRUNC

_SECCOMP: Final = 317
_NEW_LISTENER: Final = 1 << 3
_RET_ALLOW: Final = 0x7FFF0000
_RET_USER_NOTIF: Final = 0x7FC00000
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_SET_PDEATHSIG: Final = 1
_RECEIVE: Final = 0xC0502100
_SEND: Final = 0xC0182101
_SET_FLAGS: Final = 0x40082104
_CONTINUE: Final = 1
_NOTIFICATION: Final = struct.Struct("<QIIiIQ6Q")
_ANSWER: Final = struct.Struct("<QqiI")
_PIDFD_GETFD: Final = 438
_PIDFD_OPEN: Final = 434
_MOST_PATH: Final = 4096
_NO_FILES: Final = ("/dev/null", "/proc/", "/dev/pts", "/dev/tty")


class Fate(StrEnum):
    """What becomes of one call."""

    PASS = "pass"  # noqa: S105 - the word of the trade
    KILL = "kill"
    HOLD = "hold"
    """It waits for ever: until its process is killed."""
    SHORT = "short"
    """Only the first half of what was to be written is written."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that waits. ``path`` is the file or the first name; empty where it could not be told."""

    name: str
    pid: int
    path: str
    arguments: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


# A fate, or the number of an error that the call returns.
Decide = Callable[[Call], "Fate | int"]


def die_with_parent() -> None:
    """The calling process is killed when its parent ends, whatever way."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def trap(*tables: dict[str, int]) -> int:
    """From now on the calls of these tables wait for whoever answers at the descriptor returned.

    All threads that exist later, and all children, are under it too. Raises OSError.
    """
    numbers = {name: number for table in tables for name, number in table.items()}
    opens = {number: _OPENS[name] for name, number in numbers.items() if name in _OPENS}
    plain = [number for number in numbers.values() if number not in opens]
    program = [(_LOAD, 0, 0, 0)]
    # Jumps are counted in instructions to leave out: plain calls, then four per call that opens, then two ends.
    tail = 4 * len(opens)
    for index, number in enumerate(plain):
        program.append((_JUMP_EQUAL, len(plain) - index - 1 + tail + 1, 0, number))
    for index, (number, argument) in enumerate(opens.items()):
        rest = 4 * (len(opens) - index - 1)
        program += [
            (_JUMP_EQUAL, 0, 3, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            (_JUMP_SET, rest + 2, rest + 1, _O_CREATES),
            (_RETURN, 0, 0, _RET_ALLOW),
        ]
    program += [(_RETURN, 0, 0, _RET_ALLOW), (_RETURN, 0, 0, _RET_USER_NOTIF)]
    # The instruction before the end is the answer of what matched nothing; the last one that of a match.
    code = b"".join(struct.pack("<HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    header = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    descriptor = library.syscall(_SECCOMP, 1, _NEW_LISTENER, ctypes.create_string_buffer(header, len(header)))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(descriptor)


class Listener:
    """Answers the calls of a trapped process. ``fileno`` is readable when a call waits."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._names = {number: name for table in (CHANGES, READS) for name, number in table.items()}
        try:
            # Wake the one that waits on this processor at once: twice as fast (kernel 6.6).
            fcntl.ioctl(descriptor, _SET_FLAGS, 1)
        except OSError:
            pass

    def fileno(self) -> int:
        """For select and poll."""
        return self._descriptor

    def answer(self, decide: Decide) -> Fate | int:
        """Answer one waiting call as ``decide`` says; a caller that has gone meanwhile is no matter."""
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._descriptor, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.EINTR}:
                return Fate.PASS
            raise
        number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        name = self._names[call]
        found = Call(name, pid, _path(name, pid, arguments), tuple(arguments))
        fate = decide(found) if _is_file(found) else Fate.PASS
        answer = _ANSWER.pack(number, 0, 0, _CONTINUE)
        if fate is Fate.KILL:
            os.kill(_leader(pid), signal.SIGKILL)
        if fate in {Fate.KILL, Fate.HOLD}:
            return fate
        if fate is Fate.SHORT:
            written = _write_half(found)
            answer = _ANSWER.pack(number, written, 0, 0)
        elif isinstance(fate, int):
            answer = _ANSWER.pack(number, 0, -fate, 0)
        try:
            fcntl.ioctl(self._descriptor, _SEND, bytearray(answer))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
        return fate

    def close(self) -> None:
        """What still waits fails then. Again is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _is_file(call: Call) -> bool:
    """Pipes, sockets and terminals are no business of a volume."""
    return call.path.startswith("/") and not call.path.startswith(_NO_FILES)


def _path(name: str, pid: int, arguments: list[int]) -> str:
    try:
        if name in _WITH_DESCRIPTOR:
            return _of_descriptor(pid, arguments[0])
        at = name in _AT
        text = os.fsdecode(_memory(pid, arguments[1 if at else 0]))
        base = arguments[0] & 0xFFFFFFFF
        if at and not text.startswith("/"):
            folder = "cwd" if base == (-100 & 0xFFFFFFFF) else f"fd/{base}"
            text = os.path.join(os.readlink(f"/proc/{pid}/{folder}"), text)  # noqa: PTH118 - bytes from outside
    except OSError:
        return ""
    return text


def _of_descriptor(pid: int, number: int) -> str:
    place = f"/proc/{pid}/fd/{number & 0xFFFFFFFF}"
    path = os.readlink(place)
    kind = os.stat(place).st_mode
    return path if stat.S_ISREG(kind) or stat.S_ISDIR(kind) else ""


def _memory(pid: int, address: int) -> bytes:
    """The text that ends with a zero byte; a page at a time, for the next one may not be there."""
    text = b""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123 - another process's memory
        memory.seek(address)
        while b"\0" not in text and len(text) < _MOST_PATH:
            text += memory.read(_MOST_PATH - (address + len(text)) % _MOST_PATH)
    return text.split(b"\0")[0]


def _leader(pid: int) -> int:
    """The process of a thread."""
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("Tgid:"):
                return int(line.split()[1])
    return pid


def _write_half(call: Call) -> int:
    """Carry out the first half of a write for the process; at least one byte."""
    descriptor, address, size = call.arguments[:3]
    half = max(1, size // 2)
    with open(f"/proc/{call.pid}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
        memory.seek(address)
        block = memory.read(half)
    library = ctypes.CDLL(None, use_errno=True)
    process = library.syscall(_PIDFD_OPEN, _leader(call.pid), 0)
    own = library.syscall(_PIDFD_GETFD, process, descriptor & 0xFFFFFFFF, 0)
    try:
        return os.pwrite(own, block, call.arguments[3]) if call.name == "pwrite64" else os.write(own, block)
    finally:
        os.close(own)
        os.close(process)
