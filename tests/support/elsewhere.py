"""exchangectl without anything that only POSIX systems have: ``python -m tests.support.elsewhere WORDS``.

What a Windows desk lacks is taken away before our code is imported: our code cannot import the modules, and
the attributes of ``os``, ``signal``, ``socket``, ``select`` and ``time`` that Python has on Unix alone are
gone for everybody. Libraries that do not exist for Windows may not be loaded at all.

Known limit: the name of the system stays, because with ``os.name`` changed pathlib could not make a path
here; so the standard library goes on as on POSIX, and paths have no back-slashes and no drives.
"""

from __future__ import annotations

import builtins
import os
import select
import signal
import socket
import subprocess  # noqa: F401 - the standard library itself has its other half on Windows
import sys
import time
from typing import Any

OURS = ("packet_spec", "exchanged", "frontend_server", "cli")
_MODULES = "crypt curses fcntl grp nis ossaudiodev posix pty pwd readline resource spwd syslog termios tty"
MODULES = frozenset(_MODULES.split())
# Libraries that exist for Windows, under the names by which they load.
_LIBRARIES = (
    "click colorama lxml nacl cffi _cffi_backend _sodium cython_runtime reportlab PIL cryptography _openssl"
)
_PURE = "xmlschema elementpath pypdf typing_extensions"
LIBRARIES = frozenset([*_LIBRARIES.split(), *_PURE.split()])
# What Python's documentation marks "Availability: Unix" (or "not Windows"): beginnings of names, and names.
BEGINNINGS: dict[Any, tuple[str, ...]] = {
    os: (
        "O_NO", "O_DIRECTORY", "O_CLOEXEC", "O_SYNC", "O_DSYNC", "O_PATH", "O_TMPFILE", "WNO", "WIF", "WEXIT",
        "WTERM", "WSTOP", "WCONT", "WCORE", "WUN", "SCHED_", "sched_", "posix_", "POSIX_", "F_LOCK", "F_T",
        "F_U", "ST_", "PRIO_", "RTLD_", "XATTR_", "RWF_", "SPLICE_", "EFD_", "MFD_", "GRND_", "CLD_", "P_ALL",
        "P_PGID", "P_PID", "fork", "wait3", "wait4", "waitid", "setres", "getres", "setre", "eventfd",
        "pread", "pwrite", "readv", "writev", "getxattr", "setxattr", "listxattr", "removexattr", "tc", "EX_",
    ),
    signal: (
        "SIGHUP", "SIGKILL", "SIGUSR", "SIGCHLD", "SIGPIPE", "SIGALRM", "SIGQUIT", "SIGSTOP", "SIGCONT",
        "pthread_", "sigwait", "sigpending", "sigtimed", "siginterrupt", "setitimer", "getitimer", "alarm",
        "pause",
    ),
    socket: ("AF_UNIX", "AF_NETLINK", "SO_PEERCRED", "socketpair", "recv_fds", "send_fds"),
    select: ("poll", "epoll", "POLL", "EPOLL"),
    time: ("tzset", "clock_", "CLOCK_", "pthread_"),
}  # fmt: skip
_NAMES = """
chown chroot confstr confstr_names copy_file_range ctermid fchdir fchmod fchown fdatasync fpathconf
fstatvfs getegid geteuid getgid getgrouplist getgroups getloadavg getpgid getpgrp getpriority
getrandom getsid getuid initgroups killpg lchown lockf login_tty major makedev memfd_create minor
mkfifo mknod nice openpty pathconf pathconf_names pipe2 register_at_fork sendfile setegid seteuid
setgid setgroups setpgid setpriority setsid setuid splice statvfs sync sysconf sysconf_names ttyname
uname
"""
NAMES = frozenset(_NAMES.split())


def take_away() -> None:
    """From here on nothing of it is there."""
    for module, beginnings in BEGINNINGS.items():
        for name in [*vars(module)]:
            if name.startswith(beginnings) or (module is os and name in NAMES):
                delattr(module, name)
    real = builtins.__import__

    def elsewhere(name: str, globals: Any = None, *rest: Any, **more: Any) -> Any:  # noqa: A002 - its name
        # The standard library and the libraries choose by os.name, which stays.
        if name in MODULES and (globals or {}).get("__name__", "").split(".")[0] in {*OURS, __name__}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, globals, *rest, **more)

    builtins.__import__ = elsewhere


def strangers(before: set[str]) -> set[str]:
    """What was loaded since, and is neither ours nor known to exist for Windows."""
    known = {*sys.stdlib_module_names, *OURS, *LIBRARIES, *before}
    return {name for name in loaded() - known if not name.startswith("_cython")}


def loaded() -> set[str]:
    """The names of all libraries that are loaded now."""
    return {name.split(".")[0] for name in sys.modules}


def run(words: list[str]) -> int:
    """One command."""
    before = loaded()
    take_away()
    from cli.main import main  # noqa: PLC0415 - only now

    code = main(words)
    if found := strangers(before):
        raise SystemExit(f"loaded, and not for Windows: {sorted(found)}")
    return code


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
