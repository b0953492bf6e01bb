from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import pytest

from exchanged.errors import RemoteRefusedError, TransportError, TransportFileError
from exchanged.sftp_protocol import Kind, Reader, Status, string
from exchanged.sftp_window import SftpWindow
from tests.support.sftp_script import EXTENSIONS, Answer, ScriptedServer, names, status

CONTENT = os.urandom(1_000_003)


def without(name: bytes) -> dict[bytes, bytes]:
    return {key: value for key, value in EXTENSIONS.items() if key != name}


def opened(server: ScriptedServer, name: str = "a") -> tuple[SftpWindow, bytes]:
    window = SftpWindow(server)
    return window, window.finish_open(window.start_open_new(name, 0o640))


def test_the_greeting_takes_the_servers_limits() -> None:
    window = SftpWindow(ScriptedServer())
    assert (window.read_bytes, window.write_bytes) == (261120, 261120)
    modest = SftpWindow(ScriptedServer(extensions=without(b"limits@openssh.com")))
    assert (modest.read_bytes, modest.write_bytes) == (32768, 32768)


def test_limits_of_zero_and_beyond_ours_are_cut() -> None:
    def bend(kind: int, reader: Reader) -> Answer | None:
        if kind == Kind.EXTENDED and reader.string() == b"limits@openssh.com":
            return Kind.EXTENDED_REPLY, struct.pack(">QQQQ", 0, 0, 2**40, 0)
        return None

    window = SftpWindow(ScriptedServer(bend))
    assert (window.read_bytes, window.write_bytes) == (261120, 261120)


def test_a_server_without_atomic_rename_is_refused() -> None:
    server = ScriptedServer(extensions=without(b"posix-rename@openssh.com"))
    with pytest.raises(TransportError, match="atomically"):
        SftpWindow(server)
    assert not server.is_open


def test_another_protocol_version_is_refused() -> None:
    with pytest.raises(TransportError, match="version 2"):
        SftpWindow(ScriptedServer(version=2))


def test_write_flush_close_rename() -> None:
    server = ScriptedServer()
    window, handle = opened(server)
    assert window.write_and_close(handle, 0, iter([CONTENT[:7], CONTENT[7:]])) == len(CONTENT)
    window.rename("a", "b")
    assert server.files == {b"b": bytearray(CONTENT)}
    assert server.open_handles == 0
    assert server.requests[-3:] == [Kind.EXTENDED, Kind.CLOSE, Kind.EXTENDED]


def test_without_fsync_it_writes_all_the_same() -> None:
    server = ScriptedServer(extensions=without(b"fsync@openssh.com"))
    window, handle = opened(server)
    window.write_and_close(handle, 0, [CONTENT])
    assert server.files[b"a"] == CONTENT
    assert Kind.EXTENDED not in server.requests[1:]


@pytest.mark.parametrize("failing", [1, 3, 4])
def test_any_one_refused_write_is_told_and_the_window_goes_on(failing: int) -> None:
    writes = 0

    def bend(kind: int, _: Reader) -> Answer | None:
        nonlocal writes
        writes += kind == Kind.WRITE
        return status(Status.FAILURE, b"Failure") if kind == Kind.WRITE and writes == failing else None

    server = ScriptedServer(bend)
    window, handle = opened(server)
    with pytest.raises(RemoteRefusedError) as caught:
        window.write_and_close(handle, 0, [CONTENT])
    assert caught.value.code == Status.FAILURE
    assert window.usable
    assert window.lstat("a") is not None
    assert server.open_handles == 0


@pytest.mark.parametrize("refused", [b"fsync@openssh.com", b""])
def test_a_refused_flush_or_close_is_told(refused: bytes) -> None:
    def bend(kind: int, reader: Reader) -> Answer | None:
        if refused and kind == Kind.EXTENDED and reader.string() == refused:
            return status(Status.FAILURE)
        return status(Status.FAILURE) if not refused and kind == Kind.CLOSE else None

    window, handle = opened(ScriptedServer(bend))
    with pytest.raises(RemoteRefusedError):
        window.write_and_close(handle, 0, [CONTENT])


def test_a_failing_source_closes_the_handle_and_passes() -> None:
    def blocks() -> Iterator[bytes]:
        yield CONTENT
        raise KeyError("the source")

    server = ScriptedServer()
    window, handle = opened(server)
    with pytest.raises(KeyError):
        window.write_and_close(handle, 0, blocks())
    assert server.open_handles == 0
    assert window.lstat("nothing") is None


def test_writing_on_at_an_offset() -> None:
    server = ScriptedServer()
    server.files[b"a"] = bytearray(CONTENT[:1000])
    window = SftpWindow(server)
    end = window.write_and_close(window.open_to_resume("a"), 1000, [CONTENT[1000:]])
    assert end == len(CONTENT)
    assert server.files[b"a"] == CONTENT


def test_a_new_file_must_not_exist() -> None:
    server = ScriptedServer()
    server.files[b"a"] = bytearray()
    window = SftpWindow(server)
    with pytest.raises(RemoteRefusedError):
        window.finish_open(window.start_open_new("a", 0o640))


@pytest.mark.parametrize("in_step", [True, False])
@pytest.mark.parametrize("offset", [0, 1, 261120, len(CONTENT)])
def test_reading_comes_in_order_whatever_the_order_of_answers(in_step: bool, offset: int) -> None:
    server = ScriptedServer()
    server.files[b"a"] = bytearray(CONTENT)
    window = SftpWindow(server)
    handle = window.open_to_read("a")
    server._in_step = in_step
    assert b"".join(window.read_blocks(handle, offset, len(CONTENT))) == CONTENT[offset:]


def test_short_answers_are_completed() -> None:
    server = ScriptedServer()

    def bend(kind: int, reader: Reader) -> Answer | None:
        if kind != Kind.READ:
            return None
        reader.string()
        offset, length = reader.uint64(), reader.uint32()
        return Kind.DATA, string(CONTENT[offset : offset + max(1, length // 3)])

    server._bend = bend
    server.files[b"a"] = bytearray(CONTENT)
    window = SftpWindow(server)
    blocks = window.read_blocks(window.open_to_read("a"), 0, len(CONTENT))
    assert b"".join(blocks) == CONTENT


def test_a_file_that_ends_early_is_told() -> None:
    server = ScriptedServer()
    server.files[b"a"] = bytearray(b"short")
    window = SftpWindow(server)
    with pytest.raises(TransportFileError, match="ended"):
        list(window.read_blocks(window.open_to_read("a"), 0, 10))
    assert window.usable


def test_reading_may_be_given_up_and_the_window_goes_on() -> None:
    server = ScriptedServer()
    server.files[b"a"] = bytearray(CONTENT)
    window = SftpWindow(server)
    blocks = window.read_blocks(window.open_to_read("a"), 0, len(CONTENT))
    next(blocks)
    blocks.close()  # type: ignore[attr-defined]
    found = window.lstat("a")
    assert found is not None
    assert found.size == len(CONTENT)
    assert window._answers == {}


def test_at_most_a_window_of_requests_is_under_way() -> None:
    server = ScriptedServer()
    size = 64 * 1024 * 1024
    server.files[b"a"] = bytearray(size)
    window = SftpWindow(server)
    most = answered = 0
    for block in window.read_blocks(window.open_to_read("a"), 0, size):
        answered += len(block)
        asked = server.requests.count(Kind.READ) * 261120
        most = max(most, asked - answered)
    assert answered == size
    # What is asked for grows with the line, up to the window.
    assert 4 * 1024 * 1024 < most < 9 * 1024 * 1024


def test_list_folder_is_capped_and_leaves_out_the_dots() -> None:
    server = ScriptedServer()
    for number in range(5):
        server.files[b"%d" % number] = bytearray(number)
    window = SftpWindow(server)
    entries, more = window.list_folder("/", 5)
    assert ([entry.name for entry in entries], more) == ([b"0", b"1", b"2", b"3", b"4"], False)
    assert [entry.attributes.size for entry in entries] == [0, 1, 2, 3, 4]
    entries, more = window.list_folder("/", 4)
    assert (len(entries), more) == (4, True)
    assert server.open_handles == 0


def test_a_server_that_lists_without_end_is_stopped_by_the_cap() -> None:
    def bend(kind: int, _: Reader) -> Answer | None:
        return names([(b"x%d" % n, 0o100640, 0) for n in range(100)]) if kind == Kind.READDIR else None

    server = ScriptedServer(bend)
    entries, more = SftpWindow(server).list_folder("/", 1000)
    assert (len(entries), more) == (1000, True)
    assert server.requests.count(Kind.READDIR) == 11


def test_missing_is_none_and_false() -> None:
    window = SftpWindow(ScriptedServer())
    assert window.lstat("gone") is None
    assert window.remove("gone") is False
    with pytest.raises(RemoteRefusedError):
        window.rename("gone", "b")


def test_free_space() -> None:
    server = ScriptedServer()
    server.free_bytes = 12_345
    space = SftpWindow(server).free_space("/")
    assert space is not None
    assert (space.size_bytes, space.files) == (12_345, 50)
    assert SftpWindow(ScriptedServer(extensions=without(b"statvfs@openssh.com"))).free_space("/") is None


def test_texts_of_the_server_are_shown_without_control_characters() -> None:
    def bend(kind: int, _: Reader) -> Answer | None:
        return status(99, b"\x1b[2Jno\n\xff" + b"x" * 500) if kind == Kind.REMOVE else None

    with pytest.raises(RemoteRefusedError) as caught:
        SftpWindow(ScriptedServer(bend)).remove("a")
    assert caught.value.code == 99
    assert caught.value.found.isprintable()
    assert caught.value.found.isascii()
    assert len(caught.value.found) <= 100


def test_a_status_without_text_is_understood() -> None:
    def bend(kind: int, _: Reader) -> Answer | None:
        return (Kind.STATUS, struct.pack(">I", 4)) if kind == Kind.REMOVE else None

    with pytest.raises(RemoteRefusedError, match="status 4"):
        SftpWindow(ScriptedServer(bend)).remove("a")


def test_waiting_at_a_fifo_has_no_time_out() -> None:
    server = ScriptedServer()
    server.files[b"bell"] = bytearray()
    window = SftpWindow(server)
    handle = window.wait_open(window.start_open_to_read("bell"))
    closing = window.start_close(handle)
    window.finish_close(closing)
    assert server.endless == [True, False]


MALFORMED: dict[str, Answer] = {
    "a handle without its length": (Kind.HANDLE, b"\0\0"),
    "a handle beyond the packet": (Kind.HANDLE, struct.pack(">I", 2**31) + b"x"),
    "an empty handle": (Kind.HANDLE, string(b"")),
    "a handle that is too long": (Kind.HANDLE, string(b"x" * 257)),
    "success instead of a handle": status(Status.OK),
    "a status without a code": (Kind.STATUS, b"\0"),
    "data instead of a handle": (Kind.DATA, string(b"x")),
    "an unknown type": (77, b""),
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_answer_breaks_the_session(answer: Answer) -> None:
    def bend(kind: int, _: Reader) -> Answer | None:
        return answer if kind == Kind.OPEN else None

    window = SftpWindow(ScriptedServer(bend))
    with pytest.raises(TransportError):
        window.open_to_read("a")
    assert not window.usable
    with pytest.raises(TransportError):
        window.lstat("a")


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (Kind.READ, (Kind.DATA, string(b""))),
        (Kind.READ, (Kind.DATA, string(b"x" * 11))),
        (Kind.READ, status(Status.OK)),
        (Kind.LSTAT, (Kind.ATTRS, struct.pack(">I", 1))),
        (Kind.LSTAT, (Kind.ATTRS, struct.pack(">II", 0x80000000, 2**31))),
        (Kind.READDIR, (Kind.NAME, struct.pack(">I", 0))),
        (Kind.READDIR, (Kind.NAME, struct.pack(">I", 2**32 - 1))),
        (Kind.READDIR, (Kind.NAME, struct.pack(">I", 2) + string(b"x"))),
        (Kind.REMOVE, (Kind.DATA, string(b"x"))),
    ],
)
def test_other_malformed_answers(kind: Kind, answer: Answer) -> None:
    server = ScriptedServer(lambda asked, _: answer if asked == kind else None)
    server.files[b"a"] = bytearray(10)
    window = SftpWindow(server)
    acts: dict[Kind, Callable[[], object]] = {
        Kind.READ: lambda: list(window.read_blocks(window.open_to_read("a"), 0, 10)),
        Kind.LSTAT: lambda: window.lstat("a"),
        Kind.READDIR: lambda: window.list_folder("/", 10),
        Kind.REMOVE: lambda: window.remove("a"),
    }
    with pytest.raises(TransportError) as caught:
        acts[kind]()
    assert not isinstance(caught.value, RemoteRefusedError)
    assert not window.usable


@pytest.mark.parametrize(
    ("packet", "found"),
    [
        (struct.pack(">I", 2**32 - 1), "a packet of 4294967295 bytes"),
        (struct.pack(">I", 0), "a packet of 0 bytes"),
        (struct.pack(">I", 4) + b"\x65\0\0\0", "a packet of 4 bytes"),
        (struct.pack(">IBI", 5, Kind.STATUS, 999), "nobody asked for"),
    ],
)
def test_what_is_no_answer_breaks_the_session(packet: bytes, found: str) -> None:
    server = ScriptedServer()
    window = SftpWindow(server)
    server.answer_raw(packet)
    with pytest.raises(TransportError, match=found):
        window.lstat("a")
    assert not window.usable


def test_owner_times_and_extensions_of_attributes_are_read_over() -> None:
    body = struct.pack(">IQIIIII", 0x8000000F, 7, 1, 2, 0o100600, 3, 4)
    body += struct.pack(">I", 1) + string(b"name") + string(b"value")
    server = ScriptedServer(lambda kind, _: (Kind.ATTRS, body) if kind == Kind.LSTAT else None)
    found = SftpWindow(server).lstat("a")
    assert found is not None
    assert found.is_plain_file
    assert not found.is_fifo
    assert not found.is_folder
    assert found.size == 7


def test_attributes_that_say_nothing_are_no_plain_file() -> None:
    server = ScriptedServer(lambda kind, _: (Kind.ATTRS, bytes(4)) if kind == Kind.LSTAT else None)
    found = SftpWindow(server).lstat("a")
    assert found is not None
    assert not found.is_plain_file
    assert not found.is_fifo
    assert not found.is_folder


def test_a_closed_channel_makes_the_window_unusable() -> None:
    server = ScriptedServer()
    window = SftpWindow(server)
    server.is_open = False
    assert not window.usable
    with pytest.raises(TransportError):
        window.lstat("a")
    window.close()
    window.close()
