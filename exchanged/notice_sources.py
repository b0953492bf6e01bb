"""What is the matter at a node: late receipts, broken links, what is held, the disk, what is about to end.

Every question costs what is open or lately ended, never what ever passed. A source only looks; who remembers
is ``notices``. A front-end adds its folders (``frontend_server.notice_place``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from exchanged import forks
from exchanged.config import NoticesConfig
from exchanged.disk_floor import DiskFloor
from exchanged.ledger import Connection, Ledger, batches, log_views, notices, restoring, rotten
from exchanged.ledger.notices import Group
from exchanged.ledger.times import moment
from exchanged.link_health import DAMAGED_HERE, DAMAGED_THERE
from exchanged.log_watch import shown_head, shows_its_log
from exchanged.notice_words import ENDS, FAULTS, LOG_DOUBTS, RECEIPTS
from exchanged.notices import Matter, NodePlace, Notices, Place, Source
from exchanged.parts import Parts
from exchanged.places import NOTICE_FOLDER
from exchanged.trust import Trust
from packet_spec.limits import NOTICE_PACKETS
from packet_spec.notice import NoticeLevel
from packet_spec.xml import write_moment

# How long after its deadline something that ended at `delivered` is still told: then it is a habit.
_TOLD: Final = timedelta(days=30)
_DAY: Final = timedelta(days=1)

_Ask = Callable[[Connection, datetime], Sequence[Group]]


def notices_of(
    parts: Parts, sources: Sequence[Source] = (), places: Sequence[Place] = ()
) -> Notices:
    """The station ``notices`` of an opened node, with what its role adds."""
    config = parts.config
    watch = Watch(
        parts.ledger,
        parts.trust,
        parts.floor,
        config.notices,
        agency=config.node.agency,
        links=parts.links.names(),
        node=config.node.code,
        key_ids=parts.keyring.key_ids,
    )
    own = NodePlace(config.node.data_dir / NOTICE_FOLDER, parts.files)
    return Notices(
        node=config.node.code,
        ledger=parts.ledger,
        clock=parts.ports.clock,
        clock_is_sound=lambda: not parts.clock_guard.doubt(),
        sources=(watch.matters, *sources),
        places=(own, *places),
        proven=parts.clock_guard.proven,
        keep_days=config.retention.notice_days,
    )


class Watch:
    """What every role watches. ``key_ids`` gives those of the keys that this node signs with then."""

    def __init__(
        self,
        ledger: Ledger,
        trust: Trust,
        floor: DiskFloor,
        config: NoticesConfig,
        *,
        agency: str,
        links: Sequence[str],
        node: str,
        key_ids: Callable[[datetime], Sequence[str]],
    ) -> None:
        self._ledger = ledger
        self._trust = trust
        self._floor = floor
        self._config = config
        self._agency = agency
        self._links = tuple(links)
        self._node = node
        self._key_ids = key_ids

    def matters(self, now: datetime) -> list[Matter]:
        """Everything that is the matter now."""
        connection = self._ledger.read()
        return [
            *self._late(connection, now),
            *self._broken_links(connection, now),
            *self._damaged(connection, now),
            *self._rotten(connection),
            *self._two_of_one(connection),
            *self._restored(connection, now),
            *self._expired(connection, now),
            *self._waiting(connection, now),
            *self._disk(),
            *self._ending(now),
            *self._logs(connection, now),
        ]

    def _late(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        config, agency = self._config, self._agency

        def not_collected(connection: Connection, before: datetime) -> Sequence[Group]:
            return notices.not_collected(connection, before - _TOLD, before, agency)

        def not_signed(connection: Connection, before: datetime) -> Sequence[Group]:
            return notices.not_signed(connection, before - _TOLD, before, agency)

        asked: tuple[tuple[str, timedelta, _Ask], ...] = (
            ("accepted", timedelta(minutes=config.accepted_minutes), notices.not_accepted),
            ("delivered", timedelta(hours=config.delivered_hours), notices.not_delivered),
            ("collected", timedelta(days=config.collected_days), not_collected),
            ("signed", timedelta(days=config.signed_days), not_signed),
        )
        for kind, deadline, ask in asked:
            if not deadline:
                continue
            overdue = {group.name: group for group in ask(connection, now - deadline)}
            for group in overdue.values():
                yield _receipt("receipt-overdue", NoticeLevel.ALARM, kind, deadline, group)
            if 0 < config.warn_share < 1:
                for group in ask(connection, now - deadline * config.warn_share):
                    # Who is told as overdue is not told as late as well.
                    if group.name not in overdue:
                        yield _receipt("receipt-late", NoticeLevel.WARNING, kind, deadline, group)

    def _broken_links(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        """A pause raises nothing, but ends nothing either: who reads "over" believes that the link works."""
        longest = timedelta(minutes=self._config.link_down_minutes)
        told = {row.subject for row in notices.open_notices(connection) if row.reference == "link-down"}
        for link in self._links:
            since = batches.recall(connection, link, "down-since")
            if not longest or not since:
                continue
            if batches.recall(connection, link, "paused") and link not in told:
                continue
            down_since = moment(since)
            if now - down_since >= longest:
                fault = batches.recall(connection, link, "down-fault") or "network"
                said = FAULTS.get(fault, FAULTS["network"])
                values = {
                    "link": link,
                    "since": shown(down_since),
                    "reason": batches.recall(connection, link, "down-reason") or "unknown",
                    "fault": said.en,
                    "fault_zh": said.zh,
                }
                yield Matter("link-down", link, NoticeLevel.ALARM, values)

    def _damaged(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        """Batches that were changed on their way within the last day, whichever end found it (C5)."""
        for link in self._links:
            seen = (
                (batches.recall(connection, link, DAMAGED_HERE) or "", "mailbox-file-refused"),
                (batches.recall(connection, link, DAMAGED_THERE) or "", "batch-bad-at-neighbour"),
            )
            last, event = max(seen)
            if last and now - moment(last) < _DAY:
                where = ENDS[event]
                values = {"where": where.en, "where_zh": where.zh, "event": event}
                values |= {"link": link, "at": shown(moment(last))}
                yield Matter("batch-damaged", link, NoticeLevel.ALARM, values)

    def _rotten(self, connection: Connection) -> Iterator[Matter]:
        """Stored files whose bytes are not what they were, while packets wait for them."""
        found = rotten.waited_for(connection, NOTICE_PACKETS)
        if not found:
            return
        files = {each.file for each in found}
        waiting = tuple(dict.fromkeys(key for each in found for key in each.packets))
        # Not which files: the name of a large part is a digest, and notices hold none (C9).
        values = {"since": shown(found[0].since)}
        yield Matter("bytes-rotten", "", NoticeLevel.ALARM, values, len(files), waiting[:NOTICE_PACKETS])

    def _two_of_one(self, connection: Connection) -> Iterator[Matter]:
        """Two nodes under one name, the neighbour's or ours, or a node on an older ledger (C15)."""
        for link in self._links:
            if since := batches.recall(connection, link, forks.SET_BACK):
                values = {"link": link, "since": shown(moment(since))}
                yield Matter("node-set-back", link, NoticeLevel.ALARM, values)
            if conflict := batches.recall(connection, link, forks.FORKED):
                since = batches.recall(connection, link, forks.FORKED_SINCE) or ""
                incarnation = batches.recall(connection, link, forks.FORKED_IN) or "-"
                values = {"link": link, "conflict": conflict, "incarnation": incarnation}
                values["since"] = shown(moment(since))
                yield Matter("neighbour-forked", link, NoticeLevel.ALARM, values)
            if conflict := batches.recall(connection, link, forks.ACCUSED):
                yield Matter("node-forked", link, NoticeLevel.ALARM, {"link": link, "conflict": conflict})

    def _restored(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        """A restored node that still waits, and what it may have delivered twice (C23)."""
        if restoring.is_going_on(connection):
            waits = [peer.node for peer in restoring.peers(connection) if peer.state not in restoring.OVER]
            at = restoring.restored_at(connection)
            values = {"nodes": ", ".join(waits) or "-", "since": shown(at) if at else "-"}
            yield Matter("node-restoring", "", NoticeLevel.WARNING, values)
        twice = restoring.maybe_twice(connection, now - _DAY)
        if twice:
            yield Matter("maybe-duplicate", "", NoticeLevel.ALARM, {}, len(twice), twice[:200])

    def _expired(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        for group in notices.expired(connection, now - _DAY):
            yield _group("packet-expired", group.name, NoticeLevel.ALARM, group, recipient=group.name)

    def _waiting(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        for group in notices.set_aside(connection, "quarantined", now + _DAY):
            yield _group("quarantined", group.name, NoticeLevel.ALARM, group, reason=group.name)
        if not self._config.held_hours:
            return
        before = now - timedelta(hours=self._config.held_hours)
        for state in ("held", "needing"):
            for group in notices.set_aside(connection, state, before):
                subject = group.name if state == "held" else state
                yield _group(
                    "held-long", subject, NoticeLevel.WARNING, group, reason=group.name, state=state
                )
        for group in notices.held_drops(connection, before):
            yield _group("drop-held-long", group.name, NoticeLevel.WARNING, group, reason=group.name)

    def _disk(self) -> Iterator[Matter]:
        if self._floor.is_low():
            values = {"floor": str(self._floor.floor_bytes)}
            yield Matter("disk-floor", "", NoticeLevel.ALARM, values)

    def _logs(self, connection: Connection, now: datetime) -> Iterator[Matter]:
        """Logs of admitting nodes that contradict themselves, or do not show what they have to."""
        for found in log_views.contradictions(connection):
            why = LOG_DOUBTS[found.reason]
            values = {
                "node": found.node,
                "at": shown(found.at),
                "why": why.en,
                "why_zh": why.zh,
                "held": shown_head(found.held),
                "told": shown_head(found.told),
            }
            yield Matter("log-contradicted", found.node, NoticeLevel.ALARM, values)
        deadline = timedelta(hours=self._config.log_hours)
        for node in log_views.nodes(connection) if deadline and self._trust.version else ():
            missing = log_views.awaited(connection, node, now - deadline, NOTICE_PACKETS)
            is_shown = shows_its_log(self._trust.directory, node)
            if missing is not None and (is_shown or log_views.newest(connection, node) is not None):
                values = {"node": node, "since": shown(missing.oldest_at), "deadline": _span(deadline)}
                yield Matter(
                    "log-overdue", node, NoticeLevel.ALARM, values, missing.count, missing.packets
                )
            brought = log_views.unproved(connection, node, now - deadline)
            if brought and not log_views.contradictions(connection, node):
                values = {"node": node, "since": shown(brought[0].taken_at), "deadline": _span(deadline)}
                yield Matter("log-unproved", node, NoticeLevel.ALARM, values, len(brought))

    def _ending(self, now: datetime) -> Iterator[Matter]:
        soon = timedelta(days=self._config.expiry_days)
        if not soon or not self._trust.version:
            return
        directory = self._trust.directory
        if directory.expires_at - now < soon:
            values = {"version": str(directory.version), "at": shown(directory.expires_at)}
            yield Matter("directory-ends", "", _level(directory.expires_at, now), values)
        node, used = directory.node(self._node), self._key_ids(now)
        for key in () if node is None else node.keys:
            ends = key.not_after if key.revoked_at is None else min(key.not_after, key.revoked_at)
            if key.key_id in used and ends - now < soon:
                values = {"key_id": key.key_id, "use": ", ".join(key.uses), "at": shown(ends)}
                yield Matter("key-ends", key.key_id, _level(ends, now), values)


def shown(at: datetime) -> str:
    """A time in a notice: UTC, whole seconds."""
    return write_moment(at.replace(microsecond=0))


def _level(ends: datetime, now: datetime) -> NoticeLevel:
    return NoticeLevel.ALARM if ends <= now else NoticeLevel.WARNING


def _receipt(
    reference: str, level: NoticeLevel, kind: str, deadline: timedelta, group: Group
) -> Matter:
    name = RECEIPTS[kind]
    return _group(
        reference, f"{kind} {group.name}", level, group,
        recipient=group.name, kind=name.en, kind_zh=name.zh, deadline=_span(deadline),
    )  # fmt: skip


def _span(span: timedelta) -> str:
    """A deadline in the unit in which it is configured."""
    seconds = span.total_seconds()
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


def _group(reference: str, subject: str, level: NoticeLevel, group: Group, **values: str) -> Matter:
    filled = {"since": shown(group.oldest_at), **values}
    return Matter(reference, subject, level, filled, group.count, group.packets)
