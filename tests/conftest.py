"""What holds for every test: no waiting in our own code, and a home of its own.

Warnings are errors and marks are strict by pyproject.toml.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlite_utils import Database

from exchanged.ledger import schema

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("packet_spec", "exchanged", "frontend_server", "cli", "tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all-crash-points", action="store_true", help="crash at every point, not only at the chosen ones"
    )


def pytest_collection_finish() -> None:
    """Thousands of collected tests are not looked through whenever one of them leaves garbage."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def no_sleeping(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sleep in our code hides a missing port (clock, event, scheduler); libraries may sleep.

    Tests of real processes wait for the world outside, so tests/process and tests/system are free of
    the guard.
    """
    if not {ROOT / "tests" / "process", ROOT / "tests" / "system"}.isdisjoint(request.path.parents):
        return
    ours = tuple(f"{ROOT / package}/" for package in PACKAGES)
    sleep = time.sleep

    def guarded(seconds: float) -> None:
        if sys._getframe(1).f_code.co_filename.startswith(ours):
            pytest.fail("time.sleep in our own code: wait for an event, or take the time from a port")
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", guarded)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's configuration and language must not reach a test."""
    for name in ("EXCHANGED_CONFIG", "EXCHANGED_LOCALE", "LANGUAGE", "NOTIFY_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(autouse=True, scope="session")
def new_ledgers_from_one_image() -> Iterator[None]:
    """A ledger made in this process is the copy of one that went through all steps of the migration once.

    Nearly every test makes some; the steps themselves have tests of their own.
    """
    migrate = schema.migrate
    with closing(sqlite3.connect(":memory:")) as image, pytest.MonkeyPatch.context() as patch:
        migrate(Database(image))

        def copy(database: Database) -> None:
            if database.conn.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is None:
                image.backup(database.conn)
            else:
                migrate(database)

        patch.setattr(schema, "migrate", copy)
        yield
