"""The outbox against the ledger: what is new, what changed, what was taken back (C13).

Guarantees: whoever calls ``bring_together`` has seen the outbox's marker before and after the listing, so
a name that is absent is a decision of the case software; it is asked for once more by itself all the same. A
drop whose original is being put away is not looked at; one that was left lying is reported again only when
something lies there that is a drop, or none for another reason. A marker that belongs to a drop which was
disposed of marks no other.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from exchanged.config import DropProfile
from exchanged.ledger import Ledger, Transaction, drops, effects
from exchanged.ledger.drops import DropRow, Original, Outcome
from exchanged.states import UNTAKEN, Event
from frontend_server import taking
from frontend_server.folders import MARKER_NAME
from frontend_server.markers import KEY, DropMarker, marker_name
from frontend_server.outbox import Observation, OutboxListing, drop_names, observe
from packet_spec.names import status_name

# So many new drops are written in one transaction: nobody else's work waits for all of a full outbox.
_GROUP = 512

Books = tuple[Mapping[bytes, DropRow], dict[bytes, Observation]]
"""The rows of drops that are not disposed of by name, and what lies there of them."""


def bring_together(
    ledger: Ledger,
    outbox: int,
    listing: OutboxListing,
    profile: DropProfile,
    passed_over: Collection[bytes] = (),
) -> Books:
    """Look at everything that may be a drop, and write into the ledger what changed.

    ``passed_over`` are names under which a file of our own lies in the outbox now.
    """
    with_markers = profile is DropProfile.MARKER
    # In this order: what is disposed of between the two is among the leaving, and its marker is used.
    rows = drops.waiting(ledger.read())
    leaving = drops.leaving(ledger.read())
    used = _used_markers(ledger) if with_markers else frozenset()
    seen = {
        name: _without(used, observation)
        for name, observation in _look(outbox, listing, leaving, with_markers=with_markers).items()
        if name not in passed_over
    }
    # A listing without the file that everybody leaves alone left out others too.
    if not listing.truncated and MARKER_NAME.encode() in listing.names:
        _tell_absent(ledger, outbox, listing, rows, with_markers=with_markers)
    changed = [
        observation
        for name, observation in seen.items()
        if name not in rows or not observation.is_same(rows[name].device, rows[name].fingerprint)
    ]
    if not changed:
        return rows, seen
    # Where standing still is all that counts, a drop is seen long before it is read.
    will_wait = profile is DropProfile.SETTLED
    for start in range(0, len(changed), _GROUP):
        group = changed[start : start + _GROUP]
        ledger.write(partial(_write_seen, changed=group, rows=rows, will_wait=will_wait))
    return drops.waiting(ledger.read()), seen


def _used_markers(ledger: Ledger) -> frozenset[DropMarker]:
    """Those of drops whose originals are being put away: one may lie there for as long as that takes."""
    waiting = effects.particulars(ledger.read(), "original")
    return frozenset(DropMarker.read(detail[KEY]) for detail in waiting if KEY in detail)


def _without(used: Collection[DropMarker], observation: Observation) -> Observation:
    if observation.marker is None or DropMarker.of(observation.marker) not in used:
        return observation
    return replace(observation, marker=None)


def _look(
    outbox: int, listing: OutboxListing, leaving: Collection[bytes], *, with_markers: bool
) -> dict[bytes, Observation]:
    seen: dict[bytes, Observation] = {}
    for name in drop_names(listing.names, with_markers=with_markers):
        if name in leaving:
            continue
        marker = marker_name(name, listing.names) if with_markers else None
        observation = observe(outbox, name, marker)
        if observation is not None:
            seen[name] = observation
    return seen


def _tell_absent(
    ledger: Ledger,
    outbox: int,
    listing: OutboxListing,
    rows: Mapping[bytes, DropRow],
    *,
    with_markers: bool,
) -> None:
    """Drops that were taken back before they were taken, and strange things that went away."""
    missing = [row for name, row in rows.items() if name not in listing.names]
    # Markers first: what lay there before its drop was asked for, and not found, is no later drop's.
    left = {row.id: _marker_of(outbox, row, listing) for row in missing} if with_markers else {}
    gone = [row for row in missing if _is_gone(outbox, row.name)]
    withdrawn = [row for row in gone if row.state in UNTAKEN]
    strange = [row for row in gone if row.original is Original.KEPT]
    if withdrawn or strange:
        ledger.write(lambda tx: _write_absent(tx, withdrawn, strange, left))


def _marker_of(outbox: int, row: DropRow, listing: OutboxListing) -> DropMarker | None:
    """The marker that a drop which is not listed left behind."""
    name = marker_name(row.name, listing.names)
    observation = None if name is None else observe(outbox, name)
    if observation is None or not observation.files:
        return None
    return DropMarker.of(observation.files[0])


def _is_gone(outbox: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=outbox, follow_symlinks=False)
    except FileNotFoundError:
        return True
    except OSError:
        # Not to be told now: the next listing is asked again.
        return False
    return False


def _write_absent(
    tx: Transaction,
    withdrawn: Sequence[DropRow],
    strange: Sequence[DropRow],
    left: Mapping[int, DropMarker | None],
) -> None:
    for row in withdrawn:
        drops.move(tx, row, Event.WITHDRAW, Outcome(original=Original.GONE))
        taking.withdraw(tx, row.id, left.get(row.id))
    for row in strange:
        drops.set_original(tx, row.id, Original.GONE)


def _is_told(row: DropRow, observation: Observation) -> bool:
    """What was left lying changed and is no more of a drop than before: a log file grows all day long."""
    oddity = observation.oddity
    told = {(each.code, each.file) for each in row.findings}
    return oddity is not None and (oddity.code, oddity.file) in told


def _write_seen(
    tx: Transaction, changed: Sequence[Observation], rows: Mapping[bytes, DropRow], *, will_wait: bool
) -> None:
    for observation in changed:
        row = rows.get(observation.name)
        if row is not None and (row.original is Original.OUTBOX or _is_told(row, observation)):
            drops.see_again(tx, row, observation.identity)
            continue
        if row is not None:
            # What was left lying is something else now.
            drops.set_original(tx, row.id, Original.REPLACED)
        new = drops.register(tx, observation.identity, status_name(observation.name, ""))
        may_wait = will_wait or observation.oddity is not None
        if may_wait or drops.has_borrowed_status_name(tx.connection, new):
            # Else the status of an earlier drop of that name would pass for this one's until it is judged.
            taking.tell_status(tx, new.id)
