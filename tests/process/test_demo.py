"""The demo as a judge runs it: real daemons, a real sshd, power cuts, signals, and an audit that can fail."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.demo.errors import DemoStuckError
from cli.demo.journey import Act, Ending, Journey
from cli.demo.outcome import Outcome
from cli.demo.play import Pace, Play
from cli.demo.show import Show, Telling
from cli.demo.stage import demo_lab
from cli.lab.errors import LabError
from cli.lab.lab import Lab
from exchanged.clock import SystemClock
from packet_spec.limits import MIB

pytestmark = [pytest.mark.process, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
POL, PRO, CRT = "620199-01-00", "620199-03-00", "620199-04-00"


class Waits:
    """Waits like the demo; ``first`` is done once, at the first pause."""

    def __init__(self, first: Callable[[], None] = lambda: None) -> None:
        self._first = first

    def pause(self, seconds: float) -> None:
        first, self._first = self._first, lambda: None
        first()
        select.select([], [], [], seconds)

    def check(self) -> None:
        pass


def play_in(lab: Lab, waits: Waits, pace: Pace) -> Play:
    clock = SystemClock()
    return Play(lab, Show(Telling.SILENT, clock), clock, waits, pace=pace, video_bytes=2 * MIB)


# --- a whole run, and what the audit says of folders that somebody has changed -------------------


@dataclass(frozen=True)
class Played:
    lab: Lab
    play: Play
    outcome: Outcome

    def journey(self, label: str) -> Journey:
        return next(each for each in self.play.journeys if each.label == label)

    def folder(self, label: str, agency: str) -> Path:
        return self.journey(label).folders[agency]

    def receipts(self, label: str) -> Path:
        journey = self.journey(label)
        assert journey.key is not None
        return self.lab.agency_root(journey.sender) / "receipts" / journey.key.packet_id


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """The whole story over folder links; the lab is stopped, its folders are there."""
    folder = tmp_path_factory.mktemp("demo") / "lab"
    with demo_lab(folder, "folder", 2 * MIB, Waits()) as lab:
        lab.start()
        play = play_in(lab, Waits(), Pace())
        outcome = play.run()
    return Played(lab, play, outcome)


@pytest.fixture
def restored(played: Played) -> Iterator[Played]:
    """The same, with all folders put back afterwards."""
    agencies = played.lab.layout.root / "agencies"
    saved = agencies.with_name("saved")
    shutil.copytree(agencies, saved, symlinks=True)
    yield played
    shutil.rmtree(agencies)
    saved.rename(agencies)


def test_the_whole_story_is_played_and_nothing_differs(played: Played):
    outcome = played.outcome
    assert outcome.differences == ()
    story = [packet for packet in outcome.packets if packet.label.isdigit()]
    assert [packet.label for packet in story] == [f"{number:02d}" for number in range(1, 28)]
    kinds = Counter(receipt.kind.value for packet in story for receipt in packet.receipts)
    assert kinds == {"accepted": 27, "delivered": 33, "collected": 6, "signed": 6}
    assert {receipt.how for packet in story for receipt in packet.receipts} == {"", "marker", "folder-gone"}
    assert all(receipt.seconds >= 0 for packet in story for receipt in packet.receipts)
    assert outcome.receipts_verified == sum(len(packet.receipts) for packet in outcome.packets)


def test_the_faulty_drops_end_as_they_should(played: Played):
    ends = {fault.label: fault for fault in played.outcome.faults}
    assert {label: fault.state for label, fault in ends.items()} == {
        "F1": "refused",
        "F4": "refused",
        "F8": "duplicate",
    }
    assert "PRO-017" in ends["F1"].findings[0].zh
    assert "PRO-017" in ends["F1"].findings[0].en
    assert "id_no" in ends["F4"].findings[0].element
    first = next(packet for packet in played.outcome.packets if packet.label == "F8")
    assert ends["F8"].first == first.packet_id


def test_receivers_did_what_they_were_to_do(played: Played):
    for journey in played.play.journeys:
        if journey.ending is not Ending.DELIVERED:
            continue
        for agency in journey.recipients:
            act = journey.acts.get(agency, Act.NOTHING)
            assert journey.folders[agency].exists() is (act is not Act.REMOVE)
            assert (journey.folders[agency] / "collected").exists() is (act is Act.MARK)


def a_packet_is_lost(played: Played) -> None:
    shutil.rmtree(played.folder("10", PRO))


def a_packet_is_there_twice(played: Played) -> None:
    folder = played.folder("10", PRO)
    shutil.copytree(folder, folder.parent.with_name("assess.commission") / folder.name)


def a_packet_is_there_once_more(played: Played) -> None:
    folder = played.folder("10", PRO)
    shutil.copytree(folder, folder.with_name(f"{folder.name}_a2"))


def a_packet_leaked(played: Played) -> None:
    folder = played.folder("10", PRO)
    other = played.lab.agency_root(CRT) / "inbox" / folder.parent.name
    shutil.copytree(folder, other / folder.name)


def a_taken_packet_came_again(played: Played) -> None:
    shutil.copytree(played.folder("21", CRT), played.folder("06", PRO))


def a_byte_of_a_document_changed(played: Played) -> None:
    document = next(path for path in played.folder("10", PRO).iterdir() if path.suffix == ".pdf")
    data = bytearray(document.read_bytes())
    data[-1] ^= 1
    document.write_bytes(data)


def the_packet_itself_changed(played: Played) -> None:
    path = played.folder("10", PRO) / "packet.xml"
    path.write_bytes(path.read_bytes().replace(b"suitable", b"unfit"))


def the_seal_belongs_to_another(played: Played) -> None:
    for name in ("seal.xml", "seal.sig"):
        shutil.copy(played.folder("07", PRO) / name, played.folder("10", PRO) / name)


def a_receipt_is_missing(played: Played) -> None:
    next(played.receipts("10").glob("delivered*")).unlink()


def a_receipt_is_there_twice(played: Played) -> None:
    path = next(played.receipts("10").glob("delivered*"))
    shutil.copy(path, path.with_name("delivered-again.xml"))


def a_receipt_is_forged(played: Played) -> None:
    path = next(played.receipts("10").glob("delivered*"))
    path.write_bytes(path.read_bytes().replace(b"T", b"t", 1))


def a_receipt_belongs_to_another_packet(played: Played) -> None:
    shutil.copy(next(played.receipts("06").glob("accepted*")), next(played.receipts("10").glob("accepted*")))


def a_refused_drop_got_receipts(played: Played) -> None:
    (played.lab.agency_root(PRO) / "receipts" / "00000000-0000-8000-8000-000000000001").mkdir()


def a_drop_still_waits(played: Played) -> None:
    (played.lab.agency_root(POL) / "outbox" / "forgotten").mkdir()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (a_packet_is_lost, "is missing"),
        (a_packet_is_there_twice, "lies in the inbox 2 times"),
        (a_packet_is_there_once_more, "should not be there"),
        (a_packet_leaked, f"{CRT} inbox"),
        (a_taken_packet_came_again, "should not be there"),
        (a_byte_of_a_document_changed, "is not the file that was dropped"),
        (the_packet_itself_changed, "packet.xml is"),
        (the_seal_belongs_to_another, "content digest in the seal"),
        (a_receipt_is_missing, "0 receipts delivered"),
        (a_receipt_is_there_twice, "2 receipts delivered"),
        (a_receipt_is_forged, "proves nothing"),
        (a_receipt_belongs_to_another_packet, "speaks of other content"),
        (a_refused_drop_got_receipts, "should not be there"),
        (a_drop_still_waits, "still lies in the outbox"),
    ],
)
def test_the_audit_finds_what_somebody_changed(
    restored: Played, change: Callable[[Played], None], words: str
):
    assert restored.play.differences() == ()
    change(restored)
    found = restored.play.differences()
    assert any(words in difference for difference in found), found


# --- what goes wrong on the way -------------------------------------------------------------------


def test_a_node_that_dies_by_itself_ends_the_demo(tmp_path: Path):
    with demo_lab(tmp_path / "lab", "folder", 2 * MIB, Waits()) as lab:
        lab.start()
        play = play_in(lab, Waits(lambda: lab.kill_node(POL)), Pace())
        with pytest.raises(LabError, match=f"{POL} ended by itself"):
            play.run()


def test_a_packet_that_does_not_get_on_is_named_with_the_next_command(tmp_path: Path):
    with demo_lab(tmp_path / "lab", "folder", 2 * MIB, Waits()) as lab:
        lab.start()
        province = lab.pid(lab.province)
        assert province is not None
        play = play_in(lab, Waits(lambda: os.kill(province, signal.SIGSTOP)), Pace(still_seconds=20.0))
        try:
            with pytest.raises(DemoStuckError, match="packet 01 of the demo is stuck") as caught:
                play.run()
        finally:
            os.kill(province, signal.SIGCONT)
    assert "DEMO-01-case.report" in caught.value.where
    assert f"accepted, delivered {PRO}" in caught.value.expected
    assert caught.value.found.startswith("status ")
    assert f"nodes/{POL}/exchanged.toml packet trace {POL}/" in caught.value.advice


# --- the command ----------------------------------------------------------------------------------


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for temporary folders; its path is short enough for the sockets in them."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def start_demo(place: Path, *words: str) -> subprocess.Popen[str]:
    """The command in a process of its own, with ``place`` for temporary folders."""
    environment = os.environ | {"TMPDIR": str(place), "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"}
    command = [sys.executable, "-m", "cli", "demo", *words]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def living(place: Path) -> list[int]:
    """Every process whose command line names the folder."""
    found = []
    for child in Path("/proc").iterdir():
        if child.name.isdigit() and int(child.name) != os.getpid():
            try:
                if str(place).encode() in (child / "cmdline").read_bytes():
                    found.append(int(child.name))
            except OSError:
                continue
    return found


def read_until(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the demo never said {words!r}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["个进程启动", "案件报备"])
def test_a_signal_leaves_no_process_and_no_folder(place: Path, number: signal.Signals, moment: str):
    process = start_demo(place, "--video-mib", "2")
    read_until(process, moment)
    process.send_signal(number)
    # A second one must not break off the tidying up.
    process.send_signal(number)
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in complaint
    assert list(place.iterdir()) == []
    assert living(place) == []


def test_a_reader_that_goes_away_leaves_nothing_either(place: Path):
    process = start_demo(place, "--video-mib", "2", "--link", "folder")
    read_until(process, "个进程启动")
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(timeout=60) == 128 + signal.SIGPIPE
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
    assert list(place.iterdir()) == []
    assert living(place) == []


def test_a_kept_folder_stays_and_is_not_used_twice(tmp_path: Path, place: Path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "mine").write_text("mine")
    process = start_demo(place, "--keep", str(kept))
    _, complaint = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "something lies there already" in complaint
    assert [path.name for path in kept.iterdir()] == ["mine"]
