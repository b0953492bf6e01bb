"""What an invented document says: issuer, number, parties and a few sentences by its group.

The sentences are generic on purpose; the demo case brings its own (``cli.demo.case_data``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Final

from cli.documents.context import DocumentContext
from cli.fiction.agencies import DEFAULT_AGENCIES, FURTHER_KINDS, LabAgency
from cli.fiction.draw import draw
from cli.fiction.values import SHANGHAI, Situation
from packet_spec.catalogue import DocumentType

# Case numbers by the kind that the envelope gives them.
NUMBER_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {"police": "公安案件编号", "procuratorate": "检察统一受案号", "court": "法院案号", "prison": "罪犯编号"}
)
# The first sign of the document number of each kind of organ (虚公、虚检、虚法 ...).
_NUMBER_SIGNS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "police": "公",
        "procuratorate": "检",
        "court": "法",
        "justice": "司",
        "correction": "矫",
        "prison": "监",
    }
)
_CLOSING: Final = "本文书内容纯属虚构，仅用于演示和测试，与任何真实的人、单位和案件无关。"
_BODIES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "instrument": (
            "{issuer}对{case}进行了审查。",
            "根据有关法律规定，现作出本文书，请{addressee}依法办理。",
        ),
        "form": ("登记事项如下。", "案件：{case}；登记单位：{issuer}；送交单位：{addressee}。"),
        "record": (
            "时间、地点、参加人员已当场核对。",
            "问：你是否清楚自己的诉讼权利？答：清楚。",
            "问：上述情况是否属实？答：属实，与{case}有关的情况我已如实陈述。",
        ),
        "report": ("受{addressee}委托，现就{case}有关事项出具意见。", "经检验、调查，结论见本页。"),
        "evidence": ("本材料系{case}的证据材料，由{issuer}收集并附卷。",),
        "media": ("本视听资料系{case}的证据材料。",),
        "list": ("{case}所附材料、物品清单如下。", "以上各项经核对无误。"),
        "return_slip": ("{addressee}：你单位送来的文书已收悉。", "有关{case}的执行、送达情况如上。"),
        "letter": ("{addressee}：", "现就{case}有关事项函告你单位，请予支持。"),
        "statement": ("关于{case}，现将有关情况说明如下。", "情况属实，特此说明。"),
        "certificate": ("经查询，{case}当事人有关信息如上，特此证明。",),
        "notice": ("{case}定于所列时间、地点进行，特此公告。",),
        "dossier": ("{case}卷宗。",),
        "copy": ("本件与原件核对无异。",),
        "data": ("共享数据（虚构），来源：{issuer}。",),
    }
)


def document_context(document: DocumentType, situation: Situation) -> DocumentContext:
    """The invented content of a document of this type in the packet of ``situation``."""
    issuer = _issuer(document, situation.sender)
    day = situation.created_at.astimezone(SHANGHAI).date()
    words = {"issuer": issuer, "case": situation.case.name, "addressee": situation.receiver.name_zh}
    body = _BODIES.get(document.group, ())
    return DocumentContext(
        document_type=document.code,
        title=document.zh,
        number=_number(document, situation, day),
        issuer=issuer,
        addressee=situation.receiver.name_zh,
        case_name=situation.case.name,
        case_numbers=tuple(
            f"{NUMBER_NAMES.get(kind, kind)}：{value}" for kind, value in situation.case.numbers.items()
        ),
        parties=tuple(map(party_line, situation.case.persons)),
        issued_on=day,
        paragraphs=(*(sentence.format_map(words) for sentence in body), _CLOSING),
        pages=2 if document.group == "record" else 1,
        seed=f"{situation.seed}/{document.code}/{day}",
    )


def party_line(person: Mapping[str, str]) -> str:
    """A person as a document names one: name, sex, birth, papers, residence; what is known of them."""
    parts = [person.get("person_name", "（姓名不详）")]
    parts += {"1": ["男"], "2": ["女"]}.get(person.get("sex", ""), [])
    if birth := person.get("birth_date"):
        parts.append(f"{birth} 出生")
    if number := person.get("id_no"):
        parts.append(f"证件号码 {number}")
    if residence := person.get("residence"):
        parts.append(f"住{residence}")
    return "，".join(parts)


def _issuer(document: DocumentType, sender: LabAgency) -> str:
    """The sender where it may issue such a document, else the lab's agency that may."""
    if sender.kind in document.issuers:
        return sender.name_zh
    for agency in (*DEFAULT_AGENCIES, *FURTHER_KINDS):
        if agency.kind in document.issuers:
            return agency.name_zh
    return "虚构鉴定机构" if document.group == "report" else "虚构出具人"


def _number(document: DocumentType, situation: Situation, day: date) -> str:
    sign = _NUMBER_SIGNS.get(situation.sender.kind, "文")
    serial = draw(situation.seed, f"{document.code}/{day}", 999) + 1
    return f"虚{sign}（{document.code}）字〔{day.year}〕{serial}号"
