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
            "本单位没有收到过来件 {found}，请按 delivery.xml 所列的发送单位和编号重新签收或拒收。",
            "packet {found} was never delivered here; take sender and id from delivery.xml and answer again.",
        ),
        "disposition-too-early": (
            _REFUSE,
            "来件 {found} 尚未送达本单位，请待其出现在收件文件夹后再签收或拒收。",
            "packet {found} is not delivered yet; answer once it lies in the inbox.",
        ),
        "disposition-repeated": (
            _REFUSE,
            "来件 {found} 此前已经签收或拒收，每件只能答复一次；如需更正，请另行向发送单位发送说明。",
            "packet {found} was answered before; only one answer counts. To correct it, send a packet.",
        ),
        "disposition-expired": (
            _REFUSE,
            "来件 {found} 已超过有效期，没有送达本单位，无需签收或拒收。",
            "packet {found} expired before it was delivered; there is nothing to answer.",
        ),
    }
)
