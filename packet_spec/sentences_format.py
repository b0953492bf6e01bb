"""Sentences of the findings about the format itself: XML, envelope, attachments, encoding, seal."""

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
        "xml-not-wellformed": (
            _REFUSE,
            "{file} 第{line}行处不是完整、正确的 XML，请由办案系统重新生成后再发送。",
            "{file} stops being well-formed XML at line {line}; let the case software write it anew.",
        ),
        "control-character": (
            _REFUSE,
            "{file} 第{line}行含有 XML 不允许的字符（{found}），请删除该字符后重新发送。",
            "{file} holds a character that XML does not allow ({found}) at line {line}; remove it.",
        ),
        "doctype-refused": (
            _REFUSE,
            "{file} 含有 DOCTYPE 声明，本网络一律不接收，请删除该声明后重新发送。",
            "{file} has a DOCTYPE, which this network never takes; remove it.",
        ),
        "too-large": (
            _REFUSE,
            "{file} 过大（{found}，上限 {expected}），请把文书作为附件发送，不要写入 XML。",
            "{file} is too large ({found}, allowed: {expected}); send documents as attachments.",
        ),
        "too-deep": (
            _REFUSE,
            "{file} 第{line}行的元素嵌套过深（上限 {expected}），请联系办案系统的维护人员。",
            "{file} nests its elements too deeply at line {line} (allowed: {expected}); ask your vendor.",
        ),
        "too-many-attributes": (
            _REFUSE,
            "{file} 第{line}行的元素属性过多（上限 {expected}），请联系办案系统的维护人员。",
            "{file} has too many attributes at line {line} (allowed: {expected}); ask your vendor.",
        ),
        "root-unexpected": (
            _REFUSE,
            "{file} 的根元素应为 {expected}，实际为 {found}，请按数据交换标准重新生成。",
            "the root element of {file} must be {expected}, not {found}; write it as the standard says.",
        ),
        "element-missing": (
            _REFUSE,
            "{element} 缺少必填内容 {expected}，请补填后重新发送。",
            "{element} lacks {expected}; fill it in.",
        ),
        "element-unexpected": (
            _REFUSE,
            "{element} 不应出现在此处，此处应为 {expected}，请检查是否漏填、重复或顺序有误。",
            "{element} may not stand where {expected} is expected; look for a missing or misplaced field.",
        ),
        "attribute-missing": (
            _REFUSE,
            "{element} 没有填写，请补填后重新发送。",
            "{element} is not filled in; fill it in.",
        ),
        "attribute-unexpected": (
            _REFUSE,
            "{element} 不是标准中的属性，请删除后重新发送。",
            "{element} is not an attribute of the standard; remove it.",
        ),
        "value-invalid": (
            _REFUSE,
            "{element} 的值“{found}”不符合要求（应为：{expected}），请更正后重新发送。",
            'the value "{found}" of {element} is not allowed (required: {expected}); correct it.',
        ),
        "schema-violated": (
            _REFUSE,
            "{file} 第{line}行不符合数据交换标准的结构，请联系办案系统的维护人员。",
            "{file} does not fit the structure of the standard at line {line}; ask your vendor.",
        ),
        "secrecy-refused": (
            _REFUSE,
            "密级“{found}”的内容不得经本网络传输，请改用规定的涉密渠道。",
            'content marked "{found}" must not travel over this network; use the prescribed channel.',
        ),
        "recipient-twice": (
            _REFUSE,
            "单位 {found} 在接收、抄送单位中重复出现，请保留一个后重新发送。",
            "agency {found} is named twice among receiver and copies; name it once.",
        ),
        "reply-sender-missing": (
            _REFUSE,
            "inReplyTo 没有写明原包的发送单位，请从 delivery.xml 中原样复制该元素。",
            "inReplyTo does not name the answered packet's sender; copy the element from delivery.xml.",
        ),
        "body-mismatch": (
            _REFUSE,
            "正文元素为 {found}，与信封中的业务类型 {expected} 不一致，请更正其中之一。",
            "the body is {found}, but the envelope says {expected}; correct one of them.",
        ),
        "too-many-attachments": (
            _REFUSE,
            "附件共 {found} 个，超过上限（{expected}），请合并文书或分包发送。",
            "there are {found} attachments (allowed: {expected}); join documents or send several packets.",
        ),
        "attachment-name-refused": (
            _REFUSE,
            "附件名“{found}”不能使用，请改为不含路径、特殊字符的文件名。",
            'the attachment name "{found}" cannot be used; use a plain file name without folders.',
        ),
        "attachment-twice": (
            _REFUSE,
            "附件名“{found}”重复（大小写不同也视为相同），请改名后重新发送。",
            'the attachment name "{found}" is listed twice (case does not count); rename one.',
        ),
        "attachment-size-missing": (
            _REFUSE,
            "附件“{found}”没有写明大小（size），请由办案系统补上。",
            'the attachment "{found}" does not state its size; let the case software add it.',
        ),
        "attachment-digest-missing": (
            _REFUSE,
            "附件“{found}”没有写明摘要（sha256），请由办案系统补上。",
            'the attachment "{found}" does not state its sha256; let the case software add it.',
        ),
        "encoding-undecodable": (
            _REFUSE,
            "{file} 第{line}行的字节不是 {expected} 编码，请按声明的编码重新保存。",
            "{file} is not {expected} at line {line}; save it in the encoding that it declares.",
        ),
        "encoding-unsupported": (
            _REFUSE,
            "{file} 声明的编码“{found}”不受支持，请改用 UTF-8 或 GB18030。",
            '{file} declares the encoding "{found}", which is not supported; use UTF-8 or GB18030.',
        ),
        "encoding-misdeclared": (
            _WARN,
            "{file} 声明的编码是 {expected}，实际是 {found}，已按实际编码读取，请联系维护人员改正。",
            "{file} declares {expected} but was read as {found}, which it is; ask your vendor to correct it.",
        ),
        "encoding-ambiguous": (
            _WARN,
            "{file} 按 {expected} 和 {found} 都能读通，已按 {found} 读取，请核对其中的姓名和地名。",
            "{file} can be read as {expected} and as {found}; it was read as {found}. Check the names in it.",
        ),
        "seal-differs": (
            _REFUSE,
            "封签中的 {element} 与 packet.xml 不一致（应为 {expected}，实际为 {found}），请重新发送。",
            "the seal says {found} for {element}, packet.xml says {expected}; send the packet again.",
        ),
        "parts-differ": (
            _REFUSE,
            "附件与封签不一致（{element}：应为 {expected}，实际为 {found}），请重新发送。",
            "{element} is {expected} in packet.xml and {found} in the seal; send the packet again.",
        ),
        "findings-cut": (
            _WARN,
            "另有 {found} 条问题因篇幅所限没有列出，请改正以上问题后重新检查。",
            "{found} more findings are left out for length; correct these and check again.",
        ),
        "reason-missing": (
            _REFUSE,
            "拒收时必须写明理由，请在 disposition 中至少填写一条 finding。",
            "a refusal needs a reason; give at least one finding in the disposition.",
        ),
    }
)
