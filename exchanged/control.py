"""The control socket: where commands ask the running daemon to act. One thread, several clients.

A client connects, sends one JSON line, reads one JSON line: an answer or an error. Guarantees: requests and
times are bounded; of whoever may not act nothing is looked at; a client that hangs, floods or goes away
costs only itself; the stations never wait for this thread. Nobody can connect before owner and
mode are set. A socket file left by a dead daemon is replaced, which is safe because the caller holds the
node's lock; anything else under that name is left alone, and the node does not start.

Known limit: acts are done one after the other, so a large discard makes other operators wait.
"""

from __future__ import annotations

import errno
import grp
import json
import logging
import os
import select
import selectors
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from exchanged.acts.credentials import Peer, account_name, may_act, operator_of, peer_of
from exchanged.acts.desk import Desk
from exchanged.acts.values import read_request
from exchanged.clock import Clock
from exchanged.errors import ConfigurationError, NotPermittedError, RequestError, VolumeDamagedError
from exchanged.ledger.damage import REFUSED, damage_by_name
from exchanged.log import event_line
from exchanged.places import LEDGER_FILE
from packet_spec.errors import ExchangeError

REQUEST_BYTES: Final = 512 * 1024
_CLIENTS: Final = 16
_SECONDS: Final = 10.0
STOP_SECONDS: Final = 2.0
_BLOCK: Final = 65_536
# sun_path of the kernel, with the zero byte at its end.
_PATH_BYTES: Final = 108


@dataclass(slots=True)
class _Client:
    peer: Peer
    until: float
    may_act: bool
    received: bytearray = field(default_factory=bytearray)
    answer: memoryview = field(default_factory=lambda: memoryview(b""))


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for ``path``, however long it is: the kernel takes 107 bytes. Raises OSError."""
    if len(os.fsencode(path)) < _PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class ControlServer:
    """Serves ``desk`` at the Unix socket ``path``. ``group`` may act too; empty for nobody else.

    The constructor binds. Raises ConfigurationError when socket or group cannot be had. ``peer_of`` is a
    port. ``on_fatal`` hears of a damaged volume: the process must end.
    """

    def __init__(
        self,
        path: Path,
        group: str,
        desk: Desk,
        clock: Clock,
        on_fatal: Callable[[ExchangeError], None],
        *,
        peer: Callable[[socket.socket], Peer] = peer_of,
    ) -> None:
        self._path = path
        self._desk = desk
        self._clock = clock
        self._on_fatal = on_fatal
        self._peer_of = peer
        self._group = _group_number(group)
        self._clients: dict[socket.socket, _Client] = {}
        self._stopping = False
        self._acting_since: float | None = None
        self._selector = selectors.DefaultSelector()
        self._listener = self._bind()
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, timeout_seconds: float = STOP_SECONDS) -> bool:
        """Finish the act in hand and no other, hang up, and remove the socket. Also before ``start``.

        False: an act takes longer; asked again it waits again. Until then the thread may come back at any
        time. Cut off with the process, the act was done or was not, and asking again tells.
        """
        if not self._stopping:
            self._stopping = True
            self._wake.close()
            with suppress(OSError):
                self._path.unlink()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)
            if self._thread.is_alive():
                return False
        for client in [*self._clients]:
            self._hang_up(client)
        self._selector.close()
        self._listener.close()
        self._woken.close()
        return True

    def acting_seconds(self) -> float:
        """How long the act in hand has taken so far; 0 when there is none."""
        since = self._acting_since
        return 0.0 if since is None else self._clock.monotonic() - since

    # --- the socket file -----------------------------------------------------------------------

    def _bind(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(self._path)
            with socket_address(self._path) as address:
                listener.bind(address)
            if self._group is not None:
                os.chown(self._path, -1, self._group)
            self._path.chmod(0o600 if self._group is None else 0o660)
            # Only now can anybody connect.
            listener.listen(_CLIENTS)
        except OSError as error:
            listener.close()
            problem = f"[control] socket: {self._path} cannot be used: {error.strerror}"
            if error.errno == errno.EPERM:
                problem += "; the node's own user must be a member of [control] group"
            raise ConfigurationError((problem,)) from error
        except BaseException:
            listener.close()
            raise
        listener.setblocking(False)
        return listener

    # --- the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select(self._patience()):
                # Also between two clients: what came in before the stop is not begun after it.
                if self._stopping or key.fileobj is self._woken:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._serve(key.fileobj)
            now = self._clock.monotonic()
            for connection in [each for each, client in self._clients.items() if client.until <= now]:
                self._hang_up(connection)

    def _patience(self) -> float | None:
        """Seconds until the first client has had its time."""
        first = min((client.until for client in self._clients.values()), default=None)
        return None if first is None else max(0.0, first - self._clock.monotonic())

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            # Out of descriptors, say: it stays readable, so wait a moment rather than spin.
            select.select([self._woken], [], [], 1.0)
            return
        if len(self._clients) >= _CLIENTS:
            connection.close()
            return
        connection.setblocking(False)
        try:
            peer = self._peer_of(connection)
        except OSError:
            connection.close()
            return
        permitted = may_act(peer, os.geteuid(), self._group)
        if not permitted:
            event_line("act-not-permitted", level=logging.WARNING, uid=peer.uid, pid=peer.pid)
        self._clients[connection] = _Client(peer, self._clock.monotonic() + _SECONDS, permitted)
        self._selector.register(connection, selectors.EVENT_READ)

    def _serve(self, connection: socket.socket) -> None:
        """Read, act, or send on; whatever fails here is this client's."""
        client = self._clients[connection]
        try:
            if client.answer:
                self._send(connection, client)
                return
            block = connection.recv(_BLOCK)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(connection)
            return
        client.received += block
        if b"\n" in block:
            # Also who may not act is heard out: hanging up on unread words would swallow our answer.
            line = bytes(client.received[: client.received.index(b"\n")])
            said = self._act(client.peer, line) if client.may_act else _not_permitted(client.peer)
            self._answer(connection, client, said)
        elif not block or len(client.received) > REQUEST_BYTES:
            self._hang_up(connection)

    def _act(self, peer: Peer, line: bytes) -> dict[str, Any]:
        self._acting_since = self._clock.monotonic()
        try:
            data = _parsed(line)
            claims = data.get("claims")
            operator = operator_of(peer, claims if isinstance(claims, dict) else {})
            with damage_by_name(LEDGER_FILE, REFUSED):
                return {"answer": self._desk.handle(read_request(data), operator).to_json()}
        except ExchangeError as error:
            if isinstance(error, VolumeDamagedError):
                self._on_fatal(error)
            return {"error": error.to_json()}
        except Exception as error:
            # A bug that one request meets must not end the thread.
            logging.getLogger("exchanged").exception("event=control-bug")
            return {"error": {"reference": "internal-error", "summary": type(error).__name__}}
        finally:
            self._acting_since = None

    def _answer(self, connection: socket.socket, client: _Client, said: dict[str, Any]) -> None:
        client.answer = memoryview(json.dumps(said).encode("ascii") + b"\n")
        client.until = self._clock.monotonic() + _SECONDS
        self._selector.modify(connection, selectors.EVENT_WRITE)
        with suppress(BlockingIOError):
            try:
                self._send(connection, client)
            except BlockingIOError:
                raise
            except OSError:
                self._hang_up(connection)

    def _send(self, connection: socket.socket, client: _Client) -> None:
        client.answer = client.answer[connection.send(client.answer) :]
        if not client.answer:
            self._hang_up(connection)

    def _hang_up(self, connection: socket.socket) -> None:
        if self._clients.pop(connection, None) is not None:
            with suppress(KeyError, ValueError):
                self._selector.unregister(connection)
            connection.close()


def _not_permitted(peer: Peer) -> dict[str, Any]:
    error = NotPermittedError("you may not act at this node", found=account_name(peer.uid))
    return {"error": error.to_json()}


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        raise RequestError("a request that is no JSON") from None
    if not isinstance(data, dict):
        raise RequestError("a request that is no object")
    return data


def _remove_stale(path: Path) -> None:
    """Raises ConfigurationError when something else than a socket lies there."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise ConfigurationError((f"[control] socket: {path} exists and is no socket",))
    path.unlink()


def _group_number(group: str) -> int | None:
    if not group:
        return None
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigurationError((f"[control] group: this machine has no group {group}",)) from None
