"""What a lab is made of: the province's node, agencies, bridges and links, from a number or a plan file.

A plan is TOML: ``[province]`` present, sequence (how strictly it holds to the order of a case) and
enabled_types; ``[[agency]]`` code, kind, level, via and case_kinds (the only kinds of case that it takes part
in; without them all); ``[[bridge]]`` name, link and between (the nodes that it is joined to); ``[[link]]``
between (two nodes) and transport; ``[[route]]`` and ``[[pack]]`` as in a directory plan. A node is named by
its code, ``province`` or ``bridge-<name>``. An agency that nothing else joins is joined to the province. All
links together are one tree. Without a province exactly two agencies exchange, through bridges or without.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cli.fiction.agencies import DEFAULT_AGENCIES, PROVINCE, LabAgency, find_agency, more_agencies
from cli.frame import PlanError
from cli.lab.joints import Joint, Pair, arrange
from cli.standard_plan import read_pack_reference, read_route
from cli.toml_files import load_plan_file
from exchanged.config import LinkTransport
from exchanged.config_reader import Section
from packet_spec.catalogue import load_catalogue
from packet_spec.identity import is_agency_code
from packet_spec.model import PackReference, Route
from packet_spec.sequence_policy import SequencePolicy

# Packs of a lab are in force from the beginning, unless the plan says otherwise.
_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)
_PROVINCE_NAME: Final = "province"
_BRIDGE_NAME: Final = re.compile(r"(?:bridge-)?([a-z0-9][a-z0-9-]{0,23})")


class Level(StrEnum):
    """Administrative levels of an agency."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


@dataclass(frozen=True, slots=True)
class Standard:
    """What the lab's directory says of the exchange standard; without ``packs`` the program's own counts.

    A pack has its bytes beside it where the plan named its file.
    """

    packs: tuple[tuple[PackReference, bytes], ...] = ()
    routes: tuple[Route, ...] = ()
    enabled_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LabPlan:
    """The nodes of a lab, in the order in which they start. ``bridges`` are node codes.

    ``province`` is None point to point. Without ``joints`` every agency is joined to the province.
    ``sequence`` None leaves the province's policy at what its configuration says by itself.
    """

    province: LabAgency | None
    agencies: tuple[LabAgency, ...]
    bridges: tuple[str, ...] = ()
    joints: tuple[Joint, ...] = ()
    standard: Standard = field(default_factory=Standard)
    sequence: SequencePolicy | None = None

    @property
    def links(self) -> tuple[Joint, ...]:
        """Every link of the lab."""
        if self.joints or self.province is None:
            return self.joints
        return tuple(Joint(self.province.code, agency.code) for agency in self.agencies)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The codes of all nodes: the province, bridges, agencies."""
        province = () if self.province is None else (self.province.code,)
        return (*province, *self.bridges, *(agency.code for agency in self.agencies))

    def admitting_node(self, agency: str) -> str:
        """The node that admits the agency's packets: the province, else the front-end of the other agency."""
        if self.province is not None:
            return self.province.code
        return next(other.code for other in self.agencies if other.code != agency)


def default_plan(agencies: int = len(DEFAULT_AGENCIES)) -> LabPlan:
    """The first ``agencies`` of the sample case's agencies, then further counties in a fixed order.

    Raises PlanError for less than one, CatalogueError for more than there are codes.
    """
    if agencies < 1:
        raise PlanError((f"--agencies: expected at least 1, found {agencies}",))
    chosen = DEFAULT_AGENCIES[:agencies]
    every = (*chosen, *more_agencies(agencies - len(chosen)))
    return LabPlan(PROVINCE, _fitted(every, PROVINCE.code))


def with_sequence(plan: LabPlan, sequence: str) -> LabPlan:
    """The plan whose province holds so strictly to the order of a case: enforce, warn or off.

    Raises PlanError for a plan without a province, which alone knows the order.
    """
    if plan.province is None:
        raise PlanError(("--sequence: without a province nobody knows the order of a case",))
    return replace(plan, sequence=SequencePolicy(sequence))


def load_plan(path: Path) -> LabPlan:
    """The plan in a file. Raises PlanError with every problem, naming the file."""
    base = path.absolute().parent
    return load_plan_file(path, lambda data: parse_plan(data, base))


def parse_plan(data: dict[str, Any], base: Path = Path()) -> LabPlan:
    """The plan in parsed TOML; pack files are relative to ``base``. Raises PlanError with every problem."""
    problems: list[str] = []
    top = Section("", data, base, problems)
    head = top.table("province")
    present = head.flag("present", default=True)
    enabled_types = head.texts("enabled_types")
    sequence = head.choice("sequence", SequencePolicy) if head.has("sequence") else None
    head.finish()
    read = [_agency(section) for section in top.tables("agency")]
    agencies = tuple(agency for agency, _ in read)
    bridged = [_bridge(section) for section in top.tables("bridge")]
    linked = [_pair(section, "transport") for section in top.tables("link")]
    routes = tuple(read_route(section) for section in top.tables("route"))
    packs = tuple(read_pack_reference(section, _LONG_AGO, base) for section in top.tables("pack"))
    top.finish()
    bridges = tuple(name for name, _ in bridged if name)
    codes = Counter((*(agency.code for agency in agencies), *bridges))
    problems += [f"[agency] code: {code} stands there twice" for code, times in codes.items() if times > 1]
    if PROVINCE.code in codes:
        problems.append(f"[agency] code: {PROVINCE.code} is the province's own node")
    if not agencies and not problems:
        problems.append("[[agency]]: a lab needs at least one agency")
    if not present and len(agencies) != 2:
        problems.append(
            f"[province] present: without a province exactly two agencies exchange, found {len(agencies)}"
        )
    if not present and sequence is not None:
        problems.append("[province] sequence: without a province nobody knows the order of a case")
    if problems:
        raise PlanError(tuple(problems))
    pairs = [*(pair for _, several in bridged for pair in several), *(pair for pair in linked if pair)]
    pairs += [Pair(agency.code, via) for agency, via in read if via]
    if present:
        named = {code for pair in pairs for code in (pair.one, pair.other)}
        pairs += [Pair(agency.code, PROVINCE.code) for agency in agencies if agency.code not in named]
    root = PROVINCE.code if present else agencies[0].code
    joints, found = arrange(root, (root, *codes), pairs)
    if found:
        raise PlanError(tuple(found))
    fitted = _fitted(agencies, PROVINCE.code if present else "")
    standard = Standard(packs, routes, enabled_types)
    return LabPlan(PROVINCE if present else None, fitted, bridges, joints, standard, sequence)


def _node_name(text: str) -> str:
    return PROVINCE.code if text == _PROVINCE_NAME else text


def _pair(section: Section, transport: str) -> Pair | None:
    """Two names of ``between``, and the kind of the link."""
    names = tuple(map(_node_name, section.texts("between")))
    kind = section.choice(transport, LinkTransport) if section.has(transport) else None
    section.finish()
    if len(names) != 2:
        section.problem("between", f"expected two nodes, found {len(names)}")
        return None
    return Pair(names[0], names[1], kind)


def _bridge(section: Section) -> tuple[str, tuple[Pair, ...]]:
    """A bridge's code, and its links to the nodes that it stands between."""
    shape = "a name of a-z, 0-9 and -, with or without bridge-"
    name = section.text("name", check=_is_bridge_name, shape=shape)
    match = _BRIDGE_NAME.fullmatch(name)
    code = f"bridge-{match[1]}" if match else ""
    names = tuple(map(_node_name, section.texts("between")))
    kind = section.choice("link", LinkTransport) if section.has("link") else None
    section.finish()
    return code, tuple(Pair(code, other, kind) for other in names)


def _is_bridge_name(text: str) -> bool:
    return _BRIDGE_NAME.fullmatch(text) is not None


def _agency(section: Section) -> tuple[LabAgency, str]:
    """An agency, and the node that its ``via`` names; empty without one."""
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
    via = _node_name(section.text("via", ""))
    case_kinds = section.texts("case_kinds") if section.has("case_kinds") else ()
    if not set(case_kinds) <= catalogue.case_kinds.keys():
        names = ", ".join(catalogue.case_kinds)
        section.problem("case_kinds", f"expected some of {names}")
    section.finish()
    name_zh, name_en = (known.name_zh, known.name_en) if known else (f"虚构机关 {code}", f"Fictional {code}")
    parent = known.parent if known else PROVINCE.code
    alias = known.alias if known else code
    return LabAgency(code, kind, level, name_zh, name_en, alias, parent, tuple(case_kinds)), via


def _fitted(agencies: tuple[LabAgency, ...], top: str) -> tuple[LabAgency, ...]:
    """An agency whose superior is not part of the plan stands directly below ``top``, which may be empty."""
    codes = {top, *(agency.code for agency in agencies)}
    return tuple(
        agency if agency.parent in codes else replace(agency, parent=top) for agency in agencies
    )
