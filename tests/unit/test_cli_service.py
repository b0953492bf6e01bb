"""The service loop around a node: reload, watchdog, status, in every order that signals can come in."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cli.exit_codes import ExitCode
from cli.service import Service, Signals, describe_health
from exchanged.config import Config, load_config
from exchanged.errors import (
    AlreadyRunningError,
    ConfigurationError,
    ForeignVolumeError,
    NodeStuckError,
    VolumeDamagedError,
)
from exchanged.node import Health
from exchanged.program import Program
from packet_spec.errors import ExchangeError
from tests.support.clock import FakeClock

TEXT = """
[node]
code = "620000-00-00"
role = "provincial"
data_dir = "data"
[keys]
roots = ["ed25519-sha256:abababababababababababababababababababababababababababababababab"]
[limits]
workers = 2
[log]
level = "info"
"""
LOOK = 0.2
WELL = Health(is_alive=True, links=2, down=(), waiting=3, slow={})


class Stage:
    """The file, the clock, the service manager, and every node that was opened."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "node.toml"
        self.write()
        self.signals = Signals()
        self.clock = FakeClock()
        self.script: list[Callable[[], object]] = []
        self.acts: list[str] = []
        self.waits: list[float] = []
        self.logs: list[str] = []
        self.fails: list[Exception] = []
        self.health = WELL
        self.hangs: dict[str, float] = {}
        self.ends = True
        self.missing: ExchangeError | None = None
        self.at_stop: Callable[[], object] = lambda: None
        self.fatal: ExchangeError | None = None
        self.program = folder / "__init__.py"
        self.program.write_text("", encoding="utf-8")
        self._told: list[str] = []

    def write(self, before: str = "", after: str = "") -> None:
        self.path.write_text(TEXT.replace(before, after) if before else TEXT, encoding="utf-8")

    def run(self, *script: Callable[[], object]) -> ExitCode:
        """One step of ``script`` at each look, then SIGTERM."""
        self.script = [*script, self.sigterm]
        config, tell = load_config(self.path), self._told.append
        program = Program((self.program,))
        service = Service(
            self.path, config, self.open, self.require, self.signals, self.clock, tell, self.set_log, 4.0,
            program,
        )  # fmt: skip
        return service.run()

    def open(self, config: Config) -> Node:
        is_first = not self.acts
        self.acts.append(f"open {config.limits.workers}")
        if not is_first and self.fails:
            raise self.fails.pop(0)
        return Node(self)

    def require(self, config: Config) -> None:
        if self.missing is not None:
            raise self.missing

    def set_log(self, config: Config) -> None:
        self.logs.append(config.log.level.value)

    def sighup(self) -> None:
        self.signals.reload = True

    def sigterm(self) -> None:
        self.signals.stop = True

    def heard(self) -> list[str]:
        """What the manager was told since the last time."""
        told = self._told.copy()
        self._told.clear()
        return told


class Node:
    """A node that does, look by look, what the test wrote down."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def wait(self, timeout_seconds: float | None = None) -> ExchangeError | None:
        if timeout_seconds:
            self._stage.waits.append(timeout_seconds)
            # Roused early, as signals do it.
            self._stage.clock.advance(min(timeout_seconds, LOOK))
            self._stage.script.pop(0)()
        return self._stage.fatal

    def rouse(self) -> None:
        self._stage.acts.append("rouse")

    def stop(self) -> bool:
        self._stage.acts.append("stop")
        self._stage.at_stop()
        return self._stage.ends

    def health(self) -> Health:
        return self._stage.health

    def hanging(self) -> dict[str, float]:
        return self._stage.hangs


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    return [record.fields["what"] for record in caplog.records if record.message == event]


def test_start_and_stop_are_told(stage: Stage) -> None:
    assert stage.run() is ExitCode.DONE
    assert stage.acts == ["open 2", "stop"]
    told = ["STATUS=opening the node", "READY=1", "WATCHDOG=1", "STATUS=2 of 2 links up; waiting: 3"]
    assert stage.heard() == [*told, "STOPPING=1"]


def test_a_good_configuration_is_applied_whole(stage: Stage) -> None:
    def change() -> None:
        stage.write("workers = 2", "workers = 4")
        stage.sighup()
        stage.heard()

    assert stage.run(change, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop", "open 4", "stop"]
    told = stage.heard()
    assert told[0] == f"RELOADING=1\nMONOTONIC_USEC={1_000_200_000}"
    # Opening may take long, so the watchdog has patience meanwhile, and its own again afterwards.
    limits = [f"WATCHDOG_USEC={seconds}000000\nWATCHDOG=1" for seconds in (600, 8)]
    assert told[1:4] == [*limits, "READY=1"]


def test_the_log_level_is_applied_too_and_taken_back(stage: Stage) -> None:
    stage.fails = [ConfigurationError(("[folders] root: gone",))]
    twice = (stage.sighup, lambda: None, stage.sighup, lambda: None)
    change = (lambda: stage.write('"info"', '"debug"'), *twice)
    assert stage.run(*change) is ExitCode.DONE
    assert stage.logs == ["debug", "info", "debug"]


@pytest.mark.parametrize(
    ("before", "after", "problems"),
    [
        ("workers = 2", "workers = 0\nwrokers = 3", ["[limits] workers", "[limits] wrokers"]),
        ("[node]", "[node", ["not TOML"]),
        ('code = "620000-00-00"', 'code = "620100-00-00"', ["[node] code: cannot change"]),
        ('data_dir = "data"', 'data_dir = "other"', ["[node] data_dir: cannot change"]),
        (
            'code = "620000-00-00"\nrole = "provincial"',
            'code = "bridge-north"\nrole = "bridge"',
            ["[node] code: cannot change", "[node] role: cannot change"],
        ),
    ],
)
def test_a_bad_file_keeps_the_old_configuration_in_force(
    stage: Stage, caplog: pytest.LogCaptureFixture, before: str, after: str, problems: list[str]
) -> None:
    def change() -> None:
        stage.write(before, after)
        stage.sighup()
        stage.heard()

    assert stage.run(change, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop"]
    told = lines(caplog, "reload-refused")
    assert len(told) == len(problems)
    assert all(any(problem in line for line in told) for problem in problems)
    heard = stage.heard()
    assert heard[0].startswith("RELOADING=1\n")
    assert heard[1] == "READY=1"
    assert "reload refused" in heard[3]
    assert problems[0] in heard[3]


def test_the_status_forgets_a_refusal_once_a_reload_succeeds(stage: Stage) -> None:
    steps = (
        lambda: stage.write("workers", "wrokers"), stage.sighup, stage.write, stage.sighup,
        lambda: None,
    )  # fmt: skip
    assert stage.run(*steps) is ExitCode.DONE
    assert stage.heard()[-2:] == ["STATUS=2 of 2 links up; waiting: 3", "STOPPING=1"]


def test_a_configuration_that_cannot_be_opened_gives_way_to_the_old_one(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.fails = [ConfigurationError(("[folders] root: gone",))]
    change = (lambda: stage.write("workers = 2", "workers = 4"), stage.sighup, lambda: None, lambda: None)
    assert stage.run(*change) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop", "open 4", "open 2", "stop"]
    assert "gone" in lines(caplog, "reload-failed")[0]
    assert any(line.startswith("STATUS=") and "reload failed" in line for line in stage.heard())


def test_a_bug_in_opening_gives_way_to_the_old_one_too(stage: Stage) -> None:
    stage.fails = [KeyError("a bug")]
    assert stage.run(stage.sighup, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop", "open 2", "open 2", "stop"]


def test_the_process_ends_only_when_the_old_configuration_cannot_be_opened_either(stage: Stage) -> None:
    stage.fails = [ConfigurationError(("no",)), AlreadyRunningError("another daemon took the place")]
    with pytest.raises(AlreadyRunningError):
        stage.run(stage.sighup, lambda: None)


def test_a_node_that_does_not_end_is_never_joined_by_a_second_one(stage: Stage) -> None:
    stage.ends = False
    with pytest.raises(NodeStuckError):
        stage.run(stage.sighup, lambda: None)
    assert stage.acts == ["open 2", "stop"]


def test_a_half_started_node_is_never_joined_by_a_second_one(stage: Stage) -> None:
    stage.fails = [NodeStuckError("no more threads")]
    with pytest.raises(NodeStuckError):
        stage.run(stage.sighup, lambda: None)
    assert stage.acts == ["open 2", "stop", "open 2"]


def test_a_station_that_hangs_refuses_the_reload_and_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.hangs = {"delivery": 95.0}
    assert stage.run(stage.sighup, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop"]
    assert "delivery for 95 s" in lines(caplog, "reload-refused")[0]


def test_a_share_that_is_not_there_now_refuses_the_reload_and_the_node_goes_on(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def mount() -> None:
        stage.missing = None
        stage.sighup()

    stage.missing = ForeignVolumeError("the agency root is not there", where="/srv/case")
    assert stage.run(stage.sighup, lambda: None, mount, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop", "open 2", "stop"]
    assert lines(caplog, "reload-refused") == ["the agency root is not there; where: /srv/case"]
    assert any(line.startswith("STATUS=") and "folder-unusable" in line for line in stage.heard())


def test_two_signals_at_once_are_one_reload_and_one_during_it_another(stage: Stage) -> None:
    def twice() -> None:
        stage.sighup()
        stage.sighup()

    assert stage.run(twice, lambda: None) is ExitCode.DONE
    assert stage.acts.count("open 2") == 2
    stage.acts.clear()

    def once_more() -> None:
        stage.at_stop = lambda: None
        stage.write("workers = 2", "workers = 4")
        stage.sighup()

    stage.signals.stop = False
    stage.at_stop = once_more
    # The file was read before it changed; the second signal reads it again.
    assert stage.run(stage.sighup, lambda: None) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop", "open 2", "stop", "open 4", "stop"]


def test_sigterm_during_a_reload_ends_it(stage: Stage) -> None:
    stage.at_stop = stage.sigterm
    assert stage.run(stage.sighup) is ExitCode.DONE
    assert stage.acts == ["open 2", "stop"]
    assert stage.heard()[-1] == "STOPPING=1"


def test_sighup_while_stopping_does_nothing(stage: Stage) -> None:
    stage.at_stop = stage.sighup
    assert stage.run() is ExitCode.DONE
    assert stage.acts == ["open 2", "stop"]


def test_a_volume_that_fails_during_a_reload_ends_the_process(stage: Stage) -> None:
    def fail() -> None:
        stage.fatal = VolumeDamagedError("our own volume failed (fsync)")

    stage.at_stop = fail
    with pytest.raises(VolumeDamagedError):
        stage.run(stage.sighup)
    assert stage.acts == ["open 2", "stop"]


def test_the_watchdog_is_fed_at_half_its_limit_and_not_while_our_volume_hangs(stage: Stage) -> None:
    def hang() -> None:
        stage.health = replace(WELL, is_alive=False)
        stage.heard()

    def answer() -> None:
        assert not [line for line in stage.heard() if "WATCHDOG" in line]
        stage.health = WELL

    wait = [lambda: None] * 40
    fed: list[int] = []
    # 8 s of looks at 0.2 s, and a limit of 8 s: fed at once and after 4 s.
    assert stage.run(*wait[1:], lambda: fed.append(stage.heard().count("WATCHDOG=1"))) is ExitCode.DONE
    assert fed == [2]
    stage.signals.stop = False
    assert stage.run(hang, *wait, answer, *wait[:8]) is ExitCode.DONE
    assert "WATCHDOG=1" in stage.heard()


def test_an_idle_node_is_left_alone_until_the_next_beat(stage: Stage) -> None:
    assert stage.run(*[lambda: None] * 3) is ExitCode.DONE
    assert [round(seconds, 1) for seconds in stage.waits] == [4.0, 3.8, 3.6, 3.4]


def test_signals_rouse_the_node_that_runs(stage: Stage) -> None:
    def rouse() -> None:
        stage.signals.rouse()

    def reload() -> None:
        rouse()
        stage.sighup()

    assert stage.run(reload, rouse) is ExitCode.DONE
    assert stage.acts == ["open 2", "rouse", "stop", "open 2", "rouse", "stop"]


def test_signals_set_flags_and_rouse() -> None:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        signals, roused = Signals(), []
        signals.rouse = lambda: roused.append((signals.reload, signals.stop))
        signals.listen()
        os.kill(os.getpid(), signal.SIGHUP)
        assert (signals.reload, signals.stop) == (True, False)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.stop
        assert roused == [(True, False), (True, True)]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_the_status_is_one_short_line() -> None:
    names = tuple(f"link-{number}" for number in range(5))
    slow = {"delivery": 95.2, "link:link-1": 31.0}
    sick = Health(is_alive=False, links=9, down=names, waiting=10_000, slow=slow)
    assert describe_health(sick) == (
        "4 of 9 links up; down: link-0, link-1, link-2 ...; waiting: 10000+; "
        "the data directory does not answer; slow: delivery (95 s), link:link-1 (31 s)"
    )
    paused = Health(is_alive=True, links=3, down=("a",), waiting=0, slow={}, paused=("b",))
    assert describe_health(paused) == "1 of 3 links up; down: a; paused: b; waiting: 0"


def test_a_node_whose_program_was_replaced_ends_so_that_the_new_one_is_started(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def installed() -> None:
        newer = stage.program.with_name("newer")
        newer.write_text("", encoding="utf-8")
        newer.replace(stage.program)

    assert stage.run(installed) is ExitCode.TEMPORARY
    assert stage.acts == ["open 2", "stop"]
    assert lines(caplog, "ending") == ["the program was replaced while this node ran"]


def test_so_does_one_whose_program_is_gone_for_a_moment(stage: Stage) -> None:
    """As the installer leaves it between taking the old one away and putting the new one there."""
    assert stage.run(stage.program.unlink) is ExitCode.TEMPORARY
