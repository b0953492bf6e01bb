"""A log whose reader does not read, or whose disk is full, stops nobody."""

from __future__ import annotations

import errno
import logging
import os
import threading

from exchanged.log_lines import LineHandler


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("exchanged", logging.INFO, "", 0, text, None, None)


def test_a_pipe_that_nobody_reads_blocks_no_caller_and_what_is_lost_is_counted() -> None:
    read, write = os.pipe()
    handler = LineHandler(lambda data: os.write(write, data), most=10)
    for number in range(5_000):
        handler.emit(record(f"{number} " + "x" * 100))
    text = b""
    while b"log-lines-lost" not in text:
        text += os.read(read, 65_536)
        handler.emit(record("later"))
    lines = text.decode().splitlines()
    assert lines[0].startswith("0 ")
    # All stand in the log or are counted, but for what is still in the pipe or in the queue.
    counted = sum(int(line.rpartition("count=")[2]) for line in lines if "log-lines-lost" in line)
    assert counted > 0
    assert len(lines) < 5_000
    handler.close()
    os.close(write)
    os.close(read)


def test_a_full_disk_loses_lines_and_says_how_many() -> None:
    written: list[bytes] = []
    done = threading.Event()
    calls = iter(range(1_000_000))

    def write(data: bytes) -> int:
        if next(calls) == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(data)
        if b"lost" in data:
            done.set()
        return len(data)

    handler = LineHandler(write)
    handler.emit(record("one"))
    handler.emit(record("two"))
    assert done.wait(60)
    assert b"event=log-lines-lost count=1\n" in written
    handler.close()


def test_closing_writes_what_is_left_and_never_waits_for_a_reader_that_hangs() -> None:
    written: list[bytes] = []
    handler = LineHandler(lambda data: written.append(data) or len(data))
    handler.emit(record("last words 虚构"))
    handler.close()
    assert b"".join(written).decode() == "last words 虚构\n"
    release = threading.Event()
    hanging = LineHandler(lambda data: release.wait() and len(data))
    hanging.emit(record("never read"))
    hanging.close()
    release.set()
