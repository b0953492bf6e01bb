"""Sentences of the findings about a drop as a whole: its files, its zip, its sender, its identity (C13)."""

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
        "drop-not-plain": (
            _REFUSE,
            (
                "“{file}”不是普通文件（{found}），未被读取，仍留在发件文件夹中；请删除后改为存放普"
                "通文件或文件夹。"
            ),
            (
                '"{file}" is not a plain file ({found}); it was not read and still lies in the '
                "outbox. Remove it and drop a plain file or folder."
            ),
        ),
        "drop-kind-unknown": (
            _REFUSE,
            (
                "“{file}”既不是文件夹，也不是 .zip 或 .xml 文件，未被读取，仍留在发件文件夹中；请移"
                "走或按标准重新存放。"
            ),
            (
                '"{file}" is neither a folder nor a .zip or .xml file; it was not read and still '
                "lies in the outbox. Take it away or drop it as the standard says."
            ),
        ),
        "drop-too-many-files": (
            _REFUSE,
            "发件中的文件过多（上限 {expected}），请合并文书或分包发送。",
            "the drop holds too many files (allowed: {expected}); join documents or send several packets.",
        ),
        "packet-xml-missing": (
            _REFUSE,
            "压缩包中没有 packet.xml（应位于根目录或唯一的一级文件夹中），请重新打包。",
            "the zip holds no packet.xml at its root or in its one top folder; pack it again.",
        ),
        "packet-xml-empty": (
            _REFUSE,
            "packet.xml 是空文件，请由办案系统重新生成后再发送。",
            "packet.xml is empty; let the case software write it anew.",
        ),
        "marker-differs": (
            _REFUSE,
            "完成标记中写明的大小或摘要与“{file}”不符，请由办案系统重新生成后再发送。",
            (
                'the size or digest in the marker is not that of "{file}"; let the case software '
                "write both anew."
            ),
        ),
        "attachment-unlisted": (
            _REFUSE,
            "文件“{found}”没有列入 packet.xml 的附件清单，请补列该附件或移走该文件。",
            'the file "{found}" is not listed in packet.xml; list it as an attachment or take it out.',
        ),
        "attachment-file-twice": (
            _REFUSE,
            "文件名“{found}”重复（大小写不同也视为相同），请改名后重新发送。",
            'the file name "{found}" occurs twice (case does not count); rename one.',
        ),
        "attachment-size-differs": (
            _REFUSE,
            (
                "附件“{file}”的大小为 {found} 字节，与 packet.xml 所列的 {expected} 字节不符，请核"
                "对文件是否完整后重新发送。"
            ),
            (
                'the attachment "{file}" has {found} bytes, but packet.xml lists {expected}; check '
                "that the file is whole and send again."
            ),
        ),
        "attachment-digest-differs": (
            _REFUSE,
            "附件“{file}”的内容与 packet.xml 所列的摘要不符，请核对文件是否被改动或损坏后重新发送。",
            (
                'the content of the attachment "{file}" does not match the sha256 in packet.xml; '
                "check that the file was neither changed nor damaged and send again."
            ),
        ),
        "agency-not-own": (
            _REFUSE,
            "发送单位写为 {found}，但本前置机只能以 {expected} 的名义发送，请更正发送单位。",
            "the sender is {found}, but this front-end sends for {expected} only; correct the sender.",
        ),
        "packet-id-reused": (
            _REFUSE,
            "数据包编号 {found} 已用于内容不同的另一件，请更换编号，或不填编号由系统分配。",
            (
                "packet id {found} was used for other content before; use a new one, or leave it "
                "out to be given one."
            ),
        ),
        "receiver-unreachable": (
            _REFUSE,
            "无法向单位 {found} 发送，请核对单位代码；代码无误的，请联系省级交换中心。",
            (
                "nothing can be sent to agency {found}; check the code, and if it is right, ask "
                "the provincial centre."
            ),
        ),
        "zip-damaged": (
            _REFUSE,
            "压缩包不完整或结构不正确（{found}），请重新打包后发送。",
            "the zip is damaged or not well-formed ({found}); pack it again.",
        ),
        "zip-entry-refused": (
            _REFUSE,
            "压缩包中的“{found}”不能接收，请只放入普通文件，每个文件只有一个名称，名称中不得含路径、特殊字符。",
            'the zip entry "{found}" is not taken; use plain files with one plain name each and no folders.',
        ),
        "zip-protected": (
            _REFUSE,
            "压缩包中的“{found}”已加密或使用了不支持的压缩方式，请改用普通 zip 格式重新打包。",
            'the zip entry "{found}" is encrypted or packed by a method that is not read; pack a plain zip.',
        ),
        "zip-too-large": (
            _REFUSE,
            "压缩包解开后超过上限（{expected}），请分包发送，或改为以文件夹形式存放。",
            "the zip unpacks to more than is allowed ({expected}); send several packets or drop a folder.",
        ),
    }
)
