"""The words of the guide's generated pages, in both languages, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Language = Literal["zh", "en"]

# What is said -> Chinese, English.
WORDS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "types": ("业务类型", "Business types"),
        "codes": ("代码", "Codes"),
        "findings": ("问题代码", "Findings"),
        "made-from": (
            "本页由目录生成，目录摘要 {digest}，版本 {version}。目录根据公开的法律文本起草，不是官方标准。",
            "From catalogue {digest}, version {version}; from public law texts, no official standard.",
        ),
        "code": ("代码", "Code"),
        "name": ("名称", "Name"),
        "number": ("单位代码中段", "Middle part of agency codes"),
        "severity": ("级别", "Severity"),
        "says": ("问题及处理办法", "What is wrong, and what to do"),
        "kind": ("性质", "Kind"),
        "request": ("请求，需要答复", "request; an answer is expected"),
        "reply": ("答复", "reply"),
        "notice": ("告知，只需回执", "notice; receipts are all that comes back"),
        "unit": ("每件涉及", "One packet per"),
        "case": ("一个案件", "case"),
        "person": ("一人", "person"),
        "none": ("不涉及案件", "no case"),
        "senders": ("发送单位", "Senders"),
        "receivers": ("接收单位", "Receivers"),
        "copies": ("可抄送", "Copies to"),
        "level": ("接收单位级别", "Level of the receiver"),
        "any": ("不限", "any"),
        "same": ("与发送单位同级", "the sender's own"),
        "receiver_one_above": ("上一级", "one above the sender"),
        "receiver_below": ("下级", "below the sender"),
        "answers": ("答复以", "Answered by"),
        "answers-to": ("用于答复", "Answers"),
        "acceptance": (
            "接收单位须以受理、退回或补送通知答复",
            "the receiver owes acceptance, return or a request for more",
        ),
        "before": ("此前须有其一", "One of these came before"),
        "usually-before": ("此前一般有其一", "Usually one of these came before"),
        "approval": ("审批", "Approval"),
        "approved": ("信封须填写批准人和批准日期", "approver and approvedOn stand in the envelope"),
        "of-case-kinds": ("案件类别代码，见 codes.md", "code of a kind of case: codes.md"),
        "law": ("依据", "Basis"),
        "reserved": (
            "保留的类型：目前关闭，发送会被拒收（type-disabled）。",
            "Reserved: switched off at present, and refused (type-disabled).",
        ),
        "documents": ("文书", "Documents"),
        "fields": ("字段", "Fields"),
        "document": ("文书", "Document"),
        "field": ("字段", "Field"),
        "place": ("位置", "Place"),
        "formats": ("常用格式", "Usual formats"),
        "needed": ("是否必备", "Needed"),
        "required": ("必备", "required"),
        "one-of": ("以下组内至少一项：第{number}组", "at least one of group {number}"),
        "if": ("当 {when} 时必备", "required if {when}"),
        "optional": ("可选", "optional"),
        "value": ("值", "Value"),
        "no-documents": ("没有必备文书。", "No documents."),
        "example": ("样例", "Examples"),
        "body": ("数据体", "body"),
        "each-person": ("每个 person", "each person"),
        "string": ("文字，最多 {length} 字", "text, at most {length} characters"),
        "bool": ("true 或 false", "true or false"),
        "date": ("日期，如 2026-07-15", "date, such as 2026-07-15"),
        "datetime": (
            "带时区的时间，如 2026-07-15T09:30:00+08:00",
            "time with offset, such as 2026-07-15T09:30:00+08:00",
        ),
        "integer": ("整数", "whole number"),
        "range": ("整数，{least} 至 {most}", "whole number, {least} to {most}"),
        "decimal": ("数值，最多两位小数", "number with at most two decimals"),
        "agency": ("单位代码", "agency code"),
        "free-code": ("代码，由实施单位规定", "code, chosen by the deployment"),
        "list": ("若干 item", "items"),
        "persons": ("若干 person，各含下列人员字段", "person elements, each with the person fields below"),
        "document-items": ("若干 item，各为文书代码", "items, each the code of a document"),
        "agency-kinds": ("单位种类", "Kinds of agency"),
        "case-kinds": ("案件类别", "Kinds of case"),
        "documents-all": ("文书种类", "Kinds of document"),
        "patterns": ("编号格式", "Shapes of numbers"),
        "refuse": ("拒收", "refuses"),
        "warn": ("提示", "warns"),
    }
)


def word(key: str, language: Language) -> str:
    """The words for ``key``."""
    return WORDS[key][0 if language == "zh" else 1]
