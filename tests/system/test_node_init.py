"""A node made by root for the daemon's user: real accounts, and a command of root that acts as that user."""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path("/etc/exchanged/desk-test.toml")
CODE, PROVINCE = "620199-01-00", "620000-00-00"
USER, GROUP = "exchanged", "exchanged-case"
# Lets the daemon's user reach an interpreter that lies in root's home, in a mount namespace of its own.
_REACH = """
mount --bind "$1" "$3" && mount -t tmpfs -o mode=755 tmpfs "$2" && mkdir -p "$1" && mount --bind "$3" "$1" &&
shift 3 && exec "$@"
"""


def reaching(command: list[str], spare: Path) -> list[str]:
    """The command, where an account that is not root can run this interpreter."""
    prefix = Path(sys.base_prefix).resolve()
    closed = [path for path in prefix.parents if not path.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return command
    places = [str(prefix), str(closed[-1]), str(spare)]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _REACH, "sh", *places, *command]


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder that every account can enter, and the accounts of a machine set up by the book."""
    account = ["useradd", "--system", "--no-create-home", "-U", "-G", GROUP, USER]
    for command in (["groupadd", GROUP], account):
        # Another file of this run may have made them.
        if subprocess.run(command, check=False, capture_output=True).returncode not in {0, 9}:
            pytest.fail(f"{command[0]} failed")
    subprocess.run(["usermod", "-a", "-G", GROUP, USER], check=True)
    folder = Path(tempfile.mkdtemp(prefix="exchanged-init-"))
    folder.chmod(0o755)
    (folder / "spare").mkdir()
    yield folder
    shutil.rmtree(folder)
    CONFIG.unlink(missing_ok=True)


def ctl(base: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run exchangectl as root, with --json."""
    command = [sys.executable, "-P", "-m", "cli", "--config", str(CONFIG), *words, "--json"]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    reached = reaching(command, base / "spare")
    done = subprocess.run(reached, capture_output=True, text=True, check=False, env=environment, cwd="/")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def init(base: Path) -> tuple[int, dict[str, Any]]:
    places = ("--data-dir", str(base / "data"), "--agency-root", str(base / "agency"))
    return ctl(base, "node", "init", "--role", "frontend", "--code", CODE, "--peer", PROVINCE, *places)


def owner(path: Path) -> tuple[str, str, int]:
    found = path.lstat()
    user, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    return user, group, stat.S_IMODE(found.st_mode)


def test_root_makes_a_node_that_belongs_to_the_daemon(base: Path) -> None:
    exit_code, made = init(base)
    assert (exit_code, made["changed"], made["owner"]) == (0, True, USER)
    assert owner(base / "data") == (USER, USER, 0o750)
    assert owner(base / "data/keys") == (USER, USER, 0o700)
    for name in ("seal.key", "link.key", "receipt.key", "login"):
        assert owner(base / "data/keys" / name) == (USER, USER, 0o600)
    assert owner(base / "agency") == (USER, GROUP, 0o2750)
    assert owner(CONFIG) == ("root", USER, 0o644)
    assert f'group = "{GROUP}"' in CONFIG.read_text("utf-8")
    assert init(base)[1]["changed"] is False


def test_folder_init_of_root_gives_the_folders_to_daemon_and_case_software(base: Path) -> None:
    exit_code, said = ctl(base, "folder", "init")
    assert (exit_code, said["folders"]) == (0, {"inbox": "good", "outbox": "good"})
    for name in ("outbox", "status", "sent", "refused", "inbox", "receipts", "notices"):
        assert owner(base / "agency" / name) == (USER, GROUP, 0o2770)
    assert owner(base / "agency/.exchanged") == (USER, GROUP, 0o2700)
    assert owner(base / "agency/outbox/.exchanged-marker")[0] == USER
    assert owner(base / "data/ledger.sqlite3")[0] == USER


def test_config_check_of_root_tries_the_folders_as_the_daemon(base: Path) -> None:
    _, said = ctl(base, "config", "check")
    found = {each["name"]: (each["state"], each["detail"]) for each in said["checks"]}
    assert found["runs as"][0] == "good"
    assert found["runs as"][1].startswith(f"{USER} (uid ")
    assert GROUP in found["runs as"][1]
    assert found["folder outbox"][0] == "good"
    assert found[f"link {PROVINCE}"][0] == "problem"
    # Root could write there; the daemon cannot.
    os.chown(base / "agency/sent", 0, 0)
    (base / "agency/sent").chmod(0o755)
    exit_code, said = ctl(base, "config", "check")
    found = {each["name"]: (each["state"], each["detail"]) for each in said["checks"]}
    assert exit_code == 2
    assert found["folder sent"][0] == "problem"
    assert "Permission denied" in found["folder sent"][1]
    assert [path for path in base.rglob("*") if "probe" in path.name] == []
