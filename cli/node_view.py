"""What the read-only commands see of a node: its configuration, its ledger, its directory.

Guarantees: nothing is written and no lock is taken, so a command answers beside a running daemon and
without one. Leaves to others: what is asked (``exchanged.ledger.questions*``) and how it is shown.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from cli.frame import Settings
from cli.locale import _
from exchanged.clock import SystemClock
from exchanged.errors import NotFoundError
from exchanged.places import LEDGER_FILE
from packet_spec.identity import PacketKey, is_agency_code

if TYPE_CHECKING:
    from exchanged.config import Config, LinkConfig
    from exchanged.ledger import Connection
    from exchanged.standstill import Stop
    from exchanged.trace_values import Viewpoint
    from packet_spec.model import Directory

_F = TypeVar("_F", bound=Callable[..., Any])

PREFIX_CHARACTERS: Final = 6

# A terminal this wide shows whole packet ids. On a narrower one 13 characters tell packets apart: in an
# assigned id they are its time to the millisecond.
_WIDE: Final = 120
_SHORT_ID: Final = 13

_ID: Final = re.compile(rf"[0-9a-f-]{{{PREFIX_CHARACTERS},36}}")
_AGO: Final = re.compile(r"(\d{1,5})([mhd])")
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class NodeView:
    """One node, read-only."""

    config: Config
    connection: Connection

    def directory(self) -> Directory | None:
        """The newest installed directory that its root signatures prove."""
        from cli.directory_trusted import find_directory  # noqa: PLC0415 - help must not wait for libraries

        return find_directory(self.config)[0]

    def viewpoint(self) -> Viewpoint:
        """The node as the asker of a trace."""
        from exchanged.trace_values import Viewpoint  # noqa: PLC0415 - help must not wait for libraries

        peers = {link.name: link.peer for link in self.config.links}
        return Viewpoint(self.config.node.code, peers, self.directory(), self.stops(peers))

    def stops(self, links: Collection[str]) -> dict[str, Stop]:
        """Those of ``links`` that stand still, and why."""
        from exchanged.standstill import stops  # noqa: PLC0415 - likewise

        return stops(self.connection, links, {link.name for link in self.config.links})


class AmbiguousIdError(click.UsageError):
    """A shortened packet id fits more than one packet."""

    def __init__(self, text: str, keys: tuple[PacketKey, ...]) -> None:
        lines = [_("'{text}' fits several packets; give more of the id:").format(text=text)]
        lines += [f"  {key}" for key in keys[:_SHOWN]]
        if len(keys) > _SHOWN:
            lines.append(_("  ... and more"))
        super().__init__("\n".join(lines))


@contextmanager
def open_view(settings: Settings, *, to_verify: bool = False) -> Iterator[NodeView]:
    """The configured node. Raises ConfigurationError, NotFoundError where it never had a ledger.

    Raises LedgerDamagedError, also where the ledger is gone: starting the node would not help there.
    Raises LedgerAheadError for a ledger of a newer version, LedgerBehindError for one of an older version,
    which will do ``to_verify`` it.
    """
    from exchanged.ledger import (  # noqa: PLC0415 - help must not wait for libraries
        open_read_only,
        require_newest_form,
        require_verifiable_form,
    )
    from exchanged.own_ledger import require_own_ledger  # noqa: PLC0415 - likewise

    config = settings.load()
    try:
        opened = open_read_only(config.node.data_dir / LEDGER_FILE)
    except NotFoundError:
        require_own_ledger(config.node.data_dir)
        raise
    with closing(opened) as connection:
        if to_verify:
            require_verifiable_form(connection)
        else:
            require_newest_form(connection)
        yield NodeView(config, connection)


def identify(connection: Connection, text: str) -> PacketKey:
    """The one packet that ``text`` names: an id, the beginning of one (6 or more), or SENDER/ID.

    Raises click.BadParameter for another form, AmbiguousIdError for several, NotFoundError for none.
    """
    from exchanged.ledger.questions import find_keys  # noqa: PLC0415 - help must not wait for libraries

    sender, prefix = split_id(text)
    keys = find_keys(connection, prefix, sender, _SHOWN + 1)
    if not keys:
        raise NotFoundError(
            "this node knows no such packet", where=text, hint="exchangectl packet list shows the newest ones"
        )
    if len(keys) > 1:
        raise AmbiguousIdError(text, keys)
    return keys[0]


def split_id(text: str) -> tuple[str, str]:
    """Sender (or empty) and id (or its beginning). Raises click.BadParameter."""
    sender, slash, prefix = text.strip().rpartition("/")
    prefix = prefix.lower()
    if (slash and not is_agency_code(sender)) or _ID.fullmatch(prefix) is None:
        raise click.BadParameter(
            _("expected a packet id, at least {count} characters of it, or SENDER/ID; found {text!r}").format(
                count=PREFIX_CHARACTERS, text=text
            )
        )
    return sender, prefix


def find_link(config: Config, name: str) -> LinkConfig:
    """The configured link of that name. Raises click.BadParameter, naming those that there are."""
    for link in config.links:
        if link.name == name:
            return link
    known = ", ".join(sorted(link.name for link in config.links)) or "-"
    raise click.BadParameter(_("there is no link {link!r}; known: {known}").format(link=name, known=known))


def shown_key(key: object) -> str:
    """A packet for a table: SENDER/ID, or the beginning of the id where the terminal is narrow."""
    return str(key) if is_wide() else str(key).rpartition("/")[2][:_SHORT_ID]


def is_wide() -> bool:
    """The terminal has room for whole ids, and for columns that not everybody needs."""
    return shutil.get_terminal_size((80, 24)).columns >= _WIDE


def agency_option(*names: str, help_text: str) -> Callable[[_F], _F]:
    """An option that takes an agency code; the command gets it, or an empty text without it.

    A mistyped code must not be answered with "nothing waits".
    """

    def read(_context: click.Context, _option: click.Parameter, value: str | None) -> str:
        if value is not None and not is_agency_code(value):
            raise click.BadParameter(
                _("expected an agency code like 620199-03-00; found {text!r}").format(text=value)
            )
        return value or ""

    return click.option(*names, callback=read, metavar="AGENCY", help=help_text)


def moment_option(*names: str, help_text: str) -> Callable[[_F], _F]:
    """An option that takes a time or an age; the command gets an aware datetime or None."""

    def read(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
        return None if value is None else read_moment(value)

    return click.option(*names, callback=read, metavar="TIME", help=help_text)


def read_moment(text: str) -> datetime:
    """``2026-07-15``, ``2026-07-15T09:30``, with or without offset, or an age: 30m, 12h, 7d.

    Without an offset it is the machine's zone, in which times are also shown. Raises click.BadParameter.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return SystemClock().now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    try:
        # The first and the last day of the calendar have no time in every zone.
        return datetime.fromisoformat(text).astimezone(UTC).astimezone()
    except (OverflowError, ValueError) as error:
        raise click.BadParameter(
            _("expected a time like 2026-07-15T09:30, or an age like 30m, 12h or 7d; found {text!r}").format(
                text=text
            )
        ) from error
