"""The demo case as data: who sends what to whom and when, and what the packets say.

Dangerous driving on bail, fast track: stopped on Saturday 4 July 2026 at 22:40, judged on 24 July, out
of correction on 4 October. The rows are those of the domain catalogue, part 3.1; the words of the
documents are in ``document_data``. Everything is fictional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from cli.fiction.values import SHANGHAI

CASE_NAME: Final = "李某甲危险驾驶案（虚构）"
CAUSE_NAME: Final = "危险驾驶"
POLICE_NUMBER: Final = "A6201990000002026070001"
PROCURATORATE_NUMBER: Final = "62019920260001200"
COURT_NUMBER: Final = "（2026）甘0199刑初58号"
# The rows whose packets first carry the procuratorate's and the court's number.
PROCURATORATE_NUMBER_ROW: Final = 3
COURT_NUMBER_ROW: Final = 13

SUSPECT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "person_no": "1",
        "person_name": "李某甲",
        "id_type": "id_card",
        "id_no": "620199199003077016",
        "sex": "1",
        "birth_date": "1990-03-07",
        "measure_code": "bail",
        "in_custody": "false",
        "residence": "虚构省虚构市虚构县和平路12号",
    }
)
# The same number with another check character, for the faulty drop F4.
WRONG_ID_NUMBER: Final = "620199199003077017"

# Alias -> (handler, approver) of each agency.
OFFICERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "POL": ("王某乙", "赵某丙"),
        "PRO": ("周某丁", "吴某戊"),
        "CRT": ("陈某己", "郑某庚"),
        "COR": ("刘某辛", "孙某壬"),
        "LAW": ("杨某癸", "黄某子"),
    }
)
LAWYER: Final = "徐某丑"


@dataclass(frozen=True, slots=True)
class DemoRow:
    """One packet of the story. Agencies are aliases; ``in_reply_to`` is the number of an earlier row.

    ``role`` is what the accused is called by then; ``approved_on`` is empty where nobody has to approve.
    """

    number: int
    at: datetime
    business_type: str
    sender: str
    receiver: str
    copy_to: tuple[str, ...] = ()
    documents: tuple[str, ...] = ()
    in_reply_to: int | None = None
    role: str = "suspect"
    approved_on: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


def _at(month: int, day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=SHANGHAI)


def demo_rows() -> tuple[DemoRow, ...]:
    """The 27 rows in order."""
    return ROWS


_CAUSE: Final = {"cause_code": "133-1", "cause_name": CAUSE_NAME}
_TRANSFER_DOCUMENTS: Final = (
    *("POL-020", "COM-001", "COM-002", "EVD-016", "POL-022", "POL-002", "POL-023", "POL-038", "POL-039"),
    *("POL-040", "POL-041", "POL-042", "EVD-001", "EVD-017", "EVD-018", "EVD-019", "EVD-020", "EVD-021"),
    *("EVD-022", "EVD-023", "EVD-024", "POL-045"),
)
_INDICT_DOCUMENTS: Final = (
    *("PRO-015", "COM-001", "COM-002", "EVD-016", "PRO-016", "PRO-017", "POL-022", "COR-001", "COR-002"),
)
SENTENCE: Final = "拘役一个月，缓刑二个月，并处罚金人民币二千元"

ROWS: Final = (
    DemoRow(
        1,
        _at(7, 9, 9, 5),
        "case.report",
        "POL",
        "PRO",
        documents=("POL-008", "POL-002", "POL-001"),
        fields=_CAUSE | {"filed_date": "2026-07-08"},
    ),
    DemoRow(
        2,
        _at(7, 15, 9, 30),
        "prosecution.transfer",
        "POL",
        "PRO",
        documents=_TRANSFER_DOCUMENTS,
        approved_on="2026-07-14",
        fields=_CAUSE | {"filed_date": "2026-07-08", "plea": "true", "fast_track": "true"},
    ),
    DemoRow(
        3,
        _at(7, 15, 10, 10),
        "common.accept",
        "PRO",
        "POL",
        documents=("PRO-001",),
        in_reply_to=2,
        fields={"handling_dept": "第一检察部", "decision_date": "2026-07-15"},
    ),
    DemoRow(
        4,
        _at(7, 15, 10, 40),
        "legalaid.duty.request",
        "PRO",
        "LAW",
        documents=("LAW-007",),
        fields={"slot_start": "2026-07-17T09:30:00+08:00", "plea": "true", "fast_track": "true"},
    ),
    DemoRow(
        5,
        _at(7, 15, 11, 0),
        "assess.commission",
        "PRO",
        "COR",
        documents=("COR-001", "POL-020"),
        fields={
            "cause_name": CAUSE_NAME,
            "purpose": "拟提出缓刑量刑建议，委托调查评估",
            "fast_track": "true",
        },
    ),
    DemoRow(
        6,
        _at(7, 15, 11, 5),
        "common.accept",
        "COR",
        "PRO",
        in_reply_to=5,
        fields={"handling_dept": "调查评估科", "decision_date": "2026-07-15"},
    ),
    DemoRow(
        7,
        _at(7, 15, 15, 20),
        "legalaid.duty.reply",
        "LAW",
        "PRO",
        documents=("LAW-008",),
        in_reply_to=4,
        fields={"lawyer_name": LAWYER, "slot_start": "2026-07-17T09:30:00+08:00"},
    ),
    DemoRow(
        8,
        _at(7, 16, 14, 0),
        "measure.bail.execute",
        "PRO",
        "POL",
        documents=("POL-023", "POL-024", "POL-027"),
        approved_on="2026-07-16",
        fields={"decision_date": "2026-07-16"},
    ),
    DemoRow(
        9,
        _at(7, 17, 8, 50),
        "measure.execution.return",
        "POL",
        "PRO",
        documents=("POL-029",),
        in_reply_to=8,
        fields={"execution_date": "2026-07-16"},
    ),
    DemoRow(
        10,
        _at(7, 20, 16, 30),
        "assess.opinion",
        "COR",
        "PRO",
        documents=("COR-002",),
        in_reply_to=5,
        fields={"decision_code": "suitable", "decision_date": "2026-07-20"},
    ),
    DemoRow(
        11,
        _at(7, 21, 9, 0),
        "trial.indict",
        "PRO",
        "CRT",
        documents=_INDICT_DOCUMENTS,
        role="defendant",
        approved_on="2026-07-20",
        fields=_CAUSE | {"procedure_code": "fast_track", "plea": "true", "sentence_range": SENTENCE},
    ),
    DemoRow(
        12,
        _at(7, 21, 9, 20),
        "prosecution.result",
        "PRO",
        "POL",
        documents=("PRO-053", "PRO-015"),
        in_reply_to=2,
        role="defendant",
        approved_on="2026-07-20",
        fields={"decision_code": "indicted", "decision_date": "2026-07-21"},
    ),
    DemoRow(
        13,
        _at(7, 21, 11, 30),
        "common.accept",
        "CRT",
        "PRO",
        documents=("CRT-001",),
        in_reply_to=11,
        fields={"handling_dept": "立案庭", "decision_date": "2026-07-21"},
    ),
    DemoRow(
        14,
        _at(7, 22, 10, 0),
        "trial.procedure.notice",
        "CRT",
        "PRO",
        documents=("CRT-005",),
        role="defendant",
        fields={"procedure_code": "fast_track", "decision_date": "2026-07-22"},
    ),
    DemoRow(
        15,
        _at(7, 22, 10, 5),
        "trial.schedule.notice",
        "CRT",
        "PRO",
        documents=("CRT-003",),
        role="defendant",
        fields={
            "hearing_time": "2026-07-24T09:30:00+08:00",
            "hearing_place": "虚构县人民法院第三法庭",
            "procedure_code": "fast_track",
        },
    ),
    DemoRow(
        16,
        _at(7, 23, 9, 0),
        "trial.appear.notice",
        "PRO",
        "CRT",
        documents=("PRO-032",),
        in_reply_to=15,
        role="defendant",
    ),
    DemoRow(
        17,
        _at(7, 24, 16, 0),
        "trial.judgment",
        "CRT",
        "PRO",
        ("POL",),
        documents=("CRT-010", "CRT-014", "COM-003"),
        in_reply_to=11,
        role="defendant",
        fields={
            "procedure_code": "fast_track",
            "pronounced_date": "2026-07-24",
            "pronounced_mode": "in_court",
            "decision_code": "guilty_probation",
            "sentence_kind": "criminal_detention",
            "sentence_term": "一个月",
            "probation_term": "二个月",
        },
    ),
    DemoRow(
        18,
        _at(8, 4, 8, 30),
        "judgment.effective.notice",
        "CRT",
        "PRO",
        ("POL",),
        documents=("CRT-037",),
        role="offender",
        fields={"effective_date": "2026-08-04"},
    ),
    DemoRow(
        19,
        _at(8, 4, 8, 40),
        "correction.notify",
        "CRT",
        "COR",
        documents=("CRT-010",),
        role="offender",
        fields={"effective_date": "2026-08-04", "sentence_kind": "criminal_detention"},
    ),
    DemoRow(
        20,
        _at(8, 5, 10, 0),
        "correction.admit",
        "CRT",
        "COR",
        ("PRO", "POL"),
        documents=("CRT-020", "CRT-010", "CRT-021", "CRT-022", "CRT-023", "COR-002"),
        role="subject",
        fields={
            "effective_date": "2026-08-04",
            "sentence_kind": "criminal_detention",
            "probation_term": "二个月",
            "correction_start": "2026-08-04",
            "correction_end": "2026-10-03",
            "report_due": "2026-08-14",
        },
    ),
    DemoRow(
        21,
        _at(8, 5, 11, 0),
        "common.accept",
        "COR",
        "CRT",
        in_reply_to=20,
        fields={"handling_dept": "入矫接收科", "decision_date": "2026-08-05"},
    ),
    DemoRow(
        22,
        _at(8, 6, 9, 0),
        "correction.receipt",
        "COR",
        "CRT",
        documents=("COR-003",),
        in_reply_to=20,
        role="subject",
        fields={"decision_date": "2026-08-06"},
    ),
    DemoRow(
        23,
        _at(8, 6, 9, 10),
        "execution.return",
        "COR",
        "CRT",
        documents=("DET-007",),
        in_reply_to=20,
        role="subject",
        fields={"execution_date": "2026-08-06"},
    ),
    DemoRow(
        24,
        _at(8, 11, 15, 0),
        "correction.reported",
        "COR",
        "CRT",
        documents=("COR-004", "COR-005"),
        in_reply_to=20,
        role="subject",
        fields={"decision_code": "reported", "report_due": "2026-08-14", "reported_date": "2026-08-10"},
    ),
    DemoRow(
        25,
        _at(8, 20, 9, 0),
        "correction.supervise",
        "PRO",
        "COR",
        documents=("PRO-051",),
        role="subject",
        approved_on="2026-08-19",
        fields={
            "reason_text": "经检查，社区矫正对象李某甲八月份月度报告缺失，请核查纠正并书面回复。",
            "deadline_date": "2026-09-03",
        },
    ),
    DemoRow(
        26,
        _at(8, 28, 17, 0),
        "correction.supervise.reply",
        "COR",
        "PRO",
        documents=("COM-013",),
        in_reply_to=25,
        role="subject",
        fields={"decision_code": "rectified", "decision_date": "2026-08-28"},
    ),
    DemoRow(
        27,
        _at(10, 4, 9, 0),
        "correction.complete",
        "COR",
        "CRT",
        ("PRO", "POL"),
        documents=("COR-012", "COR-013"),
        role="subject",
        fields={"correction_end": "2026-10-03"},
    ),
)
