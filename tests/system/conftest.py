"""What holds for every test as root: never outside the private /etc that ``./run system`` makes."""

from __future__ import annotations

import os

import pytest

from tests.system.solo import installed_layer


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What machines stand on that need the software, but not to be shown how it is installed."""
    return installed_layer(tmp_path_factory.mktemp("installed"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Accounts made by a test must not reach the machine's own /etc."""
    here = [item for item in items if "/tests/system/" in str(item.path)]
    if here and (os.geteuid() != 0 or "EXCHANGED_PRIVATE_ETC" not in os.environ):
        raise pytest.UsageError("tests/system runs as root through ./run system only")
