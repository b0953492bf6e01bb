"""The agencies of the default lab, and as many more invented counties as a load test wants.

Division codes are unassigned in GB/T 2260 (620199, and 620124 to 620198 for the further counties), so
that nothing points at a real office; only the upper organs carry the codes of the domain catalogue's
sample case (part 3). Agency codes are DDDDDD-KK-SS (part 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packet_spec.errors import CatalogueError


@dataclass(frozen=True, slots=True)
class LabAgency:
    """An invented agency. ``level`` is county, city or province; ``parent`` the organ above it.

    ``case_kinds`` are the only kinds of case that it takes part in; empty: all.
    """

    code: str
    kind: str
    level: str
    name_zh: str
    name_en: str
    alias: str
    parent: str
    case_kinds: tuple[str, ...] = ()

    @property
    def division(self) -> str:
        """The six-digit division in front of the code."""
        return self.code[:6]


_PROVINCE_CODE: Final = "620000-00-00"
_UPPER_COURT: Final = "620100-04-00"
_UPPER_PROCURATORATE: Final = "620100-03-00"

# The province's own node: the receiver of the types that go to the hub.
PROVINCE: Final = LabAgency(
    _PROVINCE_CODE, "hub", "province", "虚构省级交换节点", "Fictional Provincial Node", "HUB", ""
)


def _county(kind: str, number: str, alias: str, zh: str, en: str, parent: str = _PROVINCE_CODE) -> LabAgency:
    return LabAgency(
        f"620199-{number}-00", kind, "county", f"虚构县{zh}", f"Fictional County {en}", alias, parent
    )


# In this order the first fitting agency is taken when a sender or receiver is not named.
DEFAULT_AGENCIES: Final[tuple[LabAgency, ...]] = (
    _county("police", "01", "POL", "公安局", "Public Security Bureau"),
    _county("detention", "02", "DET", "看守所", "Detention Centre"),
    _county("procuratorate", "03", "PRO", "人民检察院", "People's Procuratorate", _UPPER_PROCURATORATE),
    _county("court", "04", "CRT", "人民法院", "People's Court", _UPPER_COURT),
    _county("justice", "05", "JUS", "司法局", "Justice Bureau"),
    _county("correction", "06", "COR", "社区矫正管理局", "Community Correction Agency"),
    _county("legal_aid", "07", "LAW", "法律援助中心", "Legal Aid Centre"),
    LabAgency(
        _UPPER_COURT,
        "court",
        "city",
        "虚构市中级人民法院",
        "Fictional City Intermediate Court",
        "CRT2",
        _PROVINCE_CODE,
    ),
    LabAgency(
        _UPPER_PROCURATORATE,
        "procuratorate",
        "city",
        "虚构市人民检察院",
        "Fictional City People's Procuratorate",
        "PRO2",
        _PROVINCE_CODE,
    ),
    LabAgency(
        "620000-08-01",
        "prison",
        "province",
        "虚构第一监狱",
        "Fictional First Prison",
        "PRS",
        _PROVINCE_CODE,
    ),
)

# Kinds of the catalogue that the default lab has no agency of; used only where no other kind will do.
FURTHER_KINDS: Final[tuple[LabAgency, ...]] = (
    PROVINCE,
    LabAgency(
        "620000-09-01",
        "prison_admin",
        "province",
        "虚构省监狱管理局",
        "Fictional Prison Administration",
        "PRA",
        _PROVINCE_CODE,
    ),
    _county("state_security", "10", "SEC", "国家安全局", "State Security Bureau"),
    _county("supervision", "11", "SUP", "监察委员会", "Supervision Commission"),
    _county("property_center", "12", "PRP", "涉案财物管理中心", "Case-Property Centre"),
    _county("plac", "13", "PLA", "政法委员会", "Political-Legal Committee"),
)

# 620171 is left out: statistics use it for a real development area.
_COUNTIES: Final = tuple(f"620{number}" for number in range(124, 199) if number != 171)
_COUNTY_KINDS: Final = DEFAULT_AGENCIES[:7]
# Serials 00 to 99 of an agency code.
_MOST_AGENCIES: Final = len(_COUNTIES) * len(_COUNTY_KINDS) * 100


def more_agencies(count: int) -> tuple[LabAgency, ...]:
    """The first ``count`` further agencies, always in the same order: county by county, seven kinds each.

    After 518 the counties begin again with branch offices (serial 01, 02, ...). Raises CatalogueError
    below 0 or beyond serial 99 (51,800).
    """
    if not 0 <= count <= _MOST_AGENCIES:
        raise CatalogueError(
            "the number of further agencies is out of range",
            expected=f"0 to {_MOST_AGENCIES}",
            found=str(count),
        )
    return tuple(_further(index) for index in range(count))


def _further(index: int) -> LabAgency:
    place, kind = divmod(index, len(_COUNTY_KINDS))
    serial, county = divmod(place, len(_COUNTIES))
    model = _COUNTY_KINDS[kind]
    branch_zh, branch_en = (f"第{serial}分部", f" Branch {serial}") if serial else ("", "")
    return LabAgency(
        code=f"{_COUNTIES[county]}-{model.code[7:9]}-{serial:02d}",
        kind=model.kind,
        level="county",
        name_zh=model.name_zh.replace("虚构县", f"虚构第{county + 1}县") + branch_zh,
        name_en=model.name_en.replace("Fictional County", f"Fictional County {county + 1}") + branch_en,
        alias=f"{model.alias}-{_COUNTIES[county]}" + (f"-{serial}" if serial else ""),
        parent=model.parent,
    )


def find_agency(
    name: str, agencies: Iterable[LabAgency] = (*DEFAULT_AGENCIES, *FURTHER_KINDS)
) -> LabAgency | None:
    """The agency of that code or alias (``POL``), or None."""
    for agency in agencies:
        if name in (agency.code, agency.alias):
            return agency
    return None
