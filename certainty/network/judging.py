"""What an outsider finds wrong when all has come to rest: with drops, inboxes and receipts.

Guarantees: a packet counts as delivered only when its folder is what was dropped and its sender's receipts
prove it: each verified, about this packet and this content, one of each kind that it must have. Looks at
folders alone, as case software does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from certainty.shard import Violation
from cli.demo.watch import Agency, Original
from packet_spec.errors import ExchangeError
from packet_spec.identity import PacketKey
from packet_spec.model import Receipt, ReceiptKind

_ARRIVED: Final = ("delivered", "collected")


@dataclass(frozen=True, slots=True)
class Sent:
    """One drop: who sent it to whom, its name, what it was, and when it was dropped (monotonic)."""

    name: str
    sender: str
    receiver: str
    business_type: str
    original: Original
    at: float


class Verifier(Protocol):
    """What judges signatures and bytes; ``cli.demo.watch.Proofs`` is one."""

    def receipt(self, data: bytes, moment: datetime) -> Receipt:
        """The verified receipt. Raises ExchangeError."""

    def problems_of(self, folder: Path, original: Original, recipient: str, moment: datetime) -> list[str]:
        """What is wrong with a delivered folder."""


def is_done(agency: Agency, sent: Sent) -> bool:
    """The sender's status file says that it was delivered."""
    status = agency.status(sent.name)
    return status is not None and status.state in _ARRIVED


def key_of(agency: Agency, sent: Sent) -> PacketKey | None:
    """What its sender's status file calls a drop, if it can be read."""
    with suppress(OSError, ExchangeError):
        status = agency.status(sent.name)
        if status is not None and status.packet_id:
            return PacketKey(sent.sender, status.packet_id)
    return None


def _state_of(agency: Agency, sent: Sent) -> str:
    try:
        status = agency.status(sent.name)
    except (OSError, ExchangeError) as error:
        return f"a status that cannot be read: {error}"
    return "no status" if status is None else status.state


def judge(
    sent: Sequence[Sent],
    agencies: Mapping[str, Agency],
    proofs: Verifier,
    moment: datetime,
    case: str,
    taken: Collection[str] = (),
) -> Iterator[Violation]:
    """Everything that is not as it must be; ``case`` reproduces it.

    ``taken``: names of folders that a reader took out of inboxes, and judged before that.
    """
    seen = {code: agency.folders() for code, agency in agencies.items()}
    wanted: dict[str, Counter[str]] = {code: Counter() for code in agencies}
    is_known = True
    for each in sent:
        sender = agencies[each.sender]
        key = key_of(sender, each)
        is_known = is_known and key is not None
        state = _state_of(sender, each)
        if key is None or state not in _ARRIVED:
            yield Violation("I1", case, f"{each.name} is not delivered at the end: {state}")
            continue
        name = f"{key.sender}_{key.packet_id}"
        wanted[each.receiver][name] += 1
        files = sender.receipt_files(key.packet_id)
        yield from (
            Violation("I7", case, f"{each.name}: {what}")
            for what in judge_receipts(each, key, files, proofs, moment)
        )
        if name in taken:
            continue
        folder = agencies[each.receiver].folder(key, each.business_type)
        if folder is None:
            yield Violation("I7", case, f"{each.name} counts as delivered and lies nowhere")
            continue
        problems = proofs.problems_of(folder, each.original, each.receiver, moment)
        yield from (Violation("I4", case, problem) for problem in problems)
    for code, folders in seen.items():
        yield from _judge_inbox(code, folders, wanted[code], case, is_known=is_known)


def _judge_inbox(
    code: str, folders: Iterable[Path], wanted: Counter[str], case: str, *, is_known: bool
) -> Iterator[Violation]:
    names = Counter(folder.name for folder in folders)
    for name, count in names.items():
        if count > max(1, wanted[name]):
            yield Violation("I2", case, f"{code}: {name} lies in the inbox {count} times")
        # While a drop has no id yet, any folder may be its.
        if is_known and not wanted[name]:
            yield Violation("I2", case, f"{code}: {name} was never sent here")


def judge_receipts(
    sent: Sent, key: PacketKey, files: Iterable[Path], proofs: Verifier, moment: datetime
) -> Iterator[str]:
    """What is wrong with the receipts that lie with a sender, in words."""
    found: Counter[tuple[ReceiptKind, str]] = Counter()
    for path in files:
        try:
            receipt = proofs.receipt(path.read_bytes(), moment)
        except (OSError, ExchangeError) as error:
            yield f"{path.name} proves nothing: {error}"
            continue
        if receipt.key != key or receipt.content_digest != sent.original.content_digest:
            yield f"{path.name} speaks of another packet or content"
            continue
        if receipt.kind is not ReceiptKind.ACCEPTED and receipt.issued_by != sent.receiver:
            yield f"{path.name} was issued by {receipt.issued_by}"
            continue
        found[receipt.kind, receipt.recipient] += 1
    needed = {(ReceiptKind.ACCEPTED, ""), (ReceiptKind.DELIVERED, sent.receiver)}
    # Whoever took the folder out of the inbox made one of these; it may still be on its way.
    allowed = needed | {(ReceiptKind.COLLECTED, sent.receiver)}
    for kind, recipient in sorted({*found, *needed}):
        count = found[kind, recipient]
        if (kind, recipient) not in allowed or count > 1 or ((kind, recipient) in needed and not count):
            yield f"{count} proven receipts {kind}{f' for {recipient}' if recipient else ''}"
