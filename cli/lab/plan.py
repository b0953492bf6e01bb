"""What a lab is made of: the province's node and its agencies, from a number or from a plan file.

A plan is TOML: ``[province] present`` and one ``[[agency]]`` with code, kind, level and via each. Bridges and
links from agency to agency have their place in the format and are refused by this version, as is a plan
without a province.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cli.fiction.agencies import DEFAULT_AGENCIES, PROVINCE, LabAgency, find_agency, more_agencies
from cli.frame import PlanError
from exchanged.config_reader import Section
from packet_spec.catalogue import load_catalogue
from packet_spec.identity import is_agency_code

_VIA_PROVINCE: Final = "province"
_LATER: Final = "is not supported by this version"


class Level(StrEnum):
    """Administrative levels of an agency."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


@dataclass(frozen=True, slots=True)
class LabPlan:
    """The node of the province and the agencies below it, in the order in which they start."""

    province: LabAgency
    agencies: tuple[LabAgency, ...]


def default_plan(agencies: int = len(DEFAULT_AGENCIES)) -> LabPlan:
    """The first ``agencies`` of the sample case's agencies, then further counties in a fixed order.

    Raises PlanError for less than one, CatalogueError for more than there are codes.
    """
    if agencies < 1:
        raise PlanError((f"--agencies: expected at least 1, found {agencies}",))
    chosen = DEFAULT_AGENCIES[:agencies]
    return _plan((*chosen, *more_agencies(agencies - len(chosen))))


def load_plan(path: Path) -> LabPlan:
    """The plan in a file. Raises PlanError with every problem, naming the file."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PlanError((f"the plan cannot be read: {error.strerror}",), where=str(path)) from error
    except UnicodeDecodeError as error:
        raise PlanError((f"the plan is not UTF-8 at byte {error.start}",), where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise PlanError((f"the plan is not TOML: {error}",), where=str(path)) from error
    try:
        return parse_plan(data)
    except PlanError as error:
        raise PlanError(error.problems, where=str(path)) from error


def parse_plan(data: dict[str, Any]) -> LabPlan:
    """The plan in parsed TOML. Raises PlanError with every problem."""
    problems: list[str] = []
    top = Section("", data, Path(), problems)
    province = top.table("province")
    if not province.flag("present", default=True):
        province.problem("present", f"agencies point to point, without a province: {_LATER}")
    province.finish()
    for kind in ("bridge", "link"):
        if top.has(kind):
            top.problem(kind, _LATER)
    agencies = tuple(_agency(section) for section in top.tables("agency"))
    top.finish()
    codes = Counter(agency.code for agency in agencies)
    problems += [f"[agency] code: {code} stands there twice" for code, times in codes.items() if times > 1]
    if PROVINCE.code in codes:
        problems.append(f"[agency] code: {PROVINCE.code} is the province's own node")
    if not agencies and not problems:
        problems.append("[[agency]]: a lab needs at least one agency")
    if problems:
        raise PlanError(tuple(problems))
    return _plan(agencies)


def _agency(section: Section) -> LabAgency:
    code = section.text("code", check=is_agency_code, shape="an agency code DDDDDD-KK-SS")
    known = find_agency(code)
    catalogue = load_catalogue()
    by_number = catalogue.kind_of_number(code[7:9]) if is_agency_code(code) else ""
    kind = section.text(
        "kind",
        by_number or None,
        check=catalogue.agency_kinds.__contains__,
        shape=f"one of {', '.join(catalogue.agency_kinds)}",
    )
    level = section.choice("level", Level, Level(known.level) if known else Level.COUNTY) or Level.COUNTY
    via = section.text("via", _VIA_PROVINCE)
    if via not in {_VIA_PROVINCE, PROVINCE.code}:
        section.problem("via", f"a way other than {_VIA_PROVINCE} {_LATER}, found {via!r}")
    section.finish()
    name_zh, name_en = (known.name_zh, known.name_en) if known else (f"虚构机关 {code}", f"Fictional {code}")
    parent = known.parent if known else PROVINCE.code
    return LabAgency(code, kind, level, name_zh, name_en, known.alias if known else code, parent)


def _plan(agencies: tuple[LabAgency, ...]) -> LabPlan:
    """An agency whose superior is not part of the plan stands directly below the province."""
    codes = {PROVINCE.code, *(agency.code for agency in agencies)}
    fitted = (
        agency if agency.parent in codes else replace(agency, parent=PROVINCE.code) for agency in agencies
    )
    return LabPlan(PROVINCE, tuple(fitted))
