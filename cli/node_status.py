"""``node status``: everything that decides whether a node does its work, each as one line.

Guarantees: looks only; every line is told, whatever another one found, with the daemon running, stopped
or crashed, and also where there is no ledger or no readable one. The worst line decides the exit code.
Known limit: it looks with the rights of whoever calls it, so call it as root or as the daemon's user.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from cli.checks import CheckState
from cli.exit_codes import ExitCode, exit_code_of
from cli.link_view import LinkState, LinkView, link_views, state_words
from cli.locale import _, told
from cli.node_view import NodeView, shown_key
from cli.render import age, local_time, size
from cli.status_lines import (
    StatusLine,
    configured,
    damage,
    disks,
    good,
    markers,
    problem,
    warning,
    without_what_hangs,
)
from exchanged.config import Config
from exchanged.errors import (
    FileOperationError,
    LedgerAheadError,
    LedgerBehindError,
    LedgerBusyError,
    LedgerDamagedError,
    NotFoundError,
)
from exchanged.ledger import clock_memory, open_read_only, require_newest_form
from exchanged.ledger.questions_node import NodeFacts, node_facts
from exchanged.ledger.times import moment
from exchanged.link_health import CLOCK_AHEAD
from exchanged.lock import holder
from exchanged.own_ledger import require_own_ledger
from exchanged.places import LEDGER_FILE, LOCK_FILE

# A packet that has waited for an hour is worth a look.
OLD: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """The lines in the order of the screen, and what they were made of, for JSON."""

    node: str
    role: str
    agency: str
    at: datetime
    process: int | None
    lines: tuple[StatusLine, ...]
    facts: NodeFacts | None = None
    links: tuple[LinkView, ...] = field(default=())

    @property
    def exit_code(self) -> ExitCode:
        """0: all good; 1: warnings; else the code of the gravest problem: 6 before 2 before 3."""
        codes = {line.code for line in self.lines if line.state is CheckState.PROBLEM}
        for code in (ExitCode.DAMAGED, ExitCode.USAGE, ExitCode.TEMPORARY):
            if code in codes:
                return code
        warned = any(line.state is CheckState.WARNING for line in self.lines)
        return ExitCode.FINDINGS if warned else ExitCode.DONE


def look_at(config: Config, now: datetime) -> NodeStatus:
    """The status of the configured node. Raises nothing about what is wrong with it: that is the answer."""
    node, process = config.node, _process(config)
    config, hanging = without_what_hangs(config)
    found = _read(config, now)
    facts: NodeFacts | None = None
    links: tuple[LinkView, ...] = ()
    if isinstance(found, StatusLine):
        lines: tuple[StatusLine, ...] = (
            _daemon(process, None, now),
            *hanging,
            *disks(config),
            *markers(config, None),
            found,
            *damage(config),
            *configured(config, now),
        )
    else:
        facts, links = found
        lines = (*hanging, *_lines(config, now, process, facts, links))
    known = process if isinstance(process, int) else None
    return NodeStatus(node.code, node.role.value, node.agency, now, known, lines, facts, links)


def _process(config: Config) -> int | str | None:
    """The daemon's process, None when it does not run, or why that cannot be told."""
    try:
        return holder(config.node.data_dir / LOCK_FILE)
    except FileOperationError as error:
        return error.found or error.summary


def _read(config: Config, now: datetime) -> tuple[NodeFacts, tuple[LinkView, ...]] | StatusLine:
    """What the ledger knows, or why it cannot be asked."""
    name, path = _("ledger"), config.node.data_dir / LEDGER_FILE
    try:
        with closing(open_read_only(path)) as connection:
            require_newest_form(connection)
            view = NodeView(config, connection)
            return node_facts(connection), link_views(view, now)
    except NotFoundError:
        return _without_ledger(config, name)
    except FileOperationError as error:
        text = _("cannot be read ({why}); run this as root or as the daemon's user")
        return problem(name, text.format(why=told(error.found, "value")), ExitCode.USAGE)
    except LedgerBehindError:
        # Told to restart it, a person would interrupt a daemon that is just bringing a large one up to date.
        text = _("of an older version; a daemon that starts updates it (see its log), an old one: restart it")
        return problem(name, text, ExitCode.TEMPORARY)
    except (LedgerAheadError, LedgerBusyError, LedgerDamagedError) as error:
        return problem(name, told(str(error)), exit_code_of(error))


def _without_ledger(config: Config, name: str) -> StatusLine:
    """A new node has none yet; one that ran has lost it, and its daemon refuses to begin another."""
    try:
        require_own_ledger(config.node.data_dir)
    except LedgerDamagedError as error:
        return problem(name, _("; ").join((told(str(error)), told(error.advice))), ExitCode.DAMAGED)
    return warning(name, _("none yet: the daemon never ran here"))


def _lines(
    config: Config, now: datetime, process: int | str | None, facts: NodeFacts, links: tuple[LinkView, ...]
) -> Iterator[StatusLine]:
    yield _daemon(process, facts, now)
    yield from disks(config)
    yield _clock(config, facts, links)
    yield from markers(config, facts)
    yield from (replace(_link(link, now), of_link=True) for link in links)
    yield _ledger(config, facts, process)
    yield _identity(facts)
    yield from damage(config)
    yield from _waiting(facts, now)
    yield from _logs(facts)
    yield from configured(config, now)


def _daemon(process: int | str | None, facts: NodeFacts | None, now: datetime) -> StatusLine:
    name = _("daemon")
    if isinstance(process, str):
        return warning(name, _("cannot be told ({why}); run this as root").format(why=told(process, "value")))
    if process is None:
        stopped = facts.stopped_at if facts is not None and not facts.is_marked_running else None
        if stopped is not None:
            ago = age((now - stopped).total_seconds())
            text = _("not running; stopped cleanly {ago} ago").format(ago=ago)
        elif facts is not None and facts.started_at is not None:
            text = _("not running, and it did not stop cleanly; see its log")
        else:
            text = _("not running")
        return problem(name, text, ExitCode.TEMPORARY)
    if facts is None or facts.started_at is None:
        return good(name, _("running, process {number}").format(number=process or "?"))
    if not facts.is_marked_running:
        # It stopped cleanly and has not opened the ledger since: nothing goes in or out yet.
        return warning(name, _("starting, process {number}").format(number=process or "?"))
    since = age((now - facts.started_at).total_seconds())
    text = _("running for {since}, process {number}").format(since=since, number=process or "?")
    if not facts.after_clean_stop:
        return warning(name, _("{text}; before that it did not stop cleanly").format(text=text))
    return good(name, text)


def _clock(config: Config, facts: NodeFacts, links: tuple[LinkView, ...]) -> StatusLine:
    """The daemon's doubt, else the neighbours' last words (C18): only one that is ahead proves anything."""
    name, most = _("clock"), config.limits.clock_skew_seconds
    doubted = clock_memory.doubted_since(facts.memory)
    if doubted is not None:
        said = _(
            "doubtful since {at}: nothing is admitted, and after a jump nothing sealed, until it is right or"
            " neighbours confirm it"
        ).format(at=local_time(doubted))
        return problem(name, said, ExitCode.TEMPORARY)
    ahead = {link.peer: float(text) for link in links if (text := link.facts.memory.get(CLOCK_AHEAD))}
    far = {peer: seconds for peer, seconds in ahead.items() if seconds > most}
    if far:
        peer = max(far, key=far.__getitem__)
        text = _("{peer} was {ahead} ahead of us when last heard; so say {count} of {all}").format(
            peer=peer, ahead=age(far[peer]), count=len(far), all=len(ahead)
        )
        # The majority counts, as for the daemon, which then expires nothing and admits nothing.
        doubtful = len(far) * 2 > len(ahead)
        return problem(name, text, ExitCode.TEMPORARY) if doubtful else warning(name, text)
    if not ahead:
        return good(name, _("no neighbour was heard yet"))
    return good(name, _("no neighbour is more than {most} ahead").format(most=age(most)))


def _link(link: LinkView, now: datetime) -> StatusLine:
    name = _("link {name}").format(name=link.name)
    counts = link.facts.counts
    heard = "" if link.heard_at is None else age((now - link.heard_at).total_seconds())
    parts = [state_words(link, now)]
    if heard:
        parts.append(_("heard {ago} ago").format(ago=heard))
    if counts.waiting or counts.offered:
        parts.append(
            _("{waiting} wait, {offered} offered").format(waiting=counts.waiting, offered=counts.offered)
        )
    text = _("; ").join(parts)
    if link.state in {LinkState.DOWN, LinkState.HELD}:
        return problem(name, text, ExitCode.TEMPORARY)
    is_odd = link.state in {LinkState.SILENT, LinkState.PAUSED, LinkState.DISABLED}
    return warning(name, text) if is_odd else good(name, text)


def _ledger(config: Config, facts: NodeFacts, process: int | str | None) -> StatusLine:
    bytes_ = sum(
        path.stat().st_size
        for end in ("", "-wal")
        if (path := config.node.data_dir / f"{LEDGER_FILE}{end}").exists()
    )
    stop = _("last clean stop {at}").format(at=local_time(facts.stopped_at)) if facts.stopped_at else ""
    text = _("{size}, {events} events").format(size=size(bytes_), events=facts.events)
    text = _("; ").join(filter(None, (text, stop)))
    if process is None and facts.is_marked_running:
        return warning(_("ledger"), _("{text}; open, nobody runs").format(text=text))
    return good(_("ledger"), text)


def _identity(facts: NodeFacts) -> StatusLine:
    """Which incarnation neighbours know, and whether this node still takes back what it forgot."""
    name, memory = _("incarnation"), facts.memory
    incarnation = memory.get("incarnation") or _("none yet: a new one at the next start")
    restored = memory.get("restored-at")
    if memory.get("restoring") == "yes":
        waits = [
            _("{node} ({state})").format(node=node, state=_(state))
            for node, state in facts.restoring
            if state not in {"done", "skipped"}
        ]
        text = _("{incarnation}; restored, sends nothing of its own until it has heard: {nodes}").format(
            incarnation=incarnation, nodes=", ".join(waits) or _("its neighbours")
        )
        return problem(name, text, ExitCode.TEMPORARY)
    if restored:
        at = local_time(moment(restored))
        return good(name, _("{incarnation}; restored {at}").format(incarnation=incarnation, at=at))
    return good(name, incarnation)


def _logs(facts: NodeFacts) -> Iterator[StatusLine]:
    """A log that contradicts itself stays a problem until the roots excuse it."""
    if facts.log_doubts:
        text = _("{nodes} contradicts itself: exchangectl log show").format(nodes=", ".join(facts.log_doubts))
        yield problem(_("log"), text, ExitCode.USAGE)


def _waiting(facts: NodeFacts, now: datetime) -> Iterator[StatusLine]:
    oldest = facts.oldest
    if oldest is None:
        yield good(_("oldest"), _("nothing waits"))
    else:
        subject = shown_key(oldest.subject) if oldest.item in {"packet", "receipt", "hop"} else oldest.subject
        waited = now - oldest.came_at
        text = _("{item} {which}, {state}, for {ago}").format(
            item=_(oldest.item), which=subject, state=_(oldest.state), ago=age(waited.total_seconds())
        )
        yield warning(_("oldest"), text) if waited > OLD else good(_("oldest"), text)
    counts = {
        _("held"): facts.held,
        _("in quarantine"): facts.quarantined,
        _("drops held"): facts.drops_held,
        _("drops incomplete"): facts.drops_incomplete,
    }
    text = ", ".join(f"{name}: {count}" for name, count in counts.items() if count)
    yield warning(_("set aside"), text) if text else good(_("set aside"), _("nothing"))
    if facts.notices:
        # Among them that intake is still stopped just above the disk floor.
        yield warning(_("notices"), _("open: {references}").format(references=", ".join(facts.notices)))
