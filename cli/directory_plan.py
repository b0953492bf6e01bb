"""A directory plan: the TOML from which the province's people build a directory.

Guarantees: all problems at once with section and key, unknown keys refused, like a configuration. A plan for
any directory but the first says what becomes different from a base; what it does not say stays as it is there
(``directory_inherit``). What the values must mean together (references, trees, unique codes) is checked when
the directory is encoded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from cli.directory_desk import Base
from cli.directory_inherit import all_agencies, all_nodes, all_packs, earliest, later_key
from cli.directory_keys import read_listed_key, require_uses
from cli.frame import PlanError
from cli.standard_plan import read_pack_reference, read_route
from cli.toml_files import load_plan_file
from exchanged.config_reader import Section
from packet_spec.catalogue import load_catalogue
from packet_spec.errors import ExchangeError
from packet_spec.identity import is_agency_code, is_node_code
from packet_spec.model import (
    Directory,
    DirectoryAgency,
    DirectoryKey,
    DirectoryNode,
    Edition,
    KeyUse,
    NodeRole,
    RootKey,
)
from packet_spec.pack import shipped_pack
from packet_spec.signing import PublicKey

_NODE_SHAPE: Final = "a node code"
_KEY_DAYS: Final = 730.0
_AFTER_THE_FIRST: Final = (
    "only the first directory is built from nothing; name the one in force: "
    "exchangectl directory build PLAN --base directory.xml --output next.xml"
)


_BY_THE_DESK: Final = (
    "differs from that of the base; leave it out here, and to change it: "
    "exchangectl directory next --add-root, --remove-root, --threshold"
)


class _Level(StrEnum):
    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"


def load_directory_plan(path: Path, now: datetime, base: Base | None = None) -> Directory:
    """The directory that the plan in ``path`` describes, issued at ``now``, after ``base``.

    Key files are relative to the plan. Raises PlanError with every problem, naming the file.
    """
    folder = path.absolute().parent
    return load_plan_file(path, lambda data: parse_directory_plan(data, folder, now, base))


def load_enrolment(path: Path, now: datetime) -> DirectoryNode:
    """The node of an enrolment request, as ``node init`` writes it. Raises PlanError with every problem."""
    base = path.absolute().parent

    def parse(data: dict[str, Any]) -> DirectoryNode:
        problems: list[str] = []
        top = Section("", data, base, problems)
        nodes = [read_node(section, base, now) for section in top.tables("node")]
        top.finish()
        if len(nodes) != 1:
            problems.append(f"[[node]]: expected one node, found {len(nodes)}")
        if problems:
            raise PlanError(tuple(problems))
        return nodes[0]

    return load_plan_file(path, parse)


def parse_directory_plan(
    data: dict[str, Any], folder: Path, now: datetime, base: Base | None = None
) -> Directory:
    """The directory of a parsed plan. Raises PlanError with every problem."""
    problems: list[str] = []
    before = None if base is None else base.directory
    top = Section("", data, folder, problems)
    head = top.table("directory")
    roots = tuple(_root(head, folder, text) for text in head.texts("roots"))
    if before is not None:
        if head.has("roots") and set(roots) != set(before.roots):
            # A plan from before a root was removed, as stolen perhaps, would make it count again.
            head.problem("roots", _BY_THE_DESK)
        roots = before.roots
    if not roots:
        head.problem("roots", "at least one root key is needed")
    days = 365.0 if before is None else (before.expires_at - before.issued_at) / timedelta(days=1)
    epoch, version = _edition(head, base)
    nodes = tuple(read_node(section, folder, now, before) for section in top.tables("node"))
    agencies = tuple(_agency(section) for section in top.tables("agency"))
    packs = tuple(read_pack_reference(section, now, folder, before)[0] for section in top.tables("pack"))
    has_routes, has_types = top.has("route"), head.has("enabled_types")
    routes = tuple(read_route(section) for section in top.tables("route"))
    enabled_types = head.texts("enabled_types")
    if before is not None:
        if packs and not before.packs and shipped_pack().digest not in {each.digest for each in packs}:
            top.problem("pack", 'the standard of the programs counted until now: name file = "standard" too')
        nodes, agencies = all_nodes(before, nodes), all_agencies(before, agencies)
        packs = all_packs(before, packs)
        routes = routes if has_routes else before.routes
        enabled_types = enabled_types if has_types else before.enabled_types
    threshold = head.integer("threshold", 1 if before is None else before.threshold, 1, max(1, len(roots)))
    if before is not None and threshold != before.threshold:
        head.problem("threshold", _BY_THE_DESK)
    directory = Directory(
        version=version,
        issued_at=now,
        expires_at=now + timedelta(days=head.number("valid_days", days, 1, 3660)),
        threshold=threshold,
        roots=roots,
        nodes=nodes,
        agencies=agencies,
        packs=packs,
        routes=routes,
        enabled_types=enabled_types,
        epoch=epoch,
    )
    head.finish()
    top.finish()
    if problems:
        raise PlanError(tuple(problems))
    return directory


def _edition(head: Section, base: Base | None) -> tuple[int, int]:
    """Epoch and version; without a base they can be those of the first directory alone."""
    before = None if base is None else base.directory
    epoch = head.integer("epoch", 1 if before is None else before.epoch, 1, 1 << 40)
    if before is None:
        version = head.integer("version", 0, 1, 1 << 40)
        if not head.has("version"):
            head.problem("version", "is missing; it rises with every directory")
        elif version > 1 or epoch > 1:
            head.problem("version", _AFTER_THE_FIRST)
        return epoch, version
    following = before.version if base is not None and base.is_draft else before.version + 1
    version = head.integer("version", following if epoch == before.epoch else 1, 1, 1 << 40)
    if (epoch, version) < (before.epoch, following) or epoch > before.epoch + 1:
        expected = str(Edition(before.epoch, following))
        head.problem("version", f"does not follow that of the base: expected at least {expected}")
    return epoch, version


def _root(section: Section, base: Path, text: str) -> RootKey:
    key = _public_key(section, "roots", base, text)
    return RootKey(key.key_id, key.suite, key.public)


def _public_key(section: Section, name: str, base: Path, text: str) -> PublicKey:
    """A key as ``cli.directory_keys`` reads it: in the text, or in the file that it names."""
    try:
        return read_listed_key(text, base)
    except ExchangeError as error:
        section.problem(name, str(error))
        return PublicKey("", text.encode())


def read_node(section: Section, base: Path, now: datetime, before: Directory | None = None) -> DirectoryNode:
    """A ``[[node]]`` with its keys; what is wrong is noted in the section.

    ``before`` is the directory that is followed, if any: keys that it lists keep their dates.
    """
    code = section.text("code", check=is_node_code, shape=_NODE_SHAPE)
    listed = None if before is None else before.node(code)
    known = {key.key_id: key for key in (() if listed is None else listed.keys)}
    node = DirectoryNode(
        code=code,
        role=section.choice("role", NodeRole) or NodeRole.BRIDGE,
        parent=section.text("parent", "", check=is_node_code, shape=_NODE_SHAPE),
        keys=tuple(_key(key, base, now, known) for key in section.tables("key")),
        disabled=section.flag("disabled", default=False),
    )
    section.finish()
    return node


def _key(section: Section, base: Path, now: datetime, listed: Mapping[str, DirectoryKey]) -> DirectoryKey:
    public = _public_key(section, "public", base, section.text("public"))
    uses = section.texts("uses")
    for use in uses:
        if use not in set(KeyUse):
            section.problem("uses", f"expected some of {', '.join(KeyUse)}, found {use!r}")
    if not uses:
        section.problem("uses", f"expected some of {', '.join(KeyUse)}")
    known = tuple(KeyUse(use) for use in uses if use in set(KeyUse))
    if public.suite:
        try:
            require_uses(public, known)
        except ExchangeError as error:
            section.problem("uses", str(error))
    not_before = section.moment("not_before", now) or now
    days = timedelta(days=section.number("valid_days", _KEY_DAYS, 0.01, 3660))
    end = section.moment("not_after")
    key = DirectoryKey(
        key_id=public.key_id,
        suite=public.suite,
        public=public.public,
        uses=known,
        not_before=not_before,
        not_after=end or not_before + days,
        revoked_at=section.moment("revoked_at"),
    )
    section.finish()
    before = listed.get(key.key_id)
    if before is None:
        return key
    return replace(later_key(before, known, end), revoked_at=earliest(before.revoked_at, key.revoked_at))


def _agency(section: Section) -> DirectoryAgency:
    kinds = load_catalogue().agency_kinds
    agency = DirectoryAgency(
        code=section.text("code", check=is_agency_code, shape="an agency code DDDDDD-KK-SS"),
        kind=section.text("kind", check=kinds.__contains__, shape=f"one of {', '.join(kinds)}"),
        level=section.choice("level", _Level) or "",
        parent=section.text("parent", "", check=is_agency_code, shape="an agency code"),
        node=section.text("node", check=is_node_code, shape=_NODE_SHAPE),
        admitting_node=section.text("admitting_node", check=is_node_code, shape=_NODE_SHAPE),
        name_zh=section.text("name_zh"),
        name_en=section.text("name_en"),
        business_types=section.texts("business_types"),
        case_kinds=section.texts("case_kinds"),
        aliases=tuple((alias.text("system"), alias.text("value")) for alias in section.tables("alias")),
        disabled=section.flag("disabled", default=False),
        retired_at=section.moment("retired_at"),
    )
    section.finish()
    return agency
