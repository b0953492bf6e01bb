"""The provincial role: a judge that admits, numbers its receipts, keeps the case index, and routes."""

from __future__ import annotations

from exchanged.admission import Admission
from exchanged.applying import Applying
from exchanged.judge import Judge, JudgeTools
from exchanged.notice_sources import notices_of
from exchanged.parts import Parts
from exchanged.station import Station
from packet_spec.catalogue import load_catalogue


def judge_tools(parts: Parts) -> JudgeTools:
    """What any role's judge works with."""
    return JudgeTools(
        parts.ledger,
        parts.spool,
        parts.trust,
        parts.ports.pool,
        parts.ports.clock,
        parts.clock_guard,
        parts.ports.randomness,
        parts.backoff,
    )


def provincial_stations(parts: Parts) -> tuple[Station, ...]:
    """The stations that the provincial role adds to links, sweep and directory desk."""
    admission = Admission(
        node=parts.config.node.code,
        trust=parts.trust,
        links=parts.links,
        statements=parts.statements,
        clock_guard=parts.clock_guard,
        catalogue=load_catalogue(),
        policy=parts.config.rules.sequence,
        order_wait_seconds=parts.config.limits.order_wait_seconds,
    )
    judge = Judge(judge_tools(parts), admission, Applying(parts.trust, parts.statements))
    return judge, notices_of(parts)
