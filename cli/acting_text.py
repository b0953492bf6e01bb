"""How acts, and what stands in their way, are told to an operator. Values in, text out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from cli.locale import _
from cli.render import printable, table
from exchanged.acts.values import Act, Answer, Entry, Obstacle, Outcome
from exchanged.errors import ActRefusedError

# Sentences for what was done and, in a preview, what would be.
OUTCOMES: Final = {
    Outcome.CANCELLED: "cancelled for {to}; nothing of it was sent",
    Outcome.ON_HOLD: "on hold for {to}: neither offered nor put into the inbox until it is released",
    Outcome.HELD: "held: not judged until it is released; before: {held_by}",
    Outcome.TO_LINK: "queued again for {to} on link {link}",
    Outcome.TO_INBOX: "goes on to the inbox of {to}",
    Outcome.TO_JUDGE: "judged again now ({item}); it was held: {held_by}",
    Outcome.TO_COUNT: "counts from now on, though a thief may have signed it ({receipt} by {issuer}); "
    "held: {held_by}",
    Outcome.TO_INTAKE: "checked again now; it was held: {held_by}",
    Outcome.REQUEUED: "judged once more from the start ({item}); it was in quarantine: {held_by}",
    Outcome.DISCARDED: "given up ({item}); it was in quarantine: {held_by}",
    Outcome.DISCARDED_TOLD: "given up; a signed receipt, undeliverable, goes to the sender; kept in {kept}",
    Outcome.DISCARDED_KNOWN: "this copy is given up; the packet itself is known here; kept in {kept}",
    Outcome.DISCARDED_UNTOLD: "given up, and no receipt says so to the sender ({why}); kept in {kept}",
    Outcome.DISCARDED_STATEMENT: "given up ({item}); its issuer has it and can send it again; kept in {kept}",
    Outcome.PAUSED: "paused: it neither lands nor offers until it is resumed",
    Outcome.RESUMED: "works again; it was paused: {because}",
    Outcome.ACCEPTED: "works again with that incarnation alone; it was held: {because}",
    Outcome.ACCEPTED_UNHEARD: "works again once it speaks in that incarnation, of which nothing was ever "
    "heard here: compare it with its node status; every other is closed; it was held: {because}",
    Outcome.SKIPPED: "the restored node goes on without what {nodes} would have given back",
    Outcome.SIGNED: "signed for by {by}; the receipt is on its way to the sender",
    Outcome.REFUSED: "refused by {by}; the receipt is on its way to the sender",
    Outcome.RESENT: "sent again: {receipts}",
}

OBSTACLES: Final = {
    Obstacle.NOT_OWN: "only the node that sealed it can cancel it: that of {sender}",
    Obstacle.HAS_LEFT: "it has left this node; {state}",
    Obstacle.MAY_HAVE_LEFT: "it stood in a batch before and may have left; {state}",
    Obstacle.ENDED: "it has ended already; {state}",
    Obstacle.NOT_SEALED: "it is not sealed yet: case software withdraws it by moving it out of the outbox",
    Obstacle.HELD_DROP: "it is held ({held_by}) and not in quarantine; release has it checked again",
    Obstacle.DROP_ENDED: "this drop is {state}; nothing of it waits in the outbox",
    Obstacle.IN_BATCH: "it is in a batch on link {link} and may have left",
    Obstacle.BEING_DELIVERED: "it is just being put into the inbox",
    Obstacle.LACKS_BLOBS: "a large part is missing, and the neighbour keeps it until that has come",
    Obstacle.ALREADY_HELD: "an operator has it on hold already",
    Obstacle.NOT_HELD: "it is not held; {state}",
    Obstacle.AMONG_OTHERS: "several things of this name are held, and each would go another way",
    Obstacle.IN_QUARANTINE: "it is in quarantine ({held_by}); requeue or discard takes it out",
    Obstacle.NOT_IN_QUARANTINE: "it is not in quarantine; {state}",
    Obstacle.STATEMENT: "it is a {item}; only packets are put on hold",
    Obstacle.CHANGED: "it has changed since you looked; now: {state}",
    Obstacle.NO_RECEIPT: "no receipt can say so to the sender ({why}); its content would end here in silence",
    Obstacle.PAUSED_ALREADY: "it is paused already: {because}",
    Obstacle.NOT_PAUSED: "it is not paused",
    Obstacle.NOT_FORKED: "nothing contradicts itself there, and that incarnation is not closed",
    Obstacle.SET_BACK: "this node itself was set back: the neighbour knows more of it than its ledger",
    Obstacle.NOT_RESTORING: "this node does not wait for what others give back",
    Obstacle.ANSWERED_ALREADY: "everybody behind it has answered already",
    Obstacle.NOT_ASKED_YET: "this restored node has asked nobody yet: it waits for the daemon, its folders "
    "or a directory",
    Obstacle.NO_RECIPIENT: "nothing of it was delivered to an agency of this node",
    Obstacle.NOT_DELIVERED: "it is not delivered; {state}",
    Obstacle.DELIVERY_UNFINISHED: "its delivery is not finished; give the command again in a moment",
    Obstacle.ANSWERED: "it was answered before, and only one answer counts; {state}",
    Obstacle.EXPIRED: "it expired before it was delivered",
    Obstacle.NONE_ISSUED: "this node has issued no receipt about it",
    Obstacle.NODE_RESTORING: "it would sign a receipt, and this restored node may have said the contrary "
    "before; it waits for what others give back",
    Obstacle.CLOCK_DOUBTED: "it would sign a receipt, and the machine's clock is far from this node's books "
    "({why})",
}

# The next command, where there is one. {name} is the subject.
HINTS: Final = {
    Obstacle.NOT_OWN: "exchangectl packet trace {name}",
    Obstacle.HAS_LEFT: "exchangectl packet trace {name}",
    Obstacle.MAY_HAVE_LEFT: "exchangectl packet trace {name}",
    Obstacle.ENDED: "exchangectl packet show {name}",
    Obstacle.IN_BATCH: "exchangectl packet trace {name}",
    Obstacle.AMONG_OTHERS: "name one of them: "
    "exchangectl queue release {name} --only TOKEN --reason TEXT",
    Obstacle.IN_QUARANTINE: "exchangectl packet show {name}",
    Obstacle.LACKS_BLOBS: "if it will never come: "
    "exchangectl queue discard {name} --without-parts --reason TEXT",
    Obstacle.HELD_DROP: "exchangectl queue release {name} --reason TEXT",
    Obstacle.SET_BACK: "exchangectl node restore BACKUP",
    Obstacle.NOT_ASKED_YET: "what it waits for: exchangectl node status",
    Obstacle.NO_RECEIPT: "ask its sender by another road first; --without-receipt gives it up all the same",
    Obstacle.NOT_DELIVERED: "exchangectl packet trace {name}",
    Obstacle.ANSWERED: "exchangectl receipt show {name}",
    Obstacle.NODE_RESTORING: "whom it waits for: exchangectl node status",
    Obstacle.CLOCK_DOUBTED: "set the clock right; or start the daemon, whose neighbours tell it the time, "
    "and give the command again",
}

_DESTINATION: Final = re.compile(r"(\S+): (\S+) since (\S+)")

COMMANDS: Final = {
    Act.CANCEL: "packet cancel",
    Act.HOLD: "queue hold",
    Act.RELEASE: "queue release",
    Act.REQUEUE: "queue requeue",
    Act.DISCARD: "queue discard",
    Act.PAUSE: "link pause",
    Act.RESUME: "link resume",
    Act.ACCEPT: "link accept",
    Act.SKIP: "link skip",
    Act.SIGN: "receipt sign",
    Act.RESEND: "receipt resend",
}


def sentence(entry: Entry) -> str:
    """What came of the act on one subject, or what stands in its way."""
    text = OUTCOMES[entry.outcome] if entry.outcome else OBSTACLES[entry.obstacle or Obstacle.CHANGED]
    fields = _Fields({name: _particular(name, value) for name, value in entry.fields.items()})
    if entry.outcome and entry.outcome.startswith("discarded"):
        fields.setdefault("kept", _("a folder of its own"))
    return printable(_(text).format_map(fields))


def refusal(entries: Sequence[Entry], act: Act) -> ActRefusedError:
    """The error that says why nothing was done: of the first, or of all that would go different ways."""
    entry, found = entries[0], ""
    if entry.obstacle is Obstacle.AMONG_OTHERS:
        found = _("; ").join(f"{each.token} ({_alone(each)})" for each in entries)
    hint = _(HINTS.get(entry.obstacle or Obstacle.CHANGED, "")).format(name=shlex.quote(entry.name))
    summary = _("{command} is not possible: {why}").format(command=COMMANDS[act], why=sentence(entry))
    expected = _("one of them") if found else ""
    return ActRefusedError(summary, where=entry.name, expected=expected, found=found, hint=hint)


def _alone(entry: Entry) -> str:
    """What would come of it if it alone were named."""
    return sentence(replace(entry, outcome=Outcome(entry.fields["outcome"]), obstacle=None))


def answer_text(answer: Answer) -> str:
    """What was done or would be, then what was not and why."""
    blocks: list[str] = []
    if answer.done:
        done = _("done by {operator}").format(operator=answer.operator)
        title = _("would be done") if answer.preview else done
        blocks.append(_block(title, answer.done))
    if answer.not_done:
        blocks.append(_block(_("not possible"), answer.not_done))
    if answer.more:
        blocks.append(_("more of them wait: give the command again, or a higher --limit"))
    return "\n\n".join(blocks)


def _block(title: str, entries: tuple[Entry, ...]) -> str:
    if len(entries) == 1:
        return f"{title}: {printable(entries[0].name)}\n  {sentence(entries[0])}"
    rows = [(entry.name, sentence(entry)) for entry in entries]
    return f"{title}: {len(entries)}\n{table((_('which'), _('what')), rows)}"


def _particular(name: str, value: str) -> str:
    """What fills a sentence. Reasons stay codes: they are typed after ``--reason-is``."""
    if name in {"item", "receipt"}:
        return _(value)
    if name == "state":
        return ", ".join(map(_where_it_is, value.split(", ")))
    if name == "receipts":
        kinds = (each.partition(" ") for each in value.split(", "))
        return ", ".join(f"{_(kind)} {attempt}".rstrip() for kind, _gap, attempt in kinds)
    return value or "-"


def _where_it_is(state: str) -> str:
    found = _DESTINATION.fullmatch(state)
    if found is None:
        return _(state) or "-"
    said = _("{recipient}: {state} since {since}")
    return said.format(recipient=found[1], state=_(found[2]), since=found[3])


class _Fields(dict[str, str]):
    """A daemon of another version may leave out what a sentence wants."""

    def __missing__(self, key: str) -> str:
        return "-"
