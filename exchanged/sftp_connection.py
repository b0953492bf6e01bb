"""One SSH connection to a serving side: pinned host keys, key login, channels for SFTP sessions.

Guarantees: nothing but the key exchange is sent before the server has shown exactly one of the pinned host
keys: those that the directory lists now, and the configured one unless the directory ended it; strict key
exchange is required, so that no handshake message can be dropped unseen; no agent, no known-hosts file, no
password is ever tried; a peer that fell silent is noticed within ``io_timeout_seconds`` while something is
under way, and by unacknowledged keep-alives otherwise. Every exception of paramiko and of sockets becomes a
``TransportError``.

Several sessions may share a connection (a link's files and its bell); it is made by the first that
needs it and made again after it broke. Left to others: what the sessions do, when to try again.
Known limit: resolving a host name cannot be interrupted; give addresses where that matters.
"""

from __future__ import annotations

import base64
import binascii
import io
import logging
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchanged.errors import (
    ConfigurationError,
    ConnectionRefusedByPeerError,
    HostKeyEndedError,
    HostKeyError,
    KeyFileError,
    LoginRefusedError,
    TransportError,
)
from exchanged.keys import check_private_file
from exchanged.sftp_window import SftpWindow
from packet_spec.ssh_keys import SshKeys

# The fastest authenticated cipher first (half the processor time of the library's own first choice).
_CIPHERS: Final = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
_MACS: Final = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
# Bulk reading is bound by this window on long lines; the packet size saves per-packet work.
_WINDOW_BYTES: Final = 16 * 1024 * 1024
_PACKET_BYTES: Final = 128 * 1024
# What the library puts into one packet at OpenSSH's usual limit of 32 KiB.
_SEND_BYTES: Final = 32 * 1024 - 64
_KEEPALIVE_SECONDS: Final = 20
_LOOK_UP_SECONDS: Final = 2.0
_HOST_KEY: Final = re.compile(
    r"(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) ([A-Za-z0-9+/=]+)(?: .*)?"
)
_SEED_BYTES: Final = 32
_LIBRARY_LOG: Final = "exchanged.ssh"


@dataclass(frozen=True, slots=True)
class SftpSettings:
    """How to reach one mailbox on an SFTP server.

    ``key`` is the login key: the path of an OpenSSH Ed25519 private key file without passphrase, or
    its 32-byte seed. ``host_key`` is the public key that is pinned where no directory lists one,
    ``ssh-ed25519 AAAA...``. ``mailbox`` is the remote folder that holds ``up/``, ``down/`` and ``bell``, as
    the account sees it.
    """

    host: str
    port: int
    user: str
    key: Path | bytes = field(repr=False)
    host_key: str
    mailbox: str
    connect_timeout_seconds: float = 20.0
    io_timeout_seconds: float = 60.0


class SftpConnection:
    """The connection of one login. May be shared by threads; each session belongs to one of them.

    The constructor reads the login key: raises KeyFileError, and ConfigurationError for a host key
    that cannot be read. It does not connect. ``reached`` hears of each stage of connecting that went
    well: ``connect``, ``host-key``, ``login``. ``listed`` says what the directory lists now as the server's
    host keys; ``logins`` gives the seeds to log in with, instead of the settings' key.
    """

    def __init__(
        self,
        settings: SftpSettings,
        *,
        reached: Callable[[str], None] = lambda _stage: None,
        listed: Callable[[], SshKeys] = SshKeys,
        logins: Callable[[], Sequence[bytes]] = tuple,
    ) -> None:
        self.settings = settings
        self._reached = reached
        self._listed = listed
        self._logins = logins
        # Read now: a configuration that cannot be used is told at the start.
        _pinned_key(settings.host_key)
        self._login_key = None if logins() else _login_key(settings.key)
        self._lock = threading.Lock()
        self._transport: paramiko.Transport | None = None
        self._peer: socket.socket | None = None
        self._finished = False

    def open_window(self) -> SftpWindow:
        """A new SFTP session, connecting first where necessary.

        Raises HostKeyError, LoginRefusedError or TransportError.
        """
        with self._lock, _as_transport_error("the SFTP session cannot be opened"):
            self._check_finished()
            self.hold_to_directory()
            transport = self._transport
            if transport is None or not transport.is_active():
                transport = self._connect()
            try:
                channel = transport.open_session(
                    window_size=_WINDOW_BYTES,
                    max_packet_size=_PACKET_BYTES,
                    timeout=self.settings.connect_timeout_seconds,
                )
            except paramiko.ChannelException:
                # The server has no place for one more session; the others go on.
                raise
            except BaseException:
                self.drop()
                raise
            try:
                # The library waits for this answer without end.
                with _deadline(self.settings.connect_timeout_seconds, channel.close):
                    channel.invoke_subsystem("sftp")
                return SftpWindow(_Channel(channel, self.settings.io_timeout_seconds))
            except BaseException:
                channel.close()
                raise

    def close(self) -> None:
        """End the connection with all its sessions, which then fail; also from another thread."""
        transport, peer = self._transport, self._peer
        if peer is not None:
            # The library's thread hears of it at once, and need not look up first.
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
        if transport is not None:
            transport.close()

    def hold_to_directory(self) -> None:
        """End the connection when the host key that it was made with does not count any more."""
        transport = self._transport
        if transport is not None and transport.is_active():
            shown = transport.host_key
            if shown is not None and shown.asbytes() not in self._pinned(self._listed()):
                self.drop()

    def finish(self) -> None:
        """``close`` for good: whoever still uses it, in whatever thread, gets no further session."""
        # In this order: a connection that is made at this moment is either closed here or gives up itself.
        self._finished = True
        self.close()

    def drop(self) -> None:
        """``close`` for a connection in doubt: what still waits to be sent is thrown away.

        Otherwise the system would go on delivering it, and a rename sent long ago could arrive
        while the next connection writes the same temporary file.
        """
        peer = self._peer
        if peer is not None:
            with suppress(OSError):
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def _connect(self) -> paramiko.Transport:
        settings = self.settings
        timeout = settings.connect_timeout_seconds
        said = self._listed()
        pinned = self._pinned(said)
        if not pinned:
            raise self._ended_error("the configured host key has ended, and the directory lists no other")
        peer = socket.create_connection((settings.host, settings.port), timeout=timeout)
        try:
            _watch_for_silence(peer, settings.io_timeout_seconds)
            transport = paramiko.Transport(peer)
        except BaseException:
            peer.close()
            raise
        self._transport, self._peer = transport, peer
        self._reached("connect")
        try:
            self._check_finished()
            _configure(transport, tuple(dict.fromkeys(key.get_name() for key in pinned.values())), timeout)
            self._exchange_keys(transport, timeout, pinned, said)
            self._reached("host-key")
            self._log_in(transport)
            self._reached("login")
            transport.set_keepalive(_KEEPALIVE_SECONDS)
            # The library looks up ten times a second, whether anything comes or not.
            peer.settimeout(_LOOK_UP_SECONDS)
        except BaseException:
            transport.close()
            peer.close()
            raise
        return transport

    def _check_finished(self) -> None:
        if self._finished:
            raise TransportError("the node is stopping", where=self._place)

    def _pinned(self, said: SshKeys) -> dict[bytes, paramiko.PKey]:
        """The host keys that count now, those of the directory first: the server chooses by that order."""
        configured = _bare_line(self.settings.host_key)
        lines = [*said.valid, *(() if configured in said.ended else (configured,))]
        keys = map(_pinned_key, lines)
        return {key.asbytes(): key for key in keys}

    def _exchange_keys(
        self,
        transport: paramiko.Transport,
        timeout: float,
        pinned: dict[bytes, paramiko.PKey],
        said: SshKeys,
    ) -> None:
        try:
            transport.start_client(timeout=timeout)
            # Raises as well when the exchange was not finished in time.
            shown = transport.get_remote_server_key()
        except paramiko.ssh_exception.IncompatiblePeer as error:
            if "host key" not in str(error):
                raise
            raise self._host_key_error("no key of the pinned kind", pinned) from error
        if shown.asbytes() not in pinned:
            if f"{shown.get_name()} {shown.get_base64()}" in said.ended:
                raise self._ended_error(shown.fingerprint)
            raise self._host_key_error(shown.fingerprint, pinned)
        if not getattr(transport, "agreed_on_strict_kex", False):
            raise TransportError(
                "the server does not offer strict key exchange",
                where=self._place,
                hint="update the server to OpenSSH 9.6 or a version with the fix of CVE-2023-48795",
            )

    def _log_in(self, transport: paramiko.Transport) -> None:
        """With the first key that the server takes: right after a change its clock may be behind ours."""
        keys = [_login_key(seed) for seed in self._logins()]
        if not keys and self._login_key is not None:
            keys = [self._login_key]
        refused: LoginRefusedError | None = None
        for key in keys:
            try:
                self._log_in_with(transport, key)
            except LoginRefusedError as error:
                refused = error
            else:
                return
        raise refused or self._refused()

    def _log_in_with(self, transport: paramiko.Transport, key: paramiko.PKey) -> None:
        try:
            more = transport.auth_publickey(self.settings.user, key)
        except paramiko.AuthenticationException as error:
            # The library uses this class also for a connection that ended or took too long.
            if not transport.is_active() or "timeout" in str(error).lower():
                raise
            raise self._refused() from error
        if more:
            raise self._refused()

    def _ended_error(self, found: str) -> HostKeyEndedError:
        return HostKeyEndedError(
            "the directory has revoked the server's host key, or let it end; nothing was sent",
            where=self._place,
            expected="a host key that the directory lists now",
            found=found,
        )

    def _host_key_error(self, found: str, pinned: dict[bytes, paramiko.PKey]) -> HostKeyError:
        return HostKeyError(
            "the server shows another host key than the pinned one; nothing was sent",
            where=self._place,
            expected=" or ".join(key.fingerprint for key in pinned.values()),
            found=found,
        )

    def _refused(self) -> LoginRefusedError:
        return LoginRefusedError(
            "the server refuses the login key", where=f"{self.settings.user}@{self._place}"
        )

    @property
    def _place(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"


class _Channel:
    """A paramiko channel as a ``ByteChannel``."""

    def __init__(self, channel: paramiko.Channel, timeout_seconds: float) -> None:
        self._channel = channel
        self._timeout_seconds = timeout_seconds
        self.set_limited()

    @property
    def is_open(self) -> bool:
        return not self._channel.closed

    def send(self, data: bytes) -> None:
        with _as_transport_error("the link broke while sending"):
            # The library's sendall copies the rest after each packet.
            for start in range(0, len(data), _SEND_BYTES):
                piece = data[start : start + _SEND_BYTES]
                while piece:
                    sent = self._channel.send(piece)
                    if not sent:
                        raise EOFError
                    piece = piece[sent:]

    def receive(self, size_bytes: int) -> bytes:
        with _as_transport_error("the link broke while receiving"):
            data = self._channel.recv(size_bytes)
            if not data:
                raise EOFError
            return data

    def set_endless(self) -> None:
        self._channel.settimeout(None)

    def set_limited(self) -> None:
        self._channel.settimeout(self._timeout_seconds)

    def close(self) -> None:
        with suppress(paramiko.SSHException, OSError, EOFError):
            self._channel.close()


def _configure(transport: paramiko.Transport, key_types: tuple[str, ...], timeout: float) -> None:
    # The library reports failures to its log as well, with stack traces; we tell each of them once.
    logging.getLogger(_LIBRARY_LOG).setLevel(logging.CRITICAL)
    transport.set_log_channel(_LIBRARY_LOG)
    transport.banner_timeout = timeout
    transport.handshake_timeout = timeout
    transport.auth_timeout = timeout
    transport.channel_timeout = timeout
    options = transport.get_security_options()
    options.ciphers = _CIPHERS
    options.digests = _MACS
    options.key_types = tuple(
        name
        for kind in key_types
        for name in (("rsa-sha2-512", "rsa-sha2-256") if kind == "ssh-rsa" else (kind,))
    )


def _watch_for_silence(peer: socket.socket, timeout_seconds: float) -> None:
    """Let the system give up on data that nobody acknowledges (a half-open connection)."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout_seconds * 1000))


@contextmanager
def _deadline(seconds: float, give_up: Callable[[], None]) -> Iterator[None]:
    timer = threading.Timer(seconds, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _bare_line(text: str) -> str:
    """Type and key, without a comment."""
    return " ".join(text.split()[:2])


def _pinned_key(text: str) -> paramiko.PKey:
    match = _HOST_KEY.fullmatch(text.strip())
    try:
        if match is not None:
            return paramiko.PKey.from_type_string(match[1], base64.b64decode(match[2], validate=True))
    except (paramiko.SSHException, binascii.Error, ValueError) as error:
        raise ConfigurationError(("a link's host_key holds no public key",)) from error
    raise ConfigurationError(("a link's host_key is not of the form: ssh-ed25519 AAAA...",))


def _login_key(key: Path | bytes) -> paramiko.PKey:
    if isinstance(key, bytes):
        return paramiko.Ed25519Key(file_obj=io.StringIO(_openssh_text(key)))
    check_private_file(key)
    try:
        return paramiko.Ed25519Key(filename=str(key))
    except (paramiko.SSHException, OSError, ValueError, AssertionError, IndexError) as error:
        raise KeyFileError(
            "the login key cannot be used",
            where=str(key),
            expected="an OpenSSH Ed25519 private key without passphrase",
        ) from error


def _openssh_text(seed: bytes) -> str:
    if len(seed) != _SEED_BYTES:
        raise KeyFileError("the seed of a login key has a wrong length", expected="32 bytes")
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    ).decode()


@contextmanager
def _as_transport_error(summary: str) -> Iterator[None]:
    """No exception of the library or of sockets leaves this module."""
    try:
        yield
    except TimeoutError as error:
        raise TransportError(summary, found="no answer in time") from error
    except ConnectionRefusedError as error:
        raise ConnectionRefusedByPeerError(summary, found="nothing accepts connections there") from error
    except EOFError as error:
        raise TransportError(summary, found="the other side ended the connection") from error
    except (paramiko.SSHException, OSError) as error:
        raise TransportError(summary, found=_one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
