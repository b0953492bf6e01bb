"""Notices for the IT staff: what is late, down, held or about to end, as XML and as text to read.

Guarantees: no case data, only ids, codes, counts and times; both forms say the same in Chinese and in
English; the same value is always the same bytes. Leaves to others: what is worth a notice and its words,
file names and when to write.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from packet_spec.finding_xml import carried_text
from packet_spec.identity import PacketKey
from packet_spec.limits import NOTICE_BYTES, NOTICE_PACKETS
from packet_spec.xml import (
    FORMAT_VERSION,
    Element,
    add,
    attribute,
    children,
    new_root,
    read_machine_document,
    read_moment,
    text,
    write_machine_document,
    write_moment,
)


class NoticeLevel(StrEnum):
    """warning: watch it. alarm: somebody must act."""

    WARNING = "warning"
    ALARM = "alarm"


_LEVELS: Final = {NoticeLevel.WARNING: "提醒 warning", NoticeLevel.ALARM: "告警 alarm"}
_OPEN: Final = "未解除 open"
_OVER: Final = "已解除 over"


@dataclass(frozen=True, slots=True)
class Bilingual:
    """One text in Chinese and in English."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One matter at one node. ``over_at`` is None while it lasts.

    ``number`` counts at the node. ``subject`` is a link, an agency, a folder or empty. ``count`` is how many
    things it is about (0: not countable); ``packets`` are the first of them, oldest first.
    """

    number: int
    reference: str
    level: NoticeLevel
    node: str
    subject: str
    raised_at: datetime
    updated_at: datetime
    over_at: datetime | None
    message: Bilingual
    advice: Bilingual
    count: int = 0
    packets: tuple[PacketKey, ...] = ()


def encode_notice(notice: Notice) -> bytes:
    """The notice as XML. Raises SchemaError when the value cannot be written."""
    root = new_root(
        "notice",
        "notice",
        {
            "formatVersion": FORMAT_VERSION,
            "number": str(notice.number),
            "reference": notice.reference,
            "level": notice.level.value,
            "state": "open" if notice.over_at is None else "over",
        },
    )
    add(root, "node", notice.node)
    if notice.subject:
        add(root, "subject", carried_text(notice.subject))
    add(root, "raisedAt", write_moment(notice.raised_at))
    add(root, "updatedAt", write_moment(notice.updated_at))
    if notice.over_at is not None:
        add(root, "overAt", write_moment(notice.over_at))
    for tag, value in (("message", notice.message), ("advice", notice.advice)):
        parent = add(root, tag)
        add(parent, "zh", carried_text(value.zh))
        add(parent, "en", carried_text(value.en))
    if notice.count:
        add(root, "count", str(notice.count))
    for key in notice.packets[:NOTICE_PACKETS]:
        add(root, "packet", sender=key.sender, packetId=key.packet_id)
    return write_machine_document(root, "notice", limit_bytes=NOTICE_BYTES)


def decode_notice(data: bytes) -> Notice:
    """The value of a notice. Raises FormatError leaves and VersionError."""
    root = read_machine_document(data, "notice", limit_bytes=NOTICE_BYTES)
    over_at, count = text(root, "overAt"), text(root, "count")
    return Notice(
        number=int(attribute(root, "number")),
        reference=attribute(root, "reference"),
        level=NoticeLevel(attribute(root, "level")),
        node=text(root, "node"),
        subject=text(root, "subject"),
        raised_at=read_moment(text(root, "raisedAt")),
        updated_at=read_moment(text(root, "updatedAt")),
        over_at=read_moment(over_at) if over_at else None,
        message=_bilingual(root, "message"),
        advice=_bilingual(root, "advice"),
        count=int(count) if count else 0,
        packets=tuple(
            PacketKey(attribute(each, "sender"), attribute(each, "packetId"))
            for each in children(root, "packet")
        ),
    )


def encode_notice_text(notice: Notice) -> str:
    """The same for reading: Chinese, then English, then the packets. Times are UTC."""
    over_at = "" if notice.over_at is None else f" - {write_moment(notice.over_at)}"
    lines = [
        f"{notice.reference} ({_LEVELS[notice.level]}, {_OPEN if notice.over_at is None else _OVER})",
        f"{notice.node}  {write_moment(notice.raised_at)}{over_at}",
        "",
        carried_text(notice.message.zh),
        carried_text(notice.advice.zh),
        "",
        carried_text(notice.message.en),
        carried_text(notice.advice.en),
        "",
    ]
    shown = notice.packets[:NOTICE_PACKETS]
    if shown:
        lines += [f"{key.sender}/{key.packet_id}" for key in shown]
        if notice.count > len(shown):
            lines.append(f"... +{notice.count - len(shown)}")
        lines.append("")
    return "\n".join(lines)


def _bilingual(root: Element, tag: str) -> Bilingual:
    parent = children(root, tag)[0]
    return Bilingual(text(parent, "zh"), text(parent, "en"))
