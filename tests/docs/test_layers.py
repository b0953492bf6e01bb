"""The floors of the house and the one owner of each dangerous thing, read from the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("packet_spec", "exchanged", "frontend_server", "cli")
# A library may be imported by its owners only (docs/architecture.md, code map).
OWNERS: dict[str, tuple[str, ...]] = {
    "apscheduler": ("exchanged/schedule.py",),
    "click": ("cli/*",),
    "cryptography": ("exchanged/keys.py", "exchanged/sftp_*.py"),
    "PIL": ("packet_spec/documents/image.py",),
    "lxml": ("packet_spec/xml.py", "packet_spec/schema*.py"),
    "nacl": (
        *("packet_spec/encryption.py", "packet_spec/part_cipher.py", "packet_spec/suites.py"),
        "exchanged/key_lock.py",
    ),
    "paramiko": ("exchanged/sftp_*.py",),
    "pebble": ("exchanged/pool.py",),
    "pypdf": ("packet_spec/documents/pdf.py",),
    "random": (),
    "reportlab": ("cli/documents/pdf.py",),
    "secrets": (),
    "sqlite3": ("exchanged/ledger/*",),
    "sqlite_utils": ("exchanged/ledger/*",),
    "time": ("exchanged/clock.py", "cli/keys_command.py"),
    "uuid": (),
    "watchdog": ("exchanged/watch.py",),
    "xmlschema": ("packet_spec/schema*.py",),
}
# What is called rather than imported. cli/fiction plays the case software, which renames its drops; a kit
# lies in no node's folder, and is built anew after a power cut. cli/keys_command runs once for each login
# and imports nothing of ours until its cache does not count: a cache is made anew, too.
CALLS: dict[str, tuple[str, ...]] = {
    "datetime.now": ("exchanged/clock.py",),
    "datetime.utcnow": (),
    "os.fsync": ("exchanged/volume.py",),
    "os.link": ("exchanged/volume.py",),
    "os.rename": (),
    "os.replace": ("cli/keys_command.py",),
    "os.urandom": ("exchanged/clock.py",),
    "*.rename": ("exchanged/durable.py", "exchanged/sftp_*.py", "cli/fiction/*", "cli/kit/build.py"),
}
# packet_spec is bytes and values in, values out; compiling its data is a tool that is never imported.
IMPURE = {"logging", "multiprocessing", "os", "shutil", "socket", "subprocess", "tempfile", "threading"}
TOOLS = {"packet_spec/compile_catalogue.py"}
# A parser belongs to the thread that made it; nothing else of threads is used.
PURE_ALL_THE_SAME = {("packet_spec/xml.py", "threading")}
MOST_LINES = 500


def modules() -> Iterator[tuple[str, ast.Module]]:
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes())


def imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import hides the floor it comes from.
            yield (node.module or "").split(".")[0] if not node.level else "."


def called(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            holder = node.func.value
            yield f"{holder.id if isinstance(holder, ast.Name) else ''}.{node.func.attr}"


def faults(name: str, tree: ast.Module) -> Iterator[str]:
    floor = FLOORS.index(name.split("/", maxsplit=1)[0])
    for library in imported(tree):
        if library in {".", "tests", *FLOORS[floor + 1 :]}:
            yield f"{name} imports {library}"
        if not any(fnmatch(name, owner) for owner in OWNERS.get(library, ("*",))):
            yield f"{name} imports {library}, which belongs to {OWNERS[library] or 'nobody'}"
        is_allowed = name in TOOLS or (name, library) in PURE_ALL_THE_SAME
        if floor == 0 and library in IMPURE and not is_allowed:
            yield f"{name} is not pure: {library}"
    for call in called(tree):
        for pattern, owners in CALLS.items():
            if fnmatch(call, pattern) and not any(fnmatch(name, owner) for owner in owners):
                yield f"{name} calls {call}"


def test_no_floor_imports_a_higher_one_and_no_library_leaves_its_owner() -> None:
    assert [fault for name, tree in modules() for fault in faults(name, tree)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("packet_spec/a.py", "import exchanged.node"),
        ("exchanged/a.py", "from cli.main import main"),
        ("exchanged/a.py", "from . import node"),
        ("cli/a.py", "import tests.support"),
        ("exchanged/a.py", "import paramiko"),
        ("frontend_server/a.py", "from sqlite3 import connect"),
        ("packet_spec/a.py", "import os"),
        ("exchanged/a.py", "import os\nos.fsync(1)"),
        ("exchanged/a.py", "path.rename(other)"),
        ("cli/a.py", "def f():\n    return datetime.now(UTC)"),
    ],
)
def test_a_breach_is_found(name: str, source: str) -> None:
    assert list(faults(name, ast.parse(source)))


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    long = {
        name: lines
        for floor in (*FLOORS, "tests")
        for path in (ROOT / floor).rglob("*.py")
        if (lines := len(path.read_bytes().splitlines())) > MOST_LINES
        and (name := path.relative_to(ROOT).as_posix())
    }
    assert long == {}
