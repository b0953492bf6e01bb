"""What the events of the chain say, in words. Values in, text out.

One table: a kind and its sentence, whose names are those of the event's detail. Guarantees: a kind that
stands not here, or lacks a particular, is shown by its own name with all its particulars, so that nothing
is ever hidden.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cli.locale import _
from exchanged.ledger.questions_event import ChainEvent
from packet_spec.identity import is_digest

_NAMES: Final = re.compile(r"\{([a-z-]+)\}")
# The sentences are looked up in the operator's language when they are shown.
SENTENCES: Final[Mapping[str, str]] = {
    "started": "the daemon started",
    "stopped": "the daemon stopped cleanly",
    "directory-taken": "directory version {version} is in force (came by {road})",
    "folder-marker": "the marker of {folder} is {state}",
    "marker-met": "the marker of {folder} was met for the first time",
    "marker-accepted": "the marker of {folder} was accepted",
    "inbox-unusable": "the inbox cannot be used",
    "inbox-usable": "the inbox can be used again",
    "inbox-good-again": "the inbox can be used again",
    "delivery-waiting": "waits to be put into the inbox: {reason}",
    "vanished-confirmed": "many folders vanished from the inbox at once, and that was confirmed",
    "link-down": "link {link} is down: {error}; to act: {fault}",
    "link-up": "link {link} is up again",
    "link-paused": "link {link} is paused",
    "link-resumed": "link {link} works again after a pause",
    "notice-raised": "notice {notice} was raised: {reference} {subject}",
    "notice-over": "notice {notice} is over: {reference} {subject}",
    "retention": "{count} old {kind} began to be removed",
    "neighbour-incarnation": "the neighbour on link {link} speaks under a new incarnation {incarnation}",
    "mailbox-file-refused": "a file in the mailbox of link {link} is refused: {file} ({error})",
    "batch-bad-at-neighbour": "batch {number} was unreadable at the neighbour of link {link}",
    "batch-held-by-neighbour": "batch {number} is held by the neighbour of link {link}: {detail}",
    "batch-number-used-twice": "the neighbour of link {link} used batch number {number} twice",
    "drop-seen": "drop {drop} appeared in the outbox",
    "drop-incomplete": "drop {drop} is incomplete",
    "drop-held": "drop {drop} is held: {reason}",
    "drop-refused": "drop {drop} is refused: {codes}",
    "drop-duplicate": "drop {drop} was sent before",
    "drop-withdrawn": "drop {drop} was taken back by the case software",
    "drop-disposed": "drop {drop} was an answer to a delivered packet",
    "drop-released": "drop {drop} is tried again by an operator's decision",
    "original-gone": "the original of drop {drop} is gone",
    "original-replaced": "something else lies under the name of drop {drop}",
    "crashed-while-checking": "checking drop {drop} ended its worker (time {count})",
    "crashed-while-judging": "judging it ended its worker (time {count})",
    "sealed": "sealed from drop {drop}, attempt {attempt}",
    "landed": "landed over link {link}",
    "admit": "judged good",
    "refuse": "refused",
    "repeat": "known already; its receipts are repeated",
    "hold": "held: {reason}",
    "release": "judged again",
    "quarantine": "put into quarantine: {reason}",
    "requeue": "taken out of quarantine; judged once more",
    "discard": "given up by an operator; set aside in {kept}",
    "blobs-missing": "a large part is missing",
    "blobs-complete": "all large parts are here",
    "new-attempt": "a higher attempt",
    "complete": "nothing more is owed",
    "offer": "offered in batch {batch}",
    "acknowledge": "the neighbour acknowledged batch {batch}; custody passed",
    "hand-on": "the neighbour acknowledged batch {batch}; handed on",
    "take-again": "passes once more",
    "batch-bad": "batch {batch} was unreadable there; it waits again",
    "stage": "staged beside the inbox",
    "place": "put into the inbox",
    "cancel": "cancelled",
    "receipt-issued": "receipt issued: {kind}",
    "receipt-recorded": "receipt of {by} recorded: {kind}",
    "receipt-accepted": "accepted",
    "receipt-delivered": "delivered",
    "receipt-collected": "collected",
    "receipt-signed": "signed for",
    "receipt-refused": "refused by a receipt",
    "receipt-undeliverable": "undeliverable",
    "receipt-expired": "expired",
    "receipt-noted": "a later receipt changes nothing any more: {kind}",
    "receipt-for-other-content": "a receipt speaks of other content: {kind}",
    "receipt-without-authority": "a receipt of somebody who may not issue it: {kind}",
    "receipt-contradicted": "a receipt of {by} contradicts what is known here: {kind}",
    "case-joined": "two cases are one now",
    "security": "something tried what it may not",
}
# The same words of the state table say something else of a packet on its way to one recipient.
OF_RECIPIENT: Final[Mapping[str, str]] = {
    "hold": "put on hold",
    "release": "let go on: offered again",
    "release-to-inbox": "let go on to the inbox",
}
_BOOKKEEPING: Final = frozenset({"operator", "reason", "act", "request", "uid", "login_uid", "login_from"})


def event_words(event: ChainEvent) -> str:
    """What happened, as a sentence, and by whom and why where an operator did it."""
    operator, reason = event.detail.get("operator"), event.detail.get("reason")
    if event.kind.startswith("operator-") and operator:
        words = _("operator {operator}: {act}").format(operator=operator, act=_act(event))
        return f"{words}; {_('reason')}: {reason}" if reason else words
    sentence = (OF_RECIPIENT.get(event.kind) if event.recipient else None) or SENTENCES.get(event.kind)
    if sentence is None or any(name not in event.detail for name in _NAMES.findall(sentence)):
        return f"{event.kind} {_particulars(event.detail)}".strip()
    shown = {name: _shown(value) for name, value in event.detail.items()}
    return _NAMES.sub(lambda match: shown[match[1]], _(sentence))


def _act(event: ChainEvent) -> str:
    """What the operator did. Numbers of requests and users are for whoever asks for JSON."""
    act = str(event.detail.get("act", event.kind.removeprefix("operator-"))).replace("-", " ", 1)
    rest = {name: value for name, value in event.detail.items() if value and name not in _BOOKKEEPING}
    if rest.get("account") == event.detail.get("operator"):
        del rest["account"]
    return f"{act} {_particulars(rest)}".strip()


def _particulars(detail: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in detail.items())


def _shown(value: object) -> str:
    """Digests are shortened: whoever needs them whole asks for JSON."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    text = str(value)
    return f"{text[:12]}…" if is_digest(text) else text
