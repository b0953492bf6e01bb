"""Times as people write them into options."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

import click

from cli.locale import _

# By then every linked node has the directory, and isolated ones with a nightly bridge as well.
KNOWN_IN: Final = timedelta(hours=24)


def read_moment(text: str, option: str) -> datetime:
    """A time with its offset, in UTC. Raises BadParameter, naming ``option``."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            # The first and the last day of the calendar have no time in every zone.
            return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        pass
    raise click.BadParameter(
        _("expected a time with its offset, such as 2026-07-15T09:30:00+08:00"), param_hint=option
    )


def read_moment_ahead(text: str | None, option: str, now: datetime) -> datetime:
    """From when on something that a directory ends counts no more; without ``text`` when all know of it.

    Never before the directory is made: what was signed since, and accepted, would be refused and could not
    be proved. Raises BadParameter, naming ``option``.
    """
    if text is None:
        return now + KNOWN_IN
    moment = read_moment(text, option)
    if moment < now:
        raise click.BadParameter(
            _("this lies in the past: what was signed and accepted since would count no more"),
            param_hint=option,
        )
    return moment
