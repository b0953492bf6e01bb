"""Checks of the links against what the ledger remembers of them: whom each led to, and what is stranded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from cli.check_values import Check, CheckState, with_advice
from cli.locale import _
from exchanged.config import Config
from exchanged.ledger import open_read_only, require_newest_form
from exchanged.ledger.link_peers import Stranded, stranded
from exchanged.own_links import wrong_peers
from exchanged.places import LEDGER_FILE
from packet_spec.errors import ExchangeError


def check_links_known(config: Config) -> Iterator[Check]:
    """What a ledger that can be read says; that one cannot be read is told elsewhere."""
    try:
        with closing(open_read_only(config.node.data_dir / LEDGER_FILE)) as connection:
            require_newest_form(connection)
            wrong = tuple(wrong_peers(connection, config))
            left = stranded(connection, {link.name for link in config.links})
    except ExchangeError:
        return
    for error in wrong:
        yield Check(f"neighbour of {error.link}", CheckState.PROBLEM, with_advice(error))
    renamed = {error.expected for error in wrong}
    yield from (_stranded(found) for found in left if found.link not in renamed)


def _stranded(found: Stranded) -> Check:
    peer = _("(neighbour {peer})").format(peer=found.peer) if found.peer else ""
    detail = _("the configuration does not name this link any more {peer}; on it wait: {count}")
    return Check(
        f"stranded {found.link}",
        CheckState.WARNING,
        " ".join(detail.format(peer=peer, count=found.items).split()),
        follows=_("what waits there goes nowhere"),
        advice=_("put the [[link]] back, by this name and with this neighbour, until nothing waits there"),
    )
