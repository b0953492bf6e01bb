"""Both commands on terminals that lack characters, as real processes: escapes, never a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RARE = "\U00020164\U0001f600"


def run(*words: str, encoding: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error in the terminal's own encoding."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LC_")}
    environment |= {"PYTHONIOENCODING": encoding, "EXCHANGED_LOCALE": "zh_CN", "LC_CTYPE": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, check=False
    )
    # Strict: a byte that is not of the encoding would be no escape.
    return done.returncode, done.stdout.decode(encoding), done.stderr.decode(encoding)


def test_the_daemon_on_a_terminal_that_lacks_characters(tmp_path: Path) -> None:
    missing = str(tmp_path / f"{RARE}.toml")
    code, out, err = run("cli.daemon", "--config", missing, encoding="gbk")
    assert (code, out) == (2, "")
    assert "event=ended error=configuration-unusable" in err
    assert "配置不可用" in err
    assert "\\U00020164\\U0001f600" in err
    code, out, err = run("cli.daemon", RARE, encoding="ascii")
    assert (code, out) == (2, "")
    assert "unexpected extra argument (\\U00020164\\U0001f600)" in err


@pytest.mark.parametrize(
    ("encoding", "usage", "wrong"),
    [("gbk", "用法:", "没有命令"), ("ascii", "Usage:", "No such command")],
)
def test_the_tool_on_a_terminal_that_lacks_characters(encoding: str, usage: str, wrong: str) -> None:
    code, out, err = run("cli", "--help", encoding=encoding)
    assert (code, err) == (0, "")
    assert usage in out
    code, out, err = run("cli", "config", RARE, encoding=encoding)
    assert (code, out) == (2, "")
    assert "\\U00020164" in err
    assert wrong in err


def test_a_question_is_asked_with_escapes() -> None:
    asked = f"from cli.render import ask; ask({RARE + '?'!a})"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=ROOT,
        env=environment,
        input=b"n\n",
        capture_output=True,
        check=False,
    )
    assert b"\\U00020164\\U0001f600?" in done.stdout + done.stderr
    assert b"UnicodeEncodeError" not in done.stderr
