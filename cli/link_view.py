"""How the links of a node are, put together from its configuration and its ledger. Reads only.

A link is *disabled* while the directory in force says so of its neighbour, *down* when its last round
failed, *silent* when rounds go well here but the neighbour has left a batch without an acknowledgement for
ten minutes, *paused* by an operator's act, and *held* when two nodes speak under one name, the neighbour's
or our own, or the one that speaks was closed here by an operator (``exchanged.forks``). Known limit: without
a running daemon it is as the daemon left it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from cli.locale import _
from cli.render import age
from exchanged import forks
from exchanged.config import Config, LinkConfig, LinkSide, LinkTransport
from exchanged.ledger.questions_link import LinkFacts, link_facts
from exchanged.link_health import (
    ACKNOWLEDGED_AT,
    DISABLED_SINCE,
    DOWN_FAULT,
    DOWN_REASON,
    DOWN_SINCE,
    HEARD_AT,
    PAUSED,
    Fault,
)
from exchanged.lock import is_held
from exchanged.places import LOCK_FILE

if TYPE_CHECKING:
    from cli.node_view import NodeView

_CONFLICTS: Final = {
    forks.Conflict.NUMBER: "one batch number came with two contents",
    forks.Conflict.HEADS: "its ledger has two heads",
    forks.Conflict.BACK: "its ledger went back",
    forks.Conflict.EARLIER: "an earlier incarnation speaks again",
    forks.Conflict.SEAL: "one seal number came with two packets",
    forks.Conflict.SAYS_SO: "it says that it was set back",
    forks.Conflict.MANY: "it speaks under more new incarnations than a day has restores",
}

SILENT_AFTER: Final = timedelta(minutes=10)

# The words are looked up in the operator's language when they are shown.
_FAULTS: Final = {
    Fault.OURS: "fault: ours",
    Fault.THEIRS: "fault: the other side",
    Fault.NETWORK: "fault: the network",
}


class LinkState(StrEnum):
    """How a link is."""

    UP = "up"
    DOWN = "down"
    SILENT = "silent"
    PAUSED = "paused"
    HELD = "held"
    DISABLED = "disabled"
    NEW = "new"
    """Nothing was ever heard from the neighbour."""


@dataclass(frozen=True, slots=True)
class LinkView:
    """One link as an operator sees it. ``since`` and ``reason`` are set for down and silent.

    ``fault`` is None where nobody is at fault, or where this side cannot tell.
    """

    name: str
    peer: str
    transport: str
    side: str
    where: str
    state: LinkState
    since: datetime | None
    reason: str
    fault: Fault | None
    heard_at: datetime | None
    acknowledged_at: datetime | None
    facts: LinkFacts

    @property
    def oldest_at(self) -> datetime | None:
        """When the oldest of what has not been acknowledged came to wait."""
        counts = self.facts.counts
        return min(filter(None, (counts.oldest_waiting_at, counts.oldest_offered_at)), default=None)


def link_views(view: NodeView, now: datetime) -> tuple[LinkView, ...]:
    """Every configured link, in the order of the configuration."""
    return tuple(link_view(view, link, now) for link in view.config.links)


def link_view(view: NodeView, link: LinkConfig, now: datetime) -> LinkView:
    """One configured link."""
    facts = link_facts(view.connection, link.name)
    state, since, reason, fault = _state(facts, link.side, now)
    return LinkView(
        name=link.name,
        peer=link.peer,
        transport=link.transport.value,
        side=link.side.value,
        where=where_of(link),
        state=state,
        since=since,
        reason=reason,
        fault=fault,
        heard_at=facts.at(HEARD_AT),
        acknowledged_at=facts.at(ACKNOWLEDGED_AT),
        facts=facts,
    )


def where_of(link: LinkConfig) -> str:
    """Where the link's mailbox is."""
    if link.transport is LinkTransport.FOLDER:
        return link.mailbox
    return f"{link.user}@{link.host}:{link.port} {link.mailbox}"


def state_words(link: LinkView, now: datetime) -> str:
    """Up, or since when not, whose fault and why."""
    if link.state is LinkState.PAUSED:
        return _("paused: {reason}").format(reason=link.reason)
    if link.state is LinkState.HELD:
        return _("held: {reason}").format(reason=_held_words(link))
    if link.state is LinkState.DISABLED and link.since is not None:
        return _("disabled in the directory {age}").format(age=age((now - link.since).total_seconds()))
    if link.since is None:
        return _(link.state.value)
    fault = _("fault: the other side or the network") if link.fault is None else _(_FAULTS[link.fault])
    return f"{_(link.state.value)} {age((now - link.since).total_seconds())}, {fault}, {link.reason}"


def _held_words(link: LinkView) -> str:
    if link.reason == forks.SET_BACK:
        return _("this node was set back to an older ledger; run: exchangectl node restore BACKUP")
    if link.reason == forks.ACCUSED:
        return _("{peer} saw two nodes under our name, or an older ledger of ours").format(peer=link.peer)
    if link.reason == forks.CLOSED:
        text = _("an operator here closed the incarnation in which {peer} speaks; exchangectl link accept")
        return text.format(peer=link.peer)
    words = _(_CONFLICTS[forks.Conflict(link.reason)])
    text = _("two nodes speak as {peer}: {words}; exchangectl link accept")
    return text.format(peer=link.peer, words=words)


def without_daemon(config: Config) -> str:
    """What is to be said of links while nobody works on them; empty where the daemon runs."""
    is_stopped = is_held(config.node.data_dir / LOCK_FILE) is False
    return _("the daemon is not running: this is how it left them") if is_stopped else ""


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago; ``-`` for never."""
    return "-" if at is None else age((now - at).total_seconds())


def _state(
    facts: LinkFacts, side: LinkSide, now: datetime
) -> tuple[LinkState, datetime | None, str, Fault | None]:
    memory = facts.memory
    if (held := _held(facts)) is not None:
        return LinkState.HELD, *held
    if memory.get(PAUSED):
        return LinkState.PAUSED, None, memory[PAUSED], None
    since = facts.at(DISABLED_SINCE)
    if since is not None:
        return LinkState.DISABLED, since, "disabled in the directory", None
    since = facts.at(DOWN_SINCE)
    if since is not None:
        return LinkState.DOWN, since, memory.get(DOWN_REASON, ""), Fault(memory.get(DOWN_FAULT) or Fault.OURS)
    offered = facts.counts.oldest_offered_at
    if offered is not None and now - offered > SILENT_AFTER:
        # The dialling side put it there, so the way is good; the serving side cannot tell who is away.
        fault = Fault.THEIRS if side is LinkSide.DIAL else None
        return LinkState.SILENT, offered, "not-acknowledged", fault
    return (LinkState.UP if memory.get(HEARD_AT) else LinkState.NEW), None, "", None


def _held(facts: LinkFacts) -> tuple[datetime | None, str, Fault] | None:
    """Since when, why and by whose fault the link is held; None where it is not."""
    memory = facts.memory
    if memory.get(forks.SET_BACK):
        return facts.at(forks.SET_BACK), forks.SET_BACK, Fault.OURS
    if memory.get(forks.FORKED):
        return facts.at(forks.FORKED_SINCE), memory[forks.FORKED], Fault.THEIRS
    if memory.get(forks.CLOSED_SINCE):
        return facts.at(forks.CLOSED_SINCE), forks.CLOSED, Fault.OURS
    if memory.get(forks.ACCUSED):
        return None, forks.ACCUSED, Fault.OURS
    return None
