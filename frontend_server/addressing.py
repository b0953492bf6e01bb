"""Which link leads to each recipient of a packet (custody C16), asked before anything is copied."""

from __future__ import annotations

from collections.abc import Sequence

from exchanged.receipts import Links
from exchanged.routing import RouteKind, next_hop
from frontend_server.drops import DropRefusedError
from packet_spec.errors import ExchangeError
from packet_spec.model import Directory
from packet_spec.sentences import make_finding


class NoLinkError(ExchangeError):
    """The directory knows the way, but this node has no link to the neighbour on it: held, not refused."""

    reference = "no-link"
    temporary = True
    hint = "add the link to the configuration, or ask for a corrected directory"


def find_links(
    directory: Directory, links: Links, node: str, recipients: Sequence[str]
) -> tuple[tuple[str, str], ...]:
    """(recipient, link) for every recipient, in order.

    Raises DropRefusedError naming every recipient that nothing can be sent to from here, the agency of
    this node included, and NoLinkError.
    """
    unreachable: list[str] = []
    found: list[tuple[str, str]] = []
    for recipient in recipients:
        route = next_hop(directory, node, recipient, came_from="")
        if route.kind is not RouteKind.NEIGHBOUR:
            unreachable.append(recipient)
            continue
        link = links.name_of(route.neighbour)
        if not link:
            raise NoLinkError("no link leads to the next node", where=node, expected=route.neighbour)
        found.append((recipient, link))
    if unreachable:
        raise DropRefusedError(*(make_finding("receiver-unreachable", found=code) for code in unreachable))
    return tuple(found)
