"""A sending front-end on a disk of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from packet_spec.check import check_packet
from packet_spec.findings import verdict_of
from tests.support.outbox import SendingFrontend
from tests.support.sending import Open


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Open]:
    opened: list[SendingFrontend] = []

    def open_frontend(**settings: Any) -> SendingFrontend:
        for frontend in opened:
            frontend.close()
        opened.append(SendingFrontend(tmp_path / "front-end", **settings))
        return opened[-1]

    yield open_frontend
    for frontend in opened:
        frontend.close()


@pytest.fixture
def frontend(start: Open) -> SendingFrontend:
    return start()


@pytest.fixture
def any_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simple business types of these tests allow no copies; the check shall."""

    def check(*args: Any, **settings: Any) -> Any:
        result = check_packet(*args, **settings)
        findings = tuple(each for each in result.verdict.findings if each.code != "copy-kind")
        return replace(result, verdict=verdict_of(findings))

    monkeypatch.setattr("packet_spec.pack_choice.check_packet", check)
