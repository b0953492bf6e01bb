"""Whether each configured link leads where the ledger knows it to lead: never to another neighbour (I1, C5).

What waits on a link, its numbers and what its neighbour said belong to the link's name. Under the same name
another agency would get what was meant for the one before; under another name the same neighbour would see
numbers used twice, and hold the link, while what waits is stranded.

Guarantees: whoever opens the ledger of a node to work with it asks here before anything is written; a link by
which nothing ever went, and on which nothing waits, may lead anywhere. Known limit: a ledger of before the
neighbours were remembered takes those that the configuration names at its next start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial

from exchanged.config_values import Config, LinkConfig
from exchanged.errors import LinkPeerError, NotFoundError
from exchanged.ledger import Connection, Ledger, open_read_only
from exchanged.ledger.link_peers import known_peers, remember_peers
from exchanged.places import LEDGER_FILE


def require_same_peers(connection: Connection, config: Config) -> None:
    """Raises LinkPeerError when a link of the configuration leads elsewhere than the ledger remembers."""
    for error in wrong_peers(connection, config):
        raise error


def wrong_peers(connection: Connection, config: Config) -> Iterator[LinkPeerError]:
    """Every link that leads elsewhere, in the order of the configuration."""
    known = known_peers(connection)
    names = {peer: name for name, peer in known.items()}
    for link in config.links:
        peer = known.get(link.name)
        if peer is not None and peer != link.peer:
            yield _re_pointed(link, peer)
        elif peer is None and link.peer in names:
            yield _renamed(link, names[link.peer])


def _re_pointed(link: LinkConfig, peer: str) -> LinkPeerError:
    return LinkPeerError(
        "a link leads to another neighbour than before: what waits there would go to the wrong one",
        link=link.name, where=f"[link {link.name}] peer", expected=peer, found=link.peer,
        hint="put the old peer back, so that what waits can go; the new neighbour gets a [[link]] of another"
        " name, and a mailbox of its own",
    )  # fmt: skip


def _renamed(link: LinkConfig, name: str) -> LinkPeerError:
    return LinkPeerError(
        "a neighbour has a link of another name than before: what waits on the old one would stay there",
        link=link.name, where=f"[link {link.name}] name", expected=name, found=link.name,
        hint="put the old name back: a link keeps its name for good",
    )  # fmt: skip


def require_same_peers_now(config: Config) -> None:
    """The same of a ledger that another process, or this one, may have opened. None yet: nothing is asked.

    Raises LinkPeerError, and whatever reading it raises.
    """
    with suppress(NotFoundError), closing(open_read_only(config.node.data_dir / LEDGER_FILE)) as connection:
        require_same_peers(connection, config)


def remember_links(ledger: Ledger, config: Config) -> None:
    """The links lead where the configuration says, which ``require_same_peers`` has allowed."""
    ledger.write(partial(remember_peers, peers={link.name: link.peer for link in config.links}))
