"""Sentences of the findings that only a front-end makes: answers to packets that were delivered (C22)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from packet_spec.findings import Severity

_REFUSE: Final = Severity.REFUSE

# code -> (severity, Chinese template, English template); the words a template may use are listed in
# packet_spec/sentences.py.
SENTENCES: Final[Mapping[str, tuple[Severity, str, str]]] = MappingProxyType(
    {
        "disposition-unknown-packet": (
            _REFUSE,
            "本单位没有收到过编号为 {found} 的来件，请按收件文件夹中 delivery.xml 所列的发送单位和编号重新签收或拒收。",
            "no packet {found} was delivered to this agency; take sender and packet id from its delivery.xml and answer again.",
        ),
        "disposition-too-early": (
            _REFUSE,
            "编号为 {found} 的来件尚未送达本单位，请待其出现在收件文件夹后再签收或拒收。",
            "packet {found} is not delivered yet; answer once it lies in the inbox.",
        ),
        "disposition-repeated": (
            _REFUSE,
            "编号为 {found} 的来件此前已经答复（{expected}），每件只能答复一次；如需更正，请另行向发送单位发送业务包说明。",
            "packet {found} was answered before ({expected}) and is answered once only; "
            "to correct it, send the sender a packet that says so.",
        ),
        "disposition-not-delivered": (
            _REFUSE,
            "编号为 {found} 的来件已终止（{expected}），没有送达本单位，无需签收或拒收。",
            "packet {found} ended as {expected} and was never delivered here; there is nothing to answer.",
        ),
    }
)
