"""The random kills count what they killed, tell what ended by itself, and hold recoveries to their goal."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from certainty.kills.cutting import was_cut
from certainty.kills.nodes import Nodes, NotReadyError, _Running
from certainty.kills.play import Play, Played
from certainty.kills.shard import told

ENDED, ALIVE = "620199-01-00", "620199-03-00"
LAST = "event=fault error=unexpected"


class LabOfLogs:
    """As much of a lab as its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = (ENDED, ALIVE)

    def log(self, code: str) -> Path:
        return self.folder / f"{code}.log"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Two nodes: one has ended by itself, with a last word in its log; the other lives."""
    lab: Any = LabOfLogs(tmp_path)
    nodes = Nodes(lab)
    processes = []
    for code, command in ((ENDED, ["true"]), (ALIVE, ["sleep", "60"])):
        lab.log(code).write_text(f"event=started\n{LAST}\n")
        process = subprocess.Popen(command, start_new_session=True)
        processes.append(process)
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        nodes._running[code] = _Running(process.pid, os.pidfd_open(process.pid), ear, time.monotonic(), 0)
    os.waitid(os.P_PID, processes[0].pid, os.WEXITED | os.WNOWAIT)
    yield nodes
    for code in nodes.running:
        nodes.kill(code)
    for process in processes:
        process.wait()


def test_a_kill_tells_whether_there_was_anybody_to_kill(nodes: Nodes) -> None:
    assert nodes.kill(ENDED) is False
    assert nodes.kill(ALIVE) is True
    assert nodes.running == ()


def test_who_ended_by_itself_is_told_with_its_last_word(nodes: Nodes) -> None:
    assert nodes.fallen() == {ENDED: LAST}
    assert nodes.running == (ALIVE,)
    assert nodes.fallen() == {}


def test_an_end_that_no_step_caused_is_none_of_ours(nodes: Nodes) -> None:
    assert nodes.await_end(ALIVE, 0) is False
    with pytest.raises(NotReadyError, match=f"{ENDED} ended by itself: {LAST}"):
        nodes.await_end(ENDED, 0)


def test_ending_a_node_that_lives_is_nothing_to_tell(nodes: Nodes) -> None:
    nodes.end(ALIVE)
    with pytest.raises(NotReadyError):
        nodes.end(ENDED)
    assert nodes.running == ()


def test_an_end_at_a_step_is_known_by_the_log_of_that_life_alone(nodes: Nodes) -> None:
    log = nodes.lab.log(ENDED)
    with log.open("a") as file:
        file.write("cut: killed at its step\n")
    assert was_cut(log)
    assert not was_cut(log, log.stat().st_size)
    assert nodes.await_end(ENDED, 0) is True


def _play(folder: Path) -> Play:
    """One that has no lab to start."""
    play = Play.__new__(Play)
    play.played, play.done, play._kills = Played(1), 0, 3
    play._random = random.Random(1)  # noqa: S311
    lab: Any = LabOfLogs(folder)
    play.lab = lab
    lab.log(ENDED).write_text(f"{LAST}\n")
    return play


def test_a_node_that_had_ended_by_itself_is_a_violation_and_no_kill(tmp_path: Path) -> None:
    play, away = _play(tmp_path), dict[str, float]()
    nodes: Any = SimpleNamespace(kill=lambda code: code != ENDED)
    play._kill(nodes, [ENDED], away, set())
    assert (play.done, play.played.kills) == (0, Counter())
    assert [(each.invariant, each.what) for each in play.played.problems] == [
        ("I12", f"{ENDED} ended by itself: {LAST}")
    ]
    assert set(away) == {ENDED}
    play._kill(nodes, [ALIVE], away, set())
    assert (play.done, play.played.kills) == (1, Counter({ALIVE: 1}))
    assert len(play.played.problems) == 1


def test_a_node_that_falls_is_told_once_and_started_again(tmp_path: Path) -> None:
    play, started = _play(tmp_path), list[str]()
    fallen = iter([{ENDED: LAST}, {}, {ENDED: LAST}])
    nodes: Any = SimpleNamespace(fallen=lambda: next(fallen), start=started.append)
    assert play._restart_fallen(nodes, set()) == {ENDED}
    assert play._restart_fallen(nodes, {ENDED}) == set()
    assert started == [ENDED]
    assert [each.invariant for each in play.played.problems] == ["I12"]
    with pytest.raises(NotReadyError, match=LAST):
        play._restart_fallen(nodes, {ENDED})


def test_a_node_that_is_killed_before_it_is_ready_is_told_with_its_age(tmp_path: Path) -> None:
    play = _play(tmp_path)
    nodes: Any = SimpleNamespace(kill=lambda _: True, age=lambda _: 2.5)
    play._kill(nodes, [ALIVE], {}, {ALIVE})
    play._kill(nodes, [ENDED], {}, {ALIVE})
    assert play.played.unready == [2.5]


def test_too_few_kills_and_slow_recoveries_are_short_of_the_goal() -> None:
    played = Played(1, kills=Counter({ALIVE: 9}), recoveries=[0.5, 3.9])
    assert told([played], planned=9, start=1.0).shortfalls == ()
    assert told([played, Played(2)], planned=20, start=1.0).shortfalls == ("9 of 20 planned cases",)
    slow = Played(1, kills=Counter({ALIVE: 9}), recoveries=[0.5, 4.6])
    late = ("1 of 2 recoveries took more than 5 s, at most 5.6 s",)
    assert told([slow], planned=9, start=1.0).shortfalls == late
    killed = Played(1, kills=Counter({ALIVE: 9}), recoveries=[0.5], unready=[0.1, 4.6])
    assert told([killed], planned=9, start=1.0).shortfalls == late
