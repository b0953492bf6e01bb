"""A plausible value for every field of the catalogue, so that any business type can be filled.

One table says how a field is invented; a field that is not in it gets a value by its type, so a field
added to the catalogue tomorrow has one too. Dates lie around the packet's own day and fit each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from types import MappingProxyType
from typing import Final

from cli.fiction.agencies import LabAgency, find_agency
from cli.fiction.case_file import CaseFile
from cli.fiction.draw import draw
from cli.fiction.people import DIVISION, credit_code, person_name, phone
from cli.fiction.request import ListItem
from packet_spec.catalogue import BusinessType, Catalogue, MetadataField
from packet_spec.errors import CatalogueError

# Legal dates are dates of this zone; it has had no summer time since 1992 (domain catalogue, 2.2).
SHANGHAI: Final = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a value may depend on."""

    catalogue: Catalogue
    business_type: BusinessType
    sender: LabAgency
    receiver: LabAgency
    created_at: datetime
    case: CaseFile
    seed: int

    def day(self, offset_days: int) -> str:
        """The packet's local day, moved by ``offset_days``."""
        return (self.created_at.astimezone(SHANGHAI).date() + timedelta(days=offset_days)).isoformat()

    def moment(self, offset_days: int, hour: int) -> str:
        """A full hour, local time, on that day."""
        day = self.created_at.astimezone(SHANGHAI).date() + timedelta(days=offset_days)
        return datetime.combine(day, time(hour), SHANGHAI).isoformat()

    def agency(self, kind: str) -> str:
        """The code of the agency of ``kind`` in the county of the case."""
        counties = (agency.division for agency in (self.sender, self.receiver) if agency.level == "county")
        return f"{next(counties, DIVISION)}-{self.catalogue.agency_kinds[kind].number}-00"


# Days between the packet's day and the date that a field names.
_DAYS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "filed_date": -6,
        "detention_date": -6,
        "arrest_date": -1,
        "custody_start": -1,
        "custody_end": 59,
        "approval_date": -1,
        "event_date": -1,
        "sentence_end": 29,
        "appeal_expiry_date": 10,
        "report_due": 10,
        "correction_end": 59,
        "release_date": 30,
        "deadline_date": 10,
    }
)

_PLAIN: Final[Mapping[str, str]] = MappingProxyType(
    {
        "measure_code": "bail",
        "in_custody": "false",
        "juvenile": "false",
        "plea": "true",
        "fast_track": "true",
        "procedure_code": "fast_track",
        "pronounced_mode": "in_court",
        "return_code": "missing_material",
        "legal_aid_ground": "other",
        "secrecy": "none",
        "handling_dept": "虚构办案部门",
        "sentence_range": "拘役一个月，缓刑二个月，并处罚金人民币二千元（虚构）",
        "sentence_kind": "criminal_detention",
        "sentence_term": "一个月",
        "probation_term": "二个月",
        "commute_term": "六个月",
        "reason_code": "other",
        "reason_text": "虚构理由：本数据包仅用于演示和测试，不涉及真实案件。",
        "property_total": "1280.00",
        "volume_count": "1",
        "page_count": "24",
        "purpose": "虚构用途：演示与测试",
        "requested_scope": "全部卷宗（虚构）",
        "room_no": "01",
        "hearing_place": "虚构第一审判庭",
        "law_firm": "虚构律师事务所",
        "dataset_code": "FICTION-01",
        "release_reason": "sentence_served",
        "notice_title": "虚构通知",
    }
)

_MADE: Final[Mapping[str, Callable[[Situation], str]]] = MappingProxyType(
    {
        "case_name": lambda at: at.case.name,
        "proc_dept_no": lambda at: f"虚检刑诉受〔{at.day(0)[:4]}〕{draw(at.seed, 'department', 999) + 1}号",
        "doc_no": lambda at: f"虚构字〔{at.day(0)[:4]}〕{draw(at.seed, 'document', 999) + 1}号",
        "handling_officer": lambda at: person_name(at.seed, f"{at.sender.code}/handler"),
        "approver": lambda at: person_name(at.seed, f"{at.sender.code}/approver"),
        "contact_phone": lambda at: phone(at.seed, at.sender.code),
        "prison_no": lambda at: f"6200{draw(at.case.seed, 'prison', 1_000_000):06d}",
        "dossier_ref": lambda at: f"FIC-{at.case.seed}-1",
        "target_case_no": lambda at: next(iter(at.case.numbers.values()), "虚构案号"),
        "linked_case_no": lambda at: next(iter(at.case.numbers.values()), "虚构案号"),
        "query_subject": lambda at: f"虚构商贸有限公司（{credit_code(at.seed, 'company')}）",
        "lawyer_name": lambda at: person_name(at.seed, "lawyer"),
        "lawyer_license": lambda at: f"1{DIVISION}{draw(at.seed, 'licence', 10**10):010d}",
        "slot_start": lambda at: at.moment(1, 9),
        "slot_end": lambda at: at.moment(1, 10),
        "hearing_time": lambda at: at.moment(3, 9),
        # A packet id that is nobody's (RFC 9562, version 8), where no packet is named as superseded.
        "corrected_packet": lambda at: f"00000000-0000-8000-8000-{draw(at.seed, 'corrected', 16**12):012x}",
    }
)

_BY_TYPE: Final[Mapping[str, str]] = MappingProxyType({"bool": "false", "integer": "1", "decimal": "0.00"})


def value_of(field: MetadataField, situation: Situation) -> str:
    """The invented value of ``field``, which is not a list. Raises CatalogueError for an unknown type."""
    if field.code == "decision_code" and situation.business_type.outcome_codes:
        return situation.business_type.outcome_codes[0]
    for facts in (situation.case.facts, _PLAIN):
        if field.code in facts:
            return facts[field.code]
    if field.code in _MADE:
        return _MADE[field.code](situation)
    return _value_by_type(field, situation)


def _value_by_type(field: MetadataField, situation: Situation) -> str:
    if field.type in _BY_TYPE:
        return str(field.minimum) if field.minimum is not None else _BY_TYPE[field.type]
    match field.type:
        case "string":
            return f"虚构{field.zh}"
        case "date":
            return situation.day(_DAYS.get(field.code, 0))
        case "datetime":
            return situation.moment(1, 9)
        case "agency":
            return situation.agency(field.agency_kind or situation.sender.kind)
        case "code" if field.code_list:
            return next(iter(situation.catalogue.code_lists[field.code_list]))
        case "code":
            return "FICTION-01"
        case _:
            raise CatalogueError("this type of field cannot be invented", where=field.code, found=field.type)


def items_of(field: MetadataField, situation: Situation) -> tuple[ListItem, ...]:
    """The invented items of the list ``field``: as many as it needs, and at least one."""
    if field.items == "document":
        return (ListItem("COM-001"), ListItem("EVD-016"))
    if field.code == "property_items":
        attributes = {
            "number": "1",
            "quantity": "1",
            "unit": "部",
            "value": "1280.00",
            "place": "虚构县涉案财物管理中心",
            "owner": situation.case.persons[0].get("person_name", "虚构人员"),
            "status": "扣押",
        }
        known = {key: attributes[key] for key in field.item_attributes if key in attributes}
        return (ListItem("虚构手机", known),)
    count = max(1, field.min_items)
    return tuple(ListItem(person_name(situation.seed, f"{field.code} {item}")) for item in range(count))


def describe_agency(code: str, catalogue: Catalogue) -> LabAgency:
    """The agency of ``code`` or alias; an agency code that no table names gets an invented name.

    Raises CatalogueError for anything else.
    """
    known = find_agency(code)
    if known is not None:
        return known
    parts = code.split("-")
    kind = catalogue.kind_of_number(parts[1]) if len(parts) == 3 else ""
    if not kind:
        raise CatalogueError(
            "no agency has this code or alias", expected="DDDDDD-KK-SS, or POL, PRO, CRT ...", found=code
        )
    level = "county" if parts[0][4:] != "00" else "city" if parts[0][2:] != "0000" else "province"
    name = catalogue.agency_kinds[kind]
    return LabAgency(code, kind, level, f"虚构{name.zh}（{code}）", f"Fictional {name.en} {code}", code, "")
