"""Judge the ledgers: each by itself, against each other, and against receipts and statuses (I6, I8, I16)."""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

from certainty.books.driver import Dropped
from certainty.books.evidence import Books, Evidence
from certainty.books.quiet import ARRIVED
from certainty.shard import Violation
from packet_spec.errors import ExchangeError
from packet_spec.model import ReceiptKind

# How a destination counts in the books of its sender.
_ACCOUNT: Final = {
    **dict.fromkeys(ARRIVED, "delivered"),
    "refused": "refused",
    "expired": "expired",
    "cancelled": "cancelled",
    "undeliverable": "given up",
}
_IN_FLIGHT: Final = "in flight"
_BY_RECEIPT: Final = {
    ReceiptKind.DELIVERED: "delivered",
    ReceiptKind.REFUSED: "refused",
    ReceiptKind.EXPIRED: "expired",
    ReceiptKind.UNDELIVERABLE: "given up",
}
_Key = tuple[str, str]


def _broken(invariant: str, what: str) -> Violation:
    return Violation(invariant, "", what)


def _key(line: dict[str, Any]) -> _Key:
    return line["sender"], line["packet_id"]


# --- ledgers --------------------------------------------------------------------------------------


def judge_ledgers(evidence: Evidence, *, drained: bool) -> Iterator[Violation]:
    """Each ledger is sound, uses no number twice, knows only its own affairs, and agrees with the others."""
    contents = {(drop.agency, drop.sender_ref, drop.content_digest): drop for drop in evidence.drops}
    for node, books in evidence.books.items():
        yield from (_broken("I8", f"{node}: {problem}") for problem in books.problems)
        yield from _judge_numbers(node, books)
        yield from _judge_packets(evidence, node, books, contents)
        yield from _judge_documents(evidence, node, books)
        if drained:
            for line in books.of("arrival"):
                about = f"{line['kind']} {line['sender']}/{line['packet_id']}"
                yield _broken("I1", f"{node}: {about} came and is {line['state']} {line['reason']}".rstrip())
            for line in books.of("destination"):
                if line["state"] not in {*_ACCOUNT, "passed-on"}:
                    about = f"{line['sender']}/{line['packet_id']} for {line['recipient']}"
                    yield _broken("I1", f"{node}: {about} is still {line['state']}")
    yield from _judge_heads(evidence)
    if drained:
        yield from _judge_agreement(evidence)


def _judge_numbers(node: str, books: Books) -> Iterator[Violation]:
    seals: dict[tuple[str, str, int], set[str]] = defaultdict(set)
    for line in books.of("packet"):
        seals[line["sender"], line["incarnation"], line["sequence"]].add(line["content_digest"])
    for (sender, _, sequence), found in seals.items():
        if len(found) > 1:
            yield _broken("I8", f"{node}: number {sequence} of {sender} stands for {len(found)} contents")
    batches: dict[tuple[str, int], set[str]] = defaultdict(set)
    for line in books.of("batch"):
        batches[line["link"], line["number"]].add(line["name"])
    for (link, number), names in batches.items():
        if len(names) > 1:
            yield _broken("I8", f"{node}: batch {number} on {link} is {len(names)} batches")


def _judge_packets(
    evidence: Evidence, node: str, books: Books, contents: dict[tuple[str, str, str], Dropped]
) -> Iterator[Violation]:
    is_agency = node in evidence.world.agencies
    sent: Counter[tuple[str, str, str]] = Counter()
    for line in books.of("packet"):
        about = f"{node}: {line['sender']}/{line['packet_id']}"
        recipients = (line["receiver"], *line["copies"])
        if is_agency and node != line["sender"] and node not in recipients:
            yield _broken("I6", f"{about} is in a ledger of somebody to whom it is no business")
        drop = contents.get((line["sender"], line["sender_ref"], line["content_digest"]))
        if drop is None and line["sender"] in evidence.world.agencies and not line["transit"]:
            yield _broken("I5", f"{about} ({line['sender_ref']}) was dropped by nobody")
        if line["own"] and drop is not None and drop.expects == "refused":
            yield _broken("I4", f"{about} was sealed, and what was dropped could not be judged good")
        if line["own"] and drop is not None:
            sent[line["sender"], line["sender_ref"], line["content_digest"]] += 1
            if set(recipients) != set(drop.receivers):
                yield _broken("I6", f"{about} goes to {', '.join(recipients)}")
    for (_, reference, _), times in sent.items():
        if times > 1:
            yield _broken("I2", f"{node}: {reference} became {times} packets")


def _judge_documents(evidence: Evidence, node: str, books: Books) -> Iterator[Violation]:
    said: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for line in books.of("receipt"):
        about = f"{node}: receipt {line['kind']} of {line['issued_by']} about {line['packet_id']}"
        try:
            receipt = evidence.proofs.receipt(base64.b64decode(line["document"]), evidence.moment)
        except ExchangeError as error:
            yield _broken("I7", f"{about} proves nothing: {error}")
            continue
        said[(*_key(line), receipt.kind, receipt.recipient, str(receipt.attempt), receipt.issued_by)].add(
            line["digest"]
        )
    for (sender, packet_id, kind, *_), digests in said.items():
        if len(digests) > 1:
            yield _broken("I7", f"{node}: {len(digests)} receipts {kind} about {sender}/{packet_id}")


def _judge_heads(evidence: Evidence) -> Iterator[Violation]:
    """What a neighbour heard of a chain is still in it: nothing that was told was forgotten or rewritten."""
    chains = {
        node: {line["chain"] for line in books.of("event")} for node, books in evidence.books.items()
    }
    for node, books in evidence.books.items():
        for line in books.of("head"):
            chain = chains.get(line["node"])
            # What was heard while the ledgers were exported one after the other may be newer than the chain.
            if chain and line["at"] < evidence.books[line["node"]].at and line["chain"] not in chain:
                heard = f"{node} heard a head at {line['at']} that it has forgotten"
                yield _broken("I8", f"{line['node']}: {heard}")


def _judge_agreement(evidence: Evidence) -> Iterator[Violation]:
    """Whoever knows a packet's destination tells the same of it, except nodes that only hand on."""
    told: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
    for node, books in evidence.books.items():
        for line in books.of("destination"):
            account = _ACCOUNT.get(line["state"])
            if account is not None:
                told[(*_key(line), line["recipient"])][node] = account
    for (sender, packet_id, recipient), accounts in told.items():
        if len(set(accounts.values())) > 1:
            words = ", ".join(f"{node} says {account}" for node, account in sorted(accounts.items()))
            yield _broken("I16", f"{sender}/{packet_id} for {recipient}: {words}")


# --- the balance ----------------------------------------------------------------------------------


def judge_balance(evidence: Evidence, *, drained: bool) -> Iterator[Violation]:
    """Per agency: what its ledger accepted is what receipts and statuses account for."""
    for agency, books in evidence.books.items():
        if agency not in evidence.world.agencies or not books.of("ledger"):
            continue
        own = {_key(line) for line in books.of("packet") if line["own"]}
        entered = Counter(
            _ACCOUNT.get(line["state"], _IN_FLIGHT)
            for line in books.of("destination")
            if _key(line) in own
        )
        shown = _shown(evidence, agency)
        # What is moving while it is looked at may have moved between the two looks.
        for account in sorted({*entered, *shown} - {_IN_FLIGHT}):
            is_moving = not drained and bool(entered[_IN_FLIGHT] or shown[_IN_FLIGHT])
            if entered[account] != shown[account] and not is_moving:
                yield _broken(
                    "I16",
                    f"{agency}: {entered[account]} {account} by its ledger, {shown[account]} by its receipts"
                    " and statuses",
                )
        if (kept := sum(entered.values())) != (told := sum(shown.values())):
            yield _broken("I16", f"{agency}: {kept} accepted by its ledger, {told} by its statuses")


def _shown(evidence: Evidence, agency: str) -> Counter[str]:
    """The same accounts from what the case software can see."""
    receipts: dict[tuple[str, str], str] = {}
    for filed in evidence.receipts[agency]:
        if filed.receipt is not None and filed.receipt.kind in _BY_RECEIPT:
            receipts[filed.packet_id, filed.receipt.recipient] = _BY_RECEIPT[filed.receipt.kind]
    count: Counter[str] = Counter()
    seen = set()
    for status in evidence.statuses[agency]:
        if status.packet_id is None or status.packet_id in seen or status.state == "duplicate":
            continue
        seen.add(status.packet_id)
        for destination in status.destinations:
            said = _ACCOUNT.get(destination.state, _IN_FLIGHT)
            whole = receipts.get((status.packet_id, ""), "")
            proved = receipts.get((status.packet_id, destination.agency), whole)
            count["cancelled" if said == "cancelled" else proved or _IN_FLIGHT] += 1
    return count
