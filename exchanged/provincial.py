"""The roles between agencies as compositions: what a provincial node and a bridge add to links and sweep."""

from __future__ import annotations

from exchanged.admission import Admission
from exchanged.deciding import ByPart
from exchanged.judge import Judge, JudgeTools
from exchanged.key_desk import KeyDesk
from exchanged.merkle_log import LogStation
from exchanged.note_handlers import applying_of
from exchanged.notice_sources import notices_of
from exchanged.parts import Parts
from exchanged.restoring import Restoring
from exchanged.station import Station
from exchanged.transit import Transit


def judge_tools(parts: Parts) -> JudgeTools:
    """What any role's judge works with."""
    return JudgeTools(
        parts.ledger,
        parts.spool,
        parts.trust,
        parts.packs.folder,
        parts.ports.pool,
        parts.ports.clock,
        parts.clock_guard,
        parts.ports.randomness,
        parts.backoff,
        parts.links,
        parts.blobs,
        parts.config.scanner,
    )


def admission_of(parts: Parts, delivers: str = "") -> Admission:
    """What an admitting node decides with. ``delivers``: see ``Admission``."""
    return Admission(
        node=parts.config.node.code,
        trust=parts.trust,
        links=parts.links,
        statements=parts.statements,
        clock_guard=parts.clock_guard,
        packs=parts.packs.folder,
        policy=parts.config.rules.sequence,
        order_wait_seconds=parts.config.limits.order_wait_seconds,
        delivers=delivers,
    )


def provincial_stations(parts: Parts) -> tuple[Station, ...]:
    """A judge that admits its own agencies' packets, and passes on those of agencies elsewhere."""
    node, trust = parts.config.node.code, parts.trust
    judge = ByPart(node, trust, admission_of(parts), Transit(node, trust, parts.links))
    judging = Judge(judge_tools(parts), judge, applying_of(parts))
    return judging, LogStation(parts), KeyDesk(parts), notices_of(parts), Restoring(parts)


def bridge_stations(parts: Parts) -> tuple[Station, ...]:
    """A judge that passes on: dumb custody, no receipts (C14)."""
    node, trust = parts.config.node.code, parts.trust
    transit = Transit(node, trust, parts.links)
    judging = Judge(judge_tools(parts), transit, applying_of(parts))
    return judging, KeyDesk(parts), notices_of(parts), Restoring(parts)
