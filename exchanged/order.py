"""What must wait at its sender: the only promise of order between packets (custody C15), pure.

A packet waits while one of the sender's own that it names in inReplyTo or supersedes is neither
accepted nor final, or while an earlier one of the same case and receiver has not been put before it
into the same or an earlier batch; at most ``wait_seconds`` after it was sealed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.rows import OutgoingRow, PacketRow
from exchanged.states import PacketState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A packet that waits to be offered. ``named`` are own packets it names that are still open.

    ``stream`` is (case, receiver); an empty case key means that no order is promised.
    """

    number: int
    sealed_at: datetime
    case_key: str
    receiver: str
    has_open_named: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """Which candidates may be offered now, and in how many seconds the next one's wait ends."""

    offer: tuple[int, ...]
    look_again_seconds: float | None


def choose(candidates: Sequence[Candidate], now: datetime, wait_seconds: float) -> Choice:
    """Decide in the order of ``candidates``: of one stream, the order of sealing (``ledger.turns``)."""
    offer: list[int] = []
    blocked: set[tuple[str, str]] = set()
    waits: list[float] = []
    for candidate in candidates:
        waited = (now - candidate.sealed_at).total_seconds()
        stream = (candidate.case_key, candidate.receiver)
        must_wait = candidate.has_open_named or (bool(candidate.case_key) and stream in blocked)
        if must_wait and 0 <= waited < wait_seconds:
            waits.append(wait_seconds - waited)
            blocked.add(stream)
            continue
        offer.append(candidate.number)
    return Choice(tuple(offer), _least(waits))


def _least(waits: Iterable[float]) -> float | None:
    return min(waits, default=None)


def needs_no_offer(row: OutgoingRow, packet: PacketRow) -> bool:
    """Final meanwhile, or without bytes. A restored neighbour gets it whatever it is here (C23)."""
    return packet.bytes_at is None or (packet.state is not PacketState.ACTIVE and not row.again)
