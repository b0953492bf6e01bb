"""Options that acts share: why, about which of many, and with how many questions first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, Final, TypeVar

import click

from cli.frame import json_option
from cli.node_view import agency_option

_F = TypeVar("_F", bound=Callable[..., Any])

_LIMIT: Final = 10_000


def reason_option(function: _F) -> _F:
    """Add ``--reason``: every act says why, and the ledger keeps it."""
    return click.option(
        "--reason", required=True, metavar="TEXT", help="Why; it is recorded with your name. One line."
    )(function)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verb of ``queue`` was asked: about one thing (``what``) or about many, why, and how.

    What narrows many down, narrows down as well what there is of one packet.
    """

    what: str
    state: str
    recipient: str
    sender: str
    link: str
    reasons: tuple[str, ...]
    only: str
    everything: bool
    limit: int
    reason: str
    preview: bool
    yes: bool
    as_json: bool


def queue_options(verb: Callable[..., int]) -> Callable[..., int]:
    """Add what the verbs of ``queue`` that act have in common; the verb gets it as ``asked``."""

    @wraps(verb)
    def function(**options: Any) -> int:
        asked = Asked(**{field.name: options.pop(field.name) for field in fields(Asked)})
        return verb(asked=asked, **options)

    for decorate in reversed((
        click.argument("what", required=False, default="", metavar="[ID|DROP]"),
        click.option("--state", default="", metavar="STATE", help="Many: in this state."),
        agency_option("--to", "recipient", help_text="Many: packets for this agency."),
        agency_option("--from", "sender", help_text="Many: from this sender."),
        click.option("--link", default="", metavar="NAME", help="Many: on this link."),
        click.option(
            "--reason-is", "reasons", multiple=True, metavar="CODE",
            help="Many: held or in quarantine for this reason; may be repeated.",
        ),
        click.option(
            "--only", default="", metavar="TOKEN",
            help="With ID: of what is held of it this alone, as an error or --json names it.",
        ),
        click.option("--all", "everything", is_flag=True, help="Many: whatever the act can apply to."),
        click.option(
            "--limit", type=click.IntRange(1, _LIMIT), default=1000, show_default=True,
            help="Many: at most so many.",
        ),
        reason_option,
        click.option("--preview", is_flag=True, help="Only tell what would be done, to which."),
        click.option("--yes", is_flag=True, help="Do not ask before several are done at once."),
        json_option,
    )):  # fmt: skip
        function = decorate(function)
    return function
