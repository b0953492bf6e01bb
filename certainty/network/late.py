"""What sender and receiver are told of packets that do not arrive: status, notices, the operator's list."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator

from certainty.network.judging import Sent, key_of
from certainty.network.stage import Stage
from certainty.operation.town import command
from certainty.shard import Violation
from packet_spec.identity import PacketKey
from packet_spec.notice import decode_notice

OVERDUE = "receipt-overdue"


def set_deadlines(
    stage: Stage, code: str, *, accepted_seconds: float = 0, delivered_seconds: float = 0
) -> None:
    """When that node tells a receipt as overdue; 0: never. Counts from its next start.

    It stands in place of an hour and a day; nothing is told as late before that.
    """
    path = stage.lab.node_config(code)
    lines = (
        f"accepted_minutes = {accepted_seconds / 60:.4f}",
        f"delivered_hours = {delivered_seconds / 3600:.6f}",
        "warn_share = 0",
    )
    text = path.read_text(encoding="utf-8")
    path.write_text("\n".join((text, "[notices]", *lines, "")), encoding="utf-8")


def told_overdue(stage: Stage, code: str, reference: str = OVERDUE) -> frozenset[PacketKey]:
    """The packets that an agency's open notices of that kind name now."""
    found: set[PacketKey] = set()
    for path in (stage.agency(code).root / "notices").glob(f"*-{reference}-*.xml"):
        notice = decode_notice(path.read_bytes())
        if notice.over_at is None:
            found |= set(notice.packets)
    return frozenset(found)


def is_told_overdue(stage: Stage, sent: Sent) -> bool:
    """The sender's staff is told that this packet has no receipt in time."""
    key = key_of(stage.agency(sent.sender), sent)
    return key is not None and key in told_overdue(stage, sent.sender)


def reasons(stage: Stage, code: str) -> dict[str, str]:
    """What the operator of a node sees: why each of its packets or drops waits, by its name."""
    asked = command(stage.lab.node_config(code), "queue", "list", "--limit", "1000", "--json")
    return {row["subject"]: row["reason"] for row in json.loads(asked.stdout)["waiting"]}


def judge_waiting(name: str, state: str, *, is_told: bool, reason: str, case: str) -> Iterator[Violation]:
    """Of a packet for whose delivery the receiver's inbox has no room: what both sides must be told."""
    if state != "accepted":
        what = f"the status of {name}, which waits at the receiver, says {state}, and not accepted"
        yield Violation("I7" if state in {"delivered", "collected", "signed"} else "I13", case, what)
    if not is_told:
        yield Violation("I13", case, f"no notice of the sender names {name} as overdue")
    if reason != "no-space":
        told = reason or "nothing"
        yield Violation("I13", case, f"the receiver's operator is told {told} of {name}, and not no-space")


def judge_pending(
    pending: Iterable[tuple[Sent, PacketKey | None]], told: Collection[PacketKey], case: str
) -> Iterator[Violation]:
    """Of packets that have no receipt after the deadline: each must be told as overdue."""
    for sent, key in pending:
        if key is None or key not in told:
            yield Violation("I13", case, f"{sent.name} has no receipt in time, and no notice says so")
