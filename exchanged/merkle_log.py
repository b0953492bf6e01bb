"""The station ``log``: tells of this node's log, asks others about theirs, reads what people put in.

Guarantees: a file put in is looked at once and goes, taken or not; one that cannot be read stays, and stops
nothing. What a front-end misses (the proof that a head goes on from its own, entries of receipts that it
holds) it asks for, not more often than an answer can come.

Leaves to others: what to make of an answer (``log_watch``), and telling (``log_telling``). What is due is
found in the ledger, so a wake may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from exchanged.ledger import Transaction, log_views
from exchanged.ledger.log_views import HeadState
from exchanged.log import event_line
from exchanged.log_telling import HELD, WANTED, LogTelling
from exchanged.log_watch import LogWatch, shows_its_log
from exchanged.parts import Parts
from exchanged.places import LOG_FOLDER
from exchanged.put_in import NOT_ITS_FAULT, PutIn
from packet_spec.errors import ExchangeError
from packet_spec.limits import LOG_RECOVERY_BYTES
from packet_spec.log_statement import LogRequest, encode_log_request
from packet_spec.model import KeyUse
from packet_spec.note_rules import LOG

# Statements come within seconds: what was not shown by now was lost somewhere.
_ASK_AFTER: Final = timedelta(seconds=60)
_ASK_AGAIN: Final = timedelta(minutes=5)
_ASK_AT_ONCE_AGAIN: Final = timedelta(seconds=30)


class LogStation:
    """The station ``log`` of an opened node."""

    name = "log"

    def __init__(self, parts: Parts) -> None:
        self._node = parts.config.node.code
        self._ledger = parts.ledger
        self._trust = parts.trust
        self._statements = parts.statements
        self._clock = parts.ports.clock
        self._files = parts.files
        self._watch = LogWatch(self._node, parts.trust)
        self._put_in = PutIn("log-file-unreadable")
        self._incoming = parts.config.node.data_dir / LOG_FOLDER / "incoming"
        self._telling = (
            None
            if not parts.keyring.has(KeyUse.LOG)
            else LogTelling(
                self._node,
                parts.ledger,
                parts.trust,
                parts.statements,
                parts.keyring.signer(KeyUse.LOG),
                self._clock,
            )
        )

    def step(self) -> float | None:
        """Read what was put in, ask what is missing, tell what is owed. Seconds until more may be told."""
        if not self._trust.version:
            return None
        self._read_incoming()
        for node in log_views.nodes(self._ledger.read()):
            self._ask(node)
        return None if self._telling is None else self._telling.tell()

    def _ask(self, node: str) -> None:
        connection, now = self._ledger.read(), self._clock.now()
        asking = log_views.asking(connection, node)
        wanted = log_views.awaited_digests(connection, node, now - _ASK_AFTER, WANTED)
        if node == self._node or not (wanted or asking.is_urgent):
            return
        again = _ASK_AT_ONCE_AGAIN if asking.is_urgent else _ASK_AGAIN
        if asking.asked_at is not None and now - asking.asked_at < again:
            return
        newest = log_views.newest(connection, node)
        if log_views.contradictions(connection, node):
            return
        if newest is None and not shows_its_log(self._trust.directory, node):
            return
        held = {newest.head.size} if newest is not None else set()
        for state in (HeadState.RECOVERY, HeadState.COMPARED):
            held |= {row.head.size for row in log_views.in_state(connection, node, state)}
        request = LogRequest(node, tuple(sorted(held, reverse=True)[:HELD]), wanted)
        self._ledger.write(partial(self._send, request=request))

    def _send(self, transaction: Transaction, *, request: LogRequest) -> None:
        log_views.note_asked(transaction, request.node)
        self._statements.send_note(transaction, LOG, request.node, encode_log_request(request))

    def _read_incoming(self) -> None:
        if not self._incoming.is_dir():
            return
        for path in sorted(self._incoming.glob("*.xml")):
            # Cut off where it is too large to be anything of ours: then nothing in it counts.
            document = self._put_in.read(path, LOG_RECOVERY_BYTES)
            if document is None:
                continue
            try:
                self._ledger.write(partial(self._take(path), document=document))
            except NOT_ITS_FAULT:
                raise
            except ExchangeError as error:
                event_line("log-file-refused", level=logging.WARNING, file=path.name, error=error.reference)
            self._files.unlink(path)

    def _take(self, path: Path) -> Callable[..., object]:
        return self._watch.compare_head if path.name.startswith("head-") else self._watch.take_recovery
