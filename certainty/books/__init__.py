"""The checker: whether a world of nodes kept its promises, told from what outsiders can see.

    world = World.of_lab(lab, folder)            # folder: histories; out of reach of the faults
    with Reader(world):                          # a process that watches every inbox
        for dropped in drive(world, count=100, seed=7):   # plays the agencies' case software
            ...                                  # break things here
        await_quiet(world, seconds=60)           # True, when nothing is in flight any more
    violations = check(world)                    # tuple[Violation, ...]; empty: the books balance

It reads the outbox history (written by the driver before each drop), the inbox history (written by the
reader), receipts (verified against the directory), status files, the folders, and ledgers as
``exchangectl ledger export`` and ``ledger verify`` show them. It knows nothing of how a node works.
"""

from certainty.books.check import check
from certainty.books.driver import Driver, drive
from certainty.books.quiet import await_quiet, unsettled
from certainty.books.reader import Reader
from certainty.books.world import World

__all__ = ["Driver", "Reader", "World", "await_quiet", "check", "drive", "unsettled"]
