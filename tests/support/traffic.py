"""Drops for a simulated province: one call, one packet of the smallest kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.fiction.drop import make_drop
from cli.fiction.request import DropRequest
from cli.fiction.writer import write_drop
from tests.support.network import POLICE, PROCURATORATE, Network


def drop_packet(
    network: Network,
    *,
    seed: int,
    sender: str = POLICE,
    receiver: str = PROCURATORATE,
    business_type: str = "case.report",
    **changes: Any,
) -> Path:
    """Write a drop named after its seed into the sender's outbox."""
    request = DropRequest(
        business_type, sender, receiver, network.clock.now(), seed=seed, name=f"{sender}-{seed}", **changes
    )
    return write_drop(make_drop(request), network.agency(sender) / "outbox")
