"""The small province of the faulty drops, running while a module's tests use it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cli.demo.watch import Proofs
from tests.support.faults import POL, Stage, small_province
from tests.support.stories import assert_ledgers_are_whole


@pytest.fixture
def stage(whole_module: Stage) -> Stage:
    """The stage as this test finds it."""
    whole_module.begin()
    return whole_module


@pytest.fixture(scope="module")
def whole_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    lab = small_province(tmp_path_factory.mktemp("faulty") / "lab")
    try:
        lab.start()
        yield Stage(lab, Proofs.of(lab, POL))
        assert_ledgers_are_whole(lab)
    finally:
        lab.stop()
