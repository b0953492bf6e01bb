"""A real OpenSSH server on a free loopback port, and a line to it that can be cut.

The server runs with a configuration, host key and login of its own, as root or as anybody (then only
that user can log in). It isolates nothing: jails are tested elsewhere.
"""

from __future__ import annotations

import os
import pwd
import re
import secrets
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchanged.sftp_connection import SftpSettings

SSHD = "/usr/sbin/sshd"
HOST = "127.0.0.1"
# As in production (C2): group-readable files, and none of the requests that a mailbox does not need.
SFTP_OPTIONS = "-u 0007 -P symlink,hardlink,mkdir,rmdir,setstat,fsetstat,lsetstat,copy-data"
_STARTED = re.compile(r"Server listening on")
_START_SECONDS = 20


class SftpServer:
    """One sshd whose files lie in ``folder``; ``mailbox`` inside it is what the tests exchange."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mailbox = folder / "mailbox"
        self.login_seed = secrets.token_bytes(32)
        self.host_key = ""
        self.port = 0
        self.log: list[str] = []
        self._process: subprocess.Popen[str] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self.new_host_key()
        (folder / "authorized_keys").write_text(_public_line(self.login_seed) + "\n")
        make_mailbox(self.mailbox)

    @property
    def user(self) -> str:
        return pwd.getpwuid(os.geteuid()).pw_name

    def settings(self, **changes: Any) -> SftpSettings:
        """How a dialler reaches this server; any field may be given otherwise."""
        values: dict[str, Any] = {
            "host": HOST,
            "port": self.port,
            "user": self.user,
            "key": self.login_seed,
            "host_key": self.host_key,
            "mailbox": str(self.mailbox),
            "connect_timeout_seconds": 20.0,
            "io_timeout_seconds": 20.0,
        }
        return SftpSettings(**(values | changes))

    def new_host_key(self) -> None:
        """Another host key from the next start on."""
        seed = secrets.token_bytes(32)
        path = self.folder / "host_key"
        path.unlink(missing_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(
            Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
        )
        self.host_key = _public_line(seed)

    def start(self) -> None:
        """Start on a free port and wait until it listens."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        for _ in range(5):
            port = self.port or _free_port()
            (self.folder / "sshd_config").write_text(self._configuration(port))
            process = subprocess.Popen(
                [SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")],
                stderr=subprocess.PIPE,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
            )
            if self._wait_until_listening(process):
                self._process, self.port = process, port
                return
            process.wait(_START_SECONDS)
        raise AssertionError("sshd does not start:\n" + "".join(self.log))

    def stop(self) -> None:
        """End the listener and all its sessions."""
        process, self._process = self._process, None
        if process is not None:
            # Stopped first, so that no new session is born while the old ones are ended.
            process.send_signal(signal.SIGSTOP)
            while sessions := [pid for pid in _descendants(process.pid) if _is_alive(pid)]:
                for pid in sessions:
                    _kill(pid)
            process.kill()
            process.wait(_START_SECONDS)

    def kill_sessions(self) -> None:
        """Kill every session process, as a crash of the server's side would."""
        assert self._process is not None
        for pid in _descendants(self._process.pid):
            _kill(pid)

    def _configuration(self, port: int) -> str:
        return "\n".join(
            (
                f"Port {port}",
                f"ListenAddress {HOST}",
                f"HostKey {self.folder / 'host_key'}",
                f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
                "PidFile none",
                "UsePAM no",
                "StrictModes no",
                "PermitRootLogin prohibit-password",
                "PasswordAuthentication no",
                "KbdInteractiveAuthentication no",
                "MaxStartups 100",
                f"Subsystem sftp internal-sftp {SFTP_OPTIONS}",
                "",
            )
        )

    def _wait_until_listening(self, process: subprocess.Popen[str]) -> bool:
        ready = threading.Event()
        listening = threading.Event()

        def read() -> None:
            assert process.stderr is not None
            with process.stderr:
                for line in process.stderr:
                    self.log.append(line)
                    if _STARTED.search(line):
                        listening.set()
                        ready.set()
            ready.set()

        threading.Thread(target=read, daemon=True).start()
        ready.wait(_START_SECONDS)
        return listening.is_set()


class CuttableLine:
    """A TCP relay to the server that can be cut, also after a number of bytes, or fall silent."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._allowance: int | None = None
        self._silent = False
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, sent_bytes: int) -> None:
        """Let so many more bytes go towards the server, then reset every connection."""
        with self._lock:
            self._allowance = sent_bytes

    def fall_silent(self) -> None:
        """Swallow what both sides send, closing nothing: a half-open connection."""
        self._silent = True

    def cut(self) -> None:
        """Reset every connection now; new ones are relayed again."""
        self._silent = False
        with self._lock:
            pairs, self._pairs = self._pairs, []
            self._allowance = None
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def close(self) -> None:
        """Cut, and take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection((HOST, self._target))
            with self._lock:
                self._pairs.append((near, far))
            threading.Thread(target=self._relay, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._relay, args=(far, near, False), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        try:
            while data := source.recv(64 * 1024):
                if counted and self._exhausted(len(data)):
                    self.cut()
                    return
                if not self._silent:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            self._forget(source, target)

    def _exhausted(self, size: int) -> bool:
        with self._lock:
            if self._allowance is None:
                return False
            self._allowance -= size
            return self._allowance < 0

    def _forget(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def make_mailbox(path: Path) -> None:
    """An empty mailbox with both directions."""
    for name in ("up", "down"):
        (path / name).mkdir(parents=True)


@contextmanager
def running_server(folder: Path) -> Iterator[SftpServer]:
    """A server for the time of a block."""
    server = SftpServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def cuttable_line(port: int) -> Iterator[CuttableLine]:
    """A line for the time of a block."""
    line = CuttableLine(port)
    try:
        yield line
    finally:
        line.close()


def _public_line(seed: bytes) -> str:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
    return public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _descendants(pid: int) -> list[int]:
    """Our own server's children and theirs, the youngest first."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    found: list[int] = []
    for child in map(int, children):
        found = [*_descendants(child), child, *found]
    return found


def _is_alive(pid: int) -> bool:
    """It runs: neither gone nor a dead child that its stopped parent has not buried yet."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
