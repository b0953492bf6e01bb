"""What the documents of the demo case say: issuer, number, date and text of each document type.

A document has one content for the whole case, so that the copy that goes to the next agency is the same
file, byte for byte. Where the story has a second document of a type (the procuratorate's own decision on
bail), it stands in ``SECOND`` under the row that first sends it. Everything is fictional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from types import MappingProxyType
from typing import Final

from cli.demo.case_data import CASE_NAME, COURT_NUMBER, POLICE_NUMBER, PROCURATORATE_NUMBER, SENTENCE, SUSPECT
from cli.documents.context import DocumentContext
from cli.fiction.agencies import find_agency
from cli.fiction.texts import NUMBER_NAMES, party_line
from packet_spec.catalogue import Catalogue

_FACTS: Final = (
    "经依法侦查查明：2026年7月4日22时40分许，李某甲饮酒后驾驶虚A·F0001号小型轿车行驶至虚构县和平路口时，"
    "被执勤民警查获。经呼气酒精检测，结果为165毫克/100毫升；经鉴定，其血液中酒精含量为178.4毫克/100毫升。"
)
_PLEA: Final = "李某甲到案后如实供述，自愿认罪认罚。"
# Experts are no agency of the directory.
_EXPERTS: Final = "虚构司法鉴定中心"


@dataclass(frozen=True, slots=True)
class DemoDocument:
    """One document of 2026; ``issuer`` and ``addressee`` are aliases or plain names."""

    issuer: str
    addressee: str
    month: int
    day: int
    number: str
    paragraphs: tuple[str, ...]
    pages: int = 1


def _police(month: int, day: int, number: str, *paragraphs: str, pages: int = 1) -> DemoDocument:
    return DemoDocument("POL", "PRO", month, day, number, paragraphs, pages)


def _procuratorate(
    addressee: str, month: int, day: int, number: str, *paragraphs: str, pages: int = 1
) -> DemoDocument:
    return DemoDocument("PRO", addressee, month, day, number, paragraphs, pages)


def _court(
    addressee: str, month: int, day: int, number: str, *paragraphs: str, pages: int = 1
) -> DemoDocument:
    return DemoDocument("CRT", addressee, month, day, number, paragraphs, pages)


def _correction(addressee: str, month: int, day: int, number: str, *paragraphs: str) -> DemoDocument:
    return DemoDocument("COR", addressee, month, day, number, paragraphs)


DOCUMENTS: Final[Mapping[str, DemoDocument]] = MappingProxyType(
    {
        "POL-001": _police(
            7,
            5,
            "虚公（交）受案字〔2026〕101号",
            "2026年7月4日22时40分，交通警察大队执勤民警在和平路口设卡检查时，发现李某甲涉嫌酒后驾驶机动车。",
            "受案意见：属本单位管辖，建议及时调查处理。",
        ),
        "POL-002": _police(
            7,
            8,
            "虚公（交）立字〔2026〕58号",
            "根据《中华人民共和国刑事诉讼法》第一百一十二条之规定，决定对李某甲危险驾驶案立案侦查。",
        ),
        "POL-008": _police(
            7,
            9,
            "虚公（交）报备字〔2026〕58号",
            "李某甲危险驾驶案已于2026年7月8日立案，同日决定取保候审，现予报备。",
        ),
        "POL-020": _police(
            7,
            14,
            "虚公（交）诉字〔2026〕12号",
            _FACTS,
            _PLEA,
            "综上所述，李某甲的行为触犯了《中华人民共和国刑法》第一百三十三条之一，涉嫌危险驾驶罪，特移送审查起诉。",
            pages=2,
        ),
        "POL-022": _police(
            7,
            14,
            "虚公（交）速裁建字〔2026〕9号",
            "本案事实清楚，证据确实、充分，李某甲认罪认罚，建议适用速裁程序办理。",
        ),
        "POL-023": _police(
            7,
            8,
            "虚公（交）取保字〔2026〕31号",
            "决定对李某甲取保候审，期限从2026年7月8日起算，由李某甲交纳保证金人民币一千元。",
        ),
        "POL-024": _procuratorate(
            "POL",
            7,
            16,
            "虚检刑取保执〔2026〕7号",
            "我院决定对李某甲取保候审，请依法执行并将执行情况回复我院。",
        ),
        "POL-027": _procuratorate(
            "POL", 7, 16, "虚检刑保〔2026〕7号", "我叫李某甲，保证在取保候审期间遵守规定，随传随到。"
        ),
        "POL-029": _police(
            7, 17, "虚公（交）执回字〔2026〕7号", "取保候审已于2026年7月16日由和平派出所执行，现予回复。"
        ),
        "POL-038": _police(
            7,
            8,
            "虚公（交）权告字〔2026〕58号",
            "你在侦查阶段享有的诉讼权利和承担的义务已当面告知。被告知人：李某甲。",
        ),
        "POL-039": _police(
            7, 8, "虚公（交）认告字〔2026〕58号", "认罪认罚从宽制度的内容和后果已当面告知。被告知人：李某甲。"
        ),
        "POL-040": _police(
            7,
            5,
            "虚公（交）到案字〔2026〕58号",
            "李某甲于2026年7月4日22时40分在和平路口被当场查获，到案过程中无抗拒行为。",
        ),
        "POL-041": _police(7, 9, "虚公（户）证字〔2026〕420号", "兹证明李某甲系虚构县居民，户籍信息如上。"),
        "POL-042": _police(7, 9, "虚公（交）查字〔2026〕77号", "经查询，未发现李某甲有违法犯罪记录。"),
        "POL-045": _police(
            7,
            14,
            "虚公（交）移告字〔2026〕12号",
            "李某甲：你涉嫌危险驾驶一案已于今日移送虚构县人民检察院审查起诉。",
        ),
        "EVD-001": _police(
            7,
            8,
            "讯问笔录第1次",
            "问：2026年7月4日晚你是否饮酒？答：喝了约三两白酒。",
            "问：你是否驾驶了机动车？答：我开车回家，在和平路口被查获。",
            "问：你是否自愿认罪认罚？答：自愿。以上笔录我看过，和我说的一样。",
            pages=3,
        ),
        "EVD-016": _police(7, 14, "虚公（交）证目字〔2026〕12号", "本案证据目录如下，共十一项，均已附卷。"),
        "EVD-017": _police(
            7, 4, "呼气检测第20260704-18号", "被测人李某甲，检测结果165毫克/100毫升，被测人签名确认。"
        ),
        "EVD-018": _police(
            7,
            4,
            "血样提取第20260704-18号",
            "2026年7月4日23时25分由虚构县医院护士提取李某甲血样两份，封装后送检。",
        ),
        "EVD-019": DemoDocument(
            _EXPERTS,
            "POL",
            7,
            7,
            "虚司鉴〔2026〕毒检字第214号",
            ("送检的李某甲血样中检出乙醇，含量为178.4毫克/100毫升。", "鉴定人：马某寅、罗某卯。"),
            2,
        ),
        "EVD-020": _police(7, 6, "驾驶人查询20260706-3", "李某甲，准驾车型C1，状态正常。"),
        "EVD-021": _police(7, 6, "机动车查询20260706-4", "虚A·F0001，小型轿车，所有人李某甲，检验有效。"),
        "EVD-022": _police(
            7, 4, "强制措施凭证6201990000018", "扣留机动车驾驶证，提取血样。当事人李某甲签名。"
        ),
        "EVD-023": _police(7, 4, "现场照片第1号", "和平路口现场。"),
        "EVD-024": _police(7, 4, "执法记录仪20260704-2240", "执法记录仪视频，2026年7月4日22时40分起。"),
        "COM-001": _police(7, 14, "虚公（交）卷字〔2026〕12号", "李某甲危险驾驶案电子卷宗，共二卷。"),
        "COM-002": _police(7, 14, "虚公（交）卷字〔2026〕12号", "卷内文件目录。"),
        "COM-003": _court(
            "PRO", 7, 24, "（2026）甘0199刑初58号送达回证", "判决书已当庭宣告并送达，受送达人签名。"
        ),
        "COM-013": _correction(
            "PRO",
            8,
            28,
            "虚矫复字〔2026〕3号",
            "月度报告已于8月21日补齐，已对李某甲进行教育，对工作人员作出提醒。",
        ),
        "PRO-001": _procuratorate(
            "POL",
            7,
            15,
            "虚检受〔2026〕120号",
            "虚构县公安局移送的李某甲危险驾驶案，经审查材料齐全，予以受理。",
        ),
        "PRO-015": _procuratorate(
            "CRT",
            7,
            20,
            "虚检刑诉〔2026〕46号",
            _FACTS.replace("侦查", "审查"),
            _PLEA,
            "李某甲违反道路交通安全法规，醉酒驾驶机动车，应当以危险驾驶罪追究其刑事责任。现提起公诉，请依法判处。",
            pages=2,
        ),
        "PRO-016": _procuratorate(
            "CRT", 7, 20, "虚检刑量建〔2026〕46号", f"建议判处被告人李某甲{SENTENCE}。"
        ),
        "PRO-017": _procuratorate(
            "CRT",
            7,
            17,
            "虚检刑具结〔2026〕46号",
            f"本人李某甲自愿认罪认罚，同意量刑建议：{SENTENCE}，同意适用速裁程序。值班律师徐某丑在场见证。",
        ),
        "PRO-032": _procuratorate(
            "CRT", 7, 23, "虚检刑派〔2026〕46号", "本院指派检察员周某丁出席2026年7月24日法庭支持公诉。"
        ),
        "PRO-051": _procuratorate(
            "COR",
            8,
            20,
            "虚检执监〔2026〕5号",
            "社区矫正对象李某甲八月份月度报告缺失，请于2026年9月3日前纠正并回复。",
        ),
        "PRO-053": _procuratorate(
            "POL",
            7,
            21,
            "虚检刑结〔2026〕46号",
            "你局移送的李某甲危险驾驶案，本院已于2026年7月21日向虚构县人民法院提起公诉。",
        ),
        "LAW-007": _procuratorate(
            "LAW", 7, 15, "虚检刑值〔2026〕46号", "请安排值班律师于2026年7月17日9时30分为李某甲提供法律帮助。"
        ),
        "LAW-008": DemoDocument(
            "LAW", "PRO", 7, 15, "虚援值复〔2026〕88号", ("已安排值班律师徐某丑届时到场。",)
        ),
        "COR-001": _procuratorate(
            "COR",
            7,
            15,
            "虚检刑委〔2026〕46号",
            "拟对李某甲提出适用缓刑的量刑建议，委托对其居住地的社区影响进行调查评估。",
        ),
        "COR-002": _correction(
            "PRO",
            7,
            20,
            "虚矫调评〔2026〕33号",
            "经走访调查，李某甲有固定住所和工作，家属愿意监督，适宜实行社区矫正。",
        ),
        "COR-003": _correction(
            "CRT", 8, 6, "虚矫回字〔2026〕61号", "李某甲的社区矫正法律文书已全部收到，核对无误。"
        ),
        "COR-004": _correction(
            "CRT", 8, 11, "虚矫报到〔2026〕61号", "社区矫正对象李某甲已于2026年8月10日报到。"
        ),
        "COR-005": _correction(
            "CRT", 8, 11, "虚矫信息〔2026〕61号", "矫正期限2026年8月4日至2026年10月3日，执行地和平司法所。"
        ),
        "COR-012": _correction(
            "CRT", 10, 4, "虚矫解〔2026〕61号", "李某甲缓刑考验期于2026年10月3日届满，依法解除社区矫正。"
        ),
        "COR-013": _correction("CRT", 10, 4, "虚矫解证〔2026〕61号", "兹证明李某甲已解除社区矫正。"),
        "CRT-001": _court(
            "PRO",
            7,
            21,
            "（2026）甘0199刑初58号受理",
            "你院起诉的李某甲危险驾驶案，经审查符合受理条件，本院予以受理。",
        ),
        "CRT-003": _court(
            "PRO",
            7,
            22,
            "（2026）甘0199刑初58号出庭",
            "本案定于2026年7月24日9时30分在本院第三法庭公开审理，请派员出庭。",
        ),
        "CRT-005": _court("PRO", 7, 22, "（2026）甘0199刑初58号程序", "本案决定适用速裁程序审理。"),
        "CRT-010": _court(
            "PRO",
            7,
            24,
            COURT_NUMBER,
            "公诉机关指控被告人李某甲犯危险驾驶罪的事实清楚，证据确实、充分，罪名成立，量刑建议适当，应予采纳。",
            f"判决如下：被告人李某甲犯危险驾驶罪，判处{SENTENCE}。",
            "如不服本判决，可在接到判决书的第二日起十日内提出上诉。",
            pages=2,
        ),
        "CRT-014": _court(
            "PRO",
            7,
            24,
            "（2026）甘0199刑初58号宣判",
            "当庭宣告判决。问：被告人是否听清？答：听清了，不上诉。",
            pages=2,
        ),
        "CRT-020": _court(
            "COR",
            8,
            5,
            "（2026）甘0199刑初58号执行",
            f"李某甲危险驾驶案的判决已发生法律效力，刑罚为{SENTENCE}，请依法执行。",
        ),
        "CRT-021": _court("COR", 8, 5, "（2026）甘0199刑初58号结案", "结案登记：判决生效日期2026年8月4日。"),
        "CRT-022": _court(
            "COR",
            8,
            5,
            "（2026）甘0199刑初58号告知",
            "你应当自判决生效之日起十日内到虚构县社区矫正管理局报到。",
        ),
        "CRT-023": _court(
            "COR", 8, 5, "（2026）甘0199刑初58号保证", "我保证按期报到，接受社区矫正。保证人：李某甲。"
        ),
        "CRT-037": _court(
            "PRO", 8, 4, "（2026）甘0199刑初58号生效", "本案判决无上诉、抗诉，于2026年8月4日发生法律效力。"
        ),
        "DET-007": _correction("CRT", 8, 6, "虚矫执回〔2026〕61号", "执行通知书已于2026年8月6日收到并执行。"),
    }
)

# (row, document type): another document of a type that the case has already.
SECOND: Final[Mapping[tuple[int, str], DemoDocument]] = MappingProxyType(
    {
        (8, "POL-023"): _procuratorate(
            "POL",
            7,
            16,
            "虚检刑取保〔2026〕7号",
            "本院审查起诉阶段决定对李某甲继续取保候审，由公安机关执行。",
        ),
        (11, "POL-022"): _procuratorate(
            "CRT", 7, 20, "虚检刑速〔2026〕46号", "被告人李某甲认罪认罚并同意，建议适用速裁程序审理本案。"
        ),
    }
)

# What lies in the dossier: volume, document type, and how many scanned pages it has there.
_DOSSIER: Final = (
    ("procedure", "POL-001", 0),
    ("procedure", "POL-002", 0),
    ("procedure", "POL-023", 0),
    ("procedure", "POL-038", 0),
    ("procedure", "POL-039", 0),
    ("procedure", "EVD-022", 0),
    ("evidence", "POL-040", 0),
    ("evidence", "POL-041", 0),
    ("evidence", "POL-042", 0),
    ("evidence", "EVD-001", 2),
    ("evidence", "EVD-017", 0),
    ("evidence", "EVD-018", 1),
    ("evidence", "EVD-019", 1),
    ("evidence", "EVD-020", 0),
    ("evidence", "EVD-021", 0),
)


def demo_context(catalogue: Catalogue, row: int, code: str) -> DocumentContext:
    """The document of type ``code`` as row ``row`` sends it."""
    document = SECOND.get((row, code)) or DOCUMENTS[code]
    context = _context(catalogue, code, document)
    if code != "COM-001":
        return context
    members = tuple(
        (volume, replace(_context(catalogue, member, DOCUMENTS[member]), scans=scans))
        for volume, member, scans in _DOSSIER
    )
    return replace(context, members=members)


def _context(catalogue: Catalogue, code: str, document: DemoDocument) -> DocumentContext:
    day = date(2026, document.month, document.day)
    numbers = {"police": POLICE_NUMBER}
    # A document names the numbers that its own organ knew on its day.
    if day >= date(2026, 7, 15):
        numbers["procuratorate"] = PROCURATORATE_NUMBER
    if day > date(2026, 7, 21) or document.issuer == "CRT":
        numbers["court"] = COURT_NUMBER
    return DocumentContext(
        document_type=code,
        title=catalogue.document_types[code].zh,
        number=document.number,
        issuer=_name(document.issuer),
        addressee=_name(document.addressee),
        case_name=CASE_NAME,
        case_numbers=tuple(f"{NUMBER_NAMES[kind]}：{number}" for kind, number in numbers.items()),
        parties=(party_line(SUSPECT),),
        issued_on=day,
        paragraphs=document.paragraphs,
        pages=document.pages,
        seed=f"demo/{code}/{document.number}",
    )


def _name(alias: str) -> str:
    agency = find_agency(alias)
    return agency.name_zh if agency else alias
