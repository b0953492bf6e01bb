"""Why what this node holds does not go on: what the ledger remembers of a link that stands still.

Guarantees: the order of the reasons is that in which a person has to see to them; one question tells of all
links asked about, by the ledger's own index. Leaves to others: how a link is that goes (``cli.link_view``),
and words. Known limit: without a running daemon it is as the daemon left it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from exchanged.ledger.questions_link import link_memories
from exchanged.ledger.times import moment
from exchanged.link_health import (
    ACCUSED,
    CLOSED,
    CLOSED_SINCE,
    DISABLED_SINCE,
    DOWN_FAULT,
    DOWN_REASON,
    DOWN_SINCE,
    FORKED,
    FORKED_SINCE,
    PAUSED,
    SET_BACK,
    Fault,
)

if TYPE_CHECKING:
    from exchanged.ledger import Connection

_NAMES: Final = (
    SET_BACK, FORKED, FORKED_SINCE, CLOSED_SINCE, ACCUSED, PAUSED, DISABLED_SINCE, DOWN_SINCE, DOWN_REASON,
    DOWN_FAULT,
)  # fmt: skip


class StopKind(StrEnum):
    """What it waits for."""

    HELD = "link-held"
    """Two nodes speak under one name, the neighbour's or our own."""
    PAUSED = "link-paused"
    DISABLED = "link-disabled"
    DOWN = "link-down"
    GONE = "link-not-configured"
    DELIVERY = "delivery-waits"
    """It is here and cannot be put into the inbox."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Why it does not go on. ``link`` is empty where none is to blame, ``fault`` None where nobody is."""

    kind: StopKind
    link: str = ""
    reason: str = ""
    since: datetime | None = None
    fault: Fault | None = None


def stops(connection: Connection, links: Collection[str], configured: Collection[str]) -> dict[str, Stop]:
    """Those of ``links`` that stand still, and why; ``configured`` are the names in the configuration."""
    memories = link_memories(connection, links, _NAMES)
    found = ((link, stop_of(link, memories.get(link, {}), configured)) for link in links)
    return {link: stop for link, stop in found if stop is not None}


def stop_of(link: str, memory: Mapping[str, str], configured: Iterable[str] | None = None) -> Stop | None:
    """Why one link stands still, by what is remembered of it; None where it goes."""
    if configured is not None and link not in configured:
        return Stop(StopKind.GONE, link)
    if (held := _held(memory)) is not None:
        reason, since, fault = held
        return Stop(StopKind.HELD, link, reason, since, fault)
    if memory.get(PAUSED):
        return Stop(StopKind.PAUSED, link, memory[PAUSED])
    if memory.get(DISABLED_SINCE):
        return Stop(StopKind.DISABLED, link, "disabled in the directory", _at(memory, DISABLED_SINCE))
    if memory.get(DOWN_SINCE):
        fault = Fault(memory.get(DOWN_FAULT) or Fault.OURS)
        return Stop(StopKind.DOWN, link, memory.get(DOWN_REASON, ""), _at(memory, DOWN_SINCE), fault)
    return None


def _held(memory: Mapping[str, str]) -> tuple[str, datetime | None, Fault] | None:
    """Why a link is held for two speakers under one name, since when, and by whose fault."""
    if memory.get(SET_BACK):
        return SET_BACK, _at(memory, SET_BACK), Fault.OURS
    if memory.get(FORKED):
        return memory[FORKED], _at(memory, FORKED_SINCE), Fault.THEIRS
    if memory.get(CLOSED_SINCE):
        return CLOSED, _at(memory, CLOSED_SINCE), Fault.OURS
    if memory.get(ACCUSED):
        return ACCUSED, None, Fault.OURS
    return None


def _at(memory: Mapping[str, str], name: str) -> datetime | None:
    return moment(memory[name]) if memory.get(name) else None
