"""Times as people write them into options."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.locale import _


def read_moment(text: str, option: str) -> datetime:
    """A time with its offset, in UTC. Raises BadParameter, naming ``option``."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            _("expected a time with its offset, such as 2026-07-15T09:30:00+08:00"), param_hint=option
        )
    return moment.astimezone(UTC)
