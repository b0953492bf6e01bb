"""What the events of the chain say, in words. Values in, text out.

One table: a kind and its sentence, whose names are those of the event's detail. Guarantees: a kind that
stands not here, or lacks a particular, is shown by its own name with all its particulars, so that nothing
is ever hidden.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cli.locale import _, told
from exchanged.ledger.questions_event import ChainEvent
from packet_spec.identity import is_digest

# Particulars that are words of ours; reasons and errors are codes that are looked up.
_OURS: Final = frozenset({"state", "fault", "kind", "road"})
_NAMES: Final = re.compile(r"\{([a-z-]+)\}")
# The sentences are looked up in the operator's language when they are shown.
SENTENCES: Final[Mapping[str, str]] = {
    "started": "the daemon started",
    "stopped": "the daemon stopped cleanly",
    "pack-taken": "pack {name} {version} of the standard is here (came by {road})",
    "directory-taken": "directory version {version} is in force (came by {road})",
    "folder-marker": "the marker of {folder} is {state}",
    "marker-accepted": "the marker of {folder} was accepted",
    "marker-met": "the marker of {folder} was seen for the first time",
    "inbox-unusable": "the inbox cannot be used",
    "delivery-waiting": "its delivery waits: {reason}",
    "inbox-usable": "the inbox can be used",
    "inbox-good-again": "the inbox can be used again",
    "vanished-confirmed": "many folders vanished from the inbox at once, and that was confirmed",
    "link-down": "link {link} is down: {error}; to act: {fault}",
    "link-up": "link {link} is up again",
    "link-paused": "link {link} is paused",
    "link-resumed": "link {link} works again after a pause",
    "neighbour-incarnation": "the neighbour on link {link} speaks under a new incarnation {incarnation}",
    "mailbox-file-refused": "a file in the mailbox of link {link} is refused: {file} ({error})",
    "mailbox-file-waits": "a mailbox file of link {link} waits: {file}; the suite {suite} is not known here",
    "mailbox-more-refused": (
        "{count} more files in the mailbox of link {link} are refused; the newest: {file} ({error})"
    ),
    "batch-bad-at-neighbour": "batch {number} was unreadable at the neighbour of link {link}",
    "batch-held-by-neighbour": "batch {number} is held by the neighbour of link {link}: {detail}",
    "batch-signed-anew": "batch {number} of link {link} was signed anew: its key had ended",
    "batch-put-again": "batch {number} of link {link} lay there unanswered and is put again, by another name",
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
    "release-to-inbox": "goes on to the inbox",
    "requeue": "judged once more from the start",
    "discard": "given up",
    "quarantine": "put into quarantine: {reason}",
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
    "unstage": "taken back before the inbox: the key of its seal was revoked",
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
    "receipt-of-earlier-attempt": "a receipt about attempt {attempt}, which a later one replaced: {kind}",
    "receipt-for-other-content": "a receipt speaks of other content: {kind}",
    "receipt-without-authority": "a receipt of somebody who may not issue it: {kind}",
    "receipt-contradicted": "a receipt of {by} contradicts what is known here: {kind}",
    "case-joined": "two cases are one now",
    "bytes-rotten": "the file {file} has changed on the disk of this node",
    "bytes-mended": "the file {file} is whole again",
    "retention": "cleaned up after its days: {kind}, {count}",
    "notice-raised": "notice {notice} given: {reference} ({subject})",
    "notice-over": "notice {notice} is over: {reference} ({subject})",
    "keys-offered": "new keys were offered to {to}: {uses}",
    "keys-offer-dropped": "new keys that node {node} had offered were dropped: it is disabled, or a key of it"
    " was revoked since",
    "keys-offer-taken": "new keys that node {node} offers were kept: {uses}",
    "log-head-signed": "a head of our log was signed: {size} entries",
    "log-head-taken": "the log of {node} shows {size} entries, and goes on from what it showed before",
    "log-head-unproved": "the log of {node} shows {size} entries without proof yet; it is asked for one",
    "log-head-void": "a head of the log of {node} does not count: an older one than its recovery",
    "log-head-brought": "a head of the log of {node} was brought by hand: {size} entries",
    "log-head-agreed": "the head brought by hand agrees with the log of {node}: {size} entries",
    "log-recovery-taken": "the roots excused what the log of {node} lost; it goes on from {size} entries",
    "recall": "delivered before a restore, as our receipt shows",
    "remembered": "taken back after a restore: {state}",
    "restored": "this node was restored; what happened since {since} is asked back",
    "restore-asks": "neighbour {node} is asked what this node forgot",
    "restore-asked": "neighbour {node} was restored, or began anew, and asks what it does not know",
    "numbers-asked": "neighbour {node} is asked which batches it sent before this ledger began",
    "numbers-told": "the neighbour on link {link} said which of its batches up to {top} are still to come",
    "restore-answered": "neighbour {node} was told what it forgot: {packets} packets, {receipts} receipts",
    "offered-again": "{count} packets are offered again over link {link}, as the restored neighbour wants",
    "restore-took-back": "what neighbour {node} knows is back",
    "restore-goes-on": "the restored node goes on without what neighbour {node} knows",
    "restore-finished": "everything that was asked back after the restore is here",
    "sent-again": "something that may have been sent before the restore is sent again",
    "sent-again-not-possible": "drop {drop} cannot be sent again after the restore",
    "delivered-maybe-twice": "delivered again after a restore, and marked as a possible duplicate",
    "neighbour-forked": "two nodes speak under the name of the neighbour on link {link}: {conflict}",
    "node-set-back": "the neighbour on link {link} knows more of this node than its own ledger does",
    "neighbour-holds-us": "the neighbour on link {link} says that two nodes speak under our name",
    "neighbour-takes-us": "the neighbour on link {link} takes this node for the right one again",
    "clock-confirmed": "an operator said that the clock of this machine, which showed {shows}, is right",
    "neighbour-accepted": "an operator said that the neighbour on link {link} is incarnation {incarnation}",
    "told-otherwise": "what neighbours told of it after a restore counts for nothing, and is forgotten",
    "security": "something tried what it may not",
}
# The same event on an item and on a destination is not the same thing to a reader: kind and new state. What
# was not sent again wants another answer for each reason: kind and reason.
MOVES: Final[Mapping[str, str]] = {
    "hold on-hold": "put on hold by an operator",
    "hold bytes-rotten": "put on hold, because its stored bytes are no longer what they were",
    "release queued": "released by an operator",
    "sent-again-not-possible name-taken": (
        "drop {drop} in sent/ is not sent again after the restore: its name is taken in the outbox"
    ),
    "sent-again-not-possible stopped": (
        "drop {drop} in sent/ is not sent again after the restore: it was on hold, or had ended for somebody"
    ),
    "sent-again-not-possible not-told-apart": (
        "drop {drop} in sent/ is not sent again after the restore: which status is its own cannot be told"
    ),
    "sent-again-not-possible unreadable": (
        "drop {drop} in sent/ is not sent again after the restore: it cannot be read"
    ),
}
# Of an act, what is told elsewhere in its sentence, and numbers that JSON tells.
_ASIDE: Final = frozenset({"operator", "reason", "act", "request", "uid", "login_uid", "login_from"})


def event_words(event: ChainEvent) -> str:
    """What happened, as a sentence, and by whom and why where an operator did it."""
    operator, reason = event.detail.get("operator"), event.detail.get("reason")
    if event.kind.startswith("operator-") and operator:
        act = str(event.detail.get("act") or event.kind.removeprefix("operator-"))
        # As the command is typed: "queue hold".
        act = act.replace("-", " ", 1) if "act" in event.detail else act
        # An account of the operator's own name says nothing new; root's, after sudo, does.
        rest = {
            name: value
            for name, value in event.detail.items()
            if name not in _ASIDE and value != [] and (name, value) != ("account", operator)
        }
        words = _("operator {operator}: {act}").format(
            operator=operator, act=f"{act} {_particulars(rest)}".strip()
        )
        return _("{what}; reason: {reason}").format(what=words, reason=reason) if reason else words
    narrower = (MOVES.get(f"{event.kind} {event.detail.get(each)}") for each in ("why", "to"))
    sentence = next(filter(None, narrower), None) or SENTENCES.get(event.kind)
    if sentence is None or any(name not in event.detail for name in _NAMES.findall(sentence)):
        return f"{event.kind} {_particulars(event.detail)}".strip()
    shown = {name: _shown(value) for name, value in event.detail.items()}
    shown |= {name: _(text) for name, text in shown.items() if name in _OURS}
    words = _NAMES.sub(lambda match: shown[match[1]], _(sentence))
    # What is held may say which version, or which suite, is not here.
    return f"{words} ({told(str(event.detail['note']))})" if event.detail.get("note") else words


def _particulars(detail: Mapping[str, object]) -> str:
    return " ".join(f"{name}={_shown(value)}" for name, value in detail.items())


def _shown(value: object) -> str:
    """Digests are shortened: whoever needs them whole asks for JSON."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value))
    text = str(value)
    return f"{text[:12]}…" if is_digest(text) else text
