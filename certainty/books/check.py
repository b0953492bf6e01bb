"""Judge a world: every invariant of the exchange that outsiders can hold it to (I1 to I8, I11, I12, I16).

``check`` gathers the evidence and gives every broken promise, in a stable order; empty means that the books
balance. A violation names the agency, the drop and what was seen; ``case`` is what reproduces the run.

* I1: what was dropped has ended in exactly one way that is visible at its sender, and none was forgotten;
  until it is taken its original lies untouched, and afterwards in ``sent`` with the same bytes.
* I2: a packet id appears in a recipient's inbox at most once, and one content is sent once.
* I3, I4: whenever it was looked at, a delivered folder had all of its files, with the bytes that were
  dropped, and seal, receipts and delivery.xml name those bytes.
* I5, I6: nothing appears that no agency of this world dropped, nothing for anybody whom its sender did not
  name, and nobody else's ledger, mailbox or folder has it.
* I7: ``delivered`` is said only with a verified receipt, and only of what did appear.
* I8: ledgers verify, no number is used twice, and no ledger has forgotten what its neighbours heard of it.
* I11: no log, status, receipt, notice or temporary file shows what only packets hold.
* I12: nothing half done is left in an agency's folders.
* I16: per agency, accepted = delivered + refused + expired + cancelled + given up + in flight, counted from
  the ledger on one side and from receipts and statuses on the other; all ledgers agree.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from certainty.books.appeared import judge_appearances
from certainty.books.balance import judge_balance, judge_ledgers
from certainty.books.driver import Dropped
from certainty.books.evidence import Evidence, gather
from certainty.books.leaks import judge_leaks
from certainty.books.quiet import ARRIVED
from certainty.books.world import World
from certainty.shard import Violation
from packet_spec.model import ReceiptKind
from packet_spec.told import Status

_LOOKS: Final = 3
_PAUSE_SECONDS: Final = 2.0


def check(
    world: World,
    *,
    case: str = "",
    drained: bool = True,
    power_cuts: bool = False,
    with_ledgers: bool = True,
) -> tuple[Violation, ...]:
    """Every broken promise. ``case`` stands in each violation.

    ``drained``: everything had time to end (call ``await_quiet`` first); without it what is in flight is no
    violation. ``power_cuts``: un-synced data was lost; across a cut a packet may be seen a second time, with
    the same bytes, if no ``delivered`` receipt was issued before (custody C19). Cuts that were noted with
    ``World.note_power_cut`` narrow that to their moments. ``with_ledgers`` False leaves out the ledgers.

    What is found is looked at again up to ``_LOOKS`` times: a broken promise stays broken, a receipt that was
    on its way between two ledgers does not.
    """
    found: tuple[Violation, ...] = ()
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_SECONDS)
        evidence = gather(world, with_ledgers=with_ledgers)
        found = judge(evidence, case=case, drained=drained, power_cuts=power_cuts)
        if not found:
            break
    return found


def judge(
    evidence: Evidence, *, case: str = "", drained: bool = True, power_cuts: bool = False
) -> tuple[Violation, ...]:
    """The same for evidence that was gathered already."""
    found: list[Violation] = []
    for judged in (
        _judge_drops(evidence, drained=drained),
        _judge_receipts(evidence),
        judge_appearances(evidence, power_cuts=power_cuts),
        judge_ledgers(evidence, drained=drained),
        judge_balance(evidence, drained=drained),
        judge_leaks(evidence.drops, evidence.sightings),
        _judge_leftovers(evidence) if drained else (),
    ):
        found += judged
    return tuple(replace(each, case=case) for each in dict.fromkeys(found))


def _broken(invariant: str, what: str) -> Violation:
    return Violation(invariant, "", what)


# --- drops and how they ended ---------------------------------------------------------------------


def _judge_drops(evidence: Evidence, *, drained: bool) -> Iterator[Violation]:
    by_name: dict[tuple[str, str, str], list[Dropped]] = defaultdict(list)
    for drop in evidence.drops:
        if drop.drop in evidence.appeared and drop.expects != "any":
            by_name[drop.agency, drop.name, drop.sender_ref].append(drop)
    for (agency, name, reference), drops in by_name.items():
        said = [
            each
            for each in evidence.statuses[agency]
            if each.drop == name and each.sender_ref in {reference, None}
        ]
        ended = [each for each in said if each.final]
        where = f"{agency}: drop {name} ({reference})"
        if drained and len(ended) < len(drops):
            states = ", ".join(each.state for each in said) or "without any status"
            yield _broken("I1", f"{where} has not ended: {states}")
        for each in ended:
            yield from _judge_ending(evidence, drops[0], each, where)
    yield from _judge_groups(evidence, drained=drained)
    yield from _judge_originals(evidence, drained=drained)


def _judge_ending(evidence: Evidence, drop: Dropped, said: Status, where: str) -> Iterator[Violation]:
    if said.state == "refused" and drop.expects == "delivered":
        codes = ", ".join(finding.code for finding in said.findings)
        yield _broken("I1", f"{where} was good and was refused: {codes}")
    elif said.state == "duplicate":
        first = _first_of(evidence, drop)
        if len(first) < 2:
            yield _broken("I1", f"{where} is called a duplicate, and nothing else was the same")
    elif said.state in ARRIVED and drop.expects == "refused":
        yield _broken("I13", f"{where} had to be refused and ended {said.state}")
    elif said.state not in {*ARRIVED, "refused"} and drop.expects == "delivered":
        yield _broken("I1", f"{where} ended {said.state}")
    for destination in said.destinations:
        if destination.state in ARRIVED and not any(
            filed.receipt is not None
            and filed.receipt.kind is ReceiptKind.DELIVERED
            and filed.receipt.recipient == destination.agency
            for filed in evidence.receipts[drop.agency]
            if filed.packet_id == said.packet_id
        ):
            yield _broken(
                "I7", f"{where} is told as {destination.state} at {destination.agency} without a good receipt"
            )


def _first_of(evidence: Evidence, drop: Dropped) -> list[Dropped]:
    return [each for each in evidence.drops if each.identity == drop.identity]


def _judge_groups(evidence: Evidence, *, drained: bool) -> Iterator[Violation]:
    """One content, dropped once or many times, is one packet; and that one arrives at all its receivers."""
    groups: dict[tuple[str, ...], list[Dropped]] = defaultdict(list)
    for drop in evidence.drops:
        groups[drop.identity].append(drop)
    for identity, drops in groups.items():
        first, where = drops[0], f"{drops[0].agency}: {', '.join(each.name for each in drops)}"
        ids = {
            each.packet_id
            for each in evidence.statuses[first.agency]
            if each.sender_ref == first.sender_ref and each.packet_id and each.state != "duplicate"
            if any(each.drop == drop.name for drop in drops)
        }
        if len(ids) > 1 and first.expects == "delivered":
            yield _broken("I2", f"{where} is one content and became {len(ids)} packets: {sorted(ids)}")
        if not drained or first.expects != "delivered":
            continue
        if not any(drop.drop in evidence.appeared for drop in drops):
            continue
        for receiver in first.receivers:
            seen = [
                each
                for each in evidence.appearances
                if each.agency == receiver
                if any(each.name.startswith(f"{identity[0]}_{one}") for one in ids)
            ]
            if not seen:
                yield _broken("I1", f"{where} never appeared in the inbox of {receiver}")


def _judge_originals(evidence: Evidence, *, drained: bool) -> Iterator[Violation]:
    """What the case software dropped lies somewhere, whole: nothing may be lost before or after taking."""
    for agency in evidence.world.agencies:
        there: dict[tuple[tuple[str, str], ...], int] = defaultdict(int)
        for files in evidence.originals[agency].values():
            there[tuple(sorted(files.items()))] += 1
        for drop in evidence.drops:
            if drop.agency != agency or drop.drop not in evidence.appeared or drop.expects == "any":
                continue
            wanted = tuple(sorted((name, digest) for name, (_, digest) in drop.files.items()))
            if drop.original:
                wanted = (("", drop.original),)
            lies_there = (evidence.world.agencies[agency] / "outbox" / drop.name).exists()
            if there[wanted] > 0:
                there[wanted] -= 1
            elif not lies_there and drained:
                yield _broken("I1", f"{agency}: the original of {drop.name} lies nowhere as it was dropped")


def _judge_leftovers(evidence: Evidence) -> Iterator[Violation]:
    for agency, names in evidence.leftovers.items():
        yield from (_broken("I12", f"{agency}: {name} is left behind") for name in names)


# --- receipts at the sender -----------------------------------------------------------------------


def _judge_receipts(evidence: Evidence) -> Iterator[Violation]:
    for agency, every in evidence.receipts.items():
        sent = {each.packet_id: each for each in evidence.statuses[agency] if each.packet_id}
        contents = {
            each.packet_id: drop
            for each in evidence.statuses[agency]
            for drop in evidence.drops
            if each.packet_id and drop.agency == agency
            if (drop.name, drop.sender_ref) == (each.drop, each.sender_ref)
        }
        told: dict[tuple[str, ...], int] = defaultdict(int)
        for filed in every:
            where = f"{agency}: receipts/{filed.packet_id}/{filed.file}"
            receipt = filed.receipt
            if receipt is None:
                yield _broken("I7", f"{where} proves nothing: {filed.error}")
                continue
            if receipt.key.packet_id != filed.packet_id or receipt.key.sender != agency:
                yield _broken("I7", f"{where} speaks of {receipt.key}")
            if filed.packet_id not in sent:
                yield _broken("I7", f"{where} is about nothing that was dropped")
                continue
            told[filed.packet_id, receipt.kind, receipt.recipient, str(receipt.attempt)] += 1
            drop = contents.get(filed.packet_id)
            if drop is not None and receipt.content_digest != drop.content_digest:
                yield _broken("I4", f"{where} names other content than was dropped")
            is_delivered = receipt.kind is ReceiptKind.DELIVERED
            if is_delivered and not _appeared(evidence, receipt.recipient, receipt.key):
                yield _broken("I7", f"{where} says delivered, and {receipt.recipient} never saw it")
        for (packet_id, kind, recipient, _), times in told.items():
            if times > 1:
                yield _broken("I7", f"{agency}: {times} receipts {kind} {recipient} about {packet_id}")


def _appeared(evidence: Evidence, recipient: str, key: object) -> bool:
    sender, packet_id = str(key).split("/")
    names: Iterable[str] = (each.name for each in evidence.appearances if each.agency == recipient)
    return any(name.startswith(f"{sender}_{packet_id}") for name in names)
