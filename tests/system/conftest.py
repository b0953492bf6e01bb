"""What holds for every test as root: never outside the private /etc that ``./run system`` makes."""

from __future__ import annotations

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Accounts made by a test must not reach the machine's own /etc."""
    here = [item for item in items if "/tests/system/" in str(item.path)]
    if here and (os.geteuid() != 0 or "EXCHANGED_PRIVATE_ETC" not in os.environ):
        raise pytest.UsageError("tests/system runs as root through ./run system only")
