"""What a node does with words about logs: it believes a head only if the log went on from all that it holds.

Statements come from the admitting node with receipts, heads of other agencies from people, recovery
statements from either. Guarantees: a head is kept only when it bears a signature of its node's key for the
log and is proved to contain the newest one kept before; entries are kept only when proved against such a
head. Two words of one node that cannot both be true are kept as evidence, told to the staff, and end the
belief in that node's log until the roots of the directory excuse one of them: no operator, and not the node
itself, can do that.

What is not proved is not taken for false: it is asked for (``merkle_log``), and missed when it does not
come. Leaves to others: packets and receipts, which go on (docs/adr/0020-log.md). Known limit: a node that
shows one log to some agencies and another to others is found only when their heads are compared
(``exchangectl log compare``).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exchanged.decisions import Held, Suspicious
from exchanged.ledger import Connection, Transaction, log_entries, log_views
from exchanged.ledger.log_entries import Told
from exchanged.ledger.log_tree import Tree, size_of
from exchanged.ledger.log_verify import OWN_HEAD
from exchanged.ledger.log_views import Contradiction, HeadRow, HeadState, ProofRow
from exchanged.ledger.rows import ArrivalRow
from exchanged.log import event_line
from exchanged.trust import Trust
from packet_spec.authority import check_log_authority
from packet_spec.errors import FormatError, SchemaError, SignatureError
from packet_spec.log_entry import entry_bytes
from packet_spec.log_head import LogHead, decode_log_head, open_log_head
from packet_spec.log_recovery import LogRecovery, decode_log_recovery, open_log_recovery
from packet_spec.log_statement import LogStatement, decode_log_request, decode_log_statement
from packet_spec.merkle import leaf_hash, verify_consistency, verify_inclusion
from packet_spec.model import Directory, KeyUse
from packet_spec.note import Note
from packet_spec.signing import split_signed

_KIND: Final = re.compile(rb'<(?:\w+:)?\w+[^>]* xmlns="urn:exchanged:([a-z-]+):')


@dataclass(frozen=True, slots=True)
class _Doubt:
    """Two words that cannot both be true: why, and the one held before."""

    reason: str
    held: bytes


class LogWatch:
    """The handler of notes of kind ``log`` at one node, and of heads and recoveries that people bring."""

    def __init__(self, node: str, trust: Trust) -> None:
        self._node = node
        self._trust = trust

    def take(self, transaction: Transaction, note: Note, row: ArrivalRow) -> bool:
        """As the kind of document inside says.

        Raises Held for one that is not known, Suspicious, and as ``Applying.apply``.
        """
        del row
        match = _KIND.search(note.payload[:1024])
        match match[1] if match else b"":
            case b"log-statement":
                self._statement(transaction, note)
            case b"log-request":
                self._request(transaction, note)
            case b"log-recovery":
                self.take_recovery(transaction, note.payload)
            case _:
                raise Held("unknown-log-document")
        return True

    def _request(self, transaction: Transaction, note: Note) -> None:
        request = decode_log_request(note.payload)
        if request.node != self._node:
            raise Suspicious("log-of-another-node")
        log_entries.ask(transaction, note.from_node, request.held, request.wanted)

    def _statement(self, transaction: Transaction, note: Note) -> None:
        statement = decode_log_statement(note.payload)
        head = self.open_head(transaction, statement.head)
        if head.node != note.from_node:
            raise Suspicious("log-of-another-node")
        connection, node = transaction.connection, head.node
        if log_views.contradictions(connection, node):
            # Nothing that it says about its log counts before the roots have spoken.
            return
        if any(recovery.excuses(head) for recovery in _recoveries(connection, node)):
            transaction.event("log-head-void", detail={"node": node, "size": head.size})
            return
        doubt, is_proved = self._compare(connection, head, statement)
        if doubt is not None:
            self._contradict(transaction, node, doubt, statement.head)
        elif is_proved:
            self._keep(transaction, head, statement)
        else:
            transaction.event("log-head-unproved", detail={"node": node, "size": head.size})
            log_views.ask_at_once(transaction, node)

    def open_head(self, transaction: Transaction, document: bytes) -> LogHead:
        """A head, verified by the directory. Raises as ``open_log_head`` and ``check_log_authority``."""
        head, key_id = open_log_head(document, self._trust.key)
        check_log_authority(self._trust.directory, head, key_id, transaction.now)
        return head

    def _compare(
        self, connection: Connection, head: LogHead, statement: LogStatement
    ) -> tuple[_Doubt | None, bool]:
        """Against every head that has to be part of this one: a contradiction, or whether all is proved."""
        for row in log_views.find(connection, head.node, head.size):
            if row.state is not HeadState.VOID and row.head.root != head.root:
                return _Doubt("log-forked", row.document), False
        newest = log_views.newest(connection, head.node)
        needed = [*log_views.in_state(connection, head.node, HeadState.RECOVERY)]
        needed += [newest] if newest is not None else []
        is_proved = True
        for row in needed:
            if head.size >= row.head.size:
                proved = _is_continued(row, head, statement)
                if proved is False:
                    return _Doubt("log-rewritten", row.document), False
                is_proved &= proved is True
            elif head.at > row.head.at:
                return _Doubt("log-shortened", row.document), False
            else:
                # An older head that comes late; it may be one that is held.
                is_held = any(
                    each.state is HeadState.HELD for each in log_views.find(connection, head.node, head.size)
                )
                is_proved &= is_held
        for row in log_views.in_state(connection, head.node, HeadState.COMPARED):
            if _is_continued(row, head, statement) is False:
                return _Doubt("log-split", row.document), False
        return None, is_proved

    def _keep(self, transaction: Transaction, head: LogHead, statement: LogStatement) -> None:
        connection, root = transaction.connection, bytes.fromhex(head.root)
        for each in statement.inclusions:
            path = [bytes.fromhex(step) for step in each.path]
            leaf = leaf_hash(entry_bytes(each.kind, each.digest))
            if not verify_inclusion(leaf, each.index, head.size, path, root):
                raise Suspicious("log-proof-wrong")
        for state in (HeadState.RECOVERY, HeadState.COMPARED):
            for row in log_views.in_state(connection, head.node, state):
                if _is_continued(row, head, statement):
                    log_views.set_state(transaction, row.id, HeadState.AGREED)
                    _note_agreed(transaction, row.head, state)
        number = log_views.keep_head(transaction, head, HeadState.HELD, statement.head)
        for each in statement.inclusions:
            steps = tuple(bytes.fromhex(step) for step in each.path)
            proof = ProofRow(each.kind, each.digest, each.index, number, steps)
            log_views.keep_proof(transaction, head.node, proof)
        if log_views.asking(connection, head.node).is_urgent:
            still = bool(log_views.in_state(connection, head.node, HeadState.COMPARED))
            log_views.ask_at_once(transaction, head.node, is_urgent=still)
        transaction.event(
            "log-head-taken",
            detail={"node": head.node, "size": head.size, "root": head.root,
                    "entries": len(statement.inclusions)},
        )  # fmt: skip

    def _contradict(self, transaction: Transaction, node: str, doubt: _Doubt, told: bytes) -> None:
        log_views.contradict(transaction, node, doubt.reason, doubt.held, told)
        held, now = shown_head(doubt.held), shown_head(told)
        transaction.event(
            "security",
            detail={"reason": doubt.reason, "node": node, "held": held, "told": now},
        )
        event_line(
            "log-contradicted", level=logging.ERROR, node=node, reason=doubt.reason, held=held, told=now
        )
        transaction.wake("notices")

    def compare_head(self, transaction: Transaction, document: bytes) -> None:
        """A head that a person brought from elsewhere: it has to be part of the log that is told here.

        Raises as ``open_head``.
        """
        head = self.open_head(transaction, document)
        connection = transaction.connection
        excusing = [each for each in _recoveries(connection, head.node) if each.excuses(head)]
        if head.node == self._node:
            if excusing:
                # It may have been told of before the roots had spoken.
                _settle(transaction, excusing[0], _brought)
                return
            tree = Tree(connection, min(head.size, size_of(connection)))
            if tree.size < head.size or tree.root().hex() != head.root:
                own = transaction.recall(OWN_HEAD)
                mine = document if own is None else bytes.fromhex(own)
                reason = "log-shortened" if tree.size < head.size else "log-forked"
                self._contradict(transaction, head.node, _Doubt(reason, document), mine)
            return
        for row in log_views.find(connection, head.node, head.size):
            if row.state is not HeadState.VOID and row.head.root != head.root:
                self._contradict(transaction, head.node, _Doubt("log-split", row.document), document)
                return
            if row.state in (HeadState.HELD, HeadState.AGREED):
                _note_agreed(transaction, row.head, HeadState.COMPARED)
                return
        if excusing:
            return
        log_views.keep_head(transaction, head, HeadState.COMPARED, document)
        transaction.event("log-head-brought", detail={"node": head.node, "size": head.size})
        log_views.ask_at_once(transaction, head.node)

    def take_recovery(self, transaction: Transaction, document: bytes) -> bool:
        """What the roots of the directory say about a log that was lost. False when it is known here.

        Raises SignatureError and FormatError leaves; SchemaError when it speaks of another log than this node
        keeps.
        """
        directory = self._trust.directory
        recovery = open_log_recovery(document, directory.roots, directory.threshold)
        is_own = recovery.node == self._node
        if is_own:
            _require_own(transaction.connection, recovery)
        kept = log_entries.recovery_of(transaction.connection, recovery.node, document)
        if kept is not None and counts(kept, directory):
            return False
        if kept is None:
            log_entries.keep_recovery(transaction, recovery.node, document)
        else:
            # The roots changed, and those of now signed it too: whoever could not verify it is told again.
            log_entries.replace_recovery(transaction, recovery.node, document)
        if is_own:
            # Our own word of now may lie in what is excused too, and says nothing about the one brought.
            _settle(transaction, recovery, _brought)
            for node, told in log_entries.all_told(transaction.connection).items():
                size = min(told.size, recovery.excused_above)
                log_entries.tell(transaction, node, Told(size, told.recovery))
        else:
            self._excuse(transaction, recovery, document)
        transaction.event(
            "log-recovery-taken",
            detail={"node": recovery.node, "size": recovery.size, "root": recovery.root,
                    "through": recovery.excused_through},
        )  # fmt: skip
        for station in ("log", "notices"):
            transaction.wake(station)
        return True

    def _excuse(self, transaction: Transaction, recovery: LogRecovery, document: bytes) -> None:
        log_views.excuse(transaction, recovery)
        start = LogHead(recovery.node, recovery.size, recovery.root, recovery.at)
        number = log_views.keep_head(transaction, start, HeadState.RECOVERY, document)
        if log_views.head_of(transaction.connection, number).state is HeadState.VOID:
            log_views.set_state(transaction, number, HeadState.RECOVERY)
        _settle(transaction, recovery, _both)
        log_views.ask_at_once(transaction, recovery.node)


def counts(document: bytes, directory: Directory) -> bool:
    """A kept recovery statement is signed by enough of the roots that are in force now."""
    try:
        open_log_recovery(document, directory.roots, directory.threshold)
    except (SignatureError, FormatError):
        return False
    return True


def shown_head(document: bytes) -> str:
    """Size, root and time of a head or recovery statement for a person."""
    head = _head_in(document)
    if head is None:
        recovery = decode_log_recovery(split_signed(document)[0])
        head = LogHead(recovery.node, recovery.size, recovery.root, recovery.at)
    return f"{head.size} {head.root} {head.at:%Y-%m-%dT%H:%M:%SZ}"


def _head_in(document: bytes) -> LogHead | None:
    """The head in a file that was verified when it came; None for a recovery statement."""
    if b"<logHead " not in document:
        return None
    return decode_log_head(split_signed(document)[0])


def _both(found: Contradiction) -> tuple[bytes, ...]:
    return found.held, found.told


def _brought(found: Contradiction) -> tuple[bytes, ...]:
    """Of the own log: the head that a person brought, without what this node says itself."""
    return (found.held,)


def _settle(
    transaction: Transaction, recovery: LogRecovery, words: Callable[[Contradiction], tuple[bytes, ...]]
) -> None:
    """End the contradictions of which one of ``words`` is a head that the roots excuse."""
    for found in log_views.contradictions(transaction.connection, recovery.node):
        heads = [head for each in words(found) if (head := _head_in(each)) is not None]
        if any(recovery.excuses(head) for head in heads):
            log_views.settle(transaction, found.id)


def _note_agreed(transaction: Transaction, head: LogHead, was: HeadState) -> None:
    transaction.event(
        "log-head-agreed", detail={"node": head.node, "size": head.size, "was": was.value}
    )


def _is_continued(row: HeadRow, head: LogHead, statement: LogStatement) -> bool | None:
    """Whether ``head`` is shown to go on from ``row``. None: nothing is said about that."""
    old = row.head
    if old.size > head.size:
        return None
    if old.size == head.size:
        return old.root == head.root
    paths = [each.path for each in statement.consistency if each.from_size == old.size]
    if old.size and not paths:
        return None
    return verify_consistency(
        old.size,
        bytes.fromhex(old.root),
        head.size,
        bytes.fromhex(head.root),
        [bytes.fromhex(step) for step in paths[0]] if paths else [],
    )


def _recoveries(connection: Connection, node: str) -> tuple[LogRecovery, ...]:
    """Verified when they were taken."""
    return tuple(
        decode_log_recovery(split_signed(document)[0])
        for _, document in log_entries.recoveries(connection, node)
    )


def _require_own(connection: Connection, recovery: LogRecovery) -> None:
    size = size_of(connection)
    if recovery.size > size or Tree(connection, recovery.size).root().hex() != recovery.root:
        raise SchemaError(
            "the recovery statement speaks of another log than this node keeps",
            expected=f"a beginning of the log of {size} entries",
            found=f"{recovery.size} {recovery.root}",
        )


def shows_its_log(directory: Directory, node: str) -> bool:
    """The directory lists a key for the log of that node: then its log has to be shown."""
    listed = directory.node(node)
    return listed is not None and any(KeyUse.LOG in key.uses for key in listed.keys)
