"""What a verified proof says, for people: one sentence per code, and what a proof does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.locale import _
from cli.render import local_time, printable, table
from packet_spec.proof_values import Answer, Claim, PacketAnswer, Proven

if TYPE_CHECKING:
    from packet_spec.proof_leaving_out import LeftOut

_FOUR = 4


def sentences() -> dict[str, str]:
    """Code -> what it means and what to do, in the operator's language."""
    return {
        "proof-version": _("made by a newer version of the format; verify it with a newer program"),
        "proof-suite-unknown": _("signed with a suite that this program does not know; use a newer one"),
        "proof-roots-not-compared": _("compare the fingerprint with what the province published"),
        "proof-directory-silent": _("no directory in the file tells about this time"),
        "proof-speaker-unknown": _("the directory in force then does not list this agency or node"),
        "proof-key-unknown": _("no directory in the file lists the key that signed this"),
        "proof-key-revoked-later": _("the key was revoked later; nothing shows that this was there before"),
        "proof-sender-disabled-later": _("a later directory disables the sender, without a date"),
        "proof-accepted-missing": _("the receipt of acceptance is missing"),
        "proof-delivered-missing": _("the receipt of delivery is missing"),
        "proof-contradiction": _("receipts contradict each other"),
        "proof-case-not-shown": _("the file names a case, and its content cannot show it"),
        "proof-not-in-log": _("not every statement stands in the log: the file does not show that"),
        "proof-content-left-out": _("the content was left out; its digest is proven"),
        "proof-layout": _("this is not a whole, unchanged proof file"),
        "proof-packet-twice": _("the same packet stands in the file twice"),
        "proof-directory-signature": _("a directory bears a signature that is wrong or of a stranger"),
        "proof-directory-content": _("a directory contradicts itself or cannot be read"),
        "proof-directory-chain": _("a directory does not follow from the one before it"),
        "proof-roots-not-trusted": _("the roots are not those of the fingerprint: nothing counts"),
        "proof-document-malformed": _("a document does not have the required form"),
        "proof-signature-wrong": _("the signature is wrong: the document was changed or forged"),
        "proof-seal-inconsistent": _("the seal contradicts itself"),
        "proof-sender-disabled": _("the sender was disabled"),
        "proof-sender-retired": _("the sender had retired"),
        "proof-key-of-another-node": _("signed with the key of somebody else"),
        "proof-key-of-another-use": _("signed with a key that is not for this"),
        "proof-key-not-valid": _("the key was not valid at that time"),
        "proof-key-revoked": _("the key had been revoked"),
        "proof-other-packet": _("it speaks of another packet, attempt or content"),
        "proof-not-a-recipient": _("it names somebody to whom the packet was not sent"),
        "proof-not-the-issuer": _("the issuer may not say this"),
        "proof-order-impossible": _("the times cannot be true"),
        "proof-hop-off-the-way": _("this node is not on the way of the packet"),
        "proof-log-entry-other": _("the entry of the log is about something else"),
        "proof-log-of-another-node": _("the log is not that of the admitting node"),
        "proof-log-not-included": _("the log does not contain the statement"),
        "proof-content-differs": _("the content is not what was sealed"),
        "proof-other-case": _("the packet does not bear the number of the case"),
    }


def claim_names() -> dict[str, str]:
    """What is claimed, in the operator's language."""
    return {
        "sealed": _("sealed"),
        "accepted": _("accepted"),
        "delivered": _("delivered"),
        "collected": _("collected"),
        "signed": _("signed for"),
        "refused": _("refused"),
        "undeliverable": _("undeliverable"),
        "expired": _("expired"),
        "receipt": _("receipt"),
        "hop": _("passed"),
        "log-entry": _("in the log"),
        "logged": _("all in the log"),
        "content": _("content"),
        "case": _("of the case"),
    }


def shown(answer: Answer) -> str:
    """The whole answer, for a person who decides by it."""
    lines = [_verdict(answer), ""]
    if answer.fingerprint:
        lines += [f"{_('fingerprint of the roots')}:", *_folded(answer.fingerprint), ""]
    for packet in answer.packets:
        headers = (_("what"), _("state"), _("by"), _("when, or why not"))
        lines += [_title(packet), table(headers, _rows(packet)), ""]
    lines += [_("A proof does not show:"), *(f"  - {text}" for text in _limits())]
    return "\n".join(lines)


def told_left_out(left_out: Sequence[LeftOut]) -> str:
    """Which statements the proof does not hold, because they would have it refused."""
    names, words = claim_names(), sentences()
    lines = [_("Left out, because they are false and would have the whole proof refused:")]
    for each in left_out:
        said = [names.get(each.claim, each.claim), printable(each.by), local_time(each.at) if each.at else ""]
        lines += [
            f"  {' '.join(part for part in said if part)}",
            f"    {each.sender}/{each.packet_id}",
            f"    {each.code}: {words.get(each.code, each.code)}",
        ]
    return "\n".join(lines)


def _verdict(answer: Answer) -> str:
    why = sentences().get(answer.code, answer.code)
    match answer.verdict:
        case Proven.PROVEN:
            return _("PROVEN: everything that the file claims.")
        case Proven.REFUSED:
            return f"{_('REFUSED')} ({answer.code}): {why}"
        case _:
            return f"{_('NOT PROVEN')} ({answer.code}): {why}"


def _folded(fingerprint: str) -> list[str]:
    """Two lines of eight groups of four, as they are read out."""
    groups = [fingerprint[at : at + _FOUR] for at in range(0, len(fingerprint), _FOUR)]
    return ["  " + " ".join(groups[at : at + 8]) for at in (0, 8)]


def _title(packet: PacketAnswer) -> str:
    if not packet.sender:
        return _("a packet whose seal cannot be read")
    text = _("packet {id} of {sender}, attempt {attempt}")
    return printable(text.format(id=packet.packet_id, sender=packet.sender, attempt=packet.attempt))


def _rows(packet: PacketAnswer) -> list[tuple[str, str, str, str]]:
    names, words = claim_names(), sentences()
    states = {"proven": _("proven"), "absent": _("not shown"), "held": _("unsure"), "bad": _("WRONG")}
    return [
        (names.get(claim.claim, claim.claim), states[claim.state.value], claim.by or "-", _why(claim, words))
        for claim in packet.claims
    ]


def _why(claim: Claim, words: dict[str, str]) -> str:
    if claim.code:
        return words.get(claim.code, claim.code)
    # The packet's own id stands in the title.
    target = "" if claim.claim == "sealed" else claim.to
    return " ".join(part for part in (local_time(claim.at) if claim.at else "", target) if part) or "-"


def _limits() -> list[str]:
    return [
        _("what happened after it was built: ask the province for its newest directory"),
        _("receipts that were left out: ask sender and recipients for theirs"),
        _("that clocks were right: times are what each node's clock said"),
        _("who sat there: a seal is the agency's, not a clerk's"),
        _("that the admitting node never showed another log to others"),
    ]
