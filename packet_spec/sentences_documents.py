"""Sentences of the findings about the inside of attachments and their indexes (``packet_spec.documents``)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from packet_spec.findings import Severity

_REFUSE, _WARN = Severity.REFUSE, Severity.WARN

# code -> (severity, Chinese template, English template); the words a template may use are listed in
# packet_spec/sentences.py.
SENTENCES: Final[Mapping[str, tuple[Severity, str, str]]] = MappingProxyType(
    {
        "document-format-not-allowed": (
            _REFUSE,
            "附件“{file}”的格式（{found}）不适用于{document_zh}，请改用以下格式之一：{expected}。",
            'the format ({found}) of the attachment "{file}" is none for {document_en}; use {expected}.',
        ),
        "document-empty": (
            _REFUSE,
            "附件“{file}”是空文件，请重新导出后再发送。",
            'the attachment "{file}" is empty; export it again.',
        ),
        "document-format-differs": (
            _REFUSE,
            (
                "附件“{file}”的扩展名表明格式为 {expected}，但内容是另一种格式（{found}），请按真实格式"
                "重新导出，不要只改扩展名。"
            ),
            (
                'the attachment "{file}" is called {expected}, but its content is something else ({found}); '
                "export it in that format instead of renaming it."
            ),
        ),
        "document-executable": (
            _REFUSE,
            "附件“{file}”是程序、脚本或含有宏（{found}），本网络一律不接收，请移除后重新发送。",
            (
                'the attachment "{file}" is a program, a script or holds macros ({found}), which this '
                "network "
                "never takes; take it out."
            ),
        ),
        "document-disguised": (
            _REFUSE,
            "附件“{file}”在 {expected} 内容之外还附有其他数据（{found}），请由原始文件重新导出后发送。",
            (
                'the attachment "{file}" carries something else ({found}) behind its {expected} content; '
                "export it anew from the original."
            ),
        ),
        "document-unreadable": (
            _REFUSE,
            (
                "附件“{file}”无法打开，文件不完整或已损坏（应有 {expected}，实际 {found}），请打开原文件核对"
                "后重新导出并发送。"
            ),
            (
                'the attachment "{file}" cannot be opened, it is cut off or damaged (wanted {expected}, '
                "found "
                "{found}); look at the original and export it again."
            ),
        ),
        "document-encrypted": (
            _REFUSE,
            "附件“{file}”设有密码或已加密（{found}），请解除密码后重新发送。",
            (
                'the attachment "{file}" is protected by a password or encrypted ({found}); remove the '
                "protection."
            ),
        ),
        "document-pages-differ": (
            _REFUSE,
            (
                "附件“{file}”实际为 {found} 页，与 packet.xml 所列的 {expected} 页不符，请核对是否缺页后重新"
                "发送。"
            ),
            (
                'the attachment "{file}" has {found} pages, but packet.xml lists {expected}; check that '
                "none is "
                "missing."
            ),
        ),
        "document-too-large": (
            _REFUSE,
            "附件“{file}”超过上限（{found}，上限 {expected}），请降低分辨率或拆分后重新发送。",
            (
                'the attachment "{file}" is over a limit ({found}, allowed: {expected}); scan it smaller '
                "or split it."
            ),
        ),
        "document-unpacks-too-large": (
            _REFUSE,
            "附件“{file}”解开后过大（{found}，上限 {expected}），请拆分为多个卷宗包后重新发送。",
            'the attachment "{file}" unpacks to too much ({found}, allowed: {expected}); split it.',
        ),
        "document-entry-refused": (
            _REFUSE,
            "附件“{file}”中的“{found}”名称重复、带有两个不同名称、含特殊字符或不是普通文件，请改名后重新打包。",
            (
                'the file "{found}" in the attachment "{file}" is no plain file, has two names or one '
                "that is not taken; rename it and pack again."
            ),
        ),
        "document-archive-nested": (
            _REFUSE,
            "附件“{file}”是压缩包中的压缩包（{found}），请解开后直接放入，或改为 PDF、OFD。",
            'the attachment "{file}" is an archive inside an archive ({found}); put its files in directly.',
        ),
        "document-infected": (
            _REFUSE,
            "附件“{file}”未通过安全扫描，请用杀毒软件检查本单位计算机，并更换该文件后重新发送。",
            'the security scan refuses the attachment "{file}"; check your computers and replace the file.',
        ),
        "index-not-valid": (
            _REFUSE,
            "目录“{file}”第{line}行不符合卷内文件目录的格式（{found}），请按标准重新生成。",
            (
                'the index "{file}" does not fit its format at line {line} ({found}); write it as the '
                "standard says."
            ),
        ),
        "index-not-checked": (
            _WARN,
            "目录“{file}”不是标准的卷内文件目录格式，未与卷宗内容核对，请人工核对。",
            (
                'the index "{file}" is in another vocabulary and was not held against the dossier; check '
                "by hand."
            ),
        ),
        "index-entry-missing": (
            _REFUSE,
            "目录所列的“{file}”（{found}）不在卷宗包中，请补入该文件或更正目录后重新发送。",
            (
                'the index lists "{file}" ({found}), which is not in the dossier; put it in or correct '
                "the index."
            ),
        ),
        "index-entry-differs": (
            _REFUSE,
            "卷宗中的“{file}”与目录不符（目录为 {expected}，实际为 {found}），请核对后重新生成目录。",
            (
                'the file "{file}" is not as the index says ({expected} there, {found} here); write the '
                "index anew."
            ),
        ),
        "index-file-unlisted": (
            _REFUSE,
            "卷宗中的“{file}”没有列入目录，请补列或移出该文件后重新发送。",
            'the file "{file}" of the dossier is not in the index; list it or take it out.',
        ),
    }
)
