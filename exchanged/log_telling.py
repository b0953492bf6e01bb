"""An admitting node tells front-ends of its log: signed heads, proofs, answers, recovery statements.

Guarantees: a front-end is told of every entry about its packets, in groups: one note for whatever was logged
since the last, at most ``TELL_SECONDS`` later; no receipt waits for it. While a few notes are under way to a
front-end it gets no more, so that one that fetches nothing costs no more than these. Each note bears a signed
head with the proof that it goes on from the head told before; what was told is committed with the note. The
heads of a node never go back in time. An entry is shown to the parties of its packet alone. What a front-end
asks for is answered in a note of its own, one request in ``_ANSWER_SECONDS`` and the newest: an answer is
hundreds of times as large. It is kept until it was handed over, since who misses it asks again.

A node without a key for the log, or whose key the directory does not list, keeps its log and tells nothing;
all of it is told once it has one. Known limit: who is asked for by hand (``exchangectl log compare``) waits
as long.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Final

from exchanged.clock import Clock
from exchanged.errors import NoKeyInForceError
from exchanged.keyring import KeyAt
from exchanged.ledger import Connection, Ledger, Transaction, log_entries, notes
from exchanged.ledger.log_entries import Asked, Entry, Told
from exchanged.ledger.log_tree import Tree, size_of
from exchanged.ledger.log_verify import OWN_HEAD
from exchanged.ledger.times import moment, stamp
from exchanged.log_watch import counts
from exchanged.receipts import Statements
from exchanged.trust import Trust
from packet_spec.directory import find_key, key_valid_at
from packet_spec.log_head import LogHead, sign_log_head
from packet_spec.log_statement import Consistency, Inclusion, LogStatement, encode_log_statement
from packet_spec.model import KeyUse, NodeRole
from packet_spec.note_rules import LOG

TELL_SECONDS: Final = 2.0
# While much is owed (a ledger of before, a front-end that was away) pages follow each other.
_PAGE_SECONDS: Final = 0.2
# About half a megabyte at worst: half of what a note may hold.
PAGE: Final = 400
WANTED: Final = 200
HELD: Final = 64
_REQUESTS: Final = 64
# An honest node asks again after half a minute at the earliest, and must not find this just not over.
_ANSWER_SECONDS: Final = 25.0
# Notes of one commit, each of up to half a megabyte.
_GROUP: Final = 32
# Notes that may be under way to one front-end; what is owed meanwhile is told with the next.
_UNDER_WAY: Final = 4
_LAST_AT: Final = "log-head-at"


@dataclass(frozen=True, slots=True)
class _Debt:
    """What one front-end is told next: entries by agency, the head told before, and its request."""

    node: str
    told: Told
    entries: dict[str, tuple[Entry, ...]]
    request: Asked | None
    recoveries: tuple[tuple[int, bytes], ...]

    @property
    def count(self) -> int:
        """How many entries."""
        return sum(len(entries) for entries in self.entries.values())


class LogTelling:
    """One node's telling. ``key`` signs its heads."""

    def __init__(
        self, node: str, ledger: Ledger, trust: Trust, statements: Statements, key: KeyAt, clock: Clock
    ) -> None:
        self._node = node
        self._ledger = ledger
        self._trust = trust
        self._statements = statements
        self._key = key
        self._clock = clock
        self._next = 0.0
        # Nodes that were answered just now, and when.
        self._answered: dict[str, float] = {}

    def tell(self) -> float | None:
        """Tell what is owed. Seconds until more may be told; None: until something is."""
        now = self._clock.monotonic()
        if now < self._next:
            return self._next - now
        self._answered = {node: at for node, at in self._answered.items() if now - at < _ANSWER_SECONDS}
        connection = self._ledger.read()
        size = size_of(connection)
        debts = self._debts(connection, size)
        first = next(debts, None)
        if first is None:
            return self._until_next_answer(connection, now)
        if not self._may_sign():
            return None
        tree, wait = Tree(connection, size), TELL_SECONDS
        head = self._ledger.write(partial(self._sign, tree=tree))
        group = [first, *islice(debts, _GROUP - 1)]
        while group:
            if any(debt.count >= PAGE for debt in group):
                wait = _PAGE_SECONDS
            self._ledger.write_each(
                [
                    partial(self._send, debt=debt, size=size, pages=self._pages(connection, tree, head, debt))
                    for debt in group
                ]
            )
            self._answered.update((debt.node, now) for debt in group if debt.request is not None)
            group = list(islice(debts, _GROUP))
        self._next = now + wait
        return wait

    def _until_next_answer(self, connection: Connection, now: float) -> float | None:
        """Nothing else is owed: seconds until a request that waits may be answered."""
        waits = [self._answered[node] for node in log_entries.asking(connection) if node in self._answered]
        return min(waits) + _ANSWER_SECONDS - now if waits else None

    def _may_sign(self) -> bool:
        now = self._clock.now()
        try:
            listed = find_key(self._trust.directory, self._node, self._key(now).key_id)
        except NoKeyInForceError:
            return False
        return listed is not None and key_valid_at(listed, KeyUse.LOG, now)

    def _debts(self, connection: Connection, size: int) -> Iterator[_Debt]:
        """Every front-end that is owed entries, an answer or a recovery statement."""
        directory = self._trust.directory
        agencies: dict[str, list[str]] = {}
        for agency in log_entries.owed(connection):
            listed = directory.agency(agency)
            if listed is not None:
                agencies.setdefault(listed.node, []).append(agency)
        asking = [node for node in log_entries.asking(connection) if node not in self._answered]
        requests = {node: log_entries.asked(connection, node) for node in asking[:_REQUESTS]}
        # One that only earlier roots signed, nobody could verify: it waits for the signatures of these.
        recoveries = [
            each for each in log_entries.recoveries(connection, self._node) if counts(each[1], directory)
        ]
        told = log_entries.all_told(connection)
        fronts = {node.code for node in directory.nodes if node.role is NodeRole.FRONTEND}
        newest = recoveries[-1][0] if recoveries else 0
        behind = {node for node in fronts if told.get(node, _NOTHING).recovery < newest}
        under_way = notes.under_way(connection, LOG)
        for node in sorted({*agencies, *requests, *behind}):
            if node != self._node and not self._may_be_told(node, under_way):
                if node in requests:
                    # Who still wants it asks again.
                    self._ledger.write(partial(log_entries.answered, number=requests[node].id))
                continue
            debt = _Debt(
                node,
                told.get(node, _NOTHING),
                self._entries(connection, agencies.get(node, ()), size),
                requests.get(node),
                tuple(each for each in recoveries if each[0] > told.get(node, _NOTHING).recovery),
            )
            if node == self._node:
                # Whose inbox lies here sees the log itself.
                self._ledger.write(partial(_forget, debt=debt))
            else:
                yield debt

    def _may_be_told(self, node: str, under_way: Mapping[str, int]) -> bool:
        return under_way.get(node, 0) < _UNDER_WAY and self._statements.reaches(node)

    def _entries(
        self, connection: Connection, agencies: Sequence[str], size: int
    ) -> dict[str, tuple[Entry, ...]]:
        found: dict[str, tuple[Entry, ...]] = {}
        left = PAGE
        for agency in agencies:
            found[agency] = log_entries.owed_to(connection, agency, size, left)
            left -= len(found[agency])
        return found

    def _sign(self, transaction: Transaction, *, tree: Tree) -> bytes:
        """A head of now; never dated before the last one, whatever the clock says."""
        last, at = transaction.recall(_LAST_AT), transaction.now
        if last is not None:
            at = max(at, moment(last) + timedelta(microseconds=1))
        head = LogHead(self._node, tree.size, tree.root().hex(), at)
        document = sign_log_head(head, self._key(at))
        transaction.remember(_LAST_AT, stamp(at))
        transaction.remember(OWN_HEAD, document.hex())
        transaction.event("log-head-signed", detail={"size": head.size, "root": head.root})
        return document

    def _pages(self, connection: Connection, tree: Tree, head: bytes, debt: _Debt) -> tuple[bytes, bytes]:
        """The statement for one front-end and the answer to its request, empty where none is owed."""
        owed = {entry.position: entry for each in debt.entries.values() for entry in each}
        told = self._page(tree, head, owed, {debt.told.size}) if owed else b""
        if debt.request is None:
            return told, b""
        wanted = {
            entry.position: entry
            for digest in debt.request.wanted[:WANTED]
            for entry in log_entries.entries_of(connection, digest, tree.size)
            if self._may_see(connection, debt.node, entry)
        }
        return told, self._page(tree, head, wanted, {debt.told.size, *debt.request.held[:HELD]})

    def _page(self, tree: Tree, head: bytes, entries: Mapping[int, Entry], sizes: Collection[int]) -> bytes:
        statement = LogStatement(
            head,
            tuple(
                Consistency(size, _hexadecimal(tree.consistency(size)))
                for size in sorted(sizes)
                if 0 < size <= tree.size
            ),
            tuple(
                Inclusion(position, entry.kind, entry.digest, _hexadecimal(tree.inclusion(position)))
                for position, entry in sorted(entries.items())
            ),
        )
        return encode_log_statement(statement)

    def _may_see(self, connection: Connection, node: str, entry: Entry) -> bool:
        agencies = map(self._trust.directory.agency, log_entries.parties_of(connection, entry))
        return any(agency is not None and agency.node == node for agency in agencies)

    def _send(
        self, transaction: Transaction, *, debt: _Debt, size: int, pages: tuple[bytes, bytes]
    ) -> None:
        """Queue the notes, and remember what was told with them. Without a road all stays owed."""
        if debt.request is not None:
            log_entries.answered(transaction, debt.request.id)
        told, answer = pages
        notes_due = [(document, False) for _, document in debt.recoveries]
        # The answer goes first: it may prove the head of both to one that cannot take what it is told alone.
        notes_due += [(answer, True), (told, False)]
        for payload, is_brief in notes_due:
            if payload and not self._statements.send_note(
                transaction, LOG, debt.node, payload, is_brief=is_brief
            ):
                return
        _forget(transaction, debt=debt)
        recovery = debt.recoveries[-1][0] if debt.recoveries else debt.told.recovery
        log_entries.tell(transaction, debt.node, Told(size if any(pages) else debt.told.size, recovery))


_NOTHING: Final = Told(0, 0)


def _forget(transaction: Transaction, *, debt: _Debt) -> None:
    for agency, entries in debt.entries.items():
        log_entries.forget_owed(transaction, agency, entries)


def _hexadecimal(path: Sequence[bytes]) -> tuple[str, ...]:
    return tuple(step.hex() for step in path)
