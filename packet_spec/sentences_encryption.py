"""Sentences of the findings about encrypted parts."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from packet_spec.findings import Severity

_REFUSE: Final = Severity.REFUSE

SENTENCES: Final[Mapping[str, tuple[Severity, str, str]]] = MappingProxyType(
    {
        "encryption-required": (
            _REFUSE,
            "机构名录要求此路线的附件加密，而该件未加密；请在前置机更新机构名录后重新发送。",
            (
                "the directory wants attachments on this route encrypted, and these are not; send the packet"
                " again once your front-end has the new directory."
            ),
        ),
        "encryption-not-foreseen": (
            _REFUSE,
            "机构名录未规定此路线的附件加密，而该件已加密，无法检查；请在前置机更新机构名录后重新发送。",
            (
                "the directory foresees no encryption on this route, so the attachments could not be checked;"
                " send the packet again once your front-end has the new directory."
            ),
        ),
        "encryption-recipient-missing": (
            _REFUSE,
            "该件没有用 {found} 的有效密钥加密，对方无法打开；请在前置机更新机构名录后重新发送。",
            (
                "the packet is not encrypted to a key of {found} that counted when it was sealed; send it"
                " again once your front-end has the new directory."
            ),
        ),
        "encryption-not-openable": (
            _REFUSE,
            "该件的加密附件在接收单位无法打开，请由发送单位运维人员检查前置机后重新发送。",
            (
                "the encrypted attachments could not be opened at the receiver; let the sender's IT staff"
                " check its front-end, then send again."
            ),
        ),
        "opened-part-differs": (
            _REFUSE,
            "附件“{file}”解密后与 packet.xml 所列的大小或摘要不符，请重新发送。",
            (
                'once opened, the attachment "{file}" has another size or sha256 than packet.xml states;'
                " send it again."
            ),
        ),
        "opened-document-refused": (
            _REFUSE,
            (
                "附件“{file}”解密后未通过文件检查（{found}），请在本单位用 exchangectl packet check "
                "检查原件，改正后重新发送。"
            ),
            (
                'once opened, the attachment "{file}" does not pass the check of documents ({found}); look at'
                " the original with exchangectl packet check, and send it again."
            ),
        ),
    }
)
