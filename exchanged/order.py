"""What must wait at its sender: the only promise of order between packets (custody C15), pure.

A packet waits while one of the sender's own that it names in inReplyTo or supersedes is neither
accepted nor final, or while an earlier one of the same case and receiver has not been put before it
into the same or an earlier batch; at most ``wait_seconds`` after it was sealed. Behind one that names blobs,
which may be checked apart and be passed there, it waits until that one is decided (``case_order``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchanged.ledger.rows import OutgoingRow, PacketRow
from exchanged.states import PacketState


@dataclass(frozen=True, slots=True)
class Candidate:
    """A packet that waits to be offered: its wait is counted from ``since``.

    ``has_open_named``: one that it must not pass is still open. An empty case key means that no order is
    promised. ``names_blobs``: nothing of its case goes into the same batch behind it.
    """

    number: int
    since: datetime
    case_key: str
    receiver: str
    has_open_named: bool
    names_blobs: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Which candidates may be offered now, and in how many seconds the next one's wait ends."""

    offer: tuple[int, ...]
    look_again_seconds: float | None


def choose(candidates: Sequence[Candidate], now: datetime, wait_seconds: float) -> Choice:
    """Decide in the order of ``candidates``: of one stream, the order of sealing (``ledger.turns``)."""
    offer: list[int] = []
    blocked: set[tuple[str, str]] = set()
    behind_blobs: set[tuple[str, str]] = set()
    waits: list[float] = []
    for candidate in candidates:
        stream = (candidate.case_key, candidate.receiver)
        is_behind_blobs = stream in behind_blobs
        # What it waits for is only offered now.
        waited = 0.0 if is_behind_blobs else (now - candidate.since).total_seconds()
        is_behind = bool(candidate.case_key) and (is_behind_blobs or stream in blocked)
        must_wait = candidate.has_open_named or is_behind
        if must_wait and 0 <= waited < wait_seconds:
            waits.append(wait_seconds - waited)
            blocked.add(stream)
            continue
        offer.append(candidate.number)
        if candidate.names_blobs:
            behind_blobs.add(stream)
    return Choice(tuple(offer), _least(waits))


def _least(waits: Iterable[float]) -> float | None:
    return min(waits, default=None)


def needs_no_offer(row: OutgoingRow, packet: PacketRow) -> bool:
    """Final meanwhile, or without bytes. A restored neighbour gets it whatever it is here (C23)."""
    return packet.bytes_at is None or (packet.state is not PacketState.ACTIVE and not row.again)
