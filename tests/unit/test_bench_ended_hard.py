"""A bench that was killed, or whose nodes do not end: the next call counts, what was found stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from bench import agencies, crowd, province
from bench.__main__ import ROOT
from bench.crowd import Crowd
from bench.province import Province
from bench.result import SHORT, Check, Run
from certainty.kills.nodes import NotReadyError
from cli.lab.errors import LabError


class Told:
    """Stands for a lab, or its nodes: notes what is asked of it."""

    def __init__(self, **faults: BaseException) -> None:
        self.asked: list[str] = []
        self.faults = faults
        self.province, self.agencies, self.nodes = "p", ("a", "b"), ("p", "a", "b")

    def __getattr__(self, name: str) -> Callable[..., None]:
        def ask(*_arguments: object) -> None:
            self.asked.append(name)
            if name in self.faults:
                raise self.faults[name]

        return ask


def test_what_a_killed_call_left_running_is_ended_before_a_province_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Told()
    monkeypatch.setattr(province, "lab_in", lambda *_: lab)
    monkeypatch.setattr(Province, "_await_lines", lambda _self: None)
    with Province(tmp_path):
        assert lab.asked == ["stop", "start"]
    assert lab.asked == ["stop", "start", "stop"]


def crowd_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Told, nodes: Told) -> Crowd:
    monkeypatch.setattr(crowd, "lab_in", lambda *_: lab)
    monkeypatch.setattr(crowd, "Nodes", lambda _lab: nodes)
    monkeypatch.setattr(nodes, "__enter__", lambda: nodes.asked.append("enter"), raising=False)
    for name in ("_allow_watches", "_await_lines", "require_health"):
        monkeypatch.setattr(Crowd, name, lambda _self: None)
    monkeypatch.setattr(Crowd, "_start", lambda _self, _codes: None)
    return Crowd(tmp_path, 2, lambda _: None)


def test_and_before_a_crowd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = Told()
    nodes = Told()
    nodes.asked = lab.asked
    with crowd_of(tmp_path, monkeypatch, lab, nodes):
        assert lab.asked == ["stop", "enter", "start", "await_ready"]


@pytest.mark.parametrize("fault", [LabError("processes do not end"), subprocess.TimeoutExpired("zygote", 10)])
def test_what_was_measured_stays_when_nodes_do_not_end(
    fault: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes, left = Told(), list[str]()

    def leave(*_: object) -> None:
        left.append("tried")
        raise fault

    monkeypatch.setattr(nodes, "__exit__", leave, raising=False)
    with crowd_of(tmp_path, monkeypatch, Told(), nodes):
        pass
    assert left == ["tried"]


class Street:
    """A crowd of two whose restart fails, or takes as long as it takes."""

    def __init__(self, fault: Exception | None) -> None:
        self._fault = fault
        self.agencies = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frontend_memory(self) -> float:
        return 20.0

    def restart_province(self) -> None:
        if self._fault is not None:
            raise self._fault

    def back_after(self, _seconds: float) -> list[float]:
        return [1.5, 2.5]


@pytest.mark.parametrize(
    ("fault", "back", "told"),
    [
        (None, 2, "all in 2 s"),
        (NotReadyError("p was not ready in time"), 0, "the restart failed: p was not ready in time"),
        (LabError("the lab's sshd did not start"), 0, "the restart failed"),
    ],
)
def test_the_load_is_told_whatever_becomes_of_the_restart_after_it(
    fault: Exception | None, back: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = (Check("packets a minute, mixed", 2_000.0, 1_900.0, "/min"),)
    given: dict[str, Any] = {
        "Crowd": lambda *_: Street(fault), "Mix": lambda *_: None, "_idle": lambda *_: ((), True),
        "_warm": lambda *_: True, "_load": lambda *_: (load, {"load, packets": 2_000.0}, "the books balance"),
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setattr(agencies, name, value)
    result = agencies.many(Run(tmp_path, full=False), 2)
    assert load[0] in result.checks
    assert result.checks[2].found == back
    assert result.verdict == SHORT or not fault
    assert told in "; ".join(result.notes)


def test_who_came_back_while_the_node_started_is_seen_however_long_that_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "sshd.log"
    log.write_text("Accepted publickey for x from 1 SHA256:one\nAccepted publickey for x from 1 SHA256:two\n")
    lab = Told()
    monkeypatch.setattr(lab, "log", lambda _: log, raising=False)
    keys = {"a": "SHA256:one", "b": "SHA256:two"}
    monkeypatch.setattr(lab, "layout", SimpleNamespace(login_key=keys.get), raising=False)
    monkeypatch.setattr(crowd, "_fingerprint", lambda key: key)
    monkeypatch.setattr(crowd, "time", SimpleNamespace(monotonic=lambda: 400.0))
    there = crowd_of(tmp_path, monkeypatch, lab, Told())
    assert there.back_after(180.0) == [400.0, 400.0]


_PROGRAM = """
import signal, sys
{before}
from bench.__main__ import heed_signals
heed_signals()
try:
    signal.raise_signal(signal.{name})
except SystemExit as end:
    print(end.code)
else:
    print("goes on")
"""


@pytest.mark.parametrize(
    ("name", "before", "says"),
    [
        ("SIGTERM", "", str(128 + signal.SIGTERM)),
        ("SIGHUP", "", str(128 + signal.SIGHUP)),
        # As nohup starts it.
        ("SIGHUP", "signal.signal(signal.SIGHUP, signal.SIG_IGN)", "goes on"),
    ],
)
def test_a_terminal_that_goes_away_ends_it_in_order_unless_it_was_told_to_go_on(
    name: str, before: str, says: str
) -> None:
    program = _PROGRAM.format(name=name, before=before)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == says
