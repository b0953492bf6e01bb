"""``exchangectl key generate``: whose the files are that it makes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.main import main

_SOMEBODY = 65534


@pytest.fixture
def keys() -> Iterator[Path]:
    """A folder of keys of an account that is not root; as another user, of that user."""
    with tempfile.TemporaryDirectory() as made:
        if os.geteuid() == 0:
            os.chown(made, _SOMEBODY, _SOMEBODY)
        yield Path(made)


@pytest.mark.parametrize("options", [(), ("--ssh",)])
def test_the_node_can_read_the_key_that_root_made_for_it(keys: Path, options: tuple[str, ...]) -> None:
    assert main(("key", "generate", *options, str(keys / "log.key"))) == 0
    made = sorted(path.name for path in keys.iterdir())
    assert made == ["log.key", "log.key.pub"]
    assert {path.stat().st_uid for path in keys.iterdir()} == {keys.stat().st_uid}
