"""Shard ``network-batches``: files in mailboxes and inboxes are copied, mixed, changed, lost."""

from __future__ import annotations

from collections.abc import Iterator

from certainty.network.betraying import betray
from certainty.network.carriers import carry
from certainty.network.copies import put_again_and_again
from certainty.network.lost_receipts import lose_receipts
from certainty.network.reader import read_greedily
from certainty.shard import Outcome, Run


def work(run: Run) -> Iterator[Outcome]:
    """Row by row. Of relays that cheat the quick set has what is simulated."""
    yield put_again_and_again(run)
    if not run.quick:
        yield carry(run)
        yield betray(run)
        yield lose_receipts(run)
    yield read_greedily(run)
