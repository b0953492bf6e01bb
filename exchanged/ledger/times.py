"""Times as the ledger keeps them: UTC text with microseconds, which sorts as text."""

from __future__ import annotations

from datetime import UTC, datetime


def stamp(moment: datetime) -> str:
    """``2026-07-15T01:30:00.000000Z`` for an aware datetime."""
    # Not strftime: it writes years before 1000 without their zeros, which neither sort nor read back.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def moment(text: str) -> datetime:
    """The aware datetime behind ``stamp``'s text."""
    # Not strptime, which takes ten times as long: every row that is read has some.
    return datetime.fromisoformat(text)
