"""The scanner's guard: what the scanner is given, and that it never outlives its time or its worker."""

from __future__ import annotations

import os
import resource
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from exchanged import scanner_guard
from exchanged.errors import ScannerFailedError
from exchanged.inspecting import Document, Inspection, inspect_documents
from exchanged.scanner import is_clean
from packet_spec.errors import ValidatorError
from packet_spec.model import Attachment
from tests.support.papers import pdf
from tests.support.scanners import names_seen, scanner

LISTED = Attachment("起诉意见书.pdf", "POL-020", len(pdf()), None)


def look(folder: Path, script: str, *, seconds: float = 30.0) -> bool:
    document = folder / "document"
    document.write_bytes(b"fictional document")
    descriptor = os.open(document, os.O_RDONLY)
    try:
        return is_clean(scanner(folder, script), descriptor, "虚构 名.pdf", seconds)
    finally:
        os.close(descriptor)


def alive(number: int) -> bool:
    """The process runs; a zombie does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_soon(number: int) -> bool:
    """The process ends within some seconds, without a sleep: its descriptor says when."""
    try:
        descriptor = os.pidfd_open(number)
    except ProcessLookupError:
        return True
    try:
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        return bool(waiting.poll(20_000))
    finally:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ('test "$(cat)" = "fictional document" || exit 5', True),
        ('test "$EXCHANGED_FILE_NAME" = "虚构 名.pdf" || exit 5', True),
        ('test -z "$SECRET_OF_THE_DAEMON" || exit 5', True),
        ('test "$(ls /proc/self/fd | wc -l)" -le 4 || exit 5', True),
        ("cat >/dev/null; exit 1", False),
        # It need not read, and may say much.
        ("exit 1", False),
        ("yes | head -c 1000000; yes | head -c 1000 >&2; exit 0", True),
    ],
)
def test_what_the_scanner_is_given_and_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: bool
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "x")
    assert look(tmp_path, script) is expected


@pytest.mark.parametrize(
    ("script", "found"),
    [("exit 2", "another exit code"), ("kill -9 $$", "another exit code"), ("sleep 99", "out of time")],
)
def test_anything_else_is_no_answer(tmp_path: Path, script: str, found: str) -> None:
    with pytest.raises(ScannerFailedError) as caught:
        look(tmp_path, script, seconds=0.3)
    assert caught.value.found == found
    assert caught.value.temporary


def test_all_that_it_started_ends_with_it(tmp_path: Path) -> None:
    with pytest.raises(ScannerFailedError):
        look(tmp_path, f"sleep 99 & echo $! > {tmp_path}/child; sleep 99", seconds=0.5)
    assert gone_soon(int((tmp_path / "child").read_text()))
    assert look(tmp_path, f"sleep 99 & echo $! > {tmp_path}/child; exit 0") is True
    assert gone_soon(int((tmp_path / "child").read_text()))


ASK = """
import os, resource, sys
from exchanged.config import ScannerConfig
from exchanged.scanner import is_clean
_, most = resource.getrlimit(resource.RLIMIT_AS)
resource.setrlimit(resource.RLIMIT_AS, (4 << 30, most))
print(is_clean(ScannerConfig((sys.argv[1],), 60.0), os.open("/dev/null", os.O_RDONLY), "a.pdf", 60.0))
"""


def test_it_does_not_inherit_the_limit_on_memory_of_its_worker(tmp_path: Path) -> None:
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    shown = "unlimited" if most == resource.RLIM_INFINITY else str(most // 1024)
    program = scanner(tmp_path, f'test "$(ulimit -v)" = {shown}').command[0]
    said = subprocess.run([sys.executable, "-c", ASK, program], capture_output=True, text=True, check=True)
    assert said.stdout == "True\n"


def test_it_ends_when_its_worker_is_killed(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    program = scanner(tmp_path, f"echo $$ > {fifo}; sleep 99").command[0]
    with subprocess.Popen([sys.executable, "-c", ASK, program]) as worker:
        number = int(fifo.read_text())
        assert alive(number)
        worker.send_signal(signal.SIGKILL)
    assert gone_soon(number)


def test_the_guards_own_failure_is_no_answer_of_the_scanner() -> None:
    assert not {scanner_guard.CLEAN, scanner_guard.REFUSED} & {0, 1, 2}
    answers = {scanner_guard.CLEAN, scanner_guard.REFUSED, *scanner_guard.REASONS}
    assert len(answers) == 2 + len(scanner_guard.REASONS)


def test_documents_of_one_packet_share_their_time(tmp_path: Path) -> None:
    """A scanner that is too slow for all of them holds the packet; it does not cost the worker its life."""
    document = Document(LISTED, len(pdf()), data=pdf())
    program = scanner(tmp_path)
    assert inspect_documents(Inspection((document, document), program))[1].findings == ()
    assert names_seen(tmp_path) == [LISTED.file] * 2
    assert Inspection((document,) * 5, program).scan_seconds == pytest.approx(31.0, abs=0.1)
    slow = scanner(tmp_path, "sleep 0.4", timeout_seconds=0.1)
    with pytest.raises(ScannerFailedError) as caught:
        inspect_documents(Inspection((document,) * 9, slow))
    assert caught.value.found == "out of time"


def test_a_document_that_is_gone_is_held(tmp_path: Path) -> None:
    with pytest.raises(ValidatorError):
        inspect_documents(Inspection((Document(LISTED, 5, path=str(tmp_path / "gone")),)))
