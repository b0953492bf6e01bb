"""Whether a world has come to rest, told from outside: statuses final, receipts in, nothing on its way."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Final

from certainty.books.driver import Dropped, read_drops
from certainty.books.evidence import read_statuses
from certainty.books.world import World
from packet_spec.told import Status

_LOOK_SECONDS: Final = 0.1
ARRIVED: Final = frozenset({"delivered", "collected", "signed"})


def unsettled(world: World) -> tuple[str, ...]:
    """What is in flight, in words: a line for each drop that has not ended and each receipt awaited."""
    drops, appeared, _ = read_drops(world)
    groups: dict[str, dict[tuple[str, str], list[Dropped]]] = defaultdict(lambda: defaultdict(list))
    for drop in drops:
        if drop.drop in appeared:
            groups[drop.agency][drop.name, drop.sender_ref].append(drop)
    left = []
    for agency, of_agency in groups.items():
        root = world.agencies[agency]
        found = _statuses(root)
        told = {name for name, _ in found}
        for key, several in of_agency.items():
            ended = [each for each in found[key] if each.final]
            expected = len(several)
            if all(drop.expects == "any" for drop in several):
                # It may have become nothing; but what is on its way comes to an end all the same.
                is_awaited = (root / "outbox" / key[0]).exists() or key[0] not in told
                expected = int(is_awaited) or len(found[key])
            if len(ended) < expected:
                states = ", ".join(each.state for each in found[key]) or "no status"
                left.append(f"{agency}: {key[0]} ({key[1]}): {states}")
                continue
            for each in ended:
                left += _missing_receipts(root, agency, each)
    return tuple(left)


def _statuses(root: Path) -> dict[tuple[str, str], list[Status]]:
    found: dict[tuple[str, str], list[Status]] = defaultdict(list)
    for status in read_statuses(root):
        found[status.drop, status.sender_ref or ""].append(status)
    return found


def _missing_receipts(root: Path, agency: str, status: Status) -> list[str]:
    if status.packet_id is None or status.state in {"duplicate", "refused"}:
        return []
    folder = root / "receipts" / status.packet_id
    return [
        f"{agency}: {status.drop}: no receipt {destination.state} of {destination.agency} is filed"
        for destination in status.destinations
        if destination.state in ARRIVED and not any(folder.glob(f"delivered-{destination.agency}-*.xml"))
    ]


def await_quiet(world: World, *, seconds: float) -> bool:
    """Wait until nothing is in flight; False when nothing moved for ``seconds`` (``unsettled`` says what)."""
    deadline, before = time.monotonic() + seconds, unsettled(world)
    while left := unsettled(world):
        now = time.monotonic()
        if left != before:
            # A busy machine is slow; what stands still is what counts.
            deadline, before = now + seconds, left
        elif now > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True
