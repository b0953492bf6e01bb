"""What judges an outbox can fail: content that was told, drops that are gone, races that hit nothing."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certainty import suite
from certainty.intake import burst, full, leaks, overflow, racers, scale, shares
from certainty.intake.papers import POLICE, PROCURATORATE, PROVINCE, Papers, inner_word, wrong_word
from certainty.intake.world import stop_signal
from certainty.shard import Violation

DETENTION = "620199-02-00"
AGENCIES = (POLICE, DETENTION, PROCURATORATE)


@pytest.fixture(scope="module")
def papers() -> Papers:
    return Papers()


# --- content that is told --------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Any:
    """The folders and logs of three agencies and a province in which nothing is wrong."""
    nodes = (*AGENCIES, PROVINCE)
    for code in nodes:
        (tmp_path / "data" / code / "notices").mkdir(parents=True)
        (tmp_path / "data" / code / "spool").mkdir()
        (tmp_path / f"{code}.log").write_text("", "utf-8")
    for code in AGENCIES:
        for name in ("outbox", "sent", "refused", "status", "receipts", "inbox", ".exchanged"):
            (tmp_path / "agencies" / code / name).mkdir(parents=True)
    lab = SimpleNamespace(
        nodes=nodes, agencies=AGENCIES, log=lambda code: tmp_path / f"{code}.log",
        layout=SimpleNamespace(data=lambda code: tmp_path / "data" / code),
    )  # fmt: skip
    made: Any = SimpleNamespace(
        lab=lab, behind=lambda code: tmp_path / "agencies" / code, answers=[], log_problems=list
    )
    # Where packets lie, their content may lie.
    for place in ("outbox", "sent", "refused", ".exchanged"):
        (made.behind(POLICE) / place / "a.xml").write_bytes(inner_word(POLICE))
    (made.behind(PROCURATORATE) / "inbox" / "x.y" / "folder").mkdir(parents=True)
    (made.behind(PROCURATORATE) / "inbox" / "x.y" / "folder" / "packet.xml").write_bytes(inner_word(POLICE))
    for code in (POLICE, PROVINCE, PROCURATORATE):
        (tmp_path / "data" / code / "spool" / "1").write_bytes(inner_word(POLICE))
    # Its own sender hears what is wrong.
    (made.behind(POLICE) / "status" / "b.status.xml").write_bytes(wrong_word(POLICE))
    (made.behind(POLICE) / "refused" / "b.findings.xml").write_bytes(wrong_word(POLICE))
    assert leaks.problems(made, "") == []
    return made


def test_every_drop_has_its_senders_word_in_its_content(papers: Papers) -> None:
    paper = papers.folder(1, 4000)
    assert inner_word(POLICE) in papers.lone(1).xml
    assert inner_word(POLICE) in paper.xml
    assert all(inner_word(POLICE) in data for data in paper.files.values())
    faulty = papers.faulty(1)
    assert all(inner_word(POLICE) in data or wrong_word(POLICE) in data for data in faulty.values())
    assert len({*faulty.values(), papers.lone(1).xml}) == 5


@pytest.mark.parametrize("word", [inner_word(POLICE), wrong_word(POLICE)])
@pytest.mark.parametrize("code", [POLICE, PROVINCE, PROCURATORATE])
@pytest.mark.parametrize("place", ["log", "notice"])
def test_content_in_logs_and_notices_is_seen(world: Any, word: bytes, code: str, place: str) -> None:
    notices = world.lab.layout.data(code) / "notices"
    (world.lab.log(code) if place == "log" else notices / "1-x.xml").write_bytes(b"said=" + word)
    assert [each.invariant for each in leaks.problems(world, "", in_folders=False)] == ["I11"]


@pytest.mark.parametrize(
    ("code", "place", "word", "expected"),
    [
        (POLICE, "status/a.status.xml", inner_word(POLICE), ["I11"]),
        (POLICE, "receipts/1/refused.xml", wrong_word(POLICE), ["I11"]),
        (POLICE, "refused/a.findings.txt", inner_word(POLICE), ["I11"]),
        (POLICE, "inbox/counts.json", inner_word(POLICE), ["I11"]),
        (PROCURATORATE, "status/a.status.xml", wrong_word(POLICE), ["I11"]),
        (DETENTION, "status/a.status.xml", wrong_word(POLICE), ["I11", "I6"]),
        (DETENTION, "inbox/x.y/folder/packet.xml", inner_word(POLICE), ["I6"]),
        (DETENTION, ".exchanged/1/packet.xml", inner_word(POLICE), ["I6"]),
    ],
)
def test_content_in_papers_and_at_strangers_is_seen(
    world: Any, code: str, place: str, word: bytes, expected: list[str]
) -> None:
    path = world.behind(code) / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"<x>" + word)
    assert [each.invariant for each in leaks.problems(world, "")] == expected


def test_content_in_a_strangers_spool_and_in_answers_is_seen(world: Any) -> None:
    (world.lab.layout.data(DETENTION) / "spool" / "1").write_bytes(inner_word(POLICE))
    world.answers.append(("packet list", f"x {inner_word(POLICE).decode()}"))
    assert sorted(each.invariant for each in leaks.problems(world, "")) == ["I11", "I6"]
    world.log_problems = lambda: ["a line that is none"]
    assert Violation("I11", "", "a line that is none") in leaks.problems(world, "", in_folders=False)


# --- drops that are gone ---------------------------------------------------------------------------------


def test_a_burst_is_judged_whether_or_not_it_came_to_its_end() -> None:
    names, good = ["a", "b", "c"], {"taken": 2, "seen": 1}
    assert burst.judge("", names, {"a", "b", "c"}, good, 2) == []
    assert [each.invariant for each in burst.judge("", names, {"a", "b"}, good, 2)] == ["I1"]
    assert [each.invariant for each in burst.judge("", names, {*names}, good, 1)] == ["I16"]
    refused = {"taken": 2, "seen": 0, "refused": 1}
    assert [each.invariant for each in burst.judge("", names, {*names}, refused, 2)] == ["I1"]


# --- limits and queues -----------------------------------------------------------------------------------


def refused_as(code: str, expected: str = "5000") -> dict[str, Any]:
    finding = {"code": code, "severity": "refuse", "expected": expected}
    return {"state": "refused", "finding": [finding]}


@pytest.mark.parametrize(
    ("name", "said", "is_right"),
    [
        ("at", {"state": "sent", "packetId": "1"}, True),
        ("at", refused_as("too-many-attachments"), False),
        ("over", {"state": "sent", "packetId": "1"}, False),
        ("over", refused_as("too-many-attachments"), True),
        ("over", refused_as("too-many-attachments", "4999"), False),
        ("over", refused_as("attachment-missing"), False),
        ("far", refused_as("drop-too-many-files"), True),
        ("far", refused_as("extra-file"), False),
    ],
)
def test_a_verdict_on_many_files_must_name_the_limit(name: str, said: dict[str, Any], is_right: bool) -> None:
    assert (scale.wrong_verdict(said, name, 5001) == "") is is_right


def test_an_overflow_counts_only_when_it_came_before_the_drops(tmp_path: Path) -> None:
    length = int(overflow._QUEUE.read_text("ascii"))
    outbox, other = tmp_path / "outbox", tmp_path / "other"
    outbox.mkdir()
    other.mkdir()
    for events, is_lost in ((100, False), (length + 100, True)):
        with overflow.Mirror(outbox, other) as mirror:
            overflow.flood(other, events)
            (outbox / "a.xml").touch()
            assert overflow.is_lost(mirror, ["a.xml"]) is is_lost
        (outbox / "a.xml").unlink()
    with overflow.Mirror(outbox, other) as mirror:
        (outbox / "a.xml").touch()
        overflow.flood(other, length + 100)
        assert not overflow.is_lost(mirror, ["a.xml"])


# --- faults that did not take place ----------------------------------------------------------------------


def test_only_drops_that_something_was_done_to_were_raced_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, outside = tmp_path / "outbox", tmp_path / "outside"
    outbox.mkdir()
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_bytes(b"x")
    monkeypatch.setattr(racers, "_RACED_SECONDS", 0.0)
    monkeypatch.setattr(racers, "_LEFT", 0.0)
    idle = racers.Race()
    racers.race(outbox, outside, 0, 3, 1, idle)
    assert (sum(idle.deeds.values()), idle.drops) == (0, set())
    monkeypatch.setattr(racers, "_RACED_SECONDS", 0.5)
    made = racers.Race()
    racers.race(outbox, outside, 4, 3, 1, made)
    assert sum(made.deeds.values()) > 0
    assert made.drops <= {"r4", "r5", "r6"}
    assert made.drops


def test_a_racer_that_is_ended_tells_what_it_did(tmp_path: Path) -> None:
    outbox, outside = tmp_path / "outbox", tmp_path / "outside"
    outbox.mkdir()
    (outside / "folder").mkdir(parents=True)
    (outside / "file").write_bytes(b"x")
    words = [sys.executable, "-m", "certainty.intake.racers", str(outbox), str(outside), "0", "50", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=suite.ROOT) as racer:
        while not any(outbox.iterdir()):
            assert racer.poll() is None
        racer.terminate()
        said = racer.communicate()[0]
    assert racer.returncode == 0
    assert b'"drops"' in said


def test_a_share_that_nobody_serves_does_not_hang() -> None:
    share: Any = SimpleNamespace(_process=None)
    with pytest.raises(RuntimeError, match="nobody serves"):
        stop_signal(share)


def test_an_alarm_of_before_is_none_for_a_share_that_vanishes_again(tmp_path: Path) -> None:
    (tmp_path / "notices").mkdir()
    lines = ["event=marker state=missing"]
    layout = SimpleNamespace(data=lambda _: tmp_path)
    world: Any = SimpleNamespace(log=lambda: "\n".join(lines), lab=SimpleNamespace(layout=layout))
    assert shares._noticed(world, 0, in_notice=False)
    assert not shares._noticed(world, 1, in_notice=False)
    lines.append("event=marker state=missing")
    assert shares._noticed(world, 1, in_notice=False)
    assert not shares._noticed(world, 1, in_notice=True)
    (tmp_path / "notices" / "1-folder-marker-bad-x.xml").write_bytes(b'<notice state="open"/>')
    assert shares._noticed(world, 1, in_notice=True)


def test_a_volume_is_full_only_when_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not full.is_full(tmp_path)
    with pytest.raises(FileNotFoundError):
        full.is_full(tmp_path / "nothing")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(Path, "write_bytes", fail)
    assert full.is_full(tmp_path)


# --- tests of the suite ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "failure", "is_known"), [(0, "", True), (1, "x", True), (1, "", False), (0, "x", False)]
)
def test_an_exit_code_that_the_report_does_not_explain_shows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, failure: str, is_known: bool
) -> None:
    def run(command: list[str], **_: object) -> Any:
        report = next(word.split("=")[1] for word in command if word.startswith("--junit-xml"))
        inside = f'<failure message="{failure}"/>' if failure else ""
        case = f'<testcase file="a.py" name="b" time="1">{inside}</testcase>'
        Path(report).write_text(f"<t>{case}</t>", "utf-8")
        return SimpleNamespace(returncode=code)

    monkeypatch.setattr("certainty.suite.subprocess.run", run)
    if is_known:
        assert [each.failure for each in suite._run(("x",), (), tmp_path / "x")] == [failure]
    else:
        with pytest.raises(suite.SuiteError):
            suite._run(("x",), (), tmp_path / "x")
