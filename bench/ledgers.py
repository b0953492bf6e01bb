"""A front-end's ledger of many packets, written through the product's own calls, beside a province's.

Guarantees: every row is written by a function of ``exchanged.ledger`` in a transaction of ``Ledger.write``;
the packets are those that ``certainty.operation.growth`` writes for the province, so that the books of all
nodes are about the same ones; all of them are delivered, and nothing waits anywhere. What a front-end sent
has its drop, seal and receipts; what it received was staged, placed and receipted. Signatures are stand-ins.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from certainty.operation.growth import (
    GROUP,
    BookClock,
    digest_of,
    fill,
    move,
    note_receipt,
    seal_of,
)
from cli.lab.lab import Lab
from exchanged.ledger import Ledger, Transaction, batches, drops, packets, seals, search, spool
from exchanged.ledger.drops import DropIdentity, Original, Outcome
from exchanged.ranges import SpoolRange
from exchanged.states import DestinationState, Event
from packet_spec.model import CaseNumber, ItemKind, ReceiptKind, Seal

# A slice is what one process writes before another ledger has its turn.
_SLICE: Final = 20 * GROUP
_TELL_SHARE: Final = 0.1
_GROUP_END: Final = ".group"
# As long as a seal and its signature are.
_SEAL: Final = b"<!-- a stand-in for a seal -->" * 50
_SIGNATURE: Final = b"<!-- a stand-in for a signature -->" * 6


def fill_lab(lab: Lab, total: int, tell: Callable[[str], None] = lambda _: None) -> None:
    """``total`` packets into the ledgers of the province and of every front-end of a lab not yet started.

    Several ledgers at a time, each in a process of its own, as many as there are cores. What a call that was
    broken off wrote stays, and this one goes on behind it.
    """
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"))
    written = dict.fromkeys(lab.nodes, 0)
    told = 0.0

    def begin(code: str) -> Future[int]:
        return pool.submit(fill_slice, lab.layout.root, code, total)

    try:
        at_work = {begin(code): code for code in lab.nodes}
        while at_work:
            for done in wait(at_work, return_when=FIRST_COMPLETED).done:
                code = at_work.pop(done)
                written[code] = done.result()
                if written[code] < total:
                    at_work[begin(code)] = code
            share = sum(written.values()) / total / len(written)
            if share >= told + _TELL_SHARE:
                told = share
                tell(f"{share:.0%} of {total:,} packets in each of {len(written)} ledgers")
    finally:
        # Whoever breaks this off does not wait for it: its processes end with the row.
        pool.shutdown(wait=False, cancel_futures=True)


def fill_slice(root: Path, code: str, total: int) -> int:
    """Some more of ``total`` packets into the ledger of a node of this lab; how many it has then."""
    lab = Lab.open(root)
    data = lab.layout.data(code)
    files = data / "spool"
    files.mkdir(exist_ok=True)
    # One a second: a node whose last word is much older than that would doubt its clock.
    clock = BookClock(total, timedelta(seconds=total))
    with closing(Ledger(data / "ledger.sqlite3", clock, on_wake=lambda _: None, threaded=False)) as ledger:
        first = _written(ledger)
        stop = min(first + _SLICE, total)
        clock.advance(first)
        if code == lab.province:
            fill(
                ledger, clock, files, stop, lab.province, lab.agencies, lambda _: None, waiting=0, first=first
            )
        else:
            _fill_frontend(ledger, clock, files, range(first, stop), code, lab)
    return stop


def _written(ledger: Ledger) -> int:
    """How many packets were written: each group of them is one transaction, with one spool file."""
    starts = [int(name.removesuffix(_GROUP_END), 16) for name in spool.names(ledger.read())]
    return max(starts) + GROUP if starts else 0


def _fill_frontend(ledger: Ledger, clock: BookClock, files: Path, numbers: range, me: str, lab: Lab) -> None:
    for start in numbers[::GROUP]:
        seals_here = [
            (number, seal)
            for number in range(start, min(start + GROUP, numbers.stop))
            for seal in (seal_of(number, lab.agencies, clock.now()),)
            if me in {seal.key.sender, seal.receiver}
        ]
        name = f"{start:024x}{_GROUP_END}"
        (files / name).write_bytes(bytes(1))
        ledger.write(_group(seals_here, name, me, lab.province))
        clock.advance(GROUP)


def _group(
    numbered: Sequence[tuple[int, Seal]], name: str, me: str, province: str
) -> Callable[[Transaction], None]:
    def write(tx: Transaction) -> None:
        where = SpoolRange(spool.adopt(tx, name, 1, len(numbered)), name, 0, 1)
        for number, seal in numbered:
            if seal.key.sender == me:
                _sent(tx, number, seal, where, province)
            else:
                _received(tx, number, seal, where, province)

    return write


def _sent(tx: Transaction, number: int, seal: Seal, where: SpoolRange, province: str) -> None:
    """A drop that was taken, sealed, handed over, admitted there, and delivered."""
    name = f"drop-{number:08d}"
    drop = drops.register(tx, DropIdentity(name.encode(), 1, number, 20_000, number, f"{number:x}"), name)
    seals.keep(tx, seal, digest_of(number, 2), _SEAL + f"{number}".encode(), _SIGNATURE)
    row = _insert(tx, number, seal, where, "")
    packets.add_destination(tx, row, seal.receiver, DestinationState.QUEUED, province)
    batches.enqueue(tx, province, ItemKind.PACKET, row)
    taken = Outcome(packet=row, attempt=1, sender_ref=seal.sender_ref)
    drops.move(tx, drop, Event.TAKE, taken, kind="sealed", key=seal.key)
    drops.set_original(tx, drop.id, Original.SENT)
    for event in (Event.OFFER, Event.ACKNOWLEDGE):
        move(tx, row, event)
    note_receipt(tx, seal, ReceiptKind.ACCEPTED, "", province, number, own=False)
    move(tx, row, Event.RECEIPT_ACCEPTED)
    note_receipt(tx, seal, ReceiptKind.DELIVERED, seal.receiver, seal.receiver, number, own=False)
    move(tx, row, Event.RECEIPT_DELIVERED)
    # In ledgers of different size as many would else lie uncollected for too long, which a node looks for.
    note_receipt(tx, seal, ReceiptKind.COLLECTED, seal.receiver, seal.receiver, number, own=False)
    move(tx, row, Event.RECEIPT_COLLECTED)


def _received(tx: Transaction, number: int, seal: Seal, where: SpoolRange, province: str) -> None:
    """A packet that landed, was found admitted, staged, placed and receipted; its folder was taken since."""
    tx.event("landed", seal.key, detail={"link": province, "state": "landed"})
    note_receipt(tx, seal, ReceiptKind.ACCEPTED, "", province, number, own=False)
    row = _insert(tx, number, seal, where, province)
    packets.add_destination(tx, row, seal.receiver, DestinationState.ARRIVED)
    tx.event("admit", seal.key, detail={"to": "admitted"})
    for event in (Event.STAGE, Event.PLACE):
        move(tx, row, event)
    note_receipt(tx, seal, ReceiptKind.DELIVERED, seal.receiver, seal.receiver, number, own=True)
    move(tx, row, Event.RECEIPT_COLLECTED)
    note_receipt(tx, seal, ReceiptKind.COLLECTED, seal.receiver, seal.receiver, number, own=True)


def _insert(tx: Transaction, number: int, seal: Seal, where: SpoolRange, came_by: str) -> int:
    relations = ("", "", f"police:A{number // 8:022d}")
    row = packets.insert(
        tx, seal, seal_digest=digest_of(number, 2), landed_at=tx.now, came_by=came_by, bytes_at=where,
        relations=relations,
    )  # fmt: skip
    numbers = (CaseNumber("police", f"A{number // 8:022d}"), CaseNumber("court", f"(2026)甘{number // 8}号"))
    search.note_cases(tx, row, numbers)
    return row
