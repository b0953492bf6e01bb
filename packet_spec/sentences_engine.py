"""Sentences of the findings that a node makes beyond the packet itself (C12, C17, C21)."""

from __future__ import annotations

from typing import Final

from packet_spec.findings import Severity

SENTENCES: Final[dict[str, tuple[Severity, str, str]]] = {
    "supersedes-not-allowed": (
        Severity.REFUSE,
        "“supersedes”只能填写本单位此前发给同一接收单位的数据包编号；请核对后重新发送。",
        "supersedes may only name a packet of your own to the same receiver; check the id and send again.",
    ),
    "reply-not-allowed": (
        Severity.REFUSE,
        "“inReplyTo”只能由所答复数据包的接收单位填写；请核对来文的数据包编号及其发送单位后重新发送。",
        "only a recipient may name a packet in inReplyTo; check its packet id and sender and send again.",
    ),
    "case-not-open-to-sender": (
        Severity.REFUSE,
        "本单位不能以此业务类型向所填案件编号发送；请核对案件编号，或先由有关单位移送。",
        "your agency may not send this type in this case; check its numbers, or ask the agency in charge.",
    ),
    "discarded-by-operator": (
        Severity.REFUSE,
        "该件在途中的节点上无法处理，经运维人员核查后放弃，没有送达；请与省级交换中心联系后重新发送。",
        "a node on the way gave it up; ask the provincial centre why, then send it again.",
    ),
}
