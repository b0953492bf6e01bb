"""What a real server cannot be made to do at will; the contract is proved in tests/contract."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from exchanged.durable import DurableFiles, Volume
from exchanged.errors import NoSpaceError, RemoteRefusedError, TransportError, TransportFileError
from exchanged.mailbox import SCAN_NAMES, partial_name
from exchanged.sftp_connection import SftpConnection, SftpSettings
from exchanged.sftp_protocol import Kind, Reader, Status
from exchanged.sftp_transport import SftpTransport
from exchanged.sftp_window import SftpWindow
from tests.support.sftp_script import Answer, ScriptedServer, names, status
from tests.support.transports import BytesSource, digest_of

BATCH = "00000001-0123456789abcdef.batch"
CONTENT = b"content" * 10_000
BLOB = f"{digest_of(CONTENT)}.blob"
UP = b"/box/up/"


class ScriptedConnection:
    """Gives out sessions with scripted servers, one after the other."""

    def __init__(self, *servers: ScriptedServer) -> None:
        self.settings = SimpleNamespace(mailbox="/box/", host="server")
        self.drops = 0
        self._servers = iter(servers)

    def open_window(self) -> SftpWindow:
        return SftpWindow(next(self._servers))

    def drop(self) -> None:
        self.drops += 1


def over(*servers: ScriptedServer, scan_names: int = SCAN_NAMES) -> tuple[SftpTransport, ScriptedConnection]:
    connection = ScriptedConnection(*servers)
    durable = DurableFiles(Volume.OWN)
    return SftpTransport(cast("SftpConnection", connection), durable, scan_names=scan_names), connection


def refusing(kind: Kind, code: int = Status.FAILURE) -> ScriptedServer:
    def bend(asked: int, _: Reader) -> Answer | None:
        return status(code) if asked == kind else None

    return ScriptedServer(bend)


@pytest.mark.parametrize("name", [BATCH, BLOB])
def test_a_refused_write_on_a_full_volume_is_no_space(name: str) -> None:
    server = refusing(Kind.WRITE)
    server.free_bytes = 1000
    transport, connection = over(server)
    with pytest.raises(NoSpaceError):
        transport.put(name, BytesSource(CONTENT))
    assert server.files == {}
    assert connection.drops == 0


def test_a_refused_write_on_a_roomy_volume_is_a_refusal_and_leaves_nothing() -> None:
    server = refusing(Kind.WRITE)
    transport, _ = over(server)
    with pytest.raises(RemoteRefusedError):
        transport.put(BLOB, BytesSource(CONTENT))
    assert server.files == {}


def test_no_permission_is_not_asked_about_space() -> None:
    server = refusing(Kind.OPEN, Status.PERMISSION_DENIED)
    server.free_bytes = 0
    transport, _ = over(server)
    with pytest.raises(RemoteRefusedError):
        transport.put(BATCH, BytesSource(CONTENT))


def test_a_refused_rename_leaves_the_older_file() -> None:
    def bend(kind: int, reader: Reader) -> Answer | None:
        is_rename = kind == Kind.EXTENDED and reader.string() == b"posix-rename@openssh.com"
        return status(Status.FAILURE) if is_rename else None

    server = ScriptedServer(bend)
    server.files[UP + b"ack.batch"] = bytearray(b"older")
    transport, _ = over(server)
    with pytest.raises(RemoteRefusedError):
        transport.put("ack.batch", BytesSource(b"newer"))
    assert server.files[UP + b"ack.batch"] == b"older"


def test_a_batch_is_never_written_into_an_old_partial() -> None:
    server = ScriptedServer()
    old = bytearray(b"of a lost session, which may still be writing")
    server.files[UP + partial_name(BATCH).encode()] = old
    transport, _ = over(server)
    transport.put(BATCH, BytesSource(b"new"))
    assert server.files == {UP + BATCH.encode(): bytearray(b"new")}
    assert old == b"of a lost session, which may still be writing"


def test_every_write_is_answered_before_the_rename() -> None:
    server = ScriptedServer()
    transport, _ = over(server)
    transport.put(BATCH, BytesSource(CONTENT * 10))
    rename = len(server.requests) - 1
    assert server.requests[rename] == Kind.EXTENDED
    assert server.requests[rename - 1] == Kind.CLOSE
    assert Kind.WRITE in server.requests[:rename]


class Far(ScriptedServer):
    """One file lies in ``down/``. ``trips``: how often answers were waited for with new requests sent."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(self._listing)
        self.path = b"/box/down/" + name.encode()
        self.files[self.path] = bytearray(content)
        self.trips = 0
        self._asked = False

    def _listing(self, kind: int, _: Reader) -> Answer | None:
        if kind != Kind.READDIR or self._listed:
            return None
        self._listed = True
        size = len(self.files[self.path])
        return names([(self.path.rpartition(b"/")[2], 0o100640, size)])

    def send(self, data: bytes) -> None:
        self._asked = True
        super().send(data)

    def receive(self, size_bytes: int) -> bytes:
        self.trips += self._asked
        self._asked = False
        return super().receive(size_bytes)

    def trips_of(self, act: Callable[[], object]) -> int:
        before = self.trips
        act()
        return self.trips - before


def test_what_needs_no_answer_before_it_is_sent_with_what_goes_before(tmp_path: Path) -> None:
    """A packet that comes alone waits for every round trip to its server."""
    server = Far(BATCH, CONTENT)
    transport, _ = over(server)
    transport.list_own()
    assert server.trips_of(transport.list_names) == 2
    target = tmp_path / "target"
    assert server.trips_of(lambda: transport.fetch(BATCH, target, limit_bytes=10**6)) == 2
    assert target.read_bytes() == CONTENT
    assert server.trips_of(lambda: transport.put(BATCH, BytesSource(CONTENT))) == 3
    assert server.open_handles == 0


def test_what_a_listing_showed_is_opened_once_without_another_look(tmp_path: Path) -> None:
    """What lies there later may be a FIFO, and opening that would hold the session."""
    server = Far(BATCH, CONTENT)
    transport, _ = over(server)
    transport.list_names()
    for looks in (0, 1, 2):
        assert transport.fetch(BATCH, tmp_path / "target", limit_bytes=10**6).size == len(CONTENT)
        assert server.requests.count(Kind.LSTAT) == looks


@pytest.mark.parametrize("now", [b"", b"newer", CONTENT, CONTENT * 10], ids=len)
def test_a_file_replaced_after_the_listing_is_read_as_it_is_now(tmp_path: Path, now: bytes) -> None:
    server = Far("ack.batch", b"older than that")
    transport, _ = over(server)
    transport.list_names()
    server.files[server.path] = bytearray(now)
    fetched = transport.fetch("ack.batch", tmp_path / "target", limit_bytes=10**6)
    assert (fetched.size, fetched.digest) == (len(now), digest_of(now))
    assert server.open_handles == 0


def test_a_refused_read_speaks_of_this_file(tmp_path: Path) -> None:
    server = refusing(Kind.READ)
    server.files[b"/box/down/" + BATCH.encode()] = bytearray(CONTENT)
    transport, connection = over(server)
    with pytest.raises(TransportFileError):
        transport.fetch(BATCH, tmp_path / "target", limit_bytes=10**6)
    assert connection.drops == 0
    assert server.open_handles == 0


def test_a_file_that_grew_after_it_was_looked_at_is_still_capped(tmp_path: Path) -> None:
    server = ScriptedServer()
    path = b"/box/down/" + BATCH.encode()
    server.files[path] = bytearray(b"small")

    def bend(kind: int, _: Reader) -> Answer | None:
        if kind == Kind.OPEN:
            server.files[path] = bytearray(CONTENT)
        return None

    server._bend = bend
    transport, _ = over(server)
    with pytest.raises(TransportFileError, match="larger"):
        transport.fetch(BATCH, tmp_path / "target", limit_bytes=100)
    assert not (tmp_path / "target").exists()


def test_a_file_that_vanished_after_it_was_looked_at(tmp_path: Path) -> None:
    server = ScriptedServer()
    path = b"/box/down/" + BATCH.encode()
    server.files[path] = bytearray(b"small")

    def bend(kind: int, _: Reader) -> Answer | None:
        return status(Status.NO_SUCH_FILE) if kind == Kind.OPEN else None

    server._bend = bend
    transport, _ = over(server)
    with pytest.raises(TransportFileError):
        transport.fetch(BATCH, tmp_path / "target", limit_bytes=100)


def test_names_that_no_file_system_would_allow_are_strangers() -> None:
    hostile = [
        (b"../../" + BATCH.encode(), 0o100640, 5),
        (b"/" + BATCH.encode(), 0o100640, 5),
        (BATCH.encode() + b"\0", 0o100640, 5),
        (BATCH.encode() + b"\n", 0o100640, 5),
        (BATCH.encode(), 0o120777, 5),
        (b"", 0o100640, 5),
        (b"\xff" * 5000, 0o100640, 5),
    ]
    listed = False

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal listed
        if kind != Kind.READDIR or listed:
            return None
        listed = True
        return names(hostile)

    transport, _ = over(ScriptedServer(bend))
    listing = transport.list_names()
    assert listing.files == ()
    assert listing.strangers == len(hostile)


def test_names_as_long_as_a_packet_are_counted_and_not_kept() -> None:
    """Else a hostile server fills the memory of whoever dials it: 5 GB at the default cap."""
    asked = 0

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal asked
        asked += kind == Kind.READDIR
        return names([(b"%09d" % asked + b"x" * 250_000, 0o100640, 5)]) if kind == Kind.READDIR else None

    transport, _ = over(ScriptedServer(bend), scan_names=100)
    tracemalloc.start()
    try:
        listing = transport.list_names()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (listing.files, listing.strangers, listing.truncated) == ((), 100, True)
    assert peak < 8 * 1024 * 1024


@pytest.mark.parametrize("dots", [[b"."], [b".."], [b".", b".."]])
def test_a_server_that_repeats_the_folder_itself_for_ever_is_left(dots: list[bytes]) -> None:
    asked = 0

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal asked
        asked += kind == Kind.READDIR
        assert asked < 1_000, "the client still asks"
        return names([(name, 0o40755, 0) for name in dots]) if kind == Kind.READDIR else None

    transport, _ = over(ScriptedServer(bend), scan_names=100)
    listing = transport.list_names()
    assert (listing.files, listing.strangers, listing.truncated) == ((), 0, True)


def test_c2_more_names_than_one_look_reads_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """What lies behind them is not taken: whoever looks for the reason must find it."""
    asked = 0

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal asked
        asked += kind == Kind.READDIR
        return names([(b"%09d" % asked, 0o100640, 5)]) if kind == Kind.READDIR else None

    transport, _ = over(ScriptedServer(bend), scan_names=5)
    with caplog.at_level("WARNING", logger="exchanged"):
        for _ in range(2):
            assert transport.list_names().truncated
    assert [record.message for record in caplog.records] == ["mailbox-strangers"]


def test_the_folder_itself_takes_no_room_of_an_honest_listing() -> None:
    listed = False

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal listed
        if kind != Kind.READDIR:
            return None
        if listed:
            return status(Status.EOF)
        listed = True
        return names([(b".", 0o40755, 0), (b"..", 0o40755, 0), (BATCH.encode(), 0o100640, 5)])

    transport, _ = over(ScriptedServer(bend), scan_names=1)
    listing = transport.list_names()
    assert ([file.name for file in listing.files], listing.truncated) == ([BATCH], False)


def test_a_broken_session_is_dropped_and_the_next_one_is_used() -> None:
    broken, good, third = ScriptedServer(lambda _kind, _reader: (77, b"")), ScriptedServer(), ScriptedServer()
    transport, connection = over(broken, good, third)
    # The greeting asks for limits already.
    with pytest.raises(TransportError):
        transport.list_names()
    assert transport.list_names().files == ()
    transport.put(BATCH, BytesSource(CONTENT))
    # A session that ended while it was idle is noticed before it is used.
    good.is_open = False
    assert transport.list_own().files == ()
    assert third.requests
    assert connection.drops == 0


def test_a_session_that_breaks_in_use_drops_its_connection() -> None:
    def bend(kind: int, _: Reader) -> Answer | None:
        return (77, b"") if kind == Kind.REMOVE else None

    broken, good = ScriptedServer(bend), ScriptedServer()
    transport, connection = over(broken, good)
    with pytest.raises(TransportError):
        transport.remove_own(BATCH)
    assert not broken.is_open
    assert connection.drops == 1
    assert transport.list_own().files == ()


def test_a_finished_connection_is_never_made_again() -> None:
    """What a stopped node left behind in some thread must not dial once more."""
    host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    connection = SftpConnection(SftpSettings("127.0.0.1", 1, "ex", bytes(32), host_key, "/"))
    connection.finish()
    with pytest.raises(TransportError, match="stopping"):
        connection.open_window()
