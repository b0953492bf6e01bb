"""The outbox against the ledger: what is new, what changed, what was taken back (C13).

Guarantees: whoever calls ``bring_together`` has seen the outbox's marker before and after the listing, so
a name that is absent is a decision of the case software. A drop whose original is being put away is not
looked at; one that was left lying is reported again only when something else lies there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from exchanged.config import DropProfile
from exchanged.ledger import Ledger, Transaction, drops
from exchanged.ledger.drops import DropRow, Original, Outcome
from exchanged.states import UNTAKEN, Event
from frontend_server import taking
from frontend_server.outbox import Observation, OutboxListing, drop_names, marker_name, observe
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
    # In this order: what is disposed of between the two is among the leaving.
    rows = drops.waiting(ledger.read())
    leaving = drops.leaving(ledger.read())
    seen = {
        name: observation
        for name, observation in _look(outbox, listing, leaving, profile).items()
        if name not in passed_over
    }
    if not listing.truncated:
        _tell_absent(ledger, listing, rows)
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


def _look(
    outbox: int, listing: OutboxListing, leaving: Collection[bytes], profile: DropProfile
) -> dict[bytes, Observation]:
    with_markers = profile is DropProfile.MARKER
    seen: dict[bytes, Observation] = {}
    for name in drop_names(listing.names, with_markers=with_markers):
        if name in leaving:
            continue
        marker = marker_name(name, listing.names) if with_markers else None
        observation = observe(outbox, name, marker)
        if observation is not None:
            seen[name] = observation
    return seen


def _tell_absent(ledger: Ledger, listing: OutboxListing, rows: Mapping[bytes, DropRow]) -> None:
    """Drops that were taken back before they were taken, and strange things that went away."""
    gone = [row for name, row in rows.items() if name not in listing.names]
    withdrawn = [row for row in gone if row.state in UNTAKEN]
    strange = [row for row in gone if row.original is Original.KEPT]
    if withdrawn or strange:
        ledger.write(lambda tx: _write_absent(tx, withdrawn, strange))


def _write_absent(tx: Transaction, withdrawn: Sequence[DropRow], strange: Sequence[DropRow]) -> None:
    for row in withdrawn:
        drops.move(tx, row, Event.WITHDRAW, Outcome(original=Original.GONE))
        taking.tell_status(tx, row.id)
    for row in strange:
        drops.set_original(tx, row.id, Original.GONE)


def _write_seen(
    tx: Transaction, changed: Sequence[Observation], rows: Mapping[bytes, DropRow], *, will_wait: bool
) -> None:
    for observation in changed:
        row = rows.get(observation.name)
        if row is not None and row.original is Original.OUTBOX:
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
