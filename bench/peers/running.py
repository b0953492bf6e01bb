"""Programs that the references start, and a private SSH server for those that need one.

Guarantees: everything listens on the loopback address alone; what was started is ended, with its children,
when the block ends; no program of the system is reconfigured.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

import psutil

_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_START_SECONDS: Final = 20.0
_END_SECONDS: Final = 5.0


class PeerFailedError(RuntimeError):
    """A reference did not start, or did not come to its end in time."""


def program(name: str) -> str:
    """The full path of a program of the system. Raises PeerFailedError when it is missing."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise PeerFailedError(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of the loopback address that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A context manager over the programs that are started through it; ``folder`` takes their logs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_error: object) -> None:
        # Some of them (Postfix) go on in a session of their own, where only their parents lead to them.
        family = [psutil.Process(each.pid) for each in self._processes if each.poll() is None]
        below = [each for one in family for each in _children(one)]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in (*reversed(family), *below):
                with suppress(psutil.Error):
                    process.send_signal(number)
            if not psutil.wait_procs((*family, *below), _END_SECONDS)[1]:
                break
        for started in self._processes:
            with suppress(subprocess.TimeoutExpired):
                started.wait(_END_SECONDS)

    def start(self, *command: str, port: int = 0) -> None:
        """Start a program in a session of its own; with ``port`` wait until it listens there."""
        log = self._folder / f"{Path(command[0]).name}-{len(self._processes)}.log"
        with log.open("wb") as output:
            self._processes.append(
                subprocess.Popen(
                    (program(command[0]), *command[1:]),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            )
        if port:
            _await_port(port, self._processes[-1], log)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _await_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(1.0)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise PeerFailedError(f"nothing listens at port {port}: {log.read_text(errors='replace')[-300:]}")


def start_ssh_server(running: Running, folder: Path) -> Path:
    """A server with keys of its own; returns the client's configuration, in which the host is ``peer``."""
    folder.mkdir(parents=True)
    for name in ("host", "id"):
        path = str(folder / name)
        subprocess.run((program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", path), check=True)
    shutil.copyfile(folder / "id.pub", folder / "authorized_keys")
    port = free_port()
    host_key = " ".join((folder / "host.pub").read_text(encoding="ascii").split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}\n", encoding="ascii")
    (folder / "sshd_config").write_text(_SERVER.format(folder=folder, port=port), encoding="utf-8")
    client = folder / "ssh_config"
    client.write_text(_CLIENT.format(folder=folder, port=port), encoding="utf-8")
    # sshd's own folder for the separation of privileges.
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    running.start("sshd", "-D", "-e", "-f", str(folder / "sshd_config"), port=port)
    return client


def await_files(inbox: Path, files: dict[str, int], seconds: float) -> None:
    """Return when every file lies in ``inbox`` with its size. Raises PeerFailedError after ``seconds``."""
    missing = dict(files)
    deadline = time.monotonic() + seconds
    while missing:
        for name, size in tuple(missing.items()):
            try:
                if (inbox / name).stat().st_size != size:
                    break
            except FileNotFoundError:
                break
            del missing[name]
        if time.monotonic() > deadline:
            raise PeerFailedError(f"{len(missing)} of {len(files)} files had not arrived in time")
        if missing:
            time.sleep(0.005)


_SERVER: Final = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
SetEnv HOME={folder}
LogLevel ERROR
"""
_CLIENT: Final = """\
Host peer
  HostName 127.0.0.1
  Port {port}
  IdentityFile {folder}/id
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  LogLevel ERROR
"""
