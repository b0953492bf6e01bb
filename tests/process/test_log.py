"""A province's administrator rewrites its ledger in a pause; an agency's next exchange shows it.

Real daemons and a real sshd. All data is fictional.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from cli.lab.lab import Lab, create_lab
from exchanged.clock import SystemClock
from packet_spec.identity import PacketKey
from tests.support.logs import replace_receipt, rewrite
from tests.support.network import POLICE, PROCURATORATE, PROVINCE, small_plan
from tests.support.stories import events, exchangectl, wait_until

pytestmark = [pytest.mark.process, pytest.mark.slow]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = create_lab(tmp_path / "lab", small_plan(POLICE, PROCURATORATE), "sftp")
    try:
        made.start()
        yield made
    finally:
        made.stop()


def exchange(lab: Lab, name: str, seed: int) -> PacketKey:
    """One packet, until the police know it delivered."""
    request = DropRequest("case.report", POLICE, PROCURATORATE, SystemClock().now(), name=name, seed=seed)
    write_drop(make_drop(request), lab.agency_root(POLICE) / "outbox")
    path = lab.agency_root(POLICE) / "status" / f"{name}.status.json"
    wait_until(lambda: path.is_file() and json.loads(path.read_text("utf-8"))["final"], f"{name} is final")
    return PacketKey(POLICE, json.loads(path.read_text("utf-8"))["packetId"])


def shown(lab: Lab, node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(exchangectl(lab, node, "log", "show", "--json").stdout)
    return found


def test_a_rewritten_ledger_shows_at_the_next_exchange(lab: Lab, tmp_path: Path) -> None:
    key = exchange(lab, "first", 1)

    def is_shown() -> bool:
        others = shown(lab, POLICE)["others"]
        return bool(others) and others[0]["head"] is not None and others[0]["awaited"] is None

    wait_until(is_shown, "the police were shown the log")

    lab.stop_node(PROVINCE)
    data = lab.layout.data(PROVINCE)
    rewrite(data / "ledger.sqlite3", data / "keys", replace_receipt(data / "keys", key))
    assert exchangectl(lab, PROVINCE, "ledger", "verify").returncode == 0
    lab.start_node(PROVINCE)

    exchange(lab, "second", 2)
    for code in (POLICE, PROCURATORATE):
        wait_until(lambda code=code: shown(lab, code)["others"][0]["contradictions"], f"{code} sees it")
        security = [each["detail"] for each in events(lab, code, "--kind", "security")]
        assert [each["node"] for each in security] == [PROVINCE]
    assert exchangectl(lab, POLICE, "node", "status").returncode == 2
    head = tmp_path / "head.xml"
    assert exchangectl(lab, POLICE, "log", "export", "--node", PROVINCE, "--output", head).returncode == 0
    assert head.with_name("head.xml.held").is_file()
