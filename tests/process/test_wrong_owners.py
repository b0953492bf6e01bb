"""A daemon refuses to start on a key, a ledger or a spool that it may not use, and names file and fix."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from cli.lab.lab import Lab, create_lab
from cli.lab.plan import default_plan
from tests.process.test_main_job import PATIENCE_SECONDS, PROVINCE

pytestmark = [pytest.mark.process, pytest.mark.slow]

_NOBODY: Final = 65_534
# As root: somebody who may read everything, as the program may lie where only root looks, and write nothing.
_AS_NOBODY: Final = (
    *("setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A province whose node ran once, and stopped: ledger and spool are there."""
    # Where pytest puts its own, only root may look.
    with TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        lab = create_lab(Path(folder) / "lab", default_plan(1), "folder")
        try:
            lab.start_node(PROVINCE)
        finally:
            lab.stop()
        if os.geteuid() == 0:
            for path in (lab.layout.root, *lab.layout.root.rglob("*")):
                os.chown(path, _NOBODY, _NOBODY, follow_symlinks=False)
        yield lab


def start(lab: Lab) -> tuple[int | None, str]:
    """Exit code and words of a daemon; None when it was still running after it had said that it is ready."""
    prefix = _AS_NOBODY if os.geteuid() == 0 else ()
    command = (*prefix, sys.executable, "-P", "-m", "cli.daemon", "--config", str(lab.node_config(PROVINCE)))
    home = str(Path(__file__).resolve().parents[2])
    told = {**os.environ, "PYTHONPATH": home, "LC_ALL": "C.UTF-8", "LANGUAGE": "en"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=told) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if "event=ready" in line:
                process.terminate()
                process.wait(PATIENCE_SECONDS)
                return None, said
        return process.wait(PATIENCE_SECONDS), said


def test_a_daemon_starts_on_what_is_its_own(lab: Lab) -> None:
    assert start(lab)[0] is None


@pytest.mark.parametrize(
    ("file", "mode", "code", "fix"),
    [
        ("keys/link.key", 0o644, 2, "chmod 600"),
        ("keys/receipt.key", 0o620, 2, "chmod 600"),
        ("ledger.sqlite3", 0o400, 3, "chmod 640"),
        ("spool", 0o500, 3, "chmod 700"),
    ],
)
def test_a_wrong_mode_is_refused_with_file_and_fix(
    lab: Lab, file: str, mode: int, code: int, fix: str, record_property: Any
) -> None:
    path = lab.layout.data(PROVINCE) / file
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        exit_code, said = start(lab)
    finally:
        path.chmod(before)
    assert exit_code == code, said
    assert f"{fix} {path}" in said
    record_property("owners_and_modes", 1)


@pytest.mark.parametrize(
    ("file", "code", "fix"),
    [("keys/link.key", 2, "chown"), ("ledger.sqlite3", 3, "chown"), ("spool", 3, "chown --recursive")],
)
def test_another_owner_is_refused_with_file_and_fix(
    lab: Lab, file: str, code: int, fix: str, record_property: Any
) -> None:
    if os.geteuid() != 0:
        # Nobody else can give a file away.
        return
    path = lab.layout.data(PROVINCE) / file
    os.chown(path, 1, 1)
    try:
        exit_code, said = start(lab)
    finally:
        os.chown(path, _NOBODY, _NOBODY)
    assert exit_code == code, said
    assert f"run as root: {fix} {_NOBODY} {path}" in said
    record_property("owners_and_modes", 1)
