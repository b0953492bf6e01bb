"""What is around the demo's play: signals, the temporary folder, patience, progress, and log tails."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from cli.demo.errors import NoRoomError
from cli.demo.patience import Patience
from cli.demo.show import Show, Telling
from cli.demo.stage import demo_lab, log_tails
from cli.demo.travel import Travel
from cli.demo.waits import Interrupted, listening, wait_until
from cli.exit_codes import ExitCode, exit_code_of
from cli.lab.errors import LabError
from cli.lab.lab import create_lab
from cli.lab.plan import default_plan
from packet_spec.limits import MIB
from tests.support.clock import FakeClock


class Usage(NamedTuple):
    total: int
    used: int
    free: int


class Waits:
    """Time passes at once; the ``check`` after ``left`` others is interrupted."""

    def __init__(self, clock: FakeClock | None = None, left: int = 1_000) -> None:
        self._clock = clock or FakeClock()
        self._left = left

    def pause(self, seconds: float) -> None:
        self._clock.advance(seconds)

    def check(self) -> None:
        if not self._left:
            raise Interrupted(signal.SIGTERM)
        self._left -= 1


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


# --- signals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_noted_and_raised_at_the_next_pause(number: signal.Signals):
    with listening() as waits:
        waits.check()
        signal.raise_signal(number)
        # Another one is ignored: the first order stands.
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Interrupted) as caught:
            waits.pause(60.0)
        assert caught.value.number == number
        with pytest.raises(Interrupted):
            waits.check()


def test_the_earlier_handlers_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with listening() as waits:
        assert signal.getsignal(signal.SIGTERM) is not before
        waits.pause(0.0)
    assert signal.getsignal(signal.SIGTERM) is before


def test_waiting_ends_when_it_is_done_or_too_late():
    clock = FakeClock()
    waits = Waits(clock)
    began = clock.monotonic()
    assert wait_until(lambda: clock.monotonic() >= began + 1.0, waits, clock, seconds=5.0, step=0.25)
    assert clock.monotonic() == began + 1.0
    assert not wait_until(lambda: False, waits, clock, seconds=2.0, step=0.5)
    assert clock.monotonic() == began + 3.0


# --- the folder -------------------------------------------------------------------------------------


def test_a_temporary_lab_goes_with_the_block(place: Path):
    with demo_lab(None, "folder", MIB, Waits()) as lab:
        assert place in lab.layout.root.parents
        assert len(lab.agencies) == 10
    assert list(place.iterdir()) == []


def test_it_goes_also_when_something_goes_wrong(place: Path):
    with pytest.raises(LabError), demo_lab(None, "folder", MIB, Waits()):
        raise LabError("something")
    with pytest.raises(Interrupted), demo_lab(None, "folder", MIB, Waits(left=0)):
        pytest.fail("not interrupted")
    assert list(place.iterdir()) == []


def test_a_named_folder_stays(place: Path, tmp_path: Path):
    with demo_lab(tmp_path / "kept", "folder", MIB, Waits()) as lab:
        assert lab.layout.root == tmp_path / "kept"
    assert (tmp_path / "kept" / "lab.json").is_file()
    assert list(place.iterdir()) == []


def test_daemons_put_their_temporary_files_into_the_folder_that_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", "/somewhere")
    with tempfile.TemporaryDirectory(prefix="x", dir="/tmp") as short:
        monkeypatch.setattr(tempfile, "tempdir", short)
        with demo_lab(None, "folder", MIB, Waits()):
            assert Path(os.environ["TMPDIR"]).is_dir()
            assert Path(short) in Path(os.environ["TMPDIR"]).parents
        assert os.environ["TMPDIR"] == "/somewhere"
    # A socket's path must stay short.
    long = tmp_path / ("x" * 80)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with demo_lab(None, "folder", MIB, Waits()):
        assert os.environ["TMPDIR"] == "/somewhere"


def test_a_full_disk_is_told_before_anything_is_made(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10 * MIB, 0, 10 * MIB))
    with pytest.raises(NoRoomError) as caught, demo_lab(None, "folder", 200 * MIB, Waits()):
        pytest.fail("there was room")
    assert caught.value.found == "10.0 MiB free"
    assert "--video-mib" in caught.value.advice
    assert exit_code_of(caught.value) is ExitCode.TEMPORARY
    assert list(place.iterdir()) == []


def test_log_tails_show_warnings_and_what_is_no_log_line(tmp_path: Path):
    lab = create_lab(tmp_path / "lab", default_plan(2), "folder")
    assert log_tails(lab) == []
    log = lab.log(lab.province)
    log.parent.mkdir()
    log.write_text("T info event=a\nT warning event=odd\nTraceback (most\nValueError: x\nT debug event=b\n")
    assert log_tails(lab) == [f"{log}:", "  T warning event=odd", "  Traceback (most", "  ValueError: x"]


# --- patience and progress ----------------------------------------------------------------------------


def test_patience_ends_without_a_change_or_at_the_limit():
    clock = FakeClock()
    patience = Patience(clock, still_seconds=10.0, limit_seconds=25.0)
    patience.note("a")
    clock.advance(9.0)
    assert not patience.exhausted()
    patience.note("a")
    clock.advance(2.0)
    assert "nothing changed for 10 s" in patience.exhausted()
    patience.note("b")
    assert not patience.exhausted()
    clock.advance(9.0)
    patience.note("c")
    clock.advance(6.0)
    assert "25 s" in patience.exhausted()


def test_without_a_terminal_progress_is_a_few_lines(capsys: pytest.CaptureFixture[str]):
    show = Show(Telling.LINES, FakeClock())
    for hundredth in range(0, 101, 5):
        show.bar("video", hundredth / 100)
    show.bar("video", 2.0)
    show.note("under way")
    show.lines(["one", "two"])
    said = capsys.readouterr()
    assert said.err.splitlines() == ["video: 25%", "video: 50%", "video: 75%", "video: 100%"]
    assert said.out == "one\ntwo\n"
    Show(Telling.SILENT, FakeClock()).lines(["three"])
    assert capsys.readouterr().out == ""


def test_on_a_terminal_progress_is_one_line_that_goes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = FakeClock()
    show = Show(Telling.LINES, clock)
    show.bar("视频", 0.5)
    show.bar("视频", 0.6)
    clock.advance(1.0)
    show.note("字" * 100)
    show.lines(["told"])
    said = capsys.readouterr().err
    assert "\n" not in said
    steps = said.split("\r")
    assert steps[1].endswith(" 50%")
    assert steps[2].strip() == "字" * 39
    assert steps[-1] == ""
    assert not steps[-2].strip()


def test_travel_counts_the_most_seen_at_each_place(tmp_path: Path):
    first, last = tmp_path / "first", tmp_path / "last"
    first.mkdir()
    last.mkdir()
    travel = Travel(100, ((first, "*.part"), (last, "*.mp4")))
    assert travel.share() == 0.0
    (first / "v.part").write_bytes(bytes(50))
    assert travel.share() == 0.25
    (first / "v.part").unlink()
    (last / "v.mp4").write_bytes(bytes(60))
    assert travel.share() == 0.55
    assert not travel.is_done
    (last / "v.mp4").write_bytes(bytes(100))
    assert travel.share() == 1.0
    assert travel.is_done
