"""What happens to SFTP connections: pinned keys, logins, cuts, crashes of the other side."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchanged.durable import NO_CRASH, Block, DurableFiles, Kernel, Volume
from exchanged.errors import (
    ConfigurationError,
    HostKeyError,
    KeyFileError,
    LoginRefusedError,
    TransportError,
)
from exchanged.sftp_connection import SftpConnection
from exchanged.sftp_transport import SftpTransport
from exchanged.transport import TURN_SECONDS
from tests.support.sftp_server import SftpServer, cuttable_line
from tests.support.transports import BytesSource, digest_of

pytestmark = pytest.mark.process

BATCH = "00000001-0123456789abcdef.batch"
CONTENT = b"a batch" * 50_000
BLOB_CONTENT = bytes(range(256)) * 4_000
BLOB = f"{digest_of(BLOB_CONTENT)}.blob"
SPOOL = DurableFiles(Volume.OWN)
LIMIT = 64 * 1024 * 1024
WAIT_SECONDS = 20


def test_another_host_key_sends_nothing(server: SftpServer, tmp_path: Path) -> None:
    other = SftpServer(tmp_path / "other")
    transport = SftpTransport(server.settings(host_key=other.host_key), SPOOL)
    before = len(server.log)
    for _ in range(2):
        with pytest.raises(HostKeyError):
            transport.put(BATCH, BytesSource(CONTENT))
    assert not list((server.mailbox / "up").iterdir())
    assert not [line for line in server.log[before:] if "Accepted" in line]


def test_a_pinned_key_of_a_kind_that_the_server_lacks(server: SftpServer) -> None:
    line = subprocess.run(
        ["ssh-keygen", "-t", "ecdsa", "-b", "256", "-N", "", "-q", "-f", server.folder / "ecdsa"],
        check=True,
    )
    assert line.returncode == 0
    pinned = (server.folder / "ecdsa.pub").read_text().strip()
    (server.folder / "ecdsa").unlink()
    with pytest.raises(HostKeyError):
        SftpTransport(server.settings(host_key=pinned), SPOOL).list_names()


def test_a_refused_login_is_named(server: SftpServer) -> None:
    for changes in ({"key": bytes(32)}, {"user": "nobody-known-here"}):
        with pytest.raises(LoginRefusedError):
            SftpTransport(server.settings(**changes), SPOOL).list_names()


def test_nobody_listens(server: SftpServer) -> None:
    with pytest.raises(TransportError):
        SftpTransport(server.settings(port=1), SPOOL).list_names()


def test_a_server_that_talks_rubbish(server: SftpServer) -> None:
    with cuttable_line(server.port) as line:
        line.cut_after(0)
        with pytest.raises(TransportError):
            SftpTransport(server.settings(port=line.port), SPOOL).list_names()


def test_a_login_key_file(server: SftpServer, tmp_path: Path) -> None:
    key = tmp_path / "login"
    subprocess.run(["ssh-keygen", "-t", "ed25519", "-N", "", "-q", "-f", key], check=True)
    with (server.folder / "authorized_keys").open("a") as file:
        file.write((tmp_path / "login.pub").read_text())
    transport = SftpTransport(server.settings(key=key), SPOOL)
    assert transport.list_names().files == ()
    transport.close()
    key.write_text("no key")
    with pytest.raises(KeyFileError):
        SftpConnection(server.settings(key=key))
    with pytest.raises(ConfigurationError):
        SftpConnection(server.settings(host_key="ssh-ed25519 AAAA"))


def test_secrets_are_not_shown(server: SftpServer) -> None:
    assert repr(server.login_seed) not in repr(server.settings())


def test_a_line_cut_in_the_middle_of_a_put_and_then_mended(server: SftpServer) -> None:
    with cuttable_line(server.port) as line:
        transport = SftpTransport(server.settings(port=line.port), SPOOL)
        transport.list_names()
        for name, content in ((BATCH, CONTENT * 4), (BLOB, BLOB_CONTENT)):
            line.cut_after(400_000)
            with pytest.raises(TransportError):
                transport.put(name, BytesSource(content))
            assert not (server.mailbox / "up" / name).exists()
            transport.put(name, BytesSource(content))
            assert (server.mailbox / "up" / name).read_bytes() == content
        transport.close()


def test_a_peer_that_fell_silent_is_given_up(server: SftpServer) -> None:
    with cuttable_line(server.port) as line:
        transport = SftpTransport(server.settings(port=line.port, io_timeout_seconds=1.0), SPOOL)
        transport.list_names()
        line.fall_silent()
        with pytest.raises(TransportError, match="no answer in time"):
            transport.put(BATCH, BytesSource(CONTENT))
        line.cut()
        transport.put(BATCH, BytesSource(CONTENT))
        transport.close()
    assert (server.mailbox / "up" / BATCH).read_bytes() == CONTENT


def test_a_blob_resumes_after_a_cut(server: SftpServer) -> None:
    content = os.urandom(8 * 1024 * 1024)
    name = f"{digest_of(content)}.blob"
    with cuttable_line(server.port) as line:
        transport = SftpTransport(server.settings(port=line.port), SPOOL)
        transport.list_names()
        line.cut_after(6 * 1024 * 1024)
        source = BytesSource(content)
        with pytest.raises(TransportError):
            transport.put(name, source)
        transport.put(name, source)
        transport.close()
    assert source.offsets_asked[0] == 0
    assert source.offsets_asked[1] > 0
    assert (server.mailbox / "up" / name).read_bytes() == content


def test_a_server_process_killed_in_the_middle_of_a_fetch(
    server: SftpServer, tmp_path: Path
) -> None:
    class KilledAfterOneBlock(Kernel):
        def write(self, descriptor: int, block: Block) -> int:
            server.kill_sessions()
            return super().write(descriptor, block)

    content = os.urandom(24 * 1024 * 1024)
    name = f"{digest_of(content)}.blob"
    (server.mailbox / "down" / name).write_bytes(content)
    spool = DurableFiles(Volume.OWN, NO_CRASH, KilledAfterOneBlock())
    connection = SftpConnection(server.settings())
    with pytest.raises(TransportError):
        SftpTransport(connection, spool).fetch(name, tmp_path / "target", limit_bytes=LIMIT)
    kept = (tmp_path / "target").stat().st_size
    assert 0 < kept < len(content)
    fetched = SftpTransport(connection, SPOOL).fetch(name, tmp_path / "target", limit_bytes=LIMIT)
    assert fetched.digest == digest_of(content)
    connection.close()


def test_an_idle_connection_that_died_is_made_anew(server: SftpServer) -> None:
    connection = SftpConnection(server.settings())
    transport = SftpTransport(connection, SPOOL)
    transport.list_names()
    server.kill_sessions()
    # Whether the loss is noticed before or during the next operation is a matter of moments.
    try:
        transport.list_names()
    except TransportError:
        transport.list_names()
    connection.close()


def test_closing_from_another_thread_breaks_off(server: SftpServer) -> None:
    transport = SftpTransport(server.settings(), SPOOL)
    reached = threading.Event()

    class Endless(BytesSource):
        def blocks(self, offset: int = 0) -> Iterator[bytes]:
            while True:
                reached.set()
                yield bytes(100_000)

    failures: list[TransportError] = []

    def put() -> None:
        try:
            transport.put(BATCH, Endless(b""))
        except TransportError as error:
            failures.append(error)

    thread = threading.Thread(target=put)
    thread.start()
    assert reached.wait(WAIT_SECONDS)
    transport.close()
    thread.join(WAIT_SECONDS)
    assert len(failures) == 1
    assert not (server.mailbox / "up" / BATCH).exists()


class Hurried:
    """A clock on which each look takes so long that a turn holds a few blocks only."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += TURN_SECONDS / 3
        return self.now


def test_a_blob_goes_up_and_comes_down_in_turns(server: SftpServer, tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    name = f"{digest_of(content)}.blob"
    transport = SftpTransport(server.settings(), SPOOL, monotonic=Hurried())
    source = BytesSource(content)
    turns = 1
    while not transport.put(name, source):
        turns += 1
        assert not (server.mailbox / "up" / name).exists()
        # Other files pass in between, on the same session.
        transport.put(BATCH, BytesSource(b"small"))
    assert turns > 3
    assert source.offsets_asked == sorted(set(source.offsets_asked))
    assert (server.mailbox / "up" / name).read_bytes() == content
    (server.mailbox / "up" / name).rename(server.mailbox / "down" / name)
    sizes = []
    while not (fetched := transport.fetch(name, tmp_path / "target", limit_bytes=LIMIT)).whole:
        sizes.append(fetched.size)
        assert transport.list_names().files[0].name == name
    assert len(sizes) > 3
    assert sizes == sorted(set(sizes))
    assert (fetched.size, fetched.digest) == (len(content), digest_of(content))
    transport.close()
