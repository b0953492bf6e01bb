"""Sentences of the findings about what a packet says: parties, body, documents, order."""

from __future__ import annotations

from typing import Final

from packet_spec.findings import Severity

_REFUSE: Final = Severity.REFUSE
_WARN: Final = Severity.WARN

_PARTIES: Final = {
    "sender-unknown": (
        _REFUSE,
        "发送单位{found}不在交换目录中。请核对envelope/sender，或联系交换中心登记本单位。",
        (
            "The sender {found} is not in the directory. Check envelope/sender, or ask the exchange centre "
            "to register your agency."
        ),
    ),
    "sender-disabled": (
        _REFUSE,
        "发送单位{found}已在交换目录中停用，不能发送。请联系交换中心了解原因。",
        "The sender {found} is disabled in the directory and may not send. Ask the exchange centre why.",
    ),
    "sender-retired": (
        _REFUSE,
        "发送单位{found}已退出交换，不能再发送新的数据包。请由接替的单位发送，或联系交换中心。",
        (
            "The sender {found} has left the exchange and may send nothing new. Let its successor send, "
            "or ask the exchange centre."
        ),
    ),
    "receiver-unknown": (
        _REFUSE,
        "接收单位{found}不在交换目录中。请核对envelope/receiver中的单位代码。",
        "The receiver {found} is not in the directory. Check the code in envelope/receiver.",
    ),
    "receiver-disabled": (
        _REFUSE,
        "接收单位{found}已在交换目录中停用，目前不能接收。请用其他方式送达，或联系交换中心了解何时恢复。",
        (
            "The receiver {found} is disabled in the directory and can get nothing now. Deliver by another "
            "road, or ask the exchange centre when it comes back."
        ),
    ),
    "receiver-retired": (
        _REFUSE,
        "接收单位{found}已退出交换，不再接收新的数据包。请发送给接替的单位；不清楚时联系交换中心。",
        (
            "The receiver {found} has left the exchange and gets nothing new. Send to its successor; if you "
            "do not know it, ask the exchange centre."
        ),
    ),
    "copy-unknown": (
        _REFUSE,
        "抄送单位{found}不在交换目录中。请核对或删除该抄送单位。",
        "The copy recipient {found} is not in the directory. Correct or remove this copyTo.",
    ),
    "copy-disabled": (
        _REFUSE,
        "抄送单位{found}已在交换目录中停用，目前不能接收。请删除该抄送单位，用其他方式送达。",
        (
            "The copy recipient {found} is disabled in the directory and can get nothing now. Remove this "
            "copyTo, and deliver by another road."
        ),
    ),
    "copy-retired": (
        _REFUSE,
        "抄送单位{found}已退出交换，不再接收新的数据包。请改为接替的单位，或删除该抄送单位。",
        (
            "The copy recipient {found} has left the exchange and gets nothing new. Name its successor, or "
            "remove this copyTo."
        ),
    ),
    "sender-kind": (
        _REFUSE,
        "{found}不能发送本业务类型，可以发送的单位：{expected}。请核对businessType。",
        "An agency of kind {found} may not send this business type; senders: {expected}. Check businessType.",
    ),
    "receiver-kind": (
        _REFUSE,
        "{found}不能接收本业务类型，可以接收的单位：{expected}。请核对接收单位。",
        (
            "An agency of kind {found} may not receive this business type; receivers: {expected}. Check "
            "the receiver."
        ),
    ),
    "copy-kind": (
        _REFUSE,
        "{found}不能作为本业务类型的抄送单位，可以抄送：{expected}。请删除或更正该抄送单位。",
        (
            "An agency of kind {found} may not get a copy of this business type; copies: {expected}. "
            "Correct or remove this copyTo."
        ),
    ),
    "level-wrong": (
        _REFUSE,
        "接收单位的级别不对：应为{expected}，实为{found}。请核对接收单位。",
        "The receiver's level is wrong: expected {expected}, found {found}. Check the receiver.",
    ),
    "recipient-is-sender": (
        _REFUSE,
        "发送单位{found}同时是接收单位或抄送单位。请更正接收单位。",
        "The sender {found} is also a receiver or copy. Correct the receiver.",
    ),
    "type-not-allowed": (
        _REFUSE,
        "单位{element}未开通业务类型{found}，已开通：{expected}。请联系交换中心。",
        (
            "The agency {element} is not admitted to business type {found}; admitted: {expected}. Ask the "
            "exchange centre."
        ),
    ),
    "case-kind-not-allowed": (
        _REFUSE,
        "单位{element}未开通案件类别{found}，已开通：{expected}。请核对案件类别，或按原方式办理。",
        (
            "The agency {element} is not admitted to case kind {found}; admitted: {expected}. Check the "
            "case kind, or send the case as before."
        ),
    ),
}

_ROUTES: Final = {
    "type-not-on-route": (
        _REFUSE,
        "发往该单位（{element}）的业务未开通业务类型{found}，已开通：{expected}。请按原方式办理，或联系交换中心。",
        (
            "Business type {found} is not open on the route to {element}; open: {expected}. Send it as "
            "before, or ask the exchange centre."
        ),
    ),
    "case-kind-not-on-route": (
        _REFUSE,
        "发往该单位（{element}）的业务未开通案件类别{found}，已开通：{expected}。请核对案件类别，或按原方式办理。",
        (
            "Case kind {found} is not open on the route to {element}; open: {expected}. Check the case kind, "
            "or send the case as before."
        ),
    ),
}

_TYPES: Final = {
    "type-unknown": (
        _REFUSE,
        "没有业务类型{found}。请按业务类型目录更正businessType。",
        "There is no business type {found}. Correct businessType by the catalogue.",
    ),
    "type-disabled": (
        _REFUSE,
        "业务类型{found}为预留，尚未启用。请按原方式办理。",
        "The business type {found} is reserved and not in use. Send this business as before.",
    ),
    "body-not-valid": (
        _REFUSE,
        "数据体第{line}行不符合数据规范。请对照规范更正该行。",
        "The body does not fit the schema at line {line}. Correct that line by the schema.",
    ),
    "case-kind-unknown": (
        _REFUSE,
        "没有案件类别{found}。请使用案件类别目录中的代码。",
        "There is no case kind {found}. Use a code of the list of case kinds.",
    ),
    "approval-missing": (
        _REFUSE,
        "缺少{element_zh}。本业务类型须经审批（依据{expected}），请在信封中填写批准人和批准日期。",
        (
            "{element_en} is missing. This business type needs approval ({expected}); give approver and "
            "approvedOn in the envelope."
        ),
    ),
}

_FIELDS: Final = {
    "field-missing": (
        _REFUSE,
        "缺少必填项{element_zh}。请补填后重新发送。",
        "The required field {element_en} is missing. Fill it in and send again.",
    ),
    "field-missing-conditional": (
        _REFUSE,
        "缺少{element_zh}：{expected}时必须填写。请补填后重新发送。",
        "{element_en} is missing: it is required where {expected}. Fill it in and send again.",
    ),
    "field-empty": (
        _REFUSE,
        "{element_zh}为空。请填写内容；没有内容的选填项请整项删除。",
        "{element_en} is empty. Fill it in; leave an optional field out altogether.",
    ),
    "field-not-allowed": (
        _REFUSE,
        "{element_zh}不属于本业务类型的数据项。请删除。",
        "{element_en} is not a field of this business type. Remove it.",
    ),
    "field-belongs-in-envelope": (
        _REFUSE,
        "{element_zh}应写在信封的{expected}中，不在数据体中重复。请从数据体中删除。",
        "{element_en} belongs into {expected} of the envelope. Remove it from the body.",
    ),
    "field-repeated": (
        _REFUSE,
        "{element_zh}出现不止一次。请只保留一次。",
        "{element_en} stands more than once. Keep it once.",
    ),
    "field-misplaced": (
        _REFUSE,
        "{element_zh}的位置不对，应放在{expected}之前。请按规范顺序排列。",
        "{element_en} is in the wrong place; it belongs before {expected}. Keep the order of the schema.",
    ),
    "attribute-not-allowed": (
        _REFUSE,
        "{element_zh}带有不允许的属性{found}。请删除该属性。",
        "{element_en} has the attribute {found}, which is not allowed. Remove it.",
    ),
    "text-not-allowed": (
        _REFUSE,
        "{element_zh}中有多余的文字或子项。请只保留规范规定的内容。",
        "{element_en} holds text or elements that do not belong there. Keep what the schema names.",
    ),
    "value-wrong": (
        _REFUSE,
        "{element_zh}的值“{found}”格式不对，应为：{expected}。请更正。",
        "The value '{found}' of {element_en} has the wrong form; expected: {expected}. Correct it.",
    ),
    "value-too-long": (
        _REFUSE,
        "{element_zh}太长，最多{expected}个字符。请缩短，详细内容放入文书。",
        (
            "{element_en} is too long; at most {expected} characters. Shorten it and put the detail in a "
            "document."
        ),
    ),
    "code-not-in-list": (
        _REFUSE,
        "{element_zh}的代码“{found}”不在代码表中，可用：{expected}。请更正。",
        "The code '{found}' of {element_en} is not in its list; use one of: {expected}.",
    ),
    "number-out-of-range": (
        _REFUSE,
        "{element_zh}为{found}，超出允许范围：{expected}。请核对。",
        "{element_en} is {found}, outside the allowed range: {expected}. Check it.",
    ),
    "list-too-short": (
        _REFUSE,
        "{element_zh}只有{found}项，至少应有{expected}项。请补充。",
        "{element_en} has {found} items; at least {expected} are needed. Add what is missing.",
    ),
    "list-too-long": (
        _REFUSE,
        "{element_zh}有{found}项，最多{expected}项。请分成几个数据包发送。",
        "{element_en} has {found} entries; at most {expected} are taken. Send several packets.",
    ),
    "agency-kind-wrong": (
        _REFUSE,
        "{element_zh}填写的{found}不是{expected}的单位代码。请更正。",
        "{element_en} holds {found}, which is not the code of an agency of kind {expected}. Correct it.",
    ),
    "date-placeholder": (
        _REFUSE,
        "{element_zh}为占位日期{found}。请填写真实日期；不知道的选填日期请整项删除。",
        (
            "{element_en} holds the placeholder {found}. Give the real date; leave out an optional date "
            "that is not known."
        ),
    ),
    "person-number-repeated": (
        _REFUSE,
        "{element_zh}“{found}”与另一人相同。请为每人使用不同的人员编号。",
        "{element_en} '{found}' is that of another person too. Give each person a number of their own.",
    ),
    "name-middle-dot": (
        _WARN,
        "{element_zh}中的间隔号应为“·”（{expected}），现为其他字符。数据已原样保留，请核对。",
        (
            "The middle dot in {element_en} should be {expected}; it is another character. It is kept as it "
            "is; check it."
        ),
    ),
    "name-private-use": (
        _WARN,
        "{element_zh}含有自造字。数据已原样保留，请另附姓名的图片。",
        "{element_en} holds a private character. It is kept as it is; attach a picture of the name.",
    ),
}

_NUMBERS: Final = {
    "id-number-missing": (
        _WARN,
        "缺少{element_zh}。如身份不明，请将证件类型填为none。",
        "{element_en} is missing. Where the identity is unknown, give id_type none.",
    ),
    "id-number-shape": (
        _REFUSE,
        "{element_zh}“{found}”不是18位居民身份证号码。请核对。",
        "{element_en} '{found}' is not an 18-character identity card number. Check it.",
    ),
    "id-number-check-digit": (
        _REFUSE,
        "{element_zh}“{found}”的校验码不对。请逐位核对证件号码。",
        "The check digit of {element_en} '{found}' is wrong. Compare the number with the card.",
    ),
    "id-number-birth-date": (
        _REFUSE,
        "{element_zh}“{found}”中的出生日期不可能。请核对证件号码。",
        "The birth date inside {element_en} '{found}' is not possible. Compare the number with the card.",
    ),
    "id-number-differs": (
        _REFUSE,
        "{element_zh}为“{found}”，与身份证号码所载“{expected}”不一致。请核对两项。",
        "{element_en} is '{found}', but the identity card number says '{expected}'. Check both.",
    ),
    "id-number-old": (
        _WARN,
        "{element_zh}为15位旧号码，换算为{expected}。请核对后改填18位号码。",
        (
            "{element_en} is an old number of 15 digits; converted it reads {expected}. Check it and give "
            "the number of 18 characters."
        ),
    ),
    "id-number-division": (
        _WARN,
        "{element_zh}“{found}”的前两位不是省级行政区划代码。请核对证件号码。",
        (
            "{element_en} '{found}' does not begin with the code of a province. Compare the number with the "
            "card."
        ),
    ),
    "id-type-doubtful": (
        _WARN,
        "{element_zh}为{found}，但证件号码像是{expected}的号码。请核对证件类型。",
        (
            "{element_en} is {found}, but the number looks like that of {expected}. Check which paper it "
            "is."
        ),
    ),
    "credit-code-check": (
        _WARN,
        "{element_zh}中的“{found}”像统一社会信用代码，但校验码不对。请核对。",
        (
            "'{found}' in {element_en} looks like a unified social credit code, but its check characters "
            "are wrong. Check it."
        ),
    ),
    "paper-number-shape": (
        _WARN,
        "{element_zh}“{found}”不像该类证件的号码，例如：{expected}。请核对。",
        (
            "{element_en} '{found}' does not look like a number of this kind of paper, such as "
            "{expected}. Check it."
        ),
    ),
    "case-number-shape": (
        _REFUSE,
        "{element_zh}“{found}”格式不对，例如：{expected}。请核对案号。",
        "{element_en} '{found}' has the wrong form; an example: {expected}. Check the number.",
    ),
    "case-number-old": (
        _WARN,
        "{element_zh}“{found}”是2016年以前的旧案号。请确认没有新案号。",
        "{element_en} '{found}' is a court number of before 2016. Make sure that there is no newer one.",
    ),
}

_DOCUMENTS: Final = {
    "document-missing": (
        _REFUSE,
        "缺少必备文书{document_zh}。请补齐后重新发送。",
        "The required document {document_en} is missing. Add it and send again.",
    ),
    "document-missing-one-of": (
        _REFUSE,
        "下列文书至少应有一份：{expected}。请补齐后重新发送。",
        "At least one of these documents must be there: {expected}. Add it and send again.",
    ),
    "document-missing-conditional": (
        _REFUSE,
        "缺少文书{document_zh}：{expected}时必须附上。请补齐后重新发送。",
        "The document {document_en} is missing: it is required where {expected}. Add it and send again.",
    ),
    "document-not-allowed": (
        _REFUSE,
        "文件“{file}”的文书类型{document_zh}不属于本业务类型。请删除该文件或更正documentType。",
        (
            "The file '{file}' is of type {document_en}, which this business type does not carry. Remove "
            "it or correct documentType."
        ),
    ),
    "document-unknown": (
        _REFUSE,
        "没有文书类型“{found}”。请按文书目录更正代码。",
        "There is no document type '{found}'. Correct the code by the catalogue.",
    ),
}

_ORDER: Final = {
    "predecessor-missing": (
        _REFUSE,
        "本案尚未收到{found}之前应有的业务：{expected}。请先发送前序业务，或核对案号。",
        (
            "Before {found} the case must have had one of: {expected}. Send that first, or check the case "
            "number."
        ),
    ),
    "predecessor-expected": (
        _WARN,
        "本案在{found}之前通常有：{expected}，平台上没有记录。请确认没有漏发。",
        (
            "Before {found} a case usually has one of: {expected}; there is none on record. Make sure "
            "that nothing was left out."
        ),
    ),
    "forbidden-after": (
        _REFUSE,
        "本案已有{expected}，不能再发送{found}。请核对案号；如案件已重新启动，请先发送重启的文书。",
        (
            "The case has had {expected}, so {found} can no longer be sent. Check the case number; if the "
            "case was reopened, the packet that reopens it goes first."
        ),
    ),
}

# code -> (severity, Chinese template, English template); the words a template may use are listed in
# packet_spec/sentences.py.
SENTENCES: Final[dict[str, tuple[Severity, str, str]]] = {
    **_PARTIES,
    **_ROUTES,
    **_TYPES,
    **_FIELDS,
    **_NUMBERS,
    **_DOCUMENTS,
    **_ORDER,
}
