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
from pathlib import Path
from typing import Final

from cli.checks import CheckState, check_node
from cli.exit_codes import ExitCode
from cli.link_view import LinkState, LinkView, link_views, state_words
from cli.locale import _
from cli.node_view import NodeView, shown_key
from cli.render import age, local_time, size
from exchanged.config import Config, LinkSide
from exchanged.durable import DurableFiles, Volume
from exchanged.errors import LedgerBehindError, LedgerDamagedError
from exchanged.keys import load_key
from exchanged.ledger import open_read_only, require_newest_form
from exchanged.ledger.questions_node import NodeFacts, node_facts
from exchanged.link_health import CLOCK_AHEAD
from exchanged.lock import holder
from exchanged.places import DAMAGE_FILE, LEDGER_FILE, LOCK_FILE
from frontend_server.folders import INBOX, OUTBOX, AgencyFolders, MarkerState
from packet_spec.errors import ExchangeError
from packet_spec.model import Directory

# A month is enough for the province to sign anew and for it to arrive by any road.
EXPIRY_WARNING: Final = timedelta(days=30)
# A packet that has waited for an hour is worth a look.
OLD: Final = timedelta(hours=1)
# What config check tells and status tells better, or again.
_TOLD_HERE: Final = ("link ", "folder ", "marker of ", "directory expiry")


@dataclass(frozen=True, slots=True)
class StatusLine:
    """One thing: good, warning or problem; ``code`` is the exit code of a problem.

    ``of_link``: a screen may tell many good ones in one line.
    """

    name: str
    state: CheckState
    detail: str
    code: ExitCode = ExitCode.DONE
    of_link: bool = False


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


def good(name: str, detail: str) -> StatusLine:
    """Nothing to do."""
    return StatusLine(name, CheckState.GOOD, detail)


def warning(name: str, detail: str) -> StatusLine:
    """It works, and a person should look."""
    return StatusLine(name, CheckState.WARNING, detail)


def problem(name: str, detail: str, code: ExitCode) -> StatusLine:
    """It does not work."""
    return StatusLine(name, CheckState.PROBLEM, detail, code)


def look_at(config: Config, now: datetime) -> NodeStatus:
    """The status of the configured node. Raises nothing about what is wrong with it: that is the answer."""
    node, process = config.node, holder(config.node.data_dir / LOCK_FILE)
    found = _read(config, now)
    facts: NodeFacts | None = None
    links: tuple[LinkView, ...] = ()
    if isinstance(found, StatusLine):
        lines: tuple[StatusLine, ...] = (
            _daemon(process, None, now),
            *_disks(config),
            *_markers(config, None),
            found,
            *_damage(config),
            *_configured(config, now),
        )
    else:
        facts, links = found
        lines = tuple(_lines(config, now, process, facts, links))
    return NodeStatus(node.code, node.role.value, node.agency, now, process, lines, facts, links)


def _read(config: Config, now: datetime) -> tuple[NodeFacts, tuple[LinkView, ...]] | StatusLine:
    """What the ledger knows, or why it cannot be asked."""
    name, path = _("ledger"), config.node.data_dir / LEDGER_FILE
    try:
        # Who may not read it must not be told that it is damaged.
        with path.open("rb"), closing(open_read_only(path)) as connection:
            require_newest_form(connection)
            view = NodeView(config, connection)
            return node_facts(connection), link_views(view, now)
    except FileNotFoundError:
        return warning(name, _("none yet: the daemon never ran here"))
    except OSError as error:
        text = _("cannot be read ({why}); run this as root or as the daemon's user")
        return problem(name, text.format(why=error.strerror), ExitCode.USAGE)
    except LedgerBehindError:
        return problem(name, _("of an older version; restart the daemon"), ExitCode.TEMPORARY)
    except LedgerDamagedError as error:
        return problem(name, str(error), ExitCode.DAMAGED)


def _lines(
    config: Config, now: datetime, process: int | None, facts: NodeFacts, links: tuple[LinkView, ...]
) -> Iterator[StatusLine]:
    yield _daemon(process, facts, now)
    yield from _disks(config)
    yield _clock(config, links)
    yield from _markers(config, facts)
    yield from (replace(_link(link, now), of_link=True) for link in links)
    yield _ledger(config, facts, process)
    yield from _damage(config)
    yield from _waiting(facts, now)
    yield from _configured(config, now)


def _daemon(process: int | None, facts: NodeFacts | None, now: datetime) -> StatusLine:
    name = _("daemon")
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
    since = age((now - facts.started_at).total_seconds())
    text = _("running for {since}, process {number}").format(since=since, number=process or "?")
    if not facts.after_clean_stop:
        return warning(name, _("{text}; before that it did not stop cleanly").format(text=text))
    return good(name, text)


def _disks(config: Config) -> Iterator[StatusLine]:
    """Free room on each volume against the floor below which nothing large is taken in."""
    places = {_("disk data"): config.node.data_dir}
    if config.folders is not None:
        places[_("disk agency")] = config.folders.root
    floor = config.limits.free_space_bytes
    for name, path in places.items():
        try:
            free = DurableFiles(Volume.OWN).free_bytes(path)
        except ExchangeError as error:
            yield problem(name, f"{path}: {error.found or error.summary}", ExitCode.USAGE)
            continue
        text = _("{free} free, floor {floor}").format(free=size(free), floor=size(floor))
        if free < floor:
            yield problem(name, _("{text}: nothing large is taken in").format(text=text), ExitCode.TEMPORARY)
        elif free < 2 * floor:
            yield warning(name, text)
        else:
            yield good(name, text)


def _clock(config: Config, links: tuple[LinkView, ...]) -> StatusLine:
    """Against the neighbours' last words (C18): only a neighbour that is ahead proves anything."""
    name, most = _("clock"), config.limits.clock_skew_seconds
    ahead = {link.peer: float(text) for link in links if (text := link.facts.memory.get(CLOCK_AHEAD))}
    far = {peer: seconds for peer, seconds in ahead.items() if seconds > most}
    if far:
        peer = max(far, key=far.__getitem__)
        text = _("{peer} is {ahead} ahead of us; {count} of {all} neighbours say so").format(
            peer=peer, ahead=age(far[peer]), count=len(far), all=len(ahead)
        )
        # The majority counts, as for the daemon, which then expires nothing and admits nothing.
        doubtful = len(far) * 2 > len(ahead)
        return problem(name, text, ExitCode.TEMPORARY) if doubtful else warning(name, text)
    if not ahead:
        return good(name, _("no neighbour was heard yet"))
    return good(name, _("no neighbour is more than {most} ahead").format(most=age(most)))


def _markers(config: Config, facts: NodeFacts | None) -> Iterator[StatusLine]:
    if config.folders is None:
        return
    folders = AgencyFolders(
        config.folders.root, DurableFiles(Volume.FOREIGN), node=config.node.code, mode=config.folders.mode
    )
    for folder in (OUTBOX, INBOX):
        known = facts.memory.get(f"marker:{folder}") if facts is not None else None
        state = folders.compare_marker(folder, known)
        name = _("folder {name}").format(name=folder)
        if state is MarkerState.GOOD:
            yield good(name, str(config.folders.root / folder))
        elif state is MarkerState.MISSING:
            yield problem(name, _("no marker: not mounted, or run: exchangectl folder init"), ExitCode.USAGE)
        else:
            yield problem(name, _("another marker than the ledger remembers"), ExitCode.USAGE)


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
    text = "; ".join(parts)
    if link.state is LinkState.DOWN:
        return problem(name, text, ExitCode.TEMPORARY)
    return warning(name, text) if link.state in {LinkState.SILENT, LinkState.PAUSED} else good(name, text)


def _ledger(config: Config, facts: NodeFacts, process: int | None) -> StatusLine:
    bytes_ = sum(
        path.stat().st_size
        for end in ("", "-wal")
        if (path := config.node.data_dir / f"{LEDGER_FILE}{end}").exists()
    )
    stop = _("last clean stop {at}").format(at=local_time(facts.stopped_at)) if facts.stopped_at else ""
    text = _("{size}, {events} events").format(size=size(bytes_), events=facts.events)
    text = f"{text}; {stop}" if stop else text
    if process is None and facts.is_marked_running:
        return warning(_("ledger"), _("{text}; open, nobody runs").format(text=text))
    return good(_("ledger"), text)


def _damage(config: Config) -> Iterator[StatusLine]:
    if (config.node.data_dir / DAMAGE_FILE).exists():
        text = _("the volume failed; check the disk, then: exchanged --recover")
        yield problem(_("volume"), text, ExitCode.DAMAGED)


def _waiting(facts: NodeFacts, now: datetime) -> Iterator[StatusLine]:
    oldest = facts.oldest
    if oldest is None:
        yield good(_("oldest"), _("nothing waits"))
    else:
        subject = shown_key(oldest.subject) if oldest.item in {"packet", "receipt", "hop"} else oldest.subject
        waited = now - oldest.came_at
        text = _("{item} {which}, {state}, for {ago}").format(
            item=_(oldest.item), which=subject, state=oldest.state, ago=age(waited.total_seconds())
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


def _configured(config: Config, now: datetime) -> Iterator[StatusLine]:
    """Keys, directory and rights, as ``config check`` finds them; what is good there is told in one line."""
    checks = [check for check in check_node(config, now) if not check.name.startswith(_TOLD_HERE)]
    for check in checks:
        if check.state is CheckState.PROBLEM:
            yield problem(check.name, check.detail, ExitCode.USAGE)
        elif check.state is CheckState.WARNING:
            yield warning(check.name, check.detail)
    directory = NodeView(config, None).directory()  # type: ignore[arg-type]
    if directory is not None:
        yield _directory(directory, now)
        yield from _own_keys(config, directory, now)
    yield from _isolation(config)


def _directory(directory: Directory, now: datetime) -> StatusLine:
    name, left = _("directory"), directory.expires_at - now
    if left <= timedelta(0):
        text = _("version {version} expired {ago} ago: new packets are held").format(
            version=directory.version, ago=age(-left.total_seconds())
        )
        return problem(name, text, ExitCode.USAGE)
    text = _("version {version}, expires in {left}").format(
        version=directory.version, left=age(left.total_seconds())
    )
    return warning(name, text) if left <= EXPIRY_WARNING else good(name, text)


def _own_keys(config: Config, directory: Directory, now: datetime) -> Iterator[StatusLine]:
    """The keys that this node signs with, by the directory's dates."""
    node, paths = directory.node(config.node.code), {config.keys.link, config.keys.receipt}
    if config.folders is not None:
        paths.add(config.keys.seal)
    used: set[str] = set()
    for path in paths:
        try:
            used.add(load_key(path).key_id)
        except ExchangeError:
            # Told among the checks.
            continue
    mine = [key for key in (node.keys if node is not None else ()) if key.key_id in used]
    if not mine:
        return
    name = _("keys")
    revoked = [key for key in mine if key.revoked_at is not None and key.revoked_at <= now]
    first = min(mine, key=lambda key: key.not_after)
    left = first.not_after - now
    if revoked:
        yield problem(name, _("{key} is revoked").format(key=revoked[0].key_id), ExitCode.USAGE)
    elif left <= timedelta(0):
        yield problem(name, _("{key} has expired").format(key=first.key_id), ExitCode.USAGE)
    elif left <= EXPIRY_WARNING:
        text = _("{key} expires in {left}").format(key=first.key_id, left=age(left.total_seconds()))
        yield warning(name, text)
    else:
        yield good(name, _("the first expires in {left}").format(left=age(left.total_seconds())))


def _isolation(config: Config) -> Iterator[StatusLine]:
    """A neighbour that can fill the volume of our ledger stops us (C2)."""
    served = [link for link in config.links if link.side is LinkSide.SERVE]
    try:
        device = config.node.data_dir.stat().st_dev
        same = [link.name for link in served if (Path(link.mailbox) / "up").stat().st_dev == device]
    except OSError:
        return
    if same:
        text = _("mailboxes on the ledger's volume: {count}; a neighbour can fill it").format(count=len(same))
        yield warning(_("isolation"), text)
