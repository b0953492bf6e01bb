"""What the tests of a sending front-end share: what happens meanwhile, and what a crash leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from exchanged.ledger import Transaction, drops, effects
from exchanged.ledger.drops import Original
from exchanged.pool import InlinePool
from exchanged.states import DropState
from frontend_server.judging import judge_drop
from tests.support.documents import COURT
from tests.support.outbox import SendingFrontend

Open = Callable[..., SendingFrontend]
# Case software wrote this, and no front-end takes it.
REFUSED = b"<packet></packet>"


def states(frontend: SendingFrontend) -> list[DropState]:
    return [row.state for row in frontend.rows()]


def in_order(document: bytes) -> bytes:
    """copyTo where the schema wants it."""
    copy = f"<copyTo>{COURT}</copyTo>".encode()
    return document.replace(copy, b"").replace(b"<createdAt>", copy + b"<createdAt>")


def repeat(frontend: SendingFrontend, number: int, to: str) -> None:
    """As after a crash: files are moved, and the ledger has not heard of it."""

    def write(tx: Transaction) -> None:
        drops.set_original(tx, number, Original.OUTBOX)
        effects.intend(tx, "original", str(number), {"to": to})
        effects.intend(tx, "status", f"drop:{number}")

    frontend.ledger.write(write)
    frontend.effects.step()


class MeddlingPool(InlinePool):
    """Something happens in the outbox while a drop is being judged."""

    def __init__(self, *acts: Callable[[], object]) -> None:
        self.acts = list(acts)
        self.works = 0

    def run(self, function: Callable[[Any], Any], works: Sequence[Any]) -> list[Any]:
        if function is judge_drop:
            if works and self.acts:
                self.acts.pop(0)()
            self.works += len(works)
        return super().run(function, works)
